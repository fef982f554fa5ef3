//! What is decided about each operation, and how many calls that takes.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::model::MachineRecord;
use crate::model::{DeviceValue, MayHold};
use crate::plan::fixtures::{inventory, listed, machine_id, plan, sheet, slot, tagged};
use crate::plan::guard::Bound;
use crate::plan::recent::Age;

fn decided(plan: &Plan) -> Vec<(Decision, Held)> {
    plan.iter().map(|(_, decision, before)| (decision, before)).collect()
}

fn tenant() -> Inventory {
    inventory([
        tagged(1, &["A", "B"]),
        MachineRecord { device_value: Some("high".into()), ..listed(2) },
        MachineRecord { machine_tags: None, device_value: None, ..listed(3) },
        MachineRecord { device_value: Some("Odd".into()), ..listed(4) },
    ])
}

#[test]
fn every_row_is_decided_by_what_the_inventory_shows() {
    use Decision::{Change, NotInInventory, Unchanged, Unresolved};
    use DeviceValue::{High, Normal};
    let table = [
        ("#1,A,Add,", Unchanged, Held::Present),
        // The service may take the two for one.
        ("#1,a,Add,", Change, Held::Unknown),
        ("#1,a,Remove,", Change, Held::Unknown),
        ("#1,C,Add,", Change, Held::Absent),
        ("#1,B,Remove,", Change, Held::Present),
        ("#1,C,Remove,", Unchanged, Held::Absent),
        ("#1,,,Normal", Unchanged, Held::Value(Normal)),
        ("#1,,,Low", Change, Held::Value(Normal)),
        ("#2,,,High", Unchanged, Held::Value(High)),
        // What is not shown, or unheard of, is not known.
        ("#3,A,Remove,", Change, Held::Unknown),
        ("#3,,,Normal", Change, Held::Unknown),
        ("#4,,,Normal", Change, Held::Unknown),
        ("pc1,A,Add,", Unchanged, Held::Present),
        ("nobody,A,Add,", Unresolved, Held::Unknown),
        ("#9,A,Add,", Change, Held::Unknown),
        ("#9,A,Remove,", Change, Held::Unknown),
    ];
    let inventory = tenant();
    for (row, decision, before) in table {
        let sheet = sheet(row);
        let settings = PlanSettings::default();
        let plan = plan(&sheet, Some(&inventory), &RecentWrites::default(), settings);
        assert_eq!(decided(&plan), [(decision, before)], "{row}");
    }
    let settings = PlanSettings { unlisted: UnlistedPolicy::Fail, ..PlanSettings::default() };
    let sheet = sheet("#9,A,Add,\n#1,A,Add,\n");
    let plan = plan(&sheet, Some(&inventory), &RecentWrites::default(), settings);
    assert_eq!(decided(&plan), [(NotInInventory, Held::Unknown), (Unchanged, Held::Present)]);
    assert_eq!(
        (plan.count(NotInInventory), plan.is_unlisted(MachineNumber(0)), plan.is_unlisted(MachineNumber(1))),
        (1, true, false)
    );
}

#[test]
fn without_an_inventory_everything_is_a_change() {
    let sheet = sheet("#1,A,Add,High\n#2,A,Remove,\n");
    let mut recent = RecentWrites::default();
    recent.note(slot(1, ""), MayHold::only(Held::Value(DeviceValue::Low)), Held::Value(DeviceValue::High), Age::Young);
    let settings = PlanSettings { unlisted: UnlistedPolicy::Fail, ..PlanSettings::default() };
    let plan = plan(&sheet, None, &recent, settings);
    assert_eq!(decided(&plan), [(Decision::Change, Held::Unknown); 3]);
    assert_eq!(plan.machines.id(MachineNumber(0), None), Some(&machine_id(1)));
}

#[test]
fn our_own_recent_writes_override_the_list_but_for_values_that_are_somebody_elses() {
    let mut recent = RecentWrites::default();
    recent.note(slot(1, "A"), MayHold::only(Held::Present), Held::Absent, Age::Young);
    recent.note(slot(1, "C"), MayHold::only(Held::Absent), Held::Present, Age::Young);
    recent.note_doubtful(slot(1, "B"), MayHold::only(Held::Present), Held::Absent, Age::Young);
    recent.note_doubtful(slot(1, "D"), MayHold::only(Held::Absent), Held::Present, Age::Young);
    recent.note(slot(2, ""), MayHold::only(Held::Value(DeviceValue::High)), Held::Value(DeviceValue::Low), Age::Young);
    recent.note(slot(3, ""), MayHold::only(Held::Value(DeviceValue::High)), Held::Value(DeviceValue::Low), Age::Young);
    recent.note(slot(9, "A"), MayHold::only(Held::Absent), Held::Present, Age::Young);
    let table = [
        ("#1,A,Add,", Decision::Change, Held::Absent),
        ("#1,C,Add,", Decision::Unchanged, Held::Present),
        // Sent, and never answered: the service is asked, whatever the list shows and whatever is wanted.
        ("#1,B,Add,", Decision::Change, Held::Unknown),
        ("#1,B,Remove,", Decision::Change, Held::Unknown),
        ("#1,D,Remove,", Decision::Change, Held::Unknown),
        // What we wrote in another case the list may not show yet.
        ("#1,c,Remove,", Decision::Change, Held::Unknown),
        ("#2,,,High", Decision::Change, Held::Value(DeviceValue::Low)),
        ("#2,A,Remove,", Decision::Unchanged, Held::Absent),
        ("pc2,,,Low", Decision::Unchanged, Held::Value(DeviceValue::Low)),
        // Somebody has set Normal where we had set Low and High had been: whatever is wanted is asked for.
        ("#3,,,Low", Decision::Change, Held::Value(DeviceValue::Normal)),
        ("#3,,,High", Decision::Change, Held::Value(DeviceValue::Normal)),
        ("#3,,,Normal", Decision::Change, Held::Unknown),
        ("#9,A,Add,", Decision::Unchanged, Held::Present),
    ];
    let high = MachineRecord { device_value: Some("high".into()), ..listed(2) };
    let inventory = inventory([tagged(1, &["A", "B"]), high, listed(3)]);
    for (row, decision, before) in table {
        let sheet = sheet(row);
        let plan = plan(&sheet, Some(&inventory), &recent, PlanSettings::default());
        assert_eq!(decided(&plan), [(decision, before)], "{row}");
    }
}

#[test]
fn tags_that_stand_there_in_another_case_are_counted() {
    let rows = "#1,a,Add,\n#1,b,Remove,\n#1,A,Add,\n#1,C,Remove,\n#2,a,Add,\npc1,\u{c9},Remove,\n";
    let inventory = inventory([tagged(1, &["A", "B", "\u{e9}"]), listed(2)]);
    let plan = plan(&sheet(rows), Some(&inventory), &RecentWrites::default(), PlanSettings::default());
    assert_eq!((plan.count(Decision::Change), plan.case_variants), (4, 3));
}

#[test]
fn a_limit_counts_what_would_be_changed_and_nothing_else() {
    use Decision::{BeyondLimit, Change, Unchanged, Unresolved};
    let inventory = tenant();
    let sheet = sheet("#1,A,Add,\nnobody,A,Add,\n#1,C,Add,Low\n#2,A,Add,High\n#9,A,Add,\n#1,B,Add,\n");
    let decisions = |limit| {
        let settings = PlanSettings { limit, ..PlanSettings::default() };
        plan(&sheet, Some(&inventory), &RecentWrites::default(), settings).decisions
    };
    let with_two = [Unchanged, Unresolved, Change, Change, BeyondLimit, Unchanged, BeyondLimit, Unchanged];
    assert_eq!(decisions(Some(2)), with_two);
    assert!(decisions(Some(0)).iter().all(|decision| *decision != Change));
    assert_eq!(decisions(Some(4)), decisions(None));
}

#[test]
fn removes_wait_where_the_same_machine_is_to_have_tags() {
    let inventory =
        inventory([tagged(1, &["Old"]), tagged(2, &["Old", "New"]), tagged(3, &["Old"]), tagged(4, &["Old"])]);
    let rows = "#1,Old,Remove,\n#1,New,Add,\n#2,Old,Remove,\n#2,New,Add,\n#3,Old,Remove,High\n#4,New,Add,\n\
                #9,Old,Remove,\n#9,New,Add,\nnobody,Old,Remove,\nnobody,New,Add,\n";
    let sheet = sheet(rows);
    let plan = plan(&sheet, Some(&inventory), &RecentWrites::default(), PlanSettings::default());
    // The second has its new tag already, which may not be so when the run is resumed; a value is no tag; of the last
    // nothing is sent anyway.
    assert_eq!(plan.swap_machines(), [true, true, false, false, true, true]);
}

#[test]
fn an_add_counts_before_the_remove_that_waits_for_it_and_guards_it_when_it_is_left_out() {
    let inventory = inventory([tagged(1, &["Old"])]);
    let sheet = sheet("#1,Old,Remove,\n#1,New,Add,\n");
    for (limit, decisions) in [
        (0, [Decision::BeyondLimit, Decision::BeyondLimit]),
        (1, [Decision::BeyondLimit, Decision::Change]),
        (2, [Decision::Change, Decision::Change]),
    ] {
        let settings = PlanSettings { limit: Some(limit), ..PlanSettings::default() };
        let plan = plan(&sheet, Some(&inventory), &RecentWrites::default(), settings);
        assert_eq!(plan.decisions, decisions);
        assert_eq!(plan.swap_machines(), [true], "or the machine would lose its only tag");
    }
}

/// The calls for so many listed and so many unlisted machines that get one tag.
fn calls_for(machines: u32, unlisted: u32, batch_limit: usize) -> CallsNeeded {
    let inventory = inventory((1..=machines).map(listed));
    let rows = (1..=machines + unlisted).map(|machine| format!("#{machine},A,Add,\n")).collect::<Vec<_>>().concat();
    plan(&sheet(&rows), Some(&inventory), &RecentWrites::default(), PlanSettings::default()).calls(batch_limit)
}

#[test]
fn calls_are_counted_as_they_are_packed() {
    let needed =
        |bulk, tags, unlisted, unlisted_worst_case| CallsNeeded { bulk, tags, value: 0, unlisted_worst_case, unlisted };
    let table = [
        ((0, 0, 500), needed(0, 0, 0, 0)),
        ((1, 0, 500), needed(0, 1, 0, 0)),
        ((2, 0, 500), needed(1, 0, 0, 0)),
        ((500, 0, 500), needed(1, 0, 0, 0)),
        ((501, 0, 500), needed(1, 1, 0, 0)),
        ((502, 0, 500), needed(2, 0, 0, 0)),
        ((1200, 0, 500), needed(3, 0, 0, 0)),
        ((7, 0, 3), needed(2, 1, 0, 0)),
        ((7, 0, 1), needed(0, 7, 0, 0)),
        // Those that the inventory lacks have calls of their own.
        ((499, 1, 500), needed(1, 1, 1, 1)),
        ((3, 2, 500), needed(2, 0, 1, 1 + 3)),
        ((0, 501, 500), needed(1, 1, 2, 2 + 751)),
        ((2, 2, 1), needed(0, 4, 2, 2)),
    ];
    for ((machines, unlisted, limit), expected) in table {
        assert_eq!(calls_for(machines, unlisted, limit), expected, "{machines} and {unlisted} by {limit}");
    }
}

#[test]
fn each_tag_and_action_has_calls_of_its_own_and_each_value_one() {
    let inventory = inventory((1..=4).map(|number| tagged(number, &["B"])));
    let rows = "#1,A,Add,High\n#2,A,Add,High\n#1,B,Remove,\n#2,B,Remove,\n#3,B,Remove,\n#4,C,Add,Low\n#1,C,Remove,\n\
                #4,B,Add,\n#9,,,High\n#8,B,Remove,High\n";
    let plan = plan(&sheet(rows), Some(&inventory), &RecentWrites::default(), PlanSettings::default());
    let expected = CallsNeeded { bulk: 2, tags: 2, value: 5, unlisted: 3, unlisted_worst_case: 3 };
    assert_eq!(plan.calls(500), expected);
}

proptest! {
    #[test]
    fn tag_calls_are_the_sum_of_what_each_tag_and_action_takes(
        machines in 1_u32..40,
        limit in 1_usize..12,
        rows in proptest::collection::vec((0_u32..60, 0_u8..4, any::<bool>()), 0..200),
    ) {
        let inventory = inventory((0..machines).map(listed));
        let mut asked: HashMap<(u32, u8), bool> = HashMap::new();
        let mut text = String::new();
        for (machine, tag, add) in rows {
            // The first word counts, so that nothing is contradicted.
            let add = *asked.entry((machine, tag)).or_insert(add);
            writeln!(text, "#{machine},t{tag},{},", if add { "Add" } else { "Remove" }).expect("text");
        }
        let plan = plan(&sheet(&text), Some(&inventory), &RecentWrites::default(), PlanSettings::default());
        // What no machine has need not be removed where the machine is known.
        let mut groups: HashMap<(u8, bool, bool), u64> = HashMap::new();
        for ((machine, tag), add) in asked {
            let unlisted = machine >= machines;
            if add || unlisted {
                *groups.entry((tag, add, unlisted)).or_default() += 1;
            }
        }
        let floor: u64 = groups.values().map(|count| count.div_ceil(limit as u64)).sum();
        let calls = plan.calls(limit);
        prop_assert_eq!(calls.bulk + calls.tags, floor);
        prop_assert_eq!(plan.count(Decision::Change), groups.values().sum::<u64>());
        prop_assert!(calls.unlisted <= calls.unlisted_worst_case);
    }
}

#[test]
fn a_machine_whose_add_is_in_error_keeps_its_tags() {
    let inventory = inventory([tagged(1, &["Old"]), tagged(2, &["Old"]), tagged(3, &["Old"]), tagged(4, &["Old"])]);
    let [one, two, three, four] = [1, 2, 3, 4].map(machine_id);
    let rows = [
        format!("{one},New,Ad,\n"),
        format!("{two},,Add,\n"),
        "pc3,A\tB,Add,\n".to_owned(),
        // Neither a remove nor a value in error is an add.
        format!("{four},,Remove,\n{four},,Set,Mid\n"),
        format!("{one},Old,Remove,\n{two},Old,Remove,\n{three},Old,Remove,\n{four},Old,Remove,\n"),
        format!("{one},,Set,High\n"),
    ];
    let text = format!("machineId,tag,action,value\n{}", rows.concat());
    let sheet = crate::input::read(text.as_bytes(), &crate::input::InputOptions::default()).expect("an input");
    assert_eq!(sheet.problems.len(), 5, "{:?}", sheet.problems);
    let plan = plan(&sheet, Some(&inventory), &RecentWrites::default(), PlanSettings::default());
    let (waits, goes) = (Decision::AddInError, Decision::Change);
    assert_eq!(plan.decisions, [waits, waits, waits, goes, goes]);
}

#[test]
fn machines_that_share_a_name_keep_their_tags_where_it_is_to_get_one() {
    let shared = |number| MachineRecord { computer_dns_name: Some("web1".into()), ..tagged(number, &["Old"]) };
    let inventory = inventory([shared(1), shared(2), tagged(3, &["Old"])]);
    for (row, expected) in [
        ("web1,New,Add,", [Decision::AddInError, Decision::AddInError, Decision::Change]),
        ("web1,Older,Remove,", [Decision::Change; 3]),
        ("web1,,Set,High", [Decision::Change; 3]),
    ] {
        let sheet = sheet(&format!("{row}\n#1,Old,Remove,\n#2,Old,Remove,\n#3,Old,Remove,\n"));
        let plan = plan(&sheet, Some(&inventory), &RecentWrites::default(), PlanSettings::default());
        assert_eq!(plan.decisions[1..], expected, "{row}");
    }
}

#[test]
fn more_removals_than_the_guard_allows_are_all_withheld_and_a_canary_does_not_nibble_at_them() {
    use Decision::{BeyondLimit, Change, Unchanged, Withheld};
    let inventory = inventory([tagged(1, &["A"]), tagged(2, &["A"]), tagged(3, &["A"]), listed(4)]);
    let rows = "#1,A,Remove,\n#2,A,Remove,\n#4,A,Remove,\n#3,A,Remove,High\n#1,B,Add,\n#2,B,Add,\n";
    let with = |bound, limit| {
        let guard = Guard { removals: Some(bound), ..Guard::default() };
        let settings = PlanSettings { limit, guard, ..PlanSettings::default() };
        plan(&sheet(rows), Some(&inventory), &RecentWrites::default(), settings)
    };
    let share = |count| Bound::Share { percent: 50, count };
    let withheld = [Withheld, Withheld, Unchanged, Withheld, Change, Change, Change];
    let free = [Change, Change, Unchanged, Change, Change, Change, Change];
    for (bound, expected) in
        [(share(2), withheld), (share(3), free), (Bound::Ceiling(2), withheld), (Bound::Ceiling(3), free)]
    {
        assert_eq!(with(bound, None).decisions, expected, "{bound:?}");
    }
    // What another guard lets go later waits for its adds, too.
    assert_eq!(with(share(2), None).swap_machines(), [true, true, false, false]);
    let canary = [Withheld, Withheld, Unchanged, Withheld, Change, BeyondLimit, BeyondLimit];
    assert_eq!(with(share(2), Some(1)).decisions, canary);
    // What only makes room is no removal, and neither is counted nor withheld.
    let guard = Guard { removals: Some(Bound::Ceiling(1)), ..Guard::default() };
    let settings = PlanSettings { guard, ..PlanSettings::default() };
    for (exchanges, expected) in
        [(vec![0, 1], [Change, Change, Unchanged, Change]), (vec![0], [Change, Withheld, Unchanged, Withheld])]
    {
        let mut sheet = sheet(rows);
        Arc::get_mut(&mut sheet.requests).expect("nobody else has them").exchanges = exchanges;
        let mut plan = plan(&sheet, Some(&inventory), &RecentWrites::default(), settings);
        assert_eq!(plan.decisions[..4], expected);
        plan.carry(|_| None, settings, 4);
        assert_eq!(plan.decisions[..4], expected, "nor where a run is joined");
    }
}
