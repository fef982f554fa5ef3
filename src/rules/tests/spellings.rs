//! Tags that differ only in case or width, and tags made of data that no rule may give.

use super::*;

const DEPARTMENT: &str = "[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = { computerDnsName = 'Name' }\n\
                          [[rule]]\nname = 'department'\nwhere = 'true'\ntag = 'DEPT-{cmdb.Department}'\n";

/// What a file comes to with this list: what is wished, and what is said of it.
fn told(text: &str, list: &str, machines: impl IntoIterator<Item = MachineRecord>) -> String {
    let mut declaration = declaration_with(text, &[list]).expect(text);
    let listed = Listed::of(machines);
    let wished = listed.wishes(&mut declaration, &BTreeMap::new()).expect("no conflict");
    let (fields, recent) =
        (ListedFields { inventory: &listed.inventory, fields: &listed.fields }, RecentWrites::default());
    let fleet = Fleet { inventory: &listed.inventory, fields: &fields, recent: &recent };
    format!("{}\n{}", wished.join("\n"), wishes(&declaration, fleet, &BTreeMap::new(), drop).text())
}

#[test]
fn of_two_spellings_that_data_have_one_is_given_and_the_rule_says_so() {
    let list = "Name,Department\na,Sales\nb,SALES\nc,Sales\n";
    let text = format!("{HEAD}{DEPARTMENT}");
    insta::assert_snapshot!(told(&text, list, ["a", "b", "c"].map(|name| machine(name, &[]))), @r#"
    a: Add tag "DEPT-Sales" by department
    c: Add tag "DEPT-Sales" by department
    Rules of fleet: 3 of 3 machines in scope.
      "department": 1 tag is not created, the first is "DEPT-SALES", which differs only in case or width from "DEPT-Sales", which this file gives
    "#);
    // What machines have already goes before what more of them would get, or two nights would choose in two ways.
    let machines = [machine("a", &[]), machine("b", &["DEPT-SALES"]), machine("c", &["DEPT-sales", "DEPT-HR"])];
    insta::assert_snapshot!(told(&text, list, machines), @r#"
    b: Add tag "DEPT-SALES" by department
    Rules of fleet: 3 of 3 machines in scope.
      "department": 2 tags are not created, the first is "DEPT-Sales", which differs only in case or width from "DEPT-SALES", which this file gives
    "#);
}

#[test]
fn what_the_file_spells_out_goes_before_data() {
    let text =
        format!("{HEAD}{DEPARTMENT}[[rule]]\nname = 'it'\nwhere = \"computerDnsName == 'a'\"\ntag = 'DEPT-It'\n");
    let machines = [machine("a", &[]), machine("b", &["DEPT-IT"]), machine("c", &["DEPT-IT"])];
    insta::assert_snapshot!(told(&text, "Name,Department\na,HR\nb,IT\nc,ＩＴ\n", machines), @r#"
    a: Add tag "DEPT-HR" by department
    a: Add tag "DEPT-It" by it
    Rules of fleet: 3 of 3 machines in scope.
      "department": 2 tags are not created, the first is "DEPT-IT", which differs only in case or width from "DEPT-It", which this file gives
    "#);
}

#[test]
fn data_bring_back_nothing_that_is_retired() {
    let text = format!("{}{DEPARTMENT}", HEAD.replace("\"Old\"", "\"DEPT-Legacy\""));
    let machines = [machine("a", &[]), machine("b", &["DEPT-Legacy", "DEPT-HR"])];
    insta::assert_snapshot!(told(&text, "Name,Department\na,Legacy\nb,Legacy\n", machines), @r#"
    b: Remove tag "DEPT-Legacy" by [own]
    Rules of fleet: 2 of 2 machines in scope.
      "department": 2 tags are not created, the first is "DEPT-Legacy", which is retired by this file
    "#);
}

#[test]
fn two_files_cannot_own_spellings_of_one_tag() {
    let (prefix, tag) = (|text: &str| Owned::Prefix(text.to_owned()), |text: &str| Owned::Tag(text.to_owned()));
    for (one, other) in [
        (prefix("SITE-"), prefix("site-de-")),
        (prefix("ＳＩＴＥ-"), tag("Site-DE")),
        (tag("Crown jewel"), tag("CROWN JEWEL")),
        // The accent composes with what the prefix ends in.
        (prefix("e"), tag("e\u{301}")),
    ] {
        assert!(one.overlaps(&other) && other.overlaps(&one), "{one}, {other}");
    }
    assert!(!tag("Crown jewel").overlaps(&tag("Crown jewels")) && !prefix("SITE-").overlaps(&tag("SITE")));
}
