//! Output that somebody could read and nobody does: pipes that stay open and full.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::machines::{id, rows_adding};
use crate::process::{PATIENCE, Program, wait_until};
use crate::rehearsal::{Folder, Prepared, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::table::Table;

/// Rows of which the log of a run fills more than a pipe.
const ROWS: u32 = 700;

/// A child process that is ended with the test.
struct Started(Child);

impl Started {
    fn new(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("the program starts"))
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("the process still runs");
    }

    /// The exit status, once it has ended.
    #[track_caller]
    fn status(&mut self) -> Option<i32> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().expect("our own child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the program does not end");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Both fail when it has ended, which is just as well.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Waits until so many machines have their tag.
#[track_caller]
fn wait_for_machines(sandbox: &Sandbox, count: usize) {
    wait_until(|| sandbox.machines().len() >= count);
}

#[track_caller]
fn statuses(folder: &Folder) -> Vec<String> {
    let results = Table::read(&folder.read("input.results.csv").expect("results"), ',');
    results.column("status").into_iter().map(str::to_owned).collect()
}

fn named_pipe(folder: &Folder, name: &str) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, folder.path(name), rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
}

#[test]
fn a_log_that_nobody_reads_stops_no_run() {
    let Prepared { mut command, folder, sandbox, .. } =
        Rehearsal::new().rows(&rows_adding("A", ROWS)).with("-vv").prepare();
    let mut started = Started::new(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    assert_eq!(started.status(), Some(0));
    assert_eq!(statuses(&folder), vec!["succeeded"; ROWS as usize]);
    assert_eq!(sandbox.expect("a sandbox of its own").machines().len(), ROWS as usize);
}

#[test]
fn a_run_whose_log_nobody_reads_hears_signals() {
    const ALL: u32 = 5000;
    let rehearsal = Rehearsal::new().sandbox("--latency 30ms").rows(&rows_adding("A", ALL)).with("-vv");
    let Prepared { mut command, folder, sandbox, .. } = rehearsal.prepare();
    let mut started = Started::new(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    wait_for_machines(&sandbox.expect("a sandbox of its own"), ROWS as usize);
    started.terminate();
    assert_eq!(started.status(), Some(5));
    let statuses = statuses(&folder);
    assert!(statuses.len() == ALL as usize && statuses.iter().any(|status| status == "not_attempted"));
}

/// Data wait for their reader, but not when the process is to end.
#[test]
fn results_that_nobody_reads_do_not_outlive_a_signal() {
    let rows = rows_adding("A", 20).repeat(100);
    let Prepared { mut command, folder, sandbox, .. } = Rehearsal::new().rows(&rows).with("-o -").prepare();
    let mut started = Started::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    wait_for_machines(&sandbox.expect("a sandbox of its own"), 20);
    started.terminate();
    assert_eq!(started.status(), Some(7), "the results could not be written");
    let mut messages = String::new();
    let mut pipe = started.0.stderr.take().expect("a pipe");
    std::io::Read::read_to_string(&mut pipe, &mut messages).expect("what it said");
    assert!(messages.contains("write its results again with: tagfleet results"), "{messages}");
    assert_eq!(folder.names(), ["input.csv", "state"]);
}

/// What was read is a part, so nobody says that all was written.
#[test]
fn a_list_that_nobody_reads_to_its_end_is_a_failure_after_a_signal() {
    let server = crate::tenant::Tenant::of((1..=3000).map(crate::tenant::machine)).serve();
    crate::process::at_once([&["inventory"][..], &["inventory", "-o", "/dev/stdout"]], |arguments| {
        let folder = Folder::new();
        let mut command = folder.command();
        command.envs(server.variables()).args(arguments);
        let mut started = Started::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut pipe = started.0.stdout.take().expect("a pipe");
        // It has begun to write.
        std::io::Read::read_exact(&mut pipe, &mut [0]).expect("the first byte");
        started.terminate();
        assert_eq!(started.status(), Some(7), "{arguments:?}");
        let mut messages = String::new();
        let mut pipe = started.0.stderr.take().expect("a pipe");
        std::io::Read::read_to_string(&mut pipe, &mut messages).expect("what it said");
        assert!(messages.contains("no process reads it") && !messages.contains("written to"), "{messages}");
        assert!(messages.contains("hint: make room where it goes, or send it elsewhere"), "{messages}");
    });
}

/// Whoever watches a job learns that it is done, whether or not somebody has read what it says.
#[test]
fn a_summary_that_nobody_reads_keeps_nobody_from_knowing_the_end() {
    let folder = Folder::new();
    let rehearsal = Rehearsal::new().in_folder(&folder).rows(&rows_adding("A", 3));
    let options = "--json --metrics-file job.prom --report report.html";
    let Prepared { mut command, sandbox: _sandbox, .. } = rehearsal.with(options).prepare();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut filling = writer.try_clone().expect("a pipe");
    // It stays full until its reader goes.
    let filled = std::thread::spawn(move || filling.write_all(&vec![b'x'; 1 << 20]).is_err());
    let started = Started::new(command.stdout(writer).stderr(Stdio::null()));
    let text = |name: &str| folder.read(name).and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    wait_until(|| text("job.prom").contains("_last_exit_status{job=\"input.csv\"} 0\n"));
    assert!(text("job.prom").contains("tagfleet_run_in_progress{job=\"input.csv\"} 0\n"), "{}", text("job.prom"));
    wait_until(|| text("report.html").contains("</html>"));
    drop((started, command, reader));
    assert!(filled.join().expect("no panic"), "nobody has read it");
}

#[test]
fn a_report_that_nobody_reads_keeps_nobody_from_knowing_the_end_either() {
    let folder = Folder::new();
    named_pipe(&folder, "report");
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a small number");
    let both_ends = File::options().read(true).write(true).custom_flags(flags).open(folder.path("report"));
    let mut full = both_ends.expect("a pipe");
    while full.write(&[b'x'; 4096]).is_ok() {}
    let rehearsal = Rehearsal::new().in_folder(&folder).rows(&rows_adding("A", 3));
    let options = "--metrics-file job.prom --report report";
    let Prepared { mut command, sandbox: _sandbox, .. } = rehearsal.with(options).prepare();
    let mut started = Started::new(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let text = |name: &str| folder.read(name).and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    wait_until(|| text("job.prom").contains("_last_exit_status{job=\"input.csv\"} 0\n"));
    assert!(started.0.try_wait().expect("our own process").is_none(), "it waits for a reader");
    let mut page = String::new();
    while !page.contains("</html>") {
        let mut part = [0; 4096];
        let length = awaited(|| std::io::Read::read(&mut full, &mut part).ok());
        page.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    assert_eq!(started.status(), Some(0));
}

#[test]
fn a_log_file_that_nobody_opens_for_reading_is_refused() {
    let folder = Folder::new();
    named_pipe(&folder, "log");
    let rehearsal = Rehearsal::new().in_folder(&folder).rows(&rows_adding("A", 1)).with("--log-file log");
    let Prepared { mut command, .. } = rehearsal.prepare();
    let mut started = Started::new(command.stdout(Stdio::null()).stderr(Stdio::null()));
    assert_eq!(started.status(), Some(2));
}

#[test]
fn a_log_file_that_nobody_reads_stops_no_run() {
    let folder = Folder::new();
    named_pipe(&folder, "log");
    let _reader = std::fs::File::options().read(true).write(true).open(folder.path("log")).expect("a pipe");
    let rehearsal = Rehearsal::new().in_folder(&folder).rows(&rows_adding("A", ROWS)).with("-vv --log-file log");
    let Prepared { mut command, sandbox, .. } = rehearsal.prepare();
    let mut started = Started::new(command.stdout(Stdio::null()).stderr(Stdio::null()));
    assert_eq!(started.status(), Some(0));
    assert_eq!(statuses(&folder), vec!["succeeded"; ROWS as usize]);
    drop(sandbox);
}

/// Opens a pipe without waiting for its other end.
fn pipe(path: &Path, reads: bool) -> std::io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a small number");
    File::options().read(reads).write(!reads).custom_flags(flags).open(path)
}

/// What the attempt gives, as soon as it gives something.
#[track_caller]
fn awaited<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(since.elapsed() < PATIENCE, "nothing comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_time_of_whoever_writes_the_input_and_of_whoever_reads_the_results_is_not_the_programs_own() {
    const PAUSE: Duration = Duration::from_millis(200);
    let folder = Folder::new();
    let paths = ["input", "output"].map(|name| folder.path(name));
    assert!(Command::new("mkfifo").args(&paths).status().expect("mkfifo").success());
    let mut results = pipe(&paths[1], true).expect("a pipe");
    let mut command = folder.command();
    command.args(["apply", "input", "-o", "output", "--sandbox", "--quota", "off"]);
    let program = Program::start(command, None, true);
    // Whoever can write there has somebody who reads.
    let mut input = awaited(|| pipe(&paths[0], false).ok());
    std::thread::sleep(PAUSE);
    let flags = rustix::fs::fcntl_getfl(&input).expect("our own pipe") - rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&input, flags).expect("our own pipe");
    // More than waits to be written when nobody reads.
    let rows = format!("{},A,Add,,{}\n", id(1), "r".repeat(1_000)).repeat(2_000);
    input.write_all(format!("machineId,tag,action,value,remark\n{rows}").as_bytes()).expect("a reader");
    drop(input);
    let mut piece = vec![0; 1 << 16];
    awaited(|| results.read(&mut piece).ok().filter(|bytes| *bytes > 0));
    std::thread::sleep(PAUSE);
    awaited(|| results.read(&mut piece).is_ok_and(|bytes| bytes == 0).then_some(()));
    let ended = program.end();
    let told = format!("{}{}", String::from_utf8_lossy(&ended.output), ended.messages);
    assert_eq!(ended.status, Some(0), "{told}");
    assert!(told.contains(" reading the input") && told.contains(" writing the results"), "{told}");
}
