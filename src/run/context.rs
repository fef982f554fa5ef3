//! What a command has around it: who reads what it says, who answers its question, who may stop it, and what chance it is given.
//!
//! Whatever a run has from outside, but for the tenant and its clock, comes through this one value, so that a simulation
//! can take the place of terminal, user and signals.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::clock::{BootTime, Clock, sleep_until};
use crate::dispatch::{Spent, StopRequest};
use crate::exit::{CommandError, ExitStatus};
use crate::report::{LiveStatus, Screen};

/// What takes less time was there already.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Who is asked whether a change may be made.
#[async_trait]
pub(crate) trait Consent: Send + Sync {
    /// Shows what will happen, and returns when it may. Dropping the future takes the question back.
    ///
    /// # Errors
    /// [`CommandError`] when it may not, or there is no terminal to ask on.
    async fn ask(&self, screen: &Screen, description: &str) -> Result<(), CommandError>;
}

/// What a command has from outside, beside the tenant.
pub(crate) struct RunContext {
    /// Where text and data go.
    pub(crate) screen: Screen,
    /// Whether nothing is said unless something needs attention.
    pub(crate) quiet: bool,
    /// Whether the summary is for machines.
    pub(crate) json: bool,
    /// Where the command says how it stands, if metrics or pings were asked for.
    pub(crate) live_status: Option<LiveStatus>,
    /// Options that commands which are suggested must repeat, such as the state directory; each with a blank before it.
    pub(crate) repeated_options: String,
    /// The same of those that call the service: how to sign in, and where, and how it is planned.
    pub(crate) calling_options: String,
    /// The same of the one that resumes the run, besides.
    pub(crate) resuming_options: String,
    /// Options that the command must repeat which feeds rows back, since they are written as they were read.
    pub(crate) reading_options: String,
    /// How often the progress of a run is shown.
    pub(crate) tick: Duration,
    /// Who is asked.
    pub(crate) consent: Arc<dyn Consent>,
    /// Who may stop it: once to drain, twice to stop at once.
    pub(crate) stop_requests: mpsc::Receiver<StopRequest>,
    /// Chance: for jitter, and for the names of runs.
    pub(crate) random: fastrand::Rng,
    /// When the command began, by the tenant's clock.
    pub(crate) began: BootTime,
    /// How long it has waited for whom, beside its calls.
    pub(crate) waits: Vec<(Spent, Duration)>,
}

impl RunContext {
    /// Says something that is worth knowing, unless nothing is to be said.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.screen.remark(text);
        }
    }

    /// Notes how long it took until the input was read.
    pub(crate) fn note_reading(&mut self, time: Duration) {
        self.waits.push((Spent::Input, time));
    }

    /// Waits for what the future gives, with an eye on the time and an ear for interrupts. Every wait of a command that is
    /// not for one of the run's own calls passes here.
    pub(super) async fn wait<Output>(
        &mut self,
        clock: &dyn Clock,
        until: Option<BootTime>,
        future: impl Future<Output = Output>,
    ) -> Waited<Output> {
        let time_is_up = async {
            match until {
                Some(until) => sleep_until(clock, until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(_request) = self.stop_requests.recv() => Waited::Interrupted,
            output = future => Waited::Ended(output),
            () = time_is_up => Waited::TimeIsUp,
        }
    }

    /// The same of a wait that the summary names, if there was one.
    pub(super) async fn wait_for<Output>(
        &mut self,
        whom: Spent,
        clock: &dyn Clock,
        until: Option<BootTime>,
        future: impl Future<Output = Output>,
    ) -> Waited<Output> {
        let since = clock.boot_time();
        let waited = self.wait(clock, until, future).await;
        let took = clock.boot_time().since(since);
        if took >= SHORTEST_WAIT {
            self.waits.push((whom, took));
        }
        waited
    }

    /// What the future gives, unless the time is up first; for what changes nothing.
    ///
    /// # Errors
    /// When an interrupt comes.
    pub(crate) async fn look<Output>(
        &mut self,
        clock: &dyn Clock,
        until: Option<BootTime>,
        future: impl Future<Output = Output>,
    ) -> Result<Option<Output>, CommandError> {
        match self.wait(clock, until, future).await {
            Waited::Ended(output) => Ok(Some(output)),
            Waited::TimeIsUp => Ok(None),
            Waited::Interrupted => {
                let message = "interrupted; nothing was changed";
                Err(CommandError::text(ExitStatus::StoppedEarly, message, None).ended("interrupted"))
            }
        }
    }

    /// Asks whether what is described may happen; no answer comes after the deadline.
    pub(super) async fn ask(
        &mut self,
        clock: &dyn Clock,
        deadline: Option<BootTime>,
        description: &str,
    ) -> Result<(), CommandError> {
        let (screen, consent) = (self.screen.clone(), Arc::clone(&self.consent));
        match self.wait_for(Spent::Question, clock, deadline, consent.ask(&screen, description)).await {
            Waited::Ended(answer) => answer,
            Waited::Interrupted => {
                // What comes next begins on a line of its own.
                self.screen.line("");
                Err(CommandError::cancelled())
            }
            Waited::TimeIsUp => Err(CommandError::text(
                ExitStatus::StoppedEarly,
                "no answer before the deadline; nothing was changed",
                None,
            )
            .ended("deadline")),
        }
    }
}

/// How a wait came to its end.
#[derive(Debug)]
pub(super) enum Waited<Output> {
    /// What was waited for is there.
    Ended(Output),
    /// The user asked to stop.
    Interrupted,
    /// The time until which to wait has come.
    TimeIsUp,
}
