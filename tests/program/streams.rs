//! Standard input and output in the place of files, and output that nobody reads.

use crate::process::at_once;
#[cfg(target_os = "linux")]
use crate::rehearsal::Prepared;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::table::Table;

#[test]
fn the_input_may_come_on_standard_input() {
    let outcome =
        Rehearsal::new().on_standard_input().rows("#1,Tier 0,Add,\n#2,,,Low").with("-o out.csv").run().exits(0);
    assert_eq!(outcome.folder().names(), ["out.csv", "state"]);
    let results = Table::read(&outcome.folder().read("out.csv").expect("results"), ',');
    assert_eq!(results.column("status"), ["succeeded"; 2]);
    assert_eq!(outcome.sandbox().machine(2).value, "Low");
}

#[test]
fn the_results_may_go_to_standard_output() {
    let outcome = Rehearsal::new().rows("#1,Tier 0,Add,\n#2,,,Low").with("-o -").run().exits(0);
    assert_eq!(outcome.folder().names(), ["input.csv", "state"]);
    let results = Table::read(outcome.output_bytes(), ',');
    assert_eq!(results.column("status"), ["succeeded"; 2], "results and nothing else");
    outcome.says(&["is finished: 2 rows."]);
}

#[test]
fn rows_flow_on_standard_input_to_standard_output() {
    let outcome = Rehearsal::new().on_standard_input().rows("#1,Tier 0,Add,").with("-o - -q").run().exits(0);
    assert_eq!(Table::read(outcome.output_bytes(), ',').column("status"), ["succeeded"]);
    assert_eq!((outcome.messages(), outcome.folder().names()), ("", vec!["state".to_owned()]));
}

#[test]
fn what_standard_input_and_output_cannot_do_together_is_a_usage_error() {
    let sandbox = Sandbox::start("");
    let table = [
        (Rehearsal::at(&sandbox).on_standard_input(), "the results have no default name"),
        (Rehearsal::at(&sandbox).with("-o - --json"), "results and --json cannot both go to standard output"),
        (
            Rehearsal::at(&sandbox).on_standard_input().with("-o out.csv").unconfirmed(),
            "cannot ask for confirmation: stdin or stderr is not a terminal",
        ),
    ];
    for (rehearsal, message) in table {
        let outcome = rehearsal.rows("#1,Tier 0,Add,").run().exits(2).says(&[message, "hint: "]);
        assert!(!outcome.wrote_anything(), "{message}");
        // Where both were asked for, there is the object that says why there is nothing else.
        assert!(outcome.output().is_empty() || outcome.summary()["ended"] == "usage", "{message}");
    }
    sandbox.end().are_all_nought();
}

#[test]
fn errors_on_standard_input_name_it() {
    let outcome = Rehearsal::new().on_standard_input().rows("#1,,Add,").with("-o out.csv").run().exits(3);
    outcome.says(&["error: standard input: row 1, line 2, column \"tag\"", "standard input has 1 row of 1 in error"]);
}

#[test]
fn an_output_that_nobody_reads_ends_nothing() {
    let sandbox = Sandbox::start("");
    at_once(["", "--json", "-o out.csv", "-v"], |options| {
        let folder = Folder::new();
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,Tier 0,Add,").with(options);
        rehearsal.with_closed_output().run().exits(0);
        let results = if options.contains("-o") { "out.csv" } else { "input.results.csv" };
        assert!(folder.read(results).is_some(), "{options}: {:?}", folder.names());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_takes_nothing_ends_nothing() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("a device");
    at_once([("", 0), ("-q", 0), ("-vv", 0), ("--log-format json -v", 0), ("--json", 7)], |(options, status)| {
        let rehearsal = Rehearsal::new().rows("#1,Tier 0,Add,\n#2,Tier 0,Add,").with(options);
        let Prepared { mut command, folder, sandbox, .. } = rehearsal.prepare();
        let ended = command.stdout(full()).stderr(full()).status().expect("the program starts");
        // An object that a script waits for is missed, so it is said that it could not be written.
        assert_eq!(ended.code(), Some(status), "{options}");
        let results = Table::read(&folder.read("input.results.csv").expect("results"), ',');
        assert_eq!(results.column("status"), ["succeeded"; 2], "{options}");
        assert_eq!(sandbox.expect("a sandbox of its own").machines().len(), 2);
    });
}

#[test]
fn results_that_nobody_reads_are_a_failure_and_can_be_written_again() {
    // More than fits into a pipe, so that the reader's absence is noticed while results are being written.
    let rows = crate::machines::rows_adding("Tier 0", 20).repeat(60);
    let outcome = Rehearsal::new().rows(&rows).with("-o -").with_closed_output().run().exits(7);
    let outcome = outcome.says(&[
        "error: cannot write the results to standard output",
        "write its results again with: tagfleet results",
    ]);
    let (_, run) = outcome.messages().rsplit_once("tagfleet results ").expect("the command");
    let again = outcome.folder().run(&["results", run.trim(), "-o", "-"]);
    assert_eq!(again.status, Some(0), "{}", again.messages);
    let statuses = Table::read(&again.output, ',');
    assert_eq!(statuses.column("status"), vec!["succeeded"; 1200]);
}

#[cfg(unix)]
#[test]
fn a_standard_output_that_was_closed_takes_nothing() {
    let server = crate::tenant::Tenant::of([crate::tenant::machine(1)]).serve();
    let folder = Folder::new();
    folder.write("in.csv", format!("machineId,tag,action\n{},A,Add\n", crate::machines::id(1)));
    let table = [
        ("inventory", 7),
        ("plan in.csv --json", 7),
        ("plan in.csv", 7),
        ("apply in.csv --yes --json", 7),
        ("apply in.csv --yes -o -", 7),
        ("apply in.csv --yes", 0),
        ("runs --json", 7),
        ("help", 7),
    ];
    for (arguments, status) in table {
        let program = folder.command();
        let mut shell = std::process::Command::new("/bin/sh");
        let script = format!("exec \"$0\" {arguments} >&-");
        shell.env_clear().current_dir(folder.path(".")).envs(server.variables());
        shell.envs(program.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        shell.args(["-c", &script]).arg(program.get_program());
        let before = server.requests().len();
        let ended = crate::process::Program::start(shell, None, true).end();
        assert_eq!(ended.status, Some(status), "{arguments}: {}", ended.messages);
        // Rows that are to go there are asked for by nobody who could be given them; an object that nobody reads stops nothing.
        let is_refused = arguments == "inventory" || arguments.contains("-o -");
        assert!(!is_refused || server.requests().len() == before, "{arguments}");
        let is_done = arguments.contains("--yes") && !is_refused;
        assert_eq!(folder.read("in.results.csv").is_some(), is_done, "{arguments}");
        let _removed = std::fs::remove_file(folder.path("in.results.csv"));
        assert!(!ended.messages.contains("written to"), "{arguments}: {}", ended.messages);
    }
}
