//! `apply --sandbox`: a rehearsal that needs no tenant and touches none.

use std::process::Command;

use crate::machines::with_ids;
use crate::process::{Ended, Program};
use crate::rehearsal::Folder;
use crate::table::Table;

/// Rehearses in this folder, with these variables and nothing else in the environment.
fn rehearse(folder: &Folder, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command: Command = folder.command();
    command.args(["apply", "input.csv", "--sandbox"]).args(arguments).envs(variables.iter().copied());
    Program::start(command, None, true).end()
}

fn folder_with(rows: &str) -> Folder {
    let folder = Folder::new();
    folder.write("input.csv", with_ids(&format!("machineId,tag,action,value\n{rows}")));
    folder
}

#[test]
fn a_rehearsal_needs_no_settings_and_no_confirmation() {
    let folder =
        folder_with("#1,Tier 0,Add,\n#2,,,High\nweb3.contoso.example,Tier 0,Add,\n#4,Old,Remove,\n#5,,,Normal");
    let mut command = Program::command();
    command.current_dir(folder.path(".")).env("HOME", folder.path("home")).args(["apply", "input.csv", "--sandbox"]);
    let ended = Program::start(command, None, true).end();
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    assert_eq!(folder.names(), ["home", "input.csv", "input.sandbox.results.csv"]);
    let results = Table::read(&folder.read("input.sandbox.results.csv").expect("results"), ',');
    // A new sandbox knows no tags, and every machine has the value Normal.
    assert_eq!(results.column("status"), ["succeeded", "succeeded", "succeeded", "unchanged", "unchanged"]);
    assert!(results.rows.iter().all(|row| row["run_id"].starts_with("sandbox-")));
}

#[test]
fn a_rehearsal_that_is_resumed_keeps_what_it_had_found_already_set() {
    let folder = folder_with("#1,Tier 0,Add,\n#2,Old,Remove,\n#3,Tier 0,Add,\n#4,Tier 0,Add,");
    let first = rehearse(&folder, &["--limit", "1", "--json"], &[]);
    let summary: serde_json::Value = serde_json::from_slice(&first.output).expect("an object");
    let run = summary["run_id"].as_str().expect("a run").to_owned();
    let mut command = folder.command();
    command.args(["resume", &run, "--json"]);
    let again = Program::start(command, None, true).end();
    let summary: serde_json::Value = serde_json::from_slice(&again.output).expect("an object");
    assert_eq!((&summary["status"]["succeeded"], &summary["status"]["unchanged"]), (&3.into(), &1.into()), "{summary}");
}

#[test]
fn a_rehearsal_ignores_every_credential_address_and_proxy() {
    let folder = folder_with("#1,Tier 0,Add,");
    // Whoever follows one of these gets nowhere.
    let nowhere = "http://127.0.0.1:1";
    let variables = [
        ("AZURE_TENANT_ID", "no tenant at all"),
        ("AZURE_CLIENT_ID", "no app at all"),
        ("AZURE_CLIENT_SECRET", "wrong"),
        ("AZURE_CLIENT_CERTIFICATE_PATH", "/missing"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/missing"),
        ("AZURE_AUTHORITY_HOST", nowhere),
        ("TAGFLEET_BASE_URL", nowhere),
        ("TAGFLEET_TOKEN", "ready-made"),
        ("HTTP_PROXY", nowhere),
        ("http_proxy", nowhere),
        ("HTTPS_PROXY", nowhere),
        ("ALL_PROXY", nowhere),
    ];
    let ended = rehearse(&folder, &["--json"], &variables);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let summary: serde_json::Value = serde_json::from_slice(&ended.output).expect("an object");
    assert_eq!(summary["status"]["succeeded"], 1);
}

#[test]
fn loopback_is_never_reached_through_a_proxy() {
    let sandbox = crate::sandbox_server::Sandbox::start("");
    let rehearsal = crate::rehearsal::Rehearsal::at(&sandbox).rows("#1,Tier 0,Add,");
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"];
    proxies.iter().fold(rehearsal, |rehearsal, name| rehearsal.variable(name, "http://127.0.0.1:1")).run().exits(0);
}

#[test]
fn nothing_of_a_rehearsal_counts_in_earnest() {
    let folder = folder_with("#1,Tier 0,Add,\nbad");
    let ended = rehearse(&folder, &["--skip-invalid", "--json"], &[]);
    assert_eq!(ended.status, Some(1), "{}", ended.messages);
    let expected = ["input.csv", "input.sandbox.failed.csv", "input.sandbox.results.csv", "state"];
    assert_eq!(folder.names(), expected);
    assert_eq!(folder.names_in("state"), ["sandbox"], "the ledger of real runs was not even opened");

    let summary: serde_json::Value = serde_json::from_slice(&ended.output).expect("an object");
    let run = summary["run_id"].as_str().expect("a name");
    let again = folder.run(&["results", run, "-o", "again.csv"]);
    assert_eq!(again.status, Some(0), "{}", again.messages);
    assert_eq!(folder.read("again.csv"), folder.read("input.sandbox.results.csv"));
}

#[test]
fn a_rehearsal_keeps_the_quota_that_it_is_given() {
    let rows: String = (1..=12).map(|machine| format!("#{machine},,,High\n")).collect();
    let folder = folder_with(&rows);
    let ended = rehearse(&folder, &["--json", "--quota", "10/400ms"], &[]);
    let summary: serde_json::Value = serde_json::from_slice(&ended.output).expect("an object");
    assert_eq!((&summary["status"]["succeeded"], &summary["throttled"]), (&12.into(), &0.into()), "{summary}");
    assert!(summary["elapsed_seconds"].as_f64().is_some_and(|seconds| seconds >= 0.4), "{summary}");
}

#[test]
fn a_rehearsal_that_stopped_is_gone_on_with_whether_it_is_named_or_not() {
    let rows: String = (1..=12).map(|machine| format!("#{machine},,,High\n")).collect();
    for is_named in [false, true] {
        let folder = folder_with(&rows);
        let ended = rehearse(&folder, &["--json", "--quota", "10/1h", "--deadline", "1s"], &[]);
        assert_eq!(ended.status, Some(5), "{}", ended.messages);
        let summary: serde_json::Value = serde_json::from_slice(&ended.output).expect("an object");
        let which = if is_named { summary["run_id"].as_str().expect("a name") } else { "--sandbox" };
        let resumed = folder.run(&["resume", which, "--quota", "off"]);
        assert_eq!(resumed.status, Some(0), "{}", resumed.messages);
        let results = Table::read(&folder.read("input.sandbox.results.csv").expect("results"), ',');
        assert_eq!(results.column("status"), ["succeeded"; 12]);
    }
}

#[test]
fn what_looks_like_a_damaged_id_is_no_machine_in_a_rehearsal_either() {
    let folder = folder_with("#1,Tier 0,Add,\n4.2E+39,Tier 0,Add,\na0000000000000000000000000000000000001,Tier 0,Add,");
    let ended = rehearse(&folder, &[], &[]);
    assert_eq!(ended.status, Some(3), "{}", ended.messages);
    assert_eq!(ended.messages.matches("is a damaged id").count(), 2, "{}", ended.messages);
}

#[test]
fn no_word_of_a_rehearsal_is_taken_for_a_secret() {
    let folder = Folder::new();
    folder.write("retag.csv", with_ids("machineId,tag,action\n#1,A,Add\n"));
    let ended = folder.run(&["apply", "retag.csv", "--sandbox", "--yes"]);
    let said = String::from_utf8_lossy(&ended.output).into_owned() + &ended.messages;
    assert!(said.contains("Results: retag.sandbox.results.csv") && !said.contains("***"), "{said}");
}
