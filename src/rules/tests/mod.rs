//! Rules over machines of our own making.

mod faults;
mod judging;
mod naive;
mod spellings;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::input::List;
use crate::inventory::{Inventory, MachineSink as _};
use crate::model::MachineRecord;
use crate::model::{Change, TagAction};
use crate::plan::recent::RecentWrites;
use crate::report::{Fields, ListBuilder, ListedFields, MACHINE_COLUMNS};

/// Ownership that most files of these tests begin with.
const HEAD: &str = "schema = 1\nname = \"fleet\"\n[own]\nprefixes = [\"SITE-\", \"DEPT-\", \"TIER-\"]\ntags = [\"Crown jewel\"]\n\
                    retired = [\"Standort-\", \"Old\"]\n";

fn now() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().expect("a time")
}

/// A file without lookups, or what is wrong with it, a line each.
fn declaration(text: &str) -> Result<Declaration, String> {
    declaration_with(text, &[])
}

/// The same with lookups, in the order in which it names them.
fn declaration_with(text: &str, lists: &[&str]) -> Result<Declaration, String> {
    let told = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let draft = Draft::read(text, now()).map_err(told)?;
    let lookups: Result<Vec<Lookup>, String> = draft
        .lookups()
        .iter()
        .zip(lists)
        .map(|(order, list)| {
            Lookup::read(order, |options| List::read(list.as_bytes(), options))
                .map_err(|error| told(order.faults(&error, &error.to_string())))
        })
        .collect();
    draft.bind(&MACHINE_COLUMNS, lookups?).map_err(told)
}

/// A list of machines, with every field.
struct Listed {
    inventory: Inventory,
    fields: Fields,
    /// Whether removals are withheld.
    withholds: bool,
}

impl Listed {
    fn of(machines: impl IntoIterator<Item = MachineRecord>) -> Self {
        let mut builder = ListBuilder::keeping(MACHINE_COLUMNS);
        for machine in machines {
            builder.take(&machine).expect("room");
        }
        let (inventory, fields) = builder.into_parts();
        Self { inventory: inventory.finish(now(), now()), fields, withholds: false }
    }

    fn keeps(&self, change: &Change) -> bool {
        self.withholds && matches!(change, Change::Tag(TagAction::Remove, _))
    }

    /// What is wished, a line each: machine, change and rule.
    fn wishes(
        &self,
        declaration: &mut Declaration,
        given_last: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, String> {
        let (told, tally) = self.judged(declaration, given_last)?;
        let conflicts = tally.conflicts();
        if conflicts.is_empty() { Ok(told) } else { Err(conflicts.iter().map(ToString::to_string).collect()) }
    }

    /// The same, with what it came to.
    fn judged(
        &self,
        declaration: &mut Declaration,
        given_last: &BTreeMap<String, String>,
    ) -> Result<(Vec<String>, RuleTally), String> {
        for lookup in &mut declaration.lookups {
            lookup.join(&self.inventory).map_err(|fault| fault.to_string())?;
        }
        let listed = ListedFields { inventory: &self.inventory, fields: &self.fields };
        let recent = RecentWrites::default();
        let fleet = Fleet { inventory: &self.inventory, fields: &listed, recent: &recent };
        let mut told = Vec::new();
        let mut planned: Vec<PlannedForMachine> = Vec::new();
        let mut tally = wishes(declaration, fleet, given_last, |wish| {
            if planned.last().is_none_or(|last| last.position != wish.position) {
                planned.push(PlannedForMachine { position: wish.position, wished: Vec::new() });
            }
            let is_done = !self.keeps(&wish.change);
            planned.last_mut().expect("a machine").wished.push((wish.change.clone(), is_done));
            let machine = self.inventory.machine(wish.position).and_then(|machine| machine.name()).unwrap_or("?");
            let swap = if wish.is_swap { ", a swap" } else { "" };
            told.push(format!("{machine}: {} by {}{swap}", wish.change, wish.rule));
        });
        tally.count_unsettled(declaration, fleet, planned);
        Ok((told, tally))
    }
}

/// A machine of this name, with these tags.
fn machine(name: &str, tags: &[&str]) -> MachineRecord {
    MachineRecord {
        id: name.into(),
        computer_dns_name: Some(name.into()),
        machine_tags: Some(tags.iter().map(|tag| (*tag).into()).collect()),
        ..MachineRecord::default()
    }
}
