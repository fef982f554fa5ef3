//! What a run foretells of itself when its calls begin: how many operations will be done when, by the rule that lets its calls
//! through. Kept with the run, so that its report can hold what happened against it.

use super::tenant::Tenant;
use crate::api::{Transport, most_machines};
use crate::model::{Bucket, ChangeKind};
use crate::plan::schedule::{ASSUMED_ROUND_TRIP, Schedule, course, together};
use crate::quota::{Pacer, QuotaScope, side_by_side};
use crate::store::{ForetoldPoint, KeptLimit, NewRunSession, RunKey, StoreError, WorkCount, WorkKind};

/// Points that are kept of the schedule of a bucket.
const MOST_POINTS: u64 = 200;

/// What a session begins with that does not send anything.
pub(super) fn session<T: Transport>(tenant: &Tenant<T>, reading_options: &str) -> NewRunSession {
    let limits = tenant.gate.quota.limits().iter();
    let limits = limits.map(|limit| KeptLimit { window: limit.window, calls: limit.calls.get() });
    NewRunSession {
        version: env!("CARGO_PKG_VERSION"),
        limits: limits.collect(),
        quota_scope: tenant.gate.scope,
        foretold: Vec::new(),
        reading_options: reading_options.to_owned(),
    }
}

/// What the run foretells.
pub(super) async fn foretell<T: Transport>(
    tenant: &Tenant<T>,
    run: RunKey,
    bulk: bool,
) -> Result<Vec<ForetoldPoint>, StoreError> {
    let batch_limit = most_machines(bulk);
    let tags = work(tenant, run, &[(ChangeKind::Add, batch_limit), (ChangeKind::Remove, batch_limit)]).await?;
    let values = work(tenant, run, &[(ChangeKind::DeviceValue, 1)]).await?;
    let scope = tenant.gate.scope;
    let of = |bucket| scope.together_with(bucket);
    let mut of_buckets: Vec<(&[Bucket], WorkCount)> = match scope {
        QuotaScope::App => vec![(&Bucket::ALL, add(tags, values))],
        QuotaScope::Api => vec![(of(Bucket::Tags), tags), (of(Bucket::Value), values)],
        QuotaScope::Auto => {
            let (single, bulk) = side_by_side(&tenant.gate.quota, tags.alone, tags.calls - tags.alone);
            let single_operations = single.min(tags.operations);
            let single = WorkCount { calls: single, operations: single_operations, alone: single };
            let bulk = WorkCount { calls: bulk, operations: tags.operations - single_operations, alone: 0 };
            vec![(of(Bucket::Tags), single), (of(Bucket::BulkTags), bulk), (of(Bucket::Value), values)]
        }
    };
    of_buckets.retain(|(_, work)| work.calls > 0);
    let measured = tenant.store.mean_round_trip(tenant.account).await?;
    let round_trip = measured.unwrap_or(ASSUMED_ROUND_TRIP);
    let quota = &tenant.gate.quota;
    let longest = quota.limits().iter().map(|limit| limit.calls.get()).max().unwrap_or(0);
    let at_once = u32::try_from(tenant.gate.concurrency).unwrap_or(1).max(1);
    let spacing = if quota.is_off() { round_trip / at_once } else { Pacer::spacing(quota) };
    let mut courses = Vec::new();
    for (buckets, work) in of_buckets {
        let latest_ends = tenant.store.latest_ends(tenant.account, buckets.to_vec(), longest).await?;
        let schedule = Schedule { quota, latest_ends: &latest_ends, round_trip, spacing };
        courses.push(course(&schedule, tenant.clock.boot_time(), work.calls, work.operations, MOST_POINTS));
    }
    Ok(together(&courses).into_iter().map(|(after, done)| ForetoldPoint { after, done }).collect())
}

async fn work<T: Transport>(
    tenant: &Tenant<T>,
    run: RunKey,
    kinds: &[(ChangeKind, usize)],
) -> Result<WorkCount, StoreError> {
    let mut all = WorkCount::default();
    for (change, batch_limit) in kinds {
        for unlisted in [false, true] {
            let batch_limit = u32::try_from(*batch_limit).unwrap_or(u32::MAX);
            let kind = WorkKind { change: *change, unlisted };
            all = add(all, tenant.store.count_work(run, kind, batch_limit).await?);
        }
    }
    Ok(all)
}

const fn add(one: WorkCount, other: WorkCount) -> WorkCount {
    WorkCount {
        operations: one.operations + other.operations,
        calls: one.calls + other.calls,
        alone: one.alone + other.alone,
    }
}
