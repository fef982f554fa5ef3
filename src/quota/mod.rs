//! The service's quotas as the user states them, the exact rule for when a call may start, and the pacer in front of it.
//!
//! Two gates stand before every attempt, because a token bucket alone lets through nearly twice the quota in one sliding
//! window: [`Pacer`] spreads a window's calls a little, and [`window`] is the hard limit over the ledger that the store
//! keeps. Between processes whose clocks do not agree, [`ages`] says how old a call is. Nothing here does I/O.

pub(crate) mod ages;
mod limits;
mod pacer;
mod scope;
pub(crate) mod window;

pub(crate) use limits::{Quota, QuotaLimit, QuotaScope, describe, parse_duration};
pub(crate) use pacer::Pacer;
pub(crate) use scope::{relieves, side_by_side};
