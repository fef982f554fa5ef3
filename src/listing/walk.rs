//! Walking the list of machines page by page: which page to ask for next, and when the list is over. Pure.
//!
//! The walk goes by `$skip` alone, counting how far it has come. The service's link to the next page only ever says that
//! a short page is not the last one; it is never followed, since it is often absent and once was endless. Whatever the
//! service does, the walk ends: at a page that brings nothing new, and at limits on pages and machines.
//!
//! Machines come and go while pages are read, and one that goes moves all those behind it forward: the next page would
//! begin behind some that nobody has seen. So a page repeats the last thousandth of the one before, at least one machine,
//! and its head has to be known from there. As long as the service keeps its order, a page whose head is known hides
//! nobody, however many have gone. One whose head is not known is dropped and asked for again from further back, at last
//! from near where the page before began, and so is one that is not there at all; one that begins the list follows
//! nothing and is taken as it is. Machines that come while the list is read may be missed, as if it had been read before.
//!
//! What surprises: the overlap costs a call only where it makes the last page a full one (19,990 to 19,999 machines take
//! three calls) and where the service sends fewer machines than it is asked for. A page of a single machine can bring
//! nothing new and repeat one as well: behind it the list is believed to be over when nothing new stands there, and
//! believed to be torn when something does.

use crate::api::ApiRequest;

/// The most machines that a page may be asked to hold (documented).
const PAGE_MACHINES: u32 = 10_000;
/// A page repeats this part of the one before, and at least one machine.
const OVERLAP_DIVISOR: u64 = 1_000;
/// How many times as far back the next attempt begins.
const STEP_BACK_FACTOR: u64 = 10;
/// How often in a row a list that seems empty, or a page that does not follow the one before, is asked for.
const DOUBTS_BELIEVED_AFTER: u32 = 3;

/// The limits of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageLimits {
    /// Machines on a page; not nought.
    pub page_machines: u32,
    pub pages: u32,
    /// Machines on all pages, those that came twice included.
    pub machines: u64,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self { page_machines: PAGE_MACHINES, pages: 1_000, machines: 3_000_000 }
    }
}

/// What matters of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageSummary {
    /// Everything on it, machines that could not be read and those that came before included.
    pub items: u64,
    /// Machines that did not come before.
    pub new_machines: u64,
    /// Whether it says that there is another one.
    pub has_next_link: bool,
}

/// What comes after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalkStep {
    /// The next page is to be asked for.
    GoOn,
    /// What came is in doubt: the same part of the list is to be asked for again.
    Again,
    /// The list is over.
    Done,
}

/// Why a walk was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WalkError {
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
    TooManyMachines { limit: u64 },
    /// Pages do not follow each other.
    #[error("the list of machines does not hold together: no page follows its first {position} machines")]
    Torn {
        /// How many machines of the list were read in one piece.
        position: u64,
    },
    /// Page after page brings nobody new, and the list is said to go on.
    #[error("the list of machines does not hold together: the same machines come again and again")]
    Repeating,
    /// Nobody is in the list, or nobody who could be read as a machine with an id.
    #[error("the service's list of machines is empty")]
    Nobody,
}

/// A walk through the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageWalk {
    limits: PageLimits,
    pages: u32,
    /// On all pages.
    items: u64,
    /// How far the walk has come in the list.
    position: u64,
    /// How many machines the latest page had.
    latest_items: u64,
    /// How many of them the next page is to repeat.
    overlap: u64,
    /// How often in a row what came was in doubt.
    doubts: u32,
}

impl PageWalk {
    /// A walk that begins with the first page.
    pub(crate) const fn new(limits: PageLimits) -> Self {
        Self { limits, pages: 0, items: 0, position: 0, latest_items: 0, overlap: 0, doubts: 0 }
    }

    /// The call for the next page.
    pub(crate) const fn request(&self) -> ApiRequest {
        ApiRequest::ListMachines { top: self.limits.page_machines, skip: self.skip() }
    }

    /// How many machines at the head of the next page are to be known from the one before; at least one of them has to
    /// be. Nought where nothing is asked of it, since it begins the list, or is there to see whether the list is over.
    pub(crate) const fn overlap(&self) -> u64 {
        if self.skip() == 0 { 0 } else { self.overlap }
    }

    const fn skip(&self) -> u64 {
        self.position.saturating_sub(self.overlap)
    }

    /// Takes a page that follows the one before, as far as that can be told.
    ///
    /// # Errors
    /// [`WalkError`] when there ought to be another page but a limit is reached, when nobody is in the list, and when it
    /// goes on where nothing ought to be, or the same page comes again and again.
    pub(crate) fn take(&mut self, page: PageSummary) -> Result<WalkStep, WalkError> {
        let is_new = page.new_machines > 0;
        let torn = WalkError::Torn { position: self.position };
        if self.position == 0 && !is_new {
            return self.doubt(WalkError::Nobody);
        }
        self.items = self.items.saturating_add(page.items);
        self.pages += 1;
        if self.is_over_unless_new() {
            return if is_new { Err(torn) } else { Ok(WalkStep::Done) };
        }
        let is_short = page.items < u64::from(self.limits.page_machines);
        if is_short && !page.has_next_link {
            return Ok(WalkStep::Done);
        }
        self.within_limits()?;
        let mut step = WalkStep::GoOn;
        if is_new {
            self.doubts = 0;
        } else if page.items > self.overlap {
            // So it is where a page's worth of machines has come since, and then the next page brings something new.
            step = self.doubt(WalkError::Repeating)?;
        }
        self.position = self.skip().saturating_add(page.items);
        self.latest_items = page.items;
        let overlap = (page.items / OVERLAP_DIVISOR).max(1);
        let is_stuck = !is_new && overlap >= page.items;
        self.overlap = if is_stuck { 0 } else { overlap };
        Ok(step)
    }

    /// Whether the next page repeats nothing and stands where the list has to be over.
    const fn is_over_unless_new(&self) -> bool {
        self.position > 0 && self.overlap == 0
    }

    const fn within_limits(&self) -> Result<(), WalkError> {
        if self.items >= self.limits.machines {
            return Err(WalkError::TooManyMachines { limit: self.limits.machines });
        }
        if self.pages >= self.limits.pages {
            return Err(WalkError::TooManyPages { pages: self.pages, machines: self.items });
        }
        Ok(())
    }

    /// Takes notice that there is no page here (a 404). Where the page has to repeat machines of the one before, that
    /// cannot be, so it is asked for again, at last from further back.
    ///
    /// # Errors
    /// [`WalkError`] when nobody is in the list, and when no page follows the one before.
    pub(crate) fn take_none(&mut self) -> Result<WalkStep, WalkError> {
        if self.position == 0 {
            // It was asked for repeatedly by whoever made the call.
            return Err(WalkError::Nobody);
        }
        if self.is_over_unless_new() {
            return Ok(WalkStep::Done);
        }
        let step = self.doubt(WalkError::Torn { position: self.position })?;
        if self.is_last_attempt() {
            self.overlap = self.furthest();
        }
        Ok(step)
    }

    /// Takes notice that a page does not follow the one before: its machines must not be used. The next attempt begins
    /// further back, though never so far that the page could bring nothing new.
    ///
    /// # Errors
    /// [`WalkError`] when no page follows the one before.
    pub(crate) fn take_unfit(&mut self) -> Result<WalkStep, WalkError> {
        let step = self.doubt(WalkError::Torn { position: self.position })?;
        let further = self.overlap.saturating_mul(STEP_BACK_FACTOR);
        self.overlap = if self.is_last_attempt() { self.furthest() } else { self.furthest().min(further) };
        Ok(step)
    }

    /// How much of the page before may be repeated at the most.
    const fn furthest(&self) -> u64 {
        self.latest_items - self.latest_items / 10
    }

    const fn is_last_attempt(&self) -> bool {
        self.doubts + 1 >= DOUBTS_BELIEVED_AFTER
    }

    const fn doubt(&mut self, believed: WalkError) -> Result<WalkStep, WalkError> {
        self.doubts += 1;
        if self.doubts >= DOUBTS_BELIEVED_AFTER { Err(believed) } else { Ok(WalkStep::Again) }
    }
}

#[cfg(test)]
mod tests;
