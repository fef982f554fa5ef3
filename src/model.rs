//! The plain types that every room speaks: machines, tags, device values, what a row asks for and what became of it.
//!
//! Nothing here does I/O or reads a clock. What surprises: a [`MachineId`] of 40 hexadecimal digits is held as 20 bytes,
//! because a plan holds a million of them; it is shown and sent in lower case, as the service writes it.

mod change;
mod held;
mod requests;

use std::borrow::Borrow;
use std::fmt;

use serde::Serialize;

pub use change::{Change, ChangeKind, Operation, OperationId, TagAction, TagNumber};
pub use held::{Age, Held, MayHold, Slot};
pub use requests::{ReferenceNumber, Request, Requests};

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
    #[must_use]
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
    #[must_use]
    pub fn from_service(text: &str) -> Self {
        Self::from_hexadecimal(text).unwrap_or_else(|| Self(IdForm::Other(text.into())))
    }

    /// Whether two spellings name the same record.
    #[must_use]
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
    #[must_use]
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
    #[must_use]
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
    #[must_use]
    pub fn parse(text: &str) -> Self {
        MachineId::from_hexadecimal(text)
            .map(Self::Id)
            .or_else(|| EntraDeviceId::parse(text).map(Self::Entra))
            .unwrap_or_else(|| Self::Name(text.into()))
    }

    /// Whether a machine can be called so: labels of letters, digits, hyphens and underscores, of which the last is no
    /// number, which would be that of a row, an asset or an address. The service may hold other texts as ids; a rehearsal
    /// makes up none.
    #[must_use]
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

/// The most characters that a tag may have (documented for tags set through the registry).
pub const TAG_MAXIMUM_CHARACTERS: usize = 200;

/// A machine tag: 1 to 200 characters, none of them a control character but for line breaks, no white space at either
/// end. A tag with a line break is doubtful, and the input lets it pass only where it is to be removed or was allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

/// Why a text cannot be a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Nothing is left after trimming.
    #[error("the tag is empty")]
    Empty,
    /// Longer than [`TAG_MAXIMUM_CHARACTERS`].
    #[error("the tag has {characters} characters, and at most 200 are allowed")]
    TooLong {
        /// How many it has.
        characters: usize,
    },
    /// It holds a control character, a tab for example.
    #[error("the tag holds the control character U+{code_point:04X}")]
    ControlCharacter {
        /// The character's number.
        code_point: u32,
    },
}

impl Tag {
    /// Checks a trimmed text.
    ///
    /// # Errors
    /// [`TagError`] when it is empty, too long, or holds a control character other than a line break.
    pub fn new(text: &str) -> Result<Self, TagError> {
        if text.is_empty() {
            return Err(TagError::Empty);
        }
        if text.len() > TAG_MAXIMUM_CHARACTERS {
            let characters = text.chars().count();
            if characters > TAG_MAXIMUM_CHARACTERS {
                return Err(TagError::TooLong { characters });
            }
        }
        if let Some(character) = text.chars().find(|it| it.is_control() && !matches!(it, '\n' | '\r')) {
            return Err(TagError::ControlCharacter { code_point: u32::from(character) });
        }
        Ok(Self(text.into()))
    }

    /// The tag's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether another tag differs from this one in nothing but case: the service may take them for one.
    #[must_use]
    pub fn is_case_variant_of(&self, other: &str) -> bool {
        let own: &str = &self.0;
        let is_ascii = own.is_ascii() && other.is_ascii();
        own != other && (own.eq_ignore_ascii_case(other) || (!is_ascii && own.to_lowercase() == other.to_lowercase()))
    }

    /// Whether the portal cannot filter by this tag: parentheses and commas break its filter (documented).
    #[must_use]
    pub fn breaks_portal_filter(&self) -> bool {
        self.0.contains(['(', ')', ','])
    }
}

impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The value of a device, as vulnerability management weighs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum DeviceValue {
    /// Counts less.
    Low,
    /// What a device has until somebody sets another.
    Normal,
    /// Counts more.
    High,
}

impl DeviceValue {
    /// Reads a name in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High].into_iter().find(|value| value.as_str().eq_ignore_ascii_case(text))
    }

    /// The name as the API wants it; its enum values are case-sensitive.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Normal => "Normal",
            Self::High => "High",
        }
    }
}

impl fmt::Display for DeviceValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The number of a record of the input, from 1, the header not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RowNumber(pub u32);

impl fmt::Display for RowNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What the names of runs against the sandbox begin with.
pub const SANDBOX_RUN_PREFIX: &str = "sandbox-";

/// Whether a run of this name was a rehearsal.
#[must_use]
pub fn is_sandbox_run(run_id: &str) -> bool {
    run_id.starts_with(SANDBOX_RUN_PREFIX)
}

/// What became of an operation or a row.
///
/// The order is the one in which the worst of a row's operations is taken (design: rows and results).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was already set when the inventory was read.
    Unchanged,
    /// The service answered that it is so now.
    Succeeded,
    /// No call was made, or only one that was refused before it could count.
    NotAttempted,
    /// Sent, never answered, and not settled by reading.
    Unknown,
    /// The service refused it for good.
    Failed,
    /// The row itself is in error and was skipped.
    Invalid,
}

impl Status {
    /// Every status, in the order of summaries.
    pub const ALL: [Self; 6] =
        [Self::Succeeded, Self::Unchanged, Self::Failed, Self::Unknown, Self::NotAttempted, Self::Invalid];

    /// The name in results and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::NotAttempted => "not_attempted",
            Self::Invalid => "invalid",
        }
    }

    /// The status with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What became of one operation, in the words of the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub status: Status,
    /// Whether a resumed run sends the operation again: it was refused for a reason that lies outside it, a missing
    /// permission for example.
    pub send_again: bool,
    /// Whether the last answer was a refusal that is believed. An outcome may be unknown all the same, for what was sent
    /// before.
    pub is_refusal: bool,
    /// Where the facts below come from.
    pub answer: AnswerFacts,
    /// What holds now, as far as an answer showed it.
    pub after: Held,
}

/// What the last answer to an operation said of itself, for people: masked, so nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFacts {
    /// The HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// The service's code, or ours (`timed_out`, `not_applied`, …) where it named none.
    pub error_code: Option<Box<str>>,
    /// The service's message, cut and masked, or ours.
    pub error_message: Option<Box<str>>,
    /// The service's correlation id.
    pub request_id: Option<Box<str>>,
}

/// The quota buckets of the service: calls of one never count for another (design, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// Reading machines: the list and a single one.
    Machines,
    /// Tags: the single and the bulk call together.
    Tags,
    /// Device values.
    Value,
}

impl Bucket {
    /// Every bucket.
    pub const ALL: [Self; 3] = [Self::Machines, Self::Tags, Self::Value];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn position(self) -> usize {
        match self {
            Self::Machines => 0,
            Self::Tags => 1,
            Self::Value => 2,
        }
    }

    /// The name that people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Machines => "machines",
            Self::Tags => "tags",
            Self::Value => "device values",
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

    #[test]
    fn tags_are_checked() {
        let table: &[(&str, Result<(), TagError>)] = &[
            ("x", Ok(())),
            ("Tier 0 / Größe", Ok(())),
            ("", Err(TagError::Empty)),
            ("a\u{7}", Err(TagError::ControlCharacter { code_point: 7 })),
            ("a\nb", Ok(())),
            ("a\u{85}b", Err(TagError::ControlCharacter { code_point: 0x85 })),
        ];
        for (text, expected) in table {
            assert_eq!(Tag::new(text).map(|_| ()), *expected, "{text:?}");
        }
        assert!(Tag::new(&"ü".repeat(200)).is_ok());
        assert_eq!(Tag::new(&"ü".repeat(201)), Err(TagError::TooLong { characters: 201 }));
        assert!(Tag::new("a (b)").is_ok_and(|tag| tag.breaks_portal_filter()));
        assert!(Tag::new("a b").is_ok_and(|tag| !tag.breaks_portal_filter()));
    }

    #[test]
    fn the_worst_status_of_a_row_is_the_greatest() {
        let order = [Status::Failed, Status::Unknown, Status::NotAttempted, Status::Succeeded, Status::Unchanged];
        assert!(order.is_sorted_by(|worse, better| worse > better));
    }
}
