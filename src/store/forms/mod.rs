//! The types that go in and out, which are of their own so that code elsewhere may change without the stored state noticing,
//! and how they stand in columns.

pub(super) mod attempt;
pub(super) mod encoding;
pub(super) mod run;
pub(super) mod slot_write;
pub(super) mod states;
pub(super) mod work_item;
