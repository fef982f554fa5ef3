//! Whoever makes calls for a run: what it has at hand, and what it has learned of the service so far.

mod attempts;
mod trouble;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::api::Transport;
use crate::clock::{BootTime, SharedClock};
use crate::model::Bucket;
use crate::store::Store;

use super::gate::{Gate, GateSettings};

/// How often an operation is sent before it is given up; with 16% of all calls failing, ten leave one in a hundred
/// million.
pub(crate) const MAXIMUM_ATTEMPTS: u32 = 10;
/// After how many attempts a single call waits for all others, so that they do not wait for it.
const PUT_OFF_AFTER: u32 = 3;
/// How often in a row a call's token may be refused, each time with another token.
const MAXIMUM_TOKEN_REFUSALS: u32 = 5;

/// Makes calls.
pub(crate) struct Caller<T> {
    transport: Arc<T>,
    store: Store,
    clock: SharedClock,
    gate: Gate,
    random: Mutex<fastrand::Rng>,
    started: BootTime,
    service_accepted: AtomicBool,
    was_reached: AtomicBool,
    connection_failures: AtomicU32,
}

impl<T: Transport> Caller<T> {
    /// A caller for one run. `seed` is for jitter; `drain` turning true stops every call that is not in flight.
    pub(crate) fn new(
        transport: Arc<T>,
        store: Store,
        clock: SharedClock,
        settings: GateSettings,
        seed: u64,
        drain: watch::Receiver<bool>,
    ) -> Self {
        Self {
            gate: Gate::new(settings, store.clone(), clock.clone(), drain),
            started: clock.boot_time(),
            transport,
            store,
            clock,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            service_accepted: AtomicBool::new(false),
            was_reached: AtomicBool::new(false),
            connection_failures: AtomicU32::new(0),
        }
    }

    /// Whether the service has accepted any write: then it knows us, and a refusal concerns one machine.
    pub(crate) fn service_accepted(&self) -> bool {
        self.service_accepted.load(Ordering::Acquire)
    }

    /// Makes no further calls of this bucket, while those of others go on; calls in flight are awaited.
    pub(crate) fn close(&self, bucket: Bucket) {
        self.gate.close(bucket);
    }

    /// Takes notice that only a few operations of this bucket are left: so they are no outage because nobody else is answered.
    pub(crate) fn note_stragglers(&self, bucket: Bucket) {
        self.gate.note_stragglers(bucket);
    }

    fn fraction(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }
}

#[cfg(test)]
mod tests;
