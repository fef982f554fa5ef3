//! Many seeds, and a run of many hours. Where nothing may be skipped, there are more of both.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// How many random runs are made.
const SEEDS: Extent<u64> = Extent { usual: 400, whole: 2_000 };
/// How many machines the long run has: three hours of the quota, or more than a day.
const MACHINES: Extent<u32> = Extent { usual: 6_000, whole: 50_000 };

/// How much is tried.
struct Extent<Count> {
    /// In every test run.
    usual: Count,
    /// Where nothing may be skipped.
    whole: Count,
}

impl<Count> Extent<Count> {
    fn today(self) -> Count {
        if std::env::var_os("TAGFLEET_TESTS_SKIP_NOTHING").is_some() { self.whole } else { self.usual }
    }
}

#[test]
fn a_storm_leaves_every_operation_with_its_true_outcome() {
    let (next, seeds) = (AtomicU64::new(0), SEEDS.today());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _thread in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
                    runtime.expect("a runtime").block_on(storm(seed));
                }
            });
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_long_run_ends_within_a_hundredth_of_the_bound() {
    let (quota, machines) = ("100/1m,1500/1h", MACHINES.today());
    let operations: Vec<_> =
        (0..machines).map(|number| (machine(number), Change::DeviceValue(DeviceValue::High))).collect();
    let simulation = Simulation::new(1, operations, quota, CALM, 150).await;
    // The forecast of the end is made at every tick; a few are enough here.
    let settings = DispatchSettings { tick: Duration::from_hours(8), ..simulation.settings(1, quota) };
    let (reason, progress) = simulation.run(settings).await;
    assert!(matches!(reason, EndReason::Finished), "{reason:?}");
    assert_eq!(progress.count(Status::Succeeded), u64::from(machines));
    assert_eq!(simulation.service.world.lock().expect("a world").violations, Vec::<String>::new());
    let bound = crate::plan::schedule::lower_bound(&quota.parse().expect("a quota"), u64::from(machines));
    assert!(progress.elapsed >= bound, "{:?} is under the bound {bound:?}", progress.elapsed);
    assert!(progress.elapsed <= bound.mul_f64(1.01), "{:?} is over the bound {bound:?}", progress.elapsed);
}
