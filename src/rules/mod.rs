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

mod account;
mod columns;
mod declaration;
mod draft;
mod dump;
mod explanation;
mod fault;
mod fleet;
mod judging;
mod lookup;
mod lookup_section;
mod own;
mod sections;
mod spellings;
mod template;
#[cfg(test)]
mod tests;
mod wishes;

pub use self::account::Account;
pub(crate) use self::account::RULES_HEADER;
pub use self::columns::Sight;
pub use self::declaration::{Declaration, Gift, Guards, Mode, Rule};
pub use self::draft::Draft;
pub use self::dump::dump;
pub use self::explanation::Explanation;
pub use self::fault::Fault;
pub use self::fleet::{Fleet, TagsHeld};
pub use self::judging::{Judgement, Verdict};
pub use self::lookup::{Lookup, LookupOrder};
pub use self::own::{Owned, Ownership, Placed};
pub use self::wishes::{Wish, wishes};
