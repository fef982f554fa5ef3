//! What the loop and the dispatcher say to each other: what has happened, and what is to be done about it.
//!
//! What surprises: reading the store is a question, and no action among others. Nothing else is heard until it is answered.

use std::time::Duration;

use jiff::Timestamp;

use super::events::{Event, Progress};
use super::lane::WorkRead;
use super::settings::StopRequest;
use crate::call::{Call, CallEnd, CallId, CallReport};
use crate::clock::BootTime;
use crate::model::Bucket;
use crate::store::{Absence, AddsInDoubt, RemovesWithoutAdds, StoreError, UnknownOperations, WorkItem, WorkKind};

/// When something happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: BootTime,
    pub(super) wall_now: Timestamp,
    /// Whether the service had accepted any write by then.
    pub(super) service_accepted: bool,
    /// The server of the state, if it was away then.
    pub(super) absence: Option<Absence>,
    /// For how long the state's database had not answered by then, if that was long.
    pub(super) state_silent_for: Option<Duration>,
}

impl Moment {
    /// Whether the state is not to be had.
    pub(super) const fn is_without_state(&self) -> bool {
        self.absence.is_some() || self.state_silent_for.is_some()
    }
}

/// Something that has happened.
#[derive(Debug)]
pub(super) enum Input {
    Started,
    /// Somebody wants it to stop.
    StopRequested(StopRequest),
    /// A call tells what it does.
    Reported(CallReport),
    /// A call is over, or its end could not be stored.
    Ended(CallId, Result<CallEnd, StoreError>),
    /// The deadline has come.
    DeadlineCame,
    /// Some time has passed.
    Ticked,
    /// What was asked last is answered, or cannot be.
    Answered(Result<Answer, StoreError>),
}

/// Something to be done.
#[derive(Debug)]
pub(super) enum Action {
    /// An event is shown, with the state of the run at that moment.
    Tell(Event, Box<Progress>),
    /// A call begins, of which there is nothing to be seen before a moment.
    Begin(Box<Call>, Option<BootTime>),
    /// Every call that is not in flight ends.
    Drain,
    /// The same for those of this bucket.
    Close(Bucket),
    /// Whoever makes the calls is to know that this bucket has only a few operations left.
    NoteStragglers(Bucket),
}

/// What is to be known from the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Operations of a kind.
    Work(WorkKind, WorkRead),
    /// The removes of these lanes whose adds did not succeed, after they were left out.
    RemovesWithoutAdds(Vec<WorkKind>, AddsInDoubt),
    /// What was sent and never answered.
    UnknownOperations,
    /// The ends of so many of the latest calls, for each group of buckets that share a quota.
    LatestEnds { groups: &'static [&'static [Bucket]], count: u32 },
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub(super) enum Answer {
    Work(WorkKind, WorkRead, Vec<WorkItem>),
    RemovesWithoutAdds(Vec<(WorkKind, RemovesWithoutAdds)>, AddsInDoubt),
    UnknownOperations(UnknownOperations),
    LatestEnds(Vec<Vec<BootTime>>),
}

/// What comes after the actions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// To wait until something happens.
    Await,
    /// To ask the store.
    Ask(Question),
    /// Nothing: the run is over.
    End,
}

/// What is to be done about an input.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) actions: Vec<Action>,
    pub(super) next: Next,
}
