//! Files of rules: a fleet kept as declared, seen from outside.

#[cfg(unix)]
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::checking::token;
use crate::machines::{id, with_ids};
use crate::process::{Ended, Program, wait_until};
use crate::rehearsal::Folder;
use crate::sandbox_server::{Machine, Sandbox};
use crate::stand_in::StandIn;
use crate::table::{Row, Table};
use crate::tenant::{Tenant, TenantMachine, machine};

/// Sites by name, and servers by platform.
pub(crate) const FLEET: &str = r#"schema = 1
name = "fleet-eu"
[own]
prefixes = ["SITE-", "TIER-"]
retired = ["Standort-"]
[[rule]]
name = "berlin"
where = "computerDnsName startswith 'ber'"
tag = "SITE-DE"
[[rule]]
name = "server"
where = "osPlatform startswith 'WindowsServer'"
tag = "TIER-1"
value = "High"
"#;

/// The command over the file `fleet.toml` in this folder, without a quota.
#[track_caller]
pub(crate) fn over(server: &StandIn, folder: &Folder, rules: &str, line: &str) -> Ended {
    folder.write("fleet.toml", rules);
    run(server, folder, line)
}

#[track_caller]
pub(crate) fn run(server: &StandIn, folder: &Folder, line: &str) -> Ended {
    let mut command = folder.command();
    command.envs(server.variables()).env("COLUMNS", "80").args(line.split_whitespace()).args(["--quota", "off"]);
    Program::start(command, None, true).end()
}

#[track_caller]
pub(crate) fn exits(ended: Ended, status: i32) -> Ended {
    assert_eq!(ended.status, Some(status), "{}\n{}", ended.messages, String::from_utf8_lossy(&ended.output));
    ended
}

pub(crate) fn text(ended: &Ended) -> String {
    String::from_utf8_lossy(&ended.output).into_owned()
}

fn answer(row: &Row) -> String {
    let name = row["computerDnsName"].split('.').next().unwrap_or_default();
    let (number, status, rule) = (&row["row"], &row["status"], &row["rule"]);
    format!(
        "{number} {name} {} {}{} {status} {}, {rule}",
        &row["action"], &row["tag"], &row["value"], &row["error_code"]
    )
}

/// What the results say of each row.
fn answers(folder: &Folder) -> Vec<String> {
    Table::read(&folder.read("fleet.results.csv").expect("results"), ',').rows.iter().map(answer).collect()
}

/// Machines at two sites.
pub(crate) fn machines() -> Vec<TenantMachine> {
    vec![
        machine(1).named("ber-1.corp").running("WindowsServer2022").tagged("Standort-Berlin"),
        machine(2).named("ber-2.corp").running("Windows11").tagged("SITE-DE").tagged("VIP"),
        machine(3).named("muc-1.corp").running("Windows11").tagged("SITE-DE"),
    ]
}

#[test]
fn a_fleet_is_made_as_declared_and_the_second_night_writes_nothing() {
    let (tenant, folder) = (Tenant::of(machines()), Folder::new());
    let server = tenant.serve();
    let plan = exits(over(&server, &folder, FLEET, "plan fleet.toml"), 0);
    insta::assert_snapshot!(text(&plan).lines().take(3).collect::<Vec<_>>().join("\n"), @r#"
    Plan for fleet.toml, 6 rows, on 127.0.0.1:
    5 changes, 1 already set
              1 × add tag "SITE-DE" (1 already set)
    "#);
    assert_eq!(exits(run(&server, &folder, "plan fleet.toml --detailed-exitcode"), 10).status, Some(10));
    exits(run(&server, &folder, "verify fleet.toml"), 10);
    assert_eq!(server.writes(), 0);

    let told = exits(run(&server, &folder, "apply fleet.toml --yes --json"), 0).object();
    assert_eq!((&told["declaration"], &told["machines_in_scope"]), (&json!("fleet-eu"), &json!(3)));
    let header = String::from_utf8(folder.read("fleet.results.csv").expect("results")).expect("UTF-8");
    assert!(header.starts_with("machineId,computerDnsName,tag,action,value,rule,row,status,"), "{header}");
    insta::assert_snapshot!(answers(&folder).join("\n"), @r#"
    1 ber-1 Add SITE-DE succeeded , berlin
    2 ber-1 Add TIER-1 succeeded , server
    3 ber-1 SetDeviceValue High succeeded , server
    4 ber-1 Remove Standort-Berlin succeeded , [own]
    5 ber-2 Add SITE-DE unchanged , berlin
    6 muc-1 Remove SITE-DE succeeded , [own]
    "#);
    assert_eq!(tenant.holds(1), (vec!["SITE-DE".to_owned(), "TIER-1".to_owned()], "High".to_owned()));
    assert_eq!((tenant.holds(2).0, tenant.holds(3).0), (vec!["SITE-DE".to_owned(), "VIP".to_owned()], vec![]));

    let before = server.writes();
    let again = exits(run(&server, &folder, "apply fleet.toml --yes -q"), 0);
    assert_eq!((again.messages.as_str(), text(&again).as_str()), ("", ""));
    assert_eq!(server.writes(), before);
    exits(run(&server, &folder, "verify fleet.toml"), 0);

    let run_id = told["run_id"].as_str().expect("a run").to_owned();
    exits(run(&server, &folder, &format!("undo {run_id} --yes")), 0);
    assert_eq!(
        (tenant.holds(1).0, tenant.holds(3).0),
        (vec!["Standort-Berlin".to_owned()], vec!["SITE-DE".to_owned()])
    );
}

#[test]
fn the_rule_of_a_removal_is_that_which_gave_the_tag_last() {
    let (tenant, folder) = (Tenant::of([machine(1).named("ber-1.corp").tagged("TIER-9")]), Folder::new());
    let server = tenant.serve();
    exits(over(&server, &folder, FLEET, "apply fleet.toml --yes"), 0);
    let renamed = FLEET.replace("\"berlin\"", "\"munich\"").replace("'ber'", "'muc'");
    exits(over(&server, &folder, &renamed, "apply fleet.toml --yes"), 0);
    insta::assert_snapshot!(answers(&folder).join("\n"), @"1 ber-1 Remove SITE-DE succeeded , berlin");
    assert_eq!(tenant.holds(1).0, Vec::<String>::new());
}

#[test]
fn whatever_is_wrong_with_a_file_is_told_with_its_line_before_anything_is_sent() {
    let server = Tenant::of(machines()).serve();
    let folder = Folder::new();
    let wrong = FLEET.replace("tag = \"SITE-DE\"", "tagg = \"SITE-DE\"").replace("osPlatform", "osPlatfrom");
    for command in ["plan", "apply --yes", "verify"] {
        let ended = exits(over(&server, &folder, &wrong, &format!("{command} fleet.toml")), 3);
        for part in
            ["fleet.toml: line 9: unknown key \"tagg\" in [[rule]]; did you mean tag?", "fleet.toml has 2 faults"]
        {
            assert!(ended.messages.contains(part), "{}", ended.messages);
        }
    }
    let told = exits(run(&server, &folder, "plan fleet.toml --json"), 3).object();
    assert_eq!(told["findings"][0]["line"], json!(6));
    let lookup =
        format!("{FLEET}[lookup.cmdb]\nfile = 'cmdb.csv'\nkey = {{ computerDnsName = 'Name' }}\nmax-age = '36h'\n");
    for command in ["plan", "apply --yes", "verify"] {
        let ended = exits(over(&server, &folder, &lookup, &format!("{command} fleet.toml")), 3);
        assert!(ended.messages.contains("line 15: the lookup cmdb: cmdb.csv cannot be used"), "{}", ended.messages);
    }
    folder.write("cmdb.csv", "Name,Department\nber-1,Sales\nber-1,HR\n");
    let ended = exits(run(&server, &folder, "plan fleet.toml"), 3);
    assert!(ended.messages.contains("\"ber-1\" stands on line 2 already"), "{}", ended.messages);
    for option in ["--where true", "--skip-invalid", "--guard-removals 1%,1", "--no-inventory", "--encoding utf-8"] {
        exits(over(&server, &folder, FLEET, &format!("plan fleet.toml {option}")), 2);
    }
    exits(run(&server, &folder, "apply fleet.toml --yes --inventory fleet.toml"), 2);
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn removals_beyond_the_guard_are_withheld_and_a_ceiling_lets_them_through() {
    let machines = (1..=20).map(|number| machine(number).named(&format!("muc-{number}.corp")).tagged("SITE-DE"));
    let (tenant, folder) = (Tenant::of(machines), Folder::new());
    let server = tenant.serve();
    let ended = exits(over(&server, &folder, FLEET, "apply fleet.toml --yes --json"), 1).object();
    assert_eq!(ended["status"]["not_attempted"], json!(20));
    assert_eq!(answers(&folder)[0], "1 muc-1 Remove SITE-DE not_attempted withheld, [own]");
    assert_eq!(server.writes(), 0);
    exits(run(&server, &folder, "plan fleet.toml --allow-removals 19"), 1);
    exits(run(&server, &folder, "plan fleet.toml --allow-removals 20"), 0);
    let guarded =
        format!("{FLEET}[guard]\nremovals = {{ percent = 100, count = 0 }}\nchanges = {{ percent = 1, count = 3 }}\n");
    exits(over(&server, &folder, &guarded, "apply fleet.toml --yes"), 3);
    exits(run(&server, &folder, "apply fleet.toml --yes --allow-changes 19"), 3);
    assert_eq!(server.writes(), 0);
    exits(run(&server, &folder, "apply fleet.toml --yes --allow-changes 20"), 0);
    assert_eq!(tenant.holds(20).0, Vec::<String>::new());
}

#[test]
fn what_a_name_owns_no_other_file_may_own_until_it_is_released() {
    let server = Tenant::of(machines()).serve();
    let folder = Folder::new();
    let other = FLEET.replace("fleet-eu", "fleet-us");
    exits(over(&server, &folder, &other, "plan fleet.toml"), 0);
    exits(over(&server, &folder, FLEET, "apply fleet.toml --yes"), 0);
    for command in ["plan", "apply --yes", "verify"] {
        let ended = exits(over(&server, &folder, &other, &format!("{command} fleet.toml")), 3);
        let told = "line 4: the prefix \"SITE-\" overlaps with the prefix \"SITE-\", which the rules \"fleet-eu\" of";
        assert!(ended.messages.contains(told), "{}", ended.messages);
    }
    let unknown = exits(run(&server, &folder, "rules --release fleet-xx"), 2);
    assert!(unknown.messages.contains("\"fleet-eu\""), "{}", unknown.messages);
    exits(run(&server, &folder, "rules --release fleet-eu"), 0);
    exits(over(&server, &folder, &other, "plan fleet.toml"), 0);
}

#[test]
fn a_run_of_rules_of_which_another_file_owns_something_now_is_not_gone_on_with() {
    let server = Tenant::of(machines()).serve();
    let folder = Folder::new();
    let left = exits(over(&server, &folder, FLEET, "apply fleet.toml --yes --limit 2 --json"), 0).object();
    let left = format!("resume {} --yes", left["run_id"].as_str().expect("a run"));
    exits(run(&server, &folder, "rules --release fleet-eu"), 0);
    let other = FLEET.replace("fleet-eu", "fleet-us").replace("'ber'", "'nobody'");
    exits(over(&server, &folder, &other, "apply fleet.toml --yes"), 0);
    let refused = exits(run(&server, &folder, &left), 3);
    let told = "of which the prefix \"SITE-\" overlaps with the prefix \"SITE-\", which the rules \"fleet-us\" of";
    assert!(refused.messages.contains(told), "{}", refused.messages);
    exits(run(&server, &folder, "rules --release fleet-us"), 0);
    exits(run(&server, &folder, &left), 0);
}

#[test]
fn who_takes_over_a_name_is_told_whose_it_was() {
    let server = Tenant::of(machines()).serve();
    let folder = Folder::new();
    exits(over(&server, &folder, FLEET, "apply fleet.toml --yes"), 0);
    folder.write("other.toml", FLEET);
    let told = |ended: Ended| ended.messages.matches("other.toml: the rules \"fleet-eu\" were those of ").count();
    for (command, count) in [("plan", 1), ("apply --yes -q", 1), ("apply --yes -q", 0), ("verify", 0)] {
        let ended = exits(run(&server, &folder, &format!("{command} other.toml")), 0);
        assert!(count == 0 || ended.messages.contains("fleet.toml (since 20"), "{}", ended.messages);
        assert_eq!(told(ended), count, "{command}");
    }
}

#[test]
fn what_is_said_of_a_tag_names_its_rule_and_what_does_not_hold_its_machine() {
    let machines = [machine(1).named("ber-1.corp").tagged("Standort-Berlin"), machine(2).named("x").tagged("site-de")];
    let server = Tenant::of(machines).serve();
    let folder = Folder::new();
    let told =
        "warning: fleet.toml: line 6, rule \"berlin\": the tag \"SITE-DE\" is new to the tenant, where 1 machine has";
    let verified = exits(over(&server, &folder, FLEET, "verify fleet.toml"), 10);
    insta::assert_snapshot!(text(&verified), @r#"
    2 rows of fleet.toml:
                2 differ
      ber-1.corp: tag "SITE-DE": absent, should be present
      ber-1.corp: tag "Standort-Berlin": present, should be absent
    Rules of fleet-eu: 2 of 2 machines in scope.
    "#);
    let listed = exits(run(&server, &folder, "verify @tenant --all --add SITE-DE"), 10);
    assert!(text(&listed).contains("  ber-1.corp: tag \"SITE-DE\": absent, should be present\n"), "{}", text(&listed));
    let added = "warning: --add: the tag \"SITE-DE\" is new to the tenant, where 1 machine has \"site-de\"";
    let removed = "warning: --remove: no machine of the tenant has the tag \"Nix\", which is to be removed";
    let planned = exits(run(&server, &folder, "plan @tenant --all --add SITE-DE --remove Nix"), 0);
    assert!(planned.messages.contains(added) && planned.messages.contains(removed), "{}", planned.messages);
    for ended in [
        verified,
        exits(run(&server, &folder, "plan fleet.toml"), 0),
        exits(run(&server, &folder, "apply fleet.toml --yes"), 0),
    ] {
        assert!(ended.messages.contains(told) && !ended.messages.contains("row "), "{}", ended.messages);
    }
}

#[test]
fn a_list_that_has_shrunk_is_not_believed() {
    let folder = Folder::new();
    let all: Vec<_> = (1..=10).map(|number| machine(number).named(&format!("ber-{number}.corp"))).collect();
    let whole = Tenant::of(all).serve();
    exits(over(&whole, &folder, FLEET, "apply fleet.toml --yes"), 0);
    let fewer =
        |count: u32| Tenant::of((1..=count).map(|number| machine(number).named(&format!("ber-{number}.corp")))).serve();
    exits(run(&fewer(9), &folder, "plan fleet.toml"), 0);
    for command in ["plan", "apply --yes", "verify"] {
        let ended = exits(run(&fewer(8), &folder, &format!("{command} fleet.toml")), 3);
        let told = "the tenant's list has 8 machines, and [guard] asks for 90% of the 10 of the last finished run";
        assert!(ended.messages.contains(told), "{}", ended.messages);
    }
}

#[test]
fn a_fresh_dump_changes_nothing() {
    let server = Tenant::of(machines()).serve();
    let folder = Folder::new();
    let dumped = exits(run(&server, &folder, "rules --dump --prefix SITE- --prefix Standort-"), 0);
    let told = exits(over(&server, &folder, &text(&dumped), "plan fleet.toml --json"), 0).object();
    assert_eq!((&told["changes"], &told["unchanged"]), (&json!(0), &json!(3)));
    exits(run(&server, &folder, "rules --dump --prefix NONE-"), 3);
    exits(run(&server, &folder, "rules --dump"), 2);
    exits(run(&server, &folder, "rules"), 2);
}

#[test]
fn a_dump_can_be_read_whatever_its_tags_hold() {
    let odd = [
        "SITE-\u{202e}1",
        "SITE-\u{200b}",
        "SITE-\u{a0}x",
        "SITE-\u{3000}",
        "SITE-\u{2028}",
        "SITE-\\u0041",
        "SITE-\u{7f}",
    ];
    let all = (1..).zip(odd).map(|(number, tag)| machine(number).tagged(tag));
    let server = Tenant::of(all.chain([machine(20).tagged("SITE-ok")])).serve();
    let folder = Folder::new();
    let dumped = exits(run(&server, &folder, "rules --dump --prefix SITE-"), 0);
    let told = exits(over(&server, &folder, &text(&dumped), "plan fleet.toml --json"), 0).object();
    assert_eq!((&told["changes"], &told["unchanged"]), (&json!(0), &json!(2)), "{}", text(&dumped));
}

#[test]
fn a_person_sees_too_few_machines_for_rules() {
    let server = Tenant::of(machines()).serve();
    let folder = Folder::new();
    folder.write("fleet.toml", FLEET);
    for line in ["plan fleet.toml", "apply fleet.toml --yes", "verify fleet.toml", "rules --dump --prefix SITE-"] {
        let mut command = folder.command();
        command
            .envs(server.variables())
            .env("TAGFLEET_TOKEN", token(&json!({"scp": "Machine.ReadWrite", "roles": []})));
        command.args(line.split_whitespace());
        let ended = exits(Program::start(command, None, true).end(), 3);
        assert!(ended.messages.contains("a person's list shows only"), "{line}: {}", ended.messages);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_run_that_was_left_goes_on_with_what_was_decided_and_the_same_command_decides_anew() {
    let (tenant, folder) = (Tenant::of(machines()), Folder::new());
    let server = tenant.serve();
    // A canary leaves a part of it.
    exits(over(&server, &folder, FLEET, "apply fleet.toml --yes --limit 2"), 0);
    let after = FLEET.replace("'ber'", "'nobody'");
    let plan = exits(over(&server, &folder, &after, "plan fleet.toml --json"), 0).object();
    assert!(plan["changes"].as_u64().is_some_and(|changes| changes > 0), "{plan}");
    exits(over(&server, &folder, FLEET, "apply fleet.toml --yes"), 0);
    exits(run(&server, &folder, "verify fleet.toml"), 0);
    assert_eq!(tenant.holds(3).0, Vec::<String>::new());
}

/// The machines of the fleet as the portal exports them, and as advanced hunting does.
const PORTAL: &str = "Device ID,Device Name,OS Platform,Tags,Group\n\
                      #1,ber-1.corp,WindowsServer2022,Standort-Berlin,Workstations\n\
                      #2,ber-2.corp,Windows11,\"SITE-DE, VIP\",Workstations\n,ber-9.corp,Windows11,,\n\
                      #3,muc-1.corp,Windows11,SITE-DE,Workstations\n";
const HUNTED: &str = "DeviceId;DeviceName;OSPlatform;MachineGroup;DeviceManualTags\n\
                      #1;ber-1.corp;WindowsServer2022;Workstations;\"[\"\"Standort-Berlin\"\"]\"\n\
                      #2;ber-2.corp;Windows11;Workstations;\"[\"\"SITE-DE\"\",\"\"VIP\"\"]\"\n;ber-9.corp;Windows11;;\n\
                      #3;muc-1.corp;Windows11;Workstations;\"[\"\"SITE-DE\"\"]\"\n";

#[test]
fn rows_of_rules_are_not_fed_back_as_a_file_of_their_own_whatever_the_run_was_gone_on_with() {
    let dead = machine(4).named("ber-4.corp").dead();
    let (tenant, folder) = (Tenant::of([machine(1).named("ber-1.corp"), dead]), Folder::new());
    let server = tenant.serve();
    let begun = exits(over(&server, &folder, FLEET, "apply fleet.toml --yes --json --limit 1"), 0).object();
    let run_id = begun["run_id"].as_str().expect("a run").to_owned();
    let ended = exits(run(&server, &folder, &format!("resume {run_id} --yes --json")), 1);
    let told = ended.object();
    assert_eq!((&told["status"]["failed"], &told["open"], &told["next"]), (&json!(1), &json!(0), &Value::Null));
    assert!(ended.messages.contains("Rows not done: "), "{}", ended.messages);
}

#[test]
fn rules_can_be_tried_on_an_exported_list_without_a_tenant() {
    let server = Tenant::of(machines()).serve();
    let folder = Folder::new();
    exits(run(&server, &folder, "inventory -o machines.csv"), 0);
    let at_tenant = exits(over(&server, &folder, FLEET, "plan fleet.toml --json"), 0).object();
    let requests = server.requests().len();
    let tried = exits(run(&server, &folder, "plan fleet.toml --inventory machines.csv --json"), 0).object();
    for key in ["rows", "changes", "unchanged", "machines_in_scope", "by_change", "rules"] {
        assert_eq!(tried[key], at_tenant[key], "{key}");
    }
    for (name, export) in [("portal.csv", PORTAL), ("hunted.csv", HUNTED)] {
        folder.write(name, with_ids(export));
        let tried = exits(run(&server, &folder, &format!("plan fleet.toml --inventory {name} --json")), 0);
        for key in ["rows", "changes", "unchanged", "machines_in_scope", "by_change", "rules"] {
            assert_eq!(tried.object()[key], at_tenant[key], "{name}: {key}");
        }
        assert!(tried.messages.contains("left out 1 row that names no machine in the column"), "{}", tried.messages);
    }
    folder.write("short.csv", with_ids("AAD Device Id,Device ID,Device Name\n,#1,x\n,#2,ber\n"));
    let short = exits(run(&server, &folder, "plan fleet.toml --inventory short.csv"), 0);
    let lacking = "no column for osPlatform, machineTags; what the rules ask of that is undecided";
    assert!(short.messages.contains(lacking), "{}", short.messages);
    folder.write("other.csv", with_ids("Device ID,Device Name,Tags\n#1,ber,\"site-de, x\"\n"));
    let other = exits(run(&server, &folder, "plan fleet.toml --inventory other.csv"), 0);
    let told =
        "warning: fleet.toml: line 6, rule \"berlin\": the tag \"SITE-DE\" is new to the tenant, where 1 machine has";
    assert!(other.messages.contains(told), "{}", other.messages);
    folder.write("names.csv", "Device Name,Tags\nber,\n");
    let nameless = exits(run(&server, &folder, "plan fleet.toml --inventory names.csv"), 3);
    assert!(nameless.messages.contains("an export that has a column of ids"), "{}", nameless.messages);
    exits(run(&server, &folder, "plan fleet.toml --inventory machines.csv --explain ber-1"), 0);
    exits(run(&server, &folder, "plan fleet.toml --inventory fleet.toml"), 3);
    folder.write("orders.csv", format!("machineId,tag,action\n{},A,Add\n", id(1)));
    exits(run(&server, &folder, "plan orders.csv --inventory machines.csv"), 2);
    exits(run(&server, &folder, "plan orders.csv --explain ber-1"), 2);
    assert_eq!(server.requests().len(), requests);
}

/// A fleet that is to have one tag instead of many.
#[cfg(unix)]
const ONE_SITE: &str = "schema = 1\nname = 'one'\n[own]\nprefixes = ['SITE-', 'Standort-']\n\
                        [guard]\nremovals = { percent = 100, count = 1000 }\nchanges = { percent = 100, count = 1000 }\n\
                        [[rule]]\nname = 'all'\nwhere = 'true'\ntag = 'SITE-X'\n";

#[cfg(unix)]
#[test]
fn a_killed_run_goes_on_when_the_command_is_given_again_and_answers_for_all_of_it() {
    let folder = Folder::new();
    folder.write("fleet.toml", ONE_SITE);
    let sandbox = Sandbox::start_exactly("--listen 127.0.0.1:0 --machines 120 --quota off --latency 10ms");
    let start = |line: &str| {
        let mut command = folder.command();
        command.envs(sandbox.variables().iter().cloned()).args(line.split_whitespace()).args(["--quota", "off"]);
        Program::start(command, None, true)
    };
    let before = sandbox.machines();
    let sites = |machine: &Machine| machine.tags.iter().filter(|tag| tag.starts_with('S')).cloned().collect::<Vec<_>>();
    // Machines that have lost a tag, and have got the one before.
    let moved = || {
        let now = sandbox.machines().into_iter();
        now.filter(|(id, machine)| !sites(&before[id]).is_empty() && sites(machine) == ["SITE-X"]).count()
    };
    let running = start("apply fleet.toml --yes --no-bulk --concurrency 2");
    wait_until(|| moved() >= 3);
    running.signal(Signal::KILL);
    let _killed = running.end();
    let told = exits(start("apply fleet.toml --yes --json").end(), 0).object();
    // A row for every machine, and one for every tag that went, before and after the process died.
    let rows = before.len() + before.values().map(|machine| sites(machine).len()).sum::<usize>();
    assert_eq!((told["rows"].as_u64(), told["status"]["succeeded"].as_u64()), (Some(rows as u64), Some(rows as u64)));
    assert!(sandbox.machines().values().all(|machine| sites(machine) == ["SITE-X"]));
    exits(start("verify fleet.toml").end(), 0);
    let run = told["run_id"].as_str().expect("a run").to_owned();
    exits(start(&format!("undo {run} --yes")).end(), 0);
    assert_eq!(sandbox.machines(), before);
}
