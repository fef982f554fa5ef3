//! One run of `tagfleet apply`, or of a command that only looks at the same input: what it is given, and what it leaves.
//!
//! ```ignore
//! let outcome = Rehearsal::new().rows("#1,Tier 0,Add,").run().exits(0);
//! assert_eq!(outcome.sandbox().machine(1).tags, ["Tier 0"]);
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::machines::with_ids;
use crate::process::{Ended, Program, contains};
use crate::sandbox_server::{Counters, Sandbox};
use crate::stand_in::StandIn;
use crate::table::Table;

/// The header that [`Rehearsal::rows`] come under.
const HEADER: &str = "machineId,tag,action,value\n";

/// A directory of a test's own, with the state directory in it; it goes when the last outcome in it has gone.
#[derive(Clone)]
pub(crate) struct Folder(Arc<TempDir>);

impl Folder {
    /// A new, empty one.
    pub(crate) fn new() -> Self {
        // In memory where there is such a place: no test cuts the power, and synchronising a disk is most of a short run.
        let in_memory = tempfile::tempdir_in("/dev/shm").ok();
        Self(Arc::new(in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a temporary directory"))))
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("our own directory");
    }

    /// Writes a file that only its owner can read, as secrets must be.
    pub(crate) fn write_private(&self, name: &str, text: &str) {
        self.write(name, text);
        #[cfg(unix)]
        {
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(self.path(name), private).expect("our own file");
        }
    }

    /// The state database, for whoever changes it by hand and wants it to be taken all the same.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        // A state without one is that of a process that was killed, or of an older program.
        let _there_is_none = std::fs::remove_file(self.path("state/tagfleet.seal"));
        rusqlite::Connection::open(self.path("state/tagfleet.sqlite3")).expect("a database")
    }

    /// What a file in it holds; `None` when there is no such file.
    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(name)).ok()
    }

    /// The names of what is in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names_in(".")
    }

    /// The names of what is in one of its directories, sorted.
    pub(crate) fn names_in(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory)).expect("our own directory");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.expect("an entry").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    /// The files in it and below that hold this text anywhere, by their paths within it.
    pub(crate) fn files_holding(&self, text: &str) -> Vec<PathBuf> {
        let mut holding = Vec::new();
        let mut directories = vec![self.0.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).expect("our own directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else if contains(&std::fs::read(&path).expect("our own file"), text.as_bytes()) {
                    holding.push(path.strip_prefix(self.0.path()).expect("a path within it").to_owned());
                }
            }
        }
        holding
    }

    /// The program, started in it, with its state directory there and nothing else in the environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Program::command();
        command.current_dir(self.0.path()).env("HOME", self.0.path()).env("TAGFLEET_STATE_DIR", self.path("state"));
        command
    }

    /// Runs the program in it to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command();
        command.args(arguments);
        Program::start(command, None, true).end()
    }
}

/// Who answers the calls.
enum Service {
    /// A sandbox of this run's own, with these options.
    Own(String),
    /// Somebody who is there already, by the variables that lead there.
    Other(Vec<(String, String)>),
}

/// A run that is being prepared.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a test may want otherwise")]
pub(crate) struct Rehearsal {
    folder: Folder,
    service: Service,
    input: Vec<u8>,
    on_standard_input: bool,
    is_confirmed: bool,
    quota: String,
    command: &'static str,
    is_planned: bool,
    options: Vec<String>,
    variables: Vec<(String, String)>,
    reads_output: bool,
}

impl Rehearsal {
    /// Against a sandbox of its own, without a quota, without a question; each operation is one call, whatever the tenant
    /// holds, unless it is [`planned`](Self::planned).
    pub(crate) fn new() -> Self {
        Self {
            folder: Folder::new(),
            service: Service::Own(String::new()),
            input: HEADER.into(),
            on_standard_input: false,
            is_confirmed: true,
            quota: "off".to_owned(),
            command: "apply",
            is_planned: false,
            options: Vec::new(),
            variables: Vec::new(),
            reads_output: true,
        }
    }

    /// Against this sandbox.
    pub(crate) fn at(sandbox: &Sandbox) -> Self {
        Self { service: Service::Other(sandbox.variables().to_vec()), ..Self::new() }
    }

    /// Against this server.
    pub(crate) fn at_stand_in(server: &StandIn) -> Self {
        Self { service: Service::Other(server.variables()), ..Self::new() }
    }

    /// Against nobody that the tests know of: no variable says where the service is.
    pub(crate) fn at_nobody() -> Self {
        Self { service: Service::Other(Vec::new()), ..Self::new() }
    }

    /// Its own sandbox behaves so.
    pub(crate) fn sandbox(self, options: &str) -> Self {
        Self { service: Service::Own(options.to_owned()), ..self }
    }

    /// With these rows under the usual header; `#1` is the id of machine 1.
    pub(crate) fn rows(self, rows: &str) -> Self {
        self.file(with_ids(&format!("{HEADER}{rows}")))
    }

    /// With exactly this input.
    pub(crate) fn file(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { input: bytes.into(), ..self }
    }

    /// The input comes from standard input.
    pub(crate) fn on_standard_input(self) -> Self {
        Self { on_standard_input: true, ..self }
    }

    /// In this folder, with the files and the state that are there.
    pub(crate) fn in_folder(self, folder: &Folder) -> Self {
        Self { folder: folder.clone(), ..self }
    }

    /// As people run it: the machines are read first, and one tag goes to many machines in one call.
    pub(crate) fn planned(self) -> Self {
        Self { is_planned: true, ..self }
    }

    /// It only says what it would do.
    pub(crate) fn only_plan(self) -> Self {
        Self { command: "plan", ..self }
    }

    /// It only says which rows hold.
    pub(crate) fn only_verify(self) -> Self {
        Self { command: "verify", ..self }
    }

    /// With this quota.
    pub(crate) fn quota(self, quota: &str) -> Self {
        Self { quota: quota.to_owned(), ..self }
    }

    /// With these options, parted by blanks.
    pub(crate) fn with(mut self, options: &str) -> Self {
        self.options.extend(options.split_whitespace().map(str::to_owned));
        self
    }

    /// With this option, whose value may hold blanks.
    pub(crate) fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Without `--yes`.
    pub(crate) fn unconfirmed(self) -> Self {
        Self { is_confirmed: false, ..self }
    }

    /// With this variable in the environment; it counts for more than those of the service.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whoever should read standard output has gone.
    pub(crate) fn with_closed_output(self) -> Self {
        Self { reads_output: false, ..self }
    }

    /// Starts it.
    #[track_caller]
    pub(crate) fn start(self) -> Running {
        let reads_output = self.reads_output;
        let Prepared { command, input, sandbox, folder } = self.prepare();
        Running { program: Program::start(command, input, reads_output), sandbox, folder }
    }

    /// What starts it, for tests that start it otherwise.
    #[track_caller]
    pub(crate) fn prepare(self) -> Prepared {
        let (sandbox, variables) = match self.service {
            Service::Own(options) => {
                let sandbox = Sandbox::start(&options);
                let variables = sandbox.variables().to_vec();
                (Some(sandbox), variables)
            }
            Service::Other(variables) => (None, variables),
        };
        let mut command = self.folder.command();
        command.envs(variables).envs(self.variables).arg(self.command);
        let input = if self.on_standard_input {
            command.arg("-");
            Some(self.input)
        } else {
            self.folder.write("input.csv", &self.input);
            command.arg("input.csv");
            None
        };
        if self.command == "apply" {
            command.args(if self.is_planned { &[][..] } else { &["--no-inventory", "--no-bulk"] });
            command.args(self.is_confirmed.then_some("--yes"));
        }
        command.args(["--quota", &self.quota]).args(self.options);
        Prepared { command, input, sandbox, folder: self.folder }
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Outcome {
        self.start().end()
    }
}

/// A run that has only to be started.
pub(crate) struct Prepared {
    /// With all its options and variables.
    pub(crate) command: Command,
    /// What it reads from standard input.
    pub(crate) input: Option<Vec<u8>>,
    /// Its own sandbox.
    pub(crate) sandbox: Option<Sandbox>,
    /// Where it runs.
    pub(crate) folder: Folder,
}

/// A run under way; dropping it ends it.
pub(crate) struct Running {
    program: Program,
    sandbox: Option<Sandbox>,
    folder: Folder,
}

impl Running {
    /// The process.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    /// Its own sandbox.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("a sandbox of its own")
    }

    /// Where it runs.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(self) -> Outcome {
        Outcome { ended: self.program.end(), sandbox: self.sandbox, folder: self.folder }
    }

    /// Interrupts it every second, and waits for its end.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub(crate) fn end_interrupted(self) -> Outcome {
        Outcome { ended: self.program.end_interrupted(), sandbox: self.sandbox, folder: self.folder }
    }
}

/// A run that is over, and all that it left.
pub(crate) struct Outcome {
    ended: Ended,
    sandbox: Option<Sandbox>,
    folder: Folder,
}

impl Outcome {
    /// It ended with this exit status, and without a panic.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        let messages = self.messages();
        assert_eq!(self.ended.status, Some(status), "exit status; it said: {messages}\n{}", self.output());
        assert!(!messages.contains("panicked"), "{messages}");
        self
    }

    /// Standard error holds each of these texts.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            let text = with_ids(text);
            assert!(self.messages().contains(&text), "{text:?} is not in: {}", self.messages());
        }
        self
    }

    /// The exit status; `None` when a signal ended it.
    pub(crate) fn status(&self) -> Option<i32> {
        self.ended.status
    }

    /// Standard error.
    pub(crate) fn messages(&self) -> &str {
        &self.ended.messages
    }

    /// Standard output.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&self.ended.output).into_owned()
    }

    /// Standard output, byte for byte.
    pub(crate) fn output_bytes(&self) -> &[u8] {
        &self.ended.output
    }

    /// The object that `--json` asks for.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        serde_json::from_slice(&self.ended.output).unwrap_or_else(|error| panic!("{error} in {}", self.output()))
    }

    /// Where it ran.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The results, byte for byte.
    #[track_caller]
    pub(crate) fn results_bytes(&self) -> Vec<u8> {
        let results = self.folder.read("input.results.csv");
        results.unwrap_or_else(|| panic!("there are no results; it said: {}", self.messages()))
    }

    /// The results.
    #[track_caller]
    pub(crate) fn results(&self) -> Table {
        Table::read(&self.results_bytes(), ',')
    }

    /// The rows that are worth feeding back, byte for byte; `None` when there is no such file.
    pub(crate) fn failed(&self) -> Option<String> {
        self.folder.read("input.failed.csv").map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
    }

    /// The status of every row.
    #[track_caller]
    pub(crate) fn statuses(&self) -> Vec<String> {
        self.results().column("status").into_iter().map(str::to_owned).collect()
    }

    /// How many rows have this status.
    #[track_caller]
    pub(crate) fn count(&self, status: &str) -> usize {
        self.results().column("status").iter().filter(|cell| **cell == status).count()
    }

    /// Whether there are results at all, or rows to feed back.
    pub(crate) fn wrote_anything(&self) -> bool {
        self.folder.names().iter().any(|name| name.ends_with(".results.csv") || name.ends_with(".failed.csv"))
    }

    /// Its own sandbox, as the run left it.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        self.sandbox.as_ref().expect("a sandbox of its own")
    }

    /// Ends its own sandbox, and says what that has counted.
    #[track_caller]
    pub(crate) fn counters(self) -> Counters {
        self.sandbox.expect("a sandbox of its own").end()
    }
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
