//! How long a run waits for others, and what is said of that.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::clock::{BootTime, SharedClock};
use crate::report::describe_holders;
use crate::store::Holder;
use crate::words::{clock_time, describe_duration};

/// How long to wait for runs that are in the way.
pub(super) struct LockWait {
    /// How long; `None` is not at all.
    pub(super) most: Option<Duration>,
    /// No longer than this in any case.
    pub(super) deadline: Option<BootTime>,
    pub(super) clock: SharedClock,
}

impl LockWait {
    /// Until when, from now on.
    pub(super) fn end(&self) -> Option<BootTime> {
        let end = self.clock.boot_time().plus(self.most?);
        Some(self.deadline.map_or(end, |deadline| deadline.min(end)))
    }

    /// What is said of a wait until then.
    pub(super) fn text(&self, end: BootTime, holders: &[Holder]) -> String {
        let (now, left) = (self.clock.wall_time(), end.since(self.clock.boot_time()));
        // What has passed since the wait began is no reason to round down.
        let left = u64::try_from(left.as_millis().div_ceil(1000)).map_or(left, Duration::from_secs);
        let until = now.checked_add(left).map(|until| clock_time(until, now, &TimeZone::system()));
        format!(
            "Waiting until {} ({} at most) for what is in the way: {}",
            until.unwrap_or_else(|_beyond_the_calendar| "it is over".to_owned()),
            describe_duration(left),
            describe_holders(holders, now),
        )
    }
}
