//! `tagfleet check`: everything right, and each single thing wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::process::{Ended, Program, SOON};
use crate::rehearsal::Folder;
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// A check in this folder, with these variables and options, for scripts.
pub(crate) struct Check {
    pub(crate) folder: Folder,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) options: String,
}

impl Check {
    pub(crate) fn at(variables: &[(String, String)]) -> Self {
        Self { folder: Folder::new(), variables: variables.to_vec(), options: String::new() }
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with(self, options: &str) -> Self {
        Self { options: options.to_owned(), ..self }
    }

    fn in_folder(self, folder: &Folder) -> Self {
        Self { folder: folder.clone(), ..self }
    }

    pub(crate) fn run(&self, options: &str) -> Ended {
        self.command(&format!("check {options}"))
    }

    /// Another command with the same variables and options.
    pub(crate) fn command(&self, words: &str) -> Ended {
        let mut command = self.folder.command();
        command.envs(self.variables.iter().cloned());
        command.args(words.split_whitespace()).args(self.options.split_whitespace());
        Program::start(command, None, true).end()
    }

    /// Each name with its result, and the object.
    #[track_caller]
    pub(crate) fn exits(&self, status: i32) -> (Vec<(String, String)>, Value) {
        let ended = self.run("--json");
        let text = String::from_utf8_lossy(&ended.output);
        assert_eq!(ended.status, Some(status), "{} {text}", ended.messages);
        let object: Value = serde_json::from_slice(&ended.output).expect("an object");
        assert_eq!(object["exit_status"], status);
        let word = |check: &Value, name: &str| check[name].as_str().expect("a word").to_owned();
        let checks = object["checks"].as_array().expect("a list").iter();
        (checks.map(|check| (word(check, "name"), word(check, "result"))).collect(), object)
    }

    /// Ends with this status; these fail, with these words in the message or the hint, and those are skipped.
    #[track_caller]
    pub(crate) fn finds(&self, status: i32, failed: &str, says: &str, skipped: &[&str]) {
        let (results, object) = self.exits(status);
        let names = |wanted: &str| -> Vec<&str> {
            results.iter().filter(|(_, result)| result == wanted).map(|(name, _)| name.as_str()).collect()
        };
        assert_eq!(names("failed"), [failed], "{object:#}");
        assert_eq!(names("skipped"), skipped, "{object:#}");
        assert_eq!(results.len(), 8, "{object:#}");
        assert!(!object.to_string().contains("resume"), "nothing was begun: {object:#}");
        let check = object["checks"].as_array().and_then(|all| all.iter().find(|check| check["name"] == failed));
        let check = check.expect("it is there");
        assert!(format!("{} {}", check["message"], check["hint"]).contains(says), "{check:#}");
        assert!(check["hint"].is_string() && check["exit_status"] == status, "{check:#}");
    }
}

pub(crate) fn port_of_nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", free.local_addr().expect("an address"))
}

/// A service that lists one machine, and answers everybody.
pub(crate) fn lists_one_machine() -> StandIn {
    StandIn::answering(|request| {
        if request.path.starts_with("/api/machines") {
            Reply::json(200, json!({"value": [{"id": "a".repeat(40)}]}).to_string())
        } else {
            Reply::json(404, "{}")
        }
    })
}

/// A token that says this of itself, beside what is right.
pub(crate) fn token(claims: &Value) -> String {
    let mut all = json!({"aud": "https://api.securitycenter.microsoft.com", "tid": TENANT, "appid": "a-1",
        "roles": ["Machine.ReadWrite.All"], "exp": 4_102_444_800_u64});
    for (name, value) in claims.as_object().expect("claims") {
        all[name] = value.clone();
    }
    format!("eyJhbGciOiJub25lIn0.{}.canarysignature", URL_SAFE_NO_PAD.encode(all.to_string()))
}

pub(crate) fn with_token(server: &StandIn, claims: &Value) -> Check {
    Check::at(&server.variables()).variable("TAGFLEET_TOKEN", &token(claims)).variable("AZURE_TENANT_ID", TENANT)
}

/// What is not looked at where a ready token is used, and the server does not say what time it is.
const NOT_KNOWN: [&str; 2] = ["sign-in service", "clock"];

#[test]
fn where_everything_is_right_one_call_is_made_and_counted() {
    let sandbox = Sandbox::start("--machines 3");
    let check = Check::at(sandbox.variables());
    let (results, object) = check.exits(0);
    let names = ["configuration", "state", "service", "sign-in service", "clock", "token", "call", "quota"];
    assert_eq!(results.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    assert!(results.iter().all(|(_, result)| result == "passed"), "{object:#}");
    let origin = |name: &str| {
        let settings = object["checks"][0]["settings"].as_array().expect("a list");
        settings.iter().find(|setting| setting["name"] == name).expect("a setting")["origin"].clone()
    };
    assert_eq!((origin("API"), origin("tenant")), ("TAGFLEET_BASE_URL".into(), "AZURE_TENANT_ID".into()));
    let quota = object["checks"][7]["message"].as_str().expect("a text");
    assert!(quota.contains("machines: 99 of 100 calls in 60 s, whole again at"), "{quota}");
    assert!(quota.contains("1,499 of 1,500 calls in 1 h, whole again at"), "{quota}");
    assert!(quota.ends_with("; tags: whole; device values: whole"), "{quota}");
    assert_eq!(sandbox.end().of("list"), 1);
}

#[test]
fn people_get_a_line_each_and_a_hint_where_one_fails() {
    let server = StandIn::answering(|_request| {
        let description = "AADSTS7000215: Invalid client secret provided.";
        Reply::json(401, json!({"error": "invalid_client", "error_description": description}).to_string())
    });
    let check = Check::at(&server.variables()[..2]).variable("AZURE_TENANT_ID", TENANT);
    let check = check.variable("AZURE_CLIENT_ID", "a").variable("AZURE_CLIENT_SECRET", "canary~secret");
    let ended = check.run("");
    let text = String::from_utf8_lossy(&ended.output).into_owned();
    assert_eq!(ended.status, Some(4), "{text} {}", ended.messages);
    assert!(text.lines().any(|line| line.starts_with("√ service")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("× token") && line.contains("AADSTS7000215")), "{text}");
    assert!(text.lines().any(|line| line.trim_start().starts_with("hint: the client secret is wrong")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("– call")), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_state_that_others_can_write_to_or_that_is_damaged_leaves_the_service_to_be_looked_at() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = lists_one_machine();
    let skipped = [&NOT_KNOWN[..], &["call", "quota"]].concat();
    let check = with_token(&server, &json!({}));
    std::fs::create_dir(check.folder.path("state")).expect("our own folder");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(check.folder.path("state"), open).expect("our own folder");
    check.finds(7, "state", "chmod", &skipped);

    let check = with_token(&server, &json!({}));
    let said = |object: &Value| object["checks"][1]["message"].as_str().expect("a text").to_owned();
    assert!(said(&check.exits(0).1).contains("is private and intact"));
    let allow = |name: &str, mode| {
        std::fs::set_permissions(check.folder.path(name), std::fs::Permissions::from_mode(mode)).expect("our own file");
    };
    allow("state", 0o755);
    let open = said(&check.exits(0).1);
    assert!(open.contains("other users can read it, but not write to it"), "{open}");
    allow("state/tagfleet.witness", 0o666);
    check.finds(7, "state", "/tagfleet.*", &skipped);
    allow("state/tagfleet.witness", 0o600);
    check.exits(0);
    std::fs::remove_file(check.folder.path("state/tagfleet.witness")).expect("it is there");
    for _ in 0..2 {
        let unknown = said(&check.exits(0).1);
        assert!(
            unknown.contains("is usable (other users") && unknown.contains("has lost its tagfleet.witness"),
            "{unknown}"
        );
    }
    for name in ["state/tagfleet.sqlite3", "state/tagfleet.sqlite3-wal", "state/tagfleet.sqlite3-shm"] {
        let _may_be_away = std::fs::remove_file(check.folder.path(name));
    }
    check.finds(7, "state", "was removed or damaged", &skipped);
    // What is lost stays lost, though it keeps nobody from working.
    let lost = said(&check.exits(0).1);
    assert!(lost.contains("is usable (other users") && lost.contains("is lost, so runs may be missing"), "{lost}");
    check.folder.write("state/tagfleet.sqlite3", "damaged".repeat(1_000));
    check.finds(7, "state", "", &skipped);
}

#[test]
fn a_host_that_is_not_there_is_told_from_one_that_refuses() {
    let server = lists_one_machine();
    let nobody = port_of_nobody();
    let check =
        Check::at(&server.variables()[..1]).variable("AZURE_TENANT_ID", TENANT).variable("AZURE_CLIENT_ID", "a");
    let check = check.variable("AZURE_CLIENT_SECRET", "x").variable("AZURE_AUTHORITY_HOST", &nobody);
    let (results, object) = check.exits(5);
    let failed: Vec<&str> =
        results.iter().filter(|(_, result)| result == "failed").map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["sign-in service"], "{object:#}");

    let refusing = StandIn::answering(|_request| {
        Reply::json(403, r#"{"error": {"code": "Forbidden", "message": "no", "target": "x"}}"#)
    });
    with_token(&refusing, &json!({})).finds(4, "call", "Machine.ReadWrite.All", &NOT_KNOWN);
}

#[test]
fn each_claim_of_a_token_may_be_wrong() {
    let server = lists_one_machine();
    for (claims, says) in [
        (json!({"roles": ["Machine.Read.All"]}), "Machine.Read.All, and not Machine.ReadWrite.All"),
        (json!({"roles": []}), "no permission"),
        (json!({"aud": "https://graph.microsoft.com"}), "is for https://graph.microsoft.com"),
    ] {
        with_token(&server, &claims).finds(4, "token", says, &NOT_KNOWN);
    }
    let of_other = with_token(&server, &json!({"tid": "22222222-2222-3333-4444-555555555555"}));
    of_other.finds(4, "token", "is of the tenant 22222222", &["sign-in service", "clock", "call", "quota"]);
    let ended = with_token(&server, &json!({"exp": 1_000_000_000}));
    ended.finds(4, "token", "ended at", &["sign-in service", "clock", "call", "quota"]);
    with_token(&server, &json!({"roles": [], "scp": "Machine.ReadWrite"})).exits(0);
}

#[test]
fn of_a_token_that_says_nothing_of_itself_nothing_is_known_and_the_call_decides() {
    for (status, answer) in [(200, format!(r#"{{"value": [{{"id": "{}"}}]}}"#, "a".repeat(40))), (403, "{}".to_owned())]
    {
        let server = StandIn::answering(move |_request| Reply::json(status, answer.clone()));
        let check =
            Check::at(&server.variables()).variable("TAGFLEET_TOKEN", "opaque").variable("AZURE_TENANT_ID", TENANT);
        let (results, object) = check.exits(if status == 200 { 0 } else { 4 });
        let result = |name: &str| results.iter().find(|(known, _)| known == name).map(|(_, result)| result.as_str());
        let call = if status == 200 { "passed" } else { "failed" };
        assert_eq!((result("token"), result("call")), (Some("skipped"), Some(call)), "{object:#}");
        assert!(object["checks"][5]["message"].as_str().is_some_and(|text| text.contains("not known")), "{object:#}");
    }
}

/// A server that says it is 2015, and knows nothing.
fn of_2015() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let _gone = connection.read(&mut [0; 4096]);
            let body = r#"{"value": [{"id": "a"}]}"#;
            let head = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2015 00:00:00 GMT\r\nConnection: close\r\n";
            let _gone = write!(connection, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

#[test]
fn a_clock_that_differs_is_found_by_the_services_date() {
    let check = Check::at(&[]).variable("TAGFLEET_BASE_URL", &of_2015()).variable("TAGFLEET_TOKEN", &token(&json!({})));
    check.finds(4, "clock", " ahead of the service's", &["sign-in service"]);
}

#[test]
fn a_quota_that_is_used_up_is_no_fault_and_no_call_is_made() {
    let server = lists_one_machine();
    let first = with_token(&server, &json!({})).with("--quota 1/1h");
    first.exits(0);
    let calls = || server.requests().iter().filter(|request| request.path.starts_with("/api/machines")).count();
    assert_eq!(calls(), 1);
    let again = with_token(&server, &json!({})).with("--quota 1/1h").in_folder(&first.folder);
    let (results, object) = again.exits(0);
    assert!(results.contains(&("call".to_owned(), "skipped".to_owned())), "{object:#}");
    assert!(
        object["checks"][7]["message"].as_str().expect("a text").starts_with("machines: 0 of 1 call in 1 h, whole")
    );
    assert_eq!(calls(), 1);
}

#[test]
fn of_two_limits_that_are_used_up_the_later_end_counts() {
    let server = lists_one_machine();
    let first = with_token(&server, &json!({})).with("--quota 1/6h,1/12h");
    first.exits(0);
    let (_, object) = with_token(&server, &json!({})).with("--quota 1/6h,1/12h").in_folder(&first.folder).exits(0);
    let message = |position: usize| object["checks"][position]["message"].as_str().expect("a text");
    let hour = |text: &str, behind: &str| {
        let (_, time) = text.split_once(behind).unwrap_or_else(|| panic!("{text}"));
        let (hours, _) = time.split_once(':').expect("a time of day");
        hours.get(hours.len() - 2..).expect("two digits").parse::<u8>().expect("an hour")
    };
    let [near, far] = ["6 h", "12 h"].map(|window| hour(message(7), &format!("1 call in {window}, whole again at ")));
    let until = hour(message(6), "the quota is used up until ");
    // The clock was read twice.
    let is_meant = |whole: u8| [0, 1].contains(&((whole + 24 - until) % 24));
    assert!(is_meant(far) && !is_meant(near), "{}, {}", message(6), message(7));
}

#[test]
fn a_list_without_a_machine_is_what_it_is_for_a_run() {
    let skipped = ["sign-in service", "clock"];
    for (status, body) in [
        (404, r#"{"error": {"code": "ResourceNotFound", "message": "none", "target": "x"}}"#),
        (200, r#"{"value": []}"#),
        (200, r#"{"value": [{"id": null}]}"#),
    ] {
        let empty = StandIn::answering(move |_request| Reply::json(status, body));
        with_token(&empty, &json!({})).finds(4, "call", "the service's list of machines is empty", &skipped);
    }
}

#[test]
fn how_long_a_service_wants_to_be_left_alone_is_said_and_kept_to() {
    let server = StandIn::answering(|request| {
        let message = "API calls quota exceeded! You can send requests again in 40 seconds.";
        let body = json!({"error": {"code": "429", "message": message}});
        if request.path.starts_with("/api/machines") {
            Reply::json(429, body.to_string())
        } else {
            Reply::json(404, "{}")
        }
    });
    for quota in ["100/1m", "off"] {
        let first = with_token(&server, &json!({})).with(&format!("--quota {quota}"));
        let (_, object) = first.exits(5);
        let message =
            |object: &Value, position: usize| object["checks"][position]["message"].as_str().map(str::to_owned);
        let call = message(&object, 6).expect("a text");
        assert!(call.contains("left alone for 40 s: 429 from the service, next call "), "{call}");
        let left = message(&object, 7).expect("a text");
        assert!(left.contains("machines: no call until ") && left.contains(", as the service asks (429)"), "{left}");
        let again = with_token(&server, &json!({})).with(&format!("--quota {quota}")).in_folder(&first.folder);
        let (results, object) = again.exits(0);
        assert!(results.contains(&("call".to_owned(), "skipped".to_owned())), "{object:#}");
        let skipped = message(&object, 6).expect("a text");
        assert!(skipped.starts_with("the service has asked to wait until "), "{skipped}");
    }
    assert_eq!(calls(&server), 2);
}

#[test]
fn no_secret_is_shown() {
    let server = lists_one_machine();
    let check = with_token(&server, &json!({})).variable("HTTPS_PROXY", "http://user:canarypassword@127.0.0.1:9");
    for options in ["", "--json", "-vv"] {
        let ended = check.run(options);
        let shown = format!("{}{}", ended.messages, String::from_utf8_lossy(&ended.output));
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert!(check.folder.files_holding("canary").is_empty());
}

/// Calls of the API that this service got.
fn calls(server: &StandIn) -> usize {
    server.requests().iter().filter(|request| request.path.starts_with("/api/machines")).count()
}

#[test]
fn the_one_call_is_not_made_again_whatever_it_meets() {
    for (status, exit_status, says) in
        [(503, 5, "503 from the service"), (429, 5, "429"), (401, 4, ""), (500, 5, "500")]
    {
        let server = StandIn::answering(move |request| {
            if request.path.starts_with("/api/machines") {
                Reply::json(status, r#"{"error": {"code": "Trouble", "message": "no"}}"#)
            } else {
                Reply::json(200, json!({"access_token": token(&json!({})), "expires_in": 3600}).to_string())
            }
        });
        let check = Check::at(&server.variables()[..2]).variable("AZURE_TENANT_ID", TENANT);
        let check = check.variable("AZURE_CLIENT_ID", "a-1").variable("AZURE_CLIENT_SECRET", "x");
        check.finds(exit_status, "call", says, &["clock"]);
        assert_eq!(calls(&server), 1, "{status}");
    }
}

#[test]
fn where_nobody_answers_a_check_ends_soon_and_makes_no_call() {
    let skipped = ["sign-in service", "clock", "call"];
    let nobody = Check::at(&[]).variable("TAGFLEET_BASE_URL", &port_of_nobody());
    nobody.variable("TAGFLEET_TOKEN", &token(&json!({}))).finds(5, "service", "connection refused", &skipped);
    let silent = StandIn::answering(|_request| Reply::Silence);
    with_token(&silent, &json!({})).finds(5, "service", "no answer in time", &skipped);
    assert!(silent.requests()[0].at.elapsed() < SOON, "{:?}", silent.requests());
    assert_eq!(calls(&silent), 0);
}

#[cfg(unix)]
#[test]
fn an_interrupt_while_a_check_signs_in_ends_it_like_a_run() {
    let server =
        StandIn::answering(|request| if request.method == "POST" { Reply::Silence } else { Reply::json(404, "{}") });
    let folder = Folder::new();
    let mut command = folder.command();
    command.envs(server.variables().into_iter().take(2)).arg("check").env("AZURE_TENANT_ID", TENANT);
    command.env("AZURE_CLIENT_ID", "a-1").env("AZURE_CLIENT_SECRET", "x");
    let program = Program::start(command, None, true);
    // Two roots, and the sign-in.
    server.waits_for_requests(3);
    program.signal(rustix::process::Signal::INT);
    let ended = program.end();
    assert_eq!(ended.status, Some(5), "{}", ended.messages);
    assert!(ended.messages.contains("interrupted; nothing was changed"), "{}", ended.messages);
}
