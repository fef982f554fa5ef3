//! Inputs and inventories for tests: `#7` stands for the id of machine 7.

use jiff::Timestamp;

use super::changes::{Plan, PlanSettings};
use super::operations::Operations;
use super::recent::RecentWrites;
use super::resolution::Resolution;
use crate::input::{InputOptions, Sheet, read};
use crate::inventory::{Inventory, MachineRecord};
use crate::model::{MachineId, Slot, Tag};

/// The id of this machine: 40 hexadecimal digits.
pub(crate) fn id(number: u32) -> String {
    format!("{number:040x}")
}

/// The same as the plan has it.
pub(crate) fn machine_id(number: u32) -> MachineId {
    MachineId::from_service(&id(number))
}

/// The slot of this tag on this machine; without a tag that of its value.
pub(crate) fn slot(number: u32, tag: &str) -> Slot {
    Slot { machine: machine_id(number), tag: (!tag.is_empty()).then(|| Tag::new(tag).expect("a tag")) }
}

/// An input of these rows under the usual header.
pub(crate) fn sheet(rows: &str) -> Sheet {
    let mut parts = rows.split('#');
    let mut text = format!("machineId,tag,action,value\n{}", parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        text.push_str(&id(number.parse().expect("a number")));
        text.push_str(rest);
    }
    let sheet = read(text.as_bytes(), &InputOptions::verbatim()).expect("an input");
    assert!(sheet.problems.is_empty(), "{:?}", sheet.problems);
    sheet
}

/// This machine as the list shows it: without tags, of the value Normal.
pub(crate) fn listed(number: u32) -> MachineRecord {
    MachineRecord {
        id: id(number).into(),
        computer_dns_name: Some(format!("pc{number}.contoso.example").into()),
        last_seen: Some("2026-03-01T08:00:00Z".into()),
        rbac_group_name: Some("Workstations".into()),
        os_platform: Some("Windows11".into()),
        machine_tags: Some(Vec::new()),
        device_value: Some("Normal".into()),
        ..MachineRecord::default()
    }
}

/// The same under another name, last seen then.
pub(crate) fn named(number: u32, name: &str, last_seen: &str) -> MachineRecord {
    MachineRecord { computer_dns_name: Some(name.into()), last_seen: Some(last_seen.into()), ..listed(number) }
}

/// The same with these tags.
pub(crate) fn tagged(number: u32, tags: &[&str]) -> MachineRecord {
    MachineRecord { machine_tags: Some(tags.iter().map(|tag| (*tag).into()).collect()), ..listed(number) }
}

/// An inventory of these machines.
pub(crate) fn inventory(machines: impl IntoIterator<Item = MachineRecord>) -> Inventory {
    Inventory::from_machines(Timestamp::UNIX_EPOCH, machines)
}

/// The plan for an input.
pub(crate) fn plan(
    sheet: &Sheet,
    inventory: Option<&Inventory>,
    recent: &RecentWrites,
    settings: PlanSettings,
) -> Plan {
    let machines = Resolution::of(sheet, inventory);
    let operations = Operations::of(sheet, &machines);
    Plan::of(sheet, operations, machines, inventory, recent, settings)
}
