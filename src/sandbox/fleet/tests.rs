use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn fleet(settings: &SandboxSettings, ids: &[&str]) -> Fleet {
    Fleet::new(settings, ids.iter().map(|id| SandboxMachine::new(*id)).collect(), NOW).expect("a fleet")
}

fn tags(fleet: &Fleet, id: &str) -> Vec<String> {
    fleet.describe(id).expect("a machine").tags
}

/// Places do not read; this tells the machine that was found.
fn shown(fleet: &Fleet, place: Option<Place>) -> Option<String> {
    place.and_then(|place| fleet.view(place, NOW)).map(|view| view.id.to_string())
}

#[test]
fn tags_are_unique_and_keep_the_order_of_adding() {
    let mut fleet = fleet(&SandboxSettings::default(), &["a"]);
    let place = fleet.writable("a", NOW).expect("alive");
    let now = Duration::ZERO;
    let table: [(Change<'_>, &[&str]); 7] = [
        (Change::AddTag("z"), &["z"]),
        (Change::AddTag("b"), &["z", "b"]),
        (Change::AddTag("z"), &["z", "b"]),
        (Change::AddTag("Z"), &["z", "b", "Z"]),
        (Change::RemoveTag("unheard of"), &["z", "b", "Z"]),
        (Change::RemoveTag("z"), &["b", "Z"]),
        (Change::AddTag("z"), &["b", "Z", "z"]),
    ];
    for (change, expected) in table {
        fleet.change(place, change, now);
        assert_eq!(tags(&fleet, "a"), expected, "{change:?}");
    }
    fleet.change(place, Change::SetDeviceValue(SandboxDeviceValue::High), now);
    assert_eq!(fleet.describe("a").expect("a machine").device_value, SandboxDeviceValue::High);
}

#[test]
fn a_machine_held_by_asset_rules_does_not_change() {
    let machine = SandboxMachine { held_by_rule: true, tags: vec!["kept".into()], ..SandboxMachine::new("a") };
    let mut fleet = Fleet::new(&SandboxSettings::default(), vec![machine], NOW).expect("a fleet");
    let place = fleet.writable("a", NOW).expect("writable");
    fleet.change(place, Change::RemoveTag("kept"), Duration::ZERO);
    fleet.change(place, Change::SetDeviceValue(SandboxDeviceValue::Low), Duration::ZERO);
    let machine = fleet.describe("a").expect("a machine");
    assert_eq!((machine.tags, machine.device_value), (vec!["kept".to_owned()], SandboxDeviceValue::Normal));
}

#[test]
fn the_dead_are_as_many_as_asked_for_and_reached_by_no_write() {
    for (dead, dead_listed, expected) in [
        (DeadMachines::Count(30), true, 30..31),
        (DeadMachines::Count(30), false, 30..31),
        (DeadMachines::Count(3000), true, 1000..1001),
        (DeadMachines::Share(0.1), false, 60..140),
        (DeadMachines::Share(1.0), true, 1000..1001),
    ] {
        let settings = SandboxSettings { made_up_machines: 1000, dead, dead_listed, ..SandboxSettings::default() };
        let mut fleet = fleet(&settings, &[]);
        let ids = fleet.ids();
        let dead_ids: Vec<_> = ids.iter().filter(|id| fleet.writable(id, NOW).is_none()).collect();
        assert!(expected.contains(&dead_ids.len()), "{dead:?} {}", dead_ids.len());
        for id in &dead_ids {
            assert_eq!(fleet.readable(id, NOW).is_some(), dead_listed);
        }
        let arrival = Arrival { uptime: Duration::ZERO, wall: NOW };
        let listed = fleet.listed(arrival, 0).count();
        assert_eq!(listed, if dead_listed { 1000 } else { 1000 - dead_ids.len() });
    }
}

#[test]
fn reads_find_ids_and_names_and_the_latest_of_several() {
    let machine = |id: &str, name: &str, second| SandboxMachine {
        computer_dns_name: Some(name.to_owned()),
        last_seen: Timestamp::new(second, 0).ok(),
        ..SandboxMachine::new(id)
    };
    let machines = vec![
        machine("old", "twin.contoso.example", 10),
        machine("new", "twin.contoso.example", 30),
        machine("middle", "twin.contoso.example", 20),
        machine("other", "other.contoso.example", 5),
    ];
    let mut fleet = Fleet::new(&SandboxSettings::default(), machines, NOW).expect("a fleet");
    for (text, expected) in [
        ("old", Some("old")),
        ("Twin.contoso.example", Some("new")),
        ("other.contoso.example", Some("other")),
        ("other", Some("other")),
        ("twin", None),
        ("1e5bc9d7e413ddd7902c2932e418702b84d0cc07", None),
    ] {
        let place = fleet.readable(text, NOW);
        assert_eq!(shown(&fleet, place).as_deref(), expected, "{text}");
    }
    let place = fleet.writable("twin.contoso.example", NOW);
    assert_eq!(shown(&fleet, place), None, "writes take ids only");
}

#[test]
fn any_well_formed_id_comes_into_being_only_where_asked_for() {
    let id = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
    for (any_machine, named, expected) in
        [(true, id, 1), (true, "name.contoso.example", 0), (true, "1e5b", 0), (false, id, 0)]
    {
        let mut fleet = fleet(&SandboxSettings { any_machine, ..SandboxSettings::default() }, &[]);
        assert_eq!(fleet.writable(named, NOW).is_some(), expected == 1, "{named}");
        assert_eq!(fleet.readable(named, NOW).is_some(), expected == 1, "{named}");
        assert_eq!(fleet.ids().len(), expected, "{named}");
    }
}

#[test]
fn ids_must_be_there_once() {
    for (ids, expected) in [(&["a", "b", "a"][..], "the id a is there twice"), (&["a", ""], "no id")] {
        let machines = ids.iter().map(|id| SandboxMachine::new(*id)).collect();
        let error = Fleet::new(&SandboxSettings::default(), machines, NOW).expect_err("bad ids");
        assert!(error.problem.contains(expected), "{error}");
    }
}

#[test]
fn a_false_404_never_comes_twice_in_a_row() {
    let mut fleet = fleet(&SandboxSettings::default(), &["a", "b"]);
    let [first, second] = ["a", "b"].map(|id| fleet.writable(id, NOW).expect("alive"));
    assert_eq!(
        [first, first, second, first, second].map(|place| fleet.hide_once(place)),
        [true, false, true, true, false]
    );
}

#[test]
fn the_list_lags_and_everything_else_does_not() {
    let lag = Duration::from_mins(1);
    let mut fleet = fleet(&SandboxSettings { list_lag: lag, ..SandboxSettings::default() }, &["a"]);
    let place = fleet.writable("a", NOW).expect("alive");
    let start = Duration::ZERO;
    let at = |seconds| start + Duration::from_secs(seconds);
    fleet.change(place, Change::AddTag("x"), at(10));
    fleet.change(place, Change::AddTag("y"), at(50));
    fleet.change(place, Change::RemoveTag("x"), at(90));
    assert_eq!(tags(&fleet, "a"), ["y"]);
    let table: [(u64, &[&str]); 6] =
        [(95, &["x"]), (109, &["x"]), (110, &["x", "y"]), (149, &["x", "y"]), (150, &["y"]), (900, &["y"])];
    for (seconds, expected) in table {
        let arrival = Arrival { uptime: at(seconds), wall: NOW };
        let seen: Vec<_> =
            fleet.listed(arrival, 0).flat_map(|view| view.machine_tags.iter().collect::<Vec<_>>()).collect();
        assert_eq!(seen, expected, "{seconds} s");
    }
}

#[test]
fn made_up_machines_are_found_by_their_names_and_one_that_was_installed_anew_has_left_its_own_to_another() {
    let mut fleet = fleet(&SandboxSettings { made_up_machines: 2000, ..SandboxSettings::default() }, &[]);
    let mut places: HashMap<String, Vec<Place>> = HashMap::new();
    for place in (0..2000).map(Place) {
        places.entry(fleet.computer_dns_name(place).to_ascii_lowercase()).or_default().push(place);
    }
    let twins = places.values().filter(|places| places.len() > 1).count();
    assert!((5..50).contains(&twins), "{twins} names on two records");
    for (name, places) in places {
        let found = fleet.readable(&name, NOW).expect("a machine");
        let last_seen = |place: &Place| fleet.records[place.0].last_seen;
        assert_eq!(Some(&found), places.iter().max_by_key(|place| last_seen(place)), "{name}: the latest of several");
    }
    for unknown in ["", "ber-wks-99999.corp.contoso.example", "wks", "0001", "ber-wks-0000"] {
        assert_eq!(fleet.readable(unknown, NOW), None, "{unknown}");
    }
}

#[test]
fn a_change_of_a_made_up_machine_begins_with_what_it_has() {
    let settings = SandboxSettings { made_up_machines: 100, ..SandboxSettings::default() };
    let mut fleet = fleet(&settings, &[]);
    let ids = fleet.ids();
    assert!(ids.iter().any(|id| tags(&fleet, id).len() > 1));
    let names: Vec<_> = (0..100).map(|place| fleet.computer_dns_name(Place(place)).into_owned()).collect();
    for id in &ids {
        let before = tags(&fleet, id);
        let place = fleet.writable(id, NOW).expect("alive");
        fleet.change(place, Change::AddTag("New"), Duration::ZERO);
        assert_eq!(tags(&fleet, id), [&before[..], &["New".to_owned()]].concat());
        fleet.change(place, Change::RemoveTag("New"), Duration::ZERO);
        assert_eq!(tags(&fleet, id), before);
    }
    let again: Vec<_> = (0..100).map(|place| fleet.computer_dns_name(Place(place)).into_owned()).collect();
    assert_eq!(again, names);
}
