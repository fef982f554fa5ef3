use std::time::Instant;

use super::*;
use crate::sandbox::calls::Arrival;
use crate::sandbox::fleet::Fleet;
use crate::sandbox::settings::{SandboxDeviceValue, SandboxMachine, SandboxSettings};

fn fleet() -> Fleet {
    let moment = |text: &str| text.parse::<Timestamp>().ok();
    let machines = vec![
        SandboxMachine {
            computer_dns_name: Some("web1.contoso.example".into()),
            tags: vec!["Tier 0".into(), "O'Brien".into()],
            device_value: SandboxDeviceValue::High,
            os_platform: Some("WindowsServer2022".into()),
            group: Some("Servers".into()),
            last_seen: moment("2024-03-02T12:00:00Z"),
            ..SandboxMachine::new("a")
        },
        SandboxMachine {
            computer_dns_name: Some("web2.contoso.example".into()),
            tags: vec!["Tier 1".into()],
            os_platform: Some("BeOS".into()),
            group: Some("Servers".into()),
            last_seen: moment("2024-02-01T00:00:00Z"),
            ..SandboxMachine::new("b")
        },
        SandboxMachine {
            computer_dns_name: Some("desk.contoso.example".into()),
            os_platform: Some("Windows11".into()),
            group: Some("Desks".into()),
            last_seen: moment("2024-01-31T23:59:59Z"),
            ..SandboxMachine::new("c")
        },
    ];
    Fleet::new(&SandboxSettings::default(), machines, Timestamp::UNIX_EPOCH).expect("a fleet")
}

#[test]
fn a_filter_admits_the_machines_that_it_describes() {
    let wall = "2024-03-03T00:00:00Z".parse().expect("a timestamp");
    let now = Arrival { instant: Instant::now(), wall };
    let table = [
        ("id eq 'b'", "b"),
        ("computerDnsName eq 'web1.contoso.example'", "a"),
        ("computerDnsName eq 'WEB1.contoso.example'", ""),
        ("startswith(computerDnsName,'web')", "ab"),
        ("startswith(computerDnsName, 'web') and deviceValue ne 'High'", "b"),
        ("endswith(computerDnsName,'k.contoso.example')", "c"),
        ("contains(osPlatform,'Server')", "a"),
        ("machineTags/any(t: t eq 'Tier 0')", "a"),
        ("machineTags/any(tag:tag eq 'Tier 0' or tag eq 'Tier 1')", "ab"),
        ("machineTags/any(t: startswith(t,'Tier'))", "ab"),
        ("not machineTags/any(t: startswith(t,'Tier'))", "c"),
        ("machineTags/any(t: t eq 'O''Brien')", "a"),
        ("machineTags/any(t: t eq 'Tier 0' and id eq 'b')", ""),
        ("osPlatform in ('BeOS','Windows11')", "bc"),
        ("id in ('a')", "a"),
        ("healthStatus eq 'Active'", "a"),
        ("lastSeen gt 2024-01-31T23:59:59Z", "ab"),
        ("lastSeen ge 2024-01-31T23:59:59Z", "abc"),
        ("lastSeen lt 2024-02-01Z", "c"),
        ("lastSeen le 2024-02-01", "bc"),
        ("version eq null", "b"),
        ("version ne null", "ac"),
        ("version gt null", ""),
        ("version lt null", ""),
        ("version ge null", ""),
        ("isAadJoined eq true", "abc"),
        ("isAadJoined eq false", ""),
        ("rbacGroupName eq 'Desks' or rbacGroupName eq 'Servers' and id ne 'a'", "bc"),
        ("(rbacGroupName eq 'Desks' or rbacGroupName eq 'Servers') and id ne 'a'", "bc"),
        ("(rbacGroupName eq 'Desks' or rbacGroupName eq 'Servers') and not (id eq 'c')", "ab"),
        ("id eq 'a' or id eq 'b' and id eq 'c'", "a"),
        ("(id eq 'a' or id eq 'b') and id eq 'c'", ""),
    ];
    let fleet = fleet();
    for (text, expected) in table {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let seen: String =
            fleet.listed(now).filter(|machine| filter.admits(machine)).map(|machine| machine.id.to_string()).collect();
        assert_eq!(seen, expected, "{text}");
    }
}

#[test]
fn a_group_is_found_by_its_number() {
    let fleet = fleet();
    let now = Arrival { instant: Instant::now(), wall: Timestamp::UNIX_EPOCH };
    let number = fleet.listed(now).next().expect("a machine").rbac_group_id;
    let filter = Filter::parse(&format!("rbacGroupId eq {number}")).expect("a filter");
    assert_eq!(fleet.listed(now).filter(|machine| filter.admits(machine)).count(), 2);
}

#[test]
fn what_is_not_understood_is_named() {
    let deep = format!("{}id eq 'a'{}", "(".repeat(40), ")".repeat(40));
    let table = [
        ("", "the expression ends where a field"),
        ("nickname eq 'a'", "could not find a property named 'nickname'"),
        ("machineTags eq 'a'", "could not find a property named 'machineTags'"),
        ("t eq 'a'", "could not find a property named 't'"),
        ("machineTags/any(t: t eq 'a') and t eq 'b'", "could not find a property named 't'"),
        ("machineTags/any(t t eq 'a')", "found 't' where ':' is expected"),
        ("id = 'a'", "the character '='"),
        ("id is 'a'", "'is' is not one of eq, ne"),
        ("id eq", "the expression ends where a text"),
        ("id eq 5", "found '5' where a text in single quotes"),
        ("id eq 'a", "a text lacks its closing quote"),
        ("id eq 'a' id eq 'b'", "'id' is not expected after the end"),
        ("id eq 'a')", "')' is not expected after the end"),
        ("(id eq 'a'", "the expression ends where ')' is expected"),
        ("id in 'a'", "found the text 'a' where '(' is expected"),
        ("id in ('a' 'b')", "where ',' or ')' is expected"),
        ("lastSeen gt '2024-01-31'", "where a moment such as"),
        ("lastSeen gt 2024-13-31", "where a moment such as"),
        ("rbacGroupId eq 'a'", "where a whole number"),
        ("isAadJoined eq 'a'", "where true or false"),
        ("startswith(lastSeen,'2024')", "text fields only"),
        ("startswith(id 'a')", "where ',' is expected"),
        ("and", "could not find a property named 'and'"),
        (deep.as_str(), "nests deeper than 32"),
    ];
    for (text, expected) in table {
        let error = Filter::parse(text).map(|_| ()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let long = format!("id eq '{}'", "a".repeat(20_000));
    assert!(Filter::parse(&long).is_err_and(|error| error.to_string().contains("longer than")));
}
