//! `tagfleet tags`: what a tenant's machines have, and a tag renamed or removed on all of them.

use std::fmt::Write as _;

use serde_json::json;

use crate::checking::token;
use crate::machines::id;
use crate::process::{Ended, Program};
use crate::rehearsal::Folder;
use crate::stand_in::StandIn;
use crate::table::Table;
use crate::tenant::{Tenant, TenantMachine, machine};

/// The command in this folder, without a quota.
#[track_caller]
fn tags(server: &StandIn, folder: &Folder, arguments: &[&str]) -> Ended {
    let mut command = folder.command();
    command.envs(server.variables()).env("COLUMNS", "80").arg("tags").args(arguments).args(["--quota", "off"]);
    Program::start(command, None, true).end()
}

#[track_caller]
fn exits(ended: Ended, status: i32) -> Ended {
    assert_eq!(ended.status, Some(status), "{}", ended.messages);
    ended
}

/// The tags of the machines 1 to `machines`.
fn held(tenant: &Tenant, machines: u32) -> Vec<Vec<String>> {
    (1..=machines).map(|number| tenant.holds(number).0).collect()
}

/// What the results say of each row: machine, tag, action and status.
fn answers(folder: &Folder, results: &str) -> Vec<String> {
    let table = Table::read(&folder.read(results).expect("results"), ',');
    let answer = |row: &crate::table::Row| {
        let machine = row["machineId"].trim_start_matches(|digit: char| !digit.is_ascii_digit());
        let number = machine.trim_start_matches('0');
        format!("{number} {} {} {} {}", &row["computerDnsName"], &row["action"], &row["tag"], &row["status"])
    };
    table.rows.iter().map(answer).collect()
}

/// Four machines, of which three have a tag that is misspelled.
fn fleet() -> Tenant {
    Tenant::of([
        machine(1).tagged("Marketting").tagged("Tier 1"),
        machine(2).tagged("Marketting").tagged("Marketing"),
        machine(3).tagged("marketting"),
        machine(4).tagged("Marketting"),
    ])
}

#[test]
fn every_tag_is_listed_with_its_machines_and_what_looks_like_it() {
    let server = Tenant::of([
        machine(1).tagged("Tier 1").tagged("MARKETING"),
        machine(2).tagged("Tier 1").tagged("Marketing"),
        machine(3).tagged("Marketing").tagged("a\u{202e}b"),
        machine(4),
    ])
    .serve();
    let folder = Folder::new();
    let text = exits(tags(&server, &folder, &[]), 0);
    insta::assert_snapshot!(String::from_utf8_lossy(&text.output), @r#"
     MACHINES  TAG
            1  a\u{202e}b
            2  Marketing
            1  MARKETING
               both differ only in case or width
            2  Tier 1
    4 tags on 3 of 4 machines.
    "#);
    let told = exits(tags(&server, &folder, &["--json"]), 0).object();
    let expected = json!([
        {"tag": "a\u{202e}b", "machines": 1, "twins": []},
        {"tag": "Marketing", "machines": 2, "twins": ["MARKETING"]},
        {"tag": "MARKETING", "machines": 1, "twins": ["Marketing"]},
        {"tag": "Tier 1", "machines": 2, "twins": []},
    ]);
    assert_eq!((&told["tags"], &told["schema_version"], &told["machines"]), (&expected, &json!(1), &json!(4)));
    assert_eq!(server.writes(), 0);
}

#[test]
fn a_tag_is_renamed_on_every_machine_that_has_it_and_back_again() {
    let (tenant, folder) = (fleet(), Folder::new());
    let (server, before) = (tenant.serve(), held(&tenant, 4));
    let rename = ["rename", "Marketting", "Marketing"];
    let plan = exits(tags(&server, &folder, &[&rename[..], &["--plan-only"]].concat()), 0);
    let text = String::from_utf8_lossy(&plan.output).into_owned();
    assert!(text.contains("Plan for tags rename Marketting Marketing, 6 rows"), "{text}");
    assert!(text.contains("5 changes, 1 already set") && text.contains("3 × remove tag \"Marketting\""), "{text}");
    exits(tags(&server, &folder, &[&rename[..], &["--plan-only", "--detailed-exitcode"]].concat()), 10);
    // Nobody is there to say yes.
    exits(tags(&server, &folder, &rename), 2);
    assert_eq!((server.writes(), folder.read("tags-rename.results.csv")), (0, None));

    let told = exits(tags(&server, &folder, &[&rename[..], &["--yes", "--json"]].concat()), 0).object();
    assert_eq!(held(&tenant, 4), [&["Marketing", "Tier 1"][..], &["Marketing"], &["marketting"], &["Marketing"]]);
    assert_eq!((&told["rows"], &told["input"]), (&json!(6), &json!("tags rename Marketting Marketing")));
    insta::assert_snapshot!(answers(&folder, "tags-rename.results.csv").join("\n"), @r#"
    1 pc1.contoso.example Add Marketing succeeded
    1 pc1.contoso.example Remove Marketting succeeded
    2 pc2.contoso.example Add Marketing unchanged
    2 pc2.contoso.example Remove Marketting succeeded
    4 pc4.contoso.example Add Marketing succeeded
    4 pc4.contoso.example Remove Marketting succeeded
    "#);

    let again = exits(tags(&server, &folder, &[&rename[..], &["--yes"]].concat()), 0);
    assert!(
        again.messages.contains("No machine of the tenant has the tag \"Marketting\"; the nearest is \"marketting\"")
    );
    let again = exits(tags(&server, &folder, &[&rename[..], &["--yes", "--json", "-q"]].concat()), 0);
    assert_eq!((&again.object()["nearest"], &again.object()["changes"]), (&json!("marketting"), &json!(0)));
    assert_eq!(again.messages, "");

    let mut undo = folder.command();
    let run = told["run_id"].as_str().expect("a run");
    undo.envs(server.variables()).args(["undo", run, "--yes", "--quota", "off"]);
    exits(Program::start(undo, None, true).end(), 0);
    assert_eq!(held(&tenant, 4), before);
}

#[test]
fn a_machine_to_which_the_new_tag_could_not_be_added_keeps_the_old_one() {
    let tenant = Tenant::of([machine(1).tagged("Old"), machine(2).tagged("Old").dead(), machine(3).tagged("Old")]);
    let (server, folder) = (tenant.serve(), Folder::new());
    exits(tags(&server, &folder, &["rename", "Old", "New", "--yes"]), 1);
    assert_eq!(held(&tenant, 3), [["New"], ["Old"], ["New"]]);
    insta::assert_snapshot!(answers(&folder, "tags-rename.results.csv").join("\n"), @r#"
    1 pc1.contoso.example Add New succeeded
    1 pc1.contoso.example Remove Old succeeded
    2 pc2.contoso.example Add New failed
    2 pc2.contoso.example Remove Old not_attempted
    3 pc3.contoso.example Add New succeeded
    3 pc3.contoso.example Remove Old succeeded
    "#);
    // What was not done can be fed back as it stands.
    let mut apply = folder.command();
    apply.envs(server.variables()).args(["plan", "tags-rename.failed.csv", "--quota", "off", "--json"]);
    let plan = exits(Program::start(apply, None, true).end(), 0).object();
    assert_eq!((&plan["rows"], &plan["changes"]), (&json!(2), &json!(2)));
}

#[test]
fn a_tag_is_removed_exactly_and_within_limits() {
    let (tenant, folder) = (fleet(), Folder::new());
    let server = tenant.serve();
    let refused = exits(tags(&server, &folder, &["remove", "Marketting", "--yes", "--max-changes", "2"]), 3);
    assert!(refused.messages.contains("the plan has 3 changes"), "{}", refused.messages);
    assert_eq!(server.writes(), 0);
    exits(tags(&server, &folder, &["remove", "Marketting", "--yes", "--limit", "1"]), 0);
    assert_eq!(held(&tenant, 4), [&["Tier 1"][..], &["Marketing", "Marketting"], &["marketting"], &["Marketting"]]);
    exits(tags(&server, &folder, &["remove", "Marketting", "--yes"]), 0);
    assert_eq!(held(&tenant, 4), [&["Tier 1"][..], &["Marketing"], &["marketting"], &[]]);
}

#[test]
fn a_tag_that_cannot_be_typed_is_taken_off_as_the_list_shows_it() {
    let odd = ["a\tb", "a\u{200b}b", "a\u{85}b"];
    let fleet = || Tenant::of([odd.into_iter().fold(machine(1), TenantMachine::tagged)]);
    let (tenant, folder) = (fleet(), Folder::new());
    let server = tenant.serve();
    let list = String::from_utf8_lossy(&exits(tags(&server, &folder, &[]), 0).output).into_owned();
    let shown = list.lines().filter_map(|line| line.trim_start().strip_prefix("1  "));
    for tag in shown {
        exits(tags(&server, &folder, &["remove", tag, "--yes"]), 0);
    }
    assert_eq!(held(&tenant, 1), [&[] as &[&str]], "{list}");
    let mut orders = String::from("machineId,tag,action\n");
    for tag in odd {
        writeln!(orders, "{},\"{tag}\",Remove", id(1)).expect("a line");
    }
    let (tenant, folder) = (fleet(), Folder::new());
    folder.write("orders.csv", &orders);
    let mut apply = folder.command();
    let server = tenant.serve();
    apply.envs(server.variables()).args(["apply", "orders.csv", "--yes", "--quota", "off"]);
    let ended = exits(Program::start(apply, None, true).end(), 0);
    assert!(
        ended.messages.contains("holds the control character U+0009; it is removed as it stands"),
        "{}",
        ended.messages
    );
    assert_eq!(held(&tenant, 1), [&[] as &[&str]], "{}", ended.messages);
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_read() {
    let (server, folder) = (fleet().serve(), Folder::new());
    for (arguments, status, words) in [
        (&["rename", "A", "A"][..], 2, "OLD and NEW are the same tag"),
        (&["rename", "marketing", "Marketing"], 2, "by way of a third tag"),
        (&["rename", "A", "B;C"], 3, "--accept odd-tags"),
        (&["rename", "A", ""], 2, "the tag is empty"),
        (&["rename", "A", r"B\u{9}C"], 2, "control character"),
        (&["rename", "A"], 2, "<NEW>"),
        (&["list"], 2, "'tagfleet tags' lists them"),
        (&["rename", "A", "B", "--accept", "case-variants"], 2, "[possible values: odd-tags]"),
    ] {
        let ended = exits(tags(&server, &folder, arguments), status);
        assert!(ended.messages.contains(words), "{words:?} is not in: {}", ended.messages);
    }
    assert_eq!(server.requests().len(), 0);
    let odd = ["rename", "Marketting", "B;C", "--accept", "odd-tags", "--yes"];
    exits(tags(&server, &folder, &odd), 0);
    assert_eq!(server.writes(), 2, "a bulk call each");
    let hidden = exits(tags(&server, &folder, &["rename", "Tier 1", "Tier 1 (old)", "--plan-only"]), 0);
    assert!(hidden.messages.contains("the portal cannot filter by it"), "{}", hidden.messages);
    let twin = exits(tags(&server, &folder, &["rename", "Tier 1", "MARKETTING", "--plan-only"]), 0);
    assert!(twin.messages.contains("is new to the tenant, where 1 machine has \"marketting\""), "{}", twin.messages);
}

#[test]
fn a_filter_says_which_of_the_machines_that_have_the_tag_are_meant() {
    let tenant = Tenant::of([
        machine(1).tagged("Old").running("Linux"),
        machine(2).tagged("Old").running("Windows11"),
        machine(3).tagged("Old").running("Linux"),
        machine(4).running("Linux"),
    ]);
    let (server, folder) = (tenant.serve(), Folder::new());
    let linux = ["--where", "osPlatform=='Linux'"];
    let plan = tags(&server, &folder, &[&["remove", "Old", "--plan-only", "--json"], &linux[..]].concat());
    assert_eq!(exits(plan, 0).object()["changes"], 2);
    let renamed = tags(&server, &folder, &[&["rename", "Old", "New", "--yes", "--json"], &linux[..]].concat());
    assert_eq!(exits(renamed, 0).object()["input"], r"tags rename Old New --where 'osPlatform=='\''Linux'\'''");
    assert_eq!(held(&tenant, 4), [&["New"][..], &["Old"], &["New"], &[]]);
    let nobody = exits(tags(&server, &folder, &[&["remove", "Old", "--yes"], &linux[..]].concat()), 0);
    assert!(nobody.messages.contains("The filter selects no machine that has the tag \"Old\"."), "{}", nobody.messages);
    folder.write("windows.kql", "machine.osPlatform startswith 'windows'");
    let by_file = ["remove", "Old", "--yes", "--where-file", "windows.kql"];
    exits(tags(&server, &folder, &[&by_file[..], &["-o", "windows.kql"]].concat()), 2);
    exits(tags(&server, &folder, &by_file), 0);
    assert_eq!(held(&tenant, 4), [&["New"][..], &[], &["New"], &[]]);
    let unknown = exits(tags(&server, &folder, &["remove", "New", "--where", "platform == 'x'", "--yes"]), 2);
    assert!(unknown.messages.contains("unknown column \"platform\""), "{}", unknown.messages);
}

#[test]
fn a_filtered_change_of_a_tag_that_was_stopped_keeps_its_machines() {
    let tenant = Tenant::of((1..=3).map(|number| machine(number).tagged("Old").tagged("X")));
    let folder = Folder::new();
    let by_tags = ["remove", "Old", "--where", "array_length(machineTags) == 2", "--yes", "--json", "--no-bulk"];
    let first = std::sync::atomic::AtomicBool::new(true);
    // The second write is refused for good, and with it the run ends.
    let stops = tenant.serve_unless(move |request| {
        let is_late = request.path.ends_with("/tags") && !first.swap(false, std::sync::atomic::Ordering::SeqCst);
        is_late.then(|| crate::stand_in::Reply::json(401, crate::tenant::error("Unauthorized", "no")))
    });
    let stopped = tags(&stops, &folder, &[&by_tags[..], &["--concurrency", "1"]].concat());
    assert_eq!(stopped.object()["rows"], 3);
    let server = tenant.serve();
    let again = exits(tags(&server, &folder, &by_tags), 0);
    assert_eq!((&again.object()["rows"], &again.object()["status"]["succeeded"]), (&json!(3), &json!(3)));
    assert_eq!(held(&tenant, 3), [["X"]; 3]);
}

#[test]
fn a_tag_that_too_many_have_is_not_removed_by_a_guarded_job_and_can_be_renamed() {
    let (tenant, folder) = (fleet(), Folder::new());
    let server = tenant.serve();
    let guarded = ["Marketting", "--yes", "--guard-removals", "10%,2"];
    exits(tags(&server, &folder, &[&["remove"], &guarded[..]].concat()), 1);
    assert_eq!(server.writes(), 0);
    exits(tags(&server, &folder, &["rename", "Marketting", "Marketing", "--yes", "--guard-removals", "10%,2"]), 0);
    assert_eq!(held(&tenant, 4), [&["Marketing", "Tier 1"][..], &["Marketing"], &["marketting"], &["Marketing"]]);
}

#[test]
fn a_tag_that_no_file_can_say_is_not_fed_back_as_another() {
    let tenant = Tenant::of([machine(1).tagged("Ring ").tagged("Ring").dead(), machine(2).tagged("Ring ")]);
    let (server, folder) = (tenant.serve(), Folder::new());
    let ended = exits(tags(&server, &folder, &["remove", "Ring ", "--yes"]), 1);
    let told = String::from_utf8_lossy(&ended.output);
    assert!(told.contains("1 row that was not done is in no file"), "{told}");
    assert!(!told.contains("Next:"), "{told}");
    assert!(folder.read("tags-remove.failed.csv").is_none());
    assert_eq!(answers(&folder, "tags-remove.results.csv").len(), 2);
}

#[test]
fn who_changes_all_machines_as_a_person_hears_that_there_may_be_more() {
    let server = Tenant::of([machine(1), machine(2)]).serve();
    let folder = Folder::new();
    for line in ["tags", "tags remove Nobodys --yes", "plan @tenant --all --add A", "inventory -o m.csv"] {
        for (is_person, roles) in [(true, json!({"scp": "Machine.ReadWrite", "roles": []})), (false, json!({}))] {
            let mut command = folder.command();
            command.envs(server.variables()).env("TAGFLEET_TOKEN", token(&roles));
            command.args(line.split_whitespace());
            let ended = Program::start(command, None, true).end();
            assert_eq!(ended.status, Some(0), "{line}: {}", ended.messages);
            assert_eq!(ended.messages.contains("signed in as a person"), is_person, "{line}: {}", ended.messages);
        }
    }
}
