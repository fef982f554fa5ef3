//! What is found about each row, whatever the list and our own writes say.

use super::*;
use crate::inventory::MachineRecord;
use crate::model::{DeviceValue, Tag};
use crate::plan::fixtures::{inventory, listed, machine_id, sheet, tagged};

#[test]
fn every_row_is_found_as_the_list_shows_it() {
    use Finding::{Differs, Holds, Pending, UnknownMachine};
    let inventory = inventory([
        tagged(1, &["A", "B"]),
        MachineRecord { machine_tags: None, device_value: None, ..listed(2) },
        MachineRecord { device_value: Some("low".into()), ..listed(3) },
    ]);
    let tag = |name: &str| Some(Tag::new(name).expect("a tag"));
    let mut recent = RecentWrites::default();
    recent.note(machine_id(1), tag("C"), Held::Present);
    recent.note(machine_id(1), tag("A"), Held::Absent);
    recent.note(machine_id(1), tag("D"), Held::Unknown);
    recent.note(machine_id(3), None, Held::Value(DeviceValue::High));
    recent.note(machine_id(9), tag("A"), Held::Present);
    let table = [
        ("#1,B,Add,", Holds, Held::Present),
        ("#1,b,Add,", Differs, Held::Absent),
        ("#1,B,Remove,", Differs, Held::Present),
        ("#1,X,Remove,", Holds, Held::Absent),
        ("#1,C,Add,", Pending, Held::Absent),
        ("#1,A,Remove,", Pending, Held::Present),
        // What the list shows is believed where it is what is asked for, however old it may be.
        ("#1,A,Add,", Holds, Held::Present),
        ("#1,C,Remove,", Holds, Held::Absent),
        ("#1,D,Add,", Differs, Held::Absent),
        ("#2,A,Add,", Differs, Held::Unknown),
        ("#2,,,Low", Differs, Held::Unknown),
        ("#3,,,Low", Holds, Held::Value(DeviceValue::Low)),
        ("#3,,,High", Pending, Held::Value(DeviceValue::Low)),
        ("#3,,,Normal", Differs, Held::Value(DeviceValue::Low)),
        ("#9,A,Add,", UnknownMachine, Held::Unknown),
        ("pc9,A,Add,", UnknownMachine, Held::Unknown),
        ("pc1,B,Add,", Holds, Held::Present),
    ];
    for (row, finding, held) in table {
        let sheet = sheet(row);
        let machines = Resolution::of(&sheet, Some(&inventory));
        let operations = Operations::of(&sheet, &machines);
        assert_eq!(findings(&sheet, &operations, &machines, &inventory, &recent), [(finding, held)], "{row}");
    }
}

#[test]
fn the_worse_of_two_findings_is_the_greater() {
    use Finding::{Differs, Holds, Pending, UnknownMachine};
    let mut all = Finding::ALL;
    all.sort();
    assert_eq!(all, [Holds, Pending, Differs, UnknownMachine]);
    assert_eq!(all.map(Finding::as_str), ["holds", "pending", "differs", "unknown_machine"]);
}
