//! Every operator and function, on a column `x` of texts and a column `machineTags` of lists.

use super::*;

fn assert_table(table: &[(&str, &str, bool)]) {
    for (filter, cell, expected) in table {
        assert_eq!(selects(filter, &["x"], &[cell]), *expected, "{filter} on {cell:?}");
    }
}

#[test]
fn equality_is_exact_and_resemblance_is_not() {
    assert_table(&[
        ("x == 'Active'", "Active", true),
        ("x == 'Active'", "active", false),
        ("x == 'Active'", "  Active ", true),
        ("x == 'Active'", "", false),
        ("x == ''", "", true),
        ("x == ''", "  ", true),
        ("x != 'Active'", "active", true),
        ("x != 'Active'", "Active", false),
        ("x != 'Active'", "", true),
        ("x =~ 'Active'", "ACTIVE", true),
        ("x =~ 'ACTIVE'", "active", true),
        ("x =~ 'Active'", "Inactive", false),
        ("x =~ 'größe'", "GRöSSE", false),
        ("x =~ 'ä'", "Ä", false),
        ("x !~ 'Active'", "ACTIVE", false),
        ("x !~ 'Active'", "Inactive", true),
        ("'Active' == x", "Active", true),
        ("'active' =~ x", "ACTIVE", true),
        ("'Active' != x", "Active", false),
    ]);
}

#[test]
fn order_is_that_of_numbers_and_dates() {
    assert_table(&[
        ("x < 5", "4.9", true),
        ("x < 5", "5", false),
        ("x <= 5", "5.0", true),
        ("x <= 5", "5.1", false),
        ("x > 5", "10", true),
        ("x > 5", "5", false),
        ("x > -5", "-4", true),
        ("x >= 1e3", "1000", true),
        ("x >= 5", "4", false),
        ("x == 5", "5.0", true),
        ("x == 5", "05", true),
        ("x != 5", "6", true),
        ("x != 5", "5", false),
        ("5 < x", "6", true),
        ("5 >= x", "6", false),
        ("x == 9007199254740993", "9007199254740992", false),
        ("x > datetime(2026-01-31)", "2026-01-31T00:00:01Z", true),
        ("x > datetime(2026-01-31)", "2026-01-31", false),
        ("x >= datetime(2026-01-31)", "2026-01-31", true),
        ("x == datetime(2026-01-31 08:00)", "2026-01-31T10:00:00+02:00", true),
        ("x < datetime('2026-01-31')", "2026-01-30 23:59:59", true),
        ("x != datetime(2026-01-31)", "2026-01-31", false),
        ("x > ago(30d)", "2026-10-27T12:00:01Z", true),
        ("x > ago(30d)", "2026-10-27T12:00:00Z", false),
        ("x > ago(1.5h)", "2026-11-26 10:31", true),
        ("x < now()", "2026-11-26 11:59:59.999", true),
        ("x <= now(-1d)", "2026-11-25 12:00", true),
        ("x < now(1d)", "2026-11-27 11:00", true),
        ("ago(30d) < x", "2026-11-01", true),
        ("x == true", "True", true),
        ("x == true", "1", true),
        ("x == false", "FALSE", true),
        ("x != true", "false", true),
        ("true == x", "true", true),
    ]);
}

#[test]
fn what_does_not_parse_is_false_and_its_negation_true() {
    for filter in [
        "x == 5",
        "x != 5",
        "x < 5",
        "x >= 5",
        "x in (5, 6)",
        "x !in (5, 6)",
        "x between (1 .. 9)",
        "x !between (1 .. 9)",
        "x > ago(30d)",
        "x != datetime(2026-01-31)",
        "x == true",
        "x != true",
        "x !in (true)",
        "ipv4_is_in_range(x, '0.0.0.0/0')",
    ] {
        for cell in ["", "n/a", "5 apples", "Infinity", "NaN", "31.01.2026", "yes", "fe80::1"] {
            assert!(!selects(filter, &["x"], &[cell]), "{filter} on {cell:?}");
            assert!(selects(&format!("not({filter})"), &["x"], &[cell]), "not({filter}) on {cell:?}");
        }
    }
    let filter = bound("x > 5 or x < 0 or y == 1", &["x", "y"]).expect("a filter");
    let mut unread = Unread::default();
    for row in [["7", "-"], ["n/a\u{1b}", "1"], ["", "?"], ["1", ""], ["old", "1"]] {
        filter.selects(&row[..], &mut unread);
    }
    let notes: Vec<String> = filter.unread_cells(&unread).iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "3 cells are not a number in x, so the filter's comparisons with them are false; 1 is empty, and the first \
             other is \"n/a\\u{1b}\"",
            "2 cells are not a number in y, so the filter's comparisons with them are false; 1 is empty, and the first \
             other is \"?\"",
        ]
    );
}

#[test]
fn lists_and_ranges_of_values() {
    assert_table(&[
        ("x in ('a', 'B')", "B", true),
        ("x in ('a', 'B')", "b", false),
        ("x in ('a')", "", false),
        ("x in ('a', '')", "", true),
        ("x !in ('a', 'B')", "b", true),
        ("x !in ('a', 'B')", "a", false),
        ("x in~ ('a', 'B')", "b", true),
        ("x in~ ('a', 'B')", "A", true),
        ("x in~ ('a', 'B')", "c", false),
        ("x !in~ ('a', 'B')", "A", false),
        ("x !in~ ('a', 'B')", "c", true),
        ("x in (1, 2, 3)", "2.0", true),
        ("x !in (1, 2, 3)", "4", true),
        ("x in (datetime(2026-01-31), now())", "2026-01-31 00:00", true),
        ("x in (true)", "TRUE", true),
        ("x between (1 .. 5)", "1", true),
        ("x between (1 .. 5)", "5", true),
        ("x between (1..5)", "5.5", false),
        ("x between (1.5..2.5)", "2.5", true),
        ("x between (5 .. 1)", "3", false),
        ("x !between (1 .. 5)", "6", true),
        ("x !between (1 .. 5)", "3", false),
        ("x between (ago(7d)..now())", "2026-11-20", true),
        ("x between (datetime(2026-01-01) .. datetime(2026-02-01))", "2026-02-01T00:00:01Z", false),
    ]);
}

#[test]
fn pieces_of_texts_count_in_either_case_but_for_the_cs_forms() {
    assert_table(&[
        ("x contains 'Server'", "windowsserver2022", true),
        ("x contains 'client'", "WindowsServer", false),
        ("x contains ''", "", true),
        ("x !contains 'server'", "WindowsServer", false),
        ("x !contains 'server'", "", true),
        ("x contains_cs 'Server'", "WindowsServer", true),
        ("x contains_cs 'server'", "WindowsServer", false),
        ("x !contains_cs 'server'", "WindowsServer", true),
        ("x startswith 'SRV-'", "srv-ber-042", true),
        ("x startswith 'srv-'", "xsrv-", false),
        ("x startswith 'ö'", "öl", true),
        ("x startswith 'srv-ber'", "srv", false),
        ("x !startswith 'srv'", "SRV-1", false),
        ("x !startswith 'srv'", "web-1", true),
        ("x startswith_cs 'srv'", "SRV-1", false),
        ("x startswith_cs 'SRV'", "SRV-1", true),
        ("x !startswith_cs 'srv'", "SRV-1", true),
        ("x endswith '.Local'", "a.LOCAL", true),
        ("x endswith '.local'", "a.local.", false),
        ("x endswith 'long'", "g", false),
        ("x !endswith '.local'", "a.LOCAL", false),
        ("x endswith_cs '.local'", "a.LOCAL", false),
        ("x endswith_cs '.LOCAL'", "a.LOCAL", true),
        ("x !endswith_cs '.local'", "a.LOCAL", true),
    ]);
}

#[test]
fn has_matches_whole_terms() {
    assert_table(&[
        ("x has 'america'", "North America", true),
        ("x has 'amer'", "North America", false),
        ("x has 'ber'", "srv-BER-042", true),
        ("x has 'ber'", "srv_ber_042", true),
        ("x has 'ber'", "srv-ber042", false),
        ("x has 'ber'", "bern ber", true),
        ("x has 'ber-042'", "srv-ber-042", true),
        ("x has 'ber-042'", "srv-ber-0420", false),
        ("x has 'a-a'", "xa-a-a", true),
        ("x has 'a-a'", "xa-ax", false),
        ("x has '42'", "42", true),
        ("x has 'größe'", "die größe", true),
        ("x has 'gr'", "größe", false),
        ("x has '-'", "a-b", true),
        ("x !has 'ber'", "srv-ber-1", false),
        ("x !has 'ber'", "bern", true),
        ("x !has 'ber'", "", true),
        ("x has_cs 'BER'", "srv-BER-1", true),
        ("x has_cs 'ber'", "srv-BER-1", false),
        ("x !has_cs 'ber'", "srv-BER-1", true),
    ]);
}

#[test]
fn patterns_are_found_anywhere_and_case_counts() {
    assert_table(&[
        ("x matches regex '^(ber|muc)-'", "ber-1", true),
        ("x matches regex '^(ber|muc)-'", "BER-1", false),
        ("x matches regex '(?i)^(ber|muc)-'", "BER-1", true),
        ("x matches regex @'\\d{3}$'", "srv-042", true),
        ("x matches regex '\\\\d{3}$'", "srv-042", true),
        ("x matches regex 'b'", "abc", true),
        ("x matches regex 'é'", "cafés", true),
    ]);
}

#[test]
fn functions_measure_lower_and_ask() {
    assert_table(&[
        ("isempty(x)", "", true),
        ("isempty(x)", " \t", true),
        ("isempty(x)", "0", false),
        ("isnotempty(x)", "0", true),
        ("isnotempty(x)", "", false),
        ("tolower(x) == 'größe'", "GRÖSSE", false),
        ("tolower(x) == 'grösse'", "GRÖSSE", true),
        ("tolower(x) == 'A'", "A", false),
        ("tolower(x) in ('a', 'b')", "B", true),
        ("tolower(x) startswith_cs 'srv'", "SRV-1", true),
        ("tolower(x) contains 'Ö'", "KÖLN", false),
        ("x == tolower('ABC')", "abc", true),
        ("strlen(x) == 5", "größe", true),
        ("strlen(x) > 0", "", false),
        ("strlen(x) between (2 .. 3)", "漢字", true),
        ("10 > strlen(x)", "short", true),
        ("ipv4_is_in_range(x, '10.0.0.0/8')", "10.255.0.1", true),
        ("ipv4_is_in_range(x, '10.0.0.0/8')", "11.0.0.1", false),
        ("ipv4_is_in_range(x, '10.1.2.3/8')", "10.9.9.9", true),
        ("ipv4_is_in_range(x, '192.168.1.77')", "192.168.1.77", true),
        ("ipv4_is_in_range(x, '192.168.1.77')", "192.168.1.78", false),
        ("ipv4_is_in_range(x, '0.0.0.0/0')", "203.0.113.9", true),
        ("not(ipv4_is_in_range(x, '10.0.0.0/31'))", "10.0.0.2", true),
    ]);
}

#[test]
fn lists_in_cells() {
    let json = [
        ("isempty(machineTags)", "", true),
        ("isempty(machineTags)", "[]", true),
        ("isempty(machineTags)", " [ ] ", true),
        ("isempty(machineTags)", "[\"\"]", false),
        ("isempty(machineTags)", "Tier 0", false),
        ("isnotempty(machineTags)", "[\"Tier 0\"]", true),
        ("isnotempty(machineTags)", "[]", false),
        ("set_has_element(machineTags, 'Tier 0')", "[\"PCI\", \"Tier 0\"]", true),
        ("set_has_element(machineTags, 'tier 0')", "[\"Tier 0\"]", false),
        ("set_has_element(machineTags, 'Tier')", "[\"Tier 0\"]", false),
        ("set_has_element(machineTags, 'A\"B')", "[\"A\\\"B\"]", true),
        ("set_has_element(machineTags, 'Größe')", "[\"Gr\\u00f6\\u00dfe\"]", true),
        ("set_has_element(machineTags, 'x')", "", false),
        ("set_has_element(machineTags, 'x')", "x", false),
        ("not(set_has_element(machineTags, 'x'))", "x", true),
        ("set_has_element(machineTags, '1')", "[1]", false),
        ("set_has_element(machineTags, 'x')", "[\"x\"", false),
        ("set_has_element(machineTags, 'x')", "[\"x\"] y", false),
        ("set_has_element(machineTags, 'x')", "[\"x\", [\"y\"]]", false),
        ("array_length(machineTags) == 2", "[\"PCI\", \"Tier 0\"]", true),
        ("array_length(machineTags) >= 1", "[]", false),
        ("array_length(machineTags) == 0", "", true),
        ("array_length(machineTags) != 0", "x", false),
        ("machineTags contains 'tier'", "[\"PCI\", \"Tier 0\"]", true),
        ("machineTags contains '0\", \"'", "[\"Tier 0\", \"PCI\"]", false),
        ("machineTags !contains 'tier'", "[\"PCI\", \"Tier 0\"]", false),
        ("machineTags !contains 'tier'", "[]", true),
        ("machineTags !contains 'tier'", "x", false),
        ("machineTags contains_cs 'tier'", "[\"Tier 0\"]", false),
    ];
    for (filter, cell, expected) in json {
        assert_eq!(selects(filter, &["machineTags"], &[cell]), expected, "{filter} on {cell:?}");
        let hunting = filter.replace("machineTags", "DeviceManualTags");
        assert_eq!(selects(&hunting, &["DeviceManualTags"], &[cell]), expected, "{hunting} on {cell:?}");
    }
    for (filter, cell, expected) in [
        ("set_has_element(Tags, 'Tier 0')", "PCI, Tier 0", true),
        ("set_has_element(Tags, 'PCI')", "PCI,Tier 0", true),
        ("set_has_element(Tags, 'Tier')", "PCI,Tier 0", false),
        ("array_length(Tags) == 2", "PCI,, Tier 0,", true),
        ("isempty(Tags)", " , ", true),
        ("isempty(Tags)", "PCI", false),
        ("Tags contains 'pc'", "Tier 0, PCI", true),
    ] {
        assert_eq!(selects(filter, &["Tags"], &[cell]), expected, "{filter} on {cell:?}");
    }
}

#[test]
fn conditions_join_as_in_kql() {
    let header = ["a", "b", "c"];
    for (filter, cells, expected) in [
        ("a == '1' or b == '1' and c == '1'", ["1", "0", "0"], true),
        ("(a == '1' or b == '1') and c == '1'", ["1", "0", "0"], false),
        ("a == '1' and b == '1' or c == '1'", ["0", "0", "1"], true),
        ("not(a == '1' and b == '1')", ["1", "0", "0"], true),
        ("not(not(a == '1'))", ["1", "0", "0"], true),
        ("not (a == '1') and b == '0'", ["1", "0", "0"], false),
        ("true", ["", "", ""], true),
        ("false or a == '1'", ["1", "", ""], true),
        ("not(true)", ["", "", ""], false),
        ("a == '1' // and b == '1'\n and c == '1'", ["1", "0", "1"], true),
        ("// the whole line\r\na == '1' // the rest", ["1", "0", "0"], true),
        ("a=='1'and(b=='0')", ["1", "0", "0"], true),
        ("a == 'x // y'", ["x // y", "", ""], true),
        ("a\u{a0}==\u{a0}'1'", ["1", "", ""], true),
    ] {
        assert_eq!(selects(filter, &header, &cells), expected, "{filter} on {cells:?}");
    }
}

#[test]
fn names_match_as_columns_do() {
    let header = ["OS Platform", "device_name", "Cost-Center (EU)", "in", "datetime", "größe"];
    for (filter, cells) in [
        ("OSPlatform == 'x'", ["x", "", "", "", "", ""]),
        ("['OS Platform'] == 'x'", ["x", "", "", "", "", ""]),
        ("[\"os platform\"] == 'x'", ["x", "", "", "", "", ""]),
        ("osplatform == 'x'", ["x", "", "", "", "", ""]),
        ("DeviceName == 'x'", ["", "x", "", "", "", ""]),
        ("['Cost Center (EU)'] == 'x'", ["", "", "x", "", "", ""]),
        ("isnotempty( [ 'in' ] )", ["", "", "", "x", "", ""]),
        ("datetime == 'x'", ["", "", "", "", "x", ""]),
        ("größe == 'x'", ["", "", "", "", "", "x"]),
    ] {
        assert!(selects(filter, &header, &cells), "{filter}");
        assert!(!selects(filter, &header, &["", "", "", "", "", ""]), "{filter}");
    }
    // A row that ends early is empty where it is over.
    assert!(selects("isempty(b)", &["a", "b"], &["1"]));
}

#[test]
fn strings_are_escaped_or_verbatim() {
    for (literal, cell) in [
        (r"'it\'s'", "it's"),
        (r#"'say "x"'"#, "say \"x\""),
        (r#""it's""#, "it's"),
        (r#""say \"x\"""#, "say \"x\""),
        (r"'C:\\Temp'", r"C:\Temp"),
        (r"@'C:\Temp'", r"C:\Temp"),
        (r"@'it''s'", "it's"),
        (r#"@"say ""x""""#, "say \"x\""),
        (r"'a\tb'", "a\tb"),
        (r"'a\nb\r'", "a\nb\r."),
        (r"'\u00e9'", "é"),
        ("'漢字 😀'", "漢字 😀"),
        ("''", ""),
    ] {
        let filter = format!("x startswith_cs {literal} and x contains_cs {literal}");
        assert!(selects(&filter, &["x"], &[cell]), "{filter}");
    }
}
