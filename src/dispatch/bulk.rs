//! What a run learns about bulk calls: whether the service allows them at all, and with how many machines. Pure.
//!
//! A bulk call that is refused with 403 says little: the service may refuse all of them, or a machine in this one, or
//! the app. What surprises: until the first has been accepted they are made one at a time, so that a service that
//! refuses them all is asked in few calls.

use crate::api::most_machines;
use crate::call::{BulkRefusal, Notice};

/// What is known of bulk calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// None has been answered.
    Untried,
    /// One was refused, and none has been accepted.
    Doubted,
    /// The service understands them.
    Allowed,
    /// All are refused; there are only single calls.
    Refused,
}

/// What a run knows about bulk calls.
#[derive(Clone, Copy, Debug)]
pub(super) struct BulkCalls {
    known: Known,
    limit: usize,
}

/// What is to become of the machines of a refused bulk call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handling {
    /// The bad ones are looked for.
    Search {
        /// Whether the service may refuse every bulk call.
        in_doubt: bool,
    },
    /// They go in smaller calls.
    Repack,
}

impl BulkCalls {
    /// Nothing is known yet; if they are not wanted, there are only single calls.
    pub(super) const fn new(wanted: bool) -> Self {
        Self { known: Known::Untried, limit: most_machines(wanted) }
    }

    /// The most machines in a call.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the service refuses all of them.
    pub(super) fn are_refused(&self) -> bool {
        self.known == Known::Refused
    }

    /// Whether one more may begin beside so many others, while a search after a refused one is or is not under way.
    pub(super) fn may_begin(&self, others: usize, is_searching: bool) -> bool {
        match self.known {
            Known::Untried => others == 0,
            Known::Doubted => others == 0 && !is_searching,
            Known::Allowed | Known::Refused => true,
        }
    }

    pub(super) const fn accepted(&mut self) {
        self.known = Known::Allowed;
    }

    /// A search has shown that all are refused.
    pub(super) const fn all_refused(&mut self) {
        self.known = Known::Refused;
        self.limit = 1;
    }

    /// One with so many machines was refused.
    pub(super) fn refused(&mut self, refusal: BulkRefusal, machines: usize) -> (Handling, Option<Notice>) {
        match refusal {
            _ if self.are_refused() => (Handling::Repack, None),
            BulkRefusal::Forbidden => {
                if self.known == Known::Untried {
                    self.known = Known::Doubted;
                }
                (Handling::Search { in_doubt: true }, None)
            }
            BulkRefusal::BadMachines => {
                self.known = Known::Allowed;
                (Handling::Search { in_doubt: false }, None)
            }
            BulkRefusal::Trouble => (Handling::Search { in_doubt: false }, None),
            BulkRefusal::TooMany { allowed } => {
                self.known = Known::Allowed;
                let smaller = allowed.filter(|allowed| *allowed < machines).unwrap_or(machines / 2).max(1);
                let is_news = smaller < self.limit;
                self.limit = self.limit.min(smaller);
                (Handling::Repack, is_news.then_some(Notice::BulkLimitLowered(smaller)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_one_is_accepted_they_go_one_at_a_time_and_in_doubt_only_the_search_goes_on() {
        let mut bulk = BulkCalls::new(true);
        assert_eq!((bulk.may_begin(0, false), bulk.may_begin(1, false)), (true, false));
        assert_eq!(bulk.refused(BulkRefusal::Forbidden, 500), (Handling::Search { in_doubt: true }, None));
        assert_eq!((bulk.may_begin(0, true), bulk.may_begin(0, false), bulk.may_begin(1, false)), (false, true, false));
        let mut allowed = bulk;
        allowed.accepted();
        assert!(allowed.may_begin(9, true));
        assert_eq!(allowed.refused(BulkRefusal::Forbidden, 500).0, Handling::Search { in_doubt: true });
        assert!(allowed.may_begin(9, true), "others were accepted, so it may be a machine");
        bulk.all_refused();
        assert_eq!((bulk.limit(), bulk.are_refused()), (1, true));
        assert_eq!(bulk.refused(BulkRefusal::Forbidden, 500), (Handling::Repack, None));
    }

    #[test]
    fn a_lower_limit_is_learned_once() {
        let mut bulk = BulkCalls::new(true);
        let too_many = |allowed| BulkRefusal::TooMany { allowed };
        let lowered = |limit| (Handling::Repack, Some(Notice::BulkLimitLowered(limit)));
        assert_eq!(bulk.refused(too_many(Some(100)), 500), lowered(100));
        assert_eq!(bulk.refused(too_many(Some(100)), 500), (Handling::Repack, None));
        assert_eq!(bulk.refused(too_many(None), 100), lowered(50));
        // A limit that the call kept is none.
        assert_eq!(bulk.refused(too_many(Some(80)), 50), lowered(25));
        assert_eq!(bulk.limit(), 25);
        assert_eq!(BulkCalls::new(false).limit(), 1);
    }
}
