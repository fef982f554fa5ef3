//! The window rule among processes whose clocks do not agree: other starts, other rates, deaths, adoption. The ledger here
//! is a list in memory; what is right is judged by true time alone, with no code of the rule. A failure prints its seed.

use std::convert::Infallible;

use super::*;

const CALLS: u32 = 5;
const WINDOW_MICROSECONDS: i64 = 2_000_000;
/// What anything on the way may hold a call for after its process died.
const HELD_MICROSECONDS: i64 = 300_000;
const STEPS: u32 = 150;

/// How ages are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// On the clock that stamped them.
    Timelines,
    /// On the asker's clock, as if there were one for all.
    OneClock,
}

/// A process with a clock of its own: what it shows, and how many millionths it runs too fast.
struct Process {
    origin: i64,
    excess: i64,
    position: BootTime,
    is_alive: bool,
}

impl Process {
    fn clock(&self, true_time: i64) -> BootTime {
        BootTime::from_microseconds(self.origin + true_time + true_time * self.excess / 1_000_000)
    }
}

/// A call in the books: who answers for it, and when it ended by that one's clock.
struct Entry {
    process: usize,
    assumed_end: BootTime,
    end: Option<BootTime>,
}

struct World {
    random: fastrand::Rng,
    form: Form,
    true_time: i64,
    processes: Vec<Process>,
    books: Vec<Entry>,
    /// By true time.
    arrivals: Vec<i64>,
    /// Calls that have left: their entry and when, by true time.
    in_flight: Vec<(usize, i64)>,
}

impl World {
    fn new(seed: u64, form: Form) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let mut world =
            Self { random, form, true_time: 0, processes: vec![], books: vec![], arrivals: vec![], in_flight: vec![] };
        for _ in 0..3 {
            world.start_process();
        }
        world
    }

    fn start_process(&mut self) {
        let origin = self.random.i64(0..4 * WINDOW_MICROSECONDS);
        let mut process = Process {
            origin,
            excess: self.random.i64(-200..=200),
            position: BootTime::from_microseconds(0),
            is_alive: true,
        };
        process.position = process.clock(self.true_time);
        self.processes.push(process);
    }

    fn a_living_process(&mut self) -> Option<usize> {
        let living: Vec<usize> = (0..self.processes.len()).filter(|number| self.processes[*number].is_alive).collect();
        self.random.choice(living)
    }

    /// Reports a process's clock, as each admission, settlement and heartbeat does.
    fn report(&mut self, number: usize) -> BootTime {
        let now = self.processes[number].clock(self.true_time);
        self.processes[number].position = self.processes[number].position.max(now);
        now
    }

    fn admit(&mut self) {
        let Some(number) = self.a_living_process() else { return };
        let now = self.report(number);
        // The answer may take its time; meanwhile the call is in the books as open.
        let quota: Quota =
            format!("{CALLS}/{WINDOW_MICROSECONDS}us").replace("2000000us", "2s").parse().expect("a quota");
        let open = self.books.iter().filter(|entry| entry.end.is_none()).count();
        let mut ends: Vec<BootTime> = self
            .books
            .iter()
            .filter_map(|entry| {
                let end = entry.end?;
                Some(match self.form {
                    Form::Timelines => translated(end, self.processes[entry.process].position, now),
                    Form::OneClock => end,
                })
            })
            .collect();
        ends.sort_unstable_by(|one, other| other.cmp(one));
        let nth = |n: u32| Ok::<_, Infallible>(ends.get(n as usize - 1).copied());
        let decision = decide(now, &quota, u32::try_from(open).expect("few"), Margin::for_excess(0), nth)
            .unwrap_or_else(|never| match never {});
        if decision != Decision::Start {
            return;
        }
        let time_out = Duration::from_millis(500);
        let assumed_end = now.plus(time_out).plus(Duration::from_micros(HELD_MICROSECONDS.unsigned_abs()));
        self.books.push(Entry { process: number, assumed_end, end: None });
        self.in_flight.push((self.books.len() - 1, self.true_time));
    }

    /// An answer comes: the call arrived some time since it left, most likely just now.
    fn settle(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let (entry, left) = self.in_flight.swap_remove(self.random.usize(..self.in_flight.len()));
        let process = self.books[entry].process;
        if !self.processes[process].is_alive {
            return;
        }
        self.arrivals.push(if self.random.bool() { self.true_time } else { self.random.i64(left..=self.true_time) });
        let now = self.report(process);
        self.books[entry].end = Some(now);
    }

    /// A process dies; its calls arrive when they like, until nothing can hold them any more.
    fn kill(&mut self) {
        let Some(number) = self.a_living_process() else { return };
        self.processes[number].is_alive = false;
        let books = &self.books;
        let (lost, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.in_flight).into_iter().partition(|(entry, _)| books[*entry].process == number);
        self.in_flight = others;
        for (_, left) in lost {
            let end = left + 500_000 + HELD_MICROSECONDS * 9 / 10;
            self.arrivals.push(if self.random.bool() { end } else { self.random.i64(left..=end) });
        }
    }

    /// What ended becomes the adopter's, of whomever; what is open only when its process is dead, at its assumed end.
    fn adopt(&mut self) {
        let Some(adopter) = self.a_living_process() else { return };
        let owner = self.random.usize(..self.processes.len());
        if owner == adopter {
            return;
        }
        let position = self.processes[owner].position;
        let now = self.report(adopter);
        let is_dead = !self.processes[owner].is_alive;
        for entry in self.books.iter_mut().filter(|entry| entry.process == owner) {
            let end = if is_dead { entry.end.or(Some(entry.assumed_end)) } else { entry.end };
            let Some(end) = end else { continue };
            entry.end = Some(match self.form {
                Form::Timelines => translated(end, position, now),
                Form::OneClock => end,
            });
            entry.process = adopter;
        }
    }

    fn step(&mut self) {
        self.true_time += match self.random.u8(0..10) {
            0 => self.random.i64(0..WINDOW_MICROSECONDS),
            1..5 => self.random.i64(0..50_000),
            _ => 0,
        };
        match self.random.u8(0..30) {
            0 => self.kill(),
            1 => self.start_process(),
            2..5 => self.adopt(),
            5..14 => self.settle(),
            14..17 => {
                if let Some(number) = self.a_living_process() {
                    let _heartbeat = self.report(number);
                }
            }
            _ => self.admit(),
        }
    }

    /// The most calls that arrived within one window, wherever it began.
    fn fullest_window(mut self) -> usize {
        self.arrivals.sort_unstable();
        let arrivals = &self.arrivals;
        let held = |(index, first): (usize, &i64)| {
            arrivals[index..].iter().take_while(|arrival| **arrival - first <= WINDOW_MICROSECONDS).count()
        };
        arrivals.iter().enumerate().map(held).max().unwrap_or(0)
    }
}

fn fullest_window(seed: u64, form: Form) -> usize {
    let mut world = World::new(seed, form);
    for _ in 0..STEPS {
        world.step();
    }
    world.fullest_window()
}

#[test]
fn whatever_clocks_show_no_window_is_over_quota_while_ages_are_read_where_they_were_stamped() {
    let mut full = 0;
    for seed in 0..4000 {
        let fullest = fullest_window(seed, Form::Timelines);
        assert!(fullest <= CALLS as usize, "seed {seed}: {fullest} calls in a window of {CALLS}");
        full += usize::from(fullest == CALLS as usize);
    }
    assert!(full > 1000, "only {full} schedules filled a window: they show little");
}

#[test]
fn one_clock_for_all_would_be_over_quota() {
    let over = (0..200).filter(|seed| fullest_window(*seed, Form::OneClock) > CALLS as usize).count();
    assert!(over > 20, "only {over} of 200 schedules");
}
