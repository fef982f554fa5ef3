//! A server that is away in the middle of work: since when, how long it is waited for, and what waits to be stored meanwhile.
//!
//! All connections of one store share this. At first there is the patience of somebody who opens a state; a run that is under
//! way has more, since what was answered meanwhile is known here alone. What surprises: a deadline ends the wait, too, but
//! never within the first seconds: a connection that only broke is there again by then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

/// How long a server is asked again that cannot be reached, unless a run says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// A wait is never shorter because of a deadline or an interrupt.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);
/// For so long after the server came back nobody is taken for dead: the others may still be on their way.
const TIME_TO_COME_BACK: Duration = Duration::from_secs(30);

/// A server that cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Since when.
    pub since: Timestamp,
    /// Until when it is waited for.
    pub until: Timestamp,
}

/// How long a server that is away is waited for, and whether it is. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Patience(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    books: Mutex<Books>,
    absence: watch::Sender<Option<Absence>>,
    /// Answers that are here and not stored yet.
    answers: AtomicUsize,
}

#[derive(Debug)]
struct Books {
    longest: Duration,
    ends: Option<Instant>,
    /// How many connections have lost the server.
    lost: usize,
    since: Option<(Instant, Timestamp)>,
    back: Option<Instant>,
}

impl Books {
    fn until(&self, since: Instant) -> Option<Instant> {
        let shortest = since.checked_add(self.longest.min(SHORTEST_WAIT))?;
        let by_itself = since.checked_add(self.longest);
        let ends = self.ends.map(|ends| ends.max(shortest));
        by_itself.into_iter().chain(ends).min()
    }
}

impl Default for Patience {
    fn default() -> Self {
        let books = Books { longest: PATIENCE, ends: None, lost: 0, since: None, back: None };
        Self(Arc::new(Shared {
            books: Mutex::new(books),
            absence: watch::Sender::default(),
            answers: AtomicUsize::default(),
        }))
    }
}

impl Patience {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the server is waited for as long as this, and not beyond `ends`.
    pub(super) fn set(&self, longest: Duration, ends: Option<Instant>) {
        let mut books = self.books();
        (books.longest, books.ends) = (longest, ends);
    }

    /// Somebody wants to go: the server is waited for no longer than this from now on.
    pub(super) fn shorten(&self, left: Duration) {
        let mut books = self.books();
        let ends = Instant::now().checked_add(left);
        books.ends = books.ends.into_iter().chain(ends).min();
        if left.is_zero() {
            books.longest = Duration::ZERO;
        }
    }

    /// Whoever waits, or wants to know, hears of it here.
    pub(super) fn absences(&self) -> watch::Receiver<Option<Absence>> {
        self.0.absence.subscribe()
    }

    /// Whether the server is away, or was a moment ago, so that others who live may not have shown it yet.
    pub(super) fn has_just_returned(&self) -> bool {
        let books = self.books();
        books.since.is_some() || books.back.is_some_and(|back| back.elapsed() < TIME_TO_COME_BACK)
    }

    /// How many answers are here that are not stored.
    pub(super) fn unstored_answers(&self) -> usize {
        self.0.answers.load(Ordering::SeqCst)
    }

    /// An answer is here and is to be stored.
    pub(super) fn keep_answer(&self) -> KeptAnswer {
        self.0.answers.fetch_add(1, Ordering::SeqCst);
        KeptAnswer(self.clone())
    }
}

/// An answer that is not stored yet, and counts as one that could not be if nobody ever says so.
pub(super) struct KeptAnswer(Patience);

impl KeptAnswer {
    /// It is stored, or was not ours to store.
    pub(super) fn stored(self) {
        self.0.0.answers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What one connection knows of its server.
#[derive(Debug)]
pub(super) struct Contact {
    patience: Patience,
    is_lost: bool,
    failures: u32,
}

impl Contact {
    pub(super) const fn new(patience: Patience) -> Self {
        Self { patience, is_lost: false, failures: 0 }
    }

    pub(super) const fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Notes that the server could not be asked; says how long it may still be waited for, if at all. A connection that broke
    /// is worth no word as long as the next one comes about, but for a server that kept us waiting.
    pub(super) fn lose(&mut self, was_silent: bool) -> Option<Duration> {
        self.failures += 1;
        let mut books = self.patience.books();
        if !std::mem::replace(&mut self.is_lost, true) {
            books.lost += 1;
        }
        let (since, since_wall) = *books.since.get_or_insert_with(|| (Instant::now(), Timestamp::now()));
        let until = books.until(since)?;
        drop(books);
        if was_silent || self.failures > 1 {
            let until = since_wall.checked_add(until.saturating_duration_since(since)).unwrap_or(Timestamp::MAX);
            let absence = Some(Absence { since: since_wall, until });
            self.patience.0.absence.send_if_modified(|known| std::mem::replace(known, absence) != absence);
        }
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Notes that the server has answered.
    pub(super) fn regain(&mut self) {
        self.failures = 0;
        if !std::mem::take(&mut self.is_lost) {
            return;
        }
        let mut books = self.patience.books();
        books.lost = books.lost.saturating_sub(1);
        if books.lost == 0 {
            (books.since, books.back) = (None, Some(Instant::now()));
            self.patience.0.absence.send_if_modified(|known| known.take().is_some());
        }
    }
}

impl Drop for Contact {
    fn drop(&mut self) {
        if self.is_lost {
            let mut books = self.patience.books();
            books.lost = books.lost.saturating_sub(1);
        }
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
            (seconds(30), None, seconds(30)),
            (seconds(7200), Some(seconds(600)), seconds(600)),
            (seconds(7200), Some(seconds(1)), SHORTEST_WAIT),
            (seconds(2), Some(seconds(1)), seconds(2)),
        ];
        for (longest, ends, waits) in table {
            let ends = ends.map(|ends| now + ends);
            let books = Books { longest, ends, lost: 1, since: None, back: None };
            assert_eq!(books.until(now), Some(now + waits), "{longest:?} {ends:?}");
        }
    }

    #[test]
    fn an_absence_is_told_when_a_new_connection_does_not_come_about_and_ends_with_the_last_connection_that_was_lost() {
        let patience = Patience::default();
        let absences = patience.absences();
        assert!(!patience.has_just_returned());
        let is_away = || absences.borrow().is_some();
        let (mut writing, mut reading) = (Contact::new(patience.clone()), Contact::new(patience.clone()));
        assert!(writing.lose(false).is_some() && !is_away(), "a connection that broke");
        assert!(writing.lose(false).is_some() && is_away());
        assert!(reading.lose(true).is_some() && is_away());
        writing.regain();
        assert!(is_away());
        reading.regain();
        assert!(!is_away() && patience.has_just_returned());
        assert!(writing.lose(true).is_some() && is_away(), "a server that keeps silent");
        patience.shorten(Duration::ZERO);
        assert_eq!(writing.lose(false), None);
        let kept = patience.keep_answer();
        assert_eq!(patience.unstored_answers(), 1);
        kept.stored();
        assert_eq!(patience.unstored_answers(), 0);
    }
}
