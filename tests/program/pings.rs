//! Pings: what a service hears of a command, and that whatever becomes of a ping changes nothing else.

use std::sync::Arc;

use crate::certificates::certificate;
use crate::machines::id;
use crate::process::{Program, at_once, contains};
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, Request, StandIn};

/// The part of an address by which it is known.
const KEY: &str = "9f1c7a52-4a0e-4d7b-8c55-canary001942";

/// A service that hears every ping.
fn healthchecks() -> StandIn {
    StandIn::answering(|_request| Reply::json(200, "OK"))
}

fn address(service: &StandIn) -> String {
    format!("{}/{KEY}", service.variables()[0].1)
}

/// The paths of what a service heard, without the mark that all must have in common.
#[track_caller]
fn heard(service: &StandIn) -> Vec<String> {
    let requests = service.requests();
    let mark = |request: &Request| request.path.split_once("rid=").map(|(_, mark)| mark.to_owned());
    let first = requests.first().and_then(mark).unwrap_or_default();
    assert!(
        regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            .expect("a pattern")
            .is_match(&first)
    );
    assert!(requests.iter().all(|request| mark(request).as_ref() == Some(&first)), "{requests:?}");
    let path = |request: &Request| request.path.replace(&format!("/{KEY}/"), "").replace(&format!("?rid={first}"), "");
    requests.iter().map(path).collect()
}

#[test]
fn healthchecks_hears_of_the_beginning_and_of_every_end() {
    let sandbox = Sandbox::holding(&[1]);
    at_once(
        [
            (0, "0", "#1,A,Add,", ""),
            (1, "1", "#1,A,Add,\n#2,A,Add,", ""),
            (1, "0", "#1,A,Add,\n#2,A,Add,", "--ping-success 0,1"),
            (0, "fail", "#1,A,Add,", "--ping-success 5"),
            (2, "2", "#1,A,Add,", "--client-secret-file nowhere"),
            (3, "3", "#1,,Add,", ""),
            (7, "7", "#1,A,Add,", "-o nowhere/x.csv"),
        ],
        |(status, end, rows, options)| {
            let service = healthchecks();
            let rehearsal = Rehearsal::at(&sandbox).rows(rows).with(options);
            let outcome = rehearsal.variable("TAGFLEET_PING_URL", &address(&service)).run().exits(status);
            assert_eq!(heard(&service), ["start", end], "{options}");
            assert!(!outcome.messages().contains("ping"), "{}", outcome.messages());
            for request in service.requests() {
                assert_eq!(request.method, "POST");
                assert!(request.body.len() < 10_000 && !request.body.contains(&id(1)), "{}", request.body);
                assert!(!request.body.contains("input"), "{}", request.body);
            }
            let last = service.requests().pop().expect("an end").body;
            assert!(last.contains(&format!("apply ended with exit status {status} after ")), "{last}");
            assert_eq!(last.contains("rows: 2 (1 succeeded, 1 failed)"), status == 1, "{last}");
        },
    );
}

#[test]
fn the_others_hear_it_in_their_own_words() {
    let sandbox = Sandbox::holding(&[1]);
    let run = |style: &str, service: &StandIn, query: &str| {
        let folder = Folder::new();
        folder.write_private("address", &format!("{}{query}\n", address(service)));
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,\n#2,A,Add,");
        let outcome = rehearsal.with("--ping-url-file address --ping-style").with(style).run().exits(1);
        assert!(!outcome.messages().contains("ping"), "{}", outcome.messages());
        service.requests().into_iter().map(|request| (request.method, request.path)).collect::<Vec<_>>()
    };
    let cronitor = run("cronitor", &StandIn::answering(|_request| Reply::json(200, "")), "");
    assert_eq!(cronitor.len(), 2, "{cronitor:?}");
    assert!(cronitor[0].1.starts_with(&format!("/{KEY}?state=run&series=")), "{cronitor:?}");
    assert!(cronitor[1].1.starts_with(&format!("/{KEY}?state=fail&series=")), "{cronitor:?}");
    assert!(cronitor[1].1.contains("&status_code=1&message=") && cronitor[1].1.ends_with("&metric=error_count%3A1"));
    let kuma = StandIn::answering(|_request| Reply::json(200, r#"{"ok":true}"#));
    let kuma = run("uptime-kuma", &kuma, "?status=up&msg=OK&ping=");
    assert_eq!(kuma.len(), 1, "it knows no beginning: {kuma:?}");
    assert!(kuma[0].0 == "GET" && kuma[0].1.starts_with(&format!("/{KEY}?status=down&msg=apply+ended")), "{kuma:?}");
}

#[cfg(unix)]
#[test]
fn an_address_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::holding(&[1]);
    let service = StandIn::answering(|_request| Reply::json(200, ""));
    let folder = Folder::new();
    folder.write_private("address", &address(&service));
    let rehearse = || {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,");
        rehearsal.with("--ping-url-file address --ping-style cronitor").run().exits(0).messages().to_owned()
    };
    assert!(!rehearse().contains("can be read by"));
    let everybody = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.path("address"), everybody).expect("our own file");
    assert!(rehearse().contains("address can be read by every account on this computer"), "{}", rehearse());
}

/// What a run that nobody pings leaves.
fn unwatched(sandbox: &Sandbox) -> Outcome {
    Rehearsal::at(sandbox).rows("#1,A,Add,").run().exits(0)
}

#[test]
fn whatever_becomes_of_a_ping_is_one_warning_and_changes_nothing() {
    let sandbox = Sandbox::holding(&[1]);
    let undisturbed = unwatched(&sandbox);
    let refused = "http://127.0.0.1:1/x";
    let garbage = "\u{1b}[2J<html>".repeat(100_000);
    let redirect = || Reply::json(302, "");
    let answering = |status, body: String| StandIn::answering(move |_request| Reply::json(status, body.clone()));
    at_once(
        [
            (None, "connection refused"),
            (Some((answering(500, "no".into()), 3..=6)), "HTTP 500"),
            (Some((answering(404, "no".into()), 2..=2)), "the service does not know the address"),
            (Some((answering(200, "OK (not found)".into()), 2..=2)), "the service does not know the address"),
            (Some((answering(200, garbage), 2..=2)), "the answer is not the service's"),
            (Some((StandIn::answering(move |_request| redirect()), 2..=2)), "HTTP 302"),
        ],
        |(service, words)| {
            let address = service.as_ref().map_or_else(|| refused.to_owned(), |(service, _)| address(service));
            let rehearsal = Rehearsal::at(&sandbox).rows("#1,A,Add,").variable("TAGFLEET_PING_URL", &address);
            let outcome = rehearsal.run().exits(0);
            let warning = format!("warning: a ping was not heard: {words}; nothing else depends on it\n");
            assert_eq!(outcome.messages(), undisturbed.messages().to_owned() + &warning);
            assert_eq!(outcome.statuses(), undisturbed.statuses());
            if let Some((service, tries)) = service {
                let requests = service.requests().len();
                assert!(tries.contains(&requests), "{words}: {requests}");
            }
        },
    );
}

#[cfg(unix)]
#[test]
fn a_service_that_hangs_holds_up_nobody_who_wants_the_process_to_end() {
    let sandbox = Sandbox::holding(&[1]);
    let service = StandIn::answering(|_request| Reply::Silence);
    let rehearsal = Rehearsal::at(&sandbox).rows("#1,A,Add,").with("--json");
    let running = rehearsal.variable("TAGFLEET_PING_URL", &address(&service)).start();
    // The object is there although nobody has heard that it has begun.
    running.program().first_lines(1);
    running.program().signal(rustix::process::Signal::INT);
    assert_eq!(running.end().exits(0).statuses(), ["succeeded"]);
    // Nobody waited until the beginning had been tried and the end three times, each for five seconds.
    assert!(service.requests().len() < 1 + 3, "{:?}", service.requests());
}

#[test]
fn the_address_is_found_nowhere() {
    let sandbox = Sandbox::start("--fault reset=10% --fault-limit 3");
    let echo = |request: &Request| Reply::json(500, format!("no such thing as {} or {KEY}", request.path));
    at_once(["text", "json"], |format| {
        let service = StandIn::answering(echo);
        let (address, folder) = (address(&service), Folder::new());
        let host = address.trim_end_matches(KEY).trim_start_matches("http://").trim_end_matches('/').to_owned();
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,\n#2,A,Add,");
        let rehearsal = rehearsal.with("-vv --log-file run.log --metrics-file x.prom --log-format").with(format);
        let running = rehearsal.variable("TAGFLEET_PING_URL", &address).start();
        #[cfg(target_os = "linux")]
        {
            service.waits_for_requests(1);
            let command_line = std::fs::read(format!("/proc/{}/cmdline", running.program().id())).expect("a process");
            assert!(contains(&command_line, b"--metrics-file") && !contains(&command_line, KEY.as_bytes()));
        }
        let outcome = running.end().exits(0);
        let said = outcome.output() + outcome.messages();
        assert!(said.contains("a ping was not heard: HTTP 500"), "{said}");
        assert!(folder.read("run.log").is_some_and(|log| contains(&log, b"a ping was not heard")));
        for secret in [KEY, &host] {
            assert!(!said.contains(secret), "{said}");
            assert_eq!(folder.files_holding(secret), Vec::<std::path::PathBuf>::new(), "{secret}");
        }
    });
}

#[test]
fn an_address_that_was_typed_is_refused_and_not_repeated() {
    let folder = Folder::new();
    folder.write("input.csv", "machineId,tag,action\n");
    folder.write_private("in clear", "http://kuma.example/api/push/x\n");
    let typed = format!("https://hc.example/{KEY}");
    let joined = format!("--ping-url={typed}");
    for (arguments, words) in [
        (["--ping-url-file", &typed], "the address to ping stands on the command line"),
        (["--ping-url", &typed], "name a file with --ping-url-file"),
        (["-q", &joined], "name a file with --ping-url-file"),
        (["--ping-url-file", "in clear"], "the address to ping is not https"),
        (["--ping-url-file", "nowhere"], "nowhere"),
        (["--ping-style", "pigeon"], "uptime-kuma"),
        (["--ping-success", "0,x"], "invalid value 'x'"),
    ] {
        for json in [&[][..], &["--json"]] {
            let mut command = folder.command();
            command.args(["apply", "input.csv", "--yes"]).args(arguments).args(json);
            let ended = Program::start(command, None, true).end();
            let said = format!("{}{}", ended.messages, String::from_utf8_lossy(&ended.output));
            assert_eq!(ended.status, Some(2), "{said}");
            assert!(!said.contains(KEY), "{said}");
            assert!(said.contains(words), "{said}");
        }
    }
}

#[test]
fn a_rehearsal_is_nobodys_business() {
    let service = healthchecks();
    let folder = Folder::new();
    folder.write("input.csv", crate::machines::with_ids("machineId,tag,action\n#1,A,Add\n"));
    let rehearse = |options: &[&str]| {
        let mut command = folder.command();
        command.args(["apply", "input.csv", "--sandbox"]).args(options).env("TAGFLEET_PING_URL", address(&service));
        Program::start(command, None, true).end().status
    };
    assert_eq!(rehearse(&[]), Some(0));
    assert_eq!(rehearse(&["--ping-url-file", "address"]), Some(2));
    assert_eq!(service.requests().len(), 0);
}

#[test]
fn pings_trust_whom_the_calls_trust() {
    let (encryption, root) = certificate("127.0.0.1", (2020, 2100));
    let sandbox = Sandbox::holding(&[1]);
    at_once([true, false], |is_root_known| {
        let service = StandIn::encrypted(Arc::clone(&encryption), |_request| Reply::json(200, "OK"));
        let folder = Folder::new();
        folder.write("root.pem", &root);
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,");
        let rehearsal = rehearsal.with(if is_root_known { "--ca-file root.pem" } else { "" });
        let outcome = rehearsal.variable("TAGFLEET_PING_URL", &address(&service)).run().exits(0);
        if is_root_known {
            assert_eq!(heard(&service), ["start", "0"]);
        }
        let warning = "a ping was not heard: the issuer of its certificate is not trusted";
        assert_eq!(outcome.messages().contains(warning), !is_root_known, "{}", outcome.messages());
        assert!(is_root_known || service.requests().is_empty());
    });
}

#[test]
fn pings_go_by_the_proxy() {
    let proxy = StandIn::answering(|_request| Reply::json(407, ""));
    let sandbox = Sandbox::holding(&[1]);
    let rehearsal = Rehearsal::at(&sandbox).rows("#1,A,Add,").variable("HTTPS_PROXY", &proxy.variables()[0].1);
    let outcome = rehearsal.variable("TAGFLEET_PING_URL", &format!("https://hc.example/{KEY}")).run().exits(0);
    outcome.says(&["a ping was not heard: the proxy requires a sign-in (407)"]);
    let asked: Vec<String> = proxy.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["hc.example:443", "hc.example:443"], "the beginning and the end, each once");
}
