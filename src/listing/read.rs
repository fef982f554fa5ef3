//! Reading the tenant's machines: page after page through one [`Caller`], each handed on before the next is asked for.
//!
//! Reads count in the ledger as every call does, and wait as every call does; whoever watches is told for what and until
//! when. What surprises: there is nothing to undo in a read, so an interrupt need not be waited out; dropping the future
//! ends it, and the ledger takes the call in flight for one that is lost.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::walk::{PageLimits, PageSummary, PageWalk, WalkError, WalkStep};
use crate::api::{MachinePage, Transport};
use crate::call::{
    AbortCause, Call, CallEnd, CallId, CallReport, Caller, History, Notice, Phase, Questions, ReadAnswer, Reports,
    RetryReason, StopReason, WaitCause, asks_for_patience, on_blocking_thread,
};
use crate::clock::{BootTime, SharedClock};
use crate::inventory::MachineSink;
use crate::model::{AnswerFacts, MachineId};
use crate::store::{RunKey, StoreError};

/// How often whoever watches is told where the reading stands.
const TICK: Duration = Duration::from_millis(500);
/// An answer that is not there by then is worth a word.
const SLOW_ANSWER: Duration = Duration::from_secs(5);
/// Reports that may wait to be heard.
const REPORT_QUEUE_LENGTH: usize = 64;

/// Something that happened while the machines were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListingEvent {
    /// The first page is about to be asked for.
    Started,
    /// A page has come, or some time has passed, or what is awaited has changed.
    Progress,
    /// Something that people should know; each comes once.
    Notice(Notice),
    /// No more pages are asked for.
    Ended,
}

/// Where the reading stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadProgress {
    /// Pages that have come.
    pub pages: u64,
    /// Machines on them, each id once.
    pub machines: u64,
    /// Machines that came again on a later page, as those do by which pages are known to fit together.
    pub repeated: u64,
    /// What stood on the pages and could not be read as a machine with an id.
    pub skipped: u64,
    /// Requests made.
    pub calls: u64,
    /// Requests refused for quota.
    pub throttled: u64,
    /// Requests made again after a failure, or because what came was in doubt.
    pub retried: u64,
    /// What is waited for now, and until when, if that is known.
    pub waiting: Option<(WaitCause, Option<Timestamp>)>,
    /// What stands in the way, and until when, if that is known: the latest wait, unless a page has come since.
    pub in_the_way: Option<(WaitCause, Option<Timestamp>)>,
    /// How long it has been going on.
    pub elapsed: Duration,
    /// How much of that it waited for a token.
    pub signing_in: Duration,
}

/// Shows a reading.
pub(crate) trait ListingObserver: Send {
    /// Takes notice of an event. Events come in order.
    fn observe(&mut self, event: ListingEvent, progress: &ReadProgress);
}

/// Why the machines could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The service does not let the app read machines.
    #[error("the service does not let this app read the list of machines ({})", words(.facts))]
    Forbidden {
        /// What the answer said of itself.
        facts: AnswerFacts,
    },
    /// The service refused the call for another reason, or failed for so long that it was given up.
    #[error("the list of machines cannot be read ({})", words(.facts))]
    Failed {
        /// What the last answer said of itself.
        facts: AnswerFacts,
    },
    /// Nothing sent after this can succeed.
    #[error("the list of machines cannot be read")]
    Aborted(AbortCause),
    /// The reading was stopped before its end.
    #[error("reading the list of machines was stopped")]
    Stopped(StopReason),
    /// The deadline came first.
    #[error("the list of machines was not read before the deadline")]
    TimeIsUp {
        /// What stood in the way, and when it was to be tried again.
        in_the_way: Option<(WaitCause, Option<Timestamp>)>,
    },
    /// The list has no end, nobody in it, or pages that do not fit together.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The ledger failed.
    #[error("calls were stopped, since they can no longer be counted")]
    Store(#[from] StoreError),
    /// The machines take more memory than a tenant's may.
    #[error("the list has more than this program holds in memory: the limit was reached behind {machines} machines")]
    TooLarge {
        /// Machines on the pages before.
        machines: u64,
    },
    /// The machines could not be handed on.
    #[error("the machines that were read cannot be kept")]
    Sink(#[source] io::Error),
}

impl ReadError {
    /// Whether asking again later has no point: the service finds the request wrong, or the app without permission, or
    /// shows it nobody.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Forbidden { .. } | Self::Walk(WalkError::Nobody) => true,
            Self::Failed { facts } => {
                let is_the_services = facts.error_code.as_deref() != Some(RetryReason::NotUnderstood.code());
                let is_meant = |status| matches!(status, 400..=499) && !asks_for_patience(status);
                facts.http_status.is_some_and(is_meant) && is_the_services
            }
            _ => false,
        }
    }

    /// What the user can do about it; of a cause that other calls meet as well, its own hint says that.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Forbidden { .. } => {
                "give the app the application permission Machine.ReadWrite.All for WindowsDefenderATP (Machine.Read.All is \
                 enough to read), with an administrator's consent, and check --cloud: a token for another cloud is refused \
                 as well"
            }
            Self::Failed { .. } if self.is_refusal() => {
                "the service rejects the request; its message says why. A file of machine ids can be applied without the list \
                 (apply --no-inventory), which then finds nothing that is already set"
            }
            Self::Failed { .. } => {
                "the service, or a proxy on the way, is in trouble; run the same command again later. A file of \
                 machine ids can be applied without the list (apply --no-inventory), which then finds nothing that is already set"
            }
            Self::Walk(WalkError::Nobody) => {
                "check --base-url (the address without api/machines) and --cloud, that the app has Machine.ReadWrite.All \
                 for this tenant, and the machine groups: a person sees only those of their roles. A tenant that really is \
                 empty has nothing to retag"
            }
            Self::Walk(_) => "the service's list goes wrong; try again later",
            Self::TooLarge { .. } => {
                "a million machines with ten tags each fit in; if this tenant really has more, apply files of machine \
                 ids without the list (apply --no-inventory)"
            }
            Self::Sink(_) => "check the folder, its permissions and the room on the disk",
            Self::Aborted(_) | Self::Stopped(_) | Self::TimeIsUp { .. } | Self::Store(_) => return None,
        })
    }
}

/// What an answer said, in a few words.
fn words(facts: &AnswerFacts) -> String {
    let status = facts.http_status.map(|status| format!("HTTP {status}"));
    let parts = [status.as_deref(), facts.error_code.as_deref(), facts.error_message.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Reads the tenant's machines into a sink, and gives it back. Dropping the future ends the reading.
///
/// # Errors
/// [`ReadError`] when not all of them could be read, or the sink takes no more.
pub(crate) async fn read<T: Transport, S: MachineSink>(
    caller: &Caller<T>,
    clock: &SharedClock,
    run: Option<RunKey>,
    mut sink: S,
    observer: &mut dyn ListingObserver,
) -> Result<(S, ReadProgress), ReadError> {
    let (sender, reports) = mpsc::channel(REPORT_QUEUE_LENGTH);
    let (started, progress) = (clock.boot_time(), ReadProgress::default());
    let mut reading = Reading {
        caller,
        clock,
        observer,
        sender,
        reports,
        started,
        progress,
        sent_at: None,
        signing_in_since: None,
        was_in_doubt: false,
        notices: Vec::new(),
    };
    reading.tell(ListingEvent::Started);
    let mut walk = PageWalk::new(PageLimits::default());
    let mut latest = PageIds::default();
    for number in 0.. {
        let call = Call {
            id: CallId(number),
            request: walk.request(),
            run,
            operations: Vec::new(),
            history: History::default(),
            questions: Questions::default(),
        };
        let step = match reading.page(&call).await? {
            None => walk.take_none()?,
            Some(page) if !latest.is_followed_by(&page, walk.overlap()) => walk.take_unfit()?,
            Some(page) => {
                let (items, has_next_link, skipped) = (page.item_count(), page.has_next_link, page.skipped);
                let taken = on_blocking_thread(move || hand_on(page, sink)).await;
                let machines = reading.progress.machines;
                let (returned, ids, new_machines) = taken.map_err(|error| match error.kind() {
                    io::ErrorKind::OutOfMemory => ReadError::TooLarge { machines },
                    _ => ReadError::Sink(error),
                })?;
                (sink, latest) = (returned, ids);
                reading.progress.pages += 1;
                reading.progress.machines += new_machines;
                reading.progress.skipped += skipped;
                reading.progress.repeated += (items - skipped).saturating_sub(new_machines);
                walk.take(PageSummary { items, new_machines, has_next_link })?
            }
        };
        reading.was_in_doubt = step == WalkStep::Again;
        reading.tell(ListingEvent::Progress);
        if step == WalkStep::Done {
            break;
        }
    }
    reading.tell(ListingEvent::Ended);
    Ok((sink, reading.progress))
}

/// Gives a page's machines to the sink, and says which they were and how many were new to it.
fn hand_on<S: MachineSink>(page: MachinePage, mut sink: S) -> io::Result<(S, PageIds, u64)> {
    let mut new_machines = 0;
    for machine in &page.machines {
        new_machines += u64::from(sink.take(machine)?);
    }
    Ok((sink, PageIds::of(page), new_machines))
}

/// Among the machines of a page that the one before had, so many may have come since: one, and this part of the page.
const NEWCOMERS_DIVISOR: usize = 1_000;

/// The machines of a page, by their places on it.
#[derive(Default)]
struct PageIds(HashMap<MachineId, usize>);

impl PageIds {
    fn of(page: MachinePage) -> Self {
        let ids = page.machines.into_iter().map(|machine| MachineId::from_service(&machine.id));
        Self(ids.zip(0..).collect())
    }

    /// Whether the list goes on with this page, which repeats so many machines of this one: what it repeats is the tail
    /// of this one. So one of those at its head is known from here, those that are known come in the order that they had,
    /// and hardly anybody unknown stands among them. A list without a lasting order mixes them.
    fn is_followed_by(&self, page: &MachinePage, overlap: u64) -> bool {
        if overlap == 0 {
            return true;
        }
        let places = page.machines.iter().map(|machine| self.0.get(&MachineId::from_service(&machine.id)));
        let places: Vec<Option<usize>> = places.map(Option::<&usize>::copied).collect();
        let repeated = places.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let known: Vec<usize> = places.iter().copied().flatten().collect();
        let head = places.iter().take(usize::try_from(overlap).unwrap_or(usize::MAX));
        head.flatten().next().is_some()
            && known.is_sorted()
            && repeated - known.len() <= 1 + places.len() / NEWCOMERS_DIVISOR
    }
}

/// A reading under way.
struct Reading<'a, T> {
    caller: &'a Caller<T>,
    clock: &'a SharedClock,
    observer: &'a mut dyn ListingObserver,
    sender: mpsc::Sender<CallReport>,
    reports: mpsc::Receiver<CallReport>,
    started: BootTime,
    progress: ReadProgress,
    /// When the request was sent that is on its way.
    sent_at: Option<BootTime>,
    /// Since when a token is waited for, as far as it is not in the books.
    signing_in_since: Option<BootTime>,
    /// Whether what came last was in doubt, so that the next call asks for the same again.
    was_in_doubt: bool,
    notices: Vec<Notice>,
}

impl<T: Transport> Reading<'_, T> {
    /// The page that the call asks for; `None` when there is none.
    async fn page(&mut self, call: &Call) -> Result<Option<MachinePage>, ReadError> {
        match self.perform(call).await? {
            CallEnd::Read(ReadAnswer::Page(page)) => Ok(Some(page)),
            // A read ends in no other way; a page that is none ends the list.
            CallEnd::Read(ReadAnswer::NotFound | ReadAnswer::Machine(_))
            | CallEnd::Settled(_)
            | CallEnd::Refused(..) => Ok(None),
            CallEnd::ReadFailed(outcome) if outcome.send_again => Err(ReadError::Forbidden { facts: outcome.answer }),
            CallEnd::ReadFailed(outcome) => Err(ReadError::Failed { facts: outcome.answer }),

            CallEnd::Stopped(reason) => Err(ReadError::Stopped(reason)),
            CallEnd::Aborted(cause, _) => Err(ReadError::Aborted(cause)),
        }
    }

    async fn perform(&mut self, call: &Call) -> Result<CallEnd, StoreError> {
        let reports = Reports::new(self.sender.clone());
        let performing = self.caller.perform(call, &reports);
        tokio::pin!(performing);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let end = loop {
            tokio::select! {
                biased;
                Some(report) = self.reports.recv() => self.note(&report),
                end = &mut performing => break end,
                _ = tick.tick() => self.tell(ListingEvent::Progress),
            }
        };
        while let Ok(report) = self.reports.try_recv() {
            self.note(&report);
        }
        end
    }

    /// Takes a call's report into the books.
    fn note(&mut self, report: &CallReport) {
        self.progress.waiting = None;
        self.note_signing_in(&report.phase);
        match &report.phase {
            Phase::Waiting { cause, until } => {
                let now = self.clock.boot_time();
                let moment = |until: BootTime| self.clock.wall_time().checked_add(until.since(now)).ok();
                let wait = (*cause, until.and_then(moment));
                self.progress.waiting = Some(wait);
                if cause.is_in_the_way() {
                    self.progress.in_the_way = Some(wait);
                }
                self.tell(ListingEvent::Progress);
            }
            Phase::SigningIn | Phase::InLine => self.tell(ListingEvent::Progress),
            // Told at once: a reading that fails, or is dropped, tells nothing any more.
            Phase::Sending { is_repeat, .. } => {
                self.progress.calls += 1;
                self.progress.retried += u64::from(*is_repeat || std::mem::take(&mut self.was_in_doubt));
                self.sent_at = Some(self.clock.boot_time());
                self.tell(ListingEvent::Progress);
            }
            Phase::NotSent { .. } => {
                (self.progress.calls, self.sent_at) = (self.progress.calls.saturating_sub(1), None);
            }
            Phase::Answered { retry, throttled } => {
                self.progress.throttled += u64::from(*throttled);
                self.sent_at = None;
                if retry.is_none() && !throttled {
                    self.progress.in_the_way = None;
                }
                self.tell(ListingEvent::Progress);
            }
            Phase::Notice(notice) => {
                if !self.notices.contains(notice) {
                    self.notices.push(*notice);
                    self.tell(ListingEvent::Notice(*notice));
                }
            }
        }
    }

    /// A token is waited for from one of these phases until another.
    fn note_signing_in(&mut self, phase: &Phase) {
        let now = self.clock.boot_time();
        let since = match phase {
            Phase::SigningIn | Phase::Waiting { cause: WaitCause::Token { .. }, .. } => Some(now),
            Phase::Notice(_) => return,
            _ => None,
        };
        let before = std::mem::replace(&mut self.signing_in_since, since);
        self.progress.signing_in += before.map(|before| now.since(before)).unwrap_or_default();
    }

    fn tell(&mut self, event: ListingEvent) {
        let now = self.clock.boot_time();
        self.progress.elapsed = now.since(self.started);
        if let Some(since) = &mut self.signing_in_since {
            self.progress.signing_in += now.since(std::mem::replace(since, now));
        }
        if let Some(sent) = self.sent_at
            && let Ok(since) = self.clock.wall_time().checked_sub(now.since(sent))
        {
            let wait = (WaitCause::Answer { since }, None);
            self.progress.in_the_way.get_or_insert(wait);
            if now.since(sent) >= SLOW_ANSWER {
                self.progress.waiting = Some(wait);
            }
        }
        self.observer.observe(event, &self.progress);
    }
}

#[cfg(test)]
mod tests;
