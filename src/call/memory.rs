//! What one call remembers between its attempts.

use std::time::Duration;

use super::judge::{History, RetryReason};
use super::outage::Pause;
use crate::clock::BootTime;

/// What one call remembers between its attempts.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) history: History,
    pub(super) attempts: u32,
    pub(super) failures: u32,
    pub(super) token_refusals: u32,
    pub(super) sign_in_failures: u32,
    /// When it first met trouble of the service.
    pub(super) in_trouble_since: Option<BootTime>,
    /// When it last did.
    pub(super) latest_trouble: Option<BootTime>,
    /// Whether it met trouble twice, and nobody in its bucket was answered between.
    pub(super) is_alone: bool,
    /// The pause that its bucket is in since its latest attempt: what failed is not held against it then.
    pub(super) pause: Option<Pause>,
    /// Attempts that failed for a reason which may lie in one machine: of a bulk call, in a pause or not, and of a single one
    /// in a pause.
    pub(super) troubled_attempts: u32,
    pub(super) before_next: BeforeNext,
    /// What its latest attempt met that is to be made again, but for a refusal for quota.
    pub(super) met: Option<(RetryReason, Option<u16>)>,
    /// How long the service asked to wait when it last refused an attempt for quota, as far as it said.
    pub(super) asked_to_wait: Option<Duration>,
    /// Whether what is sent next was sent before, and had no answer that ends the call.
    pub(super) repeats: bool,
}

/// What comes before a call's next attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BeforeNext {
    #[default]
    Nothing,
    /// It is to be found out if the service or the machine is in trouble.
    Question,
    /// All other calls.
    Others,
}

impl Memory {
    /// What is known when the call begins.
    pub(super) fn new(history: History) -> Self {
        let Some(trouble) = history.trouble else { return Self { history, ..Self::default() } };
        Self {
            history,
            attempts: trouble.attempts,
            failures: trouble.attempts,
            in_trouble_since: Some(trouble.since),
            // Of what was taken apart, nothing was sent alone.
            repeats: trouble.was_alone,
            ..Self::default()
        }
    }
}
