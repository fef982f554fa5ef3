//! Our own writes of the last minutes: the service's list lags behind them, so they override it.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{DeviceValue, MachineId, Tag};

/// How long the list may lag behind writes (the API's page says "some latency"; users saw minutes).
pub const LIST_LAG: Duration = Duration::from_mins(15);

/// What is known of a tag on a machine, or of a machine's device value.
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
    /// The word in results and in the state; `None` when nothing is known.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Absent => Some("absent"),
            Self::Present => Some("present"),
            Self::Value(value) => Some(value.as_str()),
        }
    }

    /// What the word stands for.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "absent" => Self::Absent,
            "present" => Self::Present,
            other => DeviceValue::parse(other).map_or(Self::Unknown, Self::Value),
        }
    }
}

/// What our own writes of the last [`LIST_LAG`] made of machines.
#[derive(Clone, Debug, Default)]
pub struct RecentWrites(HashMap<MachineId, Vec<(Option<Tag>, Held)>>);

impl RecentWrites {
    /// Notes a write; writes come in the order in which they were made, and the last one counts. A tag, or `None` for the
    /// device value; [`Held::Unknown`] for a write whose effect is not known.
    pub fn note(&mut self, machine: MachineId, tag: Option<Tag>, held: Held) {
        let writes = self.0.entry(machine).or_default();
        match writes.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, earlier)) => *earlier = held,
            None => writes.push((tag, held)),
        }
    }

    /// What the last write left there; `None` when there was none.
    #[must_use]
    pub fn find(&self, machine: &MachineId, tag: Option<&Tag>) -> Option<Held> {
        let writes = self.0.get(machine)?;
        writes.iter().find(|(known, _)| known.as_ref() == tag).map(|(_, held)| *held)
    }

    /// Whether there was no write at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_write_counts_for_its_tag_or_value() {
        let machine = MachineId::from_service("m");
        let tag = Tag::new("a").expect("a tag");
        let mut recent = RecentWrites::default();
        recent.note(machine.clone(), Some(tag.clone()), Held::Present);
        recent.note(machine.clone(), None, Held::Value(DeviceValue::Low));
        recent.note(machine.clone(), Some(tag.clone()), Held::Unknown);
        assert_eq!(recent.find(&machine, Some(&tag)), Some(Held::Unknown));
        assert_eq!(recent.find(&machine, None), Some(Held::Value(DeviceValue::Low)));
        assert_eq!(recent.find(&machine, Some(&Tag::new("b").expect("a tag"))), None);
        for held in [Held::Absent, Held::Present, Held::Value(DeviceValue::High)] {
            assert_eq!(held.as_str().map(Held::parse), Some(held));
        }
    }
}
