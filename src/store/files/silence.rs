//! A disk that does not answer, and those who wait for it.
//!
//! Whoever reads or writes a file waits in the kernel until the disk is done, and nobody can call him off: not at the
//! deadline, and not when somebody interrupts. A disk that hangs, or that a backup has frozen, may take for ever. So each piece
//! of work is looked at from outside. What surprises: the work goes on, and if the disk comes back, it is done; only nobody waits for
//! it any more, nor for what is asked of the disk behind it.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use crate::store::StoreError;
use crate::store::engine::absence::{Contact, Patience};
use crate::store::engine::sql::SqlError;
use crate::store::engine::waiting::Waiting;

/// How often it is looked whether a disk has answered.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Whether nobody waits for the disk any more. Clones share it.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Silence(watch::Sender<bool>);

impl Silence {
    /// What is asked of a file, unless it is given up before that is done.
    pub(in crate::store) async fn unless_given_up<Answer>(
        &self,
        file: &Path,
        patience: &Patience,
        asked: impl Future<Output = Result<Answer, StoreError>>,
    ) -> Result<Answer, StoreError> {
        let mut given_up = self.0.subscribe();
        tokio::select! {
            biased;
            done = asked => done,
            // Whoever could say so is there as long as this.
            _ = given_up.wait_for(|given_up| *given_up) => {
                Err(StoreError::given_up(file, SqlError::DiskSilent, patience.unstored_answers()))
            }
        }
    }

    /// The same of work on a file that is asked for only once, which is watched meanwhile.
    pub(in crate::store) async fn once<Answer>(
        file: &Path,
        patience: &Patience,
        work: impl Future<Output = Result<Answer, StoreError>>,
    ) -> Result<Answer, StoreError> {
        let (silence, waiting) = (Self::default(), Waiting::default());
        let mut contact = Contact::new(patience.with_disk());
        let watched = silence.watch(work, &waiting, &mut contact);
        silence.unless_given_up(file, patience, watched).await
    }

    /// Waits for work on a file that has begun, and tells others when it stands still, and when it has for longer than
    /// anybody waits.
    pub(in crate::store) async fn watch<Done>(
        &self,
        work: impl Future<Output = Done>,
        waiting: &Waiting,
        contact: &mut Contact,
    ) -> Done {
        let mut work = pin!(work);
        let began = Instant::now();
        let mut looks_over = 0;
        loop {
            if let Ok(done) = timeout(BETWEEN_LOOKS, &mut work).await {
                contact.regain();
                self.0.send_if_modified(std::mem::take);
                return done;
            }
            looks_over = if contact.has_waited_enough(waiting, began) { looks_over + 1 } else { 0 };
            // Whoever gives something else up is to say so first.
            if looks_over > 1 {
                self.0.send_if_modified(|given_up| !std::mem::replace(given_up, true));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rusqlite::Connection;

    use super::*;
    use crate::store::access::connection::SharedConnection;
    use crate::store::cases::at_once;
    use crate::store::engine::sql::params;

    /// What a test waits for takes seconds, unless the machine is busy.
    const ONE_MINUTE: Duration = Duration::from_mins(1);

    /// A file on a disk that answers while the lock is free.
    fn on_disk(path: &Path, answers: &Arc<Mutex<()>>) -> (SharedConnection, Patience) {
        let connection = Connection::open(path).expect("a database");
        connection.execute_batch("CREATE TABLE x (y INTEGER)").expect("a table");
        let answers = Arc::clone(answers);
        let hook = move || {
            drop(answers.lock());
            false
        };
        connection.commit_hook(Some(hook)).expect("a hook");
        let patience = Patience::with_file();
        (SharedConnection::start_writing(connection, path, None, patience.clone()), patience)
    }

    async fn store(shared: &SharedConnection) -> Result<usize, StoreError> {
        shared.run(|transaction| transaction.execute("INSERT INTO x VALUES (1)", params![])).await
    }

    #[expect(clippy::await_holding_lock, reason = "what holds it is the disk that does not answer")]
    #[tokio::test]
    async fn a_disk_that_hangs_is_waited_for_like_a_server_until_somebody_wants_to_go_and_may_come_back() {
        let (place, answers) = (tempfile::tempdir().expect("a directory"), Arc::new(Mutex::new(())));
        let (shared, patience) = on_disk(&place.path().join("db"), &answers);
        patience.set(Duration::from_hours(1), None);
        let (mut absences, answer) = (patience.absences(), patience.keep_answer());
        let hanging = answers.lock().expect("nobody panics");
        let storing = tokio::spawn({
            let shared = shared.clone();
            async move { store(&shared).await }
        });
        let told = timeout(ONE_MINUTE, absences.wait_for(Option::is_some)).await.expect("it is told").expect("a state");
        let waits = told.expect("it is away");
        assert!(waits.until.duration_since(waits.since) > jiff::SignedDuration::from_mins(59), "{waits:?}");
        drop(told);
        patience.shorten(Duration::ZERO);
        let given_up = timeout(ONE_MINUTE, storing).await.expect("nobody waits any more").expect("no panic");
        assert!(
            matches!(&given_up, Err(error @ StoreError::AnswersLost { answers: 1, .. }) if error.is_silence()),
            "{given_up:?}"
        );
        assert!(
            store(&shared).await.is_err_and(|error| error.is_silence()),
            "whoever comes later does not wait, either"
        );
        drop(hanging);
        timeout(ONE_MINUTE, absences.wait_for(Option::is_none)).await.expect("it is back").expect("a state");
        answer.stored();
        while store(&shared).await.is_err() {
            tokio::task::yield_now().await;
        }
        let count = |transaction: &crate::store::engine::sql::Transaction<'_>| {
            transaction.query_row("SELECT count(*) FROM x", params![], |row| row.get::<i64>(0))
        };
        assert!(shared.run(count).await.is_ok_and(|rows| rows >= 2), "what was given up was done all the same");
    }

    #[expect(clippy::await_holding_lock, reason = "what holds it is the disk that does not answer")]
    #[tokio::test]
    async fn our_own_work_on_a_file_takes_its_time_until_somebody_wants_to_go_or_the_deadline_is_over() {
        let cases = [(Duration::ZERO, None), (Duration::from_hours(1), Some(Instant::now()))];
        at_once(cases.map(|(longest, ends)| async move {
            let (place, answers) = (tempfile::tempdir().expect("a directory"), Arc::new(Mutex::new(())));
            let (shared, patience) = on_disk(&place.path().join("db"), &answers);
            patience.set(longest, ends);
            let hanging = answers.lock().expect("nobody panics");
            let reads = Arc::clone(&answers);
            let reading = shared.run(move |_transaction| {
                drop(reads.lock());
                Ok(())
            });
            let given_up = timeout(ONE_MINUTE, reading).await.expect("nobody waits any more");
            assert!(given_up.is_err_and(|error| error.is_silence()), "{longest:?}");
            drop(hanging);
        }))
        .await;
    }

    #[tokio::test]
    async fn what_is_asked_of_a_disk_only_once_is_given_up_as_well() {
        let patience = Patience::with_file();
        patience.set(Duration::from_hours(1), Some(Instant::now()));
        let hangs = Silence::once(Path::new("db"), &patience, std::future::pending::<Result<(), _>>());
        let given_up = timeout(ONE_MINUTE, hangs).await.expect("nobody waits any more");
        assert!(given_up.is_err_and(|error| error.is_silence()));
        assert!(patience.absences().borrow().is_none(), "whoever has gone waits for nothing");
    }
}
