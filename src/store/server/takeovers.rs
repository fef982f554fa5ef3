//! Another server that takes over, and may lack the latest commits.
//!
//! A server that takes over counts its reigns on (it calls them timelines), so every transaction that writes can see that
//! another one has begun. Three things follow. Whoever finds that his own last commit is not there says so to all: from then
//! on every window of the quota counts as used up, since nobody knows his last calls, and he makes no more. Whoever comes
//! first cannot know what others miss: so no call is let through until every process that was at work has been back, and
//! until one had the time to be whose very beginning is lost. And whoever has died meanwhile cannot say what is missing of
//! his: then the quota starts full, too.
//!
//! What surprises: a server that does not tell its reign (one that shares its disk with the others does not need to) is
//! asked for nothing of this, but that a count that goes back is seen there as well.

use crate::clock::Clock;
use crate::store::custody;
use crate::store::sql::dialect::SERVER_TIME;
use crate::store::sql::{Session, SqlError, Transaction, params};

/// The number of a reign, in hexadecimal digits.
const REIGN: &str = "CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END";
/// How long after a server was first seen to have taken over nobody is let through: whoever has waited for the old one to
/// answer comes within that time.
const TIME_TO_COME_BACK_MICROSECONDS: i64 = 40_000_000;

/// Whether this server tells its reign to whoever asks.
pub(super) fn tells_reign(session: &Session) -> Result<bool, SqlError> {
    match session.simple(&format!("SELECT {REIGN}")) {
        Ok(reign) => Ok(reign.is_some()),
        Err(lost) if lost.is_lost_connection() => Err(lost),
        Err(_not_for_us) => Ok(false),
    }
}

/// What a transaction that writes finds.
pub(super) struct Found {
    /// The count that it will have.
    pub(super) count: i64,
    /// The last commit of ours that is there, if there is anything of ours.
    last_commit: Option<i64>,
    /// Which reign this is, where it is told.
    pub(super) reign: Option<i64>,
    /// Which it was when somebody looked last.
    known_reign: i64,
    /// Whether others are waited for who were at work before.
    pub(super) awaits_others: bool,
}

/// What a process knows of its own commits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnCommits {
    /// The count of its last one.
    pub(super) last: i64,
    /// In which reign that was, where it is told.
    pub(super) reign: Option<i64>,
}

impl Found {
    /// What begins a transaction that writes: which process this is, and whether the server tells its reign.
    pub(super) fn statement(process: Option<(i64, &str)>, tells_reign: bool) -> String {
        // After a takeover a number may be given to another process.
        let ((process_key, name), reign) = (process.unwrap_or_default(), if tells_reign { REIGN } else { "NULL" });
        format!(
            "SET LOCAL synchronous_commit TO on; UPDATE custody SET commits = commits + 1;
             SELECT concat_ws(' ', commits, coalesce(last_commit, -1), custody.reign, reign_seen_at, {reign})
             FROM custody LEFT JOIN process ON process_key = {process_key} AND lock_name = '{name}'"
        )
    }

    /// Reads what that gives.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (count, last_commit, known_reign, seen_at) = (number()?, number()?, number()?, number()?);
        let reign = parts.next().and_then(|digits| i64::from_str_radix(digits, 16).ok());
        let last_commit = Some(last_commit).filter(|last| *last >= 0);
        Some(Self { count, last_commit, reign, known_reign, awaits_others: seen_at > 0 })
    }

    /// Whether a commit of ours whose answer was lost has come about.
    pub(super) fn has(&self, doubtful: Option<i64>) -> bool {
        doubtful.is_some() && self.last_commit == doubtful
    }

    /// Whether what was committed before is not there any more, of a process or of whoever has only counted.
    pub(super) fn lacks(&self, own: &OwnCommits, is_process: bool) -> bool {
        let is_another_reign = self.reign.is_some() && own.reign.is_some() && self.reign != own.reign;
        self.count <= own.last
            || (is_process
                && match self.last_commit {
                    Some(last) => last < own.last,
                    // Whoever was taken for dead is forgotten some day; but not by a server that had known him.
                    None => is_another_reign,
                })
    }

    /// Writes down that another reign has begun, if it has and nobody did.
    pub(super) fn enter_reign(&mut self, session: &Session) -> Result<(), SqlError> {
        let Some(reign) = self.reign.filter(|reign| *reign != self.known_reign) else { return Ok(()) };
        if self.known_reign == 0 {
            session.simple(&format!("UPDATE custody SET reign = {reign}; UPDATE process SET reign = {reign}"))?;
            return Ok(());
        }
        tracing::info!(reign, "another server of the state has taken over");
        self.awaits_others = true;
        // Whoever is known to have ended had stored all that was his before.
        session
            .simple(&format!(
                "UPDATE custody SET reign = {reign}, reign_seen_at = {SERVER_TIME};
                 UPDATE process SET reign = {reign} WHERE ended = 1"
            ))
            .map(drop)
    }
}

/// Whether everybody has been back who was at work when another server took over, or cannot come any more.
pub(in crate::store) fn all_are_back(
    transaction: &Transaction<'_>,
    timeline_key: i64,
    clock: &dyn Clock,
) -> Result<bool, SqlError> {
    if !transaction.awaits_others() {
        return Ok(true);
    }
    transaction.once(timeline_key, || look_for_all(transaction, timeline_key, clock).map(AllAreBack)).map(|all| all.0)
}

#[derive(Clone, Copy)]
struct AllAreBack(bool);

/// Notes that a process is waited for no longer: nothing of it is missing, or all know that something is.
pub(in crate::store) fn note_return(transaction: &Transaction<'_>, process_key: i64) -> Result<(), SqlError> {
    let returned = "UPDATE process SET reign = (SELECT reign FROM custody) WHERE process_key = ?1";
    transaction.execute(returned, [process_key]).map(drop)
}

/// Notes of those who have died before they were back that what they had not done here they may have done.
pub(super) fn doubt_the_dead(transaction: &Transaction<'_>) -> Result<(), SqlError> {
    if !transaction.awaits_others() {
        return Ok(());
    }
    let dead = "SELECT process_key FROM process WHERE ended = 1 AND reign <> (SELECT reign FROM custody)";
    let dead: Vec<i64> =
        transaction.prepare_cached(dead)?.query_map(params![], |row| row.get(0))?.collect::<Result<_, _>>()?;
    dead.into_iter().try_for_each(|process_key| custody::doubt(transaction, Some(process_key)))
}

fn look_for_all(transaction: &Transaction<'_>, timeline_key: i64, clock: &dyn Clock) -> Result<bool, SqlError> {
    let missing = format!(
        "SELECT count(*) FILTER (WHERE ended = 0), count(*) FILTER (WHERE ended = 1),
             coalesce(max(reign_seen_at), 0) + {TIME_TO_COME_BACK_MICROSECONDS} > {SERVER_TIME}
         FROM custody LEFT JOIN process ON process.reign <> custody.reign"
    );
    let (living, dead, is_early): (i64, i64, bool) =
        transaction.query_row(&missing, params![], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if living > 0 || is_early {
        return Ok(false);
    }
    if dead > 0 {
        doubt_the_dead(transaction)?;
        custody::take_takeover_over(transaction, timeline_key, clock)?;
    }
    transaction.execute(
        "UPDATE process SET reign = custody.reign FROM custody WHERE process.reign <> custody.reign",
        params![],
    )?;
    transaction.execute("UPDATE custody SET reign_seen_at = 0", params![])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_lacks_shows_in_its_count_or_in_what_it_knows_of_whoever_asks() {
        let found = |count, last_commit, reign| Found {
            count,
            last_commit,
            reign: Some(reign),
            known_reign: 1,
            awaits_others: false,
        };
        let own = OwnCommits { last: 7, reign: Some(1) };
        let table = [
            ("nothing", found(9, Some(7), 2), false),
            ("a commit whose answer was lost came about", found(9, Some(8), 1), false),
            ("the count went back", found(7, Some(7), 1), true),
            ("others have counted on since", found(9, Some(6), 2), true),
            ("the process itself, after a takeover", found(9, None, 2), true),
            ("the process, which was forgotten", found(9, None, 1), false),
        ];
        for (what, found, lacks) in table {
            assert_eq!(found.lacks(&own, true), lacks, "{what}");
        }
        assert!(!found(9, Some(6), 2).lacks(&own, false), "whoever is no process has only counted");
        assert!(!found(9, None, 2).lacks(&OwnCommits { last: 7, reign: None }, true), "the reign is not told");
    }
}
