//! All lanes of a run: in which order calls of a bucket are made, and when removes may begin. Pure.
//!
//! A machine's removes wait until its adds are done. What surprises: an add that was accepted without being shown, or never
//! answered, may be done all the same. The removes that wait for such adds are held back while everybody else's go on; then
//! the adds are read back, and only the removes of those that stay in doubt are left out.

use super::lane::{ApartOpenings, BulkOpening, CallsAhead, Due, Lane, LaneCall, Openings, WorkRead, bucket_of};
use crate::model::{Bucket, ChangeKind, OperationId};
use crate::store::{RemovesWithoutAdds, Swaps, WorkKind};

/// So many operations of a bucket are few.
const MAXIMUM_STRAGGLERS: u64 = 32;

/// What the lanes have for whoever wants to make a call.
#[derive(Debug)]
pub(super) enum Choice {
    /// A call of this lane.
    LaneCall(WorkKind, LaneCall),
    /// Operations of this lane are to be read from the store first.
    Read(WorkKind, WorkRead),
    /// The removes of this lane may begin, once those are left out whose adds did not succeed.
    Release(WorkKind),
}

/// Where calls may begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room<'a> {
    /// Buckets in which no calls are made any more.
    pub(super) closed: &'a [Bucket],
    /// Buckets that have room for one more.
    pub(super) open: &'a [Bucket],
    /// Whether bulk calls may be sent for the first time.
    pub(super) may_begin_bulk: bool,
    /// Whether single and bulk calls count apart, and if so, whether bulk calls relieve single ones.
    pub(super) relief: Option<bool>,
}

impl Room<'_> {
    /// What may begin in a lane of this bucket; `None` where nothing may.
    fn openings(&self, bucket: Bucket) -> Option<Openings> {
        let single = self.open.contains(&bucket);
        let Some(relief) = self.relief.filter(|_| bucket == Bucket::Tags) else {
            return single.then_some(Openings::Together { may_begin_bulk: self.may_begin_bulk });
        };
        let bulk = if !self.open.contains(&Bucket::BulkTags) {
            BulkOpening::Nothing
        } else if self.may_begin_bulk {
            BulkOpening::Any { relief }
        } else {
            BulkOpening::Again
        };
        let is_any = single || bulk != BulkOpening::Nothing;
        is_any.then_some(Openings::Apart(ApartOpenings { single, bulk }))
    }
}

/// The lanes of a run.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    swaps: Swaps,
    /// Lanes whose removes waited for adds, and may begin.
    released: Vec<WorkKind>,
    /// Buckets of which it was said that only a few operations are left.
    stragglers: Vec<Bucket>,
}

impl Lanes {
    /// These lanes, in the order in which calls of one bucket are made. Where a machine's adds and removes are in different
    /// lanes, all adds come first.
    pub(super) fn new(mut lanes: Vec<Lane>, swaps: Swaps) -> Self {
        if swaps == Swaps::Mixed {
            lanes.sort_by_key(|lane| lane.kind.change);
        }
        Self { all: lanes, swaps, released: Vec::new(), stragglers: Vec::new() }
    }

    /// The lane of this kind.
    pub(super) fn of(&mut self, kind: WorkKind) -> Option<&mut Lane> {
        self.all.iter_mut().find(|lane| lane.kind == kind)
    }

    /// The next call, of at most `limit` machines, where there is room for it. A lane begins when those before it in its
    /// bucket have nothing more to begin with.
    pub(super) fn next(&mut self, limit: usize, room: Room<'_>) -> Option<Choice> {
        let mut blocked = room.closed.to_vec();
        let kinds: Vec<WorkKind> = self.all.iter().map(|lane| lane.kind).collect();
        for kind in kinds {
            let bucket = bucket_of(kind);
            if blocked.contains(&bucket) {
                continue;
            }
            if self.comes_after_adds(kind) {
                if !self.waits_for_adds(kind) {
                    return Some(Choice::Release(kind));
                }
                blocked.push(bucket);
                continue;
            }
            let lane = self.of(kind)?;
            if let Some(openings) = room.openings(bucket) {
                match lane.next_due(limit, openings) {
                    Due::LaneCall(lane_call) => return Some(Choice::LaneCall(kind, lane_call)),
                    Due::Read(read) => return Some(Choice::Read(kind, read)),
                    Due::Nothing => {}
                }
            }
            if !lane.is_exhausted() {
                blocked.push(bucket);
            }
        }
        None
    }

    /// Where machines get tags and lose others, removes begin when all adds have an outcome.
    fn comes_after_adds(&self, kind: WorkKind) -> bool {
        kind.change == ChangeKind::Remove && self.swaps != Swaps::None && !self.released.contains(&kind)
    }

    fn waits_for_adds(&self, kind: WorkKind) -> bool {
        self.all.iter().any(|lane| {
            let may_be_of_same_machine = lane.kind.unlisted == kind.unlisted || self.swaps == Swaps::Mixed;
            lane.kind.change == ChangeKind::Add && may_be_of_same_machine && !lane.is_settled()
        })
    }

    /// Takes down what the store did with the removes of a lane whose adds did not succeed: those whose adds failed are left
    /// out, and those whose adds are in doubt are held back.
    pub(super) fn take_removes(&mut self, kind: WorkKind, removes: RemovesWithoutAdds) {
        if let Some(lane) = self.of(kind) {
            lane.take_off(u64::from(removes.left_out));
            lane.hold_back(removes.held_back);
        }
        if self.comes_after_adds(kind) {
            self.released.push(kind);
        }
    }

    /// The lanes in which removes wait until their adds are read back, but for those in these buckets.
    pub(super) fn held_back(&self, closed: &[Bucket]) -> Vec<WorkKind> {
        let kinds = self.all.iter().filter(|lane| lane.holds_back()).map(|lane| lane.kind);
        kinds.filter(|kind| !closed.contains(&bucket_of(*kind))).collect()
    }

    /// Whether an earlier process was refused this operation itself.
    pub(super) fn refused_before(&self, operation: OperationId) -> bool {
        self.all.iter().any(|lane| lane.refused_before(operation))
    }

    /// Whether bad machines of a refused bulk call are being looked for.
    pub(super) fn are_searching(&self) -> bool {
        self.all.iter().any(Lane::is_searching)
    }

    /// Operations of such buckets that have no outcome.
    pub(super) fn left(&self, is_meant: impl Fn(Bucket) -> bool) -> u64 {
        self.all.iter().filter(|lane| is_meant(bucket_of(lane.kind))).map(Lane::left).sum()
    }

    /// The calls that such buckets will take, as far as can be told.
    pub(super) fn calls_ahead(&self, is_meant: impl Fn(Bucket) -> bool) -> u64 {
        self.all.iter().filter(|lane| is_meant(bucket_of(lane.kind))).map(Lane::calls_ahead).sum()
    }

    /// The tag calls, single and bulk, as far as can be told.
    pub(super) fn tag_calls_ahead(&self) -> CallsAhead {
        let of_tags = self.all.iter().filter(|lane| bucket_of(lane.kind) == Bucket::Tags).map(Lane::calls_ahead_apart);
        of_tags.fold(CallsAhead::default(), |all, lane| CallsAhead {
            alone: all.alone + lane.alone,
            others: all.others + lane.others,
        })
    }

    /// Buckets of which only a few operations are left, as was not known when this was asked last.
    pub(super) fn new_stragglers(&mut self) -> Vec<Bucket> {
        let are_few = |bucket: &Bucket| (1..=MAXIMUM_STRAGGLERS).contains(&self.left(|other| other == *bucket));
        let mut new: Vec<Bucket> = Bucket::ALL.into_iter().filter(are_few).collect();
        new.retain(|bucket| !self.stragglers.contains(bucket));
        self.stragglers.extend(&new);
        new
    }
}
