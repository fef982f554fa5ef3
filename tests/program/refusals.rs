//! What is found before the first call, and ends the program before it.

use crate::machines::rows_adding;
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::sandbox_server::Sandbox;

/// Ends with this status and these words, without a run.
fn refused(rehearsal: Rehearsal, status: i32, words: &[&str]) -> Outcome {
    let outcome = rehearsal.rows(&rows_adding("Tier 0", 3)).run().exits(status).says(words);
    assert!(!outcome.wrote_anything(), "{:?}", outcome.folder().names());
    outcome
}

#[test]
fn without_a_terminal_nothing_is_sent_that_nobody_confirmed() {
    let sandbox = Sandbox::start("");
    let words = ["error: cannot ask for confirmation: stdin or stderr is not a terminal", "hint: add --yes"];
    refused(Rehearsal::at(&sandbox).unconfirmed(), 2, &words);
    sandbox.end().are_all_nought();
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let sandbox = Sandbox::start("");
    let table = [
        ("--quota-share 0", "--quota-share"),
        ("--concurrency 0", "--concurrency"),
        ("--max-errors 101%", "is neither a number such as 20 nor a share such as 5%"),
        ("--deadline soon", "is neither a duration such as 90m or 8h nor a time of day such as 06:00"),
        ("--deadline 24:00", "is neither a duration such as 90m or 8h nor a time of day such as 06:00"),
        ("--sandbox --base-url http://127.0.0.1:1", "cannot be used with"),
        ("--sandbox --cloud us", "cannot be used with"),
        ("-q -v", "cannot be used with"),
        ("--client-secret hunter2", "unexpected argument"),
        ("--insecure", "unexpected argument"),
    ];
    for (options, words) in table {
        refused(Rehearsal::at(&sandbox).with(options), 2, &[words]);
    }
    for quota in ["100", "0/1m", "100/0s", "100/25h"] {
        refused(Rehearsal::at(&sandbox).quota(quota), 2, &["--quota"]);
    }
    sandbox.end().are_all_nought();
}

#[test]
fn calls_go_only_where_they_may() {
    let table = [
        ("http://api.security.microsoft.com", "is not https", "only a server on loopback may be called by http"),
        ("https://example.com", "is not a Microsoft API host", "if another host is meant, add --allow-host"),
        ("https://me:hunter2@api.security.microsoft.com", "holds a user name or password", "leave it out"),
        ("api.security.microsoft.com", "is not a URL", "give it in full"),
    ];
    for (url, problem, hint) in table {
        for by_option in [false, true] {
            let rehearsal = Rehearsal::at_nobody().variable("TAGFLEET_TOKEN", "ready-made");
            let rehearsal = if by_option {
                rehearsal.with("--base-url").with(url)
            } else {
                rehearsal.variable("TAGFLEET_BASE_URL", url)
            };
            let outcome = refused(rehearsal, 2, &[problem, hint]);
            assert!(!outcome.messages().contains("hunter2"), "{}", outcome.messages());
        }
    }
}

#[test]
fn results_that_cannot_be_written_are_found_before_the_first_call() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    std::fs::create_dir(folder.path("directory")).expect("our own directory");
    let table = [
        ("missing/out.csv", 7, "error: cannot write the results to missing/out.csv"),
        ("directory", 7, "error: cannot write the results to directory"),
        ("input.csv", 2, "error: the results must not be written into the input input.csv"),
        ("input.csv/out.csv", 7, "error: cannot write the results to input.csv/out.csv"),
    ];
    for (output, status, words) in table {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).with("-o").with(output);
        refused(rehearsal, status, &[words]);
        assert_eq!(folder.names(), ["directory", "input.csv"], "{output}");
    }
    sandbox.end().are_all_nought();
}

#[cfg(unix)]
#[test]
fn a_state_directory_that_others_can_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = Sandbox::start("");
    for mode in [0o777, 0o770, 0o702] {
        let folder = Folder::new();
        let state = folder.path("state");
        std::fs::create_dir(&state).expect("our own directory");
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(mode)).expect("our own directory");
        let words = ["error: others can write to the state directory", "hint: take their permission away (chmod go-w"];
        refused(Rehearsal::at(&sandbox).in_folder(&folder), 7, &words);
        assert_eq!(std::fs::read_dir(state).expect("our own directory").count(), 0, "{mode:o}");
    }
    sandbox.end().are_all_nought();
}

#[cfg(unix)]
#[test]
fn the_state_is_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt;

    let outcome = Rehearsal::new().rows("#1,Tier 0,Add,").run().exits(0);
    let mode = |path: &std::path::Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    let state = outcome.folder().path("state");
    assert_eq!(mode(&state), 0o700);
    let files: Vec<_> = std::fs::read_dir(&state).expect("our own directory").collect();
    assert!(!files.is_empty());
    for file in files {
        let path = file.expect("an entry").path();
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    assert_eq!(mode(&outcome.folder().path("input.results.csv")), 0o600);
}

#[test]
fn a_state_directory_that_is_none_is_refused() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    folder.write("state", "a file");
    refused(Rehearsal::at(&sandbox).in_folder(&folder), 7, &["state", "--state-dir"]);
    sandbox.end().are_all_nought();
}

#[test]
fn a_database_that_is_none_is_refused_and_left_alone() {
    let sandbox = Sandbox::start("");
    let folder = Rehearsal::at(&sandbox).rows("#1,Tier 0,Add,").run().exits(0).folder().clone();
    let foreign = "no database, but a text that is long enough to be one's beginning";
    // The log beside it would mend what is broken here.
    for name in folder.names_in("state").iter().filter(|name| name.ends_with("-wal")) {
        std::fs::remove_file(folder.path("state").join(name)).expect("our own file");
    }
    folder.write("state/tagfleet.sqlite3", foreign);
    let outcome = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,Tier 0,Add,").run().exits(7);
    outcome.says(&["tagfleet.sqlite3 is damaged", "hint: it was left as it is: move it away"]);
    assert_eq!(folder.read("state/tagfleet.sqlite3"), Some(foreign.into()));
    assert_eq!(sandbox.end().of("tags"), 1);
}
