//! What the state tells those who look at it: its runs ([`listing`]), whether they are whole ([`books`]), their calls and operations
//! ([`accounts`]), the [`state`] as a whole, and what this process has called ([`tallies`]).

pub(super) mod accounts;
mod books;
pub(super) mod listing;
pub(super) mod state;
pub(super) mod tallies;
