//! What the ledger does in SQL: which calls count, and how they change over from one clock to another.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Position;
use crate::clock::BootTime;
use crate::quota::window::Margin;

impl Position {
    /// The position once this was reported as well, which was read before it was sent: the larger of the two.
    pub(super) fn report(self, read: BootTime) -> Self {
        Self(self.0.max(read))
    }

    /// Calls of this clock count in a window if they ended after this moment on it.
    pub(super) fn counts_after(self, window: Duration, margin: Margin) -> BootTime {
        let counted = i64::try_from(margin.counted_for(window).as_micros()).unwrap_or(i64::MAX);
        BootTime::from_microseconds(self.0.as_microseconds().saturating_sub(counted))
    }
}

/// Calls and pauses change over from one clock to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Adoption {
    position: Position,
    read: BootTime,
}

impl Adoption {
    /// Adopts what stands on a clock whose position was read before; the adopter's clock showed `read` at some moment after
    /// that.
    pub(super) const fn read_at(position: Position, read: BootTime) -> Self {
        Self { position, read }
    }

    /// What an end, or the end of a pause, is on the adopter's clock: E′ = r − (Λ − E).
    pub(super) const fn moved(self, stamp: BootTime) -> BootTime {
        self.position.on_clock_of_asker(stamp, self.read)
    }

    /// The same of a clock that nobody has read for so long at least.
    pub(super) fn moved_after(self, stamp: BootTime, unread: Duration) -> BootTime {
        let unread = i64::try_from(unread.as_micros()).unwrap_or(i64::MAX);
        BootTime::from_microseconds(self.moved(stamp).as_microseconds().saturating_sub(unread))
    }
}

/// For how long nobody has read a clock at least, where a server's clock and wall time say how long it was, in microseconds:
/// the smaller, less the doubt.
pub(super) fn unread_for(by_server: i64, by_wall: i64, doubt: i64) -> Duration {
    Duration::from_micros(u64::try_from(by_server.min(by_wall) - doubt).unwrap_or(0))
}

/// What a host has seen of the clocks of others: where each stands, and what its own showed when it was first seen there.
#[derive(Default)]
pub(super) struct Sights(BTreeMap<usize, Adoption>);

impl Sights {
    /// Looks at a clock, and says how what stands on it changes over. Another rule would go on counting from the first look.
    pub(super) fn look(&mut self, of: usize, now: Adoption, from_first: bool) -> Adoption {
        let sight = self.0.entry(of).or_insert(now);
        if sight.position != now.position {
            *sight = Adoption { read: if from_first { sight.read } else { now.read }, ..now };
        }
        *sight
    }
}

const fn at(seconds: i64) -> BootTime {
    BootTime::from_microseconds(seconds * 1_000_000)
}

#[test]
fn a_call_counts_by_the_position_of_its_own_clock() {
    let margin = Margin::for_excess(0);
    let position = Position::new(at(100)).report(at(90)).report(at(200));
    assert_eq!(position, Position::new(at(200)));
    // A window of 60 s counts for 60.03 s.
    assert_eq!(position.counts_after(Duration::from_mins(1), margin).as_microseconds(), 139_970_000);
    assert_eq!(position.on_clock_of_asker(at(140), at(5000)), at(4940));
}

#[test]
fn adoption_keeps_an_age_and_adopting_again_makes_nobody_older() {
    let first = Adoption::read_at(Position::new(at(200)), at(5000));
    assert_eq!(first.moved(at(140)), at(4940));
    assert_eq!(first.moved(at(230)), at(5030), "what was given up ends later on every clock");
    // The adopter's own position is at least what it read.
    let second = Adoption::read_at(Position::new(at(5010)), at(70));
    assert_eq!(second.moved(first.moved(at(140))), at(0));
}
