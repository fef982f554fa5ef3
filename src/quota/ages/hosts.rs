//! The rule of ages among hosts: clocks of other starts and rates, answers that are late or lost, deaths, processes that stand
//! still, adoption, and a server whose clock steps and that fails over with lost commits.
//!
//! Everything here is in true time, of which no host knows; the ledger is a list in memory that uses the rule and nothing
//! else. What is right is judged by [`fullest_window`], which sees nothing but when calls arrived at the service. A failure
//! prints its seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use super::ledger_rule::Adoption;
use super::*;
use crate::quota::window::Margin;

const CALLS: usize = 6;
const SECOND: i64 = 1_000_000;
const WINDOW: i64 = 20 * SECOND;
const TIME_OUT: Duration = Duration::from_secs(10);
/// How many schedules there are.
const SCHEDULES: u64 = 2000;
/// How long a schedule lasts.
const LENGTH: i64 = 160 * SECOND;
/// Whoever stood still for so long is taken for dead.
const SILENCE: i64 = 30 * SECOND;

/// By which clock ages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// That which stamped them.
    OwnClocks,
    /// The server's, as one would do it first.
    ServersClock,
    /// The asker's, as if all clocks showed the same.
    AskersClock,
}

/// A call in the ledger.
#[derive(Clone, Copy, Debug)]
struct Entry {
    host: usize,
    admitted: BootTime,
    end: Option<BootTime>,
    /// For the other form.
    ended_by_server: Option<i64>,
}

/// What the server holds, and may lose the last of.
#[derive(Clone, Debug, Default)]
struct Books {
    positions: Vec<Position>,
    entries: BTreeMap<u64, Entry>,
    /// Hosts that were taken for dead.
    fenced: Vec<bool>,
    /// Up to which failover each host has stored its calls again.
    returned: Vec<u32>,
}

/// What a host asks of the ledger, with its clock, read before it asked.
#[derive(Clone, Debug)]
enum Wish {
    Admit(u64),
    Settle(u64, BootTime),
    StrikeOut(u64),
    Beat,
    Adopt { of: usize, adoption: Adoption, is_dead: bool },
    StoreAgain(BTreeMap<u64, Entry>),
}

#[derive(Clone, Debug)]
enum Event {
    WantsCall(usize),
    WantsToBeat(usize),
    WantsToAdopt(usize),
    Asks { host: usize, read: BootTime, connected_to: u32, wish: Wish },
    Admitted { host: usize, call: u64, read: BootTime, connected_to: u32 },
    Answered { host: usize, call: u64, whole: bool },
    Reconnects(usize),
    Trouble,
}

struct Host {
    origin: i64,
    millionths: i64,
    dies_at: i64,
    stands_still: std::ops::Range<i64>,
    /// Its own calls, as far as they may matter.
    calls: BTreeMap<u64, Entry>,
    /// The failover that it knows of, and when it heard of it.
    connected_to: u32,
    connected_at: BootTime,
}

impl Host {
    const fn clock(&self, now: i64) -> BootTime {
        BootTime::from_microseconds(self.origin + now + now * self.millionths / 1_000_000)
    }
}

struct World {
    form: Form,
    /// How many millionths clocks may be slewed, as was noticed.
    slew: u32,
    random: fastrand::Rng,
    now: i64,
    order: u64,
    events: BinaryHeap<Reverse<(i64, u64)>>,
    what: BTreeMap<u64, Event>,
    hosts: Vec<Host>,
    books: Books,
    /// What may be left of the books after a failover.
    backup: Books,
    failovers: u32,
    server_offset: i64,
    next_call: u64,
    arrivals: Vec<i64>,
}

impl World {
    fn new(seed: u64, form: Form) -> Self {
        let mut world = Self {
            form,
            slew: if seed.is_multiple_of(4) { 20_000 } else { 0 },
            random: fastrand::Rng::with_seed(seed),
            now: 0,
            order: 0,
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            hosts: Vec::new(),
            books: Books::default(),
            backup: Books::default(),
            failovers: 0,
            server_offset: 0,
            next_call: 0,
            arrivals: Vec::new(),
        };
        for host in 0..world.random.usize(2..=4) {
            world.add_host(host);
        }
        // Who takes part is known to every standby.
        world.backup = world.books.clone();
        world.after(5 * SECOND..30 * SECOND, Event::Trouble);
        world
    }

    fn add_host(&mut self, host: usize) {
        let begins = self.random.i64(0..LENGTH);
        let lasts = if self.random.u8(0..3) == 0 { self.random.i64(SECOND..3 * SILENCE) } else { 0 };
        let dies_at = if self.random.u8(0..3) == 0 { self.random.i64(0..LENGTH) } else { i64::MAX };
        let new = Host {
            origin: self.random.i64(0..100_000 * SECOND),
            millionths: self.random.i64(-100..=100) + self.random.i64(0..=i64::from(self.slew)),
            dies_at,
            stands_still: begins..begins + lasts,
            calls: BTreeMap::new(),
            connected_to: 0,
            connected_at: BootTime::from_microseconds(0),
        };
        self.books.positions.push(Position::new(new.clock(0)));
        self.books.fenced.push(false);
        self.books.returned.push(0);
        self.hosts.push(new);
        self.after(0..SECOND, Event::WantsCall(host));
        self.after(0..SECOND, Event::WantsToBeat(host));
        self.after(0..10 * SECOND, Event::WantsToAdopt(host));
    }

    fn after(&mut self, span: std::ops::Range<i64>, event: Event) {
        let time = self.now + self.random.i64(span);
        self.order += 1;
        self.events.push(Reverse((time, self.order)));
        self.what.insert(self.order, event);
    }

    /// Asks the ledger. Most questions take a moment, some a while.
    fn ask(&mut self, host: usize, wish: Wish) {
        let read = self.hosts[host].clock(self.now);
        let connected_to = self.hosts[host].connected_to;
        let most = if self.random.u8(0..10) == 0 { 12 * SECOND } else { SECOND / 5 };
        self.after(0..most, Event::Asks { host, read, connected_to, wish });
    }

    fn run(mut self) -> Vec<i64> {
        while let Some(Reverse((time, order))) = self.events.pop() {
            if time > LENGTH {
                break;
            }
            self.now = time;
            let Some(event) = self.what.remove(&order) else { continue };
            self.take(event);
        }
        self.arrivals
    }

    fn take(&mut self, event: Event) {
        let actor = match &event {
            Event::WantsCall(host)
            | Event::WantsToBeat(host)
            | Event::WantsToAdopt(host)
            | Event::Admitted { host, .. }
            | Event::Answered { host, .. }
            | Event::Reconnects(host) => Some(*host),
            Event::Asks { .. } | Event::Trouble => None,
        };
        if let Some(host) = actor {
            let Host { dies_at, stands_still, .. } = &self.hosts[host];
            if self.now >= *dies_at {
                return;
            }
            if stands_still.contains(&self.now) {
                let left = stands_still.end - self.now;
                return self.after(left..left + 1000, event);
            }
        }
        match event {
            Event::WantsCall(host) => {
                self.next_call += 1;
                self.ask(host, Wish::Admit(self.next_call));
                self.after(0..2 * SECOND, Event::WantsCall(host));
            }
            Event::WantsToBeat(host) => {
                self.ask(host, Wish::Beat);
                self.after(SECOND..2 * SECOND, Event::WantsToBeat(host));
            }
            Event::WantsToAdopt(host) => {
                self.adopt(host);
                self.after(0..10 * SECOND, Event::WantsToAdopt(host));
            }
            Event::Asks { host, read, connected_to, wish } if connected_to == self.failovers => {
                self.serve(host, read, wish);
            }
            // The connection was lost with the server.
            Event::Asks { host, .. } => self.after(0..SECOND, Event::Reconnects(host)),
            // Whoever knows of a failover uses no admission from before.
            Event::Admitted { host, connected_to, .. } if connected_to != self.hosts[host].connected_to => {}
            Event::Admitted { host, call, read, .. } => self.send(host, call, read),
            Event::Answered { host, call, whole } => {
                let now = self.hosts[host].clock(self.now);
                let end = if whole { now } else { given_up(now) };
                if let Some(own) = self.hosts[host].calls.get_mut(&call) {
                    own.end = Some(end);
                }
                self.ask(host, Wish::Settle(call, end));
            }
            Event::Reconnects(host) => {
                let now = self.hosts[host].clock(self.now);
                if self.hosts[host].connected_to != self.failovers {
                    (self.hosts[host].connected_to, self.hosts[host].connected_at) = (self.failovers, now);
                }
                let calls = self.hosts[host].calls.clone();
                self.ask(host, Wish::StoreAgain(calls));
            }
            Event::Trouble => {
                self.trouble();
                self.after(5 * SECOND..60 * SECOND, Event::Trouble);
            }
        }
    }

    /// The server's clock steps, or another server takes its place, or a copy of it is brought up to date.
    fn trouble(&mut self) {
        match self.random.u8(0..4) {
            0 => self.server_offset += self.random.i64(-30 * SECOND..30 * SECOND),
            1 => {
                self.failovers += 1;
                self.books = self.backup.clone();
                self.server_offset += self.random.i64(-5 * SECOND..5 * SECOND);
            }
            _ => self.backup = self.books.clone(),
        }
    }

    const fn server_clock(&self) -> i64 {
        self.now + self.server_offset
    }

    fn adopt(&mut self, host: usize) {
        let of = self.random.usize(..self.hosts.len());
        if of == host {
            return;
        }
        let other = &self.hosts[of];
        let stands_still = other.stands_still.contains(&self.now) && self.now - other.stands_still.start > SILENCE;
        let is_dead = self.now >= other.dies_at || stands_still;
        // The position is read before the adopter's clock, and the ledger hears of it later.
        let adoption = Adoption::read_at(self.books.positions[of], self.hosts[host].clock(self.now));
        self.ask(host, Wish::Adopt { of, adoption, is_dead });
    }

    /// A host that was let through sends, if that is recent enough; else it strikes the admission out.
    fn send(&mut self, host: usize, call: u64, read: BootTime) {
        if !may_still_be_sent(read, self.hosts[host].clock(self.now)) {
            return self.ask(host, Wish::StrikeOut(call));
        }
        let own = Entry { host, admitted: read, end: None, ended_by_server: None };
        self.hosts[host].calls.insert(call, own);
        let time_out = i64::try_from(TIME_OUT.as_micros()).expect("short");
        let there = match self.random.u8(0..20) {
            0 => self.random.i64(0..time_out + 28 * SECOND),
            1 | 2 => self.random.i64(0..time_out),
            _ => self.random.i64(0..SECOND / 2),
        };
        self.arrivals.push(self.now + there);
        let answered = there + self.random.i64(0..SECOND / 2);
        let whole = answered < time_out;
        let after = if whole { answered } else { time_out };
        self.after(after..after + 1, Event::Answered { host, call, whole });
    }

    /// What the server does when a question has come.
    fn serve(&mut self, host: usize, read: BootTime, wish: Wish) {
        if self.books.fenced[host] && !matches!(wish, Wish::StoreAgain(_)) {
            return;
        }
        self.books.positions[host] = self.books.positions[host].report(read);
        match wish {
            Wish::Beat => {}
            Wish::Admit(call) => {
                if !self.has_room(host, read) {
                    return;
                }
                let entry = Entry { host, admitted: read, end: None, ended_by_server: None };
                self.books.entries.insert(call, entry);
                if self.random.u8(0..20) == 0 {
                    // The answer is lost: whoever asked strikes the admission out.
                    return self.ask(host, Wish::StrikeOut(call));
                }
                let most = if self.random.u8(0..10) == 0 { 9 * SECOND } else { SECOND / 5 };
                let connected_to = self.failovers;
                self.after(0..most, Event::Admitted { host, call, read, connected_to });
            }
            Wish::Settle(call, end) => {
                let by_server = self.server_clock();
                let own = |entry: &&mut Entry| entry.host == host && entry.end.is_none();
                if let Some(entry) = self.books.entries.get_mut(&call).filter(own) {
                    (entry.end, entry.ended_by_server) = (Some(end), Some(by_server));
                }
            }
            Wish::StrikeOut(call) => {
                if !self.hosts[host].calls.contains_key(&call) {
                    self.books.entries.remove(&call);
                }
            }
            Wish::Adopt { of, adoption, is_dead } => self.take_over(host, of, adoption, is_dead),
            Wish::StoreAgain(calls) => {
                for (call, own) in calls {
                    let by_server = own.end.map(|_| self.server_clock());
                    let entry = self.books.entries.entry(call).or_insert(Entry { ended_by_server: by_server, ..own });
                    if entry.host == host && entry.end.is_none() {
                        (entry.end, entry.ended_by_server) = (own.end, by_server);
                    }
                }
                self.books.returned[host] = self.failovers;
            }
        }
    }

    /// What has ended becomes the adopter's; what is open only if its host is dead, which is not heard any more then.
    fn take_over(&mut self, host: usize, of: usize, adoption: Adoption, is_dead: bool) {
        self.books.fenced[of] |= is_dead;
        let by_server = self.server_clock();
        for entry in self.books.entries.values_mut().filter(|entry| entry.host == of) {
            if entry.end.is_none() && is_dead {
                let held = assumed_end(entry.admitted, TIME_OUT);
                let left = held.as_microseconds() - entry.admitted.as_microseconds();
                (entry.end, entry.ended_by_server) = (Some(held), Some(by_server + left));
            }
            if let Some(end) = entry.end {
                let moved = if self.form == Form::AskersClock { end } else { adoption.moved(end) };
                (entry.host, entry.end) = (host, Some(moved));
            }
        }
    }

    /// Whether one more call may start, by the rule.
    fn has_room(&self, host: usize, read: BootTime) -> bool {
        let margin = Margin::for_excess(self.slew);
        let window = Duration::from_micros(WINDOW.unsigned_abs());
        let lost_count_until = lost_calls_end(self.hosts[host].connected_at, TIME_OUT).plus(margin.counted_for(window));
        let has_returned = |other: usize| self.books.returned[other] == self.failovers;
        let are_known = (0..self.hosts.len())
            .all(|other| has_returned(other) || (other != host && self.books.fenced[other] && read > lost_count_until));
        if !are_known {
            return false;
        }
        let counts_after = |position: Position| position.counts_after(window, margin);
        let by_host: Vec<BootTime> = self.books.positions.iter().copied().map(counts_after).collect();
        let by_server = counts_after(Position::new(BootTime::from_microseconds(self.server_clock())));
        let by_asker = counts_after(Position::new(read));
        let counting = self.books.entries.values().filter(|entry| match (entry.end, self.form) {
            (None, _) => true,
            (Some(end), Form::OwnClocks) => end > by_host[entry.host],
            (Some(_), Form::ServersClock) => entry.ended_by_server.is_some_and(|end| end > by_server.as_microseconds()),
            (Some(end), Form::AskersClock) => end > by_asker,
        });
        counting.count() < CALLS
    }
}

/// The most calls that arrived within one window, wherever it began.
fn fullest_window(mut arrivals: Vec<i64>) -> usize {
    arrivals.sort_unstable();
    let held = |(index, first): (usize, &i64)| {
        arrivals[index..].iter().take_while(|arrival| **arrival - first <= WINDOW).count()
    };
    arrivals.iter().enumerate().map(held).max().unwrap_or(0)
}

#[test]
fn no_window_is_over_quota_whatever_happens_to_hosts_and_server() {
    let (mut full, mut calls) = (0, 0);
    for seed in 0..SCHEDULES {
        let arrivals = World::new(seed, Form::OwnClocks).run();
        calls += arrivals.len();
        let fullest = fullest_window(arrivals);
        assert!(fullest <= CALLS, "seed {seed}: {fullest} calls in a window of {CALLS}");
        full += usize::from(fullest == CALLS);
    }
    assert!(full > 800 && calls > 30_000, "{full} schedules filled a window, with {calls} calls: they show little");
}

#[test]
fn by_the_servers_clock_windows_would_be_over_quota() {
    let over = schedules_over_quota(Form::ServersClock);
    assert!(over > 20, "only {over} of 200 schedules");
}

#[test]
fn by_the_askers_clock_windows_would_be_over_quota() {
    let over = schedules_over_quota(Form::AskersClock);
    assert!(over > 20, "only {over} of 200 schedules");
}

fn schedules_over_quota(form: Form) -> usize {
    (0..200).filter(|seed| fullest_window(World::new(*seed, form).run()) > CALLS).count()
}
