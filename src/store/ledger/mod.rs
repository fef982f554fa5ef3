//! The quota's ledger: an attempt is announced in [`admission`] before it is sent, and closed in [`settlement`]. When the latest
//! calls ended is in [`ends`], those that may have been lost in [`losses`], and what a refusal has shown of what the service
//! counts together in [`tag_calls`].

pub(super) mod admission;
#[cfg(test)]
mod crashes;
mod ends;
pub(super) mod losses;
pub(super) mod settlement;
pub(super) mod tag_calls;
