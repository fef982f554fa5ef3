//! Rules that cannot be decided: what they say of it, and that nobody takes it for what holds.

use serde_json::json;

use crate::machines::id;
use crate::rehearsal::Folder;
use crate::rules::{FLEET, exits, machines, over, run, text};
use crate::tenant::{Tenant, machine};

#[test]
fn what_cannot_be_decided_is_counted_and_left() {
    let rules = format!(
        "{FLEET}[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = {{ computerDnsName = 'Name' }}\n\
         [[rule]]\nname = 'tier'\nwhere = 'isnotempty(cmdb.Tier)'\ntag = 'TIER-{{cmdb.Tier}}'\n"
    );
    let folder = Folder::new();
    folder.write("cmdb.csv", "Name;Tier\nber-1;2\nBER-2.corp;\n");
    let tenant = Tenant::of([
        machine(1).named("ber-1.corp").tagged("TIER-7"),
        machine(2).named("ber-2.corp").tagged("TIER-7"),
        machine(3).named("ber-3.corp").tagged("TIER-7"),
    ]);
    let server = tenant.serve();
    let told = exits(over(&server, &folder, &rules, "apply fleet.toml --yes --json -q"), 0).object();
    assert_eq!(told["undecided_machines"], json!(1));
    let tags = [1, 2, 3].map(|number| tenant.holds(number).0.join(" "));
    assert_eq!(tags, ["SITE-DE TIER-2", "SITE-DE", "SITE-DE TIER-7"]);
    let explained = exits(run(&server, &folder, "plan fleet.toml --explain ber-3"), 0);
    insta::assert_snapshot!(text(&explained).replace(&id(3), "ID"), @r#"
    Machine ber-3.corp (ID) is in scope.
      line 6, "berlin": gives the tag "SITE-DE", which it has
      line 10, "server": does not match
      line 18, "tier": undecided, since the machine lacks cmdb.Tier
    "#);
    for named in ["ber-3.corp", &id(3)] {
        assert_eq!(
            text(&exits(run(&server, &folder, &format!("plan fleet.toml --explain {named}")), 0)),
            text(&explained)
        );
    }
    exits(run(&server, &folder, "plan fleet.toml --explain ber-9"), 3);
}

#[test]
fn what_no_machine_lets_be_decided_is_not_taken_for_what_holds() {
    let server = Tenant::of(machines().into_iter().map(|machine| machine.showing("managedBy", ""))).serve();
    let folder = Folder::new();
    let owning = |prefixes: &str| format!("schema = 1\nname = 'f'\n[own]\nprefixes = [{prefixes}]\n");
    let own = owning("'SITE-', 'Standort-', 'TIER-'");
    let rule = |name: &str, condition: &str, tag: &str| {
        format!("[[rule]]\nname = '{name}'\nwhere = \"{condition}\"\ntag = '{tag}'\n")
    };
    let managed = rule("managed", "managedBy == 'x'", "TIER-9");
    let alone = format!("{}{managed}", owning("'TIER-'"));
    insta::assert_snapshot!(text(&exits(over(&server, &folder, &alone, "verify fleet.toml -q"), 10)), @r#"
    fleet.toml asks for nothing that could be compared.
    Rules of f: 3 of 3 machines in scope.
      "managed" is undecided about 3 machines, whose tags it leaves as they are; the first, ber-1.corp, lacks managedBy
    Not known to hold, since no machine in scope lets it be decided: "managed".
    "#);
    let told = exits(run(&server, &folder, "verify fleet.toml --json"), 10).object();
    assert_eq!(
        (&told["rows"], &told["undecided_machines"], &told["scope_undecided"]),
        (&json!(0), &json!(3), &json!(0))
    );
    assert_eq!((&told["rules"][0]["undecided"], &told["rules"][0]["lacking"]), (&json!(3), &json!(["managedBy"])));

    let held = rule("de", "computerDnsName != 'ber-1.corp'", "SITE-DE");
    let berlin = rule("berlin", "computerDnsName == 'ber-1.corp'", "Standort-Berlin");
    let some = rule("some", "computerDnsName startswith 'ber' and managedBy == 'x'", "SITE-DE");
    let beside = exits(over(&server, &folder, &format!("{own}{held}{berlin}{some}"), "verify fleet.toml"), 0);
    insta::assert_snapshot!(text(&beside), @r#"
    3 rows of fleet.toml:
                3 hold
    Rules of f: 3 of 3 machines in scope.
      "some" is undecided about 2 machines, whose tags it leaves as they are; the first, ber-1.corp, lacks managedBy
    "#);
    exits(over(&server, &folder, &format!("{own}{held}{berlin}{managed}"), "verify fleet.toml"), 10);
    let scope = format!("{own}[scope]\nwhere = \"managedBy == 'x'\"\n{held}");
    let scoped = exits(over(&server, &folder, &scope, "verify fleet.toml"), 10);
    insta::assert_snapshot!(text(&scoped), @r#"
    fleet.toml asks for nothing that could be compared.
    Rules of f: 0 of 3 machines in scope.
      3 machines lack what the scope asks for, and stay as they are; the first, ber-1.corp, lacks managedBy
    Not known to hold: no machine is in scope for certain.
    "#);
}

#[test]
fn a_rule_that_would_change_its_mind_is_told_of_what_is_really_done() {
    let (server, folder) = (Tenant::of(machines()).serve(), Folder::new());
    let rules = |removals: u32, condition: &str| {
        format!(
            "schema = 1\nname = 'u'\n[own]\nprefixes = ['SITE-', 'TIER-']\n\
             [guard]\nremovals = {{ percent = 0, count = {removals} }}\n\
             [[rule]]\nname = 'r'\nwhere = \"{condition}\"\ntag = 'TIER-0'\n"
        )
    };
    let unsettled = |rules: &str, line: &str| {
        folder.write("fleet.toml", rules);
        let told = run(&server, &folder, &format!("{line} --json")).object();
        told["rules"][0]["unsettled"].clone()
    };
    // Two machines lose the tag that the rule asks for, unless that is withheld.
    let (many, none) = (rules(9, "machineTags contains 'SITE-DE'"), rules(0, "machineTags contains 'SITE-DE'"));
    for command in ["plan fleet.toml", "verify fleet.toml"] {
        assert_eq!((unsettled(&many, command), unsettled(&none, command)), (json!(2), json!(0)), "{command}");
    }
    let itself = rules(9, "machineTags !contains 'TIER-0'");
    let told = ["", " --limit 1", " --limit 0"].map(|limit| unsettled(&itself, &format!("plan fleet.toml{limit}")));
    assert_eq!(told, [json!(3), json!(1), json!(0)]);
    // What is left for the next run is no other decision.
    let first = "[[rule]]\nname = 'first'\nwhere = 'true'\ntag = 'TIER-1'\n[[rule]]\nname = 'r'";
    let two = itself
        .replace("[[rule]]\nname = 'r'", first)
        .replace("machineTags !contains 'TIER-0'", "machineTags !contains 'x'");
    folder.write("fleet.toml", two);
    let told = run(&server, &folder, "plan fleet.toml --limit 1 --json").object();
    assert_eq!((&told["changes"], &told["rules"][1]["unsettled"]), (&json!(1), &json!(0)));
    assert_eq!(server.writes(), 0);
}
