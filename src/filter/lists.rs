//! Cells that hold lists of texts.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, Error, SeqAccess, Visitor};

/// How a list is written in a cell. An empty cell is an empty list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListForm {
    /// An array of strings, as in `machineTags` and `DeviceManualTags`.
    Json,
    /// With commas between the elements, as in the portal's `Tags`.
    Commas,
}

impl ListForm {
    /// Shows every element of a trimmed cell; `None` if the cell is no such list, whatever was shown by then.
    pub(crate) fn visit(self, cell: &str, mut see: impl FnMut(&str)) -> Option<()> {
        match self {
            _ if cell.is_empty() => {}
            Self::Commas => cell.split(',').map(str::trim).filter(|element| !element.is_empty()).for_each(see),
            Self::Json => {
                let mut reader = serde_json::Deserializer::from_str(cell);
                reader.deserialize_seq(Elements(&mut see)).ok()?;
                reader.end().ok()?;
            }
        }
        Some(())
    }
}

/// Hands on the elements of an array, without a copy of those that hold no escape.
struct Elements<'s, S>(&'s mut S);

impl<'json, S: FnMut(&str)> Visitor<'json> for Elements<'_, S> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'json>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Element(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

struct Element<'s, S>(&'s mut S);

impl<'json, S: FnMut(&str)> DeserializeSeed<'json> for Element<'_, S> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'json>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_str(self)
    }
}

impl<S: FnMut(&str)> Visitor<'_> for Element<'_, S> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<E: Error>(self, element: &str) -> Result<(), E> {
        (self.0)(element);
        Ok(())
    }
}
