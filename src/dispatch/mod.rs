//! The one loop that owns a run: it chooses what to send, starts calls, takes their ends, and stops.
//!
//! Calls run as tasks and tell what they do. The loop ([`dispatch()`]) hears them, the user and the clock, and hands what has
//! happened to the dispatcher, which decides without waiting for anything; then it carries out what was decided. Only the
//! dispatcher changes the run's state, and nothing here prints or writes: [`Event`]s go to an [`Observer`]. Work is read
//! from the store a few hundred operations at a time, so memory does not grow with the run.

mod books;
mod bounds;
mod bulk;
mod call_times;
mod dispatcher;
mod engine;
mod error;
mod events;
mod forecast;
mod lane;
mod lanes;
mod sending;
mod settings;
mod settling;
mod step;
mod stopping;
#[cfg(test)]
mod tests;

pub(crate) use bounds::MaximumErrors;
pub(crate) use engine::dispatch;
pub(crate) use error::DispatchError;
pub(crate) use events::{EndReason, Event, ExpectedEnd, Observer, Progress, Spent};
pub(crate) use settings::{DispatchSettings, StopRequest};
