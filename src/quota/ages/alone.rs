//! The rule of ages where processes come one after the other and nobody is there in between, as with jobs on hosts whose disks
//! vanish: only a server's clock and wall time know how long that was, and one of them may be wrong by anything.

use std::time::Duration;

use super::books::{CALLS, SECOND, TIME_OUT, WINDOW, fullest_window};
use super::ledger_rule::{Adoption, unread_for};
use super::{Position, assumed_end};
use crate::clock::BootTime;
use crate::quota::window::Margin;

/// How many schedules there are.
const SCHEDULES: u64 = 3000;
/// By how much both clocks may be wrong at once: what is believed of them is less by as much.
const DOUBT: i64 = 6 * SECOND;

/// Which clocks are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The one that says less, less the doubt.
    Smaller,
    Neither,
    Server,
    Wall,
    NoDoubt,
}

/// What wall clocks and the server's are off by: one of the two by anything, the other by no more than may be.
struct Clocks {
    server_is_right: bool,
    random: fastrand::Rng,
}

impl Clocks {
    fn offset(&mut self, is_right: bool) -> i64 {
        let most = if is_right { DOUBT / 2 } else { 100 * WINDOW };
        self.random.i64(-most..=most)
    }

    /// The server's, at some moment.
    fn server(&mut self, now: i64) -> i64 {
        now + self.offset(self.server_is_right)
    }

    /// A host's.
    fn wall_offset(&mut self) -> i64 {
        self.offset(!self.server_is_right)
    }
}

/// A call in the books: its end by the clock of whoever has it there, and by the wall time of whoever made it.
#[derive(Clone, Copy)]
struct Entry {
    end: BootTime,
    wall: i64,
}

/// What the last process has left: its calls, how far its clock had come, and when the server had heard that.
struct Left {
    entries: Vec<Entry>,
    position: Position,
    seen_at: i64,
}

/// Calls that arrive while one process after the other does what it can and goes.
fn arrivals(seed: u64, rule: Rule) -> Vec<i64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut clocks = Clocks { server_is_right: random.bool(), random: random.fork() };
    let (mut now, mut arrivals, mut left) = (0, Vec::new(), None);
    for _ in 0..8 {
        now += if random.bool() { random.i64(0..2 * WINDOW) } else { random.i64(0..SECOND) };
        let (origin, wall_offset) = (random.i64(0..1000 * WINDOW), clocks.wall_offset());
        let clock = |now: i64| BootTime::from_microseconds(origin + now);
        let taken_over = |Left { entries, position, seen_at }: Left| {
            let (adoption, by_server) = (Adoption::read_at(position, clock(now)), clocks.server(now) - seen_at);
            let moved = move |entry: Entry| {
                let known = position.on_clock_of_asker(entry.end, BootTime::from_microseconds(0)).as_microseconds();
                let by_wall = now + wall_offset - entry.wall + known;
                let unread = match rule {
                    Rule::Smaller => unread_for(by_server, by_wall, DOUBT),
                    Rule::Neither => Duration::ZERO,
                    Rule::Server => unread_for(by_server, i64::MAX, DOUBT),
                    Rule::Wall => unread_for(i64::MAX, by_wall, DOUBT),
                    Rule::NoDoubt => unread_for(by_server, by_wall, 0),
                };
                Entry { end: adoption.moved_after(entry.end, unread), ..entry }
            };
            entries.into_iter().map(moved).collect::<Vec<_>>()
        };
        let mut entries = left.take().map_or_else(Vec::new, taken_over);
        let (margin, window) = (Margin::for_excess(0), Duration::from_micros(WINDOW.unsigned_abs()));
        for _ in 0..random.usize(0..=2 * CALLS) {
            let counts_after = Position::new(clock(now)).counts_after(window, margin);
            if entries.iter().filter(|entry| entry.end > counts_after).count() < CALLS {
                let arrival = now + random.i64(0..SECOND / 2);
                arrivals.push(arrival);
                // Of a call that was in flight when its process died nobody knows when it has arrived.
                let end =
                    if random.u8(0..10) == 0 { assumed_end(clock(now), TIME_OUT) } else { clock(arrival + SECOND / 5) };
                entries.push(Entry { end, wall: end.as_microseconds() - origin + wall_offset });
            }
            now += random.i64(SECOND / 2..3 * SECOND);
        }
        left = Some(Left { entries, position: Position::new(clock(now)), seen_at: clocks.server(now) });
    }
    arrivals
}

#[test]
fn whoever_comes_when_nobody_was_there_is_never_over_quota_and_gets_what_is_due() {
    let (mut calls, mut calls_of_the_careful) = (0, 0);
    for seed in 0..SCHEDULES {
        let arrived = arrivals(seed, Rule::Smaller);
        calls += arrived.len();
        calls_of_the_careful += arrivals(seed, Rule::Neither).len();
        let fullest = fullest_window(arrived);
        assert!(fullest <= CALLS, "seed {seed}: {fullest} calls in a window of {CALLS}");
    }
    assert!(
        calls > calls_of_the_careful * 11 / 10,
        "{calls} calls, and {calls_of_the_careful} if no clock were believed"
    );
}

#[test]
fn by_one_clock_alone_or_without_a_doubt_it_would_be() {
    for rule in [Rule::Server, Rule::Wall, Rule::NoDoubt] {
        let over = (0..300).filter(|seed| fullest_window(arrivals(*seed, rule)) > CALLS).count();
        assert!(over > 10, "{rule:?}: only {over} of 300 schedules");
    }
}
