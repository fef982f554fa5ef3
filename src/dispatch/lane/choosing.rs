//! Which call of a lane is next. Pure.
//!
//! Where the service counts single and bulk calls together, whatever is ready goes. Where it counts them apart, machines that
//! are alone with their change go in single calls and the others in bulk calls, side by side. Where single calls are more,
//! bulk calls relieve them: a machine is as well tagged by a bulk call that holds it alone. What surprises: work comes tag by
//! tag, so that the call for which there is room may lie far behind others; those are packed and set aside meanwhile, up to
//! a limit.

use super::lane_call::{LaneCall, Purpose};
use super::openings::{ApartOpenings, BulkOpening, CallsAhead, Openings};
use super::{Due, Lane, limit_of};

impl Lane {
    /// The next call to be made, of at most `limit` machines, where there is an opening for it.
    pub(in crate::dispatch) fn next_due(&mut self, limit: usize, openings: Openings) -> Due {
        let limit = limit_of(self.kind, limit);
        if self.ready.is_empty() && self.is_exhausted() && self.in_flight == 0 {
            self.begin_second_trips(limit);
        }
        let due = match openings {
            Openings::Together { may_begin_bulk } => self.next_together(limit, may_begin_bulk),
            Openings::Apart(openings) => self.next_apart(limit, openings),
        };
        self.in_flight += usize::from(matches!(due, Due::LaneCall(_)));
        due
    }

    /// The next call where single and bulk calls count together. Bulk calls that are sent for the first time are begun only
    /// if that may be.
    fn next_together(&mut self, limit: usize, may_begin_bulk: bool) -> Due {
        let ready = self.ready.pop_front().or_else(|| self.set_aside.pop());
        let lane_call = match (ready, self.next_read(limit)) {
            (Some(lane_call), _) => self.fitted(lane_call, limit),
            _ if limit > 1 && !may_begin_bulk => None,
            (None, Some(read)) => return Due::Read(read),
            (None, None) => self.pack(limit),
        };
        lane_call.or_else(|| self.next_put_off()).map_or(Due::Nothing, Due::LaneCall)
    }

    /// The calls that it will take, as far as can be told.
    pub(in crate::dispatch) fn calls_ahead_apart(&self) -> CallsAhead {
        let alone = self.fresh_alone + self.set_aside.alone();
        CallsAhead { alone, others: self.calls_ahead().saturating_sub(alone) }
    }

    /// The next call for which there is an opening, of at most `limit` machines.
    fn next_apart(&mut self, limit: usize, openings: ApartOpenings) -> Due {
        let ready = self.next_ready(openings).and_then(|lane_call| self.fitted(lane_call, limit));
        if let Some(lane_call) = ready {
            return Due::LaneCall(lane_call);
        }
        if !openings.single && (limit == 1 || !openings.bulk.takes_fresh()) {
            return Due::Nothing;
        }
        let takes_relief = openings.bulk.takes_relief() && limit > 1;
        loop {
            let suitable =
                self.take_set_aside(openings, takes_relief).and_then(|lane_call| self.fitted(lane_call, limit));
            if let Some(lane_call) = suitable {
                return Due::LaneCall(lane_call);
            }
            if self.set_aside.is_full() {
                break;
            }
            if let Some(read) = self.next_read(limit) {
                return Due::Read(read);
            }
            let Some(lane_call) = self.pack(limit) else { break };
            self.set_aside.push(lane_call);
        }
        // Nothing suits better.
        let relief = if takes_relief { self.set_aside.pop_single() } else { None };
        let put_off = |lane: &mut Self| if openings.single { lane.next_put_off() } else { None };
        relief.map(as_relief).or_else(|| put_off(self)).map_or(Due::Nothing, Due::LaneCall)
    }

    /// A call that is to be made again.
    fn next_ready(&mut self, openings: ApartOpenings) -> Option<LaneCall> {
        let has_opening = |lane_call: &LaneCall| {
            if lane_call.is_bulk() { openings.bulk != BulkOpening::Nothing } else { openings.single }
        };
        self.ready.iter().position(has_opening).and_then(|position| self.ready.remove(position))
    }

    fn take_set_aside(&mut self, openings: ApartOpenings, takes_relief: bool) -> Option<LaneCall> {
        if openings.bulk.takes_fresh()
            && let Some(lane_call) = self.set_aside.pop_bulk()
        {
            return Some(lane_call);
        }
        if openings.single {
            return self.set_aside.pop_single();
        }
        let bulk = self.fresh_calls.saturating_sub(self.fresh_alone) + self.set_aside.together();
        let are_more = self.fresh_alone + self.set_aside.alone() > bulk;
        if takes_relief && are_more { self.set_aside.pop_single().map(as_relief) } else { None }
    }
}

/// The same as a bulk call of one machine.
fn as_relief(lane_call: LaneCall) -> LaneCall {
    LaneCall { purpose: Purpose::Relief, ..lane_call }
}
