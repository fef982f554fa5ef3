//! A history as a person reads it: the tenant, each step, what every command told, and what the service saw.

use std::fmt::Write as _;

use super::history::{Bound, Choice, Command, Deed, Fate, History, Nature, Options, Order, Retag, Row, Step};
use super::performing::Performance;
use super::telling::{End, Told};
use super::truth::{Asked, Event, Moment};

/// The history, and how it went.
pub(super) fn print(history: &History, performance: &Performance) -> String {
    let mut text = tenant(history);
    for (number, step) in (1..).zip(&history.steps) {
        line(&mut text, &format!("{number:2}. {}", describe(step)));
        for command in step.commands() {
            if let Some(told) = performance.told.iter().find(|told| told.label == command.label) {
                line(&mut text, &end(told));
                text.push_str(&rows(told));
                text.push_str(&events(performance, told));
            }
        }
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing into a string cannot fail.
    let _written = writeln!(text, "{line}");
}

fn tenant(history: &History) -> String {
    let habits = &history.habits;
    let mut text = format!(
        "history of seed {}; service: quota {}, list up to {:?} behind, pages of {}, bulk of {}, names {:?}{}{}{}{}, latency {:?}\n",
        history.seed,
        habits.quota,
        habits.list_lag,
        habits.page_machines,
        habits.batch_limit,
        habits.naming,
        if habits.tells_case_apart { ", tells case apart" } else { "" },
        if habits.forbids_bulk { ", forbids bulk" } else { "" },
        if habits.counts_bulk_apart { ", counts bulk apart" } else { "" },
        if habits.finds_out_scope { ", --quota-scope auto" } else { "" },
        habits.latency,
    );
    for (number, machine) in history.machines.iter().enumerate() {
        let nature = if machine.nature == Nature::Well { String::new() } else { format!(", {:?}", machine.nature) };
        let listed = if machine.is_listed { "" } else { ", not listed" };
        line(&mut text, &format!("m{number}: {:?} {}{nature}{listed}", machine.tags, machine.value));
    }
    text
}

fn describe(step: &Step) -> String {
    match step {
        Step::Write { file, rows } => {
            let rows: Vec<String> = rows.iter().map(describe_row).collect();
            format!("file{file}.csv: {}", rows.join("; "))
        }
        Step::Declare { file, rules } => {
            format!("rules{file}.toml:\n        {}", rules.text().trim_end().replace('\n', "\n        "))
        }
        Step::Command(command) => describe_command(command),
        Step::Together(first, second, after) => {
            format!("{}\n    and after {after:?} {}", describe_command(first), describe_command(second))
        }
        Step::Wait(duration) => format!("{duration:?} pass"),
        Step::Restart => "the machine starts again".into(),
        Step::SetClock { seconds } => format!("somebody sets the clock {seconds} s off"),
        Step::Others(machine, wish) => format!("others: {wish} on m{machine}"),
        Step::List(machine, true) => format!("the list shows m{machine} again"),
        Step::List(machine, false) => format!("the list shows m{machine} no more"),
    }
}

fn describe_row(row: &Row) -> String {
    let wishes: Vec<String> = row.wishes.iter().map(ToString::to_string).collect();
    format!("{} m{}", if wishes.is_empty() { "nonsense".into() } else { wishes.join(" and ") }, row.machine)
}

fn describe_command(command: &Command) -> String {
    let deed = match command.deed {
        Deed::Apply(file) => format!("apply file{file}.csv"),
        Deed::Plan(file) => format!("plan file{file}.csv"),
        Deed::Verify(file) => format!("verify file{file}.csv"),
        Deed::ApplyRules(file) => format!("apply rules{file}.toml"),
        Deed::VerifyRules(file) => format!("verify rules{file}.toml"),
        Deed::Resume(label) => format!("resume [{label}]"),
        Deed::Undo(label) => format!("undo [{label}]"),
        Deed::Retag(Retag { old, new: Some(new) }) => format!("tags rename {old} {new}"),
        Deed::Retag(Retag { old, new: None }) => format!("tags remove {old}"),
        Deed::Order(Order { file, .. }) => {
            let input = file.map_or("@tenant".to_owned(), |file| format!("file{file}.csv"));
            let wishes = command.deed.orders().unwrap_or_default();
            format!("apply {input} to {}", wishes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))
        }
    };
    let mut text = format!("[{}] {deed}{}", command.label, options(&command.options));
    if command.fate != Fate::Undisturbed {
        let _written = write!(text, ", {:?}", command.fate);
    }
    for (fault, thousandths) in &command.weather.faults {
        let _written = write!(text, ", {fault:?} {}%", f64::from(*thousandths) / 10.0);
    }
    for outage in &command.weather.outages {
        let _written = write!(text, ", {:?} from {:?} to {:?}", outage.fault, outage.from, outage.to);
    }
    for (after, step) in &command.meanwhile {
        let _written = write!(text, ", after {after:?} {}", describe(step));
    }
    text
}

fn options(options: &Options) -> String {
    let mut text = String::new();
    let mut flag = |is_set: bool, name: &str| {
        if is_set {
            let _written = write!(text, " {name}");
        }
    };
    flag(options.fresh, "--fresh");
    flag(options.unlisted_fail, "--unlisted fail");
    flag(options.no_bulk, "--no-bulk");
    flag(options.no_inventory, "--no-inventory");
    flag(options.skip_invalid, "--skip-invalid");
    let mut value = |value: Option<String>, name: &str| {
        if let Some(value) = value {
            let _written = write!(text, " {name} {value}");
        }
    };
    let share = |bound: Bound| format!("{}%,{}", bound.percent, bound.count);
    value(options.choice.map(Choice::text), "--where");
    value(options.guard_removals.map(share), "--guard-removals");
    value(options.guard_changes.map(share), "--guard-changes");
    value(options.limit.map(|limit| limit.to_string()), "--limit");
    value(options.max_changes.map(|most| most.to_string()), "--max-changes");
    value(options.deadline.map(|after| format!("{after:?}")), "--deadline");
    value(options.lock_wait.map(|wait| format!("{wait:?}")), "--lock-wait");
    value(options.answered_after.map(|after| format!("{after:?}")), "(asks; yes after)");
    text
}

fn end(told: &Told) -> String {
    let end = match &told.end {
        End::Exited(status) => format!("exit {status}"),
        other => format!("{other:?}"),
    };
    let words: Vec<&str> = told.text.lines().rev().take(2).collect();
    let words: Vec<&str> = words.into_iter().rev().collect();
    let run = told.run.as_deref().unwrap_or("-");
    format!("    -> {end}, run {run}, {:?} to {:?}: {}", told.began_at, told.ended_at, words.join(" / "))
}

fn rows(told: &Told) -> String {
    let mut text = String::new();
    for row in told.results.iter().flatten() {
        let wishes: Vec<String> = row.wishes.iter().map(ToString::to_string).collect();
        let machine = row.machine.map_or("?".into(), |machine| format!("m{machine}"));
        let facts = [row.http_status.as_str(), row.code.as_str(), row.before.as_str(), row.after.as_str()];
        let facts: Vec<&str> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
        line(
            &mut text,
            &format!(
                "       row {}: {} {machine}: {} {}",
                row.number,
                wishes.join(" and "),
                row.status,
                facts.join(", ")
            ),
        );
    }
    text
}

/// What the service saw while a command was under way.
fn events(performance: &Performance, told: &Told) -> String {
    let mut text = String::new();
    for (at, event) in &performance.log.events[told.began..told.ended] {
        if let Some(what) = describe_event(performance, told, event) {
            line(&mut text, &format!("         {} {what}", clock_time(*at)));
        }
    }
    text
}

fn clock_time(at: Moment) -> String {
    format!("{:10.3}", at.as_secs_f64())
}

fn describe_event(performance: &Performance, told: &Told, event: &Event) -> Option<String> {
    let is_own = |call: &usize| performance.log.commands[*call] == told.number;
    Some(match event {
        Event::Sent { call, asked: Asked::Write { wish, machines, is_bulk }, .. } if is_own(call) => {
            let bulk = if *is_bulk { " in bulk" } else { "" };
            format!("call {call}: {wish} on {machines:?}{bulk}")
        }
        Event::Applied { slot, before, after, call } => {
            let whose = call.map_or("others".into(), |call| format!("call {call}"));
            format!("{slot}: {before} -> {after} ({whose})")
        }
        Event::Displayed { call, machine, as_of } if is_own(call) => {
            let slots = performance.log.slots_of(*machine).into_iter();
            let contents = slots.map(|slot| format!("{slot} {}", performance.log.content_before(&slot, *as_of)));
            format!("call {call} shows {}", contents.collect::<Vec<_>>().join(", "))
        }
        Event::Answered { call, reply } if is_own(call) => format!("call {call} answered: {reply:?}"),
        Event::Crowded { call } if is_own(call) => format!("call {call} has room only in a bucket of its own"),
        Event::Trespass(what) => what.clone(),
        _ => return None,
    })
}
