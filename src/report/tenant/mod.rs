//! A tenant for people and for scripts: the [`reading`] of its machines, their list as [`machines`] writes it and as lists of
//! others are read ([`exported`], [`listed`]), and its [`tags`].

pub(super) mod foreign_lists;
pub(super) mod listed;
pub(super) mod machines;
pub(super) mod reading;
pub(super) mod tags;
