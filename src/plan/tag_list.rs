//! The tags of a tenant: how many machines have each, and which of them look the same.

use std::cmp::Ordering;

use crate::input::{compare_folded, is_same_folded};
use crate::inventory::Inventory;

/// The tags of a tenant. There may be millions, each of its own machine, so nothing is held for each that can be told from
/// its neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TagList<'i> {
    /// Each tag once. Those that look the same stand together, the most frequent first; the others by what they look like.
    tags: Vec<ListedTag<'i>>,
    /// How many machines there are.
    pub machines: u64,
    /// Machines that have a tag.
    pub tagged: u64,
    /// Machines of which the service did not show the tags.
    pub unshown: u64,
}

/// A tag of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedTag<'i> {
    /// The tag, exactly.
    pub tag: &'i str,
    /// How many machines have it.
    pub machines: u64,
}

impl<'i> TagList<'i> {
    /// The tags that the list of a tenant's machines shows.
    pub(crate) fn of(inventory: &'i Inventory) -> Self {
        let counts = inventory.tag_counts();
        let mut tags = Vec::with_capacity(counts.iter().count());
        tags.extend(counts.iter().map(|(tag, machines)| ListedTag { tag, machines }));
        drop(counts);
        let tagged = inventory.machines().filter(|machine| machine.tags().next().is_some()).count() as u64;
        let unshown = inventory.machines().filter(|machine| !machine.shows_tags()).count() as u64;
        Self::new(tags, inventory.len() as u64, tagged, unshown)
    }

    /// These tags, in whatever order, of so many machines: all, those with a tag, those that were not shown.
    pub(crate) fn new(mut tags: Vec<ListedTag<'i>>, machines: u64, tagged: u64, unshown: u64) -> Self {
        tags.sort_unstable_by(compare);
        Self { tags, machines, tagged, unshown }
    }

    /// How many tags there are.
    pub(crate) fn len(&self) -> usize {
        self.tags.len()
    }

    /// The tags; those that differ from each other in nothing but case or width together.
    pub(crate) fn alike(&self) -> impl Iterator<Item = &[ListedTag<'i>]> {
        self.tags.chunk_by(|one, next| is_same_folded(one.tag, next.tag))
    }
}

fn compare(one: &ListedTag<'_>, other: &ListedTag<'_>) -> Ordering {
    let look = compare_folded(one.tag, other.tag);
    look.then_with(|| other.machines.cmp(&one.machines)).then_with(|| one.tag.cmp(other.tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MachineRecord;
    use crate::plan::fixtures::{inventory, listed, tagged};

    #[test]
    fn tags_that_look_the_same_stand_together() {
        let inventory = inventory([
            tagged(1, &["marketing", "Tier 0"]),
            tagged(2, &["Marketing", "Tier 0"]),
            tagged(3, &["Marketing", "Ｍａｒｋｅｔｉｎｇ", "Tier 0 ", "Zoo"]),
            tagged(4, &[]),
            MachineRecord { machine_tags: None, ..listed(5) },
        ]);
        let list = TagList::of(&inventory);
        let told: Vec<Vec<String>> = list
            .alike()
            .map(|alike| alike.iter().map(|one| format!("{} {}", one.machines, one.tag)).collect())
            .collect();
        assert_eq!(
            told,
            [&["2 Marketing", "1 marketing", "1 Ｍａｒｋｅｔｉｎｇ"][..], &["2 Tier 0"], &["1 Tier 0 "], &["1 Zoo"]]
        );
        assert_eq!((list.machines, list.tagged, list.unshown), (5, 3, 1));
    }
}
