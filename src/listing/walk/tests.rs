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
        walk(limits, |_number, top, skip| self.page(top, skip))
    }
}

/// Walks through what answers the call of this number, from 0, for so many machines behind so many others.
fn walk(limits: PageLimits, mut answer: impl FnMut(u64, u64, u64) -> Option<(Vec<u64>, bool)>) -> Walked {
    let mut walk = PageWalk::new(limits);
    let (mut seen, mut latest) = (BTreeSet::new(), BTreeSet::new());
    let mut calls = 0;
    loop {
        let ApiRequest::ListMachines { top, skip } = walk.request() else { panic!("not a page") };
        let overlap = usize::try_from(walk.overlap()).expect("a few");
        calls += 1;
        let step = match answer(calls - 1, top.into(), skip) {
            None => walk.take_none(),
            Some((ids, _)) if overlap > 0 && !ids.iter().take(overlap).any(|id| latest.contains(id)) => {
                walk.take_unfit()
            }
            Some((ids, has_next_link)) => {
                latest = ids.iter().copied().collect();
                let items = ids.len() as u64;
                let new_machines = ids.into_iter().filter(|id| seen.insert(*id)).count() as u64;
                walk.take(PageSummary { items, new_machines, has_next_link })
            }
        };
        match step {
            Ok(WalkStep::GoOn | WalkStep::Again) => {}
            Ok(WalkStep::Done) => return (seen, calls, Ok(())),
            Err(error) => return (seen, calls, Err(error)),
        }
    }
}

#[test]
fn a_walk_asks_for_as_many_pages_as_there_are() {
    let table: &[(&str, Service, u64, u64)] = &[
        ("a short page", Service { machines: 9, ..PLAIN }, 9, 1),
        ("a full last page", Service { machines: 10, ..PLAIN }, 10, 2),
        ("a full last page without a 404", Service { machines: 10, not_found: false, ..PLAIN }, 10, 2),
        ("a short last page", Service { machines: 25, ..PLAIN }, 25, 3),
        ("a cap with links", Service { machines: 25, cap: 4, ..PLAIN }, 25, 8),
        ("a cap that divides, with links", Service { machines: 20, cap: 4, ..PLAIN }, 20, 7),
        ("a link on every page", Service { machines: 25, link: Link::Always, ..PLAIN }, 25, 5),
        ("a link on empty pages", Service { machines: 20, link: Link::Always, not_found: false, ..PLAIN }, 20, 5),
        ("no links at all", Service { machines: 25, link: Link::Absent, ..PLAIN }, 25, 3),
        ("one machine and a link", Service { machines: 1, link: Link::Always, ..PLAIN }, 1, 3),
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
    let tiny = Service { machines: 10_000, cap: 2, ..PLAIN };
    assert_eq!(tiny.walk(LIMITS).2, Err(WalkError::TooManyPages { pages: 50, machines: 100 }));
    let huge = Service { machines: 10_000, ..PLAIN };
    assert_eq!(huge.walk(LIMITS).2, Err(WalkError::TooManyMachines { limit: 400 }));
    let drip = Service { machines: 10_000, overlap: 9, link: Link::Always, ..PLAIN };
    assert!(drip.walk(LIMITS).2.is_err());
}

#[test]
fn pages_that_cannot_be_known_to_fit_together_are_no_whole_list() {
    let same_page = Service { machines: 40, repeats: true, link: Link::Always, ..PLAIN };
    assert_eq!(same_page.walk(LIMITS), ((0..10).collect(), 4, Err(WalkError::Repeating)));
    let same_full_page = Service { link: Link::Absent, ..same_page };
    assert_eq!(same_full_page.walk(LIMITS).2, Err(WalkError::Repeating));
    let one_by_one = Service { machines: 40, cap: 1, ..PLAIN };
    assert_eq!(one_by_one.walk(LIMITS), ([0, 1].into(), 3, Err(WalkError::Torn { position: 1 })));
}

#[test]
fn nobody_is_no_tenant_and_believed_only_when_it_repeats() {
    // A 404 has been repeated by whoever makes the call.
    assert_eq!(PLAIN.walk(LIMITS), (BTreeSet::new(), 1, Err(WalkError::Nobody)));
    let empty_pages = Service { not_found: false, ..PLAIN };
    assert_eq!(empty_pages.walk(LIMITS), (BTreeSet::new(), 3, Err(WalkError::Nobody)));
    let once = walk(LIMITS, |number, _, _| Some((if number == 0 { Vec::new() } else { vec![1, 2] }, false)));
    assert_eq!(once, ([1, 2].into(), 2, Ok(())));
    let mut unreadable = PageWalk::new(LIMITS);
    let page = PageSummary { items: 10, new_machines: 0, has_next_link: true };
    assert_eq!([1, 2].map(|_| unreadable.take(page)), [Ok(WalkStep::Again); 2]);
    assert_eq!(unreadable.take(page), Err(WalkError::Nobody));
}

#[test]
fn the_overlap_takes_a_call_more_only_where_the_last_page_is_nearly_full() {
    let table = [
        (1, 1),
        (9_999, 1),
        (10_000, 2),
        (10_001, 2),
        (19_989, 2),
        (19_990, 3),
        (20_000, 3),
        (20_050, 3),
        (29_979, 3),
        (100_000, 11),
        (1_000_000, 101),
    ];
    for (machines, calls) in table {
        for not_found in [true, false] {
            let (seen, called, end) = Service { machines, not_found, ..PLAIN }.walk(PageLimits::default());
            assert_eq!((seen.len() as u64, called, end), (machines, calls, Ok(())), "{machines}");
        }
    }
}

/// A thousand machines on a page, so that one is repeated.
const THOUSANDS: PageLimits = PageLimits { page_machines: 1_000, ..LIMITS };

fn page_of(list: &[u64], top: u64, skip: u64) -> Option<(Vec<u64>, bool)> {
    let page: Vec<u64> =
        list.iter().copied().skip(usize::try_from(skip).ok()?).take(usize::try_from(top).ok()?).collect();
    (!page.is_empty()).then_some((page, false))
}

#[test]
fn a_404_behind_a_full_page_is_asked_for_again() {
    let limits = PageLimits { machines: 40_000, ..THOUSANDS };
    let list: Vec<u64> = (0..2_500).collect();
    // The third attempt begins further back, which costs a page.
    for (failing, calls) in [(vec![1], 4), (vec![2], 4), (vec![1, 2], 6), (vec![2, 3], 6)] {
        let (seen, called, end) =
            walk(limits, |number, top, skip| page_of(&list, top, skip).filter(|_| !failing.contains(&number)));
        assert_eq!((seen.len(), called, end), (2_500, calls, Ok(())), "{failing:?}");
    }
    let (_, calls, end) = walk(limits, |number, top, skip| page_of(&list, top, skip).filter(|_| number == 0));
    assert_eq!((calls, end), (4, Err(WalkError::Torn { position: 1_000 })), "it cannot be over here");
}

#[test]
fn machines_that_go_between_two_pages_hide_nobody() {
    let limits = PageLimits { machines: 40_000, ..THOUSANDS };
    // How many of those that were read go before the second page, and how many calls that costs.
    for (gone, calls) in [(0, 3), (1, 4), (9, 4), (10, 6), (899, 5)] {
        let list: Vec<u64> = (0..2_500).collect();
        let (seen, called, end) =
            walk(limits, |number, top, skip| page_of(if number == 0 { &list } else { &list[gone..] }, top, skip));
        assert_eq!((seen.len(), called, end), (2_500, calls, Ok(())), "{gone} have gone");
    }
    let list: Vec<u64> = (0..2_500).collect();
    let (_, calls, end) =
        walk(limits, |number, top, skip| page_of(if number == 0 { &list } else { &list[1_000..] }, top, skip));
    assert_eq!((calls, end), (4, Err(WalkError::Torn { position: 1_000 })));
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
            prop_assert!(service.machines * 2 >= LIMITS.machines || service.overlap > 0 || service.repeats);
        }
    }

    #[test]
    fn a_service_that_pages_honestly_is_read_whole_with_the_fewest_calls(
        machines in 1..400_u64, cap in 2..25_u64, always in any::<bool>(), not_found in any::<bool>(),
    ) {
        let link = if always { Link::Always } else { Link::Correct };
        let limits = PageLimits { pages: 1_000, machines: 1_000, ..LIMITS };
        let service = Service { machines, cap, link, not_found, ..PLAIN };
        let (seen, calls, end) = service.walk(limits);
        let page = cap.min(10);
        prop_assert_eq!((seen.len() as u64, end), (machines, Ok(())));
        // Each page but the first repeats a machine.
        let behind_the_first = machines.saturating_sub(page);
        let needed = 1 + behind_the_first.div_ceil(page - 1);
        let is_last_full = cap >= 10 && machines >= page && behind_the_first % (page - 1) == 0;
        let least = if always { needed + 2 } else { needed + u64::from(is_last_full) };
        prop_assert_eq!(calls, least);
    }

    #[test]
    fn pages_that_are_shorter_than_asked_for_hide_nobody(
        machines in 1..60_u64,
        cap in 2..9_usize,
        changes in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..2_usize), 1..40),
    ) {
        let mut list: Vec<u64> = (0..machines).collect();
        let mut newcomers = machines..;
        let (seen, _, end) = walk(PageLimits { pages: 1_000, ..LIMITS }, |number, _, skip| {
            if let Some((gone, come)) = number.checked_sub(1).and_then(|number| changes.get(usize::try_from(number).ok()?)) {
                for index in gone.iter().take(list.len() - 1) {
                    list.remove(index.index(list.len()));
                }
                for newcomer in newcomers.by_ref().take(*come) {
                    list.insert(usize::try_from(newcomer * 7).expect("small") % list.len(), newcomer);
                }
            }
            let rest = list.get(usize::try_from(skip).expect("small")..).filter(|rest| !rest.is_empty())?;
            Some((rest.iter().copied().take(cap).collect(), rest.len() > cap))
        });
        match end {
            Ok(()) => {
                let missed: Vec<u64> = list.into_iter().filter(|id| *id < machines && !seen.contains(id)).collect();
                prop_assert_eq!(missed, Vec::<u64>::new());
            }
            Err(error) => prop_assert!(matches!(error, WalkError::Torn { .. } | WalkError::Repeating), "{}", error),
        }
    }

    #[test]
    fn whoever_stays_in_the_list_is_seen_whoever_else_comes_and_goes(
        machines in 1..6_000_u64,
        changes in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..1_500), 0..3_usize), 1..9),
    ) {
        let limits = PageLimits { machines: 40_000, ..THOUSANDS };
        let mut list: Vec<u64> = (0..machines).collect();
        let mut newcomers = machines..;
        let (seen, _, end) = walk(limits, |number, top, skip| {
            if let Some((gone, come)) = number.checked_sub(1).and_then(|number| changes.get(usize::try_from(number).ok()?)) {
                for index in gone.iter().take(list.len() - 1) {
                    list.remove(index.index(list.len()));
                }
                for newcomer in newcomers.by_ref().take(*come) {
                    list.insert(usize::try_from(newcomer * 7).expect("small") % list.len(), newcomer);
                }
            }
            page_of(&list, top, skip)
        });
        match end {
            Ok(()) => {
                let missed: Vec<u64> = list.into_iter().filter(|id| *id < machines && !seen.contains(id)).collect();
                prop_assert_eq!(missed, Vec::<u64>::new());
            }
            Err(error) => prop_assert!(matches!(error, WalkError::Torn { .. }), "{}", error),
        }
    }
}
