//! A page of the list of machines.
//!
//! A machine that cannot be read is left out and counted; it never costs the page. Of the link to the next page only its
//! presence is kept: it is often absent, once malformed and endless, and so never followed. What surprises: a page that
//! is no JSON because a text in it was cut within a character is mended, since one such tag would otherwise hide the
//! whole tenant. And a short body can mean much memory (a tag of one letter takes fifty times its place), so what is read
//! of it is counted by what it takes here.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::machine_record::{Element, FieldValue, MAXIMUM_TAGS};
use crate::model::MachineRecord;

const MEBIBYTE: usize = 1024 * 1024;
/// So many damaged characters are mended on a page; where there are more, it is no text of the service's.
const MAXIMUM_DAMAGED_CHARACTERS: usize = 100_000;

/// The most that a list of machines may hold to be believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListBounds {
    machines: usize,
    memory_bytes: usize,
}

impl ListBounds {
    /// Of a page of the tenant's machines. Ten thousand are asked for; a service that pays no heed to that sends more.
    pub(super) const PAGE: Self = Self { machines: 100_000, memory_bytes: 48 * MEBIBYTE };
    /// Of the answer to a bulk call, which is about 500 machines at the most.
    pub(super) const BULK: Self = Self { machines: 1_000, memory_bytes: 8 * MEBIBYTE };
}

/// Why an answer is not read as a list of machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnreadableList {
    /// It is something else.
    #[error("the answer is not a list of machines as the service sends it")]
    Other,
    /// It lists more machines than any true answer.
    #[error("the answer lists more than {limit} machines, the most that tagfleet accepts in one answer")]
    TooManyMachines { limit: usize },
    /// One of its machines shows more tags than are read.
    #[error("a machine in the answer has more than {limit} tags, or one that is far too long, and is not read")]
    TooManyTags { limit: usize },
    /// Its machines show more than any true answer.
    #[error("the machines in the answer take more than {limit_bytes} bytes of memory, the most that tagfleet accepts")]
    TooLarge { limit_bytes: usize },
}

/// What a list may hold, and whether it was too much.
pub(super) struct Bound {
    bounds: ListBounds,
    excess: Cell<Option<UnreadableList>>,
}

impl Bound {
    pub(super) const fn new(bounds: ListBounds) -> Self {
        Self { bounds, excess: Cell::new(None) }
    }

    /// Reads a body that is nothing but a list of machines; counts what in it is none.
    pub(super) fn bare_list(&self, body: &[u8]) -> Result<(Vec<MachineRecord>, u64), UnreadableList> {
        let Elements { machines, skipped } = self.read(ElementsSeed(self), body)?;
        Ok((machines, skipped))
    }

    fn read<'de, S: DeserializeSeed<'de>>(&self, seed: S, body: &'de [u8]) -> Result<S::Value, UnreadableList> {
        let mut reader = serde_json::Deserializer::from_slice(body);
        let value = seed.deserialize(&mut reader);
        let whole = value.and_then(|value| reader.end().map(|()| value));
        whole.map_err(|_malformed| self.excess.get().unwrap_or(UnreadableList::Other))
    }

    /// Takes note of what is too much.
    fn exceeded<E: serde::de::Error>(&self, excess: UnreadableList) -> E {
        self.excess.set(Some(excess));
        E::custom(excess)
    }
}

/// A page of the list of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachinePage {
    /// The machines, in the service's order.
    pub machines: Vec<MachineRecord>,
    /// Elements of the page that are no machine with an id.
    pub skipped: u64,
    /// Whether the page says that there is another one, rightly or wrongly.
    pub has_next_link: bool,
}

impl MachinePage {
    /// All elements of the page: what the next page's `$skip` counts.
    pub(crate) fn item_count(&self) -> u64 {
        self.skipped.saturating_add(self.machines.len() as u64)
    }

    /// Reads the body of an answer.
    pub(super) fn parse(body: &[u8], bounds: ListBounds) -> Result<Self, UnreadableList> {
        let bound = Bound::new(bounds);
        let read = |body: &[u8]| bound.read(PageSeed(&bound), body);
        match read(body) {
            Err(UnreadableList::Other) => match mended(body) {
                Some(mended) => read(mended.as_bytes()),
                None => Err(UnreadableList::Other),
            },
            read => read,
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

struct PageSeed<'a>(&'a Bound);

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = MachinePage;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<MachinePage, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = MachinePage;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a page of machines")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<MachinePage, A::Error> {
        let mut elements = None;
        let mut has_next_link = false;
        while let Some(field) = fields.next_key()? {
            match field {
                PageField::Value => elements = Some(fields.next_value_seed(ElementsSeed(self.0))?),
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

struct ElementsSeed<'a>(&'a Bound);

impl<'de> DeserializeSeed<'de> for ElementsSeed<'_> {
    type Value = Elements;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Elements, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ElementsSeed<'_> {
    type Value = Elements;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of machines")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Elements, A::Error> {
        let ListBounds { machines: limit, memory_bytes: limit_bytes } = self.0.bounds;
        let mut elements = Elements { machines: Vec::new(), skipped: 0 };
        let mut bytes = 0;
        while let Some(element) = list.next_element()? {
            let machine = match element {
                Element::Machine { record, .. } => record,
                Element::TooManyTags => {
                    return Err(self.0.exceeded(UnreadableList::TooManyTags { limit: MAXIMUM_TAGS }));
                }
                Element::Other => {
                    elements.skipped += 1;
                    continue;
                }
            };
            bytes += machine.memory_bytes();
            if elements.machines.len() >= limit {
                return Err(self.0.exceeded(UnreadableList::TooManyMachines { limit }));
            }
            if bytes > limit_bytes {
                return Err(self.0.exceeded(UnreadableList::TooLarge { limit_bytes }));
            }
            elements.machines.push(machine);
        }
        Ok(elements)
    }
}

/// The text with U+FFFD in place of bytes that are no UTF-8 and of halves of surrogate pairs: what is left of a character
/// when its text was cut. `None` when there is nothing to fix.
fn mended(body: &[u8]) -> Option<String> {
    let damaged = body.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    if damaged > MAXIMUM_DAMAGED_CHARACTERS {
        return None;
    }
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
