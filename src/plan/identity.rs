//! What makes two inputs the same: digests of their rows, and of the operations that they ask for.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

use crate::model::Operation;

/// Two hashes, so that chance makes nothing equal.
const SEEDS: [u64; 2] = [0x7461_6766_6c65_6574, 0x6f70_6572_6174_696f];

/// Digests things in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrderedDigest([u64; 2]);

impl OrderedDigest {
    /// The digest of one thing, as text.
    pub(crate) fn of(thing: &(impl Hash + ?Sized)) -> String {
        let mut digest = Self::default();
        digest.add(thing);
        digest.text()
    }

    /// Takes the next thing.
    pub(crate) fn add(&mut self, thing: &(impl Hash + ?Sized)) {
        for (sum, seed) in self.0.iter_mut().zip(SEEDS) {
            *sum = FixedState::with_seed(seed).hash_one((*sum, thing));
        }
    }

    /// The digest as text.
    pub(crate) fn text(&self) -> String {
        text(self.0)
    }
}

/// Digests operations in whatever order.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperationsDigest([u64; 2]);

impl OperationsDigest {
    /// Takes an operation; each is to be given once.
    pub(crate) fn add(&mut self, operation: &Operation) {
        for (sum, seed) in self.0.iter_mut().zip(SEEDS) {
            *sum = sum.wrapping_add(FixedState::with_seed(seed).hash_one(operation));
        }
    }

    /// The digest as text.
    pub(crate) fn text(&self) -> String {
        text(self.0)
    }
}

fn text([one, other]: [u64; 2]) -> String {
    format!("{one:016x}{other:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, DeviceValue, MachineId, Tag, TagAction};

    #[test]
    fn the_order_of_operations_does_not_matter_and_that_of_rows_does() {
        let machine = MachineId::from_service("m");
        let changes = [
            Change::DeviceValue(DeviceValue::High),
            Change::Tag(TagAction::Add, Tag::new("a").expect("a tag")),
            Change::Tag(TagAction::Remove, Tag::new("a").expect("a tag")),
        ];
        let operations = |order: &[usize]| {
            let mut digest = OperationsDigest::default();
            for position in order {
                digest.add(&Operation { machine: machine.clone(), change: changes[*position].clone() });
            }
            digest.text()
        };
        assert_eq!(operations(&[0, 1]), operations(&[1, 0]));
        // Runs are gone on with by later versions, too.
        assert_eq!(operations(&[0, 1]), "2f2c34ee734a9c9a2b27e9bb1acc174a");
        assert_ne!(operations(&[0, 1]), operations(&[0, 2]));
        let rows = |rows: &[&str]| {
            let mut digest = OrderedDigest::default();
            for row in rows {
                digest.add(*row);
            }
            digest.text()
        };
        assert_eq!(rows(&["a", "b"]), rows(&["a", "b"]));
        assert_ne!(rows(&["a", "b"]), rows(&["b", "a"]));
    }
}
