use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const LIMITS: PageLimits = PageLimits { page_machines: 10, pages: 50, machines: 400 };

/// A service in memory, with its own idea of how to page.
#[derive(Clone, Debug)]
struct Service {
    machines: u64,
    /// Most machines on a page, whatever is asked for.
    cap: u64,
    link: Link,
    /// Pays no heed to `$skip`.
    repeats: bool,
    /// Pays no heed to `$top`.
    overflows: bool,
    /// How many machines of the page before come again at the head of each page.
    overlap: u64,
    /// Says 404 where nothing is left, instead of an empty page.
    not_found: bool,
}

#[derive(Clone, Copy, Debug)]
enum Link {
    Correct,
    Absent,
    Always,
}

const PLAIN: Service = Service {
    machines: 0,
    cap: u64::MAX,
    link: Link::Correct,
    repeats: false,
    overflows: false,
    overlap: 0,
    not_found: true,
};

/// What came of a walk: the ids of the machines, the calls, and how it ended.
type Walked = (BTreeSet<u64>, u64, Result<(), WalkError>);

impl Service {
    /// The ids on a page, and whether it has a link; `None` for a 404.
    fn page(&self, top: u64, skip: u64) -> Option<(Vec<u64>, bool)> {
        let start = if self.repeats { 0 } else { skip.saturating_sub(self.overlap) };
        let length = if self.overflows { u64::MAX } else { top.min(self.cap) };
        let end = start.saturating_add(length).min(self.machines);
        if start >= end {
            return (!self.not_found).then(|| (Vec::new(), matches!(self.link, Link::Always)));
        }
        let link = match self.link {
            Link::Correct => end < self.machines,
            Link::Absent => false,
            Link::Always => true,
        };
        Some(((start..end).collect(), link))
    }

    fn walk(&self, limits: PageLimits) -> Walked {
        let mut walk = PageWalk::new(limits);
        let mut seen = BTreeSet::new();
        let mut calls = 0;
        loop {
            let ApiRequest::ListMachines { top, skip } = walk.request() else { panic!("not a page") };
            calls += 1;
            let Some((ids, has_next_link)) = self.page(top.into(), skip) else { return (seen, calls, Ok(())) };
            let items = ids.len() as u64;
            let new_machines = ids.into_iter().filter(|id| seen.insert(*id)).count() as u64;
            match walk.take(PageSummary { items, new_machines, has_next_link }) {
                Ok(WalkStep::GoOn) => {}
                Ok(WalkStep::Done) => return (seen, calls, Ok(())),
                Err(error) => return (seen, calls, Err(error)),
            }
        }
    }
}

#[test]
fn a_walk_asks_for_as_many_pages_as_there_are() {
    let table: &[(&str, Service, u64, u64)] = &[
        ("an empty tenant", Service { machines: 0, ..PLAIN }, 0, 1),
        ("an empty tenant without a 404", Service { not_found: false, ..PLAIN }, 0, 1),
        ("a short page", Service { machines: 9, ..PLAIN }, 9, 1),
        ("a full last page", Service { machines: 10, ..PLAIN }, 10, 2),
        ("a full last page without a 404", Service { machines: 10, not_found: false, ..PLAIN }, 10, 2),
        ("a short last page", Service { machines: 25, ..PLAIN }, 25, 3),
        ("a cap with links", Service { machines: 25, cap: 4, ..PLAIN }, 25, 7),
        ("a cap that divides, with links", Service { machines: 20, cap: 4, ..PLAIN }, 20, 5),
        ("a link on every page", Service { machines: 25, link: Link::Always, ..PLAIN }, 25, 4),
        ("a link on empty pages", Service { machines: 20, link: Link::Always, not_found: false, ..PLAIN }, 20, 3),
        ("no links at all", Service { machines: 25, link: Link::Absent, ..PLAIN }, 25, 3),
        ("the same page again and again", Service { machines: 40, repeats: true, link: Link::Always, ..PLAIN }, 10, 2),
        ("everything at once", Service { machines: 35, overflows: true, ..PLAIN }, 35, 2),
        ("pages that overlap", Service { machines: 20, overlap: 3, not_found: false, ..PLAIN }, 20, 3),
    ];
    for (what, service, machines, calls) in table {
        let (seen, called, end) = service.walk(LIMITS);
        assert_eq!((seen.len() as u64, called, end), (*machines, *calls, Ok(())), "{what}");
    }
}

#[test]
fn a_list_without_an_end_is_given_up_with_the_reason() {
    let tiny = Service { machines: 10_000, cap: 1, ..PLAIN };
    assert_eq!(tiny.walk(LIMITS).2, Err(WalkError::TooManyPages { pages: 50, machines: 50 }));
    let huge = Service { machines: 10_000, ..PLAIN };
    assert_eq!(huge.walk(LIMITS).2, Err(WalkError::TooManyMachines { limit: 400 }));
    let drip = Service { machines: 10_000, overlap: 9, link: Link::Always, ..PLAIN };
    assert!(drip.walk(LIMITS).2.is_err());
}

#[test]
fn a_page_on_which_nothing_can_be_read_ends_the_walk() {
    let mut walk = PageWalk::new(LIMITS);
    let page = PageSummary { items: 10, new_machines: 0, has_next_link: true };
    assert_eq!(walk.take(page), Ok(WalkStep::Done));
}

fn services() -> impl Strategy<Value = Service> {
    let link = prop_oneof![Just(Link::Correct), Just(Link::Absent), Just(Link::Always)];
    let odd = (any::<bool>(), any::<bool>(), 0..4_u64, any::<bool>());
    (0..600_u64, 1..25_u64, link, odd).prop_map(|(machines, cap, link, (repeats, overflows, overlap, not_found))| {
        Service { machines, cap, link, repeats, overflows, overlap, not_found }
    })
}

proptest! {
    #[test]
    fn every_walk_ends_within_its_limits(service in services()) {
        let (seen, calls, end) = service.walk(LIMITS);
        prop_assert!(calls <= u64::from(LIMITS.pages) + 1, "{} calls", calls);
        prop_assert!(seen.iter().all(|id| *id < service.machines));
        if let Err(WalkError::TooManyMachines { .. }) = end {
            prop_assert!(service.machines >= LIMITS.machines || service.overlap > 0);
        }
    }

    #[test]
    fn a_service_that_pages_honestly_is_read_whole_with_the_fewest_calls(
        machines in 0..400_u64, cap in 1..25_u64, always in any::<bool>(), not_found in any::<bool>(),
    ) {
        let link = if always { Link::Always } else { Link::Correct };
        let limits = PageLimits { pages: 1000, ..LIMITS };
        let service = Service { machines, cap, link, not_found, ..PLAIN };
        let (seen, calls, end) = service.walk(limits);
        let page = cap.min(10);
        prop_assert_eq!((seen.len() as u64, end), (machines, Ok(())));
        let needed = machines.div_ceil(page);
        let least = if always || machines == 0 || (cap >= 10 && machines % page == 0) { needed + 1 } else { needed };
        prop_assert_eq!(calls, least);
    }
}
