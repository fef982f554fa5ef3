//! Reading the tenant's machines as the service lists them, page after page, through [`crate::call`] like every other call.
//!
//! What comes is handed on, to whatever takes machines: [`crate::inventory`] holds them, an export writes them. When a list is
//! whole, though it changes while it is read, is decided in `walk`, which is pure.

mod read;
mod walk;

pub(crate) use read::{ListingEvent, ListingObserver, ReadError, ReadProgress, read};
pub(crate) use walk::{PageLimits, PageSummary, PageWalk, WalkError, WalkStep};
