use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::sandbox::made_up::id;

/// So many machines of the company.
fn machines(count: u64) -> impl Iterator<Item = CompanyMachine> {
    (0..count).map(|number| CompanyMachine::new(Particulars::of(&id(1, number)), None))
}

/// What is looked for, what it is, and how many in a hundred there are of it.
type Line<'line> = (&'line str, &'line dyn Fn(&CompanyMachine) -> bool, std::ops::Range<usize>);

#[test]
fn filters_and_rules_find_what_they_look_for() {
    let all: Vec<CompanyMachine> = machines(5000).collect();
    let share = |holds: &dyn Fn(&CompanyMachine) -> bool| all.iter().filter(|one| holds(one)).count() * 100 / all.len();
    let name = |machine: &CompanyMachine| machine.computer_dns_name(42).to_lowercase();
    let table: [Line<'_>; 12] = [
        ("Berlin or Munich by name", &|one| name(one).starts_with("ber-") || name(one).starts_with("muc-"), 35..46),
        ("servers by name", &|one| name(one).starts_with("srv-"), 19..26),
        ("Windows servers", &|one| one.platform().name.starts_with("WindowsServer"), 14..21),
        ("machines without tags", &|one| one.tags().next().is_none(), 15..35),
        ("machines of this site's tag", &|one| one.tags().any(|tag| tag == one.site.tag), 45..55),
        ("machines of the old scheme", &|one| one.tags().any(|tag| tag.starts_with("Standort-")), 4..9),
        ("machines silent for a month", &|one| one.silence() > 30 * DAY, 2..7),
        ("inactive ones", &|one| one.silence() > 7 * DAY, 7..14),
        ("machines that are not onboarded", &|one| one.onboarding_status() != "Onboarded", 4..9),
        ("machines of no group", &|one| one.group() == "UnassignedGroup", 2..7),
        ("machines without an Entra id", &|one| one.directory_device_id().is_none(), 15..30),
        ("machines of high risk", &|one| one.risk_score() == "High", 1..6),
    ];
    for (what, holds, expected) in table {
        assert!(expected.contains(&share(holds)), "{what}: {} in a hundred", share(holds));
    }
}

#[test]
fn some_tags_look_alike_and_are_not_the_same() {
    let tags: BTreeSet<&str> = machines(20_000).flat_map(CompanyMachine::tags).collect();
    for alike in [["Pilot", "pilot", "Ｐｉｌｏｔ"], ["Tier 1", "tier 1", "Ｔier 1"], ["Kiosk", "KIOSK", "Tier 0"]]
    {
        assert!(alike.iter().all(|tag| tags.contains(tag)), "{alike:?} of {tags:?}");
    }
}

#[test]
fn a_machines_address_is_of_its_site_and_a_servers_of_a_network_for_servers() {
    let mut networks: BTreeMap<&str, BTreeSet<u8>> = BTreeMap::new();
    for machine in machines(2000) {
        let [first, second, third, last] = machine.address().octets();
        assert_eq!((first, second), (10, machine.site.network));
        assert!((1..=254).contains(&last), "{machine:?}");
        let is_server = matches!(machine.role, Role::DomainController | Role::Server | Role::LinuxServer);
        assert_eq!(is_server, third < 32, "{machine:?}");
        networks.entry(machine.site.code).or_default().insert(machine.external_address().octets()[3]);
    }
    assert!(networks.len() == SITES.len() && networks.values().all(|one| one.len() == 1), "{networks:?}");
}

#[test]
fn a_given_name_tells_what_the_machine_is_and_where() {
    for (name, role, site) in [
        ("srv-ber-042", Role::Server, "ber"),
        ("MUC-WKS-0007.corp.contoso.example", Role::Workstation, "muc"),
        ("dc01.contoso.example", Role::DomainController, ""),
        ("web3", Role::Server, ""),
    ] {
        for seed in 0..20 {
            let machine = CompanyMachine::new(Particulars::of(&id(seed, 1)), Some(name));
            assert_eq!(machine.role, role, "{name}");
            assert!(site.is_empty() || machine.site.code == site, "{name}: {}", machine.site.code);
        }
    }
}
