//! Inputs and inventories for tests: `#7` stands for the id of machine 7.

use jiff::Timestamp;

use super::changes::{Plan, PlanSettings};
use super::operations::Operations;
use super::recent::RecentWrites;
use super::resolution::Resolution;
use crate::input::{Sheet, SheetWriter};
use crate::inventory::Inventory;
use crate::model::MachineRecord;
use crate::model::{Change, DeviceValue, MachineId, MachineReference, Slot, Tag, TagAction};

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

/// What these rows ask for under the usual header, whatever a file may hold.
pub(crate) fn sheet(rows: &str) -> Sheet {
    let mut writer = SheetWriter::new(&["machineId", "tag", "action", "value"], None);
    for row in rows.lines() {
        let cells: Vec<&str> = row.split(',').collect();
        let [machine, tag, action, value] = cells[..] else { panic!("{row:?} has not four cells") };
        let machine =
            machine.strip_prefix('#').map_or(machine.to_owned(), |number| id(number.parse().expect("a number")));
        let machine = MachineReference::parse(&machine);
        writer.begin_row(&cells).expect("room");
        if !tag.is_empty() {
            let action = if action == "Add" { TagAction::Add } else { TagAction::Remove };
            writer.ask(machine.clone(), &Change::Tag(action, Tag::new(tag).expect("a tag")));
        }
        if !value.is_empty() {
            writer.ask(machine, &Change::DeviceValue(DeviceValue::parse(value).expect("a value")));
        }
    }
    writer.finish().expect("a sheet")
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
    let machines = Resolution::of(&sheet.requests, inventory);
    Plan::of(Operations::of(&machines).into(), machines, inventory, recent, settings.unlisted)
        .held_back(settings, inventory)
}
