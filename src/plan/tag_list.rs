//! The tags of a tenant: how many machines have each, and which of them look the same.

use std::collections::HashMap;

use crate::input::folded;
use crate::inventory::Inventory;

/// The tags of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TagList<'i> {
    /// Each tag once. Those that look the same stand together, the most frequent first; the others by what they look like.
    pub tags: Vec<ListedTag<'i>>,
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
    /// The other tags that differ from it in nothing but case or width.
    pub twins: Vec<&'i str>,
}

impl<'i> TagList<'i> {
    /// The tags that the list of a tenant's machines shows.
    pub(crate) fn of(inventory: &'i Inventory) -> Self {
        let (counts, _) = inventory.tag_counts();
        let mut by_look: HashMap<String, Vec<(&str, u64)>> = HashMap::new();
        for (tag, machines) in counts {
            by_look.entry(folded(tag)).or_default().push((tag, machines));
        }
        let mut by_look: Vec<_> = by_look.into_iter().collect();
        by_look.sort_by(|(one, _), (other, _)| one.cmp(other));
        let tags = by_look.into_iter().flat_map(|(_, alike)| listed(alike));
        Self {
            tags: tags.collect(),
            machines: inventory.len() as u64,
            tagged: inventory.machines().filter(|machine| machine.tags().next().is_some()).count() as u64,
            unshown: inventory.machines().filter(|machine| !machine.shows_tags()).count() as u64,
        }
    }
}

/// Tags that look the same.
fn listed(mut alike: Vec<(&str, u64)>) -> Vec<ListedTag<'_>> {
    alike.sort_by(|(one, machines), (other, more)| more.cmp(machines).then_with(|| one.cmp(other)));
    let others = |tag: &str| alike.iter().map(|(other, _)| *other).filter(|other| *other != tag).collect();
    alike.iter().map(|(tag, machines)| ListedTag { tag, machines: *machines, twins: others(tag) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::MachineRecord;
    use crate::plan::fixtures::{inventory, listed, tagged};

    #[test]
    fn tags_that_look_the_same_stand_together_and_each_names_the_others() {
        let inventory = inventory([
            tagged(1, &["marketing", "Tier 0"]),
            tagged(2, &["Marketing", "Tier 0"]),
            tagged(3, &["Marketing", "Ｍａｒｋｅｔｉｎｇ", "Tier 0 ", "Zoo"]),
            tagged(4, &[]),
            MachineRecord { machine_tags: None, ..listed(5) },
        ]);
        let list = TagList::of(&inventory);
        let told: Vec<String> =
            list.tags.iter().map(|one| format!("{} {:?} {:?}", one.machines, one.tag, one.twins)).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        2 "Marketing" ["marketing", "Ｍａｒｋｅｔｉｎｇ"]
        1 "marketing" ["Marketing", "Ｍａｒｋｅｔｉｎｇ"]
        1 "Ｍａｒｋｅｔｉｎｇ" ["Marketing", "marketing"]
        2 "Tier 0" []
        1 "Tier 0 " []
        1 "Zoo" []
        "#);
        assert_eq!((list.machines, list.tagged, list.unshown), (5, 3, 1));
    }
}
