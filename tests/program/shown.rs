//! What people see, whole, in one folder that can be read in a sitting: `tests/program/shown/`.
//!
//! After a change, take them anew with `INSTA_UPDATE=always cargo test --test program shown`, and read what became of them.
//! What differs from run to run (names of runs, times, ports, folders) stands there in capitals.

use std::fmt::Write as _;

use crate::machines::with_ids;
use crate::process::Program;
use crate::rehearsal::{Folder, repository};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

/// Holds a text against what was last agreed on.
fn agreed(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("shown");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Commands that are typed one after the other in one folder, with all that they print.
struct Session {
    folder: Folder,
    variables: Vec<(String, String)>,
    transcript: String,
}

impl Session {
    fn new() -> Self {
        Self { folder: Folder::new(), variables: Vec::new(), transcript: String::new() }
    }

    /// With these variables in the environment.
    fn at(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), ..Self::new() }
    }

    /// With this file in the folder.
    fn file(self, name: &str, text: &str) -> Self {
        self.folder.write(name, with_ids(text));
        self
    }

    /// With a sample of the repository in the folder.
    fn sample(self, name: &str) -> Self {
        let bytes = std::fs::read(repository("samples").join(name)).expect("a sample");
        self.folder.write(name, bytes);
        self
    }

    /// Says what comes next.
    fn about(mut self, what: &str) -> Self {
        let _infallible = writeln!(self.transcript, "# {what}");
        self
    }

    /// Types a command, whose words are parted by blanks.
    fn typed(mut self, line: &str) -> Self {
        let mut command = self.folder.command();
        command.env("COLUMNS", "80").env("TZ", "UTC").envs(self.variables.iter().cloned());
        command.args(line.split_whitespace().skip(1));
        let ended = Program::start(command, None, true).end();
        let printed = format!("{}{}", ended.messages, String::from_utf8_lossy(&ended.output));
        let printed = without_what_differs(&printed, &self.folder);
        let status = ended.status.map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"));
        let line = without_what_differs(line, &self.folder);
        let _infallible = writeln!(self.transcript, "$ {line}\n{}\n[{status}]\n", printed.trim_end());
        self
    }

    /// The run that was begun last.
    fn last_run(&self) -> String {
        self.runs().into_iter().next().expect("a run")
    }

    /// The run that was begun first.
    fn first_run(&self) -> String {
        self.runs().into_iter().next_back().expect("a run")
    }

    /// The runs, the latest first.
    fn runs(&self) -> Vec<String> {
        let mut command = self.folder.command();
        command.args(["runs", "--json"]);
        let ended = Program::start(command, None, true).end();
        let runs: serde_json::Value = serde_json::from_slice(&ended.output).expect("an object");
        let runs = runs["runs"].as_array().expect("a list");
        runs.iter().map(|run| run["run_id"].as_str().expect("a run").to_owned()).collect()
    }

    fn agreed(self, name: &str) {
        agreed(name, self.transcript.trim_end());
    }
}

/// The text with a word in capitals for each piece that no two runs have in common.
fn without_what_differs(text: &str, folder: &Folder) -> String {
    let mut text = text.replace(&*folder.path("").to_string_lossy(), "FOLDER/").replace("FOLDER//", "FOLDER/");
    for (pattern, word) in [
        (r"(sandbox-)?\d{8}-\d{6}-[a-z0-9]{6}", "${1}RUN"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC", "DATE TIME UTC"),
        (r"\d\d:\d\d:\d\d UTC", "TIME UTC"),
        // Late in the day it is tomorrow.
        (r"(next call|permitted at|whole again at) DATE TIME", "$1 TIME"),
        (r"Time: \d+\.\d s.*", "Time: HOW LONG."),
        (r"in \d+\.\d s, if", "in HOW LONG, if"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        // Columns are as wide as what differs.
        (r"(?m)^([a-z-]+| {4}[A-Za-z-]+(?: [a-z]+)*) {2,}(\S.*?) {2,}", "$1  $2  "),
        (r"[\d,]+ MiB free", "SIZE free"),
        (r"SQLite \d\S+, form \d+", "SQLite VERSION, form NUMBER"),
        (r"Size {9}\d+ KiB", "Size         SOME KiB"),
        (r"process \d+", "process ID"),
        (r"Process        \d+ on \S+", "Process        ID on HOST"),
    ] {
        text = regex::Regex::new(pattern).expect("a pattern").replace_all(&text, word).into_owned();
    }
    text
}

/// Every command, in the order of the list of them; behind one that has commands of its own, those.
const COMMANDS: [&str; 22] = [
    "apply",
    "plan",
    "resume",
    "runs",
    "results",
    "report",
    "undo",
    "verify",
    "inventory",
    "tags",
    "tags rename",
    "tags remove",
    "rules",
    "check",
    "config",
    "state",
    "state init",
    "state move",
    "sandbox",
    "help",
    "completions",
    "man",
];

/// The sections of a help: what begins with a line at the margin behind an empty one.
fn sections(help: &str) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for paragraph in help.split("\n\n") {
        match sections.last_mut() {
            Some(section) if paragraph.starts_with(' ') => section.extend(["\n\n", paragraph]),
            _ => sections.push(paragraph.to_owned()),
        }
    }
    sections
}

/// The help of each command. Most options are those of several commands, which nobody reads twice.
fn helps(option: &str) -> Vec<(&'static str, String)> {
    let mut seen: Vec<(String, &str)> = Vec::new();
    let mut shown_once = |command, section: String| {
        if let Some((_, of)) = seen.iter().find(|(known, _)| *known == section) {
            return format!("{} (as of {of})", section.lines().next().unwrap_or_default());
        }
        seen.push((section.clone(), command));
        section
    };
    let mut help_of = |command| {
        let help = Session::new().typed(&format!("tagfleet {command} {option}")).transcript;
        let sections = sections(help.trim_end().trim_end_matches("[status 0]").trim_end());
        let shown: Vec<String> = sections.into_iter().map(|section| shown_once(command, section)).collect();
        (command, shown.join("\n\n"))
    };
    COMMANDS.into_iter().map(&mut help_of).collect()
}

#[test]
fn help() {
    Session::new().typed("tagfleet -h").typed("tagfleet help").typed("tagfleet --version").agreed("help");
    let short: Vec<String> = helps("-h").into_iter().map(|(_, help)| help).collect();
    agreed("help-short", &short.join("\n\n"));
    for (command, help) in helps("--help") {
        agreed(&format!("help-{}", command.replace(' ', "-")), &help);
    }
}

#[test]
fn every_command_is_shown() {
    let listed = Session::new().typed("tagfleet help").transcript;
    let commands = listed.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let listed: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    let shown = COMMANDS.iter().filter(|command| !command.contains(' ')).copied().collect::<Vec<&str>>();
    assert_eq!(listed, shown);
}

#[test]
fn a_first_hour() {
    let session = Session::new()
        .sample("retag.csv")
        .about("A plan, and a rehearsal that ends well.")
        .typed("tagfleet plan retag.csv --sandbox")
        .typed("tagfleet apply retag.csv --sandbox --yes")
        .about("Once more: the rehearsal holds what the file asks for only while it lasts.")
        .typed("tagfleet apply retag.csv --sandbox --yes --limit 2")
        .typed("tagfleet verify retag.csv --sandbox")
        .about("The runs.")
        .typed("tagfleet runs")
        .typed("tagfleet runs --sandbox");
    session.agreed("a-first-hour");
}

#[test]
fn a_run_and_what_can_be_done_with_it() {
    let sandbox = Sandbox::holding(&[1, 2, 3]);
    let rows = "machineId,tag,action,value\n#1,Tier 0,Add,High\n#2,Tier 0,Add,\n#3,Old,Remove,\n#9,Tier 0,Add,\n";
    let session = Session::at(sandbox.variables().to_vec())
        .file("retag.csv", rows)
        .file("other.csv", "machineId,tag,action\n#2,Tier 0,Remove\n")
        .about("Machines that the tenant does not have are rows that failed.")
        .typed("tagfleet apply retag.csv --yes --note CHG-7");
    let run = session.last_run();
    session
        .typed("tagfleet apply retag.csv --yes")
        .typed("tagfleet verify retag.csv")
        .typed("tagfleet runs")
        .typed(&format!("tagfleet runs {run}"))
        .typed(&format!("tagfleet results {run} -o again.csv"))
        .about("Somebody changes the same afterwards; then the first run is taken back.")
        .typed("tagfleet apply other.csv --yes")
        .typed(&format!("tagfleet undo {run} --yes"))
        .typed(&format!("tagfleet undo {run} --yes"))
        .typed("tagfleet inventory -o machines.csv")
        .agreed("a-run");
}

#[test]
fn runs_that_stop_early() {
    let sandbox = Sandbox::start("--quota 1/1h");
    let rows = "machineId,value\n#1,High\n#2,High\n#3,High\n";
    let stopped = Session::at(sandbox.variables().to_vec())
        .file("values.csv", rows)
        .about("A canary uses the quota up, so the next permitted call lies beyond the deadline.")
        .typed("tagfleet apply values.csv --yes --no-inventory --quota 1/1h --limit 1")
        .typed("tagfleet apply values.failed.csv --yes --no-inventory --quota 1/1h --deadline 10m");
    let run = stopped.last_run();
    stopped
        .typed(&format!("tagfleet runs {run}"))
        .typed("tagfleet resume --yes --no-inventory --quota 1/1h --deadline 10m")
        .agreed("stopped-by-a-deadline");
    let failing = Sandbox::start("--dead-percent 100");
    let rows: String = (1..=30).map(|machine| format!("#{machine},T,Add\n")).collect();
    Session::at(failing.variables().to_vec())
        .file("tags.csv", &format!("machineId,tag,action\n{rows}"))
        .typed("tagfleet apply tags.csv --yes --no-bulk --quota off --concurrency 1")
        .agreed("machines-that-are-gone");
    let forbidden = StandIn::answering(|_| {
        Reply::json(
            403,
            r#"{"error":{"code":"Forbidden","message":"The application does not have any of the required application permissions (Machine.ReadWrite.All) to access the resource."}}"#,
        )
    });
    Session::at(forbidden.variables())
        .file("values.csv", "machineId,value\n#1,High\n#2,High\n#3,High\n")
        .typed("tagfleet apply values.csv --yes")
        .typed("tagfleet apply values.csv --yes --no-inventory")
        .agreed("no-permission");
}

#[test]
fn what_others_have_done_and_what_is_withheld() {
    let sandbox = Sandbox::holding(&[1, 2, 3, 4]);
    let session = Session::at(sandbox.variables().to_vec())
        .file(
            "first.csv",
            "machineId,tag,action,value\n#1,Tier 0,Add,High\n#2,Tier 0,Add,\n#3,Tier 0,Add,\n#4,Tier 0,Add,\n",
        )
        .file("later.csv", "machineId,value\n#1,Low\n")
        .file("removals.csv", "machineId,tag,action\n#1,Tier 0,Remove\n#2,Tier 0,Remove\n#3,Tier 0,Remove\n")
        .typed("tagfleet apply first.csv --yes")
        .typed("tagfleet apply later.csv --yes");
    let first = session.first_run();
    session
        .about("What was changed since is left.")
        .typed(&format!("tagfleet undo {first} --yes"))
        .typed("tagfleet apply first.csv --yes --fresh")
        .about("A guard holds back more removals than are plausible.")
        .typed("tagfleet plan removals.csv --guard-removals 10%,1")
        .typed("tagfleet apply removals.csv --yes --guard-removals 10%,1")
        .typed("tagfleet apply removals.csv --yes --guard-removals 10%,1 --allow-removals 3")
        .agreed("changed-since-and-withheld");
}

#[test]
fn what_is_asked_before_a_night() {
    let sandbox = Sandbox::holding(&[1]);
    let variables = sandbox.variables().to_vec();
    let without_secret = variables.iter().filter(|(name, _)| name != "AZURE_CLIENT_SECRET").cloned();
    let without_secret = Session::at(without_secret.collect::<Vec<_>>());
    Session::at(variables)
        .about("All is well, and nothing was stored yet.")
        .typed("tagfleet check")
        .typed("tagfleet state")
        .typed("tagfleet config")
        .agreed("before-a-night");
    without_secret.about("There is no secret.").typed("tagfleet check --auth secret").agreed("check-without-a-secret");
}

#[test]
fn refusals() {
    Session::new()
        .about("The command line.")
        .typed("tagfleet")
        .typed("tagfleet aply retag.csv")
        .typed("tagfleet apply")
        .typed("tagfleet apply retag.csv --dry-run")
        .typed("tagfleet apply retag.csv --deadline soon")
        .typed("tagfleet apply retag.csv --max-errors 200%")
        .typed("tagfleet runs 20260101-000000-abcdef")
        .typed("tagfleet help quota")
        .agreed("refused-usage");
    Session::new()
        .sample("retag.csv")
        .about("Nobody to ask, and nobody to sign in.")
        .typed("tagfleet apply retag.csv --sandbox")
        .typed("tagfleet apply retag.csv --yes")
        .typed("tagfleet plan retag.csv --base-url https://example.org")
        .typed("tagfleet plan retag.csv --client-secret-file secret.txt")
        .agreed("refused-environment");
    Session::new()
        .sample("bad-rows.csv")
        .file("empty.csv", "")
        .file("header.csv", "machineId,tag,action\n")
        .file("no-columns.csv", "a,b,c\n1,2,3\n")
        .file("conflict.csv", "machineId,value\n#1,High\n#2,Low\n#1,Low\n")
        .file("quote.csv", "machineId,\"value\n#1,Low\n")
        .file("doubts.csv", "machineId,tag,action\n#1,#REF!,Add\n#2,tier 0,Add\n#3,Tier 0,Add\n")
        .about("Files.")
        .typed("tagfleet plan bad-rows.csv --sandbox")
        .typed("tagfleet plan missing.csv --sandbox")
        .typed("tagfleet plan empty.csv --sandbox")
        .typed("tagfleet plan header.csv --sandbox")
        .typed("tagfleet plan no-columns.csv --sandbox")
        .typed("tagfleet plan conflict.csv --sandbox")
        .typed("tagfleet plan quote.csv --sandbox")
        .typed("tagfleet plan doubts.csv --sandbox")
        .typed("tagfleet plan doubts.csv --sandbox --encoding latin-9000")
        .typed("tagfleet apply doubts.csv --sandbox --yes --skip-invalid --accept case-variants")
        .agreed("refused-files");
    Session::new()
        .sample("retag.csv")
        .file("notes.txt", "mine\n")
        .about("Outputs, and limits that the plan passes.")
        .typed("tagfleet apply retag.csv --sandbox --yes -o notes.txt")
        .typed("tagfleet apply retag.csv --sandbox --yes -o retag.csv")
        .typed("tagfleet apply retag.csv --sandbox --yes -o nowhere/results.csv")
        .typed("tagfleet apply retag.csv --sandbox --yes --max-changes 1")
        .agreed("refused-outputs-and-limits");
}
