//! The ways out, and what everything has in common that goes there: [`screen`] is the one to a terminal or what stands in its
//! place, over the [`streams`] of the process, each with a [`queue`] of its own, and over a [`terminal`] that may go away.
//!
//! How an error is shown: [`problem`], what every JSON object says: [`frame`], how a word is set off: [`style`], where a line
//! breaks: [`wrapping`]. Logs: [`logging`].

pub(super) mod frame;
mod log_format;
pub(crate) mod logging;
pub(super) mod problem;
mod queue;
pub(super) mod screen;
pub(super) mod standard_output;
pub(super) mod streams;
pub(super) mod style;
mod terminal;
mod wrapping;
