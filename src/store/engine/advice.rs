//! What to do about a database that cannot be read or written.

use std::path::Path;

use super::database_failure::{DatabaseFailure, Trouble};
use super::sql::OLDEST_VERSION;
use crate::outside::shown;
use crate::quota::ages::{HELD_ON_THE_WAY, LONGEST_TIME_OUT, SENT_WITHIN};

/// What is to be thought of before another state is used.
const NEW_STATE: &str =
    "that does not know of the calls of the last hour, so begin with it only when the hour has passed";
/// What a role on a server needs.
pub(super) const GRANT: &str =
    "grant this user the schema tagfleet with its tables and sequences, or let it create that schema";

/// What to do about a database, by what ails it.
pub(super) fn for_database(path: &Path, source: &DatabaseFailure) -> Option<String> {
    Some(match source.trouble {
        Trouble::Full => {
            "make room on that disk, then run the same command again; whatever was stored holds".to_owned()
        }
        Trouble::Damaged if is_on_server(path) => {
            format!("put back a copy of the database, or use another: {NEW_STATE}")
        }
        Trouble::Damaged => move_away(path),
        Trouble::Busy => "look for a stuck tagfleet, or a backup tool that holds the file".to_owned(),
        Trouble::NotWritable => format!(
            "check who owns the file and its directory ({}), and whether the disk is mounted read-only",
            shown(path.parent().unwrap_or(path))
        ),
        Trouble::Disk => {
            "look for the disk's errors in the system's log, then run the same command again; whatever was \
             stored holds"
                .to_owned()
        }
        Trouble::DiskSilent => {
            "look into the system's log, or for a backup that has frozen the disk; then run the same command again; \
             whatever was stored holds"
                .to_owned()
        }
        Trouble::FileSize => {
            "raise the limit (ulimit -f unlimited), then run the same command again; whatever was stored holds"
                .to_owned()
        }
        Trouble::Memory => {
            "raise the limit (ulimit -v unlimited), or give the machine more memory, then run the same command \
             again; whatever was stored holds"
                .to_owned()
        }
        Trouble::NoPassword => return source.hint().map(str::to_owned),
        Trouble::NoPasswordYet => {
            const WAY: &str =
                "check the connection to the token service of --state-auth, then run the same command again";
            source.hint().unwrap_or(WAY).to_owned()
        }
        Trouble::ConnectionFile => "check the path and its permissions".to_owned(),
        trouble if is_on_server(path) => hint_on_server(trouble),
        _ => "check the disk that holds the state directory".to_owned(),
    })
}

/// The same where it is on a server.
fn hint_on_server(trouble: Trouble) -> String {
    match trouble {
        Trouble::DamagedOnServer => {
            format!(
                "the tables of the schema tagfleet were changed: put back a copy, or use another database: {NEW_STATE}"
            )
        }
        Trouble::TablesGone => format!(
            "check that this user still has usage on the schema tagfleet; if its tables are gone, put back a copy, or use \
             another database: {NEW_STATE}"
        ),
        Trouble::HeldOnServer => {
            "look for who holds them (pg_stat_activity and pg_locks on the server), then run the same command again"
                .to_owned()
        }
        Trouble::PoolMode => "have the pooler keep transactions together (pool_mode = transaction)".to_owned(),
        Trouble::Encoding => {
            "make one with ENCODING 'UTF8' TEMPLATE template0, and name it in --state".to_owned()
        }
        Trouble::Unreachable => {
            "check host and port, the server, and the network between; then run the same command again".to_owned()
        }
        Trouble::Untrusted(why) => why.hint().to_owned(),
        Trouble::NotLetIn => "check the user and the password (PGPASSWORD, PGPASSFILE or \
                              --state-password-file), or whose token it was (--state-auth)"
            .to_owned(),
        Trouble::NoDatabase => "create it, or name another one in --state".to_owned(),
        Trouble::NotAllowed => GRANT.to_owned(),
        Trouble::OldServer => {
            format!(
                "tagfleet needs PostgreSQL {OLDEST_VERSION} or later: upgrade the server, or name another one in --state"
            )
        }
        Trouble::Standby => {
            "name the primary server in --state, or see why it only reads (default_transaction_read_only; a disk that is \
             nearly full)"
                .to_owned()
        }
        Trouble::CommitsLost => {
            format!(
                "nothing more was sent, and no call starts for {} seconds and the longest window of the quota: \
                 see how the run stands with tagfleet runs, then run the same command again",
                (SENT_WITHIN + LONGEST_TIME_OUT + HELD_ON_THE_WAY).as_secs()
            )
        }
        _ => "look into the server's log".to_owned(),
    }
}

/// Whether a state is not in a file.
pub(super) fn is_on_server(path: &Path) -> bool {
    path.to_str().is_some_and(|name| name.starts_with("postgresql://"))
}

/// What to do about a database that is sound, and not what it was.
pub(super) fn take_as_it_is(path: &Path) -> String {
    format!(
        "if a database tool has done that on purpose, remove tagfleet.seal beside it and run the same command again. \
         Otherwise {}",
        move_away(path)
    )
}

/// What to do about a file that nothing can be read from any more.
pub(super) fn move_away(path: &Path) -> String {
    format!(
        "it was left as it is: move it away with its -wal and -shm files ({}*), or put back a copy of the whole directory. \
         Leave tagfleet.witness where it is: it tells the next run to wait until the quota is certainly free. What the tenant holds is not affected, and to repeat a file does no harm",
        shown(path)
    )
}
