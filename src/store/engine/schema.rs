//! The tables, and how an older file becomes a newer one.
//!
//! Stored forms are of their own: a number here is never the discriminant of an enum elsewhere, so that code may change
//! without the file noticing. Times of the quota are microseconds of boot time under `boot_key`; times for people are
//! microseconds since 1970. An attempt outlives its process and its boot, so it refers to neither by a foreign key, and
//! their numbers are never used again. Room that is given up can be returned to the disk in small steps
//! (`auto_vacuum`), which must be settled before the first table is made.

use rusqlite::Connection;

use super::absence::again_while_held;

/// Marks the file as ours (`file` and other tools show it).
pub(in crate::store) const APPLICATION_ID: i32 = 0x7461_6766;
/// The newest form of the file that this program knows. Whoever only reads has an older file brought up to date first.
pub(in crate::store) const SCHEMA_VERSION: i32 = 10;

/// The statements that lead from each version to the next; the first makes an empty file.
pub(in crate::store) const MIGRATIONS: [&str; SCHEMA_VERSION as usize] =
    [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6, VERSION_7, VERSION_8, VERSION_9, VERSION_10];

const VERSION_1: &str = "
CREATE TABLE boot (
    boot_key INTEGER PRIMARY KEY AUTOINCREMENT,
    boot_id TEXT NOT NULL UNIQUE,
    first_opened INTEGER NOT NULL
) STRICT;
CREATE TABLE process (
    process_key INTEGER PRIMARY KEY AUTOINCREMENT,
    lock_name TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL,
    system_process_id INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE account (
    account_key INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    app TEXT NOT NULL,
    UNIQUE (tenant, app)
) STRICT;
CREATE TABLE run (
    run_key INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE,
    account_key INTEGER NOT NULL REFERENCES account,
    process_key INTEGER NOT NULL REFERENCES process,
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    input_path TEXT NOT NULL,
    earlier_paths TEXT NOT NULL DEFAULT '',
    results_path TEXT,
    input_digest TEXT NOT NULL DEFAULT '',
    operations_digest TEXT NOT NULL DEFAULT '',
    note TEXT,
    created_at INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL,
    delimiter INTEGER NOT NULL,
    byte_order_mark INTEGER NOT NULL,
    header TEXT NOT NULL,
    row_count INTEGER NOT NULL
) STRICT;
CREATE TABLE input_chunk (
    run_key INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    first_row INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    records BLOB NOT NULL,
    operations BLOB NOT NULL,
    PRIMARY KEY (run_key, first_row)
) STRICT, WITHOUT ROWID;
CREATE TABLE row_problem (
    run_key INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    row INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run_key, row)
) STRICT, WITHOUT ROWID;
CREATE TABLE tag (
    run_key INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    tag_number INTEGER NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (run_key, tag_number)
) STRICT, WITHOUT ROWID;
CREATE TABLE operation (
    run_key INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    operation_number INTEGER NOT NULL,
    machine TEXT NOT NULL,
    change_kind INTEGER NOT NULL,
    change_argument INTEGER NOT NULL,
    guard INTEGER,
    unlisted INTEGER NOT NULL DEFAULT 0,
    state INTEGER NOT NULL DEFAULT 0,
    ambiguous INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    http_status INTEGER,
    error_code TEXT,
    error_message TEXT,
    request_id TEXT,
    before TEXT,
    after TEXT,
    finished_at INTEGER,
    PRIMARY KEY (run_key, operation_number)
) STRICT, WITHOUT ROWID;
CREATE INDEX operation_guard ON operation (run_key, guard) WHERE guard IS NOT NULL;
CREATE INDEX operation_unknown ON operation (run_key, operation_number) WHERE state = 4;
CREATE INDEX operation_work ON operation (run_key, unlisted, change_kind, change_argument, operation_number)
    WHERE state IN (0, 6);
CREATE INDEX operation_state ON operation (run_key, state);
CREATE TABLE attempt (
    attempt_key INTEGER PRIMARY KEY,
    account_key INTEGER NOT NULL REFERENCES account,
    bucket INTEGER NOT NULL,
    process_key INTEGER NOT NULL,
    run_key INTEGER REFERENCES run ON DELETE SET NULL,
    call_kind TEXT NOT NULL,
    operations BLOB NOT NULL,
    boot_key INTEGER NOT NULL,
    started INTEGER NOT NULL,
    assumed_end INTEGER NOT NULL,
    ended INTEGER,
    started_at INTEGER NOT NULL,
    http_status INTEGER,
    verdict TEXT,
    request_id TEXT
) STRICT;
CREATE INDEX attempt_ended ON attempt (account_key, boot_key, bucket, ended) WHERE ended IS NOT NULL;
CREATE INDEX attempt_open ON attempt (account_key, bucket) WHERE ended IS NULL;
CREATE INDEX attempt_run ON attempt (run_key, call_kind);
CREATE INDEX attempt_unsettled ON attempt (run_key) WHERE verdict IS NULL;
CREATE TABLE bucket_pause (
    account_key INTEGER NOT NULL REFERENCES account,
    bucket INTEGER NOT NULL,
    boot_key INTEGER NOT NULL REFERENCES boot,
    until INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    PRIMARY KEY (account_key, bucket)
) STRICT, WITHOUT ROWID;
";

/// Ages are read on the clock that stamped them: each start of the machine, and each container with boot times of its own,
/// has a timeline, and the highest time that anybody has read on it. Operations know the attempt that carried them last,
/// which orders writes and tells their age without any wall clock. What earlier versions of a run's input made of slots is
/// kept apart from the operations of its rows.
const VERSION_2: &str = "
ALTER TABLE boot RENAME TO timeline;
ALTER TABLE timeline RENAME COLUMN boot_key TO timeline_key;
ALTER TABLE timeline RENAME COLUMN boot_id TO clock;
ALTER TABLE timeline RENAME COLUMN first_opened TO position;
ALTER TABLE timeline ADD COLUMN excess INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt RENAME COLUMN boot_key TO timeline_key;
ALTER TABLE bucket_pause RENAME COLUMN boot_key TO timeline_key;
ALTER TABLE process ADD COLUMN timeline_key INTEGER;
UPDATE timeline SET position =
    max(position, (SELECT coalesce(max(started), 0) FROM attempt WHERE attempt.timeline_key = timeline.timeline_key));
UPDATE process SET timeline_key = (SELECT max(timeline_key) FROM timeline) WHERE ended = 0;
ALTER TABLE operation ADD COLUMN last_attempt INTEGER;
UPDATE operation SET last_attempt = latest.attempt_key
    FROM (SELECT run_key, max(attempt_key) AS attempt_key FROM attempt GROUP BY run_key) AS latest
    WHERE latest.run_key = operation.run_key AND attempts > 0;
DROP INDEX operation_state;
CREATE INDEX operation_state ON operation (run_key, state, ambiguous);
DROP INDEX operation_unknown;
CREATE INDEX operation_unknown ON operation (run_key, operation_number)
    WHERE state = 4 OR (ambiguous = 1 AND state IN (3, 5));
CREATE TABLE slot_history (
    run_key INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    machine TEXT NOT NULL,
    tag TEXT NOT NULL,
    before TEXT,
    after TEXT,
    doubtful TEXT NOT NULL DEFAULT '',
    last_attempt INTEGER,
    PRIMARY KEY (run_key, machine, tag)
) STRICT, WITHOUT ROWID;
";

/// How old an attempt is, is known only where it was never put from one clock on another. A run remembers up to which attempt
/// it has taken other writes into account; an operation, what it found when it was sent again, and in which other forms its
/// tag stood there.
const VERSION_3: &str = "
ALTER TABLE attempt ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;
UPDATE attempt SET adopted = 1 WHERE NOT EXISTS (SELECT 1 FROM process
    WHERE process.process_key = attempt.process_key AND process.timeline_key = attempt.timeline_key);
ALTER TABLE operation ADD COLUMN found TEXT NOT NULL DEFAULT '';
ALTER TABLE operation ADD COLUMN other_forms TEXT;
ALTER TABLE run ADD COLUMN decided_after INTEGER NOT NULL DEFAULT 0;
UPDATE run SET decided_after =
    coalesce((SELECT max(attempt_key) FROM attempt WHERE attempt.started_at <= run.created_at), 0);
";

/// How many commits there were is known from now on, and so whether any are missing; and how the clock stood when runs were
/// forgotten last.
const VERSION_4: &str = "
CREATE TABLE custody (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    commits INTEGER NOT NULL DEFAULT 0,
    in_file INTEGER NOT NULL DEFAULT 0,
    lost_until INTEGER,
    lost_at INTEGER,
    unknown_why TEXT,
    unknown_timeline INTEGER,
    unknown_until INTEGER,
    unknown_until_at INTEGER,
    pruned_at INTEGER,
    pruned_timeline INTEGER,
    pruned_boot_time INTEGER,
    jumped_at INTEGER
) STRICT;
INSERT INTO custody DEFAULT VALUES;
";

/// Bulk tag calls are told apart from single ones, which the service may count apart; an app remembers that it does not.
const VERSION_5: &str = "
UPDATE attempt SET bucket = 3 WHERE call_kind = 'bulk';
ALTER TABLE account ADD COLUMN tag_calls_together_at INTEGER;
";

/// A run notes for its report who sat at it (in code: a session) and how that went, and of which kind the machine of each operation is.
const VERSION_6: &str = "
CREATE TABLE sitting (
    sitting_key INTEGER PRIMARY KEY,
    run_key INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    process_key INTEGER NOT NULL,
    version TEXT NOT NULL,
    limits TEXT NOT NULL,
    quota_scope INTEGER NOT NULL,
    foretold TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    ended TEXT,
    reason TEXT,
    hint TEXT,
    exit_status INTEGER,
    spent TEXT
) STRICT;
CREATE INDEX sitting_run ON sitting (run_key);
CREATE TABLE machine_kind (
    run_key INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    kind_number INTEGER NOT NULL,
    machine_group TEXT,
    platform TEXT,
    PRIMARY KEY (run_key, kind_number)
) STRICT, WITHOUT ROWID;
CREATE TABLE operation_kinds (
    run_key INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    first_operation INTEGER NOT NULL,
    kinds BLOB NOT NULL,
    PRIMARY KEY (run_key, first_operation)
) STRICT, WITHOUT ROWID;
";

/// What files of rules declare: with the run that carries it out, and by name once that is over. The second outlives its run.
const VERSION_7: &str = "
CREATE TABLE declaration_of_run (
    run_key INTEGER PRIMARY KEY REFERENCES run ON DELETE CASCADE,
    name TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE TABLE declaration (
    account_key INTEGER NOT NULL REFERENCES account,
    host TEXT NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    content TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (account_key, host, name)
) STRICT, WITHOUT ROWID;
";

/// A state in a file has a number of its own, which whoever writes into it first gives it.
const VERSION_8: &str = "
ALTER TABLE custody ADD COLUMN state_id INTEGER;
";

/// What a run said last is to be done next is kept, since nobody else knows how its rows were read.
const VERSION_9: &str = "
ALTER TABLE sitting ADD COLUMN next TEXT;
";

/// How a run's rows were read is kept for whoever resumes it; and when somebody asked for it last, which may be long
/// before it was decided about.
const VERSION_10: &str = "
ALTER TABLE sitting ADD COLUMN reading_options TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN asked_after INTEGER NOT NULL DEFAULT 0;
UPDATE run SET asked_after = decided_after;
";

/// What [`prepare`] found wrong.
pub(in crate::store) enum SchemaProblem {
    /// The file belongs to another program.
    Foreign,
    /// A newer program wrote it.
    Newer(i32),
    /// The database itself failed.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for SchemaProblem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// As many statements are kept as a run has; with fewer, the engine would read most of them anew for each call.
const KEPT_STATEMENTS: usize = 128;

/// Sets the connection up and brings the file to [`SCHEMA_VERSION`], in one transaction. A file that is not for this
/// program is left as it is.
pub(in crate::store) fn prepare(connection: &mut Connection) -> Result<(), SchemaProblem> {
    if version(connection)? == 0 {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    again_while_held(|| connection.pragma_update(None, "journal_mode", "WAL"))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // The journal must be durable at every commit: an intent that is lost could be a call that is sent twice.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let version = version(&transaction)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    if version < SCHEMA_VERSION {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

/// The version of the file, 0 when there is nothing in it yet; refuses a file that is not for this program.
pub(in crate::store) fn version(connection: &Connection) -> Result<i32, SchemaProblem> {
    // All of it as it was at one moment: another process may be making the tables just now.
    connection.execute_batch("SAVEPOINT look")?;
    let looked = look(connection);
    connection.execute_batch("RELEASE look")?;
    let Look { version, application, is_empty } = looked?;
    if !is_empty && application != APPLICATION_ID {
        return Err(SchemaProblem::Foreign);
    }
    if version > SCHEMA_VERSION {
        return Err(SchemaProblem::Newer(version));
    }
    Ok(version)
}

/// What a file says of itself.
struct Look {
    version: i32,
    application: i32,
    is_empty: bool,
}

fn look(connection: &Connection) -> Result<Look, rusqlite::Error> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let is_empty =
        version == 0 && connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(Look { version, application, is_empty })
}

#[cfg(test)]
mod tests;
