//! Makes a history that fails as short as it can be: whatever can be left out without it failing in the same way is.

use std::time::{Duration, Instant};

use super::history::{Command, Fate, History, Nature, Options, Reference, Row, Step, Weather};
use super::rules_file::{Condition, Rule, RulesFile};
use crate::sandbox::DeadNaming;

/// The shortest history found that still fails, by `fails`, within a time that a person waits.
pub(super) fn shrink(history: &History, patience: Duration, fails: &mut dyn FnMut(&History) -> bool) -> History {
    let until = Instant::now() + patience;
    let mut best = history.clone();
    loop {
        let mut is_shorter = false;
        let mut place = 0;
        // The list of candidates changes with each that is taken, so it is made again, and continued from the same place.
        while let Some(candidate) = candidates(&best).into_iter().nth(place) {
            if Instant::now() > until {
                return best;
            }
            if fails(&candidate) {
                best = candidate;
                is_shorter = true;
            } else {
                place += 1;
            }
        }
        if !is_shorter {
            return best;
        }
    }
}

/// Histories that are a little simpler, the most promising first.
fn candidates(history: &History) -> Vec<History> {
    let mut candidates = Vec::new();
    let count = history.steps.len();
    for length in [count / 2, count / 4, 1] {
        for first in (0..count).step_by(length.max(1)).filter(|_| length > 0) {
            let mut shorter = history.clone();
            shorter.steps.drain(first..(first + length).min(count));
            candidates.push(shorter);
        }
    }
    for (place, step) in history.steps.iter().enumerate() {
        let simpler = simpler_steps(step);
        candidates.extend(simpler.into_iter().map(|simpler| {
            let mut candidate = history.clone();
            candidate.steps[place] = simpler;
            candidate
        }));
    }
    candidates.extend(simpler_worlds(history));
    candidates
}

fn simpler_steps(step: &Step) -> Vec<Step> {
    let mut simpler = match step {
        Step::Together(first, second, _) => vec![Step::Command(first.clone()), Step::Command(second.clone())],
        Step::Write { file, rows } => {
            simpler_rows(rows).into_iter().map(|rows| Step::Write { file: *file, rows }).collect()
        }
        Step::Declare { file, rules } => {
            simpler_rules(rules).into_iter().map(|rules| Step::Declare { file: *file, rules }).collect()
        }
        Step::Wait(wait) => {
            let plain = [Duration::from_mins(1), Duration::from_mins(20)].into_iter();
            plain.filter(|plain| plain != wait).take(1).map(Step::Wait).collect()
        }
        _ => Vec::new(),
    };
    for (number, command) in step.commands().into_iter().enumerate() {
        simpler.extend(simpler_commands(command).into_iter().map(|command| {
            let mut step = step.clone();
            *step.commands_mut()[number] = command;
            step
        }));
    }
    simpler
}

fn simpler_rules(file: &RulesFile) -> Vec<RulesFile> {
    let mut simpler = Vec::new();
    if file.scope.is_some() {
        simpler.push(RulesFile { scope: None, ..file.clone() });
    }
    for (place, rule) in file.rules.iter().enumerate() {
        let mut fewer = file.clone();
        fewer.rules.remove(place);
        simpler.push(fewer);
        let plainer = [
            Rule { condition: Condition::Always, ..rule.clone() },
            Rule { is_one_of: false, ..rule.clone() },
            Rule { only_reports: false, ..rule.clone() },
            Rule { value: rule.value.filter(|_| rule.tag.is_none()), ..rule.clone() },
        ];
        simpler.extend(plainer.into_iter().filter(|plainer| plainer != rule).map(|plainer| {
            let mut file = file.clone();
            file.rules[place] = plainer;
            file
        }));
    }
    for place in 0..file.own.len() {
        let mut fewer = file.clone();
        let own = fewer.own.remove(place);
        let is_given = file.rules.iter().any(|rule| rule.tag == Some(own.tag));
        simpler.extend((!is_given).then_some(fewer));
    }
    simpler
}

fn simpler_rows(rows: &[Row]) -> Vec<Vec<Row>> {
    let without = |place: usize| {
        let mut fewer = rows.to_vec();
        fewer.remove(place);
        fewer
    };
    let mut simpler: Vec<Vec<Row>> = (0..rows.len()).map(without).collect();
    for (place, row) in rows.iter().enumerate() {
        let mut with = |row: Row| {
            let mut plainer = rows.to_vec();
            plainer[place] = row;
            simpler.push(plainer);
        };
        if row.reference != Reference::Id {
            with(Row { reference: Reference::Id, ..row.clone() });
        }
        if let [_, _] = row.wishes.as_slice() {
            row.wishes.iter().for_each(|wish| with(Row { wishes: vec![wish.clone()], ..row.clone() }));
        }
    }
    simpler
}

fn simpler_commands(command: &Command) -> Vec<Command> {
    let mut simpler = Vec::new();
    if command.fate != Fate::Undisturbed {
        simpler.push(Command { fate: Fate::Undisturbed, ..command.clone() });
    }
    if !command.weather.is_fair() {
        simpler.push(Command { weather: Weather::default(), ..command.clone() });
        for place in 0..command.weather.faults.len() {
            let mut fewer = command.clone();
            fewer.weather.faults.remove(place);
            simpler.push(fewer);
        }
        if !command.weather.outages.is_empty() && !command.weather.faults.is_empty() {
            let mut fewer = command.clone();
            fewer.weather.outages.clear();
            simpler.push(fewer);
        }
    }
    for place in 0..command.meanwhile.len() {
        let mut fewer = command.clone();
        fewer.meanwhile.remove(place);
        simpler.push(fewer);
    }
    let options = &command.options;
    let plainer = [
        Options { fresh: false, ..options.clone() },
        Options { limit: None, ..options.clone() },
        Options { unlisted_fail: false, ..options.clone() },
        Options { no_bulk: false, ..options.clone() },
        Options { no_inventory: false, ..options.clone() },
        Options { max_changes: None, ..options.clone() },
        Options { deadline: None, ..options.clone() },
        Options { lock_wait: None, ..options.clone() },
        Options { answered_after: None, ..options.clone() },
        Options { choice: None, ..options.clone() },
        Options { guard_removals: None, ..options.clone() },
        Options { guard_changes: None, ..options.clone() },
    ];
    let plainer = plainer.into_iter().filter(|plainer| plainer != options);
    simpler.extend(plainer.map(|options| Command { options, ..command.clone() }));
    simpler
}

/// The same steps in a tenant, and with a service, of fewer peculiarities.
fn simpler_worlds(history: &History) -> Vec<History> {
    let mut simpler = Vec::new();
    let habits = &history.habits;
    let mut with = |change: &dyn Fn(&mut History)| {
        let mut candidate = history.clone();
        change(&mut candidate);
        simpler.push(candidate);
    };
    if habits.list_lag > Duration::ZERO {
        with(&|history| history.habits.list_lag = Duration::ZERO);
    }
    if habits.latency > Duration::ZERO {
        with(&|history| history.habits.latency = Duration::ZERO);
    }
    if habits.page_machines < 100 {
        with(&|history| history.habits.page_machines = 100);
    }
    if habits.batch_limit < 500 {
        with(&|history| history.habits.batch_limit = 500);
    }
    if habits.naming != DeadNaming::All {
        with(&|history| history.habits.naming = DeadNaming::All);
    }
    if habits.forbids_bulk {
        with(&|history| history.habits.forbids_bulk = false);
    }
    if habits.finds_out_scope {
        with(&|history| history.habits.finds_out_scope = false);
    }
    if habits.counts_bulk_apart {
        with(&|history| history.habits.counts_bulk_apart = false);
    }
    if habits.quota != "100/1m,1500/1h" {
        with(&|history| history.habits.quota = "100/1m,1500/1h");
    }
    for (number, machine) in history.machines.iter().enumerate() {
        if machine.nature != Nature::Well {
            with(&|history| history.machines[number].nature = Nature::Well);
        }
        if !machine.is_listed {
            with(&|history| history.machines[number].is_listed = true);
        }
        if !machine.tags.is_empty() {
            with(&|history| history.machines[number].tags.clear());
        }
    }
    if history.machines.len() > 1 {
        with(&|history| drop_last_machine(history));
    }
    simpler
}

/// Leaves out the last machine, with whatever is about it.
fn drop_last_machine(history: &mut History) {
    history.machines.pop();
    let count = history.machines.len();
    let is_about = |step: &Step| matches!(step, Step::Others(machine, _) | Step::List(machine, _) if *machine >= count);
    history.steps.retain(|step| !is_about(step));
    for step in &mut history.steps {
        if let Step::Write { rows, .. } = step {
            rows.retain(|row| row.machine < count);
        }
        for command in step.commands_mut() {
            command.meanwhile.retain(|(_, step)| !is_about(step));
        }
    }
}
