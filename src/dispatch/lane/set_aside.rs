//! Calls that were packed before there was room for them.

use std::collections::VecDeque;

use super::lane_call::LaneCall;

/// The most machines in calls that are set aside.
const MOST_SET_ASIDE: usize = 20_000;

/// Calls that were packed and have no room yet.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    single: VecDeque<LaneCall>,
    bulk: VecDeque<LaneCall>,
    /// The machines in all of them.
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

    /// How many of them hold one machine.
    pub(super) fn alone(&self) -> u64 {
        self.single.len() as u64
    }

    /// How many of them hold several.
    pub(super) fn together(&self) -> u64 {
        self.bulk.len() as u64
    }

    /// Whether no more can be set aside.
    pub(super) const fn is_full(&self) -> bool {
        self.machines >= MOST_SET_ASIDE
    }

    /// Any of them.
    pub(super) fn pop(&mut self) -> Option<LaneCall> {
        self.pop_bulk().or_else(|| self.pop_single())
    }

    pub(super) fn push(&mut self, lane_call: LaneCall) {
        self.machines += lane_call.len();
        let queue = if lane_call.len() == 1 { &mut self.single } else { &mut self.bulk };
        queue.push_back(lane_call);
    }

    pub(super) fn pop_single(&mut self) -> Option<LaneCall> {
        let lane_call = self.single.pop_front()?;
        self.machines -= lane_call.len();
        Some(lane_call)
    }

    pub(super) fn pop_bulk(&mut self) -> Option<LaneCall> {
        let lane_call = self.bulk.pop_front()?;
        self.machines -= lane_call.len();
        Some(lane_call)
    }
}
