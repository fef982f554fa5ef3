//! Environments and limits that nobody thinks of: whatever the program is started with, it ends with one of its own
//! statuses and says why.
#![cfg(unix)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::process::{Ended, Program, at_once};
use crate::rehearsal::Folder;

const ROWS: &str = "machineId,tag,action,value\n1e5bc9d7e413ddd7902c2932e418702b84d0cc07,Tier 0,Add,\n";
const APPLY: [&str; 4] = ["apply", "a.csv", "--sandbox", "--yes"];

/// A folder with an input in it.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("a.csv", ROWS);
    folder
}

/// Runs the program as this shell command starts it; `$TAGFLEET` is the program.
pub(crate) fn by_shell(folder: &Folder, script: &str) -> Ended {
    let program = folder.command().get_program().to_owned();
    let mut shell = Command::new("/bin/bash");
    shell.env_clear().env("PATH", "/usr/bin:/bin").env("TAGFLEET", program).current_dir(folder.path("."));
    shell.env("HOME", folder.path(".")).env("TAGFLEET_STATE_DIR", folder.path("state")).args(["-c", script]);
    Program::start(shell, None, true).end()
}

#[track_caller]
fn ends_in_order(ended: &Ended, status: i32, case: &str) {
    assert_eq!(ended.status, Some(status), "{case}: {}", ended.messages);
    assert!(!ended.messages.contains("panicked"), "{case}: {}", ended.messages);
}

#[test]
fn variables_that_make_no_sense_change_nothing() {
    let table: [(&str, &[u8]); 19] = [
        ("TOKIO_WORKER_THREADS", b"x"),
        ("TOKIO_WORKER_THREADS", b"0"),
        ("RUST_MIN_STACK", b"1"),
        ("RUST_MIN_STACK", b"99999999999999"),
        ("RUST_LOG", b"trace"),
        ("COLUMNS", b"0"),
        ("TERM", b""),
        ("LANG", b"C"),
        ("TZ", b"Nonsense/Zone"),
        ("TZ", b":/etc/passwd"),
        ("TZ", b"\xff"),
        ("HOME", b""),
        ("HOME", b"\xff"),
        ("TMPDIR", b"/not/there"),
        ("SQLITE_TMPDIR", b"/not/there"),
        ("NO_COLOR", b"1"),
        ("CLICOLOR_FORCE", b"1"),
        ("HTTPS_PROXY", b"\xff"),
        ("XDG_STATE_HOME", b"relative"),
    ];
    at_once(table, |(name, value)| {
        let folder = folder();
        let mut command = folder.command();
        command.args(APPLY).env(name, OsStr::from_bytes(value));
        ends_in_order(&Program::start(command, None, true).end(), 0, name);
    });
}

#[test]
fn a_state_directory_is_never_read_as_an_address() {
    let folder = folder();
    let script = "$TAGFLEET apply a.csv --sandbox --yes --state-dir $PWD/real -q
        $TAGFLEET apply a.csv --sandbox --yes --state-dir file:$PWD/real -q
        for state in $PWD/real file:$PWD/real; do $TAGFLEET runs --sandbox --state-dir $state || exit; done";
    let ended = by_shell(&folder, script);
    ends_in_order(&ended, 0, script);
    let said = String::from_utf8_lossy(&ended.output).into_owned();
    // Each has its own run.
    assert_eq!(said.matches("finished").count(), 2, "{said} {}", ended.messages);
    for address in ["file:///tmp/real", "postgresql://u@127.0.0.1/d"] {
        let script = format!("exec $TAGFLEET runs --state-dir {address}");
        let ended = by_shell(&folder, &script);
        ends_in_order(&ended, 2, &script);
        assert!(ended.messages.contains("the state directory is an address"), "{}", ended.messages);
    }
}

#[test]
fn words_that_are_no_text_are_refused() {
    let table: [&[&[u8]]; 5] = [
        &[b"\xff"],
        &[b"--\xff"],
        &[b"apply", b"--json", b"--\xff"],
        &[b"runs", b"\xff"],
        &[b"apply", b"a.csv", b"--sandbox", b"--note", b"\xff"],
    ];
    at_once(table, |words| {
        let folder = folder();
        let mut command = folder.command();
        command.args(words.iter().map(|word| OsStr::from_bytes(word)));
        let ended = Program::start(command, None, true).end();
        ends_in_order(&ended, 2, &format!("{words:?}"));
        assert!(ended.messages.contains("error: "), "{}", ended.messages);
    });
}

#[test]
fn limits_end_the_program_in_order_or_not_at_all() {
    let table = [
        // The stack of the first thread is not the one that is used.
        ("ulimit -s 256; exec $TAGFLEET apply a.csv --sandbox --yes", 0, ""),
        ("ulimit -n 8; exec $TAGFLEET apply a.csv --sandbox --yes", 2, "needs 12 to begin"),
        ("ulimit -f 8; exec $TAGFLEET apply a.csv --sandbox --yes", 2, "needs at least 32 MiB for its state"),
        // Closed streams are not the first files that are opened.
        ("exec $TAGFLEET apply a.csv --sandbox --yes <&- >&- 2>&-", 0, ""),
        ("mkdir gone; cd gone; rmdir ../gone; exec $TAGFLEET apply ../a.csv --sandbox --yes -o r.csv", 7, "r.csv"),
    ];
    at_once(table, |(script, status, said)| {
        let folder = folder();
        let ended = by_shell(&folder, script);
        ends_in_order(&ended, status, script);
        assert!(ended.messages.contains(said), "{script}: {}", ended.messages);
        if status == 0 {
            let runs = by_shell(&folder, "exec $TAGFLEET runs --sandbox");
            assert!(String::from_utf8_lossy(&runs.output).contains("finished"), "{script}: {}", runs.messages);
        }
    });
}

/// A command over a directory of time zones, `$z`, that is made so. Folders of tests may be where no files are expected.
fn in_time_zones(made: &str, command: &str) -> String {
    format!("z=$(mktemp -d -p /tmp); {made}; env TZDIR=$z {command}; status=$?; rm -r $z; exit $status")
}

#[test]
fn pipes_that_nobody_serves_are_refused_or_end_with_the_deadline() {
    let table = [
        ("mkfifo r.csv; exec $TAGFLEET apply a.csv --sandbox --yes -o r.csv", 7, "no process reads this pipe"),
        ("mkfifo log; exec $TAGFLEET apply a.csv --sandbox --yes -vv --log-file log", 2, "--log-file needs a file"),
        ("mkfifo i.csv; exec $TAGFLEET apply i.csv --sandbox --yes --deadline 1s", 5, "stopped at its deadline"),
        ("mkdir -m 700 state; mkfifo state/tagfleet.sqlite3; exec $TAGFLEET runs", 7, "it is no ordinary file"),
        (
            "mkdir -m 700 -p state/processes; mkfifo state/processes/0123456789abcdef.lock; exec $TAGFLEET runs",
            7,
            "it is no ordinary file",
        ),
        ("mkfifo w; exec $TAGFLEET apply a.csv --sandbox --yes --where-file w", 2, "w"),
        (
            &in_time_zones("mkfifo $z/f", "TZ=f $TAGFLEET apply a.csv --sandbox --yes"),
            2,
            "/f, which is no ordinary file",
        ),
        (
            &in_time_zones("mkdir $z/y; mkfifo $z/y/f", "TZ=Not/There $TAGFLEET runs"),
            2,
            "/y/f, which is no ordinary file",
        ),
        // A link that leads back is not followed for ever, and refuses nothing.
        (
            &in_time_zones("touch $z/{1..300}; ln -s . $z/posix", "TZ=Not/There $TAGFLEET apply a.csv --sandbox --yes"),
            0,
            "",
        ),
        ("exec env TZDIR=/dev TZ=zero $TAGFLEET runs", 2, "TZDIR names /dev, which holds no ordinary files"),
        // Somebody has it open, and writes nothing.
        (
            "mkfifo w; exec 3<>w; exec $TAGFLEET apply a.csv --sandbox --yes --where-file w --deadline 1s",
            5,
            "stopped at its deadline",
        ),
        (
            "mkfifo w; exec 3<>w; TAGFLEET_TOKEN=x exec $TAGFLEET tags remove A --yes --where-file w --deadline 1s \
             --base-url http://127.0.0.1:9",
            5,
            "stopped at its deadline",
        ),
        ("mkdir -m 700 -p state/tagfleet.sqlite3; exec $TAGFLEET runs", 7, "it is no ordinary file"),
        ("mkfifo t; exec $TAGFLEET apply a.csv --yes --token-file t --base-url http://127.0.0.1:9", 2, "t"),
        ("mkfifo t; TAGFLEET_TOKEN=x exec $TAGFLEET plan a.csv --ca-file t --base-url http://127.0.0.1:9", 2, "t"),
        (
            "mkfifo m.csv; TAGFLEET_TOKEN=x exec $TAGFLEET inventory -o m.csv --base-url http://127.0.0.1:9",
            7,
            "no process reads",
        ),
    ];
    at_once(table, |(script, status, said)| {
        let ended = by_shell(&folder(), script);
        ends_in_order(&ended, status, script);
        assert!(ended.messages.contains(said), "{script}: {}", ended.messages);
    });
}

#[test]
fn lines_of_a_log_that_find_no_room_are_counted() {
    let script = "exec $TAGFLEET apply a.csv --sandbox --yes -vv --log-file /dev/full";
    let ended = by_shell(&folder(), script);
    ends_in_order(&ended, 0, script);
    assert!(ended.messages.contains("lines could not be written to the file of the log"), "{}", ended.messages);
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_on_a_stream_stands_whole_beside_what_else_goes_there_and_makes_no_file_among_the_streams() {
    for (name, into) in [("/dev/stdout", ">all"), ("/dev/stderr", ">all 2>&1"), ("out", "2>&1 >all")] {
        let folder = folder();
        let script = format!(
            "ln -s /dev/stdout out; $TAGFLEET apply a.csv --sandbox --yes -vv --log-file {name} {into}; cat all"
        );
        let ended = by_shell(&folder, &script);
        ends_in_order(&ended, 0, &script);
        let all = String::from_utf8_lossy(&ended.output).into_owned();
        let first = all.split_whitespace().next().unwrap_or_default();
        assert!(first.parse::<jiff::Timestamp>().is_ok(), "{script}: {all}");
        for said in ["run is over", "is finished: 1 row"] {
            assert!(all.contains(said), "{script}: {all}");
        }
    }
    let script = "exec $TAGFLEET apply a.csv --sandbox --yes --log-file /dev/nowhere-to-be-seen";
    let ended = by_shell(&folder(), script);
    ends_in_order(&ended, 2, script);
    assert!(ended.messages.contains("no file can be put in the place of"), "{}", ended.messages);
}

#[test]
fn a_pipe_that_somebody_reads_takes_the_results() {
    let script =
        "mkfifo r.csv; cat r.csv >read.csv & $TAGFLEET apply a.csv --sandbox --yes -o r.csv; wait; cat read.csv";
    let ended = by_shell(&folder(), script);
    ends_in_order(&ended, 0, script);
    let read = String::from_utf8_lossy(&ended.output).into_owned();
    assert!(read.contains("Tier 0,Add,,1,succeeded,200"), "{read}");
}

#[test]
fn a_reader_of_results_who_reads_nothing_does_not_outlast_the_deadline() {
    let folder = Folder::new();
    let row = |number: u32| format!("{number:040x},{},Add,\n", "x".repeat(150));
    folder.write("a.csv", format!("machineId,tag,action,value\n{}", (0..2000).map(row).collect::<String>()));
    let script = "mkfifo r.csv; sleep 100 <r.csv & reader=$!
        $TAGFLEET apply a.csv --sandbox --yes --quota off --deadline 3s -o r.csv; status=$?; kill $reader; exit $status";
    let ended = by_shell(&folder, script);
    ends_in_order(&ended, 7, script);
}

#[test]
fn a_file_that_never_ends_is_not_read() {
    let folder = folder();
    for (variables, named) in [
        ("SSL_CERT_FILE=/dev/zero", "SSL_CERT_FILE names /dev/zero"),
        ("SSL_CERT_DIR=/nowhere:/proc", "SSL_CERT_DIR names /proc"),
        ("TZ=:/dev/zero", "TZ names /dev/zero"),
        ("TZ=/dev/zero", "TZ names /dev/zero"),
    ] {
        let ended = by_shell(&folder, &format!("{variables} exec \"$TAGFLEET\" apply a.csv --sandbox --yes"));
        ends_in_order(&ended, 2, variables);
        assert!(ended.messages.contains(named), "{variables}: {}", ended.messages);
    }
    ends_in_order(
        &by_shell(&folder, "TZ=:/nowhere SSL_CERT_DIR=/nowhere exec \"$TAGFLEET\" runs"),
        0,
        "what is not there",
    );
}

#[test]
fn a_path_with_a_line_break_cannot_pass_for_a_line_of_the_programs() {
    let ended = by_shell(&folder(), "exec \"$TAGFLEET\" sandbox --machines-file $'x\\nFORGED level=ERROR'");
    ends_in_order(&ended, 2, "a path in two lines");
    assert!(ended.messages.contains("FORGED") && !ended.messages.contains("\nFORGED"), "{}", ended.messages);
}
