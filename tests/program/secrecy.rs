//! Secrets appear nowhere: not in files, output, messages at any level, nor in the list of processes.

use crate::machines::rows_adding;
use crate::process::{at_once, contains};
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

const CANARY: &str = "canary~Tweety.1942_in-a-cage";

/// Neither the secret nor any part of it that would do.
#[track_caller]
fn is_nowhere(secret: &str, outcome: &Outcome) {
    assert_eq!(outcome.folder().files_holding(secret), Vec::<std::path::PathBuf>::new());
    assert!(!outcome.output().contains(secret), "{}", outcome.output());
    assert!(!outcome.messages().contains(secret), "{}", outcome.messages());
}

#[test]
fn a_secret_in_a_note_is_not_kept() {
    let rehearsal = Rehearsal::new().variable("AZURE_CLIENT_SECRET", CANARY).sandbox("").rows("#1,A,Add,");
    let outcome = rehearsal.option("--note", &format!("CHG-7 {CANARY}")).run().exits(0);
    is_nowhere(CANARY, &outcome);
    let mut runs = outcome.folder().command();
    let shown = runs.args(["runs", "--json"]).output().expect("it ends").stdout;
    assert!(contains(&shown, b"CHG-7") && !contains(&shown, CANARY.as_bytes()), "{}", String::from_utf8_lossy(&shown));
}

#[test]
fn a_key_that_was_put_where_its_path_belongs_is_not_shown() {
    let block = "MIIEvgIBADANBgkqhkiG9w0BAQEFAASC".repeat(10);
    let key = format!("-----BEGIN PRIVATE KEY-----\n{block}\n-----END PRIVATE KEY-----\n");
    for (variable, text) in [
        ("AZURE_CLIENT_CERTIFICATE_PATH", &key),
        ("AZURE_CLIENT_CERTIFICATE_PATH", &block),
        ("AZURE_FEDERATED_TOKEN_FILE", &block),
    ] {
        for line in ["apply input.csv --yes", "apply input.csv --yes --json", "check", "check --json", "config"] {
            let folder = Folder::new();
            folder.write("input.csv", format!("machineId,tag,action\n{},A,Add\n", crate::machines::id(1)));
            let mut process = folder.command();
            process.args(line.split(' ')).env(variable, text).env("TAGFLEET_BASE_URL", "http://127.0.0.1:9");
            process.env("AZURE_TENANT_ID", "5a5a0000-0000-4000-8000-000000000001");
            process.env("AZURE_CLIENT_ID", "5a5a0000-0000-4000-8000-000000000002");
            let ended = process.output().expect("it ends");
            let said = [ended.stdout, ended.stderr].concat();
            assert!(contains(&said, b"***"), "{line} {variable}: {}", String::from_utf8_lossy(&said));
            assert!(!contains(&said, &block.as_bytes()[..32]), "{line} {variable}: {}", String::from_utf8_lossy(&said));
        }
    }
}

#[test]
fn a_client_secret_is_found_nowhere() {
    let faults = "--latency 5ms --fault unauthorized=5% --fault html=5% --fault reset=5% --fault unavailable=5% \
                  --fault-limit 6";
    at_once(["text", "json"], |format| {
        let running = Rehearsal::new()
            .sandbox(faults)
            .variable("AZURE_CLIENT_SECRET", CANARY)
            .rows(&rows_adding("A", 40))
            .with("-vv --note nothing --log-format")
            .with(format)
            .start();
        #[cfg(target_os = "linux")]
        {
            // By then the process has its arguments, and not only its id.
            running.program().waits_until_it_says("signed in with a client secret");
            let command_line = std::fs::read(format!("/proc/{}/cmdline", running.program().id())).expect("a process");
            assert!(contains(&command_line, b"--log-format"), "{command_line:?}");
            assert!(!contains(&command_line, CANARY.as_bytes()));
        }
        let outcome = running.end().exits(0);
        assert!(outcome.messages().contains("signed in"), "{}", outcome.messages());
        is_nowhere(CANARY, &outcome);
    });
}

#[test]
fn a_token_is_found_nowhere() {
    let sandbox = Sandbox::start("--fault html=10% --fault unauthorized=10% --fault-limit 3");
    let token = sandbox.token();
    let outcome = Rehearsal::at(&sandbox)
        .variable("AZURE_CLIENT_SECRET", "")
        .variable("TAGFLEET_TOKEN", &token)
        .rows(&rows_adding("A", 20))
        .with("-vv")
        .run();
    is_nowhere(&token, &outcome);
    let signature = token.rsplit('.').next().expect("a signature");
    is_nowhere(signature, &outcome);
}

#[test]
fn a_secret_that_the_service_repeats_is_masked() {
    let server = StandIn::answering(|request| {
        if request.path.ends_with("/token") {
            let description = format!("AADSTS7000215: the secret {CANARY} is wrong");
            return Reply::json(401, format!(r#"{{"error": "invalid_client", "error_description": "{description}"}}"#));
        }
        let message = format!("<Authorization: Bearer {CANARY}>");
        Reply::json(
            400,
            format!(r#"{{"error": {{"code": "{CANARY}", "message": "{message}", "target": "{CANARY}"}}}}"#),
        )
    });
    let with_token = Rehearsal::at_stand_in(&server).variable("TAGFLEET_TOKEN", CANARY);
    let outcome = with_token.rows("#1,A,Add,").with("-vv").run().exits(1);
    is_nowhere(CANARY, &outcome);
    assert!(outcome.results().rows[0]["error_message"].contains("Authorization: Bearer"), "the rest is shown");

    let with_secret = Rehearsal::at_stand_in(&server)
        .variable("TAGFLEET_TOKEN", "")
        .variable("AZURE_TENANT_ID", "contoso")
        .variable("AZURE_CLIENT_ID", "app")
        .variable("AZURE_CLIENT_SECRET", CANARY);
    let outcome = with_secret.rows("#1,A,Add,").with("-vv").run().exits(4);
    is_nowhere(CANARY, &outcome);
    assert!(outcome.output().contains("AADSTS7000215"), "the rest is shown: {}", outcome.output());
}

#[test]
fn a_secret_in_a_file_is_found_in_no_other() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    folder.write_private("secret", CANARY);
    let outcome = Rehearsal::at(&sandbox)
        .in_folder(&folder)
        .variable("AZURE_CLIENT_SECRET", "")
        .rows("#1,A,Add,")
        .with("-vv --client-secret-file secret")
        .run()
        .exits(0);
    assert_eq!(outcome.folder().files_holding(CANARY), ["secret"].map(std::path::PathBuf::from));
    assert!(!outcome.messages().contains(CANARY), "{}", outcome.messages());
}
