//! How a file is laid out: its [`dialect`], what stands before the first row ([`opening`]), which [`columns`] there are and
//! how filters find them ([`header`]), and what can be said of any [`record`], or is wrong with it ([`record_fault`]).

pub(super) mod columns;
pub(super) mod dialect;
pub(super) mod header;
pub(super) mod opening;
pub(super) mod record;
pub(super) mod record_fault;
