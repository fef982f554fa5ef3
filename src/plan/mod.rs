//! Rows become operations, operations become calls, calls become a finish time: pure functions over what was read.

pub mod operations;
pub mod schedule;
