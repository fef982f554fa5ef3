//! What every rule says of one machine, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::declaration::{Assignment, Declaration};
use super::fleet::{Fleet, TagsHeld};
use super::judging::Verdict;
use super::lacking::Lacking;
use super::spellings::Spellings;
use super::wishes::{Wish, of_one};
use crate::input::Excerpt;
use crate::inventory::{ListedMachine, NameMatch};
use crate::model::{Change, MachineId, MachineReference, TagAction};
use crate::outside::shown;

/// What the rules say of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    machine: String,
    name: Option<String>,
    in_scope: Option<bool>,
    lacking_for_scope: Lacking,
    rules: Vec<Explained>,
    takes_off: Vec<String>,
}

#[derive(Clone, Debug)]
struct Explained {
    name: String,
    line: usize,
    word: &'static str,
    words: String,
}

impl Explanation {
    /// Of the machine that is named so.
    ///
    /// # Errors
    /// Why it is none, or several.
    pub(crate) fn of(declaration: &Declaration, fleet: Fleet<'_>, machine: &MachineReference) -> Result<Self, String> {
        let machine = find(fleet, machine)?;
        let held = TagsHeld::of(machine, fleet.recent);
        let view = fleet.view(declaration, machine, &held);
        let judgement = declaration.judge(&view, &Spellings::of(declaration, fleet));
        let rules = declaration.rules.iter().zip(&judgement.verdicts).map(|(rule, verdict)| {
            let (word, words) = match verdict {
                Verdict::Gives(assignment) => ("gives", format!("gives {}", assignment_words(assignment, &held))),
                Verdict::Reports(assignment) => {
                    ("reports", format!("would give {}, and only reports", assignment_words(assignment, &held)))
                }
                Verdict::DoesNot => ("does_not", "does not match".to_owned()),
                Verdict::Surpassed => ("surpassed", "an earlier rule of its set has won".to_owned()),
                Verdict::SurpassedByReport => {
                    ("surpassed", "an earlier rule of its set would win, and only reports".to_owned())
                }
                Verdict::Undecided => {
                    let lacking = Declaration::lacking(rule, &view).words();
                    ("undecided", format!("undecided, since the machine {lacking}"))
                }
                Verdict::Waits => ("undecided", "undecided, as an earlier rule of its set is".to_owned()),
                Verdict::Odd(tag, why) => ("odd", format!("gives nothing: the tag \"{}\" {why}", Excerpt::new(tag))),
            };
            Explained { name: rule.name.clone(), line: rule.line, word, words }
        });
        let rules = rules.collect();
        let mut takes_off = Vec::new();
        let given_last = BTreeMap::new();
        // That two rules give two values stands below their names.
        let _conflict = of_one(declaration, &judgement, &held, &given_last, machine.position(), |wish| {
            if let Wish { change: Change::Tag(TagAction::Remove, tag), .. } = wish {
                takes_off.push(tag.as_str().to_owned());
            }
        });
        Ok(Self {
            machine: machine.id().to_string(),
            name: machine.name().map(str::to_owned),
            in_scope: judgement.in_scope,
            lacking_for_scope: declaration.lacking_for_scope(&view),
            rules,
            takes_off,
        })
    }

    /// The text for people.
    pub(crate) fn text(&self) -> String {
        let name = self.name.as_deref().map(|name| format!("{} ", shown(name))).unwrap_or_default();
        let scope = match self.in_scope {
            Some(true) => "is in scope".to_owned(),
            Some(false) => "is out of scope, and stays as it is".to_owned(),
            None => format!("{}, which the scope asks for, and stays as it is", self.lacking_for_scope.words()),
        };
        let mut text = format!("Machine {name}({}) {scope}.\n", self.machine);
        for rule in &self.rules {
            // Writing into a string cannot fail.
            let _written = writeln!(text, "  line {}, \"{}\": {}", rule.line, shown(&rule.name), rule.words);
        }
        for tag in &self.takes_off {
            let _written = writeln!(text, "  taken off, since no rule gives it: \"{}\"", Excerpt::new(tag));
        }
        text
    }

    /// What an object for scripts says.
    pub(crate) fn json(&self) -> Value {
        let rules = self
            .rules
            .iter()
            .map(|rule| json!({"name": rule.name, "line": rule.line, "verdict": rule.word, "why": rule.words}));
        json!({
            "machine": self.machine,
            "computer_dns_name": self.name,
            "in_scope": self.in_scope,
            "rules": rules.collect::<Vec<_>>(),
            "takes_off": self.takes_off,
        })
    }
}

fn assignment_words(assignment: &Assignment, held: &TagsHeld<'_>) -> String {
    let tag = assignment.tag.as_ref().map(|tag| {
        let has_it = if held.tags.contains(&tag.as_str()) { ", which it has" } else { "" };
        format!("the tag \"{}\"{has_it}", Excerpt::new(tag.as_str()))
    });
    let value = assignment.value.map(|value| format!("the value {value}"));
    tag.into_iter().chain(value).collect::<Vec<_>>().join(" and ")
}

fn find<'f>(fleet: Fleet<'f>, machine: &MachineReference) -> Result<ListedMachine<'f>, String> {
    let inventory = fleet.inventory;
    let found = match machine {
        MachineReference::Id(id) => inventory.find(id).map_or(NameMatch::None, NameMatch::One),
        MachineReference::Entra(device) => inventory.find_entra(*device),
        MachineReference::Name(name) => match inventory.find(&MachineId::from_service(name)) {
            Some(position) => NameMatch::One(position),
            None => inventory.find_name(name),
        },
    };
    let named = Excerpt::new(&machine.to_string());
    match found {
        NameMatch::One(position) => {
            inventory.machine(position).ok_or_else(|| format!("there is no machine \"{named}\""))
        }
        NameMatch::None => Err(format!("no machine of the list is called \"{named}\"")),
        NameMatch::Several(positions) => {
            let ids = positions.iter().filter_map(|position| inventory.machine(*position));
            let ids: Vec<String> = ids.map(|machine| machine.id().to_string()).take(5).collect();
            Err(format!("{} machines are called \"{named}\": {}", positions.len(), ids.join(", ")))
        }
    }
}
