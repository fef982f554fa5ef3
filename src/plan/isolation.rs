//! Finding the bad ids of a refused bulk call with few further calls.
//!
//! A refused call changes nothing, and one that is accepted does its work, so a test that comes out well costs nothing
//! that was not due anyway. The search is binary splitting for one bad id, with all that is untested put back into one
//! pool; once four are found, the size of the next group follows the density observed (generalised binary splitting,
//! F. K. Hwang 1972, "A method for detecting all defective members in a population by group testing"). What surprises:
//! members must come in an order that has nothing to do with their being bad ([`Isolation::new`]), and where the search
//! keeps ending at good ids, bulk calls are refused for another reason and the rest goes one by one.

use std::mem;

/// Bad ids that are found by plain binary search before their density is believed.
const FINDS_BEFORE_DENSITY: usize = 4;
/// The same where most members that were looked at are bad.
const FINDS_BEFORE_HIGH_DENSITY: usize = 2;
/// Single calls of one search that are made at once, where they do not depend on each other.
const SINGLES_AT_ONCE: usize = 16;
/// Searches that end at a good id, after which the rest goes one by one.
const FALSE_ALARMS_BEFORE_SINGLES: usize = 2;

/// The most calls that members which the inventory lacks can take, whatever the service says: one refused bulk call for
/// each 500, and 1.5 for each member.
pub(crate) const fn worst_case_calls(members: u64, batch_limit: u64) -> u64 {
    if members <= 1 { members } else { members.div_ceil(batch_limit) + members + members / 2 }
}

/// What to send next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trial<Member> {
    /// One bulk call.
    Together(Vec<Member>),
    /// One single call; it alone can show that a member is bad.
    Alone(Member),
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TrialEnd<Member> {
    /// It was accepted; its members are done.
    Accepted,
    /// The member is bad; it is done.
    Bad,
    /// It has no answer; its members are done, and nothing is known of them.
    Unanswered,
    /// The group was refused and no id in it is believed to be named. The members come back.
    Refused(Vec<Member>),
    /// The group was refused, some were named and taken out, and the others come back.
    Named(Vec<Member>),
}

/// The search in one refused call: [`next`](Self::next) gives trials, [`take`](Self::take) takes their ends. Bulk calls
/// come one at a time, and so do single calls but those that nothing else depends on.
#[derive(Clone, Debug)]
pub(crate) struct Isolation<Member> {
    /// Nothing is known of these.
    pool: Vec<Member>,
    /// At least one of these is bad.
    hot: Vec<Member>,
    /// Whether the trial under way is part of what was hot, and how many members it has.
    trial: Option<(bool, usize)>,
    /// Single calls under way that nothing else depends on.
    beside: usize,
    found: usize,
    accepted: usize,
    false_alarms: usize,
    /// Whether the service may refuse every bulk call, whatever it holds.
    is_doubtful: bool,
    /// Whether a bulk call was accepted on the way.
    has_accepted_bulk: bool,
}

impl<Member> Isolation<Member> {
    /// The search in a refused call that named nobody, or nobody that is believed. The order of the members must have
    /// nothing to do with their being bad: a mixed one, not that of the input.
    pub(crate) const fn new(members: Vec<Member>) -> Self {
        Self {
            pool: Vec::new(),
            hot: members,
            trial: None,
            beside: 0,
            found: 0,
            accepted: 0,
            false_alarms: 0,
            is_doubtful: false,
            has_accepted_bulk: false,
        }
    }

    /// The same where the service may refuse every bulk call, whatever it holds. So first one is tried alone, until one is
    /// accepted, and then two together: where those are refused and each is accepted alone, it is so.
    pub(crate) fn in_doubt(mut self) -> Self {
        self.doubt();
        self
    }

    /// From now on so, as a trial was refused like that.
    pub(crate) const fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    /// The same where the named were taken out: nothing is known of the others.
    pub(crate) fn of_rest(others: Vec<Member>) -> Self {
        Self { pool: others, ..Self::new(Vec::new()) }
    }

    /// What to send next, at most `limit` members together. `None` when the end of what is under way must be known first,
    /// or when there is nothing left.
    pub(crate) fn next(&mut self, limit: usize) -> Option<Trial<Member>> {
        if self.trial.is_some() {
            return None;
        }
        if limit <= 1 {
            self.pool.append(&mut self.hot);
        }
        let from_hot = !self.hot.is_empty();
        let is_doubtful = self.is_doubtful && !self.has_accepted_bulk && limit > 1;
        let size = match from_hot {
            _ if is_doubtful => self.size_in_doubt(),
            true => self.hot.len().div_ceil(2),
            false => self.group_size(),
        };
        let size = size.min(limit.max(1));
        if !from_hot && size == 1 && !is_doubtful {
            if self.beside >= SINGLES_AT_ONCE {
                return None;
            }
            let member = self.pool.pop()?;
            self.beside += 1;
            return Some(Trial::Alone(member));
        }
        if self.beside > 0 || size == 0 {
            return None;
        }
        let source = if from_hot { &mut self.hot } else { &mut self.pool };
        let mut members = source.split_off(source.len().saturating_sub(size));
        self.trial = Some((from_hot, members.len()));
        if members.len() == 1 { members.pop().map(Trial::Alone) } else { Some(Trial::Together(members)) }
    }

    /// Whether everybody is done.
    pub(crate) const fn is_done(&self) -> bool {
        self.pool.is_empty() && self.hot.is_empty() && self.trial.is_none() && self.beside == 0
    }

    /// Takes the end of a trial that [`next`](Self::next) gave.
    pub(crate) fn take(&mut self, end: TrialEnd<Member>) {
        let Some((from_hot, size)) = self.trial.take() else {
            self.beside = self.beside.saturating_sub(1);
            match end {
                TrialEnd::Accepted => self.accepted += 1,
                TrialEnd::Bad => self.found += 1,
                TrialEnd::Unanswered => {}
                TrialEnd::Refused(members) | TrialEnd::Named(members) => self.pool.extend(members),
            }
            return;
        };
        match end {
            TrialEnd::Accepted => {
                self.accepted += size;
                self.has_accepted_bulk |= size > 1;
                // What was hot is still hot without these. If nothing is left of it, it should not have been.
                self.false_alarms += usize::from(from_hot && self.hot.is_empty());
            }
            TrialEnd::Bad => {
                self.found += 1;
                self.pool.append(&mut self.hot);
            }
            TrialEnd::Unanswered => self.pool.append(&mut self.hot),
            TrialEnd::Refused(members) => {
                self.pool.append(&mut self.hot);
                self.hot = members;
            }
            TrialEnd::Named(others) => {
                self.pool.append(&mut self.hot);
                self.pool.extend(others);
            }
        }
        if self.goes_one_by_one() {
            let mut hot = mem::take(&mut self.hot);
            self.pool.append(&mut hot);
        }
    }

    /// Whether bulk calls are refused here for a reason that lies in no id.
    pub(crate) const fn goes_one_by_one(&self) -> bool {
        self.false_alarms >= FALSE_ALARMS_BEFORE_SINGLES
    }

    /// Whether it has shown that bulk calls are refused whatever they hold, where that was in doubt.
    pub(crate) const fn shows_bulk_refused(&self) -> bool {
        self.is_doubtful && !self.has_accepted_bulk && self.false_alarms > 0
    }

    /// Whether the trial under way is part of a group that was refused: it meets again what the group met.
    pub(crate) fn is_of_refused(&self) -> bool {
        self.trial.is_some_and(|(from_hot, _)| from_hot)
    }

    /// How many to try together where the service may refuse every bulk call.
    fn size_in_doubt(&self) -> usize {
        let source = if self.hot.is_empty() { &self.pool } else { &self.hot };
        let is_pair = !self.hot.is_empty() && self.hot.len() <= 2;
        if self.accepted == 0 || is_pair { source.len().min(1) } else { source.len().min(2) }
    }

    /// How many members of the pool to try together: as many as are all good in about every other case, and one by one
    /// where more than about a third is bad. The steps were found by simulation, see the tests.
    fn group_size(&self) -> usize {
        let everybody = self.pool.len();
        if self.goes_one_by_one() {
            return everybody.min(1);
        }
        let is_dense = self.found >= FINDS_BEFORE_HIGH_DENSITY && self.accepted <= 2 * self.found;
        if is_dense {
            return 1;
        }
        if self.found < FINDS_BEFORE_DENSITY {
            return everybody;
        }
        let for_each_bad = (self.found + self.accepted) / self.found;
        let group = match for_each_bad {
            0..=3 => 1,
            4..=7 => for_each_bad * 7 / 10,
            _ => for_each_bad,
        };
        group.min(everybody)
    }
}

#[cfg(test)]
mod tests;
