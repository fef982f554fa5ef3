//! State on a `PostgreSQL` server, which several hosts share.
//!
//! Whoever writes has the whole state to himself until he commits, as with a file: the first statement of each such
//! transaction counts it in the one row of `custody`, and that row is the lock. So what is read afterwards is all that was
//! committed, and nothing else is being decided meanwhile: what holds of the statements of this room with a file holds of
//! them here. What surprises: the count also tells what became of a commit whose answer was lost. Each process notes the
//! number of its last commit with that commit; whoever has the lock again can read there whether it took place, and does it
//! over if not. And a count that goes back means that another server has taken over which lacks the latest commits, as a
//! last commit of ours does that is not there ([`takeovers`]).

mod address;
mod owner;
mod preparing;
mod restoring;
pub(super) mod takeovers;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use self::address::{AddressError, PasswordSource, ServerAddress};
pub(super) use self::owner::Owner;
use self::owner::{NOTE, SharedCommits};
use self::restoring::OwnDeeds;
use self::takeovers::{Found, KnownCommits, LONGEST_PAUSE, told_reign};
use super::StoreError;
use crate::store::engine::absence::{Contact, Patience};
use crate::store::engine::job::Job;
use crate::store::engine::sql::deeds::Deed;
use crate::store::engine::sql::{LONGEST_STATEMENT, Optional, Session, SqlError, Transaction};
use crate::store::engine::waiting::Waiting;
use crate::store::trust::custody;

/// What every transaction begins with. Nothing of it outlasts the transaction, so that a pooler may lend the connection to
/// others in between. The server waits for a little less long than it is waited for, and so says itself what for.
const SETTINGS: &str = "SET LOCAL search_path TO tagfleet; SET LOCAL statement_timeout TO '28s';
    SET LOCAL lock_timeout TO '28s'; SET LOCAL idle_in_transaction_session_timeout TO '10s'";

/// How long whoever reads waits for whoever writes to store again what is missing.
const LONGEST_RESTORING: Duration = LONGEST_STATEMENT;

/// A server that holds a state, and the connection to it, if there is one.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Server {
    address: ServerAddress,
    session: Option<Session>,
    /// Whether transactions write.
    writes: bool,
    /// Whether the server that is connected to tells its reign.
    tells_reign: bool,
    /// Whose commits are noted, or must be there where it is only read.
    owner: Option<Owner>,
    /// What is known of those commits, or what was seen of all where nobody's are.
    commits: SharedCommits,
    /// What it could store again of them.
    deeds: OwnDeeds,
    /// Whether some of them are gone for good: then nothing more is asked of it.
    has_lost: bool,
    /// Whether it answers, and how long it is waited for if not.
    contact: Contact,
    /// Whether it has done what was asked of it before.
    has_worked: bool,
    waiting: Waiting,
}

/// A transaction that may have come about: the count that it would have, and what was done in it that can be done again.
struct Doubtful {
    count: i64,
    deeds: Option<Vec<Deed>>,
}

impl Server {
    /// A server that only reads, or also writes. Nothing is asked of it yet.
    pub(super) fn new(address: ServerAddress, writes: bool, patience: Patience) -> Self {
        Self {
            address,
            session: None,
            writes,
            tells_reign: false,
            owner: None,
            commits: Arc::default(),
            deeds: OwnDeeds::default(),
            has_lost: false,
            contact: Contact::new(patience),
            has_worked: false,
            waiting: Waiting::default(),
        }
    }

    /// The same with the process whose commits are to be noted, or must be there.
    pub(super) fn of_process(self, owner: Owner) -> Self {
        Self { commits: Arc::clone(&owner.commits), owner: Some(owner), ..self }
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
        // The transaction of which it is not known whether it was committed.
        let mut doubtful = None;
        let began = Instant::now();
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
                    && session.roll_back().is_err()
                {
                    self.session = None;
                }
                if matches!(failed, SqlError::CommitsToCome) && began.elapsed() < LONGEST_RESTORING {
                    pauses.wait_at_most(LONGEST_PAUSE);
                    continue;
                }
                return Err(StoreError::database(&self.name(), failed));
            }
            self.session = None;
            let keeps_waiting = failed.is_silence() || failed.is_held();
            let silent_for = keeps_waiting.then(|| self.waiting.lasts().unwrap_or_default());
            let Some(left) = self.contact.lose(silent_for) else {
                let answers = self.contact.patience().unstored_answers();
                return Err(StoreError::given_up(&self.name(), failed, answers));
            };
            pauses.wait_at_most(left);
        }
    }

    fn try_run(&mut self, work: &mut [Box<dyn Job>], doubtful: &mut Option<Doubtful>) -> Result<(), SqlError> {
        if self.has_lost {
            return Err(SqlError::CommitsLost);
        }
        if self.session.as_ref().is_none_or(Session::is_closed) {
            let session = self.address.connect(self.contact.patience())?.shown_by(self.waiting.clone());
            self.tells_reign = told_reign(&session)?.is_some();
            self.session = Some(session);
        }
        if self.writes { self.write(work, doubtful) } else { self.read(work) }
    }

    fn session(&self) -> Result<&Session, SqlError> {
        self.session.as_ref().ok_or(SqlError::NoAnswer)
    }

    fn known_commits(&self) -> std::sync::MutexGuard<'_, KnownCommits> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a transaction on the way to whatever comes next. Gives what was known before: what is read then may be more, and
    /// never less.
    fn begin(&self) -> Result<KnownCommits, SqlError> {
        let process = self.owner.as_ref().map(|owner| owner.name.as_ref());
        #[cfg(not(test))]
        let settings = SETTINGS;
        #[cfg(test)]
        let settings = format!("{SETTINGS}{}", tests::cluster::virtual_time::setting(&self.address));
        let begin = if self.writes {
            format!("BEGIN; {settings}; {}", Found::writing(process, self.tells_reign))
        } else {
            let found = Found::reading(process, self.tells_reign);
            format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}; {found}")
        };
        let known = *self.known_commits();
        self.session()?.begin(begin);
        Ok(known)
    }

    /// What a transaction has found, and whether something is lacking.
    fn found(&self, known: &KnownCommits) -> Result<(Found, bool), SqlError> {
        let found = self.session()?.begun()?.as_deref().and_then(Found::read).ok_or(SqlError::NoRow)?;
        let lacks = found.lacks(known, self.owner.is_some());
        Ok((found, lacks))
    }

    fn read(&mut self, work: &mut [Box<dyn Job>]) -> Result<(), SqlError> {
        let known = self.begin()?;
        let session = self.session()?;
        let transaction = Transaction::on(session);
        let outcome = work.iter_mut().try_for_each(|work| work.run(&transaction, true));
        // Where it has not begun, nobody knows what there is.
        let outcome = if session.has_begun() { outcome } else { outcome.and_then(|()| session.begun().map(drop)) };
        if !session.has_begun() {
            return outcome;
        }
        let (found, lacks) = self.found(&known)?;
        if lacks {
            // What is read would not be what was told of before. A process says so to all when it writes again, and then goes
            // on with what is there.
            self.has_lost = self.owner.is_none();
            let is_to_come = found.last_commit().is_some_and(|last| last >= self.known_commits().restorable_after);
            return Err(if is_to_come { SqlError::CommitsToCome } else { SqlError::CommitsLost });
        }
        outcome?;
        self.session()?.commit()?;
        if self.owner.is_none() {
            *self.known_commits() =
                KnownCommits { last: found.count - 1, reign: found.reign, restorable_after: i64::MAX };
        }
        Ok(())
    }

    fn write(&mut self, work: &mut [Box<dyn Job>], doubtful: &mut Option<Doubtful>) -> Result<(), SqlError> {
        let known = self.begin()?;
        let ahead = Transaction::on(self.session()?);
        for work in work.iter() {
            work.foresee(&ahead);
        }
        let (mut found, lacks) = self.found(&known)?;
        if self.deeds.were_restored(&found) {
            self.note(found.last_commit().unwrap_or_default(), found.reign);
            self.session()?.roll_back()?;
            return self.write(work, doubtful);
        }
        if lacks {
            let known = known.last.max(doubtful.as_ref().map_or(0, |doubtful| doubtful.count));
            let is_whole_again = self.restore(&mut found, known)?;
            return if is_whole_again { self.write(work, doubtful) } else { self.take_loss_over(&mut found) };
        }
        let session = self.session()?;
        if doubtful.as_ref().is_some_and(|doubtful| found.has(doubtful.count)) {
            session.roll_back()?;
            if let Some(Doubtful { count, deeds }) = doubtful.take() {
                self.deeds.note(count, deeds);
                self.note(count, found.reign);
            }
            return Ok(());
        }
        found.enter_reign(session)?;
        let transaction =
            Transaction::on(session).awaiting_others(found.awaits_others).remembering(self.deeds.renumbered());
        work.iter_mut().try_for_each(|work| transaction.one_by_one(|| work.run(&transaction, true)))?;
        if let Some(owner) = &self.owner {
            transaction.send(&NOTE, owner.noted(found.count))?;
        }
        let deeds = transaction.into_deeds();
        let Doubtful { count, deeds } = doubtful.insert(Doubtful { count: found.count, deeds });
        session.commit()?;
        self.deeds.note(*count, deeds.take());
        self.note(found.count, found.reign);
        Ok(())
    }

    /// Notes a commit that has come about.
    fn note(&self, count: i64, reign: i64) {
        *self.known_commits() = KnownCommits { last: count, reign, restorable_after: self.deeds.restorable_after() };
    }

    /// Stores again what is missing of this process, which knows of so many commits, and says whether all of it is there now.
    /// Where that cannot be, nothing has been done.
    fn restore(&mut self, found: &mut Found, known: i64) -> Result<bool, SqlError> {
        let (Some(owner), Some(session)) = (&self.owner, &self.session) else { return Ok(false) };
        match self.deeds.do_again(session, owner, found, known) {
            Ok(true) => session.commit()?,
            Err(failed) if !failed.is_lost_connection() && !failed.is_standby() => {
                tracing::warn!(%failed, "what the state's server lacks could not be stored again");
                self.deeds.note(i64::MAX, None);
                session.roll_back()?;
                let known = self.begin()?;
                *found = self.found(&known)?.0;
                return Ok(false);
            }
            cannot => return cannot,
        }
        if let Some((count, deeds)) = self.deeds.are_restored() {
            self.note(count, found.reign);
            tracing::info!(deeds, "stored again what the server that has taken over lacked");
            // Of heartbeats alone nobody need hear.
            if deeds > 0 {
                self.contact.patience().note_restoration();
            }
        }
        Ok(true)
    }

    /// Has everybody know that commits of this process are missing, of whom nothing more is taken.
    fn take_loss_over(&mut self, found: &mut Found) -> Result<(), SqlError> {
        if let Some(Owner { name, clock, .. }) = &self.owner {
            let session = self.session()?;
            found.enter_reign(session)?;
            let transaction = Transaction::on(session);
            custody::take_loss_over(&transaction, self.known_commits().last, clock.as_ref())?;
            let ours = "SELECT process_key FROM process WHERE lock_name = ?1";
            if let Some(process_key) = transaction.query_row(ours, [&**name], |row| row.get(0)).optional()? {
                custody::doubt(&transaction, Some(process_key))?;
                takeovers::note_return(&transaction, process_key)?;
            }
            session.commit()?;
            // What is there from now on is true.
            self.note(0, 0);
        }
        self.has_lost = true;
        Err(SqlError::CommitsLost)
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
