//! What a process could store again, should another server take over that lacks its latest commits.
//!
//! A server that follows another at a distance may lack any of the latest commits, and nobody says how many. So a process
//! remembers what it has done, commit by commit, and how to do it again: calls that were let through, what became of them,
//! and the few other things that a run writes while it is under way. Where a server has taken over that lacks nothing else,
//! all of it is done again in one transaction, with which the process is back. So whoever waits for it
//! ([`takeovers`](super::takeovers)) knows of all its calls, each with the end that its own clock had shown, and nothing is
//! done twice. What surprises: the numbers of attempts that are lost may be given to others before that. So they get others,
//! later than all that this process was ever given, and whoever knows a call by its first number still closes the right one.

use std::collections::VecDeque;

use super::owner::{NOTE, Owner};
use super::takeovers::Found;
use crate::store::engine::sql::deeds::Deed;
use crate::store::engine::sql::done::Renumbered;
use crate::store::engine::sql::{Optional, Session, SqlError, Transaction};

/// So many calls and operations of calls are remembered; a server that lags behind by more loses them.
const MOST_REMEMBERED: usize = 50_000;

/// What a process has done that it could do again, the latest last.
#[derive(Default)]
pub(super) struct OwnDeeds {
    /// By the count of the commit.
    commits: VecDeque<(i64, Vec<Deed>)>,
    weight: usize,
    /// The last commit of which this cannot be said.
    restorable_after: i64,
    /// The highest number that was given to anything.
    highest: i64,
    renumbered: Renumbered,
    /// What was stored again, where it is not known whether that was committed.
    doubtful: Option<Restored>,
    /// Between which commits what was lost lay that is stored again: a server whose last commit of this process is one of
    /// those comes from before that, and holds a part of it.
    replaced: Vec<std::ops::Range<i64>>,
}

/// What was stored again.
struct Restored {
    /// The last commit that was there.
    last: i64,
    /// The one that it is in.
    count: i64,
    /// How it is numbered.
    renumbered: Renumbered,
}

impl OwnDeeds {
    /// Remembers a commit; with nothing where nobody can say how to do it again.
    pub(super) fn note(&mut self, count: i64, deeds: Option<Vec<Deed>>) {
        let Some(deeds) = deeds else {
            self.commits.clear();
            (self.weight, self.restorable_after) = (0, count);
            return;
        };
        if deeds.is_empty() {
            return;
        }
        self.weight += weight_of(&deeds);
        self.highest = deeds.iter().filter_map(|deed| deed.number).max().unwrap_or_default().max(self.highest);
        self.commits.push_back((count, deeds));
        while self.weight > MOST_REMEMBERED
            && let Some((count, deeds)) = self.commits.pop_front()
        {
            self.weight -= weight_of(&deeds);
            self.restorable_after = count;
        }
    }

    pub(super) const fn restorable_after(&self) -> i64 {
        self.restorable_after
    }

    pub(super) const fn renumbered(&self) -> &Renumbered {
        &self.renumbered
    }

    /// Whether what was stored again has come about, although nobody said so.
    pub(super) fn were_restored(&mut self, found: &Found) -> bool {
        let restored = self.doubtful.take().filter(|restored| found.has(restored.count));
        restored.map(|restored| self.take_as_restored(restored)).is_some()
    }

    /// All of it may be lost again, with the commit that has stored it again; what lies between is of another past.
    fn take_as_restored(&mut self, Restored { last, count, renumbered }: Restored) {
        self.renumbered = renumbered;
        self.replaced.push(last + 1..count);
    }

    /// Whether everything could be stored again that was committed since this commit.
    fn can_restore_since(&self, last: i64) -> bool {
        last >= self.restorable_after && !self.replaced.iter().any(|replaced| replaced.contains(&last))
    }

    /// Does again what is missing of this process, which knows of so many commits, and says whether all of it will be there
    /// with the next commit. Where it cannot be, nothing has been done.
    pub(super) fn do_again(
        &mut self,
        session: &Session,
        owner: &Owner,
        found: &mut Found,
        known: i64,
    ) -> Result<bool, SqlError> {
        let Some(last) = found.last_commit().filter(|last| self.can_restore_since(*last)) else { return Ok(false) };
        let transaction = Transaction::on(session);
        let lives = "SELECT ended = 0 FROM process WHERE lock_name = ?1";
        if transaction.query_row(lives, [&*owner.name], |row| row.get(0)).optional()? != Some(true) {
            return Ok(false);
        }
        found.enter_reign(session)?;
        // Later than all that this process has seen, so that it is known for what it is.
        let count = "UPDATE custody SET commits = max(commits, ?1) + 1 RETURNING commits";
        let count = transaction.query_row(count, [known], |row| row.get(0))?;
        let numbered = self.since(last).filter(|deed| deed.number.is_some()).count();
        if self.highest > 0 {
            session.fetch_keys_after(("attempt", "attempt_key"), self.highest, numbered)?;
        }
        let mut renumbered = self.renumbered.clone();
        for deed in self.since(last) {
            deed.do_again(&transaction, &mut renumbered)?;
        }
        transaction.execute(&NOTE, owner.noted(count))?;
        self.doubtful = Some(Restored { last, count, renumbered });
        Ok(true)
    }

    /// What was done again is committed: says in which commit, and how much it was.
    pub(super) fn are_restored(&mut self) -> Option<(i64, usize)> {
        let restored = self.doubtful.take()?;
        let (count, deeds) = (restored.count, self.since(restored.last).count());
        self.take_as_restored(restored);
        Some((count, deeds))
    }

    fn since(&self, last: i64) -> impl Iterator<Item = &Deed> {
        self.commits.iter().filter(move |(count, _)| *count > last).flat_map(|(_, deeds)| deeds)
    }
}

fn weight_of(deeds: &[Deed]) -> usize {
    deeds.iter().map(|deed| deed.weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deeds(weight: usize) -> Vec<Deed> {
        vec![Deed::new(weight, |_, _| Ok(())).numbered(7)]
    }

    #[test]
    fn what_cannot_be_done_again_and_what_is_too_much_to_remember_ends_what_could_be_stored_again() {
        let mut own = OwnDeeds::default();
        own.note(4, None);
        own.note(5, Some(deeds(1)));
        own.note(6, Some(vec![]));
        own.note(7, Some(deeds(MOST_REMEMBERED - 1)));
        let can = |own: &OwnDeeds| (3..8).map(|last| own.can_restore_since(last)).collect::<Vec<_>>();
        assert_eq!(can(&own), [false, true, true, true, true]);
        assert_eq!(own.since(4).count(), 2);
        own.note(8, Some(deeds(1)));
        assert_eq!(can(&own), [false, false, true, true, true], "the oldest is forgotten");
        own.note(9, None);
        assert_eq!(can(&own), [false; 5]);
        assert!(own.can_restore_since(9) && own.weight == 0);
    }

    #[test]
    fn what_was_stored_again_may_be_lost_again_but_not_a_part_of_it() {
        let mut own = OwnDeeds::default();
        (1..=6).for_each(|count| own.note(count, Some(deeds(1))));
        own.take_as_restored(Restored { last: 3, count: 9, renumbered: Renumbered::new() });
        own.note(11, Some(deeds(1)));
        assert_eq!([3, 9, 11].map(|last| own.since(last).count()), [4, 1, 0]);
        let can = (2..12).map(|last| own.can_restore_since(last));
        assert_eq!(can.collect::<Vec<_>>(), [true, true, false, false, false, false, false, true, true, true]);
    }
}
