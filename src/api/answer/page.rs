//! A page of the list of machines.
//!
//! A machine that cannot be read is left out and counted; it never costs the page. Of the link to the next page only its
//! presence is kept: it is often absent, once malformed and endless, and so never followed. What surprises: a page that
//! is no JSON because a text in it was cut within a character is mended, since one such tag would otherwise hide the
//! whole tenant.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::machine_record::{Element, FieldValue, MachineRecord};

/// The most machines that one page is believed to hold. Ten thousand are asked for; a service that pays no heed to that
/// sends them all.
const MAXIMUM_PAGE_MACHINES: usize = 1_000_000;

/// A page of the list of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachinePage {
    /// The machines, in the service's order.
    pub machines: Vec<MachineRecord>,
    /// Elements of the page that are no machine with an id.
    pub skipped: u64,
    /// Whether the page says that there is another one, rightly or wrongly.
    pub has_next_link: bool,
}

impl MachinePage {
    /// All elements of the page: what the next page's `$skip` counts.
    #[must_use]
    pub fn item_count(&self) -> u64 {
        self.skipped.saturating_add(self.machines.len() as u64)
    }

    /// Reads the body of an answer; `None` when it is no list of machines.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        match serde_json::from_slice(body) {
            Ok(page) => Some(page),
            Err(_malformed) => mended(body).and_then(|mended| serde_json::from_str(&mended).ok()),
        }
    }
}

/// The fields of a page.
#[derive(Deserialize)]
#[serde(field_identifier)]
enum PageField {
    #[serde(rename = "value")]
    Value,
    #[serde(rename = "@odata.nextLink")]
    NextLink,
    #[serde(rename = "error")]
    Error,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for MachinePage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PageVisitor)
    }
}

struct PageVisitor;

impl<'de> Visitor<'de> for PageVisitor {
    type Value = MachinePage;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a page of machines")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<MachinePage, A::Error> {
        let mut elements = None;
        let mut has_next_link = false;
        while let Some(field) = fields.next_key()? {
            match field {
                PageField::Value => elements = Some(fields.next_value::<Elements>()?),
                PageField::NextLink => has_next_link = fields.next_value::<FieldValue>()?.is_something(),
                // A service that fails while it writes a page says so behind what it has written.
                PageField::Error if fields.next_value::<Option<IgnoredAny>>()?.is_some() => {
                    return Err(A::Error::custom("the page speaks of an error"));
                }
                PageField::Error => {}
                PageField::Other => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        let Elements { machines, skipped } = elements.ok_or_else(|| A::Error::missing_field("value"))?;
        Ok(MachinePage { machines, skipped, has_next_link })
    }
}

/// What the list of a page holds.
struct Elements {
    machines: Vec<MachineRecord>,
    skipped: u64,
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of machines")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Elements, A::Error> {
        let mut elements = Elements { machines: Vec::new(), skipped: 0 };
        while let Some(Element(machine)) = list.next_element()? {
            match machine {
                Some(_) if elements.machines.len() >= MAXIMUM_PAGE_MACHINES => {
                    return Err(A::Error::custom("the page has no end"));
                }
                Some(machine) => elements.machines.push(machine),
                None => elements.skipped += 1,
            }
        }
        Ok(elements)
    }
}

/// The text with U+FFFD in place of bytes that are no UTF-8 and of halves of surrogate pairs: what is left of a character
/// when its text was cut. `None` when there is nothing to mend.
fn mended(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let mut whole = String::with_capacity(text.len());
    let mut copied = 0;
    let mut position = 0;
    while let Some(found) = text.get(position..).and_then(|rest| rest.find('\\')) {
        let start = position + found;
        position = match escaped_unit(&text, start) {
            Some(0xD800..=0xDBFF) if matches!(escaped_unit(&text, start + 6), Some(0xDC00..=0xDFFF)) => start + 12,
            Some(0xD800..=0xDFFF) => {
                whole.push_str(text.get(copied..start)?);
                whole.push('\u{fffd}');
                copied = start + 6;
                copied
            }
            // The second character of an escape may itself be a backslash; whatever it is, it is one byte in JSON.
            _ => start + 2,
        };
    }
    if copied == 0 && matches!(text, Cow::Borrowed(_)) {
        return None;
    }
    whole.push_str(text.get(copied..)?);
    Some(whole)
}

/// The number of the escape `\uXXXX` that stands at this position, if one does.
fn escaped_unit(text: &str, position: usize) -> Option<u16> {
    let digits = text.get(position..)?.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests;
