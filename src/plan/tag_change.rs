//! A tag that is renamed or removed on every machine that has it.

use super::recent::RecentWrites;
use crate::input::{Accepted, Doubt, Excerpt, TagOddity};
use crate::inventory::Inventory;
use crate::model::{Change, Held, MachineId, Tag, TagAction, TagError};

/// What becomes of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagChange {
    /// The tag, exactly.
    old: Tag,
    /// What takes its place, if anything does.
    new: Option<Tag>,
}

/// Why a tag cannot be renamed or removed as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TagChangeError {
    /// No machine can have the one, or the other.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// Nothing would change.
    #[error("OLD and NEW are the same tag, \"{0}\"")]
    Same(Excerpt),
    /// Whoever removes the old one may remove the new one with it.
    #[error("\"{old}\" and \"{new}\" differ only in case, and the service may take them for one tag")]
    CaseVariants { old: Excerpt, new: Excerpt },
    /// A new tag that is hardly ever meant.
    #[error("the tag \"{tag}\" {}", oddity.words())]
    Odd {
        tag: Excerpt,
        /// Why it is odd.
        oddity: TagOddity,
    },
}

impl TagChangeError {
    /// Whether what was typed makes no sense, whatever the tenant has; what is odd may be meant.
    pub(crate) const fn is_usage(&self) -> bool {
        !matches!(self, Self::Odd { .. })
    }

    /// What to do about it.
    pub(crate) const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Tag(_) | Self::Same(_) => None,
            Self::CaseVariants { .. } => Some("rename it twice, by way of a third tag"),
            Self::Odd { .. } => Some("write it in another way, or allow it with --accept odd-tags"),
        }
    }
}

impl TagChange {
    /// Takes a tag off.
    ///
    /// # Errors
    /// [`TagChangeError`] when no machine can have it.
    pub(crate) fn remove(tag: &str) -> Result<Self, TagChangeError> {
        Ok(Self { old: Tag::new(tag)?, new: None })
    }

    /// Puts a tag in the place of another. The old one is taken exactly as it is written, the new one as a cell of a file
    /// would be: without blanks around it, and unless it is odd.
    ///
    /// # Errors
    /// [`TagChangeError`] when no machine can have the one or the other, when both may be one, or when the new one is odd.
    pub(crate) fn rename(old: &str, new: &str, accepted: Accepted) -> Result<Self, TagChangeError> {
        let (old, new) = (Tag::new(old)?, Tag::addable(new.trim())?);
        if old == new {
            return Err(TagChangeError::Same(Excerpt::new(old.as_str())));
        }
        if old.is_case_variant_of(new.as_str()) {
            let [old, new] = [old, new].map(|tag| Excerpt::new(tag.as_str()));
            return Err(TagChangeError::CaseVariants { old, new });
        }
        match TagOddity::of(new.as_str()).filter(|_| !accepted.allows(Doubt::OddTags)) {
            Some(oddity) => Err(TagChangeError::Odd { tag: Excerpt::new(new.as_str()), oddity }),
            None => Ok(Self { old, new: Some(new) }),
        }
    }

    /// The tag that goes.
    pub(crate) const fn old(&self) -> &Tag {
        &self.old
    }

    /// The tag that takes its place.
    pub(crate) const fn new_tag(&self) -> Option<&Tag> {
        self.new.as_ref()
    }

    /// What is made of each machine that has the tag, in this order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        let new = self.new.iter().map(|new| Change::Tag(TagAction::Add, new.clone()));
        new.chain([Change::Tag(TagAction::Remove, self.old.clone())])
    }

    /// The machines that have the tag, as far as the list and our own writes of late tell: in the order of the list, then
    /// those that it lacks. One that may or may not have it by a write of ours that is in doubt counts as one that has.
    pub(crate) fn machines(&self, inventory: &Inventory, recent: &RecentWrites) -> Vec<MachineId> {
        let may_have = |machine: &MachineId, listed: Held| match recent.find(machine, Some(&self.old)) {
            Some(written) => written.over(listed, Held::Absent) != Held::Absent,
            None => listed == Held::Present,
        };
        let listed = inventory.machines().filter(|machine| {
            let listed = match machine.has_tag(self.old.as_str()) {
                Some(true) => Held::Present,
                Some(false) => Held::Absent,
                None => Held::Unknown,
            };
            may_have(machine.id(), listed)
        });
        let unlisted = recent.machines().into_iter().filter(|machine| inventory.find(machine).is_none());
        let unlisted = unlisted.filter(|machine| may_have(machine, Held::Unknown));
        listed.map(|machine| machine.id()).chain(unlisted).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MachineRecord;
    use crate::model::{Age, MayHold};
    use crate::plan::fixtures::{inventory, listed, machine_id, slot, tagged};

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |old: &str, new: &str| {
            let error = TagChange::rename(old, new, Accepted::default()).expect_err(new);
            error.hint().map_or(error.to_string(), |hint| format!("{error}; {hint}"))
        };
        let told = [("a", "a"), ("a", " a "), ("Größe", "GRÖßE"), ("a", "b;c"), ("a", " "), ("", "a"), ("a", "b\u{7}")];
        insta::assert_snapshot!(told.map(|(old, new)| refused(old, new)).join("\n"), @r#"
        OLD and NEW are the same tag, "a"
        OLD and NEW are the same tag, "a"
        "Größe" and "GRÖßE" differ only in case, and the service may take them for one tag; rename it twice, by way of a third tag
        the tag "b;c" holds ";" and looks like a list; write it in another way, or allow it with --accept odd-tags
        the tag is empty
        the tag is empty
        the tag holds the control character U+0007
        "#);
        assert!(TagChange::rename("a", "b;c", Accepted::from_iter([Doubt::OddTags])).is_ok());
        assert!(TagChange::rename(" a", "a", Accepted::default()).is_ok(), "the old one is exact");
        assert!(TagChange::rename("#REF!", "a", Accepted::default()).is_ok(), "what is odd can be got rid of");
        assert!(TagChange::rename("a\tb", "a", Accepted::default()).is_ok(), "so can what holds a tab");
        assert!(TagChange::rename("Ｔier 0", "Tier 0", Accepted::default()).is_ok(), "width tells tags apart");
    }

    #[test]
    fn a_new_tag_is_added_before_the_old_one_goes() {
        let told = |change: Result<TagChange, TagChangeError>| {
            change.expect("a change").changes().map(|change| change.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(told(TagChange::rename("a", "b", Accepted::default())), ["Add tag \"b\"", "Remove tag \"a\""]);
        assert_eq!(told(TagChange::remove("a")), ["Remove tag \"a\""]);
    }

    #[test]
    fn our_own_writes_of_late_count_for_more_than_a_list_that_lags() {
        let inventory = inventory([
            tagged(9, &["Old", "b"]),
            tagged(2, &["old", "b"]),
            tagged(3, &["Old"]),
            tagged(4, &[]),
            tagged(5, &["Old"]),
            MachineRecord { machine_tags: None, ..listed(6) },
        ]);
        let mut recent = RecentWrites::default();
        let (absent, present) = (MayHold::only(Held::Absent), MayHold::only(Held::Present));
        recent.note(slot(3, "Old"), present, Held::Absent, Age::Young);
        recent.note(slot(4, "Old"), absent, Held::Present, Age::Young);
        recent.note_doubtful(slot(5, "Old"), present, Held::Absent, Age::Young);
        recent.note(slot(8, "Old"), absent, Held::Present, Age::Young);
        recent.note(slot(7, "Old"), present, Held::Absent, Age::Young);
        let machines = TagChange::remove("Old").expect("a tag").machines(&inventory, &recent);
        assert_eq!(machines, [9, 4, 5, 8].map(machine_id));
    }
}
