//! Rows become operations, operations become calls, calls become a finish time: pure functions over what was read.

pub mod isolation;
pub mod operations;
pub mod schedule;
