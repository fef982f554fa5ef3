//! What makes two inputs the same: digests of their rows, and of the operations that they ask for.
//!
//! They are stored, and later versions on other machines compare them. So they are SHA-256 of bytes that are written down here:
//! what the compiler derives, or a fast hash, may be another one next year.

use sha2::{Digest as _, Sha256};

use super::{Change, Operation, TagAction};

/// What a digest of operations begins with; those of version 1 did not.
const FORM: &str = "2.";

/// Digests texts in order.
#[derive(Clone, Default)]
pub(crate) struct OrderedDigest(Sha256);

impl OrderedDigest {
    /// The digest of these texts.
    pub(crate) fn of<Text: AsRef<[u8]>>(texts: impl IntoIterator<Item = Text>) -> String {
        let mut digest = Self::default();
        texts.into_iter().for_each(|text| digest.add(text.as_ref()));
        digest.text()
    }

    /// Takes the next text. With its length, since two that follow each other are not one.
    pub(crate) fn add(&mut self, text: &[u8]) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    /// The digest as text: 32 hexadecimal digits.
    pub(crate) fn text(self) -> String {
        text(halves(self.0))
    }
}

/// Digests operations in whatever order.
#[derive(Clone, Debug, Default)]
pub(crate) struct OperationsDigest([u64; 2]);

impl OperationsDigest {
    /// Takes an operation; each is to be given once.
    pub(crate) fn add(&mut self, operation: &Operation) {
        let (action, argument) = match &operation.change {
            Change::Tag(TagAction::Add, tag) => ("add", tag.as_str()),
            Change::Tag(TagAction::Remove, tag) => ("remove", tag.as_str()),
            Change::DeviceValue(value) => ("value", value.as_str()),
        };
        let digest = Sha256::new().chain_update(operation.machine.to_string()).chain_update([0]);
        let digest = digest.chain_update(action).chain_update([0]).chain_update(argument);
        for (sum, half) in self.0.iter_mut().zip(halves(digest)) {
            *sum = sum.wrapping_add(half);
        }
    }

    /// The digest as text: its form, and 32 hexadecimal digits.
    pub(crate) fn text(&self) -> String {
        format!("{FORM}{}", text(self.0))
    }

    /// Whether what was stored is the digest of other operations, or none. Of one of version 1 nobody knows, nor where none was
    /// stored, since the machines could not be read.
    pub(crate) fn is_contradicted_by(&self, stored: &str) -> bool {
        let is_of_version_1 = stored.len() == 32 && stored.bytes().all(|byte| byte.is_ascii_hexdigit());
        !stored.is_empty() && !is_of_version_1 && stored != self.text()
    }
}

impl<'a> FromIterator<&'a Operation> for OperationsDigest {
    fn from_iter<Operations: IntoIterator<Item = &'a Operation>>(operations: Operations) -> Self {
        let mut digest = Self::default();
        for operation in operations {
            digest.add(operation);
        }
        digest
    }
}

/// The first half of the bytes of a digest, as two numbers.
fn halves(digest: Sha256) -> [u64; 2] {
    let bytes = digest.finalize();
    let (words, _none) = bytes.as_chunks::<8>();
    let word = |position: usize| words.get(position).map_or(0, |word| u64::from_be_bytes(*word));
    [word(0), word(1)]
}

fn text([one, other]: [u64; 2]) -> String {
    format!("{one:016x}{other:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceValue, MachineId, Tag};

    fn operations(order: &[usize]) -> OperationsDigest {
        let changes = [
            Change::DeviceValue(DeviceValue::High),
            Change::Tag(TagAction::Add, Tag::new("a").expect("a tag")),
            Change::Tag(TagAction::Remove, Tag::new("a").expect("a tag")),
        ];
        let mut digest = OperationsDigest::default();
        for position in order {
            let machine = MachineId::from_service("m");
            digest.add(&Operation { machine, change: changes[*position].clone() });
        }
        digest
    }

    #[test]
    fn the_order_of_operations_does_not_matter_and_that_of_rows_does() {
        assert_eq!(operations(&[0, 1]).text(), operations(&[1, 0]).text());
        assert_ne!(operations(&[0, 1]).text(), operations(&[0, 2]).text());
        let rows = |rows: &[&str]| OrderedDigest::of(rows);
        assert_eq!(rows(&["a", "b"]), rows(&["a", "b"]));
        assert_ne!(rows(&["a", "b"]), rows(&["b", "a"]));
        assert_ne!(rows(&["a", "b"]), rows(&["ab"]));
    }

    #[test]
    fn digests_are_what_any_other_program_makes_of_the_same_bytes() {
        // printf 'm\0add\0a' | sha256sum; printf '\1\0\0\0\0\0\0\0a' | sha256sum
        assert_eq!(operations(&[1]).text(), "2.a17301573fcae19b20d5caeca18a1d5e");
        assert_eq!(OrderedDigest::of(["a"]), "ae6121c88ba555f64c3d812123eb799d");
    }

    #[test]
    fn a_digest_of_version_1_or_none_contradicts_nothing_and_what_is_no_digest_does() {
        let digest = operations(&[0, 1]);
        for (stored, expected) in [
            (digest.text().as_str(), false),
            (operations(&[0]).text().as_str(), true),
            ("2f2c34ee734a9c9a2b27e9bb1acc174a", false),
            ("", false),
            ("1.abc", true),
            ("2f2c34ee734a9c9a2b27e9bb1acc174", true),
            ("2f2c34ee734a9c9a2b27e9bb1acc174x", true),
        ] {
            assert_eq!(digest.is_contradicted_by(stored), expected, "{stored}");
        }
    }
}
