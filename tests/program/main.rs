//! Drives the compiled program from outside, as people and scripts do.
//!
//! Nearly every test is a [`rehearsal::Rehearsal`]: rows in, a sandbox or a [`stand_in::StandIn`] to talk to, and an
//! outcome to look at. Every test has a folder, a state directory and a server of its own, so that none depends on
//! another or on their order; no port is fixed, and nothing waits longer than until what it waits for has happened.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_collect,
    clippy::naive_bytecount,
    reason = "a test ends with a panic, its helpers are tests, too, and the texts of tests are short"
)]

#[cfg(unix)]
mod browser;
mod machines;
#[cfg(target_os = "linux")]
mod preload;
mod process;
mod rehearsal;
mod sandbox_server;
#[cfg(target_os = "linux")]
mod small_disk;
mod stand_in;
mod table;
mod tenant;
#[cfg(unix)]
mod terminal;

mod actions;
mod bad_files;
mod bad_rows;
mod bulk;
mod certificates;
mod check_settings;
mod checking;
mod choosing;
mod circles;
#[cfg(unix)]
mod deployment;
mod dialects;
mod environments;
mod exports;
mod failed_rows;
mod faults;
mod filtering;
mod guards;
#[cfg(target_os = "linux")]
mod hanging_disk;
mod inventory;
mod layout;
mod limits;
mod lists;
mod locks;
#[cfg(unix)]
mod losses;
mod manual;
mod metrics;
mod mishaps;
mod names;
mod objects;
mod outputs;
mod outside;
#[cfg(unix)]
mod people;
mod pings;
mod planning;
#[cfg(target_os = "linux")]
mod process_limits;
mod profiles;
mod proxies;
mod quota;
mod readme;
mod refusals;
mod rehearsing;
mod report;
mod results;
mod resuming;
mod rules;
mod runs;
mod samples;
mod secrecy;
mod several_tenants;
mod shown;
mod sign_in;
mod sizes;
#[cfg(target_os = "linux")]
mod stalled;
mod stopping;
mod storage;
mod streams;
mod summary;
mod tags;
#[cfg(unix)]
mod terminals;
mod tolerance;
mod undecided;
mod undoing;
mod unread;
mod verification;
#[cfg(target_os = "linux")]
mod waits;
