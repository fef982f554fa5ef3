//! What a copy of the run under way consists of, and what is not written into it yet.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::connection::SharedConnection;
use crate::clock::BootTime;
use crate::store::forms::attempt::{AttemptKey, AttemptRequest, Settlement};
use crate::store::forms::run::RunKey;

/// The copy, once there is one.
pub(in crate::store) type SharedRunCopy = Arc<OnceLock<RunCopy>>;

/// The copy of a run, and what is not written into it yet.
pub(in crate::store) struct RunCopy {
    pub(in crate::store) run: RunKey,
    pub(in crate::store) connection: SharedConnection,
    pub(in crate::store) notes: Mutex<Notes>,
}

/// What is not written into a copy yet.
#[derive(Default)]
pub(in crate::store) struct Notes {
    /// The calls that were let through and not settled, with when that was.
    pub(in crate::store) in_flight: HashMap<AttemptKey, (AttemptRequest, BootTime)>,
    /// What became of others, with when that was heard.
    pub(in crate::store) settled: Vec<(Settlement, Timestamp)>,
    /// How many operations these were about.
    pub(in crate::store) effects: usize,
}
