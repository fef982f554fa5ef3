//! Which tags a file of rules owns: the only ones that it may ever take off.

use std::fmt;

use crate::input::folded;
use crate::outside::shown;

/// What stands in a file, and on which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed<T> {
    /// It.
    pub value: T,
    /// Its line, from 1.
    pub line: usize,
}

/// Tags that are owned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owned {
    /// All that begin so.
    Prefix(String),
    /// This one.
    Tag(String),
}

impl Owned {
    /// What is meant by an entry of `retired`: one that ends in a letter or digit is a whole tag, any other the beginning of
    /// tags.
    pub(crate) fn retired(entry: &str) -> Self {
        let is_whole = entry.ends_with(char::is_alphanumeric);
        if is_whole { Self::Tag(entry.to_owned()) } else { Self::Prefix(entry.to_owned()) }
    }

    /// Whether a tag is among them.
    pub(crate) fn holds(&self, tag: &str) -> bool {
        match self {
            Self::Prefix(prefix) => tag.starts_with(prefix.as_str()),
            Self::Tag(own) => own == tag,
        }
    }

    /// Whether some tag could be among both, or one among these and another among those that differ only in case or width.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let meet = |one: &Self, other: &Self| match (one, other) {
            (Self::Prefix(one), Self::Prefix(other)) => {
                one.starts_with(other.as_str()) || other.starts_with(one.as_str())
            }
            (pattern, Self::Tag(tag)) | (Self::Tag(tag), pattern) => pattern.holds(tag),
        };
        // What is folded may be composed anew where a prefix ends, so that only the texts themselves begin alike.
        meet(self, other) || meet(&self.folded(), &other.folded())
    }

    fn folded(&self) -> Self {
        match self {
            Self::Prefix(prefix) => Self::Prefix(folded(prefix)),
            Self::Tag(tag) => Self::Tag(folded(tag)),
        }
    }

    /// Whether every tag of the other is among them.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(one), Self::Prefix(other) | Self::Tag(other)) => other.starts_with(one.as_str()),
            (Self::Tag(one), Self::Tag(other)) => one == other,
            (Self::Tag(_), Self::Prefix(_)) => false,
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Prefix(text) | Self::Tag(text) => text,
        }
    }
}

impl fmt::Display for Owned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(formatter, "the prefix \"{}\"", shown(prefix)),
            Self::Tag(tag) => write!(formatter, "the tag \"{}\"", shown(tag)),
        }
    }
}

/// All that a file owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ownership {
    /// What its rules may give.
    pub given: Vec<Placed<Owned>>,
    /// What no rule gives any more.
    pub retired: Vec<Placed<Owned>>,
}

impl Ownership {
    /// Everything owned, with its line.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Placed<Owned>> {
        self.given.iter().chain(&self.retired)
    }

    /// Whether a tag is owned.
    pub(crate) fn holds(&self, tag: &str) -> bool {
        self.all().any(|own| own.value.holds(tag))
    }

    /// Whether rules may give a tag.
    pub(crate) fn may_give(&self, tag: &str) -> bool {
        self.given.iter().any(|own| own.value.holds(tag))
    }

    /// Whether a tag is retired.
    pub(crate) fn is_retired(&self, tag: &str) -> bool {
        self.retired.iter().any(|own| own.value.holds(tag))
    }

    /// Whether all tags that begin so may be given.
    pub(crate) fn may_give_all(&self, prefix: &str) -> bool {
        let wanted = Owned::Prefix(prefix.to_owned());
        self.given.iter().any(|own| own.value.covers(&wanted))
    }

    /// What both own: of this one with its line, and of the other.
    pub(crate) fn first_overlap<'o>(&self, others: &'o [Owned]) -> Option<(&Placed<Owned>, &'o Owned)> {
        self.all().find_map(|own| Some((own, others.iter().find(|other| own.value.overlaps(other))?)))
    }
}
