//! How a command ends: the exit status, and the error that carries one. Only here are the errors of all rooms turned into
//! a status, and into what the user can do about them.

use std::error::Error;
use std::io;

use serde_json::{Value, json};

use crate::api::sign_in::SignInError;
use crate::call::AbortCause;
use crate::dispatch::{DispatchError, EndReason};
use crate::filter::FilterError;
use crate::listing::ReadError;
use crate::model::is_sandbox_run;
use crate::report::{
    Ending, ForeignFile, MachinesError, OutputError, PageError, Problem, ReservedError, ResultsError, joined,
    reading_code, reading_problem,
};
use crate::store::StoreError;

/// How the process ends. When several apply, the first in the order of [`ExitStatus::PRECEDENCE`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, or nothing to do.
    Done = 0,
    /// Finished, but rows are failed, unknown, invalid or withheld.
    RowsFailed = 1,
    /// The command line or the environment makes no sense.
    Usage = 2,
    /// Input or plan refused, nothing written.
    InputRefused = 3,
    /// Refused by the service: sign-in or permission.
    ServiceRefused = 4,
    /// Stopped early, resumable.
    StoppedEarly = 5,
    /// Another run is in the way.
    AnotherRun = 6,
    /// Local storage failed.
    StorageFailed = 7,
    /// `verify`, or a plan with `--detailed-exitcode`: the tenant is not as it was asked for.
    Differences = 10,
    /// The outcomes do not add up to the rows.
    Bug = 70,
}

impl ExitStatus {
    /// From the gravest to none.
    const PRECEDENCE: [Self; 10] = [
        Self::Bug,
        Self::StorageFailed,
        Self::Usage,
        Self::InputRefused,
        Self::ServiceRefused,
        Self::AnotherRun,
        Self::StoppedEarly,
        Self::RowsFailed,
        Self::Differences,
        Self::Done,
    ];

    /// The one that counts of two.
    pub(crate) fn and(self, other: Self) -> Self {
        Self::PRECEDENCE.into_iter().find(|status| *status == self || *status == other).unwrap_or(self)
    }

    /// The status that a process of ours ended with.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::PRECEDENCE.into_iter().find(|status| status.code() == code)
    }

    /// Whether a command came to its end with it, whatever it found.
    pub(crate) const fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::RowsFailed | Self::Differences)
    }

    /// Why a command ended that could not do its work, in a word for scripts.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Done => "finished",
            Self::RowsFailed => "rows_failed",
            Self::Usage => "usage",
            Self::InputRefused => "input_refused",
            Self::ServiceRefused => "refused",
            Self::StoppedEarly => "stopped_early",
            Self::AnotherRun => "another_run",
            Self::StorageFailed => "storage_failed",
            Self::Differences => "differences",
            Self::Bug => "bug",
        }
    }

    /// The number that the operating system gets.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// A setting of runs that can turn out to be of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunSetting {
    Deadline,
    Encoding,
    LogFile,
    MetricsFile,
    Output,
    PingUrlFile,
}

impl RunSetting {
    /// What it is called in a file of settings.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Encoding => "encoding",
            Self::LogFile => "log-file",
            Self::MetricsFile => "metrics-file",
            Self::Output => "output",
            Self::PingUrlFile => "ping-url-file",
        }
    }
}

/// A command that could not do its work.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) status: ExitStatus,
    pub(crate) problem: Problem,
    /// Why it ended, in a word for scripts, where that says more than the status.
    ended: Option<&'static str>,
    /// What was found in a refused input, for scripts.
    pub(crate) findings: Vec<Value>,
    /// What there is to say to scripts nevertheless.
    own: Value,
    /// The setting that is of no use.
    pub(crate) setting: Option<RunSetting>,
}

impl CommandError {
    pub(crate) fn new(status: ExitStatus, error: impl Error + Send + Sync + 'static, hint: Option<String>) -> Self {
        Self::of(status, Problem { error: Box::new(error), hint })
    }

    /// With a problem that is ready to be shown.
    pub(crate) fn of(status: ExitStatus, problem: Problem) -> Self {
        Self { status, problem, ended: None, findings: Vec::new(), own: json!({}), setting: None }
    }

    pub(crate) fn text(status: ExitStatus, message: impl Into<String>, hint: Option<&str>) -> Self {
        Self::of(status, Problem { error: message.into().into(), hint: hint.map(str::to_owned) })
    }

    /// Why it ended, in a word that says more than the status.
    pub(crate) fn ended(self, ended: &'static str) -> Self {
        Self { ended: Some(ended), ..self }
    }

    /// With the run that began.
    pub(crate) fn of_run(self, run_id: &str) -> Self {
        Self { own: joined(self.own, json!({"run_id": run_id})), ..self }
    }

    /// The same of a setting that may stand in a file, which whoever reads the error has to know.
    pub(crate) fn about(self, setting: RunSetting) -> Self {
        Self { setting: Some(setting), ..self }
    }

    /// With what there is to say to scripts nevertheless.
    pub(crate) fn with_own(self, own: Value) -> Self {
        Self { own, ..self }
    }

    /// What there is to say to scripts, and how it ended.
    pub(crate) fn object(&self) -> (Value, Ending) {
        let ended = self.ended.unwrap_or_else(|| self.status.word());
        let own = joined(self.own.clone(), json!({"findings": self.findings}));
        (own, Ending::failed(self.status.code(), ended, &self.problem, &self.findings))
    }

    /// A sign-in that failed before it was known whose quota is used: nothing was sent, and nothing stored.
    pub(crate) fn sign_in(error: SignInError) -> Self {
        let hint = error.hint();
        let status = if error.is_transient() { ExitStatus::StoppedEarly } else { sign_in_status(&error) };
        Self::new(status, error, hint).ended("sign_in_failed")
    }

    /// A filter that is none, or does not fit the columns; `name` says where it stands.
    pub(crate) fn filter(name: &str, error: &FilterError) -> Self {
        let excerpt = error.excerpt().replace('\n', "\n    ");
        Self::text(ExitStatus::Usage, format!("{name}, {error}\n    {excerpt}"), error.hint().as_deref())
    }

    /// Nobody said yes.
    pub(crate) fn cancelled() -> Self {
        Self::text(ExitStatus::InputRefused, "cancelled; nothing was changed", None).ended("cancelled")
    }
}

impl From<OutputError> for CommandError {
    fn from(error: OutputError) -> Self {
        Self::new(ExitStatus::StorageFailed, error, Some(UNREAD_HINT.to_owned()))
    }
}

/// What is missing or unreadable is for the command line to fix; a refusal is the service's.
pub(crate) const fn sign_in_status(error: &SignInError) -> ExitStatus {
    match error {
        SignInError::Settings { .. } | SignInError::File { .. } => ExitStatus::Usage,
        _ => ExitStatus::ServiceRefused,
    }
}

/// How a process ends of which nothing sent could succeed any more.
pub(crate) fn abort_status(cause: &AbortCause) -> ExitStatus {
    match cause {
        AbortCause::SignIn(error) if error.is_transient() => ExitStatus::StoppedEarly,
        // Whatever is wrong with a sign-in, it was right before: calls were made, and 2 would say that none was.
        AbortCause::Refused(_) | AbortCause::TokenRefused | AbortCause::SignIn(_) => ExitStatus::ServiceRefused,
        AbortCause::Unreachable { .. } | AbortCause::ThrottledForGood => ExitStatus::StoppedEarly,
    }
}

/// How a run that ended for this reason ends the process, whatever became of its rows.
pub(crate) fn end_status(reason: &EndReason) -> ExitStatus {
    match reason {
        EndReason::Finished => ExitStatus::Done,
        EndReason::Interrupted
        | EndReason::Halted
        | EndReason::Deadline
        | EndReason::TooManyErrors
        | EndReason::Outage { .. }
        | EndReason::NoInventory { is_refusal: false, .. } => ExitStatus::StoppedEarly,
        EndReason::Forbidden { .. } | EndReason::NoInventory { is_refusal: true, .. } => ExitStatus::ServiceRefused,
        EndReason::Aborted(cause) => abort_status(cause),
        EndReason::StoreFailed(error) => storage_status_of_run(error),
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let (status, hint) = match &error {
            StoreError::NoSuchRun(run) => {
                let sandbox = if is_sandbox_run(run) { " --sandbox" } else { "" };
                (ExitStatus::Usage, Some(format!("list the runs with: tagfleet runs{sandbox}")))
            }
            StoreError::NeverBegan(_) => (ExitStatus::Usage, error.hint()),
            _ => (storage_status(&error), error.hint()),
        };
        Self::new(status, error, hint)
    }
}

/// A run that another process has taken over is not the disk's fault, nor is a wrong password that of a server.
pub(crate) fn storage_status(error: &StoreError) -> ExitStatus {
    match error {
        StoreError::TakenOver => ExitStatus::AnotherRun,
        error if error.is_setting() => ExitStatus::Usage,
        _ => ExitStatus::StorageFailed,
    }
}

/// The same of a state that was there when a run began: whatever it says now, 2 would say that nothing was sent.
pub(crate) fn storage_status_of_run(error: &StoreError) -> ExitStatus {
    match storage_status(error) {
        ExitStatus::Usage => ExitStatus::StorageFailed,
        status => status,
    }
}

impl From<ReservedError> for CommandError {
    fn from(error: ReservedError) -> Self {
        Self::from(ResultsError::from(error))
    }
}

/// What to do where what is written finds no room, or nobody who reads it.
const UNREAD_HINT: &str = "make room where it goes, or send it elsewhere";

/// What to do where a file cannot be written.
fn unwritable_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "create the folder, or name another file",
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => "name another file",
        io::ErrorKind::InvalidInput => "name another file; \"-o -\" writes to standard output",
        io::ErrorKind::FileTooLarge => "raise the limit on the size of files (ulimit -f unlimited)",
        // Nobody reads the pipe.
        io::ErrorKind::TimedOut | io::ErrorKind::BrokenPipe => UNREAD_HINT,
        _ => "check the folder, its permissions and the room on the disk",
    }
}

impl From<ResultsError> for CommandError {
    fn from(error: ResultsError) -> Self {
        let hint = match &error {
            ResultsError::File { source, .. } => Some(unwritable_hint(source).to_owned()),
            ResultsError::Reserved(_) => Some("name another file with -o".to_owned()),
            ResultsError::NotOurs { .. } | ResultsError::ReadOnly { .. } => {
                Some("move it away, or name another file with -o".to_owned())
            }
            ResultsError::Store(error) => error.hint(),
        };
        let status = match error {
            ResultsError::Reserved(_) => ExitStatus::Usage,
            ResultsError::File { .. }
            | ResultsError::NotOurs { .. }
            | ResultsError::ReadOnly { .. }
            | ResultsError::Store(_) => ExitStatus::StorageFailed,
        };
        Self::new(status, error, hint).about(RunSetting::Output)
    }
}

impl From<ForeignFile> for CommandError {
    fn from(error: ForeignFile) -> Self {
        let hint = "move it away, or name another file with --metrics-file".to_owned();
        Self::new(ExitStatus::Usage, error, Some(hint)).about(RunSetting::MetricsFile)
    }
}

impl From<PageError> for CommandError {
    fn from(error: PageError) -> Self {
        let (status, hint) = match error {
            PageError::Run(error) => return error.into(),
            PageError::File { ref source, .. } => (ExitStatus::StorageFailed, unwritable_hint(source)),
            PageError::Reserved(_) => (ExitStatus::Usage, "name another file for the report"),
            PageError::Occupied { .. } => {
                (ExitStatus::StorageFailed, "move it away, or name another file for the report")
            }
        };
        Self::new(status, error, Some(hint.to_owned()))
    }
}

impl From<MachinesError> for CommandError {
    fn from(error: MachinesError) -> Self {
        let hint = match error.source.kind() {
            io::ErrorKind::AlreadyExists => "move it away, or name another file with -o",
            _ => unwritable_hint(&error.source),
        };
        Self::new(ExitStatus::StorageFailed, error, Some(hint.to_owned()))
    }
}

impl From<DispatchError> for CommandError {
    fn from(error: DispatchError) -> Self {
        let (status, hint) = match &error {
            DispatchError::Store(error) => (storage_status_of_run(error), error.hint()),
            DispatchError::Observer(_) => (ExitStatus::StorageFailed, None),
            DispatchError::Task(_) => (ExitStatus::Bug, Some("report this as a bug".to_owned())),
        };
        Self::new(status, error, hint)
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        let status = match &error {
            ReadError::Aborted(cause) => abort_status(cause),
            ReadError::Store(_) | ReadError::Sink(_) => ExitStatus::StorageFailed,
            error if error.is_refusal() => ExitStatus::ServiceRefused,
            _ => ExitStatus::StoppedEarly,
        };
        let ended = reading_code(&error);
        Self::of(status, reading_problem(error)).ended(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_statuses_the_graver_counts() {
        assert_eq!(ExitStatus::RowsFailed.and(ExitStatus::StoppedEarly), ExitStatus::StoppedEarly);
        assert_eq!(ExitStatus::StoppedEarly.and(ExitStatus::ServiceRefused), ExitStatus::ServiceRefused);
        assert_eq!(ExitStatus::StorageFailed.and(ExitStatus::ServiceRefused), ExitStatus::StorageFailed);
        assert_eq!(ExitStatus::Done.and(ExitStatus::Done), ExitStatus::Done);
        let numbers = ExitStatus::PRECEDENCE.map(ExitStatus::code);
        assert_eq!(numbers, [70, 7, 2, 3, 4, 6, 5, 1, 10, 0]);
    }
}
