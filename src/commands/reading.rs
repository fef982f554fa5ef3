//! Reading the tenant's machines, for every command that needs them: with progress, and with an ear for interrupts.

use tokio::sync::{mpsc, watch};

use super::service::Service;
use super::{CommandError, ExitStatus};
use crate::call::{Caller, GateSettings, StopReason};
use crate::clock::SharedClock;
use crate::dispatch::StopRequest;
use crate::inventory::{self, Inventory, MachineSink, ReadError, ReadProgress};
use crate::report::ReadingReport;
use crate::store::{RunKey, Store};

/// What a reading is made with.
pub(super) struct MachineReading<'a> {
    /// The service to read from.
    pub(super) service: &'a Service,
    /// Where the calls are counted.
    pub(super) store: &'a Store,
    /// The clock that they are counted by.
    pub(super) clock: &'a SharedClock,
    /// Account, quota, concurrency and deadline.
    pub(super) gate: GateSettings,
    /// The run that the calls belong to, if there is one already.
    pub(super) run: Option<RunKey>,
    /// Who shows it.
    pub(super) report: &'a mut ReadingReport,
    /// Who may interrupt it.
    pub(super) stop_requests: &'a mut mpsc::Receiver<StopRequest>,
}

impl MachineReading<'_> {
    /// Reads all machines into memory.
    pub(super) async fn inventory(self) -> Result<(Inventory, ReadProgress), ReadError> {
        let (_going_on, draining) = watch::channel(false);
        let caller = self.caller(draining);
        tokio::select! {
            biased;
            Some(_request) = self.stop_requests.recv() => Err(ReadError::Stopped(StopReason::Draining)),
            read = Inventory::read(&caller, self.clock, self.run, self.report) => read,
        }
    }

    /// Reads all machines into a sink.
    pub(super) async fn into_sink<S: MachineSink>(self, sink: S) -> Result<S, CommandError> {
        let (_going_on, draining) = watch::channel(false);
        let caller = self.caller(draining);
        tokio::select! {
            biased;
            Some(_request) = self.stop_requests.recv() => Err(interrupted()),
            read = inventory::read(&caller, self.clock, self.run, sink, self.report) => Ok(read.map(|(sink, _)| sink)?),
        }
    }

    fn caller(&self, draining: watch::Receiver<bool>) -> Caller<crate::api::Client> {
        let transport = self.service.transport();
        Caller::new(transport, self.store.clone(), self.clock.clone(), self.gate.clone(), fastrand::u64(..), draining)
    }
}

/// A read changes nothing, so it need not be waited for: the first interrupt ends it.
pub(super) fn interrupted() -> CommandError {
    CommandError::text(
        ExitStatus::StoppedEarly,
        "interrupted while the tenant's machines were read; nothing was changed",
        None,
    )
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        let status = match &error {
            ReadError::Aborted(cause) => super::abort_status(cause),
            ReadError::Store(_) | ReadError::Sink(_) => ExitStatus::StorageFailed,
            error if error.is_refusal() => ExitStatus::ServiceRefused,
            _ => ExitStatus::StoppedEarly,
        };
        Self { status, problem: crate::report::reading_problem(error) }
    }
}
