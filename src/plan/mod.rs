//! Rows become operations, operations become calls, calls become a finish time: pure functions over what was read.

pub(crate) mod carrying;
pub(crate) mod changes;
pub(crate) mod decision;
#[cfg(test)]
pub(crate) mod fixtures;
pub(crate) mod guard;
pub(crate) mod holding_back;
pub(crate) mod isolation;
pub(crate) mod operations;
pub(crate) mod other_forms;
pub(crate) mod recent;
pub(crate) mod redecision;
pub(crate) mod resolution;
pub(crate) mod schedule;
pub(crate) mod tag_change;
pub(crate) mod tag_list;
pub(crate) mod tenant_tags;
pub(crate) mod undo;
pub(crate) mod verification;
