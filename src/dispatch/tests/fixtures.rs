//! What the tests of the engine share: a clock, a run to carry out, and nobody who listens.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Event, Observer, Progress};
use crate::call::GateSettings;
use crate::clock::{BootId, BootTime, SharedClock, VirtualClock};
use crate::model::{MachineId, Tag};
use crate::quota::QuotaScope;
use crate::store::{AccountKey, NewOperation, NewRun, RunKey, RunState, Store, StoreError};

/// When every test begins, in microseconds of boot time.
pub(super) const ORIGIN: i64 = 1_000_000_000;

pub(super) struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _event: &Event, _progress: &Progress) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn clock() -> SharedClock {
    let origin = BootTime::from_microseconds(ORIGIN);
    Arc::new(VirtualClock::new(BootId::new("boot".into()), origin, Timestamp::UNIX_EPOCH))
}

/// The id of the machine of this number.
pub(super) fn machine(number: u32) -> MachineId {
    MachineId::from_service(&format!("{number:040x}"))
}

/// A gate for every API on its own, without a deadline.
pub(super) fn gate(account: AccountKey, quota: &str, concurrency: usize) -> GateSettings {
    GateSettings {
        account,
        quota: quota.parse().expect("a quota"),
        scope: QuotaScope::Api,
        concurrency,
        deadline: None,
        maximum_outage: Duration::from_hours(2),
    }
}

/// Stores a run of these operations, ready to be carried out.
pub(super) async fn begin(
    store: &Store,
    account: AccountKey,
    tags: Vec<Tag>,
    operations: Vec<NewOperation>,
) -> Result<RunKey, StoreError> {
    let run = NewRun { input_digest: "same".into(), operations_digest: "same".into(), ..NewRun::sample(account) };
    let run = store.create_run(run).await?;
    store.add_tags(run, 0, tags).await?;
    store.add_operations(run, operations).await?;
    store.set_run_state(run, RunState::Running).await?;
    Ok(run)
}
