//! The manual: one Markdown file for each topic in `src/help/`, shown by `tagfleet help TOPIC`.
//!
//! A terminal gets headings, tables and paragraphs as wide as it is; a pipe gets the Markdown itself; the system's manual
//! gets a page of section 7 each.

mod manual_page;
mod terminal;
mod topics;

pub(crate) use manual_page::manual_page;
pub(crate) use terminal::render;
pub(crate) use topics::{MANUAL_DATE, TOPICS, list, topic};
