//! The rule of ages: how old a call is when the clocks that know it do not agree. Pure, and the same for every engine that
//! keeps the ledger.
//!
//! What the ledger does in SQL stands once more in `ledger_rule`, for tests alone: a simulation of hosts holds the rule.
//!
//! # What is kept
//! Several processes, on hosts of their own, share one ledger and no clock. So each keeps a *position* Λ there, the highest
//! boot time that it has reported of its own clock; it reads that clock **before** it sends an admission, a settlement or a
//! heartbeat, and the ledger keeps the larger (`Position::report`). A call is
//!
//! - *open* from its admission, which is committed before the call leaves;
//! - *ended* at E, which its process reads on its own clock once the whole answer is there, or half a minute later if it
//!   was given up ([`given_up`]). E may be stored much later; until then the call stays open.
//!
//! An ended call of a process counts in a window W while E > Λ − W − margin (`Position::counts_after`), an open one
//! always. One more may start if fewer than C count. All of that is decided under the lock of the account, one admission
//! after the other.
//!
//! # Why no window is ever over quota
//! Take any window of length W at the service, and in it the call X that was admitted last. Let Y be an earlier admission in
//! the ledger that did not count when X was let through: then Y had ended, at E by its process's clock, and that process's
//! position was at least E + W + margin. Position and E are two readings of *one* clock, so between the two moments more
//! than W really passed, and the margin is what that clock may run too fast. Y arrived before E was read, since an answer
//! follows an arrival. The position was read before X was admitted, and X left after that. So X arrived more than W after
//! Y, and Y lies outside the window. Every other call of the window counted, and with X they are at most C.
//!
//! No other clock occurs in this: neither the server's, which steps and which a failover replaces, nor a difference between
//! two of them. A position that is behind makes calls look younger, never older. An admission whose answer is late only
//! moves X to later, and X is open meanwhile; a settlement that is late keeps Y open for longer.
//!
//! # What could break it, and does not
//! - *A process dies.* Its position stands still, so what it ended would count for ever: whoever lives **adopts** it.
//!   whoever adopts takes the position first and reads its own clock r after it; the end becomes
//!   E′ = r − (Λ − E). When r was read the call was at least Λ − E old, so its age on the new clock is never more than its
//!   true one, and it does not matter whether the old process lives after all. Adopting again only makes it younger.
//! - *It dies with calls in flight.* Only when it is known to be dead are they closed, at [`assumed_end`]: they left within
//!   [`SENT_WITHIN`] of their admission, were awaited for their time-out, and nothing holds a request for longer than
//!   [`HELD_ON_THE_WAY`] after that.
//! - *It sleeps between admission and sending.* Then X would leave late, which is harmless, but assumed ends would not
//!   hold: [`may_still_be_sent`] says no, and the admission is struck out.
//! - *A pause after a 429* stands on the clock of whoever was refused, and is adopted by the same rule.
//! - *A clock is slewed.* Λ − E is then too large by what was seen, and the margin grows with it
//!   ([`Margin`](super::window::Margin)); 500 millionths are always added.
//! - *Two containers of one machine* may show one boot id and two boot times. A position belongs to a process, or to
//!   processes that provably read one clock.
//! - *The ledger loses its last commits*, in a failover. Nobody is admitted before every process has been back that was
//!   alive. Whoever finds that commits of his own are gone stores them again before he counts as back: each call with the
//!   start and the end that his clock had shown, and those in flight as open. Then the ledger knows of every call of his, and
//!   what is proved above holds. Whoever cannot, since he does not remember all of them, makes no more calls, and has every
//!   window count as full from the end on that is assumed of a call which left when he heard of that: no call of his is
//!   younger than that. Whoever died meanwhile may have lost some, too, so the same follows. What was admitted by a commit that
//!   is lost left before, or it is not sent, or its process has stored it again as open. Who takes part must not be lost: a
//!   process whose entry is gone has a time in which it comes and says so.
//! - *Nobody is alive* for a while: no clock that stamped a call is read. Whoever comes next knows from the books how old a
//!   call was when its clock was read last. Where a server's clock has seen that, and ours has a time of day, each of them says
//!   how long ago that was; the smaller of the two is believed less five minutes. One that was set, or that another server has
//!   in its place, makes calls look younger, or does nothing, as long as it is not both. Where there is no server, the time of
//!   day alone is believed less fifteen hours.

use std::time::Duration;

use super::window::translated;
use crate::clock::BootTime;

/// An admission may be used for so long; later its moment in the ledger would not be the moment of sending.
pub(crate) const SENT_WITHIN: Duration = Duration::from_secs(5);
/// Nothing on the way to the service is assumed to hold a request longer than this after it was given up.
pub(crate) const HELD_ON_THE_WAY: Duration = Duration::from_secs(30);

/// No call is waited for longer than this.
pub(crate) const LONGEST_TIME_OUT: Duration = Duration::from_mins(2);

/// How far a clock is known to have come: the highest time that was reported of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(BootTime);

impl Position {
    /// The position as the ledger has it.
    pub(crate) const fn new(reported: BootTime) -> Self {
        Self(reported)
    }

    /// What a stamp of this clock is on the asker's, which showed `now` after the position was read.
    pub(crate) const fn on_clock_of_asker(self, stamp: BootTime, now: BootTime) -> BootTime {
        translated(stamp, self.0, now)
    }
}

/// Whether a call may leave now that was admitted then, by the same clock.
pub(crate) fn may_still_be_sent(admitted: BootTime, now: BootTime) -> bool {
    now.since(admitted) < SENT_WITHIN
}

/// When a call ends that is given up now and may still arrive.
pub(crate) fn given_up(now: BootTime) -> BootTime {
    now.plus(HELD_ON_THE_WAY)
}

/// When a call has surely arrived, or never will, that was admitted then and whose process died.
pub(crate) fn assumed_end(admitted: BootTime, time_out: Duration) -> BootTime {
    admitted.plus(SENT_WITHIN).plus(time_out).plus(HELD_ON_THE_WAY)
}

#[cfg(test)]
mod alone;
#[cfg(test)]
mod books;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod ledger_rule;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> BootTime {
        BootTime::from_microseconds(seconds * 1_000_000)
    }

    #[test]
    fn calls_of_the_dead_end_after_all_that_may_have_held_them() {
        assert_eq!(assumed_end(at(10), Duration::from_secs(30)), at(75));
        assert_eq!(given_up(at(10)), at(40));
        assert!(may_still_be_sent(at(10), at(14)) && !may_still_be_sent(at(10), at(15)));
    }
}
