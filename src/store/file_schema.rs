//! The tables of a database in a file: brought up to date, or refused.

use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, schema};

/// Makes the tables, or brings them up to date.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    schema::prepare(connection).map_err(|problem| schema_error(problem, path))
}

/// Why a file with such a schema is of no use.
pub(super) fn schema_error(problem: schema::SchemaProblem, path: &Path) -> StoreError {
    match problem {
        schema::SchemaProblem::Foreign => StoreError::Foreign { path: path.to_owned() },
        schema::SchemaProblem::Newer(found) => {
            StoreError::Newer { path: path.to_owned(), found, known: schema::SCHEMA_VERSION }
        }
        schema::SchemaProblem::Database(error) => StoreError::database(path, error),
    }
}
