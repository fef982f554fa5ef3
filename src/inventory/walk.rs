//! Walking the list of machines page by page: which page to ask for next, and when the list is over. Pure.
//!
//! The walk goes by `$skip` alone, counting what has come so far. The service's link to the next page only ever says that
//! a short page is not the last one; it is never followed, since it is often absent and once was endless. Whatever the
//! service does, the walk ends: at a page that brings nothing new, and at limits on pages and machines.

use crate::api::ApiRequest;

/// The most machines that a page may be asked to hold (documented).
const PAGE_MACHINES: u32 = 10_000;

/// The limits of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Machines on a page; not nought.
    pub page_machines: u32,
    /// Pages.
    pub pages: u32,
    /// Machines on all pages, those that came twice included.
    pub machines: u64,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self { page_machines: PAGE_MACHINES, pages: 1_000, machines: 5_000_000 }
    }
}

/// What matters of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSummary {
    /// Everything on it, machines that could not be read and those that came before included.
    pub items: u64,
    /// Machines that did not come before.
    pub new_machines: u64,
    /// Whether it says that there is another one.
    pub has_next_link: bool,
}

/// What comes after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// The next page is to be asked for.
    GoOn,
    /// The list is over.
    Done,
}

/// Why a walk was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The list had another page each time.
    #[error("the list of machines does not end: {pages} pages were read, with {machines} machines on them")]
    TooManyPages {
        /// Pages read.
        pages: u32,
        /// Machines on them, those that came twice included.
        machines: u64,
    },
    /// The list has more machines than any tenant.
    #[error("the list has more than {limit} machines, which is more than this program holds")]
    TooManyMachines {
        /// The limit.
        limit: u64,
    },
}

/// A walk through the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageWalk {
    limits: PageLimits,
    pages: u32,
    items: u64,
}

impl PageWalk {
    /// A walk that begins with the first page.
    #[must_use]
    pub const fn new(limits: PageLimits) -> Self {
        Self { limits, pages: 0, items: 0 }
    }

    /// The call for the next page.
    #[must_use]
    pub const fn request(&self) -> ApiRequest {
        ApiRequest::ListMachines { top: self.limits.page_machines, skip: self.items }
    }

    /// Pages that have come.
    #[must_use]
    pub const fn pages(&self) -> u32 {
        self.pages
    }

    /// Takes a page. (A 404 is none: it ends the list.)
    ///
    /// # Errors
    /// [`WalkError`] when there ought to be another page but a limit is reached.
    pub const fn take(&mut self, page: PageSummary) -> Result<WalkStep, WalkError> {
        self.pages += 1;
        self.items = self.items.saturating_add(page.items);
        let is_short = page.items < self.limits.page_machines as u64;
        if page.new_machines == 0 || (is_short && !page.has_next_link) {
            return Ok(WalkStep::Done);
        }
        if self.items >= self.limits.machines {
            return Err(WalkError::TooManyMachines { limit: self.limits.machines });
        }
        if self.pages >= self.limits.pages {
            return Err(WalkError::TooManyPages { pages: self.pages, machines: self.items });
        }
        Ok(WalkStep::GoOn)
    }
}

#[cfg(test)]
mod tests;
