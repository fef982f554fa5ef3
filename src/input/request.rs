//! What rows ask for, packed: there are as many requests as rows, so each is four numbers.

use crate::model::{DeviceValue, RowNumber, TagAction};

/// One change that one row asks for. A row with a tag and a value has two, the tag first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The row that asks.
    pub row: RowNumber,
    /// The physical line of the file on which that row begins, from 1.
    pub line: u32,
    /// The position of the machine in [`Sheet::machines`](super::Sheet::machines).
    pub machine: u32,
    /// What to make of the machine.
    pub change: ChangeCode,
}

/// A change in 32 bits: equal codes of one sheet are equal changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeCode(u32);

/// What a [`ChangeCode`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestedChange {
    /// Add or remove a tag.
    Tag {
        /// Which of both.
        action: TagAction,
        /// The position of the tag in [`Sheet::tags`](super::Sheet::tags).
        tag: u32,
    },
    /// Set the device value.
    DeviceValue(DeviceValue),
}

/// The most distinct tags and machines, and so the most rows, that an input can have: a tag's position and its
/// action share 31 bits.
pub(super) const POSITIONS_MAXIMUM: u32 = 1 << 30;

const IS_DEVICE_VALUE: u32 = 1 << 31;
const IS_REMOVE: u32 = 1;

impl ChangeCode {
    /// Packs a change; a tag's position is below [`POSITIONS_MAXIMUM`].
    pub(super) const fn new(change: RequestedChange) -> Self {
        Self(match change {
            RequestedChange::Tag { action: TagAction::Add, tag } => tag << 1,
            RequestedChange::Tag { action: TagAction::Remove, tag } => tag << 1 | IS_REMOVE,
            RequestedChange::DeviceValue(DeviceValue::Low) => IS_DEVICE_VALUE,
            RequestedChange::DeviceValue(DeviceValue::Normal) => IS_DEVICE_VALUE | 1,
            RequestedChange::DeviceValue(DeviceValue::High) => IS_DEVICE_VALUE | 2,
        })
    }

    /// What the code stands for.
    #[must_use]
    pub const fn change(self) -> RequestedChange {
        if self.0 & IS_DEVICE_VALUE != 0 {
            return RequestedChange::DeviceValue(match self.0 & !IS_DEVICE_VALUE {
                0 => DeviceValue::Low,
                1 => DeviceValue::Normal,
                _ => DeviceValue::High,
            });
        }
        let action = if self.0 & IS_REMOVE == 0 { TagAction::Add } else { TagAction::Remove };
        RequestedChange::Tag { action, tag: self.0 >> 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_comes_out_of_its_code_again() {
        let values = [DeviceValue::Low, DeviceValue::Normal, DeviceValue::High].map(RequestedChange::DeviceValue);
        let tags = [0, 1, 77, POSITIONS_MAXIMUM - 1]
            .into_iter()
            .flat_map(|tag| [TagAction::Add, TagAction::Remove].map(|action| RequestedChange::Tag { action, tag }));
        for change in values.into_iter().chain(tags) {
            assert_eq!(ChangeCode::new(change).change(), change);
        }
        assert_eq!(size_of::<Request>(), 16);
    }
}
