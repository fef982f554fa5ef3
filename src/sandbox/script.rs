//! What is to go wrong, call by call, where dice would not do: data that a test writes down.
//!
//! ```ignore
//! Mishap::answering(503, "{}").at(&machine).times(3)
//! Mishap::of(Fault::LostAnswer).on(&[CallKind::Bulk]).during(minute(2)..minute(5))
//! ```

use std::ops::Range;
use std::time::Duration;

use super::calls::CallKind;
use super::faults::Fault;

/// Something that goes wrong with the calls that it fits; the first that fits a call decides it, and it counts for the
/// quota like any other that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mishap {
    pub(super) what: What,
    kinds: Vec<CallKind>,
    machine: Option<String>,
    least_machines: usize,
    text: Option<String>,
    during: Range<Duration>,
    left: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// One of the sandbox's own faults.
    Fault(Fault),
    /// This comes in place of the answer.
    Answer { status: u16, body: String, is_done: bool },
}

impl Mishap {
    /// Every call meets this fault.
    #[must_use]
    pub const fn of(fault: Fault) -> Self {
        Self::new(What::Fault(fault))
    }

    /// Every call is answered so, and nothing is done.
    #[must_use]
    pub fn answering(status: u16, body: impl Into<String>) -> Self {
        Self::new(What::Answer { status, body: body.into(), is_done: false })
    }

    /// Every call is refused in the shape of the API.
    #[must_use]
    pub fn refusing(status: u16, code: &str, message: &str) -> Self {
        let error = serde_json::json!({"error": {"code": code, "message": message, "target": "scripted"}});
        Self::answering(status, error.to_string())
    }

    /// Every call does what it is asked for, and is answered so unless it is refused.
    #[must_use]
    pub fn hiding(status: u16, body: impl Into<String>) -> Self {
        Self::new(What::Answer { status, body: body.into(), is_done: true })
    }

    const fn new(what: What) -> Self {
        let during = Duration::ZERO..Duration::MAX;
        Self { what, kinds: Vec::new(), machine: None, least_machines: 0, text: None, during, left: u64::MAX }
    }

    /// Only calls of these kinds.
    #[must_use]
    pub fn on(self, kinds: &[CallKind]) -> Self {
        Self { kinds: kinds.to_vec(), ..self }
    }

    /// Only calls that concern this machine, whoever else is in them.
    #[must_use]
    pub fn at(self, machine: impl Into<String>) -> Self {
        Self { machine: Some(machine.into()), ..self }
    }

    /// Only calls that hold so many machines.
    #[must_use]
    pub fn from_machines(self, least_machines: usize) -> Self {
        Self { least_machines, ..self }
    }

    /// Only calls with this text in their body.
    #[must_use]
    pub fn saying(self, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..self }
    }

    /// Only calls that come in this span of time since the service began.
    #[must_use]
    pub fn during(self, during: Range<Duration>) -> Self {
        Self { during, ..self }
    }

    /// Only the first so many calls that it fits.
    #[must_use]
    pub fn times(self, left: u64) -> Self {
        Self { left, ..self }
    }

    /// Whether a call meets it; one that does is counted.
    pub(super) fn meets(&mut self, kind: CallKind, machines: &[&str], body: &[u8], uptime: Duration) -> bool {
        let fits = (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.machine.as_deref().is_none_or(|machine| machines.contains(&machine))
            && machines.len() >= self.least_machines
            && self.text.as_deref().is_none_or(|text| String::from_utf8_lossy(body).contains(text))
            && self.during.contains(&uptime)
            && self.left > 0;
        self.left -= u64::from(fits);
        fits
    }
}
