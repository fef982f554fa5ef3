//! A database that is away in the middle of work: since when, how long it is waited for, and what waits to be stored meanwhile.
//!
//! A server is away that cannot be reached or does not answer; a file is while another program holds it. All connections of one
//! store share this, so that all of them together wait once. At first there is the patience of somebody who opens a state; a
//! run that is under way has more, since what was answered meanwhile is known here alone. What surprises: a deadline ends the
//! wait, too, but never within the first seconds: a connection that only broke is there again by then.

use std::cell::RefCell;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::watch;

use super::waiting::Waiting;
use crate::clock;
use crate::outside::shown;
use crate::store::StoreError;

/// How long a database is waited for that is away, unless a run says otherwise; a file never for longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A wait is never shorter because of a deadline or an interrupt.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// A database that has not answered by then is in trouble: a commit takes milliseconds. Until then one that was well is waited
/// for, whoever is in a hurry.
pub(in crate::store) const SILENT_AFTER: Duration = Duration::from_secs(2);
/// How long one is waited for that was given up: it may be back, and the last things are to be stored.
const LAST_CHANCE: Duration = Duration::from_millis(250);
/// For so long after the server came back nobody is taken for dead: the others may still be on their way.
const TIME_TO_COME_BACK: Duration = Duration::from_secs(30);

/// A database that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Absence {
    pub since: Timestamp,
    /// Until when it is waited for.
    pub until: Timestamp,
}

/// How long a database that is away is waited for, and whether it is. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    shared: Arc<Shared>,
    /// What the wait may be at the most.
    most: Duration,
}

#[derive(Debug)]
struct Shared {
    books: Mutex<Books>,
    absence: watch::Sender<Option<Absence>>,
    /// How often something was stored again that a server lacked.
    restorations: watch::Sender<u32>,
    /// Answers that are here and not stored yet.
    answers: AtomicUsize,
}

#[derive(Debug)]
struct Books {
    longest: Duration,
    ends: Option<Instant>,
    /// When somebody found last that another program holds the file.
    held: Option<Instant>,
    /// How many connections have lost the database.
    lost: usize,
    since: Option<(Instant, Timestamp)>,
    back: Option<Instant>,
}

impl Books {
    fn until(&self, since: Instant, most: Duration) -> Option<Instant> {
        let longest = self.longest.min(most);
        let shortest = since.checked_add(longest.min(SHORTEST_WAIT))?;
        let by_itself = since.checked_add(longest);
        let ends = self.ends.map(|ends| ends.max(shortest));
        by_itself.into_iter().chain(ends).min()
    }

    /// For how long the database is waited for that is away.
    fn longest_wait(&self, most: Duration) -> Duration {
        let wait = self.since.and_then(|(since, _)| Some(self.until(since, most)?.saturating_duration_since(since)));
        wait.unwrap_or_else(|| self.longest.min(most))
    }

    /// Until when an answer is waited for that was asked for then.
    fn answer_until(&self, asked: Instant, most: Duration) -> Option<Instant> {
        let (since, at_least) = match self.since {
            Some((since, _)) => (since, LAST_CHANCE),
            None => (asked, SILENT_AFTER),
        };
        Some(self.until(since, most)?.max(asked.checked_add(at_least)?))
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::of_at_most(Duration::MAX)
    }
}

impl Patience {
    /// With a file, which somebody holds who is stuck where it is not free soon.
    pub(in crate::store) fn with_file() -> Self {
        Self::of_at_most(PATIENCE)
    }

    fn of_at_most(most: Duration) -> Self {
        let books = Books { longest: PATIENCE, ends: None, held: None, lost: 0, since: None, back: None };
        let shared = Shared {
            books: Mutex::new(books),
            absence: watch::Sender::default(),
            restorations: watch::Sender::default(),
            answers: AtomicUsize::default(),
        };
        Self { shared: Arc::new(shared), most }
    }

    /// The same with the disk of a file, which may be frozen for as long as a server may be away.
    pub(in crate::store) fn with_disk(&self) -> Self {
        Self { most: Duration::MAX, ..self.clone() }
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.shared.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the database is waited for as long as this, and not beyond `ends`.
    pub(in crate::store) fn set(&self, longest: Duration, ends: Option<Instant>) {
        let mut books = self.books();
        (books.longest, books.ends) = (longest, ends);
    }

    /// How long an answer may still take that was asked for then; `None` when nobody waits for it any more.
    pub(super) fn left(&self, asked: Instant) -> Option<Duration> {
        let now = Instant::now();
        let Some(until) = self.books().answer_until(asked, self.most) else { return Some(Duration::MAX) };
        Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Somebody wants to go: the database is waited for no longer than this from now on.
    pub(crate) fn shorten(&self, left: Duration) {
        let mut books = self.books();
        let ends = Instant::now().checked_add(left);
        books.ends = books.ends.into_iter().chain(ends).min();
        if left.is_zero() {
            books.longest = Duration::ZERO;
        }
    }

    /// Whoever waits, or wants to know, hears of it here.
    pub(in crate::store) fn absences(&self) -> watch::Receiver<Option<Absence>> {
        self.shared.absence.subscribe()
    }

    /// Tells when something was stored again that a server lacked which has taken over.
    pub(in crate::store) fn restorations(&self) -> watch::Receiver<u32> {
        self.shared.restorations.subscribe()
    }

    /// Something was stored again.
    pub(in crate::store) fn note_restoration(&self) {
        self.shared.restorations.send_modify(|count| *count += 1);
    }

    /// One connection less misses the database. Says whether it was the last one.
    fn misses_one_less(&self, books: &mut Books) -> bool {
        books.lost = books.lost.saturating_sub(1);
        let is_last = books.lost == 0;
        if is_last {
            books.since = None;
            self.shared.absence.send_if_modified(|known| known.take().is_some());
        }
        is_last
    }

    /// Whether the server is away, or was a moment ago, so that others who live may not have shown it yet.
    pub(in crate::store) fn has_just_returned(&self) -> bool {
        let books = self.books();
        books.since.is_some() || books.back.is_some_and(|back| back.elapsed() < TIME_TO_COME_BACK)
    }

    /// How many answers are here that are not stored.
    pub(in crate::store) fn unstored_answers(&self) -> usize {
        self.shared.answers.load(Ordering::SeqCst)
    }

    /// An answer is here and is to be stored.
    pub(in crate::store) fn keep_answer(&self) -> KeptAnswer {
        self.shared.answers.fetch_add(1, Ordering::SeqCst);
        KeptAnswer(self.clone())
    }
}

/// An answer that is not stored yet, and counts as one that could not be if nobody ever says so.
pub(in crate::store) struct KeptAnswer(Patience);

impl KeptAnswer {
    /// It is stored, or was not ours to store.
    pub(in crate::store) fn stored(self) {
        self.0.shared.answers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What one connection knows of its database.
#[derive(Debug)]
pub(in crate::store) struct Contact {
    patience: Patience,
    is_lost: bool,
    failures: u32,
}

thread_local! {
    /// Who waits on this thread for a file that another program holds, and since when.
    static AT_FILE: RefCell<Option<(Contact, Instant)>> = const { RefCell::new(None) };
}

impl Contact {
    pub(in crate::store) const fn new(patience: Patience) -> Self {
        Self { patience, is_lost: false, failures: 0 }
    }

    pub(in crate::store) const fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Notes that the database could not be asked; says how long it may still be waited for, if at all. A connection that broke
    /// is worth no word as long as the next one comes about, but for a database that was silent for so long.
    pub(in crate::store) fn lose(&mut self, silent_for: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        let mut books = self.patience.books();
        if !std::mem::replace(&mut self.is_lost, true) {
            books.lost += 1;
        }
        let silence = silent_for.unwrap_or_default();
        let (since, since_wall) = *books.since.get_or_insert_with(|| {
            let (now, wall_now) = (Instant::now(), clock::now());
            (now.checked_sub(silence).unwrap_or(now), wall_now.checked_sub(silence).unwrap_or(wall_now))
        });
        let until = books.until(since, self.patience.most)?;
        drop(books);
        if silent_for.is_some() || self.failures > 1 {
            let until = since_wall.checked_add(until.saturating_duration_since(since)).unwrap_or(Timestamp::MAX);
            let absence = Some(Absence { since: since_wall, until });
            self.patience.shared.absence.send_if_modified(|known| std::mem::replace(known, absence) != absence);
        }
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// What is known here, and leaves a contact that knows nothing.
    pub(in crate::store) fn take(&mut self) -> Self {
        let fresh = Self::new(self.patience.clone());
        std::mem::replace(self, fresh)
    }

    /// Does work with a file that others may hold, on this thread. Every connection that is made meanwhile waits for them
    /// ([`wait_for_holders`]) for as long as this contact may.
    pub(in crate::store) fn bear<Answer>(
        &mut self,
        work: impl FnOnce() -> Result<Answer, StoreError>,
    ) -> Result<Answer, StoreError> {
        AT_FILE.replace(Some((self.take(), Instant::now())));
        let done = work();
        if let Some((contact, since)) = AT_FILE.take() {
            *self = contact;
            if done.as_ref().is_err_and(StoreError::is_busy) {
                let _given_up = self.lose(Some(since.elapsed()));
            } else {
                self.regain();
            }
        }
        done
    }

    /// Whether whoever has waited since then for the holder of a file may still wait. It is told once that it takes its time.
    fn bears(&mut self, since: Instant) -> bool {
        self.patience.books().held = Some(Instant::now());
        if !self.is_lost && since.elapsed() >= SILENT_AFTER {
            let _left = self.lose(Some(since.elapsed()));
            tracing::warn!(
                "another program holds the state's database; tagfleet waits up to {} s for it",
                self.patience.books().longest_wait(self.patience.most).as_secs()
            );
        }
        self.patience.left(since).is_some()
    }

    /// Whether work on a file has stood still for longer than anybody waits for its disk. Whoever waits for another program
    /// gives that up by himself; and our own work takes its time, unless the disk was waited for long enough already, or
    /// nobody wants to wait any more: the deadline is over, or somebody wants to go.
    pub(in crate::store) fn has_waited_enough(&mut self, waiting: &Waiting, began: Instant) -> bool {
        let books = self.patience.books();
        let is_held = books.held.is_some_and(|held| held.elapsed() < SILENT_AFTER);
        let until = books.since.and_then(|(since, _)| books.until(since, self.patience.most));
        let now = Instant::now();
        let is_over = books.longest.is_zero() || books.ends.into_iter().chain(until).any(|until| until <= now);
        drop(books);
        let silent_for = waiting.lasts().or_else(|| is_over.then(|| began.elapsed()));
        if let Some(silent_for) = silent_for.filter(|silent_for| !is_held && *silent_for >= SILENT_AFTER) {
            return self.lose(Some(silent_for)).is_none();
        }
        self.regain();
        false
    }

    /// Notes that the database has answered.
    pub(in crate::store) fn regain(&mut self) {
        self.failures = 0;
        if !std::mem::take(&mut self.is_lost) {
            return;
        }
        let mut books = self.patience.books();
        if self.patience.misses_one_less(&mut books) {
            books.back = Some(Instant::now());
        }
    }
}

impl Drop for Contact {
    fn drop(&mut self) {
        if self.is_lost {
            // Whoever has gone waits for nothing, and others say for themselves whether they do.
            self.patience.misses_one_less(&mut self.patience.books());
        }
    }
}

/// Opens a state on a server. It is told once if the server is away, since nothing else is seen until it is there.
pub(in crate::store) async fn told<Answer>(
    patience: &Patience,
    server: &Path,
    opening: impl Future<Output = Answer>,
) -> Answer {
    let mut absences = patience.absences();
    let telling = async {
        if absences.wait_for(Option::is_some).await.is_ok() {
            tracing::warn!(
                "cannot reach the state {}; tagfleet waits up to {} s for it",
                shown(server),
                patience.books().longest_wait(patience.most).as_secs()
            );
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        opened = opening => opened,
        never = telling => never,
    }
}

/// Has a connection wait for other processes that hold its file: those of ours do so for a few milliseconds at a time.
/// `SQLite`'s own waiting grows to 100 ms a step, which would starve a process beside a busy one.
pub(in crate::store) fn wait_for_holders(connection: &Connection) -> Result<(), rusqlite::Error> {
    const STEP: Duration = Duration::from_millis(1);
    connection.busy_handler(Some(|tries| {
        AT_FILE.with_borrow_mut(|at_file| {
            let Some((contact, since)) = at_file else { return false };
            if tries == 0 {
                *since = Instant::now();
            }
            let bears = contact.bears(*since);
            if bears {
                std::thread::sleep(STEP);
            }
            bears
        })
    }))
}

/// Does this again while other processes hold the file, where `SQLite` does not wait by itself: it never does where two might
/// wait for each other, as when the journal of a new file is chosen.
pub(super) fn again_while_held<Answer>(
    mut work: impl FnMut() -> Result<Answer, rusqlite::Error>,
) -> Result<Answer, rusqlite::Error> {
    let began = Instant::now();
    loop {
        let done = work();
        let is_held = matches!(&done, Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.code == rusqlite::ErrorCode::DatabaseBusy);
        let bears =
            AT_FILE.with_borrow_mut(|at_file| at_file.as_mut().is_some_and(|(contact, _)| contact.bears(began)));
        if !is_held || !bears {
            return done;
        }
        std::thread::sleep(Duration::from_millis(fastrand::u64(1..5)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_waited_for_as_long_as_was_said_or_until_the_deadline_but_never_given_up_at_once() {
        let now = Instant::now();
        let seconds = Duration::from_secs;
        let table = [
            (seconds(30), None, Duration::MAX, seconds(30)),
            (seconds(7200), Some(seconds(600)), Duration::MAX, seconds(600)),
            (seconds(7200), Some(seconds(1)), Duration::MAX, SHORTEST_WAIT),
            (seconds(2), Some(seconds(1)), Duration::MAX, seconds(2)),
            (seconds(7200), None, PATIENCE, PATIENCE),
            (seconds(7200), Some(seconds(10)), PATIENCE, seconds(10)),
            (seconds(20), None, PATIENCE, seconds(20)),
        ];
        for (longest, ends, most, waits) in table {
            let ends = ends.map(|ends| now + ends);
            let books = Books { longest, ends, held: None, lost: 1, since: None, back: None };
            assert_eq!(books.until(now, most), Some(now + waits), "{longest:?} {ends:?} {most:?}");
        }
    }

    #[test]
    fn an_absence_is_told_when_a_new_connection_does_not_come_about_and_ends_with_the_last_connection_that_was_lost() {
        let patience = Patience::default();
        let absences = patience.absences();
        assert!(!patience.has_just_returned());
        let is_away = || absences.borrow().is_some();
        let (mut writing, mut reading) = (Contact::new(patience.clone()), Contact::new(patience.clone()));
        assert!(writing.lose(None).is_some() && !is_away(), "a connection that broke");
        assert!(writing.lose(None).is_some() && is_away());
        assert!(reading.lose(Some(Duration::ZERO)).is_some() && is_away());
        writing.regain();
        assert!(is_away());
        reading.regain();
        assert!(!is_away() && patience.has_just_returned());
        assert!(writing.lose(Some(Duration::ZERO)).is_some() && is_away(), "a server that keeps silent");
        patience.shorten(Duration::ZERO);
        assert_eq!(writing.lose(None), None);
        let kept = patience.keep_answer();
        assert_eq!(patience.unstored_answers(), 1);
        kept.stored();
        assert_eq!(patience.unstored_answers(), 0);
    }
}
