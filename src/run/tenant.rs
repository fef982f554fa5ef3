//! A tenant that commands talk to: signed in, with its place in the ledger; its machines read, its finish time foretold.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::context::{RunContext, Waited};
use super::lock_wait::LockWait;
use crate::api::Transport;
use crate::api::sign_in::SignInError;
use crate::call::{AbortCause, Caller, GateSettings, StopReason, WaitCause, on_blocking_thread};
use crate::clock::{BootTime, SharedClock};
use crate::dispatch::{EndReason, Spent};
use crate::exit::{CommandError, ExitStatus, RunSetting};
use crate::inventory::{Inventory, MachineSink};
use crate::listing::{self, ReadError, ReadProgress, WalkError};
use crate::model::MayHold;
use crate::plan::recent::{LIST_LAG, RecentWrites};
use crate::plan::schedule::{ASSUMED_ROUND_TRIP, BucketCalls, finish_time};
use crate::quota::window::counted_for;
use crate::quota::{Quota, QuotaScope};
use crate::report::{Fields, ListBuilder, ReadingReport};
use crate::store::{AccountKey, AttemptKey, KeptInDoubt, RecentSlotWrites, SlotWrite, Store, UnknownCalls};
use crate::words::{counted, describe_duration, minute};

/// How long runs are kept at the least: much longer than the list lags behind.
const KEPT_AT_LEAST: Duration = Duration::from_hours(1);
/// Why `auto` counts like `api`.
const TAG_CALLS_COUNT_TOGETHER: &str = "Single and bulk tag calls count together, as a refusal for quota has shown for \
    this app in the last 30 days.";
/// What a tenant or app is called that has no name.
const UNNAMED: &str = "unnamed";

/// A service to talk to, before it is known whose quota is used.
pub(crate) struct Service<T> {
    /// What carries the calls.
    pub(crate) transport: Arc<T>,
    /// The API's host.
    pub(crate) host: String,
    /// Where calls will go and as whom, for people.
    pub(crate) description: String,
    /// Whether it is a sandbox that began with this command and ends with it.
    pub(crate) is_sandbox: bool,
}

/// Whose quota is used, as far as settings or token tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    pub(crate) tenant: Option<String>,
    pub(crate) app: Option<String>,
    /// Whether a person has signed in, whose list shows only some of the tenant's machine groups.
    pub(crate) is_person: bool,
}

/// How calls are made, for every command.
#[derive(Clone, Debug)]
pub(crate) struct CallOptions {
    /// The limits of each bucket.
    pub(crate) quota: Quota,
    /// Which calls count together.
    pub(crate) scope: QuotaScope,
    /// Calls in flight at the most.
    pub(crate) concurrency: usize,
    /// No call starts after this moment.
    pub(crate) deadline: Option<BootTime>,
    /// How long the service may be in trouble.
    pub(crate) maximum_outage: Duration,
}

/// The tenant's machines, as its list showed them.
pub(super) struct MachinesRead {
    pub(super) inventory: Inventory,
    /// What it took.
    pub(super) progress: ReadProgress,
    /// When it began: of what we wrote since, the list says nothing.
    pub(super) began_at: BootTime,
}

/// Our own writes, as far as a list has to be doubted for them.
#[derive(Default)]
pub(super) struct OwnWrites {
    /// Those that go before what a list shows.
    pub(super) recent: RecentWrites,
    /// The last attempt that was let through until then.
    pub(super) as_of: AttemptKey,
}

/// A tenant, ready to be called.
pub(crate) struct Tenant<T> {
    pub(super) transport: Arc<T>,
    pub(super) host: String,
    pub(super) description: String,
    pub(super) is_sandbox: bool,
    pub(super) store: Store,
    pub(super) account: AccountKey,
    pub(super) clock: SharedClock,
    pub(super) gate: GateSettings,
    /// Why it is not known whose quota is used. Then no call may be made, and the store is one in memory.
    pub(super) unknown: Option<EndReason>,
    is_person: bool,
    failed_reading: Mutex<ReadProgress>,
    /// The machines as they were read before the input was, for the next who wants to read them.
    read_ahead: Mutex<Option<MachinesRead>>,
}

impl<T: Transport> Tenant<T> {
    /// Finds out whose quota is used.
    pub(crate) async fn open(
        service: Service<T>,
        identity: impl Future<Output = Result<Identity, SignInError>>,
        store: Store,
        clock: SharedClock,
        calls: CallOptions,
        context: &mut RunContext,
    ) -> Result<Self, CommandError> {
        let (since, mut failed_reading) = (clock.wall_time(), ReadProgress::default());
        let identity = match context.wait_for(Spent::SignIn, clock.as_ref(), calls.deadline, identity).await {
            Waited::Ended(identity) => identity.map_err(|error| EndReason::Aborted(AbortCause::SignIn(error))),
            Waited::Interrupted => Err(EndReason::Interrupted),
            Waited::TimeIsUp => {
                failed_reading.in_the_way = Some((WaitCause::Token { since }, None));
                Err(EndReason::Deadline)
            }
        };
        let (store, identity, unknown) = match identity {
            Ok(identity) => (store, identity, None),
            // A second account of one app would have a second quota, so what is said of rows is kept in memory only.
            Err(reason) => (Store::in_memory(clock.clone())?, Identity::default(), Some(reason)),
        };
        let Identity { tenant, app, is_person } = identity;
        let tenant = tenant.unwrap_or_else(|| format!("{UNNAMED} at {}", service.host));
        let account = store.account(&tenant, app.as_deref().unwrap_or(UNNAMED)).await?;
        let CallOptions { quota, mut scope, concurrency, deadline, maximum_outage } = calls;
        if scope.counts_bulk_apart() && store.tag_calls_count_together(account).await? {
            scope = QuotaScope::Api;
            context.screen.line(TAG_CALLS_COUNT_TOGETHER);
        }
        if let Some(unknown) = store.unknown_calls().await?
            && let Some(text) = unknown_calls_text(&unknown, &quota, clock.boot_time())
        {
            context.screen.warning(&text);
        }
        if let Some(live_status) = context.live_status.as_ref().filter(|_| unknown.is_none()) {
            live_status.open_books(&store, &clock, account, &quota, scope).await;
        }
        let gate = GateSettings { account, quota, scope, concurrency, deadline, maximum_outage };
        let Service { transport, host, description, is_sandbox } = service;
        let failed_reading = Mutex::new(failed_reading);
        let read_ahead = Mutex::default();
        Ok(Self {
            transport,
            host,
            description,
            is_sandbox,
            store,
            account,
            clock,
            gate,
            unknown,
            is_person,
            failed_reading,
            read_ahead,
        })
    }

    /// Refuses to go on where it is not known whose quota is used.
    pub(super) fn refuse_unknown(&self) -> Result<(), CommandError> {
        match &self.unknown {
            None => Ok(()),
            Some(EndReason::Aborted(AbortCause::SignIn(error))) => Err(CommandError::sign_in(error.clone())),
            Some(EndReason::Deadline) => {
                let message = "the deadline came before the sign-in service answered; nothing was sent";
                let error = CommandError::text(ExitStatus::StoppedEarly, message, None).ended("deadline");
                Err(error.about(RunSetting::Deadline))
            }
            Some(_) => {
                let message = "interrupted before anything was sent";
                Err(CommandError::text(ExitStatus::StoppedEarly, message, None).ended("interrupted"))
            }
        }
    }

    /// Says that a change of all machines may not be one of all where a person has signed in.
    pub(super) fn note_person(&self, context: &RunContext) {
        if self.is_person {
            context.screen.note(
                "signed in as a person, whose list shows only the machine groups that the person may see: other machines stay \
                 as they are",
            );
        }
    }

    /// Refuses rules where a person has signed in: machines that the list does not show to this person would pass for gone.
    pub(super) fn refuse_person(&self) -> Result<(), CommandError> {
        if !self.is_person {
            return Ok(());
        }
        let message = "files of rules need a list of the whole tenant, and a person's list shows only the machine groups \
            that the person may see; nothing was planned";
        let hint = "sign in as an app (tagfleet help sign-in)";
        Err(CommandError::text(ExitStatus::InputRefused, message, Some(hint)))
    }

    /// Refuses to resume a run or to take one back where this process was the first to see that the state has lost a
    /// part of its history. To work with what is left, the user asks again.
    pub(super) fn refuse_loss(&self) -> Result<(), CommandError> {
        self.store.loss().map_or(Ok(()), |loss| Err(loss.clone().into()))
    }

    /// Deletes runs that have been left alone for this long, and says so where the clock keeps them. Runs of
    /// the last hour stay, since the list may not show their writes yet.
    pub(super) async fn prune(&self, keep: Duration, context: &RunContext) -> Result<(), CommandError> {
        if let Some(KeptInDoubt { runs, jumped_by }) = self.store.prune(keep.max(KEPT_AT_LEAST)).await? {
            context.screen.warning(&format!(
                "the clock shows {}, {} more than when tagfleet was last used here. {} older by it than --keep-runs, and \
                 kept in case it is wrong until it has gone on for a day",
                minute(self.clock.wall_time(), &TimeZone::system()),
                days(jumped_by),
                counted(runs, "run is", "runs are"),
            ));
        }
        Ok(())
    }

    /// Reads the tenant's machines, unless they were read ahead.
    pub(super) async fn read_machines(&self, context: &mut RunContext) -> Result<MachinesRead, ReadError> {
        let ahead = self.read_ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        match ahead {
            Some(machines) => Ok(machines),
            None => self.read_list(ListBuilder::default(), context).await.map(|(machines, _fields)| machines),
        }
    }

    /// Whether the machines were read ahead, and no plan has taken them yet.
    pub(super) fn has_read(&self) -> bool {
        self.read_ahead.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Keeps what was read ahead for the next who wants to read the machines.
    pub(super) fn keep_read(&self, machines: MachinesRead) {
        *self.read_ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(machines);
    }

    /// Reads the tenant's machines. A read changes nothing, so it need not be waited for: the first interrupt ends it,
    /// and so does the deadline.
    pub(super) async fn read_list(
        &self,
        list: ListBuilder,
        context: &mut RunContext,
    ) -> Result<(MachinesRead, Fields), ReadError> {
        let (began_at, began) = (self.clock.boot_time(), self.clock.wall_time());
        let mut report = ReadingReport::new(context.screen.clone(), context.quiet);
        let (_going_on, draining) = watch::channel(false);
        let caller = self.caller(draining, context);
        let reading = listing::read(&caller, &self.clock, None, list, &mut report);
        let read = match context.wait(self.clock.as_ref(), self.gate.deadline, reading).await {
            Waited::Ended(Err(ReadError::Stopped(StopReason::Deadline))) | Waited::TimeIsUp => {
                Err(ReadError::TimeIsUp { in_the_way: report.progress().in_the_way })
            }
            Waited::Ended(read) => read,
            Waited::Interrupted => Err(ReadError::Stopped(StopReason::Draining)),
        };
        if self.is_sandbox && matches!(read, Err(ReadError::Walk(WalkError::Nobody))) {
            // It holds the machines that the input names, and none if that names none.
            let now = self.clock.wall_time();
            let (inventory, progress) = (Inventory::from_machines(now, []), report.progress().clone());
            return Ok((MachinesRead { inventory, progress, began_at }, Fields::default()));
        }
        if read.is_err() {
            self.failed_reading.lock().unwrap_or_else(PoisonError::into_inner).clone_from(report.progress());
        }
        let (list, progress) = read?;
        let ended = self.clock.wall_time();
        let (builder, fields) = list.into_parts();
        let inventory = on_blocking_thread(move || builder.finish(began, ended)).await;
        Ok((MachinesRead { inventory, progress, began_at }, fields))
    }

    /// Reads the tenant's machines into a sink.
    pub(super) async fn read_into<S: MachineSink>(
        &self,
        sink: S,
        report: &mut ReadingReport,
        context: &mut RunContext,
    ) -> Result<S, CommandError> {
        let (_going_on, draining) = watch::channel(false);
        let caller = self.caller(draining, context);
        // An export of the machines has no deadline.
        match context.wait(self.clock.as_ref(), None, listing::read(&caller, &self.clock, None, sink, report)).await {
            Waited::Ended(read) => Ok(read.map(|(sink, _)| sink)?),
            Waited::Interrupted | Waited::TimeIsUp => Err(interrupted()),
        }
    }

    pub(super) fn caller(&self, draining: watch::Receiver<bool>, context: &mut RunContext) -> Caller<T> {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        Caller::new(Arc::clone(&self.transport), store, clock, self.gate.clone(), context.random.u64(..), draining)
    }

    /// What the latest reading took that came to nothing.
    pub(super) fn failed_reading(&self) -> ReadProgress {
        self.failed_reading.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What our own writes made of the tenant that a list may not show whose reading began then: those of the minutes before,
    /// and all since.
    pub(super) async fn own_writes(&self, reading_began_at: BootTime) -> Result<OwnWrites, CommandError> {
        let now = self.clock.boot_time();
        let within = LIST_LAG + now.since(reading_began_at);
        // What is not known may have come after what is known.
        let is_all_known = self.store.unknown_calls().await?.is_none_or(|unknown| now.since(unknown.ended_by) > within);
        let RecentSlotWrites { writes, as_of } = self.store.recent_writes(self.account, &self.host, within).await?;
        let mut recent = RecentWrites::default();
        // Every sandbox begins anew; what an earlier one was told, this one has not heard of.
        for write in writes.filter(|_| !self.is_sandbox) {
            // Nor what was there meanwhile.
            let replaced = if is_all_known { MayHold::only(write.before).or(write.found) } else { MayHold::ANYTHING };
            match write {
                SlotWrite { surely: true, .. } if is_all_known => {
                    recent.note(write.slot, replaced, write.wrote, write.age);
                }
                SlotWrite { answered: true, .. } if is_all_known => {
                    recent.note_other_form(write.slot, replaced, write.wrote, write.age);
                }
                _ => recent.note_doubtful(write.slot, replaced, write.wrote, write.age),
            }
        }
        Ok(OwnWrites { recent, as_of })
    }

    /// How long so many calls take from now on, by the quota's schedule and what the ledger says is used.
    pub(super) async fn foretell(
        &self,
        calls: BucketCalls,
        read: Option<&ReadProgress>,
    ) -> Result<Duration, CommandError> {
        let of_read = read.filter(|read| read.calls > 0).map(|read| {
            let calls = u32::try_from(read.calls).unwrap_or(u32::MAX);
            ASSUMED_ROUND_TRIP.min(read.elapsed / calls)
        });
        let measured = self.store.mean_round_trip(self.account).await?;
        let round_trip = measured.or(of_read).unwrap_or(ASSUMED_ROUND_TRIP);
        let quota = &self.gate.quota;
        if quota.is_off() {
            let calls = calls.machines + calls.tags + calls.bulk + calls.value;
            let at_once = u64::try_from(self.gate.concurrency).unwrap_or(1).max(1);
            return Ok(round_trip * u32::try_from(calls.div_ceil(at_once)).unwrap_or(u32::MAX));
        }
        let longest = quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
        let mut latest = HashMap::new();
        for buckets in self.gate.scope.groups() {
            let ends = self.store.latest_ends(self.account, buckets.to_vec(), longest).await?;
            latest.insert(*buckets, ends);
        }
        let now = self.clock.boot_time();
        let end = finish_time(quota, self.gate.scope, now, calls, round_trip, |buckets| {
            latest.get(buckets).cloned().unwrap_or_default()
        });
        Ok(end.since(now))
    }

    /// How long to wait for runs that are in the way.
    pub(super) fn lock_wait(&self, most: Option<Duration>) -> LockWait {
        LockWait { most, deadline: self.gate.deadline, clock: self.clock.clone() }
    }
}

/// What is said of calls that are not known, as long as they may fill a window of the quota.
pub(crate) fn unknown_calls_text(unknown: &UnknownCalls, quota: &Quota, now: BootTime) -> Option<String> {
    let longest = quota.limits().last()?.window;
    let free = unknown.ended_by.plus(counted_for(longest));
    let at_worst = unknown.ended_by_at_worst.map(|ended_by| ended_by.plus(counted_for(longest)));
    (free.max(at_worst.unwrap_or(free)) > now).then(|| {
        let otherwise = at_worst.filter(|at_worst| *at_worst > free).map_or(String::new(), |at_worst| {
            let then = describe_duration(at_worst.since(now));
            format!(", or in {then} where a process does not come back that was at work when another server took over")
        });
        format!(
            "{}, so it is not known which calls were made. The quota counts as used up: the first calls start in {}{otherwise}",
            unknown.why.text(),
            describe_duration(free.since(now)),
        )
    })
}

fn days(duration: Duration) -> String {
    counted(duration.as_secs() / (24 * 3600), "day", "days")
}

/// A read that was interrupted.
pub(super) fn interrupted() -> CommandError {
    CommandError::text(
        ExitStatus::StoppedEarly,
        "interrupted while the tenant's machines were read; nothing was changed",
        None,
    )
    .ended("interrupted")
}
