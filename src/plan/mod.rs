//! Rows become operations, operations become calls, calls become a finish time: pure functions over what was read.

pub mod changes;
pub mod isolation;
pub mod operations;
pub mod recent;
pub mod resolution;
pub mod schedule;
pub mod verification;
