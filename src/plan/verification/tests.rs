//! What is found about each row, whatever the list and our own writes say.

use super::*;
use crate::model::MachineRecord;
use crate::model::{DeviceValue, MayHold};
use crate::plan::fixtures::{inventory, listed, sheet, slot, tagged};
use crate::plan::recent::Age;

#[test]
fn every_row_is_found_as_the_list_shows_it() {
    use Finding::{Differs, Holds, NotShown, Pending, UnknownMachine};
    let inventory = inventory([
        tagged(1, &["A", "B", "E"]),
        MachineRecord { machine_tags: None, device_value: None, ..listed(2) },
        MachineRecord { device_value: Some("low".into()), ..listed(3) },
        listed(4),
    ]);
    let (absent, present) = (Held::Absent, Held::Present);
    let mut recent = RecentWrites::default();
    recent.note(slot(1, "C"), MayHold::only(absent), present, Age::Young);
    recent.note(slot(1, "A"), MayHold::only(present), absent, Age::Young);
    recent.note_doubtful(slot(1, "D"), MayHold::only(absent), present, Age::Young);
    recent.note_doubtful(slot(1, "B"), MayHold::only(present), absent, Age::Young);
    recent.note(slot(3, ""), MayHold::only(Held::Value(DeviceValue::Low)), Held::Value(DeviceValue::High), Age::Young);
    recent.note(slot(4, ""), MayHold::only(Held::Value(DeviceValue::Low)), Held::Value(DeviceValue::High), Age::Young);
    recent.note(slot(9, "A"), MayHold::only(absent), present, Age::Young);
    // By wall time these are old, and the list has caught up with them; of one in doubt nothing else can be said either.
    recent.note(slot(1, "F"), MayHold::only(absent), present, Age::LooksOld);
    recent.note_doubtful(slot(1, "F"), MayHold::only(absent), present, Age::LooksOld);
    recent.note(slot(1, "E"), MayHold::only(present), absent, Age::LooksOld);
    recent.note(slot(1, "G"), MayHold::only(absent), present, Age::LooksYoung);
    recent.note(slot(1, "H"), MayHold::only(absent), present, Age::LooksOld);
    recent.note_doubtful(slot(1, "H"), MayHold::only(present), absent, Age::LooksYoung);
    let table = [
        ("#1,F,Add,", Differs, Held::Absent),
        ("#1,F,Remove,", Holds, Held::Absent),
        ("#1,G,Add,", Pending, Held::Absent),
        ("#1,H,Add,", Pending, Held::Absent),
        ("#1,X,Add,", Differs, Held::Absent),
        ("#1,X,Remove,", Holds, Held::Absent),
        ("#1,E,Add,", Holds, Held::Present),
        ("#1,E,Remove,", Differs, Held::Present),
        // The service may take the two for one, so the row does not surely hold.
        ("#1,e,Add,", Differs, Held::Unknown),
        ("#1,e,Remove,", Differs, Held::Unknown),
        ("#1,C,Add,", Pending, Held::Absent),
        ("#1,A,Remove,", Pending, Held::Present),
        // The list shows what is asked for, but may not show yet what we have made of it since.
        ("#1,A,Add,", Pending, Held::Present),
        ("#1,C,Remove,", Pending, Held::Absent),
        // Sent, and never answered.
        ("#1,D,Add,", Pending, Held::Absent),
        ("#1,D,Remove,", Pending, Held::Absent),
        ("#1,B,Add,", Pending, Held::Present),
        ("#1,B,Remove,", Pending, Held::Present),
        ("#2,A,Add,", NotShown, Held::Unknown),
        ("#2,A,Remove,", NotShown, Held::Unknown),
        ("#2,,,Low", NotShown, Held::Unknown),
        ("#3,,,Low", Pending, Held::Value(DeviceValue::Low)),
        ("#3,,,High", Pending, Held::Value(DeviceValue::Low)),
        ("#3,,,Normal", Differs, Held::Value(DeviceValue::Low)),
        // Neither ours nor what was there before: the list shows what somebody has made of it.
        ("#4,,,High", Differs, Held::Value(DeviceValue::Normal)),
        ("#4,,,Normal", Pending, Held::Value(DeviceValue::Normal)),
        ("#9,A,Add,", UnknownMachine, Held::Unknown),
        ("pc9,A,Add,", UnknownMachine, Held::Unknown),
        ("pc1,E,Add,", Holds, Held::Present),
    ];
    for (row, finding, held) in table {
        let sheet = sheet(row);
        let machines = Resolution::of(&sheet.requests, Some(&inventory));
        let operations = Operations::of(&machines);
        assert_eq!(findings(&operations, &machines, &inventory, &recent), [(finding, held)], "{row}");
    }
}

#[test]
fn the_worse_of_two_findings_is_the_greater() {
    use Finding::{Differs, Holds, NotShown, Pending, UnknownMachine};
    let mut all = Finding::ALL;
    all.sort();
    assert_eq!(all, [Holds, Pending, NotShown, Differs, UnknownMachine]);
    assert_eq!(all.map(Finding::as_str), ["holds", "pending", "not_shown", "differs", "unknown_machine"]);
}
