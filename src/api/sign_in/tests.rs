//! The sign-in from outside: real requests to an authority on loopback, in real time.

mod authority;
mod flows;
mod refusals;
mod secrecy;
