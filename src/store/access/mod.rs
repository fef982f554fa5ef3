//! The ways in: a state that is opened or only read, and the connections over which everybody here speaks to its database.
//!
//! [`opening`] and [`reader`] are the ways in, and [`place`] chooses between them. [`handle::Store`] is a state that is open for
//! writing, [`reader::Reader`] one that is only read; the rooms above add their questions and answers to these two. Whoever
//! writes is in the books ([`identity`]), on a server with [`heartbeats`]. What a copy
//! of the run under way consists of: [`run_copy`]. What surprises: all writing goes through one [`connection`], whose
//! transactions many callers share.

pub(super) mod connection;
pub(super) mod handle;
pub(super) mod heartbeats;
pub(super) mod identity;
pub(super) mod opening;
pub(super) mod place;
pub(super) mod reader;
pub(super) mod run_copy;
