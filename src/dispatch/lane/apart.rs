//! Which call is next where the service counts single and bulk calls apart. Pure.
//!
//! Machines that are alone with their change go in single calls and the others in bulk calls, side by side. Where single
//! calls are more, bulk calls relieve them: a machine is as well tagged by a bulk call that holds it alone. What surprises:
//! work comes tag by tag, so that the call for which there is room may lie far behind others; those are packed and set
//! aside meanwhile, up to a limit.

use std::collections::VecDeque;

use super::{Due, Errand, Lane, Purpose};

/// The most machines in calls that are set aside.
const MOST_SET_ASIDE: usize = 20_000;

/// Which calls of a lane may begin.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) enum Openings {
    /// Any, since single and bulk calls count together.
    Together {
        /// Whether bulk calls may be sent for the first time.
        may_begin_bulk: bool,
    },
    /// These.
    Apart(ApartOpenings),
}

/// Which calls may begin where single and bulk calls count apart.
#[derive(Clone, Copy, Debug)]
pub(in crate::dispatch) struct ApartOpenings {
    /// Single calls.
    pub(in crate::dispatch) single: bool,
    /// Bulk calls.
    pub(in crate::dispatch) bulk: BulkOpening,
}

/// Which bulk calls may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dispatch) enum BulkOpening {
    /// None.
    Nothing,
    /// Those that are made again.
    Again,
    /// Any.
    Any {
        /// Whether they may relieve single ones.
        relief: bool,
    },
}

impl BulkOpening {
    const fn takes_fresh(self) -> bool {
        matches!(self, Self::Any { .. })
    }

    const fn takes_relief(self) -> bool {
        matches!(self, Self::Any { relief: true })
    }
}

/// The calls that a lane will take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::dispatch) struct CallsAhead {
    /// Those that hold one machine and were not begun.
    pub(in crate::dispatch) alone: u64,
    /// All others.
    pub(in crate::dispatch) others: u64,
}

/// Calls that were packed and have no room yet.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    single: VecDeque<Errand>,
    bulk: VecDeque<Errand>,
    machines: usize,
}

impl SetAside {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many calls there are.
    pub(super) fn len(&self) -> usize {
        self.single.len() + self.bulk.len()
    }

    /// Any of them.
    pub(super) fn pop(&mut self) -> Option<Errand> {
        self.pop_bulk().or_else(|| self.pop_single())
    }

    fn push(&mut self, errand: Errand) {
        self.machines += errand.len();
        let queue = if errand.len() == 1 { &mut self.single } else { &mut self.bulk };
        queue.push_back(errand);
    }

    fn pop_single(&mut self) -> Option<Errand> {
        let errand = self.single.pop_front()?;
        self.machines -= errand.len();
        Some(errand)
    }

    fn pop_bulk(&mut self) -> Option<Errand> {
        let errand = self.bulk.pop_front()?;
        self.machines -= errand.len();
        Some(errand)
    }
}

impl Lane {
    /// The calls that it will take, as far as can be told.
    pub(in crate::dispatch) fn calls_ahead_apart(&self) -> CallsAhead {
        let alone = self.fresh_alone + self.set_aside.single.len() as u64;
        CallsAhead { alone, others: self.calls_ahead().saturating_sub(alone) }
    }

    /// The next call for which there is an opening, of at most `limit` machines.
    pub(super) fn next_apart(&mut self, limit: usize, openings: ApartOpenings) -> Due {
        let ready = self.next_ready(openings).and_then(|errand| self.fitted(errand, limit));
        if let Some(errand) = ready {
            return Due::Errand(errand);
        }
        if !openings.single && (limit == 1 || !openings.bulk.takes_fresh()) {
            return Due::Nothing;
        }
        let takes_relief = openings.bulk.takes_relief() && limit > 1;
        loop {
            let suitable = self.take_set_aside(openings, takes_relief).and_then(|errand| self.fitted(errand, limit));
            if let Some(errand) = suitable {
                return Due::Errand(errand);
            }
            if self.set_aside.machines >= MOST_SET_ASIDE {
                break;
            }
            if let Some(read) = self.next_read(limit) {
                return Due::Read(read);
            }
            let Some(errand) = self.pack(limit) else { break };
            self.set_aside.push(errand);
        }
        // Nothing suits better.
        let relief = if takes_relief { self.set_aside.pop_single() } else { None };
        let put_off = |lane: &mut Self| if openings.single { lane.next_put_off() } else { None };
        relief.map(as_relief).or_else(|| put_off(self)).map_or(Due::Nothing, Due::Errand)
    }

    /// A call that is to be made again.
    fn next_ready(&mut self, openings: ApartOpenings) -> Option<Errand> {
        let has_opening =
            |errand: &Errand| if errand.is_bulk() { openings.bulk != BulkOpening::Nothing } else { openings.single };
        self.ready.iter().position(has_opening).and_then(|position| self.ready.remove(position))
    }

    fn take_set_aside(&mut self, openings: ApartOpenings, takes_relief: bool) -> Option<Errand> {
        if openings.bulk.takes_fresh()
            && let Some(errand) = self.set_aside.pop_bulk()
        {
            return Some(errand);
        }
        if openings.single {
            return self.set_aside.pop_single();
        }
        let bulk = self.fresh_calls.saturating_sub(self.fresh_alone) + self.set_aside.bulk.len() as u64;
        let are_more = self.fresh_alone + self.set_aside.single.len() as u64 > bulk;
        if takes_relief && are_more { self.set_aside.pop_single().map(as_relief) } else { None }
    }
}

/// The same as a bulk call of one machine.
fn as_relief(errand: Errand) -> Errand {
    Errand { purpose: Purpose::Relief, ..errand }
}
