//! A plan for people and for scripts: what changes, where, in how many calls, and when it will be finished.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::counts::calls_text;
use crate::api::CallKind;
use crate::clock;
use crate::input::Excerpt;
use crate::inventory::Inventory;
use crate::model::{Change, Request, Tag, TagNumber};
use crate::plan::changes::{CallsNeeded, Decision, Plan};
use crate::plan::resolution::{MachineNumber, ResolvedMachine};
use crate::report::output::frame::joined;
use crate::rules::RuleTally;
use crate::words::{clock_time, counted, describe_duration, group_digits, minute, selected_rows};

/// The most kinds of change that the text lists.
const LISTED_CHANGES: usize = 12;
/// The most machine groups or platforms that the text lists for a change.
const LISTED_PARTS: usize = 5;
/// The most kinds of change that the JSON object lists.
const LISTED_CHANGES_JSON: usize = 1000;
/// The most names that led to no machine that are listed.
const LISTED_FAILURES: usize = 20;
/// What a group or platform is called that the service does not name.
const NONE: &str = "none";

/// A plan with everything that is said about it.
pub(crate) struct PlanReport<'a> {
    /// The input's name.
    pub input: &'a str,
    /// Where it would be done.
    pub destination: &'a str,
    /// How many rows it has.
    pub rows: u32,
    /// How many rows the file has, where a filter selects among them.
    pub selected_from: Option<u32>,
    /// Rows that are in error and skipped.
    pub invalid_rows: u64,
    pub plan: &'a Plan,
    /// The tenant's machines, if they were read.
    pub inventory: Option<&'a Inventory>,
    /// The calls that read them.
    pub list_calls: u64,
    /// The calls that change something.
    pub calls: CallsNeeded,
    /// How long it takes, the reading included.
    pub duration: Duration,
    /// What is left until the deadline, if there is one.
    pub left_until_deadline: Option<Duration>,
    /// Whether there is a quota.
    pub has_quota: bool,
    /// Whether single and bulk tag calls count apart and go at the same time.
    pub tags_side_by_side: bool,
    /// What the rules came to that made it.
    pub rules: Option<&'a RuleTally>,
}

/// What happens to one tag or value.
#[derive(Default)]
struct ChangeCount<'a> {
    changes: u64,
    unchanged: u64,
    groups: BTreeMap<&'a str, u64>,
    platforms: BTreeMap<&'a str, u64>,
}

impl<'a> PlanReport<'a> {
    /// Machines that the inventory lacks.
    pub(crate) fn unlisted_machines(&self) -> u64 {
        let numbers = (0..u32::try_from(self.plan.machines.len()).unwrap_or(u32::MAX)).map(MachineNumber);
        numbers.filter(|number| self.plan.is_unlisted(*number)).count() as u64
    }

    /// Rows whose machine's name leads to no machine.
    pub(crate) fn unresolved_rows(&self) -> u64 {
        let mut rows = 0;
        let mut last = None;
        let is_unresolved = |request: &&Request| self.plan.machines.failure(request.machine).is_some();
        for request in self.plan.requests().all.iter().filter(is_unresolved) {
            rows += u64::from(last != Some(request.row));
            last = Some(request.row);
        }
        rows
    }

    /// What the object for `--json` says of the plan.
    pub(crate) fn json(&self) -> Value {
        let counts = self.counts();
        let sorted = sorted(&counts);
        let by_change: Vec<Value> = sorted
            .iter()
            .take(LISTED_CHANGES_JSON)
            .map(|(change, count)| {
                let (action, tag, value) = self.words(**change);
                json!({
                    "action": action,
                    "tag": tag,
                    "value": value,
                    "changes": count.changes,
                    "unchanged": count.unchanged,
                    "machine_groups": count.groups,
                    "os_platforms": count.platforms,
                })
            })
            .collect();
        let plan = json!({
            "rows": self.rows,
            "changes": self.plan.count(Decision::Change),
            "unchanged": self.plan.count(Decision::Unchanged),
            "invalid": self.invalid_rows,
            "unlisted": self.unlisted_machines(),
            "names_resolved": self.plan.machines.names_resolved(),
            "names_unresolved": self.plan.machines.names_unresolved(),
            "rows_unresolved": self.unresolved_rows(),
            "beyond_limit": self.plan.count(Decision::BeyondLimit),
            "withheld": self.plan.count(Decision::Withheld),
            "not_in_inventory": self.plan.count(Decision::NotInInventory),
            "repeated": self.plan.operations.repeated,
            "machines": self.inventory.map(Inventory::len),
            "calls": {
                "list": self.list_calls,
                "get": 0,
                "bulk": self.calls.bulk,
                "tags": self.calls.tags,
                "value": self.calls.value,
            },
            "tags_side_by_side": self.tags_side_by_side,
            "unlisted_calls": {
                "expected": self.calls.unlisted,
                "worst_case": self.calls.unlisted_worst_case,
            },
            "eta_seconds": (self.duration.as_secs_f64() * 1000.0).round() / 1000.0,
            "by_change": by_change,
        });
        match self.rules {
            Some(rules) => joined(plan, rules.json()),
            None => plan,
        }
    }

    /// The text for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let (changes, operations) = (self.plan.count(Decision::Change), self.plan.operations.operations.len() as u64);
        // Writing into a string cannot fail.
        let _written = write!(
            text,
            "Plan for {}, {}{}, on {}:\n{}, {} already set",
            Excerpt::new(self.input),
            selected_rows(u64::from(self.rows), self.selected_from),
            if operations == u64::from(self.rows) {
                String::new()
            } else {
                format!(", {}", counted(operations, "operation", "operations"))
            },
            self.destination,
            counted(changes, "change", "changes"),
            group_digits(self.plan.count(Decision::Unchanged)),
        );
        let others = [
            (
                self.plan.case_variants,
                "about a tag that stands there in another case, which the service is asked about",
                "about tags that stand there in another case, which the service is asked about",
            ),
            (self.plan.count(Decision::BeyondLimit), "left out by --limit", "left out by --limit"),
            (self.plan.count(Decision::Withheld), "removal withheld by the guard", "removals withheld by the guard"),
            (
                self.plan.count(Decision::NotInInventory),
                "that fails, since the tenant's list lacks the machine",
                "that fail, since the tenant's list lacks the machine",
            ),
            (
                u64::from(self.plan.operations.repeated),
                "asked for more than once and done once",
                "asked for more than once and done once",
            ),
            (self.invalid_rows, "row in error and skipped", "rows in error and skipped"),
            (
                self.unresolved_rows(),
                "row that fails, since its machine's name leads to none",
                "rows that fail, since their machine's name leads to none",
            ),
        ];
        for (count, one, many) in others {
            if count > 0 {
                let _written = write!(text, ", {}", counted(count, one, many));
            }
        }
        text.push('\n');
        self.write_changes(&mut text);
        self.write_withheld(&mut text);
        self.write_names(&mut text);
        self.write_calls(&mut text, changes);
        text.extend(self.rules.map(RuleTally::text));
        text
    }

    /// What the guard withholds, and how it is let through.
    fn write_withheld(&self, text: &mut String) {
        let mut counts: HashMap<Change<TagNumber>, u64> = HashMap::new();
        for (operation, ..) in self.plan.iter().filter(|(_, decision, _)| *decision == Decision::Withheld) {
            *counts.entry(operation.change).or_default() += 1;
        }
        let withheld: u64 = counts.values().sum();
        if withheld == 0 {
            return;
        }
        let mut sorted: Vec<_> =
            counts.into_iter().map(|(change, count)| (Reverse(count), self.words(change).1)).collect();
        sorted.sort_unstable();
        let them = if withheld == 1 { "it" } else { "them" };
        let _written = writeln!(
            text,
            "Withheld by the guard, since so many removals are seldom meant; --allow-removals {withheld} lets {them} through \
             in this run:"
        );
        for (Reverse(count), tag) in sorted.iter().take(LISTED_CHANGES) {
            let tag = Excerpt::new(tag.unwrap_or_default());
            let _written = writeln!(text, "  {:>9} × remove tag \"{tag}\"", group_digits(*count));
        }
        if sorted.len() > LISTED_CHANGES {
            let more = (sorted.len() - LISTED_CHANGES) as u64;
            let _written = writeln!(text, "  and {}", counted(more, "more tag", "more tags"));
        }
    }

    fn write_changes(&self, text: &mut String) {
        let counts = self.counts();
        let sorted = sorted(&counts);
        let changing: Vec<_> = sorted.iter().filter(|(_, count)| count.changes > 0).collect();
        let mut moves = false;
        for (change, count) in changing.iter().take(LISTED_CHANGES) {
            let what = match self.words(**change) {
                (action, Some(tag), _) => format!("{} tag \"{}\"", action.to_lowercase(), Excerpt::new(tag)),
                (_, None, value) => format!("set device value {}", value.unwrap_or_default()),
            };
            let _written = write!(text, "  {:>9} × {what}", group_digits(count.changes));
            if count.unchanged > 0 {
                let _written = write!(text, " ({} already set)", group_digits(count.unchanged));
            }
            text.push('\n');
            if change.tag().is_some() && self.inventory.is_some() {
                moves = true;
                for (name, parts) in [("machine groups", &count.groups), ("platforms", &count.platforms)] {
                    if !parts.is_empty() {
                        let _written = writeln!(text, "              {name}: {}", parts_text(parts));
                    }
                }
            }
        }
        let rest = changing.len().saturating_sub(LISTED_CHANGES);
        if rest > 0 {
            let rest = counted(rest as u64, "more kind of change", "more kinds of change");
            let _written = writeln!(text, "  and {rest}");
        }
        if moves {
            text.push_str(
                "Tags drive device groups: a machine whose tags change may move to another group, and with it who may see \
                 it and what is done to it.\n",
            );
        }
    }

    fn write_names(&self, text: &mut String) {
        let resolved = self.plan.machines.names_resolved();
        if resolved > 0 {
            let _written = writeln!(
                text,
                "{}.",
                counted(u64::from(resolved), "name led to one machine", "names led to one machine each")
            );
        }
        let unresolved = self.plan.machines.names_unresolved();
        let mut told = std::collections::HashSet::new();
        for request in &self.plan.requests().all {
            let is_new = self.plan.machines.failure(request.machine).is_some() && told.insert(request.machine);
            if is_new && told.len() <= LISTED_FAILURES {
                let (_, message) = self.plan.machines.describe_failure(request.machine, self.inventory);
                let _written = writeln!(text, "  row {}, line {}: {message}", request.row, request.line);
            }
        }
        if unresolved > LISTED_FAILURES {
            let rest = counted((unresolved - LISTED_FAILURES) as u64, "more name", "more names");
            let _written = writeln!(text, "  and {rest}");
        }
    }

    fn write_calls(&self, text: &mut String, changes: u64) {
        let unlisted = self.unlisted_machines();
        if unlisted > 0 && self.calls.unlisted > 0 {
            let _written = write!(
                text,
                "The tenant's list lacks {}, to be tried last and apart, in {}",
                counted(unlisted, "machine", "machines"),
                counted(self.calls.unlisted, "call", "calls"),
            );
            let _written = if self.calls.unlisted_worst_case > self.calls.unlisted {
                writeln!(
                    text,
                    ", or up to {} where the service does not know them either.",
                    group_digits(self.calls.unlisted_worst_case)
                )
            } else {
                writeln!(text, ".")
            };
        }
        if changes == 0 {
            if self.plan.count(Decision::Withheld) == 0 {
                text.push_str("There is nothing to change.\n");
            }
            return;
        }
        let kinds = [
            (CallKind::List, self.list_calls),
            (CallKind::Bulk, self.calls.bulk),
            (CallKind::Tags, self.calls.tags),
            (CallKind::Value, self.calls.value),
        ];
        let made = kinds.iter().filter(|(_, count)| *count > 0);
        let listed: Vec<String> = made.map(|(kind, count)| calls_text(Some(*kind), *count)).collect();
        let all: u64 = kinds.iter().map(|(_, count)| count).sum();
        let apart = if self.tags_side_by_side { ", of which single and bulk ones count apart" } else { "" };
        let _written = writeln!(text, "Calls: {} ({}){apart}.", group_digits(all), listed.join(", "));
        let now = clock::now();
        let end = now.checked_add(self.duration).unwrap_or(jiff::Timestamp::MAX);
        let end = minute(end, &TimeZone::system());
        let took = describe_duration(self.duration);
        let _written = if self.has_quota {
            writeln!(text, "Finished about {end}, in {took}, if nothing else uses this app's quota.")
        } else {
            writeln!(text, "Finished in about {took}.")
        };
        if let Some(left) = self.left_until_deadline.filter(|left| *left < self.duration) {
            let deadline = now.checked_add(left).unwrap_or(jiff::Timestamp::MAX);
            let deadline = clock_time(deadline, now, &TimeZone::system());
            let _written =
                writeln!(text, "The deadline comes before that, at {deadline}: what is left then can be resumed.");
        }
    }

    fn words(&self, change: Change<TagNumber>) -> (&'static str, Option<&'a str>, Option<&'static str>) {
        match change {
            Change::Tag(action, _) => (action.as_str(), self.plan.requests().tag(change).map(Tag::as_str), None),
            Change::DeviceValue(value) => ("SetDeviceValue", None, Some(value.as_str())),
        }
    }

    fn counts(&self) -> HashMap<Change<TagNumber>, ChangeCount<'a>> {
        let mut counts: HashMap<Change<TagNumber>, ChangeCount<'a>> = HashMap::new();
        for (operation, decision, _) in self.plan.iter() {
            let count = counts.entry(operation.change).or_default();
            match decision {
                Decision::Change => count.changes += 1,
                Decision::Unchanged => {
                    count.unchanged += 1;
                    continue;
                }
                _ => continue,
            }
            let Some(ResolvedMachine::Listed(position)) = self.plan.machines.machine(operation.machine) else {
                continue;
            };
            if let Some(machine) = self.inventory.and_then(|inventory| inventory.machine(*position)) {
                *count.groups.entry(machine.group().unwrap_or(NONE)).or_default() += 1;
                *count.platforms.entry(machine.os_platform().unwrap_or(NONE)).or_default() += 1;
            }
        }
        counts
    }
}

/// The most frequent changes first; of those that are as frequent, tag by tag, and values last.
fn sorted<'c, 'a>(
    counts: &'c HashMap<Change<TagNumber>, ChangeCount<'a>>,
) -> Vec<(&'c Change<TagNumber>, &'c ChangeCount<'a>)> {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|(change, count)| (Reverse(count.changes), change.tag().is_none(), change.tag(), **change));
    sorted
}

/// The largest parts first.
fn parts_text(parts: &BTreeMap<&str, u64>) -> String {
    let mut sorted: Vec<_> = parts.iter().collect();
    sorted.sort_by_key(|(name, count)| (Reverse(**count), **name));
    let mut listed: Vec<String> = sorted
        .iter()
        .take(LISTED_PARTS)
        .map(|(name, count)| format!("{} {}", Excerpt::new(name), group_digits(**count)))
        .collect();
    if sorted.len() > LISTED_PARTS {
        listed.push(format!("and {} more", group_digits((sorted.len() - LISTED_PARTS) as u64)));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests;
