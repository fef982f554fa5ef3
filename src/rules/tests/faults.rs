//! Whatever is wrong with a file is told with its line.

use std::time::{Duration, SystemTime};

use super::*;

/// What is wrong with a file of which this stands below its ownership; the line is counted from there.
fn faults(rest: &str) -> String {
    declaration(&format!("{HEAD}{rest}")).expect_err(rest)
}

#[test]
fn every_fault_is_told_with_its_line() {
    let files = [
        "[[rule]]\nname = 'a'\nwher = 'true'\nwhere = 'true'\ntag = 'SITE-A'\n",
        "[[rule]]\nname = 'a'\nwhere = ''\ntag = 'SITE-A'\n",
        "[[rule]]\nname = 'a'\ntag = 'SITE-A'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-A'\n[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-B'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-A;B'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'Standort-Berlin'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'Old'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'Other'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'X-{osPlatform}'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = '{osPlatform}-SITE-'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-{osPlatfrom}'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-{machineTags}'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-{osPlatform'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\nvalue = 'Hi'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-A'\nmode = 'reprot'\n",
        "[[rule]]\nname = 'a'\nwhere = \"osPlatfrom == 'x'\"\ntag = 'SITE-A'\n",
        "[[rule]]\nname = 'a'\nwhere = '''\ntrue and\nosPlatform = 'x'\n'''\ntag = 'SITE-A'\n",
        "[[rule]]\nname = 'a'\nwhere = 'isempty(cmdb.X)'\ntag = 'SITE-A'\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-A'\n[[rule]]\nname = 'b'\nwhere = 'true'\ntag = 'SITE-a'\n\
         [[rule]]\nname = 'c'\nwhere = 'true'\ntag = 'SITE-Ａ'\n[[rule]]\nname = 'd'\nwhere = 'true'\ntag = 'SITE-A'\n",
        "[guard]\nremovals = { percent = 101, count = 10 }\n",
        "[guard]\nmachines = 90\n",
        "[guard]\nchanges = { percents = 3 }\n",
        "[lookup.cmdb]\nfile = 'x.csv'\nkey = { osPlatform = 'Name' }\n",
        "[lookup.cmdb]\nfile = 'x.csv'\nkey = { id = 'a', computerDnsName = 'Name' }\n",
        "[lookup.cmdb]\nfile = 'x.csv'\nkey = { id = 'a' }\nmax-age = 'soon'\n",
        "[lookup.cmdb]\nkey = { id = 'a' }\n",
        "[lookup.cmdb]\nfile = 'x.csv'\nkey = { id = 'a' }\nencoding = 'ansi-x'\naccept = ['odd-tags']\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 5\n",
        "[[rule]]\nname = 5\nwhere = 5\nvalue = 5\n",
        "[lookup.cmdb]\nfile = 5\nkey = 5\n",
        "[lookup.cmdb]\nfile = 'x.csv'\nkey = { id = 5 }\n",
        "[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-{cmdb.Site}'\n",
        "[scope]\n",
        "[rules]\n",
        "x = [\n",
    ];
    let told: Vec<String> = files.iter().map(|file| faults(file)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    line 9: unknown key "wher" in [[rule]]; did you mean where?
    line 9: where, column 1: the filter is empty; write a condition, for example OSPlatform == 'Windows11'
    line 7: where is missing; "true" means every machine
    line 11: two rules are called "a", here and on line 7
    line 7: the rule gives nothing; name a tag or a value
    line 10: the tag "SITE-A;B" holds ";" and looks like a list
    line 10: the tag "Standort-Berlin" is retired
    line 10: the tag "Old" is retired
    line 10: the tag "Other" is not owned by this file; add it to tags of [own], or its beginning to prefixes
    line 10: the tag "X-{osPlatform}" does not begin with a prefix of [own]; add its beginning to prefixes
    line 10: the tag "{osPlatform}-SITE-" does not begin with a prefix of [own]; add its beginning to prefixes
    line 10: the tag of rule "a": unknown column "osPlatfrom"; did you mean osPlatform? the columns are machineId, computerDnsName, lastSeen, firstSeen, osPlatform, osVersion, version, osBuild, osArchitecture, healthStatus, onboardingStatus, rbacGroupName, riskScore, exposureLevel, aadDeviceId, managedBy, lastIpAddress, lastExternalIpAddress, machineTags, currentDeviceValue
    line 10: the tag of rule "a": "machineTags" is a list, and a tag needs a single text
    line 10: the tag "SITE-{osPlatform": a "{" is not closed
    line 10: a value is Low, Normal or High
    line 11: unknown mode "reprot"; did you mean report?
    line 9: where, column 1: unknown column "osPlatfrom"
        osPlatfrom == 'x'
        ^^^^^^^^^^
        hint: did you mean osPlatform? the columns are machineId, computerDnsName, lastSeen, firstSeen, osPlatform, osVersion, version, osBuild, osArchitecture, healthStatus, onboardingStatus, rbacGroupName, riskScore, exposureLevel, aadDeviceId, managedBy, lastIpAddress, lastExternalIpAddress, machineTags, currentDeviceValue
    line 11: where, column 12: unexpected "="
        osPlatform = 'x'
                   ^
        hint: write == to compare, or =~ to compare in either case
    line 9: where, column 9: no lookup is called cmdb
        isempty(cmdb.X)
                ^^^^^^
        hint: add [lookup.cmdb], with the file that holds it and its key
    line 14: the tag "SITE-a" differs only in case or width from "SITE-A" on line 10; write both in the same way
    line 18: the tag "SITE-Ａ" differs only in case or width from "SITE-A" on line 10; write both in the same way
    line 8: percent of removals of guard needs a whole number from 0 to 100
    line 8: machines of guard needs a text in quotation marks
    line 8: unknown key "percents" in changes of guard; did you mean percent?
    line 9: unknown key "osPlatform" in key of [lookup.cmdb]; the keys are computerDnsName, id, aadDeviceId
    line 9: a key is one of computerDnsName, id and aadDeviceId, with the name of a column
    line 10: max-age needs a duration, as in "36h"
    line 7: the lookup cmdb names no file
    line 10: encoding needs the name of an encoding, as in "windows-1252"
    line 11: accept names one or more of line-breaks, hidden-rows and merged-cells
    line 10: tag of [[rule]] needs a text in quotation marks
    line 8: name of [[rule]] needs a text in quotation marks
    line 9: where of [[rule]] needs a text in quotation marks
    line 10: value of [[rule]] needs a text in quotation marks
    line 8: file of [lookup.cmdb] needs a text in quotation marks
    line 9: key of [lookup.cmdb] needs to be a table
    line 9: id of key of [lookup.cmdb] needs a text in quotation marks
    line 10: the tag of rule "a": no lookup is called cmdb; add [lookup.cmdb], with the file that holds it and its key
    line 7: where is missing; "true" means every machine
    line 7: unknown key "rules"; did you mean rule?
    line 7: unclosed array, expected `]`
    "#);
}

#[test]
fn the_head_of_a_file_is_checked_as_well() {
    let files = [
        "",
        "schema = 2\nname = 'a'\n[own]\nprefixes = ['A-']\n",
        "schema = 1\n[own]\nprefixes = ['A-']\n",
        "schema = 1\nname = 'a'\n[own]\n",
        "schema = 1\nname = 'a'\n[own]\nprefixes = ['']\n[[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'A-1'\n",
        "schema = 1\nname = 'a'\n[own]\nprefixes = ['A-', 'A-B-']\n",
        "schema = 1\nname = 'a'\n[own]\nprefixes = ['A-']\ntags = ['A-x']\n",
        "schema = 1\nname = 'a'\n[own]\nprefixes = ['A-B-']\nretired = ['A-']\n",
        "schema = 1\nname = 'a'\n[own]\nprefixes = 'A-'\n",
    ];
    let told: Vec<String> = files.iter().map(|file| declaration(file).expect_err(file)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    line 1: schema is missing: write schema = 1
    line 1: a name is missing, as in name = "fleet-eu"
    line 1: unknown schema: write schema = 1
    line 1: a name is missing, as in name = "fleet-eu"
    line 3: [own] names nothing; add prefixes, tags or retired
    line 4: no tag can begin with "": the tag is empty
    line 4: the prefix "A-B-" is owned already by the prefix "A-" on line 4
    line 5: the tag "A-x" is owned already by the prefix "A-" on line 4
    line 5: the prefix "A-" is owned already by the prefix "A-B-" on line 4
    line 4: prefixes of own needs a list of texts, as in ["SITE-"]
    "#);
    // A part of what is owned may be retired.
    assert!(declaration("schema = 1\nname = 'a'\n[own]\nprefixes = ['A-']\nretired = ['A-B-']\n").is_ok());
}

#[test]
fn a_lookup_has_one_row_for_a_machine() {
    let text = format!("{HEAD}[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = {{ computerDnsName = 'Name' }}\n");
    let told = ["Name\nber-1\nBER-1.\n", "Host\nber-1\n", "Name,X\nber-1,a,b\nber-2,\"x\nber-3,y\"\n", "\u{0}N\u{0}a"]
        .map(|list| declaration_with(&text, &[list]).expect_err(list));
    insta::assert_snapshot!(told.join("\n"), @r#"
    line 7: the lookup cmdb: cmdb.csv cannot be used: row 2, line 3, column "Name": "BER-1." stands on line 2 already, and a list has one row for each machine; remove one of both
    line 7: the lookup cmdb: cmdb.csv cannot be used: the header on line 1 has no column "Name"; it has "Host" (1)
    line 7: the lookup cmdb: cmdb.csv cannot be used: row 1, line 2: the row has 3 cells, but the header has 2; put cells that hold the delimiter in quotation marks
    line 7: the lookup cmdb: cmdb.csv cannot be used: row 2, line 3: the quoted cell from line 3 to line 4 holds a line that looks like a row of its own; close the quotation mark where the cell is to end, or allow such cells with --accept line-breaks; in [lookup.cmdb], that option is accept = ["line-breaks"]
    line 7: the lookup cmdb: cmdb.csv cannot be used: the input looks like UTF-16 without a byte order mark; say so with --encoding utf-16be, or save it as UTF-8; in [lookup.cmdb], that option is encoding = "LABEL"
    "#);
    let mut both = declaration_with(&text, &["Name\nber-1\nber-1.corp\n"]).expect("two keys");
    let error = Listed::of([machine("ber-1.corp", &[])]).wishes(&mut both, &BTreeMap::new()).expect_err("one machine");
    insta::assert_snapshot!(error, @"line 7: the lookup cmdb: lines 2 and 3 of cmdb.csv are both about machine ber-1.corp");
}

#[test]
fn a_lookup_that_is_not_called_so_is_told_with_those_that_are() {
    let text = |name: &str| {
        format!(
            "{HEAD}[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = {{ computerDnsName = 'Name' }}\n\
             [[rule]]\nname = 'a'\nwhere = 'true'\ntag = 'SITE-{{{name}.Site}}'\n"
        )
    };
    let told = ["cmbd", "assets", "cmdb", "machine"].map(|name| {
        declaration_with(&text(name), &["Name,Place\n"]).expect_err(name).chars().take(100).collect::<String>()
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    line 13: the tag of rule "a": no lookup is called cmbd; did you mean cmdb?
    line 13: the tag of rule "a": no lookup is called assets; the lookups are cmdb
    line 13: the tag of rule "a": unknown column "cmdb.Site"; the columns are cmdb.Name, cmdb.Place
    line 13: the tag of rule "a": unknown column "machine.Site"; the columns are machineId, computerDnsN
    "#);
    let unqualified =
        declaration_with(&text("x").replace("{x.Site}", "{place}"), &["Name,Place\n"]).expect_err("unknown");
    assert!(
        unqualified.contains("unknown column \"place\"; did you mean cmdb.Place? the columns are"),
        "{unqualified}"
    );
}

#[test]
fn a_lookup_is_neither_too_old_nor_from_the_future() {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let told = |max_age: &str, written: SystemTime| {
        let text = format!("{HEAD}[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = {{ id = 'a' }}\n{max_age}\n");
        let draft = Draft::read(&text, now()).expect("rules");
        let now = SystemTime::UNIX_EPOCH + minutes(100_000);
        draft.lookups()[0].check_age(written, now).err().map(|fault| fault.to_string())
    };
    let now = SystemTime::UNIX_EPOCH + minutes(100_000);
    for written in [now, now - minutes(60), now + minutes(5)] {
        assert_eq!(told("max-age = '1h'", written), None);
    }
    let refused = [now - minutes(61), now + minutes(6)].map(|written| told("max-age = '1h'", written).expect("an age"));
    insta::assert_snapshot!(refused.join("\n"), @r#"
    line 7: the lookup cmdb: cmdb.csv was written 1 h 1 min ago, and max-age allows 1 h 0 min
    line 7: the lookup cmdb: cmdb.csv was written 6 min 0 s from now, so its age cannot be held against max-age; set the clock right, or write the file again
    "#);
    assert_eq!(told("", now + minutes(6)), None, "nothing is asked of its age");
}
