//! What is said of a filter that cannot be used.

use std::fmt::Write as _;

use super::*;

const HEADER: [&str; 8] =
    ["DeviceName", "OS Platform", "os_platform", "lastSeen", "machineTags", "Tags", "riskScore", "Health Status"];

/// Everything that a person gets to see of an error.
fn told(filter: &str) -> String {
    let Err(error) = bound(filter, &HEADER) else { panic!("{filter:?} is a filter") };
    let mut told = format!("{error}\n");
    for line in error.excerpt().lines() {
        let _infallible = writeln!(told, "    {line}");
    }
    if let Some(hint) = error.hint() {
        let _infallible = writeln!(told, "hint: {hint}");
    }
    told
}

fn all_told(filters: &[&str]) -> String {
    filters.iter().map(|filter| told(filter)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_column_that_ends_with_the_unknown_name_is_meant_if_there_is_but_one() {
    assert!(told("Score > 1").contains("hint: did you mean riskScore?"), "{}", told("Score > 1"));
    assert!(told("Status == 'x'").contains("did you mean ['Health Status']?"), "{}", told("Status == 'x'"));
    assert!(!told("ags == 'x'").contains("did you mean machineTags"), "{}", told("ags == 'x'"));
    assert!(!told("e == 'x'").contains("did you mean"), "{}", told("e == 'x'"));
}

#[test]
fn signs_strings_and_numbers() {
    let told = all_told(&[
        "",
        "  // nothing",
        "DeviceName = 'x'",
        "DeviceName <> 'x'",
        "DeviceName == 'x' && lastSeen > now()",
        "DeviceName == 'x' || true",
        "!(DeviceName == 'x')",
        "DeviceName == “x”",
        "DeviceName == 'x' /* no */",
        "DeviceName == 'x' ; true",
        "lastSeen > now() - 30d",
        "OS-Platform == 'x'",
        "DeviceName == 'x",
        "DeviceName == 'two\nlines'",
        "DeviceName == @'x\\'' and",
        "DeviceName == @x",
        "DeviceName matches regex '\\d+'",
        "DeviceName == '\\u12'",
        "['OS Platform == 'x'",
        "[OSPlatform] == 'x'",
        "riskScore > 12x",
        "lastSeen > ago(30days)",
        "lastSeen > datetime(31.01.2026)",
        "lastSeen > datetime(2026-01-31",
        "lastSeen > ago(999999999d)",
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn places() {
    let told = all_told(&[
        "DeviceName",
        "DeviceName and true",
        "DeviceName == ",
        "DeviceName == Windows11",
        "DeviceName == tolower(lastSeen)",
        "'DeviceName' == 'x'",
        "'x' contains DeviceName",
        "lastSeen > 30d",
        "lastSeen > ago('30d')",
        "(DeviceName == 'x'",
        "DeviceName == 'x')",
        "DeviceName == 'x' DeviceName == 'y'",
        "not DeviceName == 'x'",
        "and DeviceName == 'x'",
        "DeviceName in 'x'",
        "DeviceName in ()",
        "DeviceName in ('x' 'y')",
        "riskScore between (1, 5)",
        "DeviceName matches 'x'",
        "isempty(DeviceName) == true",
        "isempty('x')",
        "isempty()",
        "set_has_element(machineTags)",
        "DeviceName == 'x' AND true",
        "DeviceName contians 'x'",
        "DeviceName hasprefix 'x'",
        "DeviceName like 'x%'",
        "OS Platform == 'x'",
        "isEmpty(DeviceName)",
        "isnull(DeviceName)",
        "to_lower(DeviceName) == 'x'",
        "lastSeen > ago(30d)\n  and DeviceNam == 'x' // over two lines",
    ]);
    insta::assert_snapshot!(told);
}

#[test]
fn types_columns_and_lists() {
    let told = all_told(&[
        "lastSeen > '2026-01-31'",
        "riskScore >= '5'",
        "DeviceName < 'm'",
        "DeviceName between ('a' .. 'm')",
        "riskScore contains 5",
        "riskScore =~ 5",
        "riskScore in~ (5)",
        "riskScore matches regex 5",
        "lastSeen startswith datetime(2026-01-31)",
        "DeviceName > true",
        "DeviceName in ('x', 5)",
        "riskScore between (1 .. now())",
        "tolower(DeviceName) == 5",
        "strlen(DeviceName) == 'x'",
        "array_length(Tags) == true",
        "set_has_element(Tags, 5)",
        "Tags has 'x'",
        "machineTags == 'x'",
        "machineTags in ('x')",
        "strlen(machineTags) > 5",
        "set_has_element(DeviceName, 'x')",
        "array_length(DeviceName) > 1",
        "ipv4_is_in_range(DeviceName, '10.0.0.0/33')",
        "ipv4_is_in_range(DeviceName, 'fe80::/10')",
        "ipv4_is_in_range(DeviceName, '10.0.0.0/+8')",
        "ipv4_is_in_range(Tags, '10.0.0.0/8')",
        "DeviceNaem == 'x'",
        "Quux == 'x'",
        "['OS Platfrom'] == 'x'",
        "HealthStats == 'x'",
        "OSPlatform == 'x'",
        "machine.lastSeen > now()",
        "DeviceName matches regex '('",
        "DeviceName matches regex '(a{1000}){1000}'",
        "['\u{1b}[31m'] == 'x'",
    ]);
    insta::assert_snapshot!(told);
}
