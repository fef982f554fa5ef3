//! Rows become operations, operations become calls, calls become a finish time: pure functions over what was read.

pub mod carrying;
pub mod changes;
pub mod decision;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod guard;
pub mod identity;
pub mod isolation;
pub mod limiting;
pub mod operations;
pub mod other_forms;
pub mod recent;
pub mod redecision;
pub mod resolution;
pub mod schedule;
pub mod tag_change;
pub mod tag_list;
pub mod tenant_tags;
pub mod undo;
pub mod verification;
