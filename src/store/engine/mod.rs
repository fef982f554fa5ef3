//! What holds for every database, be it a file or on a server: [`sql`] speaks to both, [`schema`] has the tables, [`commits`]
//! counts what was committed. What callers ask of a connection is a [`job`].
//!
//! How long a database that is away is waited for says [`absence`], since when [`waiting`]; what it may say of its troubles
//! are [`error`], [`database_failure`] and [`mistrust`], and what to do about them [`advice`]. What its files are called: [`file_names`], its [`password`].

pub(super) mod absence;
mod advice;
pub(super) mod commits;
pub(super) mod database_failure;
pub(super) mod error;
pub(super) mod file_names;
pub(super) mod job;
pub(super) mod mistrust;
pub(super) mod password;
pub(super) mod schema;
pub(super) mod sql;
pub(super) mod waiting;
