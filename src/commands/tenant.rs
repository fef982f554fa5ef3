//! A tenant that commands talk to: signed in, with its place in the ledger; its machines read, its finish time foretold.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::claim::Patience;
use super::reading::MachineReading;
use super::service::{Service, UNNAMED};
use super::{CommandError, ExitStatus};
use crate::call::GateSettings;
use crate::cli::QuotaOptions;
use crate::clock::{BootTime, SharedClock};
use crate::config::quota;
use crate::dispatch::StopRequest;
use crate::inventory::{Inventory, ReadError, ReadProgress};
use crate::model::{Bucket, Tag};
use crate::plan::recent::{Held, LIST_LAG, RecentWrites};
use crate::plan::schedule::{BucketCalls, finish_time};
use crate::report::{ReadingReport, Screen};
use crate::store::{AccountKey, Store};

/// How long a call takes, where nothing was measured yet.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(200);

/// A tenant, ready to be called.
pub(super) struct Tenant {
    pub(super) service: Service,
    pub(super) store: Store,
    pub(super) account: AccountKey,
    pub(super) clock: SharedClock,
    pub(super) gate: GateSettings,
    failed_reading: Mutex<ReadProgress>,
}

impl Tenant {
    /// Finds out whose quota is used, and opens the ledger. Says whether somebody interrupted it meanwhile; then the
    /// account may be a wrong one, and no call may be made.
    pub(super) async fn open(
        service: Service,
        state_directory: &Path,
        clock: SharedClock,
        quota_options: &QuotaOptions,
        deadline: Option<BootTime>,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
    ) -> Result<(Self, bool), CommandError> {
        let store = Store::open(state_directory, clock.clone()).await?;
        let (tenant, app, interrupted) = tokio::select! {
            (tenant, app) = service.identity() => (tenant, app, false),
            Some(_request) = stop_requests.recv() => (service.unnamed_tenant(), UNNAMED.to_owned(), true),
        };
        let account = store.account(&tenant, &app).await?;
        let (quota, scope) = quota(quota_options);
        let concurrency = usize::from(quota_options.concurrency);
        let maximum_outage = quota_options.max_outage.0;
        let gate = GateSettings { account, quota, scope, concurrency, deadline, maximum_outage };
        let failed_reading = Mutex::default();
        Ok((Self { service, store, account, clock, gate, failed_reading }, interrupted))
    }

    /// Reads the tenant's machines.
    pub(super) async fn read_machines(
        &self,
        screen: &Screen,
        quiet: bool,
        stop_requests: &mut mpsc::Receiver<StopRequest>,
    ) -> Result<(Inventory, ReadProgress), ReadError> {
        let mut report = ReadingReport::new(screen.clone(), quiet);
        let reading = MachineReading {
            service: &self.service,
            store: &self.store,
            clock: &self.clock,
            gate: self.gate.clone(),
            run: None,
            report: &mut report,
            stop_requests,
        };
        let read = reading.inventory().await;
        if read.is_err() {
            self.failed_reading.lock().unwrap_or_else(PoisonError::into_inner).clone_from(report.progress());
        }
        read
    }

    /// What the latest reading took that came to nothing.
    pub(super) fn failed_reading(&self) -> ReadProgress {
        self.failed_reading.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What our own writes of the last minutes made of the tenant, which its list may not show yet.
    pub(super) async fn recent_writes(&self) -> Result<RecentWrites, CommandError> {
        let since = self.clock.wall_time().checked_sub(LIST_LAG).unwrap_or(jiff::Timestamp::MIN);
        let mut recent = RecentWrites::default();
        if self.service.is_sandbox() {
            // Every sandbox begins anew; what an earlier one was told, this one has not heard of.
            return Ok(recent);
        }
        for write in self.store.recent_writes(self.account, self.service.host(), since).await? {
            let held = write.after.as_deref().map_or(Held::Unknown, Held::parse);
            let tag = write.tag.as_deref().map(Tag::new).transpose();
            // What is no tag is none of ours.
            if let Ok(tag) = tag {
                recent.note(write.machine, tag, held);
            }
        }
        Ok(recent)
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
            let calls = calls.machines + calls.tags + calls.value;
            let at_once = u64::try_from(self.gate.concurrency).unwrap_or(1).max(1);
            return Ok(round_trip * u32::try_from(calls.div_ceil(at_once)).unwrap_or(u32::MAX));
        }
        let longest = quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
        let mut latest = HashMap::new();
        for buckets in [&Bucket::ALL[..], &[Bucket::Machines], &[Bucket::Tags], &[Bucket::Value]] {
            let ends = self.store.latest_ends(self.account, buckets.to_vec(), longest).await?;
            latest.insert(buckets.to_vec(), ends);
        }
        let now = self.clock.boot_time();
        let end = finish_time(quota, self.gate.scope, now, calls, round_trip, |buckets| {
            latest.get(buckets).cloned().unwrap_or_default()
        });
        Ok(end.since(now))
    }

    /// How long to wait for runs that are in the way.
    pub(super) fn patience(&self, lock_wait: Option<Duration>, quiet: bool) -> Patience {
        Patience { lock_wait, deadline: self.gate.deadline, clock: self.clock.clone(), quiet }
    }

    /// Ends the sandbox, if it is one.
    pub(super) async fn close(self) {
        self.service.close().await;
    }
}

/// The clock of a command.
pub(super) fn system_clock() -> Result<SharedClock, CommandError> {
    let clock = crate::clock::SystemClock::new();
    let clock = clock.map_err(|error| CommandError::new(ExitStatus::StorageFailed, error, None))?;
    Ok(Arc::new(clock))
}
