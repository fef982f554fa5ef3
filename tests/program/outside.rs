//! Text from outside: exact wherever it is data, harmless and without secrets wherever it is shown. One hostile text goes
//! through every sink, and a secret comes back in every encoding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::machines::id;
use crate::process::{Ended, Program, at_once};
use crate::rehearsal::{Folder, Rehearsal};
use crate::stand_in::{Reply, StandIn};
use crate::table::Table;
use crate::tenant::{Tenant, machine};

/// Writes to the clipboard, forges a line, turns the direction, clears the screen by a C1 control, and is a formula.
const HOSTILE: &str = "=cmd\u{1b}]52;c;eA==\u{7}\nerror: FORGED\u{2028}\u{202e}\u{9b}2J\u{e0041}x";
/// Holds whatever encodings change, and what they leave alone.
const CANARY: &str = "canary~Tw+ee/ty\"1942_in=a&cage";
/// What all encodings but base64 leave of it.
const REMAINDER: &str = "1942_in";

/// Runs a command in a folder against a server.
#[track_caller]
fn command(folder: &Folder, server: &StandIn, arguments: &[&str]) -> Ended {
    let mut command = folder.command();
    command.envs(server.variables()).args(arguments);
    Program::start(command, None, true).end()
}

/// Nothing that a terminal obeys or nobody can see, and no line that only the text from outside has.
#[track_caller]
fn is_harmless(text: &str, what: &str) {
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("error: FORGED"), "{what}: {text}");
    }
    let harmful = |it: &char| {
        let is_unseen = matches!(it, '\u{2028}'..='\u{202e}' | '\u{200b}'..='\u{200f}' | '\u{e0000}'..='\u{e007f}');
        (it.is_control() && *it != '\n') || is_unseen
    };
    assert_eq!(text.chars().find(harmful), None, "{what}: {text:?}");
}

/// A service that speaks in hostile texts only: of its two machines, and of each change.
fn hostile_service() -> StandIn {
    StandIn::answering(|request| {
        if request.method == "POST" {
            let error = json!({"error": {"code": HOSTILE, "message": HOSTILE, "target": HOSTILE}});
            return Reply::json(400, error.to_string());
        }
        let machine = |number: u32| {
            json!({
                "id": id(number), "computerDnsName": "twin.contoso.example", "rbacGroupName": HOSTILE,
                "osPlatform": HOSTILE, "lastSeen": HOSTILE, "machineTags": [HOSTILE], "deviceValue": HOSTILE,
            })
        };
        Reply::json(200, json!({"value": [machine(1), machine(2)]}).to_string())
    })
}

#[test]
fn a_hostile_text_is_harmless_in_every_sink_and_exact_in_data() {
    let (server, folder) = (hostile_service(), Folder::new());
    folder.write("in.csv", format!("machineId,tag,action,value\n{},A,Add,\n{},,,High\n", id(1), id(2)));
    folder.write("names.csv", "name,tag,action\ntwin,A,Add\n");
    folder.write("bad-names.csv", format!("name,tag,action\n\"{HOSTILE}\",A,Add\n"));
    folder.write("bad.csv", format!("machineId,tag,action\n{},\"{HOSTILE}\",\"{HOSTILE}\"\n", id(1)));
    let quick = ["--quota", "off"];
    let apply = ["apply", "in.csv", "--yes", "--note", HOSTILE, "-vv"];
    let table: [(&[&str], i32); 15] = [
        (&apply, 1),
        (&[&apply[..], &["--log-format", "json"]].concat(), 1),
        (&[&apply[..], &["--log-file", "log"]].concat(), 1),
        (&[&apply[..], &["--json"]].concat(), 1),
        (&["plan", "in.csv"], 0),
        (&["plan", "in.csv", "--json"], 0),
        (&["plan", "names.csv"], 1),
        (&["plan", "bad-names.csv"], 3),
        (&["plan", "bad.csv"], 3),
        (&["plan", "bad.csv", "--json"], 3),
        (&["verify", "in.csv"], 10),
        (&["verify", "names.csv", "-o", "found.csv"], 10),
        (&["runs"], 0),
        (&["runs", "--json"], 0),
        (&["runs", HOSTILE], 2),
    ];
    for (arguments, status) in table {
        let arguments = [arguments, if arguments[0] == "runs" { &[][..] } else { &quick[..] }].concat();
        let ended = command(&folder, &server, &arguments);
        let what = format!("{arguments:?}");
        assert_eq!(ended.status, Some(status), "{what}: {}", ended.messages);
        is_harmless(&ended.messages, &what);
        is_harmless(&String::from_utf8(ended.output).expect("UTF-8"), &what);
    }
    let file = |name: &str| String::from_utf8(folder.read(name).expect(name)).expect("UTF-8");
    is_harmless(&file("log"), "the log");
    assert!(file("log").contains("\\u{1b}]52"), "it is in the log: {}", file("log"));
    let results = file("in.results.csv");
    is_harmless(&results, "the results");
    let results = Table::read(results.as_bytes(), ',');
    for (column, start) in [("error_code", "'=cmd\\u{1b}]52"), ("error_message", "'=cmd"), ("request_id", "'=cmd")] {
        assert!(results.rows[0][column].starts_with(start), "{column}: {:?}", results.rows[0]);
    }
    is_harmless(&Table::read(file("found.csv").as_bytes(), ',').column("message").concat(), "what verify found");

    let runs = command(&folder, &server, &["runs", "--json"]);
    let runs: Value = serde_json::from_slice(&runs.output).expect("an object");
    assert_eq!(runs["runs"][0]["note"], HOSTILE, "data is exact");
    let run = runs["runs"][0]["run_id"].as_str().expect("a name");
    is_harmless(&String::from_utf8_lossy(&command(&folder, &server, &["runs", run]).output), "one run");

    let exported = command(&folder, &server, &["inventory", "--quota", "off", "-o", "machines.csv"]);
    assert_eq!(exported.status, Some(0), "{}", exported.messages);
    let machines = Table::read(&folder.read("machines.csv").expect("machines"), ',');
    assert_eq!(machines.rows[0]["machineTags"], json!([HOSTILE]).to_string());
    assert_eq!(machines.rows[0]["rbacGroupName"], format!("'{HOSTILE}"));
}

#[test]
fn what_was_typed_is_harmless_in_the_error_that_repeats_it() {
    let folder = Folder::new();
    let option = HOSTILE.replace("=cmd", "--cmd");
    let table: [(&[&str], i32); 8] = [
        (&["apply", "in.csv", HOSTILE], 2),
        (&["apply", "in.csv", &option], 2),
        (&[HOSTILE], 2),
        (&["apply", "in.csv", "--quota", HOSTILE], 2),
        (&["plan", "in.csv", "--base-url", HOSTILE], 2),
        (&["plan", HOSTILE], 3),
        (&["plan", "in.csv", "--encoding", HOSTILE], 2),
        (&["runs", "--state-dir", HOSTILE], 0),
    ];
    for (arguments, status) in table {
        for format in ["text", "json"] {
            let arguments = [arguments, &["--log-format", format]].concat();
            let ended = folder.run(&arguments);
            assert_eq!(ended.status, Some(status), "{arguments:?}: {}", ended.messages);
            is_harmless(&ended.messages, &format!("{arguments:?}"));
            assert!(ended.messages.contains("]52;c"), "{arguments:?}: {}", ended.messages);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_file_may_be_called_as_it_likes() {
    let (server, folder) = (hostile_service(), Folder::new());
    let name = HOSTILE.replace('/', "_");
    let (input, log, state) = (format!("{name}.csv"), format!("{name}.log"), format!("{name}.state"));
    folder.write(&input, format!("machineId,tag,action\n{},A,Add\n", id(1)));
    let options = ["--quota", "off", "--state-dir", &state, "--log-file", &log, "-vv"];
    for rest in [&["--yes"][..], &["--yes", "--json"], &["--yes", "-o", &input], &["--yes", "-o", "."]] {
        let ended = command(&folder, &server, &[&["apply", &input], &options[..], rest].concat());
        is_harmless(&ended.messages, &format!("{rest:?}"));
        is_harmless(&String::from_utf8_lossy(&ended.output), &format!("{rest:?}"));
    }
    assert!(folder.names().contains(&format!("{name}.results.csv")), "{:?}", folder.names());
    is_harmless(&String::from_utf8_lossy(&folder.read(&log).expect("a log")), "the log");
}

#[cfg(unix)]
#[test]
fn rows_that_people_watch_on_a_terminal_are_harmless_there() {
    let (server, folder) = (hostile_service(), Folder::new());
    // By whatever name it is called.
    for output in ["-", "/dev/tty", "/dev/stdout", "/dev/stderr"] {
        let mut command = folder.command();
        command.envs(server.variables()).args(["inventory", "--quota", "off", "-q", "-o", output]);
        let mut terminal = crate::terminal::Terminal::start(command, 80);
        assert_eq!(terminal.end(), Some(0), "{}", terminal.shown());
        assert!(terminal.shown().contains("cmd\\u{1b}]52"), "{}", terminal.shown());
        // A cell may have several lines, there as in any other table.
        is_harmless(&terminal.shown().replace(['\r', '\n'], ""), output);
    }
}

#[test]
fn a_tag_that_looks_like_a_secret_is_that_tag_everywhere() {
    let tags = ["HackneyJunction-Workstations", "Test-Lab", "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0.c2lnbmF0dXJl", "Test"];
    at_once(tags, |tag| {
        let tenant = Tenant::of([machine(1).tagged(tag), machine(2).tagged("other"), machine(3).in_group(tag)]);
        let (server, folder) = (tenant.serve(), Folder::new());
        folder.write("in.csv", format!("machineId,tag,action\n{},{tag},Remove\n{},{tag},Add\n", id(1), id(2)));
        let run = |arguments: &[&str]| {
            let mut command = folder.command();
            command.envs(server.variables()).env("TAGFLEET_TOKEN", "Test").args(arguments).args(["--quota", "off"]);
            Program::start(command, None, true).end()
        };
        let plan = run(&["plan", "in.csv", "--json"]);
        let plan: Value = serde_json::from_slice(&plan.output).expect("an object");
        assert_eq!((&plan["changes"], &plan["by_change"][0]["tag"]), (&2.into(), &tag.into()));
        let applied = run(&["apply", "in.csv", "--yes", "--json"]);
        assert_eq!(applied.status, Some(0), "{}", applied.messages);
        let summary: Value = serde_json::from_slice(&applied.output).expect("an object");
        assert_eq!(summary["status"]["succeeded"], 2, "{summary}");
        assert_eq!((tenant.holds(1).0.len(), tenant.holds(2).0.len()), (0, 2));
        let results = Table::read(&folder.read("in.results.csv").expect("results"), ',');
        assert_eq!(results.column("tag"), [tag, tag]);
        assert_eq!(run(&["verify", "in.csv"]).status, Some(0));
        let exported = run(&["inventory"]);
        let machines = Table::read(&exported.output, ',');
        let listed: Vec<String> = serde_json::from_str(&machines.rows[1]["machineTags"]).expect("a list");
        assert!(listed.iter().any(|one| one == tag), "{listed:?}");
        assert_eq!(&machines.rows[2]["rbacGroupName"], tag);
        let undone = run(&["undo", summary["run_id"].as_str().expect("a name"), "--yes"]);
        assert_eq!(undone.status, Some(0), "{}", undone.messages);
        assert_eq!((tenant.holds(1).0, tenant.holds(2).0), (vec![tag.to_owned()], vec!["other".to_owned()]));
    });
}

#[test]
fn what_stands_in_the_database_is_shown_as_if_it_had_come_today() {
    let (server, folder) = (hostile_service(), Folder::new());
    folder.write("in.csv", format!("machineId,tag,action,value\n{},A,Add,\n{},,,High\n", id(1), id(2)));
    let applied = command(&folder, &server, &["apply", "in.csv", "--yes", "--json", "--quota", "off", "--note", "n"]);
    let summary: Value = serde_json::from_slice(&applied.output).expect("an object");
    let run = summary["run_id"].as_str().expect("a name");
    // As an earlier version may have stored it, or somebody else.
    let database = folder.database();
    let raw = format!("{HOSTILE}{CANARY}");
    let facts = "UPDATE operation SET error_code = ?1, error_message = ?1, request_id = ?1, before = ?1, after = ?1";
    assert_eq!(database.execute(facts, [&raw]).expect("a table"), 2);
    for change in [
        "UPDATE run SET note = ?1, input_path = ?1, host = ?1",
        "UPDATE process SET host = ?1",
        "UPDATE account SET tenant = ?1, app = ?1",
    ] {
        assert!(database.execute(change, [HOSTILE]).expect("a table") > 0, "{change}");
    }
    drop(database);
    for arguments in [
        &["runs"][..],
        &["runs", run],
        &["results", run],
        &["results", run, "--json"],
        &["resume", run, "--yes", "--quota", "off"],
        &["undo", run, "--yes", "--quota", "off"],
        &["undo", run, "--yes", "--quota", "off", "--json"],
    ] {
        let mut command = folder.command();
        command.envs(server.variables()).env("AZURE_CLIENT_SECRET", CANARY).args(arguments);
        let ended = Program::start(command, None, true).end();
        let said = format!("{}{}", ended.messages, String::from_utf8_lossy(&ended.output));
        assert!(said.len() > 10, "{arguments:?} says something");
        is_harmless(&said, &format!("{arguments:?}"));
        assert!(!said.contains(REMAINDER), "{arguments:?}: {said}");
    }
    let results = String::from_utf8(folder.read(&format!("{run}.results.csv")).expect("results")).expect("UTF-8");
    is_harmless(&results, "the results");
    assert!(!results.contains(REMAINDER) && results.contains("***"), "{results}");
}

/// The canary in the encodings in which a service, a proxy or a page may repeat it.
fn encodings() -> [String; 14] {
    let escaped = |text: &str| serde_json::to_string(text).expect("a text").trim_matches('"').to_owned();
    let percent =
        CANARY.replace('+', "%2b").replace('/', "%2F").replace('"', "%22").replace('=', "%3D").replace('&', "%26");
    let percent_twice = percent.replace('%', "%25");
    let bytes = |written: &dyn Fn(u8) -> String| CANARY.bytes().map(written).collect::<String>();
    [
        escaped(CANARY),
        // As some writers of JSON do; once more, as where JSON is quoted in a text.
        escaped(CANARY).replace('/', "\\/").replace('+', "\\u002B").replace('&', "\\u0026"),
        escaped(&escaped(CANARY).replace('/', "\\/").replace('+', "\\u002B")),
        percent.replace('~', "%7E"),
        percent,
        format!("Basic {}", STANDARD.encode(format!("app:{CANARY}"))),
        CANARY.replace('&', "&amp;").replace('"', "&#34;").replace('+', "&#x2B;"),
        percent_twice,
        STANDARD.encode(STANDARD.encode(CANARY)),
        bytes(&|byte| format!("{byte:02X}")),
        bytes(&|byte| format!("{byte:02x}:")),
        bytes(&|byte| format!("\\\\x{byte:02x}")),
        CANARY.replace('"', "'").chars().map(|it| format!("{it}\\u200b\\u0000\\u00ad")).collect(),
        format!("{}\\r\\n{}", &CANARY[..8], &CANARY[8..]).replace('"', "\\\""),
    ]
}

#[track_caller]
fn is_nowhere(folder: &Folder, ended: &Ended, encoding: &str) {
    let coded = STANDARD.encode(format!("app:{CANARY}"));
    let said = format!("{}{}", ended.messages, String::from_utf8_lossy(&ended.output));
    for part in [REMAINDER, &coded[..coded.len() / 2], &encoding[encoding.len() / 3..encoding.len() * 2 / 3]] {
        assert!(!said.contains(part), "{encoding}: {said}");
        assert_eq!(folder.files_holding(part), Vec::<std::path::PathBuf>::new(), "{encoding}");
    }
    assert!(said.contains("***"), "{encoding}: {said}");
}

#[test]
fn a_token_that_the_service_repeats_in_whatever_encoding_is_nowhere() {
    // A token has no quotation mark, and so neither has what repeats it.
    at_once(encodings(), |encoding| {
        let repeated = encoding.clone();
        let server = StandIn::answering(move |_request| {
            Reply::json(
                400,
                format!(r#"{{"error": {{"code": "x", "message": "you sent ({repeated})", "target": "{repeated}"}}}}"#),
            )
        });
        let folder = Folder::new();
        folder.write("in.csv", format!("machineId,tag,action\n{},A,Add\n", id(1)));
        for rest in [&["--json"][..], &["--log-file", "log"], &["--log-format", "json"]] {
            let mut command = folder.command();
            command.envs(server.variables()).env("AZURE_CLIENT_SECRET", CANARY);
            command.args(["apply", "in.csv", "--yes", "--no-inventory", "--fresh", "--quota", "off", "-vv"]).args(rest);
            let ended = Program::start(command, None, true).end();
            assert_eq!(ended.status, Some(1), "{encoding}: {}", ended.messages);
            is_nowhere(&folder, &ended, &encoding);
        }
    });
}

#[test]
fn a_client_secret_that_the_authority_repeats_in_whatever_encoding_is_nowhere() {
    at_once(encodings(), |encoding| {
        let repeated = encoding.clone();
        let server = StandIn::answering(move |_request| {
            let description = format!("AADSTS7000215: not ({repeated})");
            Reply::json(401, format!(r#"{{"error": "invalid_client", "error_description": "{description}"}}"#))
        });
        let outcome = Rehearsal::at_stand_in(&server)
            .variable("TAGFLEET_TOKEN", "")
            .variable("AZURE_TENANT_ID", "contoso")
            .variable("AZURE_CLIENT_ID", "app")
            .variable("AZURE_CLIENT_SECRET", CANARY)
            .rows("#1,A,Add,")
            .with("-vv --json")
            .run()
            .exits(4);
        let messages = outcome.messages().to_owned();
        let ended = Ended { status: Some(4), output: outcome.output_bytes().to_vec(), messages };
        is_nowhere(outcome.folder(), &ended, &encoding);
    });
}

#[test]
fn a_secret_that_was_typed_is_masked_in_the_error_that_repeats_it() {
    let folder = Folder::new();
    for arguments in [&["apply", "in.csv", CANARY][..], &[CANARY], &["plan", CANARY], &["runs", CANARY]] {
        for format in ["text", "json"] {
            let mut command = folder.command();
            command.env("AZURE_CLIENT_SECRET", CANARY).args(arguments).args(["--json", "--log-format", format]);
            let ended = Program::start(command, None, true).end();
            let mut object: Value = serde_json::from_slice(&ended.output).expect("an object");
            // The name of the input is data.
            object["input"] = Value::Null;
            let said = format!("{}{object}", ended.messages);
            assert!(!said.contains(REMAINDER), "{arguments:?}: {said}");
        }
    }
}
