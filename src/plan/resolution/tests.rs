//! Which machine a row means, in every way to write it.

use super::*;
use crate::model::MachineRecord;
use crate::plan::fixtures::{id, inventory, listed, named, sheet};

/// A resolution of rows that each name one machine.
fn resolved(machines: &[&str], inventory: Option<&Inventory>) -> Resolution {
    let rows = machines.iter().map(|machine| format!("{machine},a,Add,\n")).collect::<Vec<_>>().concat();
    Resolution::of(&sheet(&rows).requests, inventory)
}

fn tenant() -> Inventory {
    inventory([
        listed(1),
        named(2, "db.contoso.example", "2026-01-02T03:04:05Z"),
        named(3, "DB.fabrikam.example", "2026-02-03T04:05:06Z"),
        MachineRecord { id: "legacy-4".into(), ..listed(4) },
    ])
}

#[test]
fn every_way_to_write_a_machine_leads_where_it_should() {
    let inventory = tenant();
    let listed = |id: &str| {
        let position = inventory.find(&MachineId::from_service(id)).expect("a machine of the tenant");
        Some(ResolvedMachine::Listed(position))
    };
    let table = [
        ("#1", listed(&id(1))),
        ("#9", Some(ResolvedMachine::Unlisted(ReferenceNumber(0)))),
        ("pc1", listed(&id(1))),
        ("PC1.CONTOSO.example", listed(&id(1))),
        ("pc1.contoso.example.", listed(&id(1))),
        ("pc1.fabrikam.example", None),
        ("db.contoso.example", listed(&id(2))),
        ("db", None),
        ("legacy-4", listed("legacy-4")),
        // An id is nothing but itself.
        ("LEGACY-4", None),
        ("pc9", None),
    ];
    for (written, expected) in table {
        let resolution = resolved(&[written], Some(&inventory));
        let machine = resolution.machine(resolution.number(ReferenceNumber(0)));
        match expected {
            Some(expected) => assert_eq!(machine, Some(&expected), "{written}"),
            None => assert_eq!(machine, Some(&ResolvedMachine::Unresolved(ReferenceNumber(0))), "{written}"),
        }
        assert_eq!(
            resolution.failure(ReferenceNumber(0)).is_none(),
            machine != Some(&ResolvedMachine::Unresolved(ReferenceNumber(0))),
            "{written}"
        );
    }
}

#[test]
fn without_an_inventory_ids_are_taken_at_their_word_and_names_lead_nowhere() {
    let resolution = resolved(&["#1", "pc1"], None);
    assert_eq!(resolution.machine(MachineNumber(0)), Some(&ResolvedMachine::Unread(ReferenceNumber(0))));
    assert_eq!(resolution.machine(MachineNumber(1)), Some(&ResolvedMachine::Unresolved(ReferenceNumber(1))));
    assert_eq!((resolution.names_resolved(), resolution.names_unresolved()), (0, 1));
}

#[test]
fn all_spellings_of_one_machine_have_one_number() {
    let inventory = tenant();
    let written = ["pc1", "#2", "#1", "pc1.contoso.example", "#9", "db", "legacy-4", "pc4", "nobody"];
    let resolution = resolved(&written, Some(&inventory));
    let numbers: Vec<u32> = (0..9).map(|position| resolution.number(ReferenceNumber(position)).0).collect();
    assert_eq!(numbers, [0, 1, 0, 0, 2, 3, 4, 4, 5]);
    assert_eq!((resolution.len(), resolution.is_empty()), (6, false));
    // `legacy-4` is an id, whatever it looks like.
    assert_eq!((resolution.names_resolved(), resolution.names_unresolved()), (3, 2));
    assert_eq!(resolution.number(ReferenceNumber(9)), MachineNumber(u32::MAX));
}

#[test]
fn a_failure_lists_the_candidates_the_latest_first_and_not_all_of_them() {
    let twins = (10..18).map(|number| named(number, "twin.contoso.example", &format!("2026-01-{number}T00:00:00Z")));
    let unseen = MachineRecord { last_seen: None, ..named(20, "ghost.contoso.example", "") };
    let inventory = inventory([unseen].into_iter().chain(twins));
    let cut = &id(10)[..39];
    let resolution =
        resolved(&["twin", "ghost.fabrikam.example", "nobody", cut, "4.2E+39", "\u{202e}odd"], Some(&inventory));
    let described: Vec<String> = (0..6)
        .map(|position| {
            let (code, message) = resolution.describe_failure(ReferenceNumber(position), Some(&inventory));
            format!("{code}: {message}")
        })
        .collect();
    insta::assert_snapshot!(described.join("\n"), @r#"
    machine_ambiguous: 8 machines are called "twin": 0000000000000000000000000000000000000011 (twin.contoso.example, last seen 2026-01-17 00:00 UTC), 0000000000000000000000000000000000000010 (twin.contoso.example, last seen 2026-01-16 00:00 UTC), 000000000000000000000000000000000000000f (twin.contoso.example, last seen 2026-01-15 00:00 UTC), 000000000000000000000000000000000000000e (twin.contoso.example, last seen 2026-01-14 00:00 UTC), 000000000000000000000000000000000000000d (twin.contoso.example, last seen 2026-01-13 00:00 UTC), and 3 more; give the id of one of them
    machine_not_found: no machine of the tenant's list is called "ghost.fabrikam.example"; similar: 0000000000000000000000000000000000000014 (ghost.contoso.example, never seen)
    machine_not_found: no machine of the tenant's list is called "nobody"
    machine_not_found: no machine of the tenant's list is called "000000000000000000000000000000000000000"
    machine_not_found: no machine of the tenant's list is called "4.2E+39"
    machine_not_found: no machine of the tenant's list is called "\u{202e}odd"
    "#);
}
