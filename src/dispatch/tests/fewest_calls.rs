//! The fewest calls: packing held to the floor, and the search for dead machines to its bound, over random fleets against
//! a service in memory.
//!
//! Every fleet comes from a seed, which a failure prints. Time is virtual.

mod fleet;
mod registry;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::clock::BootTime;
use crate::model::{Change, DeviceValue, TagAction, TagNumber};
use crate::plan::isolation::worst_case_calls;
use crate::plan::schedule::{BucketCalls, finish_time};
use crate::quota::{Quota, QuotaScope};
use crate::sandbox::{BulkRefusalStatus, DeadNaming};

use fleet::{Fleet, LIMIT};
use registry::EVERY_NAMING;

const STATUSES: [BulkRefusalStatus; 2] = [BulkRefusalStatus::BadRequest, BulkRefusalStatus::NotFound];
/// How long an answer takes where nothing depends on it.
const LATENCY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(500);

/// d·(⌈log2(500/d)⌉ + 6): what is promised for so many dead machines in one call that names none of them.
fn promised_where_nobody_is_named(dead: u64) -> u64 {
    let halvings = (0..10).find(|halvings| dead << halvings >= 500).expect("no more than 500");
    dead * (halvings + 6)
}

/// What is promised for one first call, itself included.
fn promised(fleet: &Fleet, call: &[u32], naming: DeadNaming) -> u64 {
    let (machines, dead) = (call.len() as u64, fleet.dead_in(call));
    if call.iter().any(|machine| fleet.is_unlisted(*machine)) {
        // 2.5 for each machine, as a plan foretells.
        return (machines * 5 / 2).min(worst_case_calls(machines, LIMIT as u64).max(1));
    }
    // Fewer than half of a call must be named to be believed.
    let is_believed = match naming {
        DeadNaming::All => dead * 2 < machines,
        DeadNaming::One => machines > 2,
        DeadNaming::Absent | DeadNaming::Everybody => false,
    };
    match (machines, dead, naming) {
        (_, 0, _) => 1,
        // A 404 is believed the third time.
        (1, _, _) => 3,
        (_, _, DeadNaming::All) if is_believed => 1 + 2,
        (_, _, DeadNaming::One) if is_believed => 1 + 3 * dead,
        _ => promised_where_nobody_is_named(dead),
    }
}

/// Runs a fleet, and holds it to what is promised.
async fn is_within_the_promise(fleet: &Fleet, seed: u64, (naming, refusal): (DeadNaming, BulkRefusalStatus)) {
    let case =
        format!("seed {seed}, {} dead of {}, {naming:?} named, {refusal:?}", fleet.dead.len(), fleet.operations.len());
    let outcome = fleet.run(seed, (naming, refusal), "off", LATENCY).await;
    fleet.holds(&outcome, &case);
    let most: u64 = fleet.packed().iter().map(|call| promised(fleet, call, naming)).sum();
    let calls = outcome.tag_calls();
    assert!(calls <= most, "{case}: {calls} calls, {most} promised");
    assert!(calls <= fleet.singles().max(fleet.floor()), "{case}: {calls} calls, {} singles", fleet.singles());
}

#[tokio::test(start_paused = true)]
async fn fleets_without_dead_machines_take_exactly_the_floor() {
    for seed in 0..16 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut fleet = Fleet::random(&mut random);
        if seed % 3 == 0 {
            fleet.first_unlisted = random.u32(0..1000);
        }
        let naming = EVERY_NAMING[random.usize(0..3)];
        let outcome = fleet.run(seed, (naming, BulkRefusalStatus::BadRequest), "off", LATENCY).await;
        fleet.holds(&outcome, &format!("seed {seed}"));
        let books = outcome.registry.books.lock().expect("books");
        assert_eq!(books.tag_calls(), fleet.floor(), "seed {seed}: Σ ⌈n/500⌉ over tags and actions");
        let alone = fleet.packed().iter().filter(|call| call.len() == 1).count() as u64;
        assert_eq!(books.single_calls, alone, "seed {seed}: who is alone goes alone");
        let values = fleet.operations.iter().filter(|(_, change)| matches!(change, Change::DeviceValue(_))).count();
        assert_eq!(books.value_calls, values as u64, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn dead_machines_of_one_tag_cost_no_more_than_promised() {
    for (case, naming) in (0..).zip(EVERY_NAMING) {
        for (number, (dead, unlisted)) in
            (0..).zip([(1, false), (10, false), (60, false), (1, true), (10, true), (60, true)])
        {
            let seed = case * 100 + number;
            let mut random = fastrand::Rng::with_seed(seed);
            let mut fleet = Fleet::of_one_tag(500, &mut random);
            fleet.first_unlisted = if unlisted { 0 } else { u32::MAX };
            fleet.kill(dead, &mut random);
            is_within_the_promise(&fleet, seed, (naming, STATUSES[usize::from(number % 2 == 1)])).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dead_machines_in_random_fleets_cost_no_more_than_promised() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut fleet = Fleet::random(&mut random);
        let naming = EVERY_NAMING[random.usize(0..3)];
        let refusal = STATUSES[random.usize(0..2)];
        if random.bool() {
            fleet.first_unlisted = random.u32(0..1000);
        }
        let machines = fleet.operations.len();
        let share = [1000, 50, 20][random.usize(0..3)];
        fleet.kill(machines.div_ceil(share), &mut random);
        is_within_the_promise(&fleet, seed, (naming, refusal)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_foretold_end_holds_within_a_tenth() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let quota_text = ["off", "10/2s,30/20s", "5/1s", "20/10s,100/1m"][random.usize(0..4)];
        let quota: Quota = quota_text.parse().expect("a quota");
        let milliseconds = random.u64(20..400);
        let latency = Duration::from_millis(milliseconds);
        let mut fleet = Fleet::new();
        let (tags, values) = (random.u32(1..8), random.u32(1..80));
        for machine in 0..random.u32(1..60) {
            fleet.operations.extend((0..tags).map(|tag| (machine, Change::Tag(TagAction::Add, TagNumber(tag)))));
        }
        let value = Change::DeviceValue(DeviceValue::High);
        fleet.operations.extend((0..values).map(|machine| (machine, value)));
        let outcome =
            fleet.run(seed, (DeadNaming::All, BulkRefusalStatus::BadRequest), quota_text, latency..=latency).await;
        fleet.holds(&outcome, &format!("seed {seed}"));
        if quota.is_off() {
            continue;
        }
        let calls = BucketCalls { machines: 0, tags: fleet.floor(), bulk: 0, value: u64::from(values) };
        let now = BootTime::from_microseconds(0);
        let foretold = finish_time(&quota, QuotaScope::Api, now, calls, latency, |_buckets| Vec::new()).since(now);
        let (least, most) = (foretold.mul_f64(0.9), foretold.mul_f64(1.1) + latency);
        assert!((least..=most).contains(&outcome.elapsed), "seed {seed}: {foretold:?} foretold, {:?}", outcome.elapsed);
    }
}
