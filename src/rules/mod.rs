//! A fleet kept as declared: a file of rules says which tags and values machines shall have, and which tags it owns.
//!
//! ```text
//! TOML ─> Draft ── bind(fields, lookups) ──> Declaration ── verdicts(machine) ──> Judgement ── wanted against held ──> Wishes
//! lists ─> Lookup ────────┘
//! ```
//!
//! Pure: files were read by whoever calls, and the list of machines comes as it was read. What surprises:
//! - What cannot be decided is not false. A rule that needs what a machine lacks is undecided there, and neither adds nor
//!   removes: the tags that it could give stay as they are.
//! - Only what a file owns is ever taken off, and only within its scope.
//! - A rule that only reports counts as giving its tag, so that switching it on takes nothing off that it gives.

mod columns;
mod declaration;
mod draft;
mod dump;
mod explanation;
mod fault;
mod fleet;
mod judging;
mod lacking;
mod lookup;
mod lookup_section;
mod own;
mod sections;
mod spellings;
mod tally;
mod template;
#[cfg(test)]
mod tests;
mod unsettled;
mod wishes;

pub(crate) use self::declaration::Declaration;
pub(crate) use self::draft::Draft;
pub(crate) use self::dump::{MOST_TAGS, dump};
pub(crate) use self::explanation::Explanation;
pub(crate) use self::fault::Fault;
pub(crate) use self::fleet::Fleet;
pub(crate) use self::lookup::{Lookup, LookupOrder};
pub(crate) use self::own::Owned;
pub(crate) use self::tally::RULES_HEADER;
pub(crate) use self::tally::RuleTally;
pub(crate) use self::unsettled::PlannedForMachine;
pub(crate) use self::wishes::{Wish, wishes};
