//! What stands in a state, shown: its [`runs`], those in another's way ([`holder`]), the [`state`] as a whole, and what a
//! [`preflight`] finds.

pub(super) mod holder;
pub(super) mod preflight;
pub(super) mod runs;
pub(super) mod state;
