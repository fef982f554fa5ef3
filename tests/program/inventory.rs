//! `tagfleet inventory`: the tenant's machines as CSV, however the service pages.

use serde_json::{Value, json};

use crate::machines::id;
use crate::process::{Ended, Program, SOON, at_once};
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, Request, StandIn};
use crate::table::Table;

/// Exports in this folder, from the service that these variables lead to, with these options parted by blanks.
fn start(folder: &Folder, variables: &[(String, String)], options: &str) -> Program {
    let mut command = folder.command();
    command.envs(variables.iter().cloned()).arg("inventory").args(options.split_whitespace());
    Program::start(command, None, true)
}

/// Exports all machines without a quota into `machines.csv`, and gives the summary and the machines.
#[track_caller]
fn export(variables: &[(String, String)], options: &str) -> (Value, Table, String) {
    let folder = Folder::new();
    let ended = start(&folder, variables, &format!("--quota off --json -o machines.csv {options}")).end();
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    assert_eq!(folder.names(), ["machines.csv", "state"], "nothing else is left");
    let summary = serde_json::from_slice(&ended.output).expect("an object");
    (summary, Table::read(&folder.read("machines.csv").expect("the machines"), ','), ended.messages)
}

/// Fails with this status and these words, and writes nothing.
#[track_caller]
fn fails(variables: &[(String, String)], options: &str, status: i32, words: &[&str]) -> Ended {
    let folder = Folder::new();
    let ended = start(&folder, variables, &format!("--quota off -o machines.csv {options}")).end();
    assert_eq!(ended.status, Some(status), "{}", ended.messages);
    for word in words {
        assert!(ended.messages.contains(word), "{word:?} is not in: {}", ended.messages);
    }
    assert!(folder.names().iter().all(|name| name == "state"), "{:?}", folder.names());
    ended
}

/// Machines as a list of the service shows them.
fn listed(numbers: impl Iterator<Item = u32>) -> Vec<Value> {
    numbers.map(|number| json!({"id": id(number), "computerDnsName": format!("pc{number}.contoso.example")})).collect()
}

fn page(machines: &[Value], next_link: Option<&str>) -> Reply {
    let mut body = json!({"@odata.context": "x", "value": machines});
    if let Some(link) = next_link {
        body["@odata.nextLink"] = link.into();
    }
    Reply::json(200, body.to_string())
}

fn no_machines() -> Reply {
    Reply::json(404, r#"{"error": {"code": "ResourceNotFound", "message": "No machines were found"}}"#)
}

/// What a request asks for.
fn skip(request: &Request) -> u32 {
    let (_, skip) = request.path.split_once("$skip=").expect("a position");
    skip.parse().expect("a number")
}

fn count(summary: &Value, name: &str) -> u64 {
    summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {summary}"))
}

#[test]
fn more_machines_than_a_page_holds_are_exported_each_once() {
    let sandbox = Sandbox::start("--machines 10050");
    let (summary, table, _) = export(sandbox.variables(), "");
    assert_eq!((count(&summary, "machines"), count(&summary, "pages")), (10_050, 2));
    let calls = json!({"list": 2, "get": 0, "bulk": 0, "tags": 0, "value": 0});
    assert_eq!((&summary["calls"], &summary["output"]), (&calls, &"machines.csv".into()));
    assert_eq!((&summary["exit_status"], &summary["schema_version"]), (&0.into(), &1.into()));
    let mut ids = table.column("machineId");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10_050);
    assert_eq!(sandbox.end().of("list"), 2);
}

#[test]
fn an_export_shows_the_machines_as_they_are_in_the_services_order() {
    let sandbox = Sandbox::start("");
    let rows = "#3,Tier 0,Add,\n#3,=cmd,Add,\n#1,\"a, b\",Add,High\n#2,,,Low";
    Rehearsal::at(&sandbox).rows(rows).with("--accept odd-tags").run().exits(0);
    let (_, table, _) = export(sandbox.variables(), "");
    assert_eq!(table.header[..2], ["machineId", "computerDnsName"]);
    assert_eq!(table.header[table.header.len() - 2..], ["machineTags", "currentDeviceValue"]);
    let shown = |machine: u32| table.rows.iter().find(|row| row["machineId"] == id(machine)).expect("the machine");
    let tags = |machine: u32| -> Vec<String> { serde_json::from_str(&shown(machine)["machineTags"]).expect("a list") };
    assert_eq!((tags(1), tags(2)), (vec!["a, b".to_owned()], Vec::new()));
    let mut third = tags(3);
    third.sort();
    assert_eq!(third, ["=cmd", "Tier 0"]);
    let values: Vec<&str> = (1..=3).map(|machine| &shown(machine)["currentDeviceValue"]).collect();
    assert_eq!(values, ["High", "Low", "Normal"]);
    assert!(table.column("lastSeen").iter().all(|moment| moment.ends_with('Z')));
}

#[test]
fn an_export_is_never_taken_for_an_order() {
    let sandbox = Sandbox::start("--machines 3");
    let folder = Folder::new();
    let ended = start(&folder, sandbox.variables(), "--quota off -o machines.csv").end();
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    assert!(ended.messages.contains("3 machines written to machines.csv"), "{}", ended.messages);
    let exported = folder.read("machines.csv").expect("the machines");
    let outcome = Rehearsal::at(&sandbox).file(exported).run().exits(3);
    outcome.says(&["has no column that says what to change"]);
    let counters = sandbox.end();
    assert_eq!((counters.of("tags"), counters.of("value")), (0, 0));
}

#[test]
fn machines_go_to_standard_output_unless_a_file_is_named() {
    let sandbox = Sandbox::start("--machines 5");
    at_once(["", "-o -", "-q"], |options| {
        let folder = Folder::new();
        let ended = start(&folder, sandbox.variables(), &format!("--quota off {options}")).end();
        assert_eq!(ended.status, Some(0), "{}", ended.messages);
        assert_eq!(Table::read(&ended.output, ',').rows.len(), 5, "machines and nothing else");
        assert_eq!(folder.names(), ["state"]);
        assert_eq!(ended.messages.is_empty(), options == "-q", "{}", ended.messages);
    });
    let folder = Folder::new();
    let ended = start(&folder, sandbox.variables(), "--json").end();
    assert_eq!(ended.status, Some(2));
    assert!(ended.messages.contains("machines and --json cannot both go to standard output"), "{}", ended.messages);
}

#[cfg(unix)]
#[test]
fn an_exported_file_is_for_its_owner_only_and_appears_whole() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::start("--machines 2");
    let folder = Folder::new();
    folder.write("machines.csv", "machineId,machineTags,currentDeviceValue\nan earlier list\n");
    let ended = start(&folder, sandbox.variables(), "--quota off -o machines.csv").end();
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let mode = std::fs::metadata(folder.path("machines.csv")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(Table::read(&folder.read("machines.csv").expect("the file"), ',').rows.len(), 2);
    // What cannot be read leaves what was there.
    let server =
        StandIn::answering(|_request| Reply::json(403, r#"{"error": {"code": "Forbidden", "message": "no"}}"#));
    let ended = start(&folder, &server.variables(), "-o machines.csv").end();
    assert_eq!(ended.status, Some(4), "{}", ended.messages);
    assert_eq!(Table::read(&folder.read("machines.csv").expect("the file"), ',').rows.len(), 2);
    assert_eq!(folder.names(), ["machines.csv", "state"]);
}

#[test]
fn a_target_that_cannot_be_written_is_found_before_the_first_call() {
    let sandbox = Sandbox::start("--machines 2");
    let folder = Folder::new();
    for target in [".", "missing/machines.csv"] {
        let ended = start(&folder, sandbox.variables(), &format!("-o {target}")).end();
        assert_eq!(ended.status, Some(7), "{}", ended.messages);
        assert!(ended.messages.contains(&format!("cannot write the machines to {target}")), "{}", ended.messages);
    }
    sandbox.end().are_all_nought();
}

#[test]
fn every_kind_of_link_to_the_next_page_comes_to_the_same() {
    at_once(
        [
            ("--machines 25 --maximum-page 10", 25, 3),
            ("--machines 20 --maximum-page 10", 20, 3),
            ("--machines 25 --next-link endless", 25, 3),
            ("--machines 25 --maximum-page 10 --next-link endless", 25, 5),
            ("--machines 25 --next-link none", 25, 1),
        ],
        |(options, machines, calls)| {
            let sandbox = Sandbox::start(options);
            let (summary, table, _) = export(sandbox.variables(), "");
            assert_eq!((table.rows.len(), count(&summary, "machines")), (machines, machines as u64), "{options}");
            let asked = sandbox.end();
            assert_eq!(count(&summary["calls"], "list"), calls, "{options}");
            // The call that finds nothing is answered by a 404.
            assert!(asked.of("list") <= calls, "{options}: {asked:?}");
        },
    );
}

/// Pages of a tenant whose service cuts every page at two machines.
fn capped(request: &Request, machines: u32, link: Option<&str>) -> Reply {
    let start = skip(request);
    let end = machines.min(start + 2);
    if start >= end { no_machines() } else { page(&listed(start..end), link.filter(|_| end < machines)) }
}

#[test]
fn a_link_is_never_followed_whatever_it_says() {
    at_once(["::malformed::", "http://127.0.0.1:1/elsewhere", "/api/machines?$skip=0", ""], |link| {
        let server = StandIn::answering(move |request| capped(request, 5, Some(link)));
        let (summary, table, _) = export(&server.variables(), "");
        // An empty link is none, so that the short page was the last one.
        let machines = if link.is_empty() { 2 } else { 5 };
        assert_eq!((table.rows.len(), count(&summary, "machines")), (machines, machines as u64), "{link}");
        let asked: Vec<String> =
            server.requests().iter().map(|request| format!("{} {}", request.method, request.path)).collect();
        let expected = [
            "GET /api/machines?$top=10000&$skip=0",
            "GET /api/machines?$top=10000&$skip=1",
            "GET /api/machines?$top=10000&$skip=2",
            "GET /api/machines?$top=10000&$skip=3",
        ];
        assert_eq!(asked, expected[..machines - 1], "{link}");
        assert!(server.requests().iter().all(|request| request.body.is_empty()));
    });
}

#[test]
fn the_same_page_again_and_again_is_no_whole_list_and_no_machine_comes_twice() {
    let same = StandIn::answering(|_request| page(&listed(0..3), Some("more")));
    fails(&same.variables(), "", 5, &["does not hold together: the same machines come again and again", "hint: "]);
    assert_eq!(same.requests().len(), 4);

    let overlapping = StandIn::answering(|request| {
        let start = skip(request).saturating_sub(1);
        let end = (start + 3).min(7);
        page(&listed(start..end), (end < 7).then_some("more"))
    });
    let (_, table, _) = export(&overlapping.variables(), "");
    let ids: Vec<String> = (0..7).map(id).collect();
    assert_eq!(table.column("machineId"), ids);
}

#[test]
fn the_end_of_the_list_may_be_a_404_or_an_empty_page() {
    at_once([true, false], |not_found| {
        let server = StandIn::answering(move |request| match skip(request) {
            start @ 0..3 => page(&listed(start..3), Some("more")),
            _ if not_found => no_machines(),
            _ => page(&[], Some("more")),
        });
        let (_, table, _) = export(&server.variables(), "");
        assert_eq!((table.rows.len(), server.requests().len()), (3, 3), "the page behind the last machine is empty");
    });
}

#[test]
fn nobody_in_the_list_is_an_error_and_believed_only_when_it_repeats() {
    let empty = StandIn::answering(|_request| no_machines());
    fails(
        &empty.variables(),
        "",
        4,
        &["error: the service's list of machines is empty", "hint: check --base-url", "machine groups"],
    );
    assert_eq!(empty.requests().len(), 3);
    let empty_page = StandIn::answering(|_request| page(&[], None));
    fails(&empty_page.variables(), "", 4, &["error: the service's list of machines is empty"]);

    let answered = std::sync::atomic::AtomicBool::new(false);
    let once = StandIn::answering(move |_request| {
        let first = !answered.swap(true, std::sync::atomic::Ordering::SeqCst);
        if first { no_machines() } else { page(&listed(0..3), None) }
    });
    assert_eq!(export(&once.variables(), "").1.rows.len(), 3);
}

#[test]
fn an_answer_that_is_no_page_is_asked_for_again() {
    let answers = std::sync::atomic::AtomicUsize::new(0);
    let server = StandIn::answering(move |_request| match answers.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::json(200, "<html><body>Sign in to the proxy</body></html>"),
        1 => Reply::json(200, r#"{"value": [{"id": "cut of"#),
        _ => page(&listed(0..3), None),
    });
    let (summary, table, _) = export(&server.variables(), "");
    assert_eq!((table.rows.len(), count(&summary, "retried"), count(&summary["calls"], "list")), (3, 2, 3));
}

#[test]
fn a_machine_that_cannot_be_read_costs_only_itself() {
    let server = StandIn::answering(|_request| {
        let mut machines = listed(0..2);
        machines.extend([
            json!({"computerDnsName": "nameless"}),
            json!(null),
            json!({"id": id(2), "machineTags": "odd"}),
        ]);
        page(&machines, None)
    });
    let (summary, table, messages) = export(&server.variables(), "");
    assert_eq!((table.rows.len(), count(&summary, "skipped")), (3, 2));
    assert_eq!(&table.rows[2]["machineTags"], "", "unknown is not none");
    assert!(messages.contains("warning: 2 entries of the service's list are left out"), "{messages}");
}

#[test]
fn names_and_tags_that_a_spreadsheet_would_run_are_made_harmless() {
    let server = StandIn::answering(|_request| {
        page(&[json!({"id": "=odd", "computerDnsName": "@SUM(A1)", "osPlatform": "+x", "machineTags": ["-1"]})], None)
    });
    let (_, table, _) = export(&server.variables(), "");
    let row = &table.rows[0];
    assert_eq!((&row["machineId"], &row["computerDnsName"], &row["osPlatform"]), ("'=odd", "'@SUM(A1)", "'+x"));
    assert_eq!(&row["machineTags"], r#"["-1"]"#);
}

#[test]
fn what_ends_a_reading_says_why_and_what_to_do() {
    let error = |status| Reply::json(status, r#"{"error": {"code": "C", "message": "the reason"}}"#);
    let forbidden = StandIn::answering(move |_request| error(403));
    let words = ["does not let this app read the list of machines (HTTP 403, C, the reason)", "Machine.Read.All"];
    fails(&forbidden.variables(), "", 4, &words);
    let wrong = StandIn::answering(move |_request| error(400));
    fails(&wrong.variables(), "", 4, &["cannot be read (HTTP 400, C, the reason)", "hint: "]);
    let refused = StandIn::answering(move |_request| error(401));
    fails(&refused.variables(), "", 4, &["the service refused the token", "hint: "]);
    let elsewhere = StandIn::answering(move |_request| error(307));
    fails(&elsewhere.variables(), "", 4, &["the base URL leads elsewhere (HTTP 307)", "hint: "]);
    let ended = fails(&elsewhere.variables(), "--json", 4, &[]);
    let summary: Value = serde_json::from_slice(&ended.output).expect("an object");
    assert_eq!((&summary["exit_status"], &summary["output"]), (&4.into(), &Value::Null));
}

#[test]
fn reads_keep_the_quota() {
    let sandbox = Sandbox::start("--machines 9 --maximum-page 2 --quota 3/400ms");
    let folder = Folder::new();
    let ended = start(&folder, sandbox.variables(), "--quota 3/400ms -o machines.csv").end();
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let counters = sandbox.end();
    assert_eq!((counters.of("list"), counters.of("refused_by_quota")), (8, 0));
}

#[cfg(unix)]
#[test]
fn a_reading_says_what_it_waits_for() {
    let sandbox = Sandbox::start("--machines 9");
    let folder = Folder::new();
    let read = || start(&folder, sandbox.variables(), "--quota 1/1h -o machines.csv");
    assert_eq!(read().end().status, Some(0));
    let program = read();
    program.waits_until_it_says("waiting for the quota of 1 call in 1 h");
    program.signal(rustix::process::Signal::INT);
    assert_eq!(program.end().status, Some(5));
    assert_eq!(sandbox.end().of("list"), 1);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_reading_at_once_and_leaves_nothing() {
    let server = StandIn::answering(|_request| Reply::Silence);
    let folder = Folder::new();
    let program = start(&folder, &server.variables(), "-o machines.csv");
    server.waits_for_requests(1);
    let since = std::time::Instant::now();
    program.signal(rustix::process::Signal::INT);
    let ended = program.end();
    assert_eq!(ended.status, Some(5), "{}", ended.messages);
    assert!(ended.messages.contains("interrupted while the tenant's machines were read"), "{}", ended.messages);
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(folder.names(), ["state"]);
}
