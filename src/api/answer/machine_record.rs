//! A machine as reads of the service show it, taken leniently: whatever a field holds, it spoils at most itself.
//!
//! The service sends more fields than its documentation lists, and none but `id` is sure. What surprises: tags that the
//! answer does not show, or shows in another shape than a list of texts, are unknown and not none, since a machine that
//! is believed to lack a tag is not sent a call to remove it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::MachineRecord;

/// The most bytes that a text of a machine has; a longer one is as good as not shown, and a longer tag is too much. A tag
/// has 200 characters.
const TEXT_MAXIMUM_BYTES: usize = 4096;
/// The most bytes of an id, which is 40 hexadecimal digits as far as anybody knows; what has a longer one is no machine.
const ID_MAXIMUM_BYTES: usize = 64;
/// The most tags of a machine. What is listed is held before it is counted, and a tag of one letter takes ten times its
/// place, so there must be a bound; nobody knows one of the service's.
pub(super) const MAXIMUM_TAGS: usize = 100_000;
/// The fields that are read.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Id,
    ComputerDnsName,
    FirstSeen,
    LastSeen,
    OsPlatform,
    OsVersion,
    OsBuild,
    Version,
    OsArchitecture,
    HealthStatus,
    // The documentation writes it without the capital.
    #[serde(alias = "onboardingstatus")]
    OnboardingStatus,
    RbacGroupName,
    RiskScore,
    ExposureLevel,
    AadDeviceId,
    ManagedBy,
    LastIpAddress,
    LastExternalIpAddress,
    MachineTags,
    DeviceValue,
    Error,
    #[serde(other)]
    Other,
}

impl Element {
    /// A machine, or what else has fields.
    fn of_fields<'de, A: MapAccess<'de>>(mut fields: A) -> Result<Self, A::Error> {
        let mut record = MachineRecord::default();
        let (mut id, mut has_too_much, mut complains) = (FieldValue::Nothing, false, false);
        while let Some(field) = fields.next_key()? {
            let text = match field {
                Field::Id => {
                    id = fields.next_value()?;
                    continue;
                }
                Field::MachineTags => {
                    let tags: FieldValue = fields.next_value()?;
                    has_too_much = matches!(tags, FieldValue::TooMuch);
                    record.machine_tags = tags.list();
                    continue;
                }
                Field::Error => {
                    complains |= fields.next_value::<Option<IgnoredAny>>()?.is_some();
                    continue;
                }
                Field::Other => {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
                Field::ComputerDnsName => &mut record.computer_dns_name,
                Field::FirstSeen => &mut record.first_seen,
                Field::LastSeen => &mut record.last_seen,
                Field::OsPlatform => &mut record.os_platform,
                Field::OsVersion => &mut record.os_version,
                Field::OsBuild => &mut record.os_build,
                Field::Version => &mut record.version,
                Field::OsArchitecture => &mut record.os_architecture,
                Field::HealthStatus => &mut record.health_status,
                Field::OnboardingStatus => &mut record.onboarding_status,
                Field::RbacGroupName => &mut record.rbac_group_name,
                Field::RiskScore => &mut record.risk_score,
                Field::ExposureLevel => &mut record.exposure_level,
                Field::AadDeviceId => &mut record.aad_device_id,
                Field::ManagedBy => &mut record.managed_by,
                Field::LastIpAddress => &mut record.last_ip_address,
                Field::LastExternalIpAddress => &mut record.last_external_ip_address,
                Field::DeviceValue => &mut record.device_value,
            };
            *text = fields.next_value::<FieldValue>()?.shown();
        }
        // Two dots, or one, would lead a call to another address.
        let id = match id {
            FieldValue::Text(id) if !matches!(&*id, "" | "." | "..") && id.len() <= ID_MAXIMUM_BYTES => id,
            _ => return Ok(Self::Other),
        };
        // Without a word, its tags would be taken for unknown, though the answer shows them.
        Ok(if has_too_much {
            Self::TooManyTags
        } else {
            Self::Machine { record: MachineRecord { id, ..record }, complains }
        })
    }
}

/// An element of a page, or the whole answer to a read of one machine.
#[expect(clippy::large_enum_variant, reason = "as good as each is a machine")]
pub(super) enum Element {
    Machine {
        record: MachineRecord,
        /// Whether it speaks of an error, in whatever shape.
        complains: bool,
    },
    /// A machine with more tags, or longer ones, than any true one.
    TooManyTags,
    /// No machine.
    Other,
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a machine")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        Element::of_fields(fields)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(list).map(|_ignored| Element::Other)
    }

    fn visit_str<E>(self, _text: &str) -> Result<Self::Value, E> {
        Ok(Element::Other)
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Element::Other)
    }

    fn visit_i64<E>(self, _number: i64) -> Result<Self::Value, E> {
        Ok(Element::Other)
    }

    fn visit_u64<E>(self, _number: u64) -> Result<Self::Value, E> {
        Ok(Element::Other)
    }

    fn visit_f64<E>(self, _number: f64) -> Result<Self::Value, E> {
        Ok(Element::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Element::Other)
    }
}

/// What a field may hold.
pub(super) enum FieldValue {
    /// A text that is not empty.
    Text(Box<str>),
    /// A number, or true or false, as text.
    Number(Box<str>),
    /// A list of texts, or `None` for a list that holds something else.
    List(Option<Vec<Box<str>>>),
    /// A text, or a list, that holds more than is read.
    TooMuch,
    /// Null, an empty text, or an object.
    Nothing,
}

impl FieldValue {
    /// The text to show for a field that holds one value.
    fn shown(self) -> Option<Box<str>> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            Self::List(_) | Self::TooMuch | Self::Nothing => None,
        }
    }

    /// The list, for a field that holds one.
    fn list(self) -> Option<Vec<Box<str>>> {
        match self {
            Self::List(list) => list,
            Self::Text(_) | Self::Number(_) | Self::TooMuch | Self::Nothing => None,
        }
    }

    /// Whether the field says anything.
    pub(super) const fn is_something(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = FieldValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the value of a field")
    }

    fn visit_str<E>(self, text: &str) -> Result<FieldValue, E> {
        Ok(match text.len() {
            0 => FieldValue::Nothing,
            1..=TEXT_MAXIMUM_BYTES => FieldValue::Text(text.into()),
            _ => FieldValue::TooMuch,
        })
    }

    fn visit_bool<E>(self, value: bool) -> Result<FieldValue, E> {
        Ok(FieldValue::Number(value.to_string().into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<FieldValue, E> {
        Ok(FieldValue::Number(number.to_string().into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<FieldValue, E> {
        Ok(FieldValue::Number(number.to_string().into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<FieldValue, E> {
        Ok(FieldValue::Number(number.to_string().into()))
    }

    fn visit_unit<E>(self) -> Result<FieldValue, E> {
        Ok(FieldValue::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FieldValue, A::Error> {
        let (mut texts, mut is_too_much) = (Some(Vec::new()), false);
        while let Some(element) = list.next_element::<FieldValue>()? {
            match (element, &mut texts) {
                (FieldValue::Text(text), Some(texts)) if texts.len() < MAXIMUM_TAGS => texts.push(text),
                (FieldValue::Text(_), Some(_)) | (FieldValue::TooMuch, _) => {
                    (texts, is_too_much) = (None, true);
                }
                _ => texts = None,
            }
        }
        Ok(if is_too_much { FieldValue::TooMuch } else { FieldValue::List(texts) })
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<FieldValue, A::Error> {
        IgnoredAny.visit_map(fields).map(|_ignored| FieldValue::Nothing)
    }
}
