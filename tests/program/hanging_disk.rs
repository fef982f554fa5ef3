//! A disk that does not answer: it neither fails nor comes back, as one of a network that is gone, or one that is frozen.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::machines::{id, rows_adding};
use crate::preload::preloaded;
use crate::process::{Program, at_once, wait_until};
use crate::rehearsal::{Folder, Rehearsal, Running};
use crate::tenant::{Tenant, machine};

const ROWS: u32 = 60;
/// Far less than a disk is waited for where nobody wants anything, and far more than anything takes that nobody waits for.
const SOON: Duration = Duration::from_secs(45);

/// Synchronisation that hangs for as long as a file is there, of files whose names hold a word.
const HANGING_SYNC: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static void hang(int file) {
    const char *sign = getenv("HANGING_SYNC"), *word = getenv("HANGING_FILES");
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (!sign || !word || length < 0) return;
    name[length] = 0;
    while (strstr(name, word) && !access(sign, F_OK)) usleep(10000);
}
int fsync(int file) { hang(file); return (int)syscall(SYS_fsync, file); }
int fdatasync(int file) { hang(file); return (int)syscall(SYS_fdatasync, file); }
"#;

/// A run in its middle, the disk of whose files of such names does not answer from now on.
fn hanging_in_the_middle(folder: &Folder, files: &str, options: &str) -> Option<Running> {
    let library = preloaded(folder, HANGING_SYNC)?;
    let sign = folder.path("sign").display().to_string();
    let rehearsal = Rehearsal::new().sandbox("--latency 20ms").rows(&rows_adding("A", ROWS));
    let rehearsal = rehearsal.with("--concurrency 1 -v --json").with(options);
    let rehearsal = rehearsal.variable("LD_PRELOAD", &library).variable("HANGING_SYNC", &sign);
    let running = rehearsal.variable("HANGING_FILES", files).start();
    running.program().waits_until_it_says("calls begin");
    wait_until(|| running.sandbox().machines().len() > 8);
    folder.write("sign", "");
    Some(running)
}

#[test]
fn whoever_wants_a_run_to_end_does_not_wait_for_the_disk_of_its_state() {
    at_once([(1, ""), (2, ""), (0, "--max-outage 3s")], |(interrupts, options)| {
        let folder = Folder::new();
        let Some(running) = hanging_in_the_middle(&folder, "tagfleet.sqlite3", options) else { return };
        running.program().waits_until_it_says("the state's database has not answered since ");
        let since = Instant::now();
        for _ in 0..interrupts {
            running.program().signal(Signal::INT);
            // The system makes one of two that come at once.
            std::thread::sleep(Duration::from_millis(200));
        }
        let outcome = running.end().exits(7).says(&["cannot be read or written: its disk does not answer", "hint: "]);
        assert!(since.elapsed() < SOON, "{interrupts} {options} {:?}: {}", since.elapsed(), outcome.messages());
        let (results, tagged) = (outcome.results(), outcome.sandbox().machines());
        assert_eq!(results.rows.len(), ROWS as usize);
        let succeeded = results.rows.iter().filter(|row| &row["status"] == "succeeded");
        assert!(succeeded.map(|row| &row["machineId"]).all(|machine| tagged.contains_key(machine)));
        assert_eq!(outcome.count("unknown") + outcome.count("succeeded"), tagged.len(), "each was sent once or never");
    });
}

#[test]
fn a_disk_that_comes_back_is_gone_on_with_and_nothing_is_sent_meanwhile() {
    let folder = Folder::new();
    let Some(running) = hanging_in_the_middle(&folder, "tagfleet.sqlite3", "") else { return };
    running.program().waits_until_it_says("the state's database has not answered since ");
    let sent = running.sandbox().machines().len();
    assert!(sent < ROWS as usize, "it waits");
    std::fs::remove_file(folder.path("sign")).expect("our own file");
    let outcome = running.end().exits(0);
    assert_eq!(outcome.count("succeeded"), ROWS as usize);
}

#[test]
fn whoever_insists_does_not_wait_for_the_disk_of_the_results() {
    let folder = Folder::new();
    let Some(running) = hanging_in_the_middle(&folder, ".tagfleet-", "") else { return };
    // Everything is done by then, but what hangs.
    wait_until(|| running.sandbox().machines().len() >= ROWS as usize);
    let since = Instant::now();
    let outcome = running.end_interrupted().exits(7);
    assert!(since.elapsed() < SOON, "{:?}: {}", since.elapsed(), outcome.messages());
    let outcome = outcome.says(&["error: interrupted before all that came of the work was written"]);
    assert_eq!(outcome.summary()["ended"], "interrupted");
}

#[test]
fn an_interrupt_ends_a_command_that_opens_a_state_on_such_a_disk() {
    let server = Tenant::of((1..=3).map(machine)).serve();
    let folder = Folder::new();
    let Some(library) = preloaded(&folder, HANGING_SYNC) else { return };
    folder.write("sign", "");
    folder.write("in.csv", format!("machineId,tag,action\n{},B,Add\n", id(1)));
    let mut command = folder.command();
    command.envs(server.variables()).args(["apply", "in.csv", "--yes", "--json"]);
    command
        .env("LD_PRELOAD", library)
        .env("HANGING_SYNC", folder.path("sign"))
        .env("HANGING_FILES", "tagfleet.sqlite3");
    let program = Program::start(command, None, true);
    wait_until(|| folder.path("state/tagfleet.sqlite3").exists());
    program.signal(Signal::INT);
    let ended = program.end();
    assert_eq!(ended.status, Some(5), "{}", ended.messages);
    assert_eq!(server.requests().len(), 0, "nothing was sent");
}
