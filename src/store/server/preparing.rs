//! The tables on a server: made at the first use, and brought up to date by whoever comes first with a newer program.
//!
//! They are those of the file, made by the same statements in the other engine's words, and stand in a schema of their own.
//! What is needed there alone has a count of its own, so that either may grow. A role that may not make tables can work with
//! tables that are there and up to date.

use std::path::Path;

use super::ServerAddress;
use super::takeovers::told_reign;
use crate::store::StoreError;
use crate::store::engine::absence::Patience;
use crate::store::engine::schema::{MIGRATIONS, SCHEMA_VERSION};
use crate::store::engine::sql::dialect::definitions_for_postgres;
use crate::store::engine::sql::{Session, SqlError, Transaction, params};

/// The newest form of what is beside the tables.
const BESIDE_VERSION: i32 = 4;
/// What the server has beside the tables of the file: when a process was seen last, by the server's clock, and the number of
/// its last commit; and which server's reign it is, when that was first seen, and in which one a process was seen last; of a
/// run, whose host's path its input has; and the number that the server gave to a table when it was made: what is put back from
/// a copy stands in another one.
const BESIDE: [&str; BESIDE_VERSION as usize] = [
    "
ALTER TABLE process ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE process ADD COLUMN last_commit INTEGER NOT NULL DEFAULT 0;
",
    "
ALTER TABLE custody ADD COLUMN reign INTEGER NOT NULL DEFAULT 0;
ALTER TABLE custody ADD COLUMN reign_seen_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE process ADD COLUMN reign INTEGER NOT NULL DEFAULT 0;
",
    "
ALTER TABLE run ADD COLUMN input_host TEXT NOT NULL DEFAULT '';
",
    "
ALTER TABLE custody ADD COLUMN table_number INTEGER NOT NULL DEFAULT 0;
UPDATE custody SET table_number = CAST(CAST('custody' AS REGCLASS) AS OID);
",
];

/// The number that whoever makes tables locks: any that nobody else is likely to use.
const LOCK: i64 = 0x7461_6766_6c65_6574;
/// What may be waited for: somebody else who makes the tables.
const SETTINGS: &str =
    "SET LOCAL search_path TO tagfleet; SET LOCAL statement_timeout TO '28s'; SET LOCAL lock_timeout TO '28s'";

/// Why a state cannot be used.
pub(super) enum Problem {
    /// The schema belongs to another program.
    Foreign,
    /// An older program made the tables, and this role may not change them.
    Older,
    /// This role lacks rights on these tables and sequences.
    NotGranted(String),
    /// A newer program made the tables.
    Newer(i32),
    /// The server failed.
    Sql(SqlError),
}

impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl Problem {
    /// The same in words.
    pub(super) fn into_store_error(self, name: &Path) -> StoreError {
        match self {
            Self::Foreign => StoreError::Foreign { path: name.to_owned() },
            Self::Older => StoreError::Older { path: name.to_owned() },
            Self::NotGranted(lacking) => StoreError::NotGranted { path: name.to_owned(), lacking },
            Self::Newer(found) => StoreError::Newer { path: name.to_owned(), found, known: SCHEMA_VERSION },
            Self::Sql(error) => StoreError::database(name, error),
        }
    }
}

/// How far the tables are: those of the file, and what is beside them.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Form {
    tables: i32,
    beside: i32,
}

impl Form {
    const NEWEST: Self = Self { tables: SCHEMA_VERSION, beside: BESIDE_VERSION };
    const NONE: Self = Self { tables: 0, beside: 0 };
}

/// Makes sure that the tables are there, and of the newest form.
pub(super) fn prepare(address: &ServerAddress, patience: &Patience) -> Result<(), Problem> {
    let session = address.connect(patience)?;
    let reign = told_reign(&session)?;
    session.simple(&format!("BEGIN; {SETTINGS}"))?;
    let transaction = Transaction::on(&session);
    let form = form(&transaction, true)?;
    if form != Form::NEWEST {
        bring_up_to_date(&session, &transaction)?;
    }
    if let Some(reign) = reign.filter(|_| form == Form::NONE) {
        // The first process may begin on a server that is lost with all that it has written.
        transaction.execute("UPDATE custody SET reign = ?1 WHERE reign = 0", [reign])?;
    }
    session.simple("COMMIT")?;
    Ok(())
}

/// Whether there are tables; old ones are brought up to date.
pub(super) fn is_there(address: &ServerAddress, patience: &Patience) -> Result<bool, Problem> {
    let session = address.connect(patience)?;
    session.simple(&format!("BEGIN; {SETTINGS}"))?;
    let transaction = Transaction::on(&session);
    let form = form(&transaction, false)?;
    if form != Form::NONE && form != Form::NEWEST {
        bring_up_to_date(&session, &transaction)?;
    }
    session.simple("COMMIT")?;
    Ok(form != Form::NONE)
}

fn bring_up_to_date(session: &Session, transaction: &Transaction<'_>) -> Result<(), Problem> {
    session.simple(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
    // Another process may have been faster.
    let form = form(transaction, false)?;
    if form == Form::NONE && !has_schema(transaction)? {
        session.simple("CREATE SCHEMA tagfleet")?;
    }
    if form == Form::NONE {
        session.simple(
            "CREATE TABLE form (only_row BIGINT PRIMARY KEY DEFAULT 1 CHECK (only_row = 1), tables BIGINT NOT NULL,
                 beside BIGINT NOT NULL);
             INSERT INTO form (tables, beside) VALUES (0, 0)",
        )?;
    }
    let to_come =
        |all: &[&'static str], have: i32| all.iter().skip(usize::try_from(have).unwrap_or(0)).copied().collect();
    let migrations: Vec<&str> = to_come(&MIGRATIONS, form.tables);
    let beside: Vec<&str> = to_come(&BESIDE, form.beside);
    for migration in migrations.into_iter().chain(beside) {
        session.simple(&definitions_for_postgres(migration)).map_err(|error| match error {
            SqlError::Postgres(refusal) if form != Form::NONE && is_forbidden(&refusal) => Problem::Older,
            other => Problem::Sql(other),
        })?;
    }
    let Form { tables, beside } = Form::NEWEST;
    transaction.execute("UPDATE form SET tables = ?1, beside = ?2", [tables, beside])?;
    Ok(())
}

fn is_forbidden(refusal: &tokio_postgres::Error) -> bool {
    refusal.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE)
}

fn has_schema(transaction: &Transaction<'_>) -> Result<bool, SqlError> {
    let sql = "SELECT count(*) > 0 FROM pg_namespace WHERE nspname = 'tagfleet'";
    transaction.query_row(sql, params![], |row| row.get(0))
}

/// What whoever only reads lacks of a table.
const NOT_READABLE: &str = "relkind = 'r' AND NOT has_table_privilege(pg_class.oid, 'SELECT')";
/// What whoever writes lacks of a table or a sequence.
const NOT_WRITABLE: &str = "CASE WHEN relkind = 'S' THEN NOT has_sequence_privilege(pg_class.oid, 'USAGE') ELSE NOT (
         has_table_privilege(pg_class.oid, 'SELECT') AND has_table_privilege(pg_class.oid, 'INSERT')
         AND has_table_privilege(pg_class.oid, 'UPDATE') AND has_table_privilege(pg_class.oid, 'DELETE')) END";

/// The form of the tables; refuses what is not for this program, and where this role may not read them, or write them.
fn form(transaction: &Transaction<'_>, writes: bool) -> Result<Form, Problem> {
    let lacking = if writes { NOT_WRITABLE } else { NOT_READABLE };
    let tables = format!(
        "SELECT count(*) FILTER (WHERE relkind = 'r'), count(*) FILTER (WHERE relname = 'form'),
             string_agg(relname, ', ' ORDER BY relname) FILTER (WHERE {lacking})
         FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
         WHERE nspname = 'tagfleet' AND relkind IN ('r', 'S')"
    );
    let (all, ours, lacking): (i64, i64, Option<String>) =
        transaction.query_row(&tables, params![], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    match (all, ours) {
        (0, _) => return Ok(Form::NONE),
        (_, 0) => return Err(Problem::Foreign),
        _ => {}
    }
    // Named in full, so that whoever may not look into the schema is told that, and not that there is no table.
    let form = transaction.query_row("SELECT tables, beside FROM tagfleet.form", params![], |row| {
        Ok(Form { tables: row.get(0)?, beside: row.get(1)? })
    })?;
    if form.tables > Form::NEWEST.tables || form.beside > Form::NEWEST.beside {
        return Err(Problem::Newer(form.tables));
    }
    lacking.map_or(Ok(form), |lacking| Err(Problem::NotGranted(lacking)))
}
