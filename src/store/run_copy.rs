//! What a copy of the run under way consists of, and what is not written into it yet.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::attempt::{AttemptKey, AttemptRequest, Settlement};
use super::connection::SharedConnection;
use super::forms::RunKey;
use crate::clock::BootTime;

/// The copy, once there is one.
pub(super) type SharedRunCopy = Arc<OnceLock<RunCopy>>;

/// The copy of a run, and what is not written into it yet.
pub(super) struct RunCopy {
    pub(super) run: RunKey,
    pub(super) connection: SharedConnection,
    pub(super) notes: Mutex<Notes>,
}

/// What is not written into a copy yet.
#[derive(Default)]
pub(super) struct Notes {
    /// The calls that were let through and not settled, with when that was.
    pub(super) in_flight: HashMap<AttemptKey, (AttemptRequest, BootTime)>,
    /// What became of others, with when that was heard.
    pub(super) settled: Vec<(Settlement, Timestamp)>,
    /// How many operations these were about.
    pub(super) effects: usize,
}
