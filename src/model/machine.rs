//! How a machine is identified: by the service's id, by Entra's device id, or by its name.

use std::fmt;

/// The identifier of a machine record in the tenant.
///
/// In every sample of the API it is 40 hexadecimal digits, but no page promises that, so any other text that the
/// inventory carries as an `id` is held as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineId(IdForm);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum IdForm {
    Hexadecimal([u8; 20]),
    Other(Box<str>),
}

impl MachineId {
    /// Reads 40 hexadecimal digits of either case; `None` for any other text.
    pub fn from_hexadecimal(text: &str) -> Option<Self> {
        let digits: &[u8; 40] = text.as_bytes().try_into().ok()?;
        // Each loop goes over all digits, and what was seen is looked at at its end: so many are worked out at once.
        let mut values = [0_u8; 40];
        values.iter_mut().zip(digits).for_each(|(value, digit)| *value = digit_value(*digit));
        let seen = values.iter().fold(0, |seen, value| seen | value);
        let (pairs, _none) = values.as_chunks::<2>();
        let mut bytes = [0_u8; 20];
        bytes.iter_mut().zip(pairs).for_each(|(byte, [high, low])| *byte = high << 4 | low & 0xF);
        (seen < 16).then_some(Self(IdForm::Hexadecimal(bytes)))
    }

    /// Takes an id as the service wrote it: 40 hexadecimal digits, or any other text unchanged.
    pub fn from_service(text: &str) -> Self {
        Self::from_hexadecimal(text).unwrap_or_else(|| Self(IdForm::Other(text.into())))
    }

    /// Whether two spellings name the same record.
    pub fn is_written(&self, text: &str) -> bool {
        *self == Self::from_service(text)
    }
}

/// What no byte is worth as a hexadecimal digit.
const NO_DIGIT: u8 = 0xFF;

/// What a byte is worth as a hexadecimal digit, or [`NO_DIGIT`].
const fn digit_value(character: u8) -> u8 {
    let digit = character.wrapping_sub(b'0');
    let letter = (character | 0x20).wrapping_sub(b'a');
    match (digit < 10, letter < 6) {
        (true, _) => digit,
        (_, true) => letter + 10,
        _ => NO_DIGIT,
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            IdForm::Hexadecimal(bytes) => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digit = |value: u8| DIGITS.get(usize::from(value)).map_or('0', |digit| char::from(*digit));
                // In one piece: a million ids are written at once.
                let text: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect();
                formatter.write_str(&text)
            }
            IdForm::Other(text) => formatter.write_str(text),
        }
    }
}

/// The id that Microsoft Entra gave to a device: a GUID. A reinstalled machine keeps it, so several records may bear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntraDeviceId([u8; 16]);

impl EntraDeviceId {
    /// Reads a GUID with its hyphens, in either case; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        const HYPHENS: [usize; 4] = [8, 13, 18, 23];
        let characters: &[u8; 36] = text.as_bytes().try_into().ok()?;
        let mut bytes = [0_u8; 16];
        let mut digits = 0;
        for (position, character) in characters.iter().enumerate() {
            if HYPHENS.contains(&position) {
                if *character != b'-' {
                    return None;
                }
                continue;
            }
            let value = digit_value(*character);
            if value == NO_DIGIT {
                return None;
            }
            let byte = bytes.get_mut(digits / 2)?;
            *byte = *byte << 4 | value;
            digits += 1;
        }
        Some(Self(bytes))
    }

    /// Whether it is all noughts, which programs write for none.
    pub fn is_nil(&self) -> bool {
        self.0 == [0; 16]
    }
}

impl fmt::Display for EntraDeviceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, byte) in self.0.iter().enumerate() {
            let hyphen = if matches!(position, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(formatter, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

/// How a row names its machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MachineReference {
    /// The record itself.
    Id(MachineId),
    /// The device's id in Microsoft Entra, to be looked up in the inventory.
    Entra(EntraDeviceId),
    /// A computer DNS name, full or short, to be looked up in the inventory; as written, trimmed.
    Name(Box<str>),
}

impl MachineReference {
    /// Reads a bare text that is not empty: 40 hexadecimal digits are an id, a GUID is an Entra device id, anything else is
    /// a name for now.
    pub fn parse(text: &str) -> Self {
        MachineId::from_hexadecimal(text)
            .map(Self::Id)
            .or_else(|| EntraDeviceId::parse(text).map(Self::Entra))
            .unwrap_or_else(|| Self::Name(text.into()))
    }

    /// Whether a machine can be called so: labels of letters, digits, hyphens and underscores, of which the last is no
    /// number, which would be that of a row, an asset or an address. The service may hold other texts as ids; a rehearsal
    /// makes up none.
    pub fn is_plausible(&self) -> bool {
        match self {
            Self::Id(_) => true,
            Self::Entra(id) => !id.is_nil(),
            Self::Name(name) => {
                let fits = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
                let is_label = |label: &str| {
                    let is_short = (1..=63).contains(&label.chars().count());
                    is_short && label.chars().all(fits) && !label.starts_with('-') && !label.ends_with('-')
                };
                let name = name.strip_suffix('.').unwrap_or(name);
                let last = name.rsplit('.').next().unwrap_or_default();
                name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
            }
        }
    }
}

impl fmt::Display for MachineReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(formatter),
            Self::Entra(id) => id.fmt(formatter),
            Self::Name(name) => formatter.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_40_hexadecimal_digits_of_either_case_and_is_shown_in_lower_case() {
        let id = MachineId::from_hexadecimal("1E5BC9D7E413DDD7902C2932E418702B84D0CC07").expect("an id");
        assert_eq!(id.to_string(), "1e5bc9d7e413ddd7902c2932e418702b84d0cc07");
        assert!(id.is_written("1e5bc9d7e413DDD7902c2932e418702b84d0cc07"));
        for other in
            ["", "1e5b", "1e5bc9d7e413ddd7902c2932e418702b84d0cc0g", "1e5bc9d7e413ddd7902c2932e418702b84d0cc071"]
        {
            assert_eq!(MachineId::from_hexadecimal(other), None, "{other:?}");
        }
        assert_eq!(MachineId::from_service("odd-id").to_string(), "odd-id");
    }

    #[test]
    fn a_guid_is_an_entra_device_id() {
        let id = EntraDeviceId::parse("3F2A9C1E-5B7D-4E8F-9A0B-1C2D3E4F5A6B").expect("a GUID");
        assert_eq!(id.to_string(), "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b");
        assert_eq!(MachineReference::parse(&id.to_string()), MachineReference::Entra(id));
        for other in [
            "",
            "3f2a9c1e5b7d4e8f9a0b1c2d3e4f5a6b",
            "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6",
            "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6g",
            "3f2a9c1-e5b7d-4e8f-9a0b-1c2d3e4f5a6b",
        ] {
            assert_eq!(EntraDeviceId::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_machine_is_called_by_letters_digits_hyphens_underscores_and_dots() {
        for name in ["web01", "web_01.corp.example", "größe-7", "legacy-6", "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"]
        {
            assert!(MachineReference::parse(name).is_plausible(), "{name}");
        }
        for name in ["1", "17", "10.1.2.3", "-", "n/a", "web 01", "# web01", "web01;web02", "\"web01\"", "..."] {
            assert!(!MachineReference::parse(name).is_plausible(), "{name}");
        }
    }
}
