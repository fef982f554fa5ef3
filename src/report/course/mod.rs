//! The course of a run, for people and for scripts: its [`plan`], how it goes ([`progress`], at a [`pace`]), and its end, told
//! by [`summary`]: why it ended ([`reasons`], [`obstacle`]), where its time went ([`spent`]), how many calls it took
//! ([`counts`]), and what to do next ([`advice`]).

pub(super) mod advice;
pub(super) mod counts;
pub(super) mod obstacle;
pub(super) mod pace;
pub(super) mod plan;
pub(super) mod progress;
pub(super) mod reasons;
pub(super) mod spent;
pub(super) mod summary;
