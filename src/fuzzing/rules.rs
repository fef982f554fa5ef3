//! Files of rules and lookups: any text as a file, over machines of our own making.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::assert_harmless;
use crate::input::List;
use crate::inventory::MachineSink as _;
use crate::model::MachineRecord;
use crate::model::{Change, TagAction};
use crate::plan::recent::RecentWrites;
use crate::report::{ListBuilder, ListedFields, MACHINE_COLUMNS};
use crate::rules::{Declaration, Draft, Fault, Fleet, Lookup, wishes};

/// What every lookup holds where the text names nothing else.
const LIST: &str = "Name,Department\na,Sales\nb,\n";

/// A file of rules, and behind a line with a zero what its lookups hold.
pub(super) fn rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, list) = text.split_once("\n\0\n").unwrap_or((&text, LIST));
    match declaration(file, list) {
        Ok(declaration) => over_machines(declaration),
        Err(faults) => assert_told(file, &faults),
    }
}

fn declaration(file: &str, list: &str) -> Result<Declaration, Vec<Fault>> {
    let draft = Draft::read(file, Timestamp::UNIX_EPOCH)?;
    let lookup = |order: &crate::rules::LookupOrder| {
        Lookup::read(order, |options| List::read(list.as_bytes(), options))
            .map_err(|error| order.faults(&error, &error.to_string()))
    };
    let lookups: Result<Vec<Lookup>, Vec<Fault>> = draft.lookups().iter().map(lookup).collect();
    draft.bind(&MACHINE_COLUMNS, lookups?)
}

fn assert_told(file: &str, faults: &[Fault]) {
    assert!(!faults.is_empty(), "refused for nothing: {file:?}");
    for fault in faults {
        assert!((1..=file.split('\n').count()).contains(&fault.line), "{file:?}: {fault}");
        assert_harmless(&fault.to_string());
    }
}

/// Nothing is given or taken off that is not owned, and nothing is both.
fn over_machines(mut declaration: Declaration) {
    let mut builder = ListBuilder::keeping(MACHINE_COLUMNS);
    for (name, platform) in [("a", Some("Linux")), ("b.corp", None)] {
        let tags = declaration.own.all().map(|own| own.value.text().into()).chain(["VIP".into(), "SITE-DE".into()]);
        let machine = MachineRecord {
            id: name.into(),
            computer_dns_name: Some(name.into()),
            os_platform: platform.map(Into::into),
            machine_tags: Some(tags.collect()),
            ..MachineRecord::default()
        };
        builder.take(&machine).expect("room");
    }
    let (inventory, fields) = builder.into_parts();
    let inventory = inventory.finish(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    for lookup in &mut declaration.lookups {
        let Ok(()) = lookup.join(&inventory) else { return };
    }
    let (listed, recent) = (ListedFields { inventory: &inventory, fields: &fields }, RecentWrites::default());
    let (mut given, mut taken, nothing) = (HashSet::new(), HashSet::new(), BTreeMap::new());
    let fleet = Fleet { inventory: &inventory, fields: &listed, recent: &recent };
    let tally = wishes(&declaration, fleet, &nothing, |wish| {
        let Change::Tag(action, tag) = wish.change else { return };
        assert!(declaration.own.holds(tag.as_str()), "{tag} is not owned");
        if action == TagAction::Add {
            given.insert((wish.position, tag))
        } else {
            taken.insert((wish.position, tag))
        };
    });
    assert!(given.is_disjoint(&taken), "{given:?} {taken:?}");
    assert_harmless(&tally.text());
}
