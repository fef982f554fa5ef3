//! The examples of the manual, on rows of the exports that they are written for.

use super::*;

const TOPIC: &str = include_str!("../../help/filters.md");

/// A header, a row that is meant, and one that is not.
type Example = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// One for each example, in their order.
const EXAMPLES: [Example; 10] = [
    (
        &["Device ID", "OS Platform", "Last device update"],
        &["1", "WindowsServer2022", "2026-11-20T07:00:00.000Z"],
        &["2", "WindowsServer2022", "2026-09-01T07:00:00.000Z"],
    ),
    (&["Onboarding Status", "Health Status", "Tags"], &["Onboarded", "Active", ""], &["Onboarded", "Active", "Tier 0"]),
    (
        &["Device Name", "Domain"],
        &["dc01.corp.example.com", "CORP.example.com"],
        &["web01.corp.example.com", "corp.example.com"],
    ),
    (&["Tags", "Risk Level", "Exposure Level"], &["PCI,Tier 0", "Low", "Medium"], &["PCI,Tier 01", "Low", "Medium"]),
    (&["IsInternetFacing", "OSBuild"], &["True", "17763"], &["True", "22631"]),
    (
        &["Timestamp", "PublicIP"],
        &["2026-03-31T23:00:00.0000000Z", "198.51.100.7"],
        &["2026-03-31T23:00:00.0000000Z", "192.0.2.7"],
    ),
    (
        &["DeviceManualTags"],
        &["[\"SITE-BER\",\"PCI\",\"Tier 1\",\"Kiosk\"]"],
        &["[\"BER\",\"PCI\",\"Tier 1\",\"Kiosk\"]"],
    ),
    (&["Ownership", "Last check-in"], &["Corporate", "2026-11-01 10:00:00"], &["Corporate", "2026-11-20 10:00:00"]),
    (&["accountEnabled", "operatingSystem"], &["true", "Windows"], &["true", "Android"]),
    (&["computerDnsName", "rbacGroupName"], &["srv-ber-042", "Servers"], &["srv-bern-042", "Servers"]),
];

#[test]
fn the_examples_of_the_manual_select_what_they_say() {
    let blocks: Vec<&str> = TOPIC.split("```kql\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(blocks.len(), EXAMPLES.len());
    for (filter, (header, meant, other)) in blocks.into_iter().zip(EXAMPLES) {
        assert!(selects(filter, header, meant), "{filter} on {meant:?}");
        assert!(!selects(filter, header, other), "{filter} on {other:?}");
    }
}

#[test]
fn the_manual_names_every_operator_and_function() {
    let words =
        ["==", "!=", "=~", "!~", "<", "<=", ">", ">=", "in", "in~", "!in", "!in~", "between (a .. b)", "matches regex"];
    let functions =
        ["isempty", "isnotempty", "tolower", "strlen", "ago", "now", "datetime", "set_has_element", "array_length"];
    for word in words {
        assert!(TOPIC.contains(&format!("`{word}`")) || TOPIC.contains(&format!("`{word} (")), "{word}");
    }
    for function in functions.into_iter().chain(["ipv4_is_in_range", "not"]) {
        assert!(TOPIC.contains(&format!("`{function}(")), "{function}");
    }
}
