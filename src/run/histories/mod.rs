//! The judge of histories: random histories of commands, with everything that can happen between and during them, against
//! a service in memory that keeps books of its own, under virtual time and with the whole logic of the program.
//!
//! A [`history`] is drawn from a seed ([`drawing`]) and performed ([`performing`]): one state directory, processes that are
//! killed at any commit or at any moment, interrupts, machines that start again, clocks that somebody sets, files that
//! somebody edits, other people's changes, and a [`service`] with every [fault](faults). The [`oracle`] says what must be
//! so after every command; it knows the service's log and what a person is told, and nothing else. What fails is shrunk
//! ([`shrinking`]) and printed ([`printing`]).
//!
//! `TAGFLEET_HISTORIES=10000 cargo test --lib histories` judges more of them, and `TAGFLEET_HISTORY_SEED=7` one alone; both
//! together, so many from that seed on. Histories that once failed are [kept], and end at more moments then.
//! With `TAGFLEET_TEST_STATE=postgresql` each state is a database on a server that goes by the true time; who has died there is
//! known to be dead before the next command begins, and two processes at once are not in the same order each time.
//! Whoever writes a message about a violation should first read in the [`oracle`] what excuses a program.
//!
//! # What it found when it was first run
//! Each of these was true of a program whose simulations inside one run had long been green, and is mended:
//! - After a kill, an edited file was joined: rows said `unchanged` by a list that did not show the first half yet, and
//!   `succeeded` by the outcome of an earlier version of the file.
//! - A run was resumed a day later and nobody looked: what others had changed meanwhile was said to be so.
//! - When somebody set the clock, or the machine had started again, an own write of long ago outdid the list of today.
//! - `{"message": "maintenance"}` under 200 was taken for the success of a whole bulk call; the removes followed.
//! - A 504 that hid a change ended as `failed` or `not_attempted`, and undo left the change behind; so it did with what was
//!   in flight when a process died.
//! - A bulk call that was refused for once with 431 failed all its machines without asking for any of them alone.
//! - One machine with a rule against the change stopped every run with 4, one that made the service fail every run with 5.
//! - Undoing the addition of a tag that was there in another case took it away.
//! - A run whose machines could not be read was resumed, did nothing, and ended with 0.
//! - A remove was left out although the add that it waited for was proven a moment later.
//! - Two processes at one run: a list that was older than the other's write was held against its outcome.
//! - A run that was resumed and interrupted before the list was read said `succeeded` of what a later run of ours had
//!   undone.
//! - An undo left what nobody else had changed where a list lagged behind an earlier run that had looked at nothing.

mod drawing;
mod faults;
mod history;
mod kept;
mod line;
mod oracle;
mod performing;
mod printing;
mod process;
mod rules_file;
mod service;
mod shrinking;
mod telling;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use history::History;
use oracle::{Case, Kind, Violation};
use performing::{Performance, perform};

/// Histories that every test run judges.
const HISTORIES: u64 = 60;
/// Asks for more, or fewer, of them.
const HISTORIES_WANTED: &str = "TAGFLEET_HISTORIES";
/// How long a failing history is shrunk.
const PATIENCE: Duration = Duration::from_secs(20);

/// Performs a history on a runtime of its own, and judges it.
fn judge(history: &History) -> (Performance, Vec<Violation>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let performance = runtime.block_on(perform(history));
    let case = Case { log: &performance.log, told: &performance.told, history };
    let violations = case.violations();
    (performance, violations)
}

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The shortest history that fails as this one does, whole, for a person.
fn explain(history: &History, kind: Kind) -> String {
    let shortest = shrinking::shrink(history, PATIENCE, &mut |candidate| {
        judge(candidate).1.iter().any(|violation| violation.kind == kind)
    });
    let (performance, violations) = judge(&shortest);
    let violations: Vec<String> = violations.iter().map(ToString::to_string).collect();
    format!("{}\n{}", printing::print(&shortest, &performance), violations.join("\n"))
}

/// Judges the histories of these seeds on every core that there is; gives the violations with their seeds.
fn judge_all(seeds: std::ops::Range<u64>) -> Vec<(u64, Violation)> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let (_, violations) = judge(&drawing::draw(seed));
                    let violations = violations.into_iter().map(|violation| (seed, violation));
                    found.lock().expect("nobody panicked").extend(violations);
                }
            });
        }
    });
    let mut found = found.into_inner().expect("nobody panicked");
    found.sort_by_key(|(seed, _)| *seed);
    found
}

#[test]
fn whatever_happens_between_and_during_commands_what_they_say_is_so_and_what_they_do_was_asked() {
    let seeds = match (number_from_environment("TAGFLEET_HISTORY_SEED"), number_from_environment(HISTORIES_WANTED)) {
        (Some(first), count) => first..first + count.unwrap_or(1),
        (None, count) => 0..count.unwrap_or(HISTORIES),
    };
    let mut kinds: BTreeMap<Kind, Vec<(u64, Violation)>> = BTreeMap::new();
    for (seed, violation) in judge_all(seeds) {
        kinds.entry(violation.kind).or_default().push((seed, violation));
    }
    let mut report = String::new();
    for (kind, cases) in &kinds {
        let (seed, violation) = &cases[0];
        let seeds: BTreeSet<u64> = cases.iter().map(|(seed, _)| *seed).collect();
        // Writing into a string cannot fail.
        let _written =
            writeln!(report, "\n{kind:?} in {} histories, with the seeds {seeds:?}: {violation}", seeds.len());
        report.push_str(&explain(&drawing::draw(*seed), *kind));
    }
    assert!(kinds.is_empty(), "{report}");
}
