//! The manual, held against the program: `tagfleet help`, and what its topics must name.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use crate::machines::id;
use crate::rehearsal::{Rehearsal, repository};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};
use crate::table::{ADDED_COLUMNS, Table};

fn help(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tagfleet")).args(arguments).output().expect("the program")
}

pub(crate) fn stdout(arguments: &[&str]) -> String {
    String::from_utf8_lossy(&help(arguments).stdout).into_owned()
}

/// Every topic that there is, by name, as it lies in the repository.
pub(crate) fn topics() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(repository("src/help")).expect("the manual");
    let files =
        folder.map(|entry| entry.expect("a file").path()).filter(|path| path.extension() == Some("md".as_ref()));
    let mut topics: Vec<(String, String)> = files
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).expect("a topic"))
        })
        .collect();
    topics.sort();
    topics
}

fn topic(name: &str) -> String {
    std::fs::read_to_string(repository(&format!("src/help/{name}.md"))).expect("a topic")
}

/// The names of the commands, as the program lists them; those within another come after its name and a blank.
pub(crate) fn commands() -> Vec<String> {
    let outer = listed_by(&[]);
    let inner = |outer: &String| listed_by(&[outer]).into_iter().map(|inner| format!("{outer} {inner}")).collect();
    let inner: Vec<Vec<String>> = outer.iter().filter(|outer| *outer != "help").map(inner).collect();
    outer.into_iter().chain(inner.into_iter().flatten()).collect()
}

/// The names of the commands that the help of a command lists.
fn listed_by(command: &[&str]) -> Vec<String> {
    let shown = stdout(&[command, &["--help"]].concat());
    let Some((_, listed)) = shown.split_once("Commands:\n") else { return Vec::new() };
    // What is said of a command on further lines stands further right.
    let listed = listed.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    listed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// What is marked as code in a page, each piece for itself.
fn code(markdown: &str) -> BTreeSet<&str> {
    markdown.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_topic_is_listed_shown_as_it_is_written_and_linked_from_the_front_page() {
    let topics = topics();
    assert!(topics.len() > 10, "{topics:?}");
    let listed = stdout(&["help"]);
    let front = std::fs::read_to_string(repository("README.md")).expect("the README");
    let (_, topics_listed) = listed.rsplit_once("sign-in ").expect("the first topic");
    let in_help: Vec<String> = format!("sign-in {topics_listed}")
        .lines()
        .map_while(|line| line.trim_start().split_once(' '))
        .map(|(name, summary)| format!("| [{name}](src/help/{name}.md) | {} |", summary.trim()))
        .collect();
    let on_front: Vec<String> =
        front.lines().filter(|line| line.starts_with("| [")).map(|line| line.replace('`', "")).collect();
    assert_eq!(
        on_front, in_help,
        "the front page lists the topics with the words of 'tagfleet help', and in their order"
    );
    assert_eq!(in_help.len(), topics.len(), "{in_help:?}");
    for (name, text) in topics {
        // A page of the name of a command ends with the way to the command's options.
        assert!(stdout(&["help", &name]).starts_with(&text), "{name}");
        assert!(stdout(&["help", &name.to_uppercase()]).starts_with(&text), "{name}");
    }
}

#[test]
fn links_between_topics_lead_somewhere() {
    let topics = topics();
    for (name, text) in &topics {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target) {
            let is_known = topics.iter().any(|(other, _)| target == format!("{other}.md"));
            assert!(is_known || target.starts_with("https://"), "{name}: {target}");
        }
    }
}

#[test]
fn a_command_without_a_topic_shows_its_options_and_what_is_neither_names_the_nearest() {
    assert!(stdout(&["help", "apply"]).contains("--max-changes"));
    for (typed, meant) in
        [("aply", "'tagfleet help apply'"), ("quota", "'tagfleet help quotas'"), ("xyz", "lists topics")]
    {
        let output = help(&["help", typed]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{typed}: {said}");
        assert!(said.contains(meant) && said.contains(typed), "{typed}: {said}");
    }
}

#[test]
fn the_manual_and_the_front_page_have_none_of_the_words_that_messages_do_without() {
    const WORDS: [&str; 8] = ["whoever", "somebody", "nobody", "anybody", "everybody", "thing", "things", "please"];
    let mut pages = topics();
    pages.push(("README".to_owned(), std::fs::read_to_string(repository("README.md")).expect("the README")));
    for (name, text) in pages {
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            let mut words = line.split(|letter: char| !letter.is_alphanumeric());
            let found = words.find(|word| WORDS.contains(word));
            assert!(found.is_none() && !line.contains("so long"), "{name}, line {}: {line}", number + 1);
        }
    }
}

#[test]
fn every_option_stands_in_a_topic() {
    let manual: String = topics().into_iter().map(|(_, text)| text).collect();
    // What every program has, and what the help of the sandbox's server itself says best.
    let known: BTreeSet<&str> = ["--help", "--version", "--color"].into();
    let mut missing = BTreeSet::new();
    for command in commands().iter().filter(|command| *command != "sandbox" && *command != "help") {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let shown = stdout(&words);
        let lines = shown.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        for option in lines.flat_map(str::split_whitespace).filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches([',', '.', ']']);
            if !known.contains(option) && !manual.contains(option) {
                missing.insert(option.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "no topic names {missing:?}");
}

#[test]
fn the_topic_on_statuses_has_each_that_the_help_lists_and_so_has_the_front_page() {
    let shown = stdout(&["--help"]);
    let (_, listed) = shown.split_once("Exit status:\n").expect("a list of statuses");
    let front = std::fs::read_to_string(repository("README.md")).expect("the README");
    let statuses: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.trim().split_once(' ')).collect();
    assert!(statuses.len() > 8, "{statuses:?}");
    for (number, meaning) in statuses {
        // Each goes on in its own way after the same beginning.
        let meaning = meaning.trim().split([',', ':', ';']).next().unwrap_or_default();
        let row = format!("| {number} | {meaning}");
        for table in [topic("statuses"), front.clone()] {
            assert!(table.replace('`', "").contains(&row), "{row}");
        }
    }
}

/// What the topic on statuses tells to do about this one.
fn advice(status: i32) -> String {
    let topic = topic("statuses");
    let row = topic.lines().find(|line| line.starts_with(&format!("| {status} |"))).expect("a row");
    row.rsplit(" | ").next().unwrap_or_default().trim_end_matches(" |").to_owned()
}

#[test]
fn what_the_topic_on_statuses_tells_to_do_is_what_the_program_says() {
    let sandbox = Sandbox::holding(&[1]);
    let run = |options: &str, status: i32| {
        let rehearsal = Rehearsal::at(&sandbox).rows("#1,A,Add,\n#2,A,Add,").with("--json").with(options);
        rehearsal.run().exits(status).summary()
    };
    let next = |summary: &serde_json::Value| summary["next"].as_str().expect("a command").to_owned();
    let failed = run("", 1);
    assert!(advice(1).contains("feed `.failed.csv` back"));
    assert!(next(&failed).starts_with("tagfleet apply input.failed.csv"), "{failed}");
    let short = Rehearsal::at(&sandbox).rows("#1,A,Add,\n#2,A,Add,").quota("1/1h").with("--json --deadline 10m");
    let stopped = short.run().exits(5).summary();
    let resume = format!("tagfleet resume {}", stopped["run_id"].as_str().expect("a run"));
    assert!(advice(5).contains("`tagfleet resume RUN`") && next(&stopped).starts_with(&resume), "{stopped}");
    assert!(advice(3).contains("fix the file"));
    let refused = run("--max-changes 1", 3);
    assert_eq!((&refused["next"], refused["hint"].is_string()), (&serde_json::Value::Null, true), "{refused}");
    // A row that is unknown in the end keeps its run open.
    let shows_nothing = StandIn::answering(|request| match request.method.as_str() {
        "POST" => Reply::json(200, format!(r#"{{"id": "{}"}}"#, id(1))),
        _ => Reply::json(404, r#"{"error": {"code": "NotFound", "message": "no"}}"#),
    });
    let unknown = Rehearsal::at_stand_in(&shows_nothing).rows("#1,A,Add,").with("--json").run().exits(1).summary();
    assert_eq!(unknown["status"]["unknown"], 1, "{unknown}");
    assert!(advice(1).contains("`tagfleet resume RUN` where rows are `unknown`"));
    assert!(next(&unknown).starts_with("tagfleet resume "), "{unknown}");
}

#[test]
fn the_topic_on_results_has_each_column_that_is_added_and_each_status() {
    let folder = crate::rehearsal::Folder::new();
    folder.write("retag.csv", std::fs::read(repository("samples/bad-rows.csv")).expect("a sample"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagfleet"));
    command.args(["apply", "retag.csv", "--sandbox", "--yes", "--skip-invalid"]).current_dir(folder.path("."));
    command.env("TAGFLEET_STATE_DIR", folder.path("state"));
    assert!(command.output().expect("the program").status.code().is_some());
    let results = folder.read("retag.sandbox.results.csv").expect("results");
    let page = topic("results");
    let named = code(&page);
    for column in ADDED_COLUMNS {
        assert!(named.contains(column), "{column}");
    }
    for status in Table::read(&results, ',').column("status") {
        assert!(named.contains(status), "{status}");
    }
}

/// Whether a tool is there that a test needs; CI has all of them.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to know what was left out")]
pub(crate) fn has(tool: &str) -> bool {
    let is_there = Command::new(tool).arg("--version").output().is_ok();
    let may_skip = std::env::var_os("TAGFLEET_TESTS_SKIP_NOTHING").is_none();
    assert!(is_there || may_skip, "{tool} is not installed");
    if !is_there {
        eprintln!("skipped: {tool} is not installed");
    }
    is_there
}

#[test]
fn every_command_and_topic_has_a_manual_page_that_a_formatter_finds_nothing_wrong_with() {
    let folder = crate::rehearsal::Folder::new();
    let output = help(&["man", folder.path(".").to_str().expect("a path")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let mut of_topics: Vec<String> = topics().into_iter().map(|(name, _)| format!("tagfleet-{name}.7")).collect();
    let mut of_commands: Vec<String> =
        commands().into_iter().map(|name| format!("tagfleet-{}.1", name.replace(' ', "-"))).collect();
    of_commands.push("tagfleet.1".to_owned());
    of_topics.sort();
    of_commands.sort();
    assert_eq!(folder.names_in("man1"), of_commands);
    assert_eq!(folder.names_in("man7"), of_topics);
    assert_eq!(folder.read("man1/tagfleet.1").expect("a page"), help(&["man"]).stdout);
    if has("mandoc") {
        for (section, pages) in [("man1", of_commands), ("man7", of_topics)] {
            let mut lint = Command::new("mandoc");
            // Long lines are no fault in what a program writes.
            lint.args(["-Tlint", "-Wwarning"]).args(pages).current_dir(folder.path(section));
            let output = lint.output().expect("mandoc");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// What a shell offers after `tagfleet pl`.
fn offered(shell: &str, script: &str) -> String {
    let folder = crate::rehearsal::Folder::new();
    folder.write("script", stdout(&["completions", shell]));
    let mut command = Command::new(shell);
    command.args(["-c", script]).current_dir(folder.path(".")).env("HOME", folder.path("."));
    let output = command.output().expect("a shell");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[cfg(unix)]
#[test]
fn shells_complete_commands_and_options() {
    if has("bash") {
        let bash = |words: &str, last: &str| {
            let function = format!("_tagfleet tagfleet '{last}' ''; echo \"${{COMPREPLY[@]}}\"");
            let script =
                format!("source ./script; COMP_WORDS=(tagfleet {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))");
            offered("bash", &format!("{script}; {function}"))
        };
        assert_eq!(bash("pl", "pl"), "plan\n");
        assert_eq!(bash("apply --max-c", "--max-c"), "--max-changes\n");
        assert_eq!(bash("help quo", "quo"), "quotas\n");
        assert_eq!(bash("help app", "app"), "apply\n");
        // Processes of several profiles are told so by options that nobody types.
        assert_eq!(bash("apply --only-p", "--only-p") + &bash("--begun", "--begun"), "\n\n");
    }
    if has("fish") {
        assert_eq!(offered("fish", "source ./script"), "");
        let shown = offered("fish", "source ./script; complete -C 'tagfleet pl'; complete -C 'tagfleet apply --max-c'");
        assert!(shown.starts_with("plan\t") && shown.contains("\n--max-changes\t"), "{shown}");
    }
    if has("zsh") {
        assert_eq!(
            offered("zsh", "autoload -U compinit && compinit -u && source ./script && whence -w _tagfleet"),
            "_tagfleet: function\n"
        );
    }
}
