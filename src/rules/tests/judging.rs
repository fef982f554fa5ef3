//! What rules say of machines, and what that comes to.

use serde_json::json;

use super::*;

/// What a file comes to for these machines, of which this stands below its ownership.
fn wishes_of(rest: &str, machines: impl IntoIterator<Item = MachineRecord>) -> String {
    let mut declaration = declaration(&format!("{HEAD}{rest}")).expect(rest);
    Listed::of(machines).wishes(&mut declaration, &BTreeMap::new()).expect("no conflict").join("\n")
}

const SITE: &str = "[[rule]]\nname = 'site'\nwhere = \"computerDnsName startswith 'ber'\"\ntag = 'SITE-DE'\n";

#[test]
fn what_is_owned_and_given_by_no_rule_is_taken_off_and_nothing_else() {
    let told = wishes_of(
        SITE,
        [
            machine("ber-1", &["SITE-DE", "SITE-FR", "Standort-Berlin", "Old", "Older", "VIP", "site-fr", "site-de"]),
            machine("muc-1", &["SITE-DE", "Crown jewel", "Crown jewels"]),
            MachineRecord { machine_tags: None, ..machine("ber-2", &[]) },
        ],
    );
    insta::assert_snapshot!(told, @r#"
    ber-1: Add tag "SITE-DE" by site
    ber-1: Remove tag "SITE-FR" by [own]
    ber-1: Remove tag "Standort-Berlin" by [own]
    ber-1: Remove tag "Old" by [own]
    muc-1: Remove tag "SITE-DE" by [own]
    muc-1: Remove tag "Crown jewel" by [own]
    ber-2: Add tag "SITE-DE" by site
    "#);
}

#[test]
fn machines_out_of_scope_and_those_that_cannot_be_placed_stay_as_they_are() {
    let scope = "[scope]\nwhere = \"onboardingStatus == 'Onboarded'\"\n";
    let told = wishes_of(
        &format!("{scope}{SITE}"),
        [
            MachineRecord { onboarding_status: Some("Onboarded".into()), ..machine("ber-1", &["SITE-FR"]) },
            MachineRecord { onboarding_status: Some("CanBeOnboarded".into()), ..machine("ber-2", &["SITE-FR"]) },
            machine("ber-3", &["SITE-FR"]),
        ],
    );
    insta::assert_snapshot!(told, @r#"
    ber-1: Add tag "SITE-DE" by site
    ber-1: Remove tag "SITE-FR" by [own]
    "#);
}

#[test]
fn what_cannot_be_decided_is_not_false() {
    let rules = "[[rule]]\nname = 'os'\nwhere = \"osPlatform == 'Linux'\"\ntag = 'SITE-LX'\n\
                 [[rule]]\nname = 'group'\nwhere = 'true'\ntag = 'DEPT-{rbacGroupName}'\n\
                 [[rule]]\nname = 'either'\nwhere = \"osPlatform == 'x' or computerDnsName == 'a'\"\ntag = 'TIER-1'\n";
    let told = wishes_of(
        rules,
        [
            machine("a", &["SITE-LX", "SITE-MUC", "DEPT-Sales", "TIER-2"]),
            machine("b", &["SITE-LX", "DEPT-Sales", "TIER-1", "TIER-2"]),
            MachineRecord {
                os_platform: Some("Windows11".into()),
                rbac_group_name: Some("a;b".into()),
                ..machine("c", &["SITE-LX", "DEPT-Sales", "TIER-1"])
            },
        ],
    );
    insta::assert_snapshot!(told, @r#"
    a: Add tag "TIER-1" by either
    a: Remove tag "SITE-MUC" by [own]
    a: Remove tag "TIER-2" by [own]
    b: Remove tag "TIER-2" by [own]
    c: Remove tag "SITE-LX" by [own]
    c: Remove tag "TIER-1" by [own]
    "#);
}

#[test]
fn of_a_set_the_first_that_matches_counts_and_a_swap_is_no_removal() {
    let rules = "[[rule]]\nname = 'zero'\none-of = 'tier'\nwhere = \"computerDnsName startswith 'dc'\"\ntag = 'TIER-0'\nvalue = 'High'\n\
                 [[rule]]\nname = 'one'\none-of = 'tier'\nwhere = \"osPlatform == 'Server'\"\ntag = 'TIER-1'\n\
                 [[rule]]\nname = 'two'\none-of = 'tier'\nwhere = 'true'\ntag = 'TIER-2'\n";
    let of = |name: &str, platform: Option<&str>, tags: &[&str]| MachineRecord {
        os_platform: platform.map(Into::into),
        ..machine(name, tags)
    };
    let told = wishes_of(
        rules,
        [
            of("dc1", None, &["TIER-2", "TIER-9"]),
            of("srv", Some("Server"), &["TIER-1"]),
            of("pc", Some("Client"), &["TIER-1"]),
            of("who", None, &["TIER-1", "TIER-2"]),
        ],
    );
    insta::assert_snapshot!(told, @r#"
    dc1: Add tag "TIER-0" by zero
    dc1: set device value High by zero
    dc1: Remove tag "TIER-2" by [own], a swap
    dc1: Remove tag "TIER-9" by [own]
    srv: Add tag "TIER-1" by one
    pc: Add tag "TIER-2" by two
    pc: Remove tag "TIER-1" by [own], a swap
    "#);
    let reported = rules.replacen("value = 'High'", "mode = 'report'", 1);
    insta::assert_snapshot!(wishes_of(&reported, [of("dc1", None, &["TIER-0", "TIER-2", "TIER-9"])]), @r#"dc1: Remove tag "TIER-9" by [own]"#);
}

#[test]
fn a_lookup_that_has_no_row_is_lacking_and_an_empty_cell_is_there() {
    let rules = "[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = { computerDnsName = 'Name' }\n\
                 [[rule]]\nname = 'department'\nwhere = 'isnotempty(cmdb.Department)'\ntag = 'DEPT-{cmdb.Department}'\n";
    let list = "Name;Department\nA;Sales\nb.corp;\ntwin;HR\n";
    let mut declaration = declaration_with(&format!("{HEAD}{rules}"), &[list]).expect("rules");
    let machines = ["a.corp", "b.corp", "c.corp", "twin.x", "twin.y"].map(|name| machine(name, &["DEPT-Old"]));
    let given_last = BTreeMap::from([("DEPT-Old".to_owned(), "earlier".to_owned())]);
    let told = Listed::of(machines).wishes(&mut declaration, &given_last).expect("no conflict");
    insta::assert_snapshot!(told.join("\n"), @r#"
    a.corp: Add tag "DEPT-Sales" by department
    a.corp: Remove tag "DEPT-Old" by earlier
    b.corp: Remove tag "DEPT-Old" by earlier
    "#);
    let mut declaration = declaration_with(&format!("{HEAD}{rules}"), &[list]).expect("rules");
    let twins = Listed::of(["twin.x", "twin.y"].map(|name| machine(name, &[])));
    let (_, tally) = twins.judged(&mut declaration, &given_last).expect("no conflict");
    insta::assert_snapshot!(tally.text(), @r#"
    Rules of fleet: 2 of 2 machines in scope.
      "department" is undecided about 2 machines, whose tags it leaves as they are; the first, twin.x, has no cmdb.Department for certain ("twin" on line 4 of cmdb.csv fits machines of several names: write the full name there)
    "#);
    let told = &tally.json()["rules"][0];
    assert_eq!((&told["lacking"], &told["ambiguous"]), (&json!([]), &json!(["cmdb.Department"])));
}

#[test]
fn a_rule_that_would_change_its_mind_the_next_night_is_told() {
    let rule = |name: &str, condition: &str, tag: &str| {
        format!("[[rule]]\nname = '{name}'\nwhere = \"{condition}\"\ntag = '{tag}'\n")
    };
    let told = |rules: &str, machines: &[MachineRecord]| {
        let mut declaration = declaration(&format!("{HEAD}{rules}")).expect("rules");
        let (_, tally) = Listed::of(machines.to_vec()).judged(&mut declaration, &BTreeMap::new()).expect("no fault");
        tally.text()
    };
    let flips = rule("untagged", "isempty(machineTags)", "SITE-NEW");
    let stays = rule("by hand", "set_has_element(machineTags, 'VIP')", "TIER-0");
    let follows = rule("follows", "set_has_element(machineTags, 'TIER-0')", "SITE-X");
    let machines = [machine("a", &[]), machine("b", &["SITE-NEW"]), machine("c", &["VIP"]), machine("d", &["TIER-1"])];
    insta::assert_snapshot!(told(&format!("{flips}{stays}{follows}"), &machines), @r#"
    Rules of fleet: 4 of 4 machines in scope.
      "untagged" depends on what this file itself changes, so the next run would undo that or change more on 3 machines, the first is a
      "follows" depends on what this file itself changes, so the next run would undo that or change more on c
    "#);
    let valued = |value: &str| MachineRecord { device_value: Some(value.into()), ..machine(value, &[]) };
    let machines = ["Normal", "High"].map(valued);
    let tagged =
        "[[rule]]\nname = 'raises'\nwhere = \"currentDeviceValue == 'Normal'\"\ntag = 'TIER-0'\nvalue = 'High'\n";
    insta::assert_snapshot!(told(tagged, &machines), @r#"
    Rules of fleet: 2 of 2 machines in scope.
      "raises" depends on what this file itself changes, so the next run would undo that or change more on Normal
    "#);
    // A value that is given no more stays, and so does a machine that is out of scope.
    let raises = tagged.replace("tag = 'TIER-0'\n", "");
    let scope = "[scope]\nwhere = \"isempty(machineTags)\"\n";
    assert_eq!(told(&raises, &machines), "Rules of fleet: 2 of 2 machines in scope.\n");
    let keeps = raises.replace("== 'Normal'", "!= 'Low'");
    assert_eq!(told(&keeps, &machines), "Rules of fleet: 2 of 2 machines in scope.\n");
    let scoped = format!("{scope}{}", rule("all", "isnotempty(computerDnsName)", "SITE-X"));
    assert_eq!(told(&scoped, &machines), "Rules of fleet: 2 of 2 machines in scope.\n");
}

#[test]
fn what_is_withheld_unsettles_no_rule() {
    let while_there =
        "[[rule]]\nname = 'while there'\nwhere = \"set_has_element(machineTags, 'SITE-OLD')\"\ntag = 'TIER-0'\n";
    let told = |withholds: bool| {
        let mut declaration = declaration(&format!("{HEAD}{while_there}")).expect("rules");
        let listed = Listed { withholds, ..Listed::of([machine("a", &["SITE-OLD"])]) };
        listed.judged(&mut declaration, &BTreeMap::new()).expect("no fault").1.text()
    };
    assert!(told(false).contains("\"while there\" depends on what this file itself changes"), "{}", told(false));
    assert_eq!(told(true), "Rules of fleet: 1 of 1 machine in scope.\n");
}

#[test]
fn the_error_of_a_formula_decides_nothing() {
    let rules = "[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = { computerDnsName = 'Name' }\n\
                 [[rule]]\nname = 'tier'\nwhere = \"cmdb.Tier == '0'\"\ntag = 'TIER-0'\n\
                 [[rule]]\nname = 'group'\nwhere = \"rbacGroupName != 'Servers'\"\ntag = 'SITE-X'\n";
    let list = "Name;Tier\na;0\nb;#N/A\nc; #REF! \nd;1\n";
    let mut declaration = declaration_with(&format!("{HEAD}{rules}"), &[list]).expect("rules");
    let of = |name: &str, group: &str| MachineRecord {
        rbac_group_name: Some(group.into()),
        ..machine(name, &["TIER-0", "SITE-X"])
    };
    let machines = [of("a", "Servers"), of("b", "#N/A"), of("c", "#N/A"), of("d", "Desks")];
    let told = Listed::of(machines).wishes(&mut declaration, &BTreeMap::new()).expect("no conflict");
    insta::assert_snapshot!(told.join("\n"), @r#"
    a: Add tag "TIER-0" by tier
    a: Remove tag "SITE-X" by [own]
    d: Add tag "SITE-X" by group
    d: Remove tag "TIER-0" by [own]
    "#);
}

#[test]
fn cells_that_a_condition_could_not_read_are_told_with_it() {
    let rules = "[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = { computerDnsName = 'Name' }\n\
                 [scope]\nwhere = 'cmdb.Floor < 9'\n\
                 [[rule]]\nname = 'bought'\nwhere = 'cmdb.Bought > datetime(2026-01-01)'\ntag = 'TIER-0'\n";
    let list = "Name;Bought;Floor\na;20.11.2026;1\nb;2026-11-20;2\nc;19.11.2026;3\nd;2026-11-20;top\n";
    let mut declaration = declaration_with(&format!("{HEAD}{rules}"), &[list]).expect("rules");
    let machines = ["a", "b", "c", "d"].map(|name| machine(name, &["TIER-0"]));
    let (told, tally) = Listed::of(machines).judged(&mut declaration, &BTreeMap::new()).expect("no conflict");
    assert_eq!(told.len(), 3, "{told:?}");
    insta::assert_snapshot!(tally.text(), @r#"
    Rules of fleet: 3 of 4 machines in scope.
      the scope: 1 cell is not a number in cmdb.Floor, so the filter's comparisons with it are false; the first is "top"
      "bought": 2 cells are not a date in cmdb.Bought, so the filter's comparisons with them are false; the first is "20.11.2026"
    "#);
    assert_eq!(tally.json()["rules"][0]["unread_cells"], 2);
}

#[test]
fn a_lookup_finds_machines_as_files_of_orders_do() {
    let id = |number: u8| format!("{number:040x}");
    let device = |number: u8| format!("0000000{number}-0000-0000-0000-000000000000");
    let tags = |key: &str, list: &str| {
        let rules = format!(
            "{HEAD}[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = {{ {key} = 'Key' }}\n\
             [[rule]]\nname = 'd'\nwhere = 'true'\ntag = 'DEPT-{{cmdb.Department}}'\n"
        );
        let mut declaration = declaration_with(&rules, &[list]).expect(list);
        let listed = (1..=4).map(|number| MachineRecord {
            id: id(number).into(),
            computer_dns_name: Some(format!("web{number}.corp.example").into()),
            aad_device_id: Some(device(number).into()),
            ..MachineRecord::default()
        });
        let told = Listed::of(listed).wishes(&mut declaration, &BTreeMap::new()).expect("no conflict");
        told.iter().filter_map(|wish| wish.split('"').nth(1).map(str::to_owned)).collect::<Vec<_>>().join(" ")
    };
    let by_name = "Key,Department\nCORP\\WEB1,A\nweb2$,B\n\\\\web3,C\n'web4.corp.example.,D\n";
    assert_eq!(tags("computerDnsName", by_name), "DEPT-A DEPT-B DEPT-C DEPT-D");
    let (one, two, three) = (id(1), id(2), id(3));
    let address = format!("https://security.microsoft.com/machines/{}", id(4));
    let by_id = format!("Key,Department\n'{one},A\n{{{two}}},B\n\"=\"\"{three}\"\"\",C\n\u{200b}{address},D\n");
    for key in ["id", "computerDnsName"] {
        assert_eq!(tags(key, &by_id), "DEPT-A DEPT-B DEPT-C DEPT-D", "{key}");
    }
    let (one, two) = (device(1), device(2));
    let by_device = format!("Key,Department\n'{one},A\n{{{two}}},B\n");
    for key in ["aadDeviceId", "computerDnsName"] {
        assert_eq!(tags(key, &by_device), "DEPT-A DEPT-B", "{key}");
    }
}

#[test]
fn two_values_for_one_machine_are_told_with_both_places() {
    let rules =
        "[[rule]]\nname = 'a'\nwhere = 'true'\nvalue = 'High'\n[[rule]]\nname = 'b'\nwhere = 'true'\nvalue = 'low'\n";
    let mut declaration = declaration(&format!("{HEAD}{rules}")).expect("rules");
    let error = Listed::of([machine("x", &[])]).wishes(&mut declaration, &BTreeMap::new()).expect_err("two values");
    insta::assert_snapshot!(error, @r#"line 11: the rule "b" gives machine x another value than the rule "a" on line 7"#);
    let machines = (1..=7).map(|number| machine(&format!("m{number}"), &[]));
    let error = Listed::of(machines).wishes(&mut declaration, &BTreeMap::new()).expect_err("two values");
    insta::assert_snapshot!(error, @r#"line 11: the rule "b" gives 7 machines another value than the rule "a" on line 7: m1, m2, m3, m4, m5 and 2 more"#);
}

#[test]
fn a_dump_changes_nothing() {
    let listed = Listed::of([
        machine("a", &["SITE-DE", "SITE-Köln 'x'", "VIP"]),
        machine("b", &["SITE-DE", "SITE-a\\b", "SITE-{x}"]),
        machine("c", &["SITE-a;b", "SITE-DE"]),
        machine("e", &["SITE-DE", "SITE-de"]),
        machine("d", &[]),
    ]);
    let text = dump(&listed.inventory, "first \"one\"", &["SITE-".to_owned()]).expect("tags");
    let mut declaration = declaration(&text).expect(&text);
    let told = listed.wishes(&mut declaration, &BTreeMap::new()).expect("no conflict");
    let tags = |name: &str| {
        listed.inventory.machines().find(|machine| machine.name() == Some(name)).map(|it| it.tags().count())
    };
    // Whoever has an odd tag, or a second spelling of one, is left alone; of the others every tag is given where it is, and nowhere else.
    assert_eq!((tags("a"), tags("b")), (Some(3), Some(3)));
    insta::assert_snapshot!(told.join("\n"), @r#"
    a: Add tag "SITE-DE" by SITE-DE
    a: Add tag "SITE-Köln 'x'" by SITE-Köln 'x'
    "#);
    insta::assert_snapshot!(text, @r#"
    # Written by tagfleet rules --dump: each rule keeps a tag where it is. Put what the tag stands for in the place of its
    # condition, for example "computerDnsName startswith 'ber-'".
    schema = 1
    name = "first \"one\""

    [own]
    prefixes = ["SITE-"]

    [scope] # leaves out who has one of 3 tags that are odd or second spellings, which no rule may give
    where = "not(set_has_element(machineTags, 'SITE-a;b')) and not(set_has_element(machineTags, 'SITE-de')) and not(set_has_element(machineTags, 'SITE-{x}'))"

    [[rule]] # 4 machines: a, b, c …
    name = "SITE-DE"
    where = "set_has_element(machineTags, 'SITE-DE')"
    tag = "SITE-DE"

    [[rule]] # 1 machine: a
    name = "SITE-Köln 'x'"
    where = "set_has_element(machineTags, 'SITE-Köln \\'x\\'')"
    tag = "SITE-Köln 'x'"

    [[rule]] # 1 machine: b
    name = "SITE-a\\b"
    where = "set_has_element(machineTags, 'SITE-a\\\\b')"
    tag = "SITE-a\\b"
    "#);
    assert_eq!(dump(&listed.inventory, "x", &["NONE-".to_owned()]), Err(0));
}

#[test]
fn no_file_has_a_rule_for_each_of_very_many_tags() {
    let of = |machine: usize, tags: usize| MachineRecord {
        id: format!("{machine:040x}").into(),
        machine_tags: Some((0..tags).map(|tag| format!("T-{machine}-{tag}").into()).collect()),
        ..MachineRecord::default()
    };
    let machines = (0..MOST_TAGS / 1_000).map(|machine| of(machine, 1_000)).chain([of(MOST_TAGS, 1)]);
    let inventory = Inventory::from_machines(jiff::Timestamp::UNIX_EPOCH, machines);
    assert_eq!(dump(&inventory, "x", &["T-".to_owned()]), Err(MOST_TAGS + 1));
    assert!(dump(&inventory, "x", &["T-1-".to_owned()]).is_ok());
}
