//! Numbers for machines that nobody described, all from the seed or from the id.
//!
//! The same id always gets the same numbers, so nothing that is made up needs to be stored. What they mean in the company
//! that the machines belong to stands in [`super::company`].

use std::fmt;

use serde::{Serialize, Serializer};

use super::key::MachineKey;

/// Spreads the bits of a number over all of its 64 (a fixed permutation: no two inputs share an output).
const fn spread(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The id of a made-up machine: 40 hexadecimal digits.
pub(super) fn id(seed: u64, number: u64) -> MachineKey {
    let mut bytes = [0; 20];
    let mut bits = spread(spread(seed) ^ number);
    for chunk in bytes.chunks_mut(8) {
        for (byte, bit_byte) in chunk.iter_mut().zip(bits.to_le_bytes()) {
            *byte = bit_byte;
        }
        bits = spread(bits);
    }
    MachineKey::Hexadecimal(bytes)
}

/// The id of a machine of which only the name is known: the same for the same name in any case.
pub(super) fn id_for_name(name: &str) -> MachineKey {
    id(0, Particulars::of(&MachineKey::Other(name.to_ascii_lowercase().into())).0)
}

/// The particulars of one machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Particulars(u64);

impl Particulars {
    pub(super) fn of(key: &MachineKey) -> Self {
        let mut bits = 0;
        for chunk in key.bytes().chunks(8) {
            let mut word = [0; 8];
            for (byte, source) in word.iter_mut().zip(chunk) {
                *byte = *source;
            }
            bits = spread(bits ^ u64::from_le_bytes(word));
        }
        Self(bits)
    }

    /// A number from 0 to `choices - 1` for one purpose; each purpose has its own.
    pub(super) fn choice(self, purpose: u64, choices: u64) -> u64 {
        spread(self.0 ^ spread(purpose)).checked_rem(choices).unwrap_or(0)
    }

    /// One of several, each as often as the number beside it says; there must be one.
    pub(super) fn pick<T: Copy>(self, purpose: u64, from: &[(u64, T)]) -> Option<T> {
        let mut left = self.choice(purpose, from.iter().map(|(weight, _)| weight).sum());
        let chosen = from.iter().find(|(weight, _)| {
            let is_here = left < *weight;
            left = left.saturating_sub(*weight);
            is_here
        });
        chosen.map(|(_, one)| *one)
    }

    /// Whether a share of all machines, 0 to 1, takes this one in.
    pub(super) fn falls_into(self, share: f64, seed: u64) -> bool {
        const STEPS: u32 = 1_000_000;
        let step = u32::try_from(self.choice(spread(seed), u64::from(STEPS))).unwrap_or(0);
        f64::from(step) < share * f64::from(STEPS)
    }

    pub(super) fn directory_device_id(self) -> Guid {
        let [high, low] = [101, 102].map(|purpose| u128::from(self.choice(purpose, u64::MAX)));
        Guid::from_random(high << 64 | low)
    }
}

/// An identifier in the form of RFC 9562, version 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guid(u128);

impl Guid {
    /// Takes 122 of these random bits.
    pub(super) const fn from_random(bits: u128) -> Self {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0b11 << 62;
        Self(bits & !VERSION & !VARIANT | 4 << 76 | 0b10 << 62)
    }

    /// Reads 32 hexadecimal digits with or without hyphens.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.replace('-', "");
        u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32).map(Self)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        let last = bits & 0xffff_ffff_ffff;
        let [first, second, third, fourth] =
            [(96, 0xffff_ffff), (80, 0xffff), (64, 0xffff), (48, 0xffff)].map(|(shift, mask)| (bits >> shift) & mask);
        write!(formatter, "{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{last:012x}")
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn made_up_ids_differ_and_come_from_the_seed() {
        let ids: HashSet<_> = (0..10_000).map(|number| id(1, number).to_string()).collect();
        assert_eq!(ids.len(), 10_000);
        assert_eq!(id(1, 5), id(1, 5));
        assert_ne!(id(1, 5), id(2, 5));
        assert!(ids.iter().all(|id| id.len() == 40));
    }

    #[test]
    fn a_share_takes_in_about_so_many() {
        let count = |share| (0..20_000).filter(|number| Particulars::of(&id(3, *number)).falls_into(share, 9)).count();
        assert_eq!((count(0.0), count(1.0)), (0, 20_000));
        assert!((4600..5400).contains(&count(0.25)), "{}", count(0.25));
    }

    #[test]
    fn a_guid_has_its_form_version_and_variant() {
        assert_eq!(Guid::from_random(u128::MAX).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(Guid::from_random(1 << 96 | 2).to_string(), "00000001-0000-4000-8000-000000000002");
    }
}
