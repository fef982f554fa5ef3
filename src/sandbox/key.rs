//! Machine ids as the fleet keeps them: 40 hexadecimal digits in 20 bytes, anything else as text.

use std::fmt;

use serde::{Serialize, Serializer};

/// A machine id; hexadecimal ids compare whatever their case and are shown in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum MachineKey {
    Hexadecimal([u8; 20]),
    Other(Box<str>),
}

impl MachineKey {
    pub(super) fn new(id: &str) -> Self {
        Self::from_hexadecimal(id).unwrap_or_else(|| Self::Other(id.into()))
    }

    fn from_hexadecimal(id: &str) -> Option<Self> {
        let digits: &[u8; 40] = id.as_bytes().try_into().ok()?;
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())?;
                *byte = *byte << 4 | value;
            }
        }
        Some(Self::Hexadecimal(bytes))
    }

    /// Whether the id has the form that the service's own ids have.
    pub(super) const fn is_hexadecimal(&self) -> bool {
        matches!(self, Self::Hexadecimal(_))
    }

    /// The bytes that everything made up about this machine is derived from.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Hexadecimal(bytes) => bytes,
            Self::Other(text) => text.as_bytes(),
        }
    }
}

impl fmt::Display for MachineKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hexadecimal(bytes) => {
                // One write for all 40 digits: a page of the list shows 10,000 ids.
                let mut digits = [0; 40];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
                    for (digit, value) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
                    }
                }
                formatter.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
            Self::Other(text) => formatter.write_str(text),
        }
    }
}

impl Serialize for MachineKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_ids_ignore_case_and_others_do_not() {
        let id = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07";
        assert_eq!(MachineKey::new(id), MachineKey::new(&id.to_uppercase()));
        assert_eq!(MachineKey::new(&id.to_uppercase()).to_string(), id);
        assert!(MachineKey::new(id).is_hexadecimal());
        for other in
            ["", "1e5b", "1E5BC9D7E413DDD7902C2932E418702B84D0CC0G", "+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1"]
        {
            assert!(!MachineKey::new(other).is_hexadecimal(), "{other:?}");
            assert_eq!(MachineKey::new(other).to_string(), other);
        }
    }
}
