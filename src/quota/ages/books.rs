//! The books that a server keeps, as a simulation of hosts has them: who may call, by today's rule or by one that is weaker.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ledger_rule::Adoption;
use super::*;
use crate::quota::window::Margin;

pub(super) const CALLS: usize = 6;
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const WINDOW: i64 = 20 * SECOND;
pub(super) const TIME_OUT: Duration = Duration::from_secs(10);
/// Whoever lives asks the server that has taken over within this time: a question to the old one, a pause, one to the new one.
const TIME_TO_COME_BACK: i64 = 14 * SECOND;

/// Which rule is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Today's: ages by the clocks that stamped them; after a takeover, whoever lives stores again what is missing of his, and
    /// what nobody can store again fills the quota for everybody.
    Todays,
    /// Ages by the server's clock, as one would do it first.
    ServersClock,
    /// Ages by the asker's clock, as if all clocks showed the same.
    AskersClock,
    /// A clock that was reported of again counts as if it had stood there since it was seen first.
    FirstSight,
    /// Whoever comes first after a takeover calls.
    NobodyIsWaitedFor,
    /// Nobody is waited for whose beginning may be lost.
    NoTimeToComeBack,
    /// Whoever lacks commits makes no more calls, and says nothing.
    LossIsKept,
    /// Whoever lacks commits goes on with what is there.
    LossIsForgotten,
    /// Whoever lacks commits stores his calls again, and not those that were in flight.
    FlightsAreForgotten,
    /// Whoever has died before he was back is thought to have lost nothing.
    DeadLackNothing,
    /// Where the server that takes over knows of nobody at work, nobody was.
    NobodyKnowsBest,
    /// Whoever had died before another server took over is thought to have stored everything, also where one took over before
    /// that and he was waited for.
    DeadAreWaitedForOnce,
}

/// What a process has done, and can do again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Admitted(u64, BootTime),
    Settled(u64, BootTime),
    StruckOut(u64),
}

impl Deed {
    const fn is_of(self, call: u64) -> bool {
        matches!(self, Self::Admitted(of, _) | Self::Settled(of, _) | Self::StruckOut(of) if of == call)
    }
}

/// A call in the ledger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) host: usize,
    pub(super) admitted: BootTime,
    pub(super) end: Option<BootTime>,
    /// For another rule.
    pub(super) ended_by_server: Option<i64>,
}

/// A process in the books.
#[derive(Clone, Copy, Debug)]
struct Process {
    position: Position,
    /// It was taken for dead.
    is_fenced: bool,
    /// The reign in which it was back last, or was known to lack nothing.
    reign: u32,
    /// The count of its last commit.
    last_commit: i64,
}

/// What a transaction knows of its surroundings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// How many servers have taken over.
    pub(super) reign: u32,
    pub(super) now: i64,
    pub(super) server_clock: i64,
}

/// What the server holds, and may lose the last of.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    processes: BTreeMap<usize, Process>,
    pub(super) entries: BTreeMap<u64, Entry>,
    commits: i64,
    reign: u32,
    /// When the last takeover was seen, while others are waited for.
    seen_at: Option<i64>,
    /// By whose clock all windows were full, and until when.
    unknown: Option<(usize, BootTime)>,
}

impl Books {
    /// Books in which one process has been and ended.
    pub(super) fn used() -> Self {
        let ended = Process {
            position: Position::new(BootTime::from_microseconds(0)),
            is_fenced: true,
            reign: 0,
            last_commit: 1,
        };
        Self { processes: [(usize::MAX, ended)].into(), commits: 1, ..Self::default() }
    }

    /// Notes a process that begins.
    pub(super) fn enter(&mut self, host: usize, read: BootTime, rule: Rule, at: Moment) -> i64 {
        self.see_takeover(rule, at);
        let last_commit = self.count();
        let new = Process { position: Position::new(read), is_fenced: false, reign: self.reign, last_commit };
        self.processes.insert(host, new);
        last_commit
    }

    /// Begins what a process asks for that knows of so many commits; `None` where commits of its own are missing.
    pub(super) fn begin(&mut self, host: usize, read: BootTime, known: i64, rule: Rule, at: Moment) -> Option<i64> {
        self.see_takeover(rule, at);
        let count = self.count();
        let process = self.processes.get_mut(&host);
        let is_whole = process.as_ref().is_some_and(|process| process.last_commit >= known) && count > known;
        match process {
            Some(process) if is_whole => {
                process.position = process.position.report(read);
                (process.reign, process.last_commit) = (self.reign, count);
                return Some(count);
            }
            Some(process) => process.reign = self.reign,
            None => {}
        }
        if rule != Rule::LossIsKept {
            let process = self.processes.entry(host);
            let reign = self.reign;
            // It has a clock of its own in the books from now on, and asks for nothing any more.
            process.or_insert(Process { position: Position::new(read), is_fenced: true, reign, last_commit: count });
            self.commits = self.commits.max(known);
            self.unknown = Some((host, assumed_end(read, TIME_OUT)));
        }
        if let Some(process) = self.processes.get_mut(&host) {
            process.position = process.position.report(read);
        }
        None
    }

    /// Stores again what is missing of a process that knows of so many commits, if anything is; says how many it knows of then.
    /// What it has not heard of and is not there has not come about.
    pub(super) fn restore(
        &mut self,
        host: usize,
        known: i64,
        deeds: &mut Vec<(i64, Deed)>,
        rule: Rule,
        at: Moment,
    ) -> i64 {
        self.see_takeover(rule, at);
        let Some(process) = self.processes.get_mut(&host).filter(|process| !process.is_fenced) else { return known };
        let last = process.last_commit;
        if last >= known {
            deeds.retain(|(of, _)| *of <= last);
            return last;
        }
        deeds.retain(|(of, _)| *of <= known);
        self.commits = self.commits.max(known) + 1;
        (process.last_commit, process.reign) = (self.commits, self.reign);
        for (of, deed) in deeds.iter_mut().filter(|(of, _)| *of > last && rule != Rule::LossIsForgotten) {
            *of = self.commits;
            match *deed {
                Deed::Admitted(call, admitted) => {
                    self.entries.entry(call).or_insert(Entry { host, admitted, end: None, ended_by_server: None });
                }
                Deed::Settled(call, end) => {
                    self.entries.get_mut(&call).into_iter().for_each(|entry| entry.end = Some(end));
                }
                Deed::StruckOut(call) => drop(self.entries.remove(&call)),
            }
        }
        if rule == Rule::FlightsAreForgotten {
            let of_the_lost = |call: &u64| deeds.iter().any(|(of, deed)| *of == self.commits && deed.is_of(*call));
            self.entries.retain(|call, entry| entry.end.is_some() || !of_the_lost(call));
        }
        self.commits
    }

    const fn count(&mut self) -> i64 {
        self.commits += 1;
        self.commits
    }

    fn see_takeover(&mut self, rule: Rule, at: Moment) {
        if self.reign != at.reign {
            let before = std::mem::replace(&mut self.reign, at.reign);
            self.seen_at = Some(at.now);
            // Whoever has ended had stored all that was his, unless nobody is left who would know, or he was waited for before.
            if rule == Rule::NobodyKnowsBest || self.has_living() {
                let is_whole =
                    |it: &&mut Process| it.is_fenced && (it.reign == before || rule == Rule::DeadAreWaitedForOnce);
                self.processes.values_mut().filter(is_whole).for_each(|process| process.reign = at.reign);
            }
        }
    }

    pub(super) fn has_living(&self) -> bool {
        self.processes.values().any(|process| !process.is_fenced)
    }

    pub(super) fn is_fenced(&self, host: usize) -> bool {
        self.processes.get(&host).is_none_or(|process| process.is_fenced)
    }

    pub(super) fn position(&self, host: usize) -> Option<Position> {
        self.processes.get(&host).map(|process| process.position)
    }

    /// What has ended becomes the adopter's; what is open only if its host is dead, which is not heard any more then.
    pub(super) fn take_over(
        &mut self,
        by: usize,
        of: usize,
        adoption: Adoption,
        is_dead: bool,
        rule: Rule,
        at: Moment,
    ) {
        let Some(process) = self.processes.get_mut(&of) else { return };
        process.is_fenced |= is_dead;
        let moved = |end| if rule == Rule::AskersClock { end } else { adoption.moved(end) };
        for entry in self.entries.values_mut().filter(|entry| entry.host == of) {
            if entry.end.is_none() && is_dead {
                let held = assumed_end(entry.admitted, TIME_OUT);
                let left = held.as_microseconds() - entry.admitted.as_microseconds();
                (entry.end, entry.ended_by_server) = (Some(held), Some(at.server_clock + left));
            }
            if let Some(end) = entry.end {
                (entry.host, entry.end) = (by, Some(moved(end)));
            }
        }
        self.unknown = self.unknown.map(|(host, until)| if host == of { (by, moved(until)) } else { (host, until) });
    }

    /// Whether everybody has been back, or cannot come any more.
    fn all_are_back(&mut self, host: usize, read: BootTime, rule: Rule, at: Moment) -> bool {
        let Some(seen_at) = self.seen_at.filter(|_| rule != Rule::NobodyIsWaitedFor) else { return true };
        let reign = self.reign;
        let missing = |is_fenced: bool| {
            self.processes.values().any(|process| process.reign != reign && process.is_fenced == is_fenced)
        };
        let is_early = at.now - seen_at < TIME_TO_COME_BACK && rule != Rule::NoTimeToComeBack;
        if is_early || missing(false) {
            return false;
        }
        if missing(true) && rule != Rule::DeadLackNothing {
            self.unknown = Some((host, assumed_end(read, TIME_OUT)));
        }
        self.processes.values_mut().for_each(|process| process.reign = reign);
        self.seen_at = None;
        true
    }

    /// Whether one more call may start.
    pub(super) fn has_room(&mut self, host: usize, read: BootTime, slew: u32, rule: Rule, at: Moment) -> bool {
        if !self.all_are_back(host, read, rule, at) {
            return false;
        }
        let (margin, window) = (Margin::for_excess(slew), Duration::from_micros(WINDOW.unsigned_abs()));
        let counts_after = |position: Position| position.counts_after(window, margin);
        let counts = |host: &usize, end: BootTime| {
            self.processes.get(host).is_none_or(|process| end > counts_after(process.position))
        };
        if self.unknown.is_some_and(|(of, until)| counts(&of, until)) {
            return false;
        }
        let by_server = counts_after(Position::new(BootTime::from_microseconds(at.server_clock))).as_microseconds();
        let by_asker = counts_after(Position::new(read));
        let counting = self.entries.values().filter(|entry| match (entry.end, rule) {
            (None, _) => true,
            (Some(_), Rule::ServersClock) => entry.ended_by_server.is_some_and(|end| end > by_server),
            (Some(end), Rule::AskersClock) => end > by_asker,
            (Some(end), _) => counts(&entry.host, end),
        });
        counting.count() < CALLS
    }
}

/// The most calls that arrived within one window, wherever it began.
pub(super) fn fullest_window(mut arrivals: Vec<i64>) -> usize {
    arrivals.sort_unstable();
    let held = |(index, first): (usize, &i64)| {
        arrivals[index..].iter().take_while(|arrival| **arrival - first <= WINDOW).count()
    };
    arrivals.iter().enumerate().map(held).max().unwrap_or(0)
}
