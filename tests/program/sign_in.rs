//! Signing in: every method that works without Azure, tokens that end, and refusals.

use std::time::Duration;

use serde_json::json;

use crate::checking::{TENANT, token};
use crate::machines::rows_adding;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

/// A server whose token endpoint says that the secret is wrong.
fn refuses_secrets() -> StandIn {
    StandIn::answering(|_request| {
        let description = "AADSTS7000215: Invalid client secret provided.";
        let body =
            format!(r#"{{"error": "invalid_client", "error_description": "{description}", "error_codes": [7000215]}}"#);
        Reply::json(401, body)
    })
}

/// A server that signs nobody in, but takes a ready token, and answers each call so.
fn answers_calls(status: u16, code: &'static str) -> StandIn {
    StandIn::answering(move |_request| {
        Reply::json(status, format!(r#"{{"error": {{"code": "{code}", "message": "no", "target": "x"}}}}"#))
    })
}

#[test]
fn a_wrong_secret_stops_the_run_and_every_row_is_answered() {
    let server = refuses_secrets();
    let outcome = Rehearsal::at_stand_in(&server)
        .variable("TAGFLEET_TOKEN", "")
        .variable("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000001")
        .variable("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000002")
        .variable("AZURE_CLIENT_SECRET", "wrong")
        .rows(&rows_adding("A", 50))
        .with("--json")
        .run()
        .exits(4);
    assert_eq!(outcome.statuses(), ["not_attempted"; 50]);
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(51));
    let summary = outcome.summary();
    assert_eq!((&summary["ended"], &summary["exit_status"]), (&"sign_in_failed".into(), &4.into()));
    let paths: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    assert!(paths.iter().all(|path| path.ends_with("/oauth2/v2.0/token")), "{paths:?}");
    assert!(paths.len() <= 4, "{paths:?}");
}

#[test]
fn a_wrong_secret_is_explained() {
    let server = refuses_secrets();
    let outcome = Rehearsal::at_stand_in(&server)
        .variable("TAGFLEET_TOKEN", "")
        .variable("AZURE_TENANT_ID", "contoso")
        .variable("AZURE_CLIENT_ID", "app")
        .variable("AZURE_CLIENT_SECRET", "wrong")
        .rows("#1,A,Add,")
        .run()
        .exits(4);
    let text = outcome.output();
    assert!(text.contains("stopped early, because signing in failed") && text.contains("AADSTS7000215"), "{text}");
    assert!(text.contains("hint: "), "{text}");
}

#[test]
fn without_any_credential_it_is_a_usage_error() {
    let outcome = Rehearsal::at_nobody().rows("#1,A,Add,").run().exits(2);
    assert!(outcome.messages().contains("hint: "), "{}", outcome.messages());
    assert!(!outcome.wrote_anything());
}

#[test]
fn a_missing_permission_stops_the_run_after_a_handful_of_calls() {
    let server = answers_calls(403, "Forbidden");
    let outcome = Rehearsal::at_stand_in(&server).rows(&rows_adding("A", 200)).run().exits(4);
    assert!(server.requests().len() <= 8, "{}", server.requests().len());
    assert_eq!(outcome.count("failed") + outcome.count("not_attempted"), 200);
    assert!(outcome.count("not_attempted") >= 192);
    let text = outcome.output();
    assert!(text.contains("refuses this app (403)") && text.contains("Machine.ReadWrite.All"), "{text}");
}

#[test]
fn a_token_that_nobody_accepts_stops_the_run() {
    let server = answers_calls(401, "Unauthorized");
    let outcome = Rehearsal::at_stand_in(&server).rows(&rows_adding("A", 200)).with("--json").run().exits(4);
    assert!(server.requests().len() <= 24, "{}", server.requests().len());
    assert_eq!(outcome.count("succeeded"), 0);
    assert!(outcome.count("not_attempted") >= 190, "{:?}", outcome.statuses());
}

#[test]
fn a_token_that_ends_every_second_is_renewed_and_no_row_is_lost() {
    let outcome = Rehearsal::new()
        .sandbox("--token-lifetime 1s --latency 40ms")
        .rows(&rows_adding("A", 60))
        .with("--concurrency 2 --json")
        .run()
        .exits(0);
    assert_eq!(outcome.count("succeeded"), 60);
    let took = Duration::from_secs_f64(outcome.summary()["elapsed_seconds"].as_f64().expect("seconds"));
    let counters = outcome.counters();
    let tokens = counters.of("tokens");
    // Some a second, and not one for each of the sixty calls.
    assert!(tokens >= 2 && Duration::from_secs(tokens) < Duration::from_secs(10) + took * 4, "{took:?}: {counters:?}");
}

#[test]
fn a_refused_token_is_renewed_and_no_row_is_lost() {
    let outcome = Rehearsal::new()
        .sandbox("--fault unauthorized=10% --fault-scope writes --seed 4")
        .rows(&rows_adding("A", 120))
        .run()
        .exits(0);
    assert_eq!(outcome.count("succeeded"), 120);
    let tagged = outcome.sandbox().machines().into_values().filter(|machine| machine.tags == ["A"]).count();
    assert_eq!(tagged, 120);
    let counters = outcome.counters();
    let faults = counters.of("faults");
    assert!(faults >= 5, "{counters:?}");
    // Calls that were in flight together share a token; one more was asked for by this test.
    assert!(counters.of("tokens") <= faults + 2, "{counters:?}");
}

#[test]
fn a_ready_token_signs_in() {
    let sandbox = Sandbox::start("");
    let token = sandbox.token();
    let ready = || {
        let rehearsal = Rehearsal::at(&sandbox).rows("#1,A,Add,");
        ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]
            .iter()
            .fold(rehearsal, |rehearsal, name| rehearsal.variable(name, ""))
    };
    ready().variable("TAGFLEET_TOKEN", &token).run().exits(0);
    ready().variable("TAGFLEET_TOKEN", &token).with("--auth token").run().exits(0);
    let folder = Folder::new();
    folder.write_private("token", &format!("{token}\n"));
    ready().in_folder(&folder).with("--token-file token").run().exits(0);
    let counters = sandbox.end();
    assert_eq!((counters.of("tokens"), counters.of("tags")), (1, 3), "only this test has asked for a token");
}

#[test]
fn a_token_of_another_tenant_than_the_variable_names_calls_nobody() {
    let server = answers_calls(500, "InternalServerError");
    let of_other = token(&json!({"tid": "99999999-2222-3333-4444-555555555555"}));
    let outcome =
        Rehearsal::at_stand_in(&server).variable("TAGFLEET_TOKEN", &of_other).variable("AZURE_TENANT_ID", TENANT);
    let outcome = outcome.rows("#1,A,Add,").run().exits(4);
    assert!(outcome.output().contains(&format!("and not of {TENANT}")), "{}", outcome.output());
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_secret_may_come_from_a_file() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    folder.write_private("secret", "from a file\n");
    let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).variable("AZURE_CLIENT_SECRET", "").rows("#1,A,Add,");
    rehearsal.with("--client-secret-file secret --auth secret").run().exits(0);
    assert_eq!(sandbox.end().of("tokens"), 1);
}

#[test]
fn a_federated_token_signs_in() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    folder.write_private("assertion", "header.claims.signature");
    let path = folder.path("assertion").display().to_string();
    let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).variable("AZURE_CLIENT_SECRET", "");
    rehearsal.variable("AZURE_FEDERATED_TOKEN_FILE", &path).with("--auth workload").rows("#1,A,Add,").run().exits(0);
    assert_eq!(sandbox.end().of("tags"), 1);
}
