//! What a machine holds in one of its slots: a tag, or the device value.
//!
//! A slot and not a row is what changes hands between runs: two rows of two files may be about the same one.

use super::device_value::DeviceValue;
use super::machine::MachineId;
use super::tag::Tag;

/// A place on a machine that holds one thing at a time: a tag, which is there or not, or the device value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub machine: MachineId,
    /// The tag; `None` for the device value.
    pub tag: Option<Tag>,
}

/// What is known of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    #[default]
    Unknown,
    /// The machine does not have the tag.
    Absent,
    /// The machine has the tag.
    Present,
    /// The machine has this device value.
    Value(DeviceValue),
}

impl Held {
    /// Everything that can be known.
    const KNOWN: [Self; 5] = [
        Self::Absent,
        Self::Present,
        Self::Value(DeviceValue::Low),
        Self::Value(DeviceValue::Normal),
        Self::Value(DeviceValue::High),
    ];

    /// The word in results and in the state; `None` when nothing is known.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Absent => Some("absent"),
            Self::Present => Some("present"),
            Self::Value(value) => Some(value.as_str()),
        }
    }

    /// What the word stands for.
    pub fn parse(word: &str) -> Self {
        match word {
            "absent" => Self::Absent,
            "present" => Self::Present,
            other => DeviceValue::parse(other).map_or(Self::Unknown, Self::Value),
        }
    }
}

/// What is known of the age of a write, against the time for which the service's list may lag behind it; the youngest comes
/// first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Age {
    /// The list may lag behind it.
    #[default]
    Young,
    /// It looks young by wall time, which may be wrong: the clock that stamped it is not ours.
    LooksYoung,
    /// By wall time it is old.
    LooksOld,
}

/// What a slot may hold: one thing, or several while it is not known what became of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MayHold(u8);

impl MayHold {
    /// Nothing yet: the beginning of a list of possibilities.
    pub(crate) const NOTHING: Self = Self(0);
    /// Whatever a slot can hold.
    pub(crate) const ANYTHING: Self = Self(0b1_1111);

    /// The one thing that is known; anything if nothing is.
    pub(crate) const fn only(held: Held) -> Self {
        match held {
            Held::Unknown => Self::ANYTHING,
            Held::Absent => Self(1),
            Held::Present => Self(1 << 1),
            Held::Value(DeviceValue::Low) => Self(1 << 2),
            Held::Value(DeviceValue::Normal) => Self(1 << 3),
            Held::Value(DeviceValue::High) => Self(1 << 4),
        }
    }

    /// What this or the other allows.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it may be this. Of what is not known, nothing can be ruled out.
    pub(crate) const fn allows(self, held: Held) -> bool {
        self.0 & Self::only(held).0 != 0
    }

    /// Whether it can be nothing else than this.
    pub(crate) fn is_only(self, held: Held) -> bool {
        held != Held::Unknown && self == Self::only(held)
    }

    /// Whether there is no possibility in the list.
    pub(crate) const fn is_nothing(self) -> bool {
        self.0 == 0
    }

    /// The one thing that it can be; [`Held::Unknown`] if there are several.
    pub(crate) fn known(self) -> Held {
        Held::KNOWN.into_iter().find(|held| self.is_only(*held)).unwrap_or_default()
    }

    /// The possibilities, one by one.
    pub(crate) fn each(self) -> impl Iterator<Item = Held> {
        Held::KNOWN.into_iter().filter(move |held| self.allows(*held))
    }

    /// The possibilities by their words, joined by `|`.
    pub(crate) fn words(self) -> String {
        self.each().filter_map(Held::as_str).collect::<Vec<_>>().join("|")
    }

    /// What such words stand for.
    pub(crate) fn parse(words: &str) -> Self {
        let words = words.split('|').filter(|word| !word.is_empty());
        words.fold(Self::NOTHING, |all, word| all.or(Self::only(Held::parse(word))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possibilities_are_a_set_that_is_known_when_it_has_one() {
        for held in Held::KNOWN {
            let only = MayHold::only(held);
            assert_eq!(held.as_str().map(Held::parse), Some(held));
            assert_eq!((only.known(), MayHold::parse(&only.words())), (held, only));
            assert!(only.allows(held) && only.is_only(held) && only.allows(Held::Unknown));
            assert!(MayHold::ANYTHING.allows(held) && !MayHold::ANYTHING.is_only(held));
        }
        let both = MayHold::only(Held::Absent).or(MayHold::only(Held::Present));
        assert_eq!((both.known(), both.words().as_str()), (Held::Unknown, "absent|present"));
        assert!(!both.allows(Held::Value(DeviceValue::Low)));
        assert!(MayHold::parse("").is_nothing() && !MayHold::NOTHING.allows(Held::Unknown));
        assert_eq!(MayHold::ANYTHING.known(), Held::Unknown);
    }
}
