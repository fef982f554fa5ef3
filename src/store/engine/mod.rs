//! What holds for every database, be it a file or on a server: [`sql`] speaks to both, [`schema`] has the tables, [`absence`] says
//! how long one that is away is waited for, and [`error`] what it may say of its troubles.

pub(super) mod absence;
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
