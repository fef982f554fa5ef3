//! Where the program writes: never into what it reads, what it keeps, or what another of its outputs is; and nothing is
//! left of files that were never finished.

use crate::machines::rows_adding;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;

/// All that is in a folder and its state directory, with its bytes.
fn everything(folder: &Folder) -> Vec<(String, Option<Vec<u8>>)> {
    let state = folder.names_in("state").into_iter().map(|name| format!("state/{name}"));
    let names = folder.names().into_iter().chain(state);
    names.map(|name| (name.clone(), folder.read(&name))).collect()
}

#[cfg(unix)]
#[test]
fn no_output_is_written_into_a_file_that_has_another_purpose() {
    let sandbox = Sandbox::start("");
    let folder = Rehearsal::at(&sandbox).rows("#1,A,Add,").run().exits(0).folder().clone();
    folder.write_private("token", "ready-made\n");
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(folder.path(target), folder.path(name)).expect("our own directory");
    };
    link("state/tagfleet.sqlite3", "linked.csv");
    link("input.csv", "linked input.csv");
    std::fs::hard_link(folder.path("state/tagfleet.sqlite3"), folder.path("hard.csv")).expect("our own directory");
    let lock = format!("state/processes/{}", folder.names_in("state/processes")[0]);
    let before = everything(&folder);
    let table = [
        ("-o state/tagfleet.sqlite3", "the results must not be written into a file of the state"),
        ("-o ./state/../state/tagfleet.sqlite3-wal", "the results must not be written into a file of the state"),
        ("-o linked.csv", "the results must not be written into a file of the state"),
        ("-o hard.csv", "the results must not be written into a file of the state"),
        (&format!("-o {lock}"), "the results must not be written into a file of the state"),
        ("--log-file state/tagfleet.sqlite3", "the log must not be written into a file of the state"),
        (&format!("--log-file {lock}"), "the log must not be written into a file of the state"),
        ("-o input.csv", "the results must not be written into the input input.csv"),
        ("--log-file linked input.csv", "the log must not be written into the input"),
        ("-o new.csv --log-file new.csv", "the log must not be written into the results new.csv"),
        ("-o new.csv --log-file ./new.failed.csv", "the log must not be written into the results ./new.failed.csv"),
        ("--log-file input.failed.csv", "the log must not be written into the results input.failed.csv"),
        ("--token-file token -o token", "the results must not be written into a file to sign in with token"),
        ("--token-file token --log-file token", "the log must not be written into a file to sign in with token"),
    ];
    for (options, words) in table {
        let mut command = folder.command();
        command.args(["apply", "input.csv", "--yes", "--quota", "off"]).envs(sandbox.variables().iter().cloned());
        let (name, path) = options.rsplit_once(' ').expect("an option with a path");
        if options.starts_with("--log-file linked") {
            command.args(["--log-file", "linked input.csv"]);
        } else {
            command.args(name.split(' ')).arg(path);
        }
        let ended = crate::process::Program::start(command, None, true).end();
        assert_eq!(ended.status, Some(2), "{options}: {}", ended.messages);
        assert!(ended.messages.contains(words), "{options}: {}", ended.messages);
        assert_eq!(everything(&folder), before, "{options}");
    }
    assert_eq!(sandbox.end().of("tags"), 1);
}

#[test]
fn every_command_that_writes_keeps_off_the_state() {
    let sandbox = Sandbox::holding(&[1]);
    let outcome = Rehearsal::at(&sandbox).planned().rows("#1,A,Add,").run().exits(0);
    let run_id = outcome.results().rows[0]["run_id"].to_owned();
    let folder = outcome.folder();
    let before = everything(folder);
    for line in ["inventory", "verify input.csv", "results RUN", "undo RUN --yes", "resume RUN --yes"] {
        let mut command = folder.command();
        command.args(line.replace("RUN", &run_id).split(' ')).args(["-o", "state/tagfleet.sqlite3"]);
        command.envs(sandbox.variables().iter().cloned());
        let ended = crate::process::Program::start(command, None, true).end();
        assert_eq!(ended.status, Some(2), "{line}: {}", ended.messages);
        assert!(ended.messages.contains("must not be written into a file of the state"), "{line}: {}", ended.messages);
        assert_eq!(everything(folder)[..2], before[..2], "{line}");
    }
}

#[test]
fn a_log_goes_on_where_a_log_ended_and_into_nothing_else() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    let run = |options: &str| Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,").with(options).run();
    for options in ["-v --log-file run.log", "-vv --log-file run.log --log-format json", "-v --log-file run.log"] {
        let length = folder.read("run.log").map_or(0, |log| log.len());
        run(options).exits(0);
        assert!(folder.read("run.log").map_or(0, |log| log.len()) > length, "{options}");
    }
    // The results of an earlier run, and the work of somebody else.
    let results = folder.read("input.results.csv");
    folder.write("notes.txt", "my notes\n");
    for name in ["other.results.csv", "notes.txt"] {
        if name.starts_with("other") {
            folder.write(name, results.clone().expect("results"));
        }
        let kept = folder.read(name);
        let words = [&format!("{name} already exists, and is not a log that tagfleet wrote"), "hint: move it away"];
        run(&format!("-v --log-file {name}")).exits(2).says(&[words[0], words[1]]);
        assert_eq!(folder.read(name), kept, "{name}");
    }
    run("-v --log-file input.results.csv").exits(2).says(&["must not be written into the results"]);
    assert_eq!(folder.read("input.results.csv"), results);
}

#[cfg(target_os = "linux")]
#[test]
fn beside_a_pipe_nothing_is_written_and_nothing_of_it_is_to_be_fed_back() {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;

    // A pipe of our own: to try this on a device of the system would cost the system that device if it went wrong.
    let folder = Folder::new();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, folder.path("pipe"), rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a flag");
    let mut pipe = std::fs::File::options().read(true).write(true).custom_flags(flags).open(folder.path("pipe"));
    let pipe = pipe.as_mut().expect("our own pipe");
    let run = |options: &str| {
        let rehearsal =
            Rehearsal::new().in_folder(&folder).rows("#1,A,Add,\n#2,,Add,\n").with("--skip-invalid -o pipe");
        rehearsal.with(options).run().exits(1)
    };
    let text = run("").output();
    assert!(text.contains("Results: pipe\n") && !text.contains("Next:") && !text.contains("not done:"), "{text}");
    assert_eq!(folder.names(), ["input.csv", "pipe", "state"]);
    let mut results = [0; 4096];
    let length = pipe.read(&mut results).expect("results");
    assert_eq!(results[..length].iter().filter(|byte| **byte == b'\n').count(), 3);
    let summary = run("--json").summary();
    assert_eq!((&summary["results"], &summary["failed"], &summary["next"]), (&"pipe".into(), &().into(), &().into()));
}

#[test]
fn rows_to_feed_back_whose_results_are_gone_are_kept_under_the_name_of_their_run() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    let run = || Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,\n#2,A,Add,").run().exits(1);
    let first = run();
    let (run_id, failed) = (first.results().rows[0]["run_id"].to_owned(), first.failed().expect("rows to feed back"));
    std::fs::rename(folder.path("input.results.csv"), folder.path("archive.csv")).expect("our own directory");
    let second = run();
    let kept = format!("input.failed.{run_id}.csv");
    assert_eq!(folder.read(&kept), Some(failed.into_bytes()));
    assert!(second.output().contains(&format!("Kept: {kept} ")), "{}", second.output());
    assert!(second.failed().is_some());
}

#[cfg(unix)]
#[test]
fn what_a_killed_process_left_half_written_is_swept_by_the_next() {
    let folder = Folder::new();
    folder.write(".tagfleet-abcdef.csv", "machineId,row\n");
    folder.write(".tagfleet-mine", "mine");
    let outcome = Rehearsal::new().in_folder(&folder).rows(&rows_adding("A", 3)).run().exits(0);
    assert_eq!(outcome.folder().names(), [".tagfleet-mine", "input.csv", "input.results.csv", "state"]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_named() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("a device");
    for options in ["", "--json"] {
        let prepared = Rehearsal::new().only_plan().rows("#1,A,Add,").with("--no-inventory").with(options).prepare();
        let mut command = prepared.command;
        let output = command.stdout(full()).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert!(
            said.contains("error: cannot write to standard output\n  caused by: No space left on device"),
            "{said}"
        );
        assert!(said.contains("hint: make room"), "{said}");
    }
    let outcome = Rehearsal::new().rows("#1,A,Add,").with("-o nowhere/x.csv").run().exits(7);
    outcome.says(&["caused by: the folder nowhere does not exist", "hint: create the folder, or name another file"]);
    // What is said of a run whose results cannot be written comes from the books.
    let sandbox = Sandbox::holding(&[1]);
    let outcome = Rehearsal::at(&sandbox).planned().rows("#1,A,Remove,").with("-o -").prepare();
    let mut command = outcome.command;
    let output = command.stdout(full()).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Its operations: 1 unchanged."), "{said}");
}
