//! Files of rules: a fleet kept as declared, seen from outside.

use std::time::Instant;

#[cfg(unix)]
use rustix::process::Signal;
use serde_json::json;

use crate::machines::id;
use crate::process::{Ended, PATIENCE, Program};
use crate::rehearsal::Folder;
use crate::sandbox_server::{Machine, Sandbox};
use crate::stand_in::StandIn;
use crate::table::{Row, Table};
use crate::tenant::{Tenant, TenantMachine, machine};

/// Sites by name, and servers by platform.
const FLEET: &str = r#"schema = 1
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
fn over(server: &StandIn, folder: &Folder, rules: &str, line: &str) -> Ended {
    folder.write("fleet.toml", rules);
    run(server, folder, line)
}

#[track_caller]
fn run(server: &StandIn, folder: &Folder, line: &str) -> Ended {
    let mut command = folder.command();
    command.envs(server.variables()).env("COLUMNS", "80").args(line.split_whitespace()).args(["--quota", "off"]);
    Program::start(command, None, true).end()
}

#[track_caller]
fn exits(ended: Ended, status: i32) -> Ended {
    assert_eq!(ended.status, Some(status), "{}\n{}", ended.messages, String::from_utf8_lossy(&ended.output));
    ended
}

fn text(ended: &Ended) -> String {
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
fn machines() -> Vec<TenantMachine> {
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
    assert!(ended.messages.contains("has the key \"ber-1\" twice, on lines 2 and 3"), "{}", ended.messages);
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
    let since = Instant::now();
    while moved() < 3 {
        assert!(since.elapsed() < PATIENCE, "the run does not get on");
    }
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
