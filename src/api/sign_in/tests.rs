//! The sign-in from outside: real requests to an authority on loopback, in real time.

pub(super) mod authority;
mod flows;
mod refusals;
mod secrecy;
