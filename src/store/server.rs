//! State on a `PostgreSQL` server, which several hosts share.
//!
//! Whoever writes has the whole state to himself until he commits, as with a file: the first statement of each such
//! transaction counts it in the one row of `custody`, and that row is the lock. So what is read afterwards is all that was
//! committed, and nothing else is being decided meanwhile: what holds of the statements of this room with a file holds of
//! them here. What surprises: the count also tells what became of a commit whose answer was lost. Each process notes the
//! number of its last commit with that commit; whoever has the lock again can read there whether it took place, and does it
//! over if not. And a count that goes back means that another server has taken over which lacks the latest commits.

mod address;
#[cfg(test)]
mod between;
#[cfg(test)]
pub(crate) mod cluster;
#[cfg(test)]
mod encryption;
pub(super) mod heartbeats;
#[cfg(test)]
mod outages;
mod preparing;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;
mod tls;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) use self::address::{AddressError, PasswordSource, ServerAddress};
use super::StoreError;
use super::absence::{Contact, Patience};
use super::job::Job;
use super::sql::{Session, SqlError, Transaction};
use super::waiting::Waiting;

/// What every transaction begins with. Nothing of it outlasts the transaction, so that a pooler may lend the connection to
/// others in between. The server waits for a little less long than it is waited for, and so says itself what for.
const SETTINGS: &str = "SET LOCAL search_path TO tagfleet; SET LOCAL statement_timeout TO '28s';
    SET LOCAL lock_timeout TO '28s'; SET LOCAL idle_in_transaction_session_timeout TO '10s'";
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A server that holds a state, and the connection to it, if there is one.
pub(super) struct Server {
    address: ServerAddress,
    session: Option<Session>,
    /// Whether transactions write.
    writes: bool,
    /// Whose commits are noted.
    process_key: Option<i64>,
    /// The highest count that was read.
    commits: i64,
    /// Whether it answers, and how long it is waited for if not.
    contact: Contact,
    /// Whether it has done what was asked of it before.
    has_worked: bool,
    waiting: Waiting,
}

impl Server {
    /// A server that only reads, or also writes. Nothing is asked of it yet.
    pub(super) fn new(address: ServerAddress, writes: bool, patience: Patience) -> Self {
        let (contact, waiting) = (Contact::new(patience), Waiting::default());
        Self { address, session: None, writes, process_key: None, commits: 0, contact, has_worked: false, waiting }
    }

    /// The same with the process whose commits are to be noted.
    pub(super) fn of_process(self, process_key: i64) -> Self {
        Self { process_key: Some(process_key), ..self }
    }

    /// How it is called in messages.
    pub(super) fn name(&self) -> PathBuf {
        self.address.name()
    }

    /// Since when it has not answered, whenever somebody looks.
    pub(super) fn waiting(&self) -> Waiting {
        self.waiting.clone()
    }

    /// Carries out what each of these has to do, all of it or nothing. To be called on a thread that may wait.
    pub(super) fn run(&mut self, work: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let mut pauses = Pauses::new();
        // The count that the transaction would have, of which it is not known whether it was committed.
        let mut doubtful = None;
        loop {
            let failed = match self.try_run(work, &mut doubtful) {
                Ok(()) => {
                    self.has_worked = true;
                    self.contact.regain();
                    return Ok(());
                }
                Err(failed) => failed,
            };
            // Where one server takes another's place, there is none for a moment that can be written.
            let is_away = failed.is_lost_connection() || (self.has_worked && failed.is_standby());
            if !is_away {
                self.contact.regain();
                if let Some(session) = &self.session
                    && session.simple("ROLLBACK").is_err()
                {
                    self.session = None;
                }
                return Err(StoreError::database(&self.name(), failed));
            }
            self.session = None;
            let silent_for = failed.is_silence().then(|| self.waiting.lasts().unwrap_or_default());
            let Some(left) = self.contact.lose(silent_for) else {
                let answers = self.contact.patience().unstored_answers();
                return Err(StoreError::given_up(&self.name(), failed, answers));
            };
            pauses.wait_at_most(left);
        }
    }

    fn try_run(&mut self, work: &mut [Box<dyn Job>], doubtful: &mut Option<i64>) -> Result<(), SqlError> {
        let session = match &self.session {
            Some(session) if !session.is_closed() => session,
            _ => {
                let session = self.address.connect(self.contact.patience())?;
                self.session.insert(session.shown_by(self.waiting.clone()))
            }
        };
        if !self.writes {
            session.begin(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {SETTINGS}"))?;
            let transaction = Transaction::on(session);
            work.iter_mut().try_for_each(|work| work.run(&transaction, true))?;
            return session.simple("COMMIT").map(drop);
        }
        let begin = format!(
            "BEGIN; {SETTINGS}; SET LOCAL synchronous_commit TO on;
             UPDATE custody SET commits = commits + 1 RETURNING commits"
        );
        let count = session.begin(&begin)?.and_then(|count| count.parse().ok()).ok_or(SqlError::NoRow)?;
        if count <= self.commits {
            return Err(SqlError::CommitsLost);
        }
        let transaction = Transaction::on(session);
        if let Some(process_key) = self.process_key {
            let noted = "SELECT last_commit FROM process WHERE process_key = ?1";
            if let Some(doubted) = *doubtful
                && transaction
                    .query_row(noted, [process_key], |row| row.get::<i64>(0))
                    .is_ok_and(|last| last >= doubted)
            {
                self.commits = doubted;
                return session.simple("ROLLBACK").map(drop);
            }
            let note = "UPDATE process SET last_commit = ?2 WHERE process_key = ?1";
            transaction.send(note, [process_key, count])?;
        }
        work.iter_mut().try_for_each(|work| work.run(&transaction, true))?;
        *doubtful = Some(count);
        session.simple("COMMIT")?;
        self.commits = count;
        Ok(())
    }
}

/// Looks at what is on this server, all at one moment. To be called on a thread that may wait.
pub(super) fn read<Answer>(
    address: &ServerAddress,
    work: impl FnOnce(&Transaction<'_>) -> Result<Answer, SqlError>,
) -> Result<Answer, SqlError> {
    let session = address.connect(&Patience::default())?;
    session.simple(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {SETTINGS}"))?;
    work(&Transaction::on(&session))
}

/// Waits between tries, longer each time.
struct Pauses {
    longest: Duration,
}

impl Pauses {
    const fn new() -> Self {
        Self { longest: Duration::from_millis(50) }
    }

    /// Waits for a while.
    fn wait_at_most(&mut self, left: Duration) {
        std::thread::sleep(self.longest.mul_f64(fastrand::f64()).min(left));
        self.longest = (self.longest * 2).min(LONGEST_PAUSE);
    }
}

/// Opens the state on this server: makes its tables if they are missing, or brings them up to date.
pub(super) fn prepare(address: &ServerAddress, patience: &Patience) -> Result<(), StoreError> {
    patiently(address, patience, preparing::prepare)
}

/// Whether there is a state on this server; one of an older form is brought up to date.
pub(super) fn is_there(address: &ServerAddress, patience: &Patience) -> Result<bool, StoreError> {
    patiently(address, patience, preparing::is_there)
}

/// Asks again for as long as the server cannot be reached, but not for ever.
fn patiently<Answer>(
    address: &ServerAddress,
    patience: &Patience,
    ask: impl Fn(&ServerAddress, &Patience) -> Result<Answer, preparing::Problem>,
) -> Result<Answer, StoreError> {
    let (mut pauses, mut contact) = (Pauses::new(), Contact::new(patience.clone()));
    loop {
        let asked = Instant::now();
        let left = match ask(address, patience) {
            Err(preparing::Problem::Sql(failed)) if failed.is_lost_connection() => {
                contact.lose(Some(asked.elapsed())).ok_or(preparing::Problem::Sql(failed))
            }
            done => {
                contact.regain();
                return done.map_err(|problem| problem.into_store_error(&address.name()));
            }
        };
        pauses.wait_at_most(left.map_err(|problem| problem.into_store_error(&address.name()))?);
    }
}
