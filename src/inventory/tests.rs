use jiff::Timestamp;

use super::*;
use crate::model::{DeviceValue, MachineId, MachineRecord};

const ID: &str = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";

fn named(id: &str, name: &str, last_seen: &str) -> MachineRecord {
    let text = |text: &str| (!text.is_empty()).then(|| text.into());
    MachineRecord {
        id: id.into(),
        computer_dns_name: text(name),
        last_seen: text(last_seen),
        ..MachineRecord::default()
    }
}

fn inventory(machines: impl IntoIterator<Item = MachineRecord>) -> Inventory {
    Inventory::from_machines(Timestamp::UNIX_EPOCH, machines)
}

/// The ids of the machines that a name finds.
fn found(inventory: &Inventory, name: &str) -> Vec<String> {
    let positions = match inventory.find_name(name) {
        NameMatch::None => Vec::new(),
        NameMatch::One(position) => vec![position],
        NameMatch::Several(positions) => positions,
    };
    ids(inventory, &positions)
}

fn ids(inventory: &Inventory, positions: &[MachinePosition]) -> Vec<String> {
    positions.iter().map(|position| inventory.machine(*position).expect("a machine").id().to_string()).collect()
}

#[test]
fn a_machine_is_found_by_its_id_in_any_case_and_an_odd_id_exactly() {
    let inventory = inventory([named("Odd Id", "", ""), named(&ID.to_uppercase(), "", "")]);
    let find = |text: &str| inventory.find(&MachineId::from_service(text)).map(MachinePosition::index);
    assert_eq!((find(ID), find(&ID.to_uppercase())), (Some(1), Some(1)));
    assert_eq!((find("Odd Id"), find("odd id"), find("")), (Some(0), None, None));
    let machine = inventory.look_up(&MachineId::from_service(ID)).expect("a machine");
    assert_eq!((machine.id().to_string().as_str(), machine.position().index()), (ID, 1));
    assert_eq!(inventory.machines().map(|machine| machine.id().to_string()).collect::<Vec<_>>(), ["Odd Id", ID]);
}

#[test]
fn a_machine_that_is_shown_twice_holds_what_it_was_shown_with_last() {
    let shown = |tags: &[&str], value: &str| MachineRecord {
        machine_tags: Some(tags.iter().map(|tag| (*tag).into()).collect()),
        device_value: Some(value.into()),
        ..named(ID, "pc1", "")
    };
    let inventory = inventory([shown(&["A", "B"], "Low"), named("other", "", ""), shown(&["B"], "High")]);
    let machine = inventory.look_up(&MachineId::from_service(ID)).expect("a machine");
    assert_eq!((inventory.len(), machine.tags().collect::<Vec<_>>()), (2, vec!["B"]));
    assert_eq!((machine.device_value_text(), machine.name()), (Some("High"), Some("pc1")));
    assert_eq!(found(&inventory, "pc1"), [ID]);
    // Nor does it count twice, in whichever of two showings, or twice in one.
    let counts = inventory.tag_counts();
    assert_eq!(counts.iter().collect::<Vec<_>>(), [("B", 1)]);
    assert_eq!((counts.of("A"), counts.of("B"), counts.of("C")), (0, 1, 0));
    let twice = super::Inventory::from_machines(
        Timestamp::UNIX_EPOCH,
        [shown(&["A", "B", "A"], "Low"), MachineRecord { id: "other".into(), ..shown(&["A"], "Low") }],
    );
    assert_eq!(twice.tag_counts().iter().collect::<Vec<_>>(), [("A", 2), ("B", 1)]);
}

#[test]
fn pages_that_overlap_take_no_more_memory() {
    let machine = MachineRecord { machine_tags: Some(vec!["A".into(), "B".into()]), ..named(ID, "pc1", "") };
    let mut builder = InventoryBuilder::new();
    builder.add(&machine);
    let before = builder.memory_bytes();
    assert!(!builder.add(&machine));
    assert_eq!(builder.memory_bytes(), before);
}

#[test]
fn what_the_service_showed_is_kept_and_what_it_did_not_show_is_unknown() {
    let full = MachineRecord {
        os_platform: Some("Windows11".into()),
        rbac_group_name: Some("Kiosks".into()),
        health_status: Some("Active".into()),
        machine_tags: Some(vec!["Tier 0".into(), "x".into()]),
        device_value: Some("high".into()),
        ..named("a", "PC1.Contoso.example", "2018-08-02T14:55:03.7791856Z")
    };
    let odd = MachineRecord { machine_tags: Some(Vec::new()), device_value: Some("Odd".into()), ..named("b", "", "x") };
    let inventory = inventory([full, odd, named("c", "", "")]);
    let machines: Vec<ListedMachine<'_>> = inventory.machines().collect();
    let [full, odd, bare] = machines.as_slice() else { panic!("three machines") };
    assert_eq!((full.name(), full.os_platform()), (Some("PC1.Contoso.example"), Some("Windows11")));
    assert_eq!((full.group(), full.health()), (Some("Kiosks"), Some("Active")));
    assert_eq!(full.last_seen().map(Timestamp::as_microsecond), Some(1_533_221_703_779_185));
    assert_eq!(full.tags().collect::<Vec<_>>(), ["Tier 0", "x"]);
    assert_eq!(
        [full.has_tag("Tier 0"), full.has_tag("tier 0"), full.has_tag("High")],
        [Some(true), Some(false), Some(false)]
    );
    assert_eq!((full.device_value(), full.device_value_text()), (Some(DeviceValue::High), Some("high")));
    assert_eq!((odd.has_tag("x"), odd.device_value(), odd.device_value_text()), (Some(false), None, Some("Odd")));
    assert_eq!((odd.last_seen(), odd.name(), odd.position().index()), (None, None, 1));
    assert_eq!((bare.has_tag("x"), bare.tags().count(), bare.device_value_text()), (None, 0, None));
    assert_eq!((bare.os_platform(), bare.group(), bare.health()), (None, None, None));
}

#[test]
fn a_name_finds_every_record_that_bears_it() {
    let inventory = inventory([
        named("a", "pc1.contoso.example", "2024-01-01T00:00:00Z"),
        named("b", "PC1.CONTOSO.EXAMPLE.", "2024-03-01T00:00:00Z"),
        named("c", "pc1", ""),
        named("d", "pc1.fabrikam.example", "2024-02-01T00:00:00Z"),
        named("e", "pc10.contoso.example", ""),
        named("f", "PC2.contoso.example", ""),
        named("g", "Größe.contoso.example", ""),
        named("h", "", ""),
        named("i", ".contoso.example", ""),
    ]);
    let table: &[(&str, &[&str])] = &[
        ("pc1.contoso.example", &["b", "a"]),
        ("Pc1.Contoso.Example.", &["b", "a"]),
        ("pc1.fabrikam.example", &["d"]),
        ("pc1", &["b", "d", "a", "c"]),
        ("PC10", &["e"]),
        ("pc2", &["f"]),
        ("pc2.contoso.example", &["f"]),
        ("pc2.contoso", &[]),
        ("pc", &[]),
        ("Größe", &["g"]),
        ("grÖße", &[]),
        ("contoso", &[]),
    ];
    for (name, expected) in table {
        assert_eq!(found(&inventory, name), *expected, "{name}");
    }
    assert_eq!(ids(&inventory, &inventory.similar_names("PC1.elsewhere.example")), ["b", "d", "a", "c"]);
    assert_eq!(inventory.similar_names("pc3.contoso.example"), []);
}

#[test]
fn of_records_with_one_id_the_first_counts() {
    let inventory = inventory([named(ID, "first", ""), named(&ID.to_uppercase(), "second", "")]);
    assert_eq!((inventory.len(), found(&inventory, "first").len(), found(&inventory, "second").len()), (1, 1, 0));
}

#[test]
fn a_name_that_nobody_can_type_is_no_name() {
    let long = "x".repeat(70_000);
    let inventory = inventory([named("a", &long, ""), named("b", "pc1", "")]);
    assert_eq!(inventory.machines().map(|machine| machine.name()).collect::<Vec<_>>(), [None, Some("pc1")]);
}

/// Machines as large tenants have them: a full name, two or three of a few hundred tags.
fn large_tenant(count: u32) -> Inventory {
    let platforms = ["Windows10", "Windows11", "WindowsServer2022", "Linux", "macOS"];
    let machines = (0..count).map(|number| MachineRecord {
        os_platform: Some(platforms[number as usize % platforms.len()].into()),
        rbac_group_name: Some(format!("group {}", number % 300).into()),
        health_status: Some("Active".into()),
        machine_tags: Some((0..2 + number % 2).map(|tag| format!("tag {}", (number + tag) % 400).into()).collect()),
        device_value: Some("Normal".into()),
        ..named(&format!("{number:040x}"), &format!("desktop-{number:07}.emea.contoso.example"), "2024-01-01T00:00:00Z")
    });
    inventory(machines)
}

#[test]
fn a_machine_takes_less_than_200_bytes() {
    let count = 50_000;
    let inventory = large_tenant(count);
    let bytes = inventory.memory_bytes() / count as usize;
    assert!(bytes <= 200, "{bytes} bytes a machine");
    assert_eq!(found(&inventory, "DESKTOP-0031337").len(), 1);
}

#[test]
fn more_memory_than_a_large_tenant_takes_is_not_filled() {
    // A million machines with ten tags of a few thousand each, by the fiftieth part of them.
    let mut builder = InventoryBuilder::new();
    for number in 0..20_000 {
        let tags = (0..10).map(|tag| format!("tag {}", (number * 7 + tag * 13) % 3_000).into()).collect();
        let id = format!("{number:040x}");
        let name = format!("desktop-{number:07}.emea.contoso.example");
        builder.add(&MachineRecord { machine_tags: Some(tags), ..named(&id, &name, "") });
    }
    let limit = builder::MEMORY_MAXIMUM_BYTES;
    let bytes = builder.memory_bytes() * 50;
    assert!(bytes < limit, "a million machines take {bytes} bytes");

    let kinds: [fn(u32) -> MachineRecord; 3] = [
        |number| named(&format!("{number:040x}"), &"n".repeat(1_000), ""),
        |number| MachineRecord {
            machine_tags: Some((0..1_000).map(|tag| format!("{number} {tag}").into()).collect()),
            ..named(&format!("{number:040x}"), "", "")
        },
        |number| named(&format!("{number:064}"), "", ""),
    ];
    let limit = limit / 64;
    for (kind, machine) in kinds.into_iter().enumerate() {
        let mut builder = InventoryBuilder::within(limit);
        let mut add = |number| MachineSink::take(&mut builder, &machine(number));
        let refused = (0..100_000).map(&mut add).find_map(Result::err).expect("it is full some time");
        assert_eq!(refused.kind(), std::io::ErrorKind::OutOfMemory);
        let bytes = builder.finish(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).memory_bytes();
        assert!(bytes < limit + limit / 8, "{kind}: {bytes} bytes");
    }
}
