//! What the command line asks for of every row's machine, in place of columns that say so.
//!
//! Tags that are added pass the gate that those of a file pass; what is removed is taken exactly as it is written, so that
//! odd tags can be got rid of.

use std::collections::HashMap;

use crate::input::findings::accept::{Accepted, Doubt};
use crate::input::findings::excerpt::Excerpt;
use crate::input::oddities::tag_oddity::TagOddity;
use crate::input::oddities::unicode::folded;
use crate::model::{Change, DeviceValue, Tag, TagAction, TagError, TagNumber};
use crate::outside::shell_word;

/// The changes that every row asks for: at least one, and no two that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    pub(in crate::input) tags: Vec<Tag>,
    pub(in crate::input) changes: Vec<Change<TagNumber>>,
}

/// Why the command line cannot ask for that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrdersError {
    /// There is no change.
    #[error("nothing says what is to be done with the machines")]
    Nothing,
    /// No machine can have such a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// A tag that is added and removed, or two that the service may take for one.
    #[error("--add \"{added}\" and --remove \"{removed}\" contradict each other")]
    Contradiction {
        /// The one.
        added: Excerpt,
        /// The other.
        removed: Excerpt,
    },
    /// A tag to add that is hardly ever meant.
    #[error("the tag \"{tag}\" {}", oddity.words())]
    Odd {
        tag: Excerpt,
        /// Why it is odd.
        oddity: TagOddity,
    },
    /// Two tags to add that are hardly ever two.
    #[error("the tags \"{0}\" and \"{1}\" differ only in case or width")]
    CaseVariants(Excerpt, Excerpt),
}

impl OrdersError {
    /// Whether what was typed makes no sense, whatever the tenant has; what is doubtful may be meant.
    pub const fn is_usage(&self) -> bool {
        self.doubt().is_none()
    }

    /// What allows it.
    pub const fn doubt(&self) -> Option<Doubt> {
        match self {
            Self::Odd { .. } => Some(Doubt::OddTags),
            Self::CaseVariants(..) => Some(Doubt::CaseVariants),
            Self::Nothing | Self::Tag(_) | Self::Contradiction { .. } => None,
        }
    }
}

impl Orders {
    /// Takes what was typed. What is asked for twice is asked for once.
    ///
    /// # Errors
    /// [`OrdersError`] when that makes no sense, or is doubtful and not allowed.
    pub fn new(
        add: &[String],
        remove: &[String],
        value: Option<DeviceValue>,
        accepted: Accepted,
    ) -> Result<Self, OrdersError> {
        let mut orders = Self { tags: Vec::new(), changes: Vec::new() };
        let mut added: HashMap<String, Tag> = HashMap::new();
        for text in add {
            let tag = Tag::addable(text.trim())?;
            if let Some(oddity) = TagOddity::of(tag.as_str()).filter(|_| !accepted.allows(Doubt::OddTags)) {
                return Err(OrdersError::Odd { tag: Excerpt::new(tag.as_str()), oddity });
            }
            let first = added.entry(folded(tag.as_str())).or_insert_with(|| tag.clone());
            if *first != tag && !accepted.allows(Doubt::CaseVariants) {
                let [first, tag] = [&*first, &tag].map(|tag| Excerpt::new(tag.as_str()));
                return Err(OrdersError::CaseVariants(first, tag));
            }
            orders.take(TagAction::Add, tag);
        }
        let adds = orders.tags.clone();
        for text in remove {
            let tag = Tag::new(text)?;
            if let Some(added) = adds.iter().find(|added| **added == tag || tag.is_case_variant_of(added.as_str())) {
                let [added, removed] = [added, &tag].map(|tag| Excerpt::new(tag.as_str()));
                return Err(OrdersError::Contradiction { added, removed });
            }
            orders.take(TagAction::Remove, tag);
        }
        orders.changes.extend(value.map(Change::DeviceValue));
        if orders.changes.is_empty() { Err(OrdersError::Nothing) } else { Ok(orders) }
    }

    fn take(&mut self, action: TagAction, tag: Tag) {
        if !self.tags.contains(&tag) {
            self.changes.push(Change::Tag(action, TagNumber(u32::try_from(self.tags.len()).unwrap_or(u32::MAX))));
            self.tags.push(tag);
        }
    }

    /// Whether a tag is added.
    pub(in crate::input) fn adds(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::Tag(TagAction::Add, _)))
    }

    /// The tags by which the portal cannot filter, and which are added.
    pub fn broken_in_portal(&self) -> impl Iterator<Item = &Tag> {
        let added = self.changes.iter().filter_map(|change| match change {
            Change::Tag(TagAction::Add, tag) => self.tags.get(tag.0 as usize),
            _ => None,
        });
        added.filter(|tag| tag.breaks_portal_filter())
    }

    /// The options that say the same.
    #[must_use]
    pub fn options(&self) -> String {
        let option = |change: &Change<TagNumber>| match change.with_tag(|tag| self.tags.get(tag.0 as usize)) {
            Some(Change::Tag(TagAction::Add, tag)) => format!("--add {}", shell_word(tag.as_str())),
            Some(Change::Tag(TagAction::Remove, tag)) => format!("--remove {}", shell_word(tag.as_str())),
            Some(Change::DeviceValue(value)) => format!("--set-value {value}"),
            None => String::new(),
        };
        self.changes.iter().map(option).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(add: &[&str], remove: &[&str], accepted: Accepted) -> Result<Orders, OrdersError> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Orders::new(&owned(add), &owned(remove), None, accepted)
    }

    #[test]
    fn what_was_typed_is_asked_for_once_each() {
        let add = ["Tier 1", " Tier 1 ", "PCI"].map(str::to_owned);
        let orders =
            Orders::new(&add, &["old's".to_owned()], Some(DeviceValue::High), Accepted::default()).expect("orders");
        assert_eq!(orders.options(), r"--add 'Tier 1' --add PCI --remove 'old'\''s' --set-value High");
        assert!(orders.adds());
    }

    #[test]
    fn what_makes_no_sense_or_is_doubtful_is_refused() {
        let refused = |add: &[&str], remove: &[&str]| {
            let error = orders(add, remove, Accepted::default()).expect_err("a refusal");
            format!("{error} ({})", error.doubt().map_or("usage", Doubt::name))
        };
        let table: [(&[&str], &[&str]); 8] = [
            (&[], &[]),
            (&["a"], &["a"]),
            (&["Größe"], &["x", "GRÖßE"]),
            (&[" "], &[]),
            (&["a"], &[""]),
            (&["a\u{7}"], &[]),
            (&["a;b"], &[]),
            (&["Tier", "ＴIER"], &[]),
        ];
        insta::assert_snapshot!(table.map(|(add, remove)| refused(add, remove)).join("\n"), @r#"
        nothing says what is to be done with the machines (usage)
        --add "a" and --remove "a" contradict each other (usage)
        --add "Größe" and --remove "GRÖßE" contradict each other (usage)
        the tag is empty (usage)
        the tag is empty (usage)
        the tag holds the control character U+0007 (usage)
        the tag "a;b" holds ";" and looks like a list (odd-tags)
        the tags "Tier" and "ＴIER" differ only in case or width (case-variants)
        "#);
        let allowed: Accepted = [Doubt::OddTags, Doubt::CaseVariants].into_iter().collect();
        assert!(orders(&["a;b", "Tier", "ＴIER"], &["n/a", "a\tb"], allowed).is_ok());
        assert!(
            orders(&["Tier"], &["ＴIER", " Tier"], Accepted::default()).is_ok(),
            "width and blanks tell tags apart"
        );
    }
}
