//! Another server that takes over, and may lack the latest commits.
//!
//! A server that takes over counts its reigns on (it calls them timelines), so every transaction that writes can see that
//! another one has begun. Three things follow. Whoever finds that his own last commit is not there stores again what is
//! missing ([`restoring`](super::restoring)). Where he cannot, since his very beginning is missing or more than he remembers,
//! he says so to all: from then on every window of the quota counts as used up, since nobody knows his last calls, and he
//! makes no more. Whoever comes first cannot know what others miss: so no call is let through until every process that was at work has been back, and
//! until one had the time to be whose very beginning is lost. And whoever has died meanwhile cannot say what is missing of
//! his: then the quota starts full, too, as where nobody is known to have been at work, who would have seen others begin.
//!
//! What surprises: a server that does not tell its reign (one that shares its disk with the others does not need to) is
//! asked for nothing of this, but that a count that goes back is seen there as well.

use std::time::Duration;

use super::address::LONGEST_SIGN_IN;
use crate::clock::Clock;
use crate::store::engine::sql::dialect::SERVER_TIME;
use crate::store::engine::sql::{LONGEST_CONNECT, LONGEST_STATEMENT, Optional, Session, SqlError, Transaction, params};
use crate::store::trust::custody;

/// The number of a reign, in hexadecimal digits.
const REIGN: &str = "CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END";
/// The part of a reign's number that the server tells. Two servers that take over from the same one, one after the other, tell
/// the same; so whoever sees a takeover first adds a number of chance.
const TOLD_OF_REIGN: i64 = 0xffff_ffff;
/// The longest pause between two tries to reach a server.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long after a server was first seen to have taken over nobody is let through: whoever has waited for the old one to
/// answer comes within that time, also where he has to sign in for the new one.
const TIME_TO_COME_BACK: Duration =
    LONGEST_STATEMENT.saturating_add(LONGEST_PAUSE).saturating_add(LONGEST_SIGN_IN).saturating_add(LONGEST_CONNECT);

/// Which reign this is, if the server tells that to whoever asks. To be asked outside of transactions.
pub(super) fn told_reign(session: &Session) -> Result<Option<i64>, SqlError> {
    match session.simple(&format!("SELECT {REIGN}")) {
        Ok(told) => Ok(told.and_then(|digits| i64::from_str_radix(&digits, 16).ok())),
        Err(lost) if lost.is_lost_connection() => Err(lost),
        Err(_not_for_us) => Ok(None),
    }
}

/// What a transaction finds at its beginning.
pub(super) struct Found {
    /// The count that it will have if it writes.
    pub(super) count: i64,
    /// The last commit of ours that is there, if there is anything of ours.
    last_commit: Option<i64>,
    /// Which reign this is; 0 where it was never told.
    pub(super) reign: i64,
    /// Which it was when somebody looked last.
    known_reign: i64,
    /// Whether others are waited for who were at work before.
    pub(super) awaits_others: bool,
}

/// What is known of the commits of a process, or of those that whoever only reads has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownCommits {
    /// The count of the last one.
    pub(super) last: i64,
    /// In which reign that was; 0 where it was not told.
    pub(super) reign: i64,
    /// Whatever the process has committed since that commit could be stored again.
    pub(super) restorable_after: i64,
}

impl Found {
    /// What begins a transaction that writes: which process this is, and whether the server tells its reign.
    pub(super) fn writing(process: Option<&str>, tells_reign: bool) -> String {
        let found = Self::statement("commits", process, tells_reign);
        format!("SET LOCAL synchronous_commit TO on; UPDATE custody SET commits = commits + 1; {found}")
    }

    /// The same for one that only reads.
    pub(super) fn reading(process: Option<&str>, tells_reign: bool) -> String {
        Self::statement("commits + 1", process, tells_reign)
    }

    fn statement(count: &str, process: Option<&str>, tells_reign: bool) -> String {
        // By its name: after a takeover its number may be given to another process.
        let (name, reign) = (process.unwrap_or_default(), if tells_reign { REIGN } else { "NULL" });
        format!(
            "SELECT concat_ws(' ', {count}, coalesce(last_commit, -1), custody.reign, reign_seen_at, {reign})
             FROM custody LEFT JOIN process ON lock_name = '{name}'"
        )
    }

    /// Reads what that gives.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (count, last_commit, known_reign, seen_at) = (number()?, number()?, number()?, number()?);
        let told = parts.next().and_then(|digits| i64::from_str_radix(digits, 16).ok());
        let reign = match told {
            Some(told) if known_reign == 0 => told,
            Some(told) if told != known_reign & TOLD_OF_REIGN => told | fastrand::i64(1..1 << 31) << 32,
            _ => known_reign,
        };
        let last_commit = Some(last_commit).filter(|last| *last >= 0);
        Some(Self { count, last_commit, reign, known_reign, awaits_others: seen_at != 0 })
    }

    /// Whether a commit of ours whose answer was lost has come about.
    pub(super) fn has(&self, doubtful: i64) -> bool {
        self.last_commit == Some(doubtful)
    }

    /// The last commit of ours that is there.
    pub(super) const fn last_commit(&self) -> Option<i64> {
        self.last_commit
    }

    /// Whether what was committed before is not there any more, of a process or of whoever has only counted.
    pub(super) fn lacks(&self, known: &KnownCommits, is_process: bool) -> bool {
        self.count <= known.last
            || (is_process
                && match self.last_commit {
                    Some(last) => last < known.last,
                    // Whoever was taken for dead is forgotten some day; but not by a server that had known him.
                    None => known.reign != 0 && self.reign != known.reign,
                })
    }

    /// Writes down that another reign has begun, if it has and nobody did.
    pub(super) fn enter_reign(&mut self, session: &Session) -> Result<(), SqlError> {
        let Self { reign, known_reign, .. } = *self;
        if reign == known_reign {
            return Ok(());
        }
        if known_reign == 0 {
            session.simple(&format!("UPDATE custody SET reign = {reign}; UPDATE process SET reign = {reign}"))?;
            return Ok(());
        }
        tracing::info!(reign = reign & TOLD_OF_REIGN, "another server of the state has taken over");
        self.awaits_others = true;
        // Whoever is known to have ended had stored all that was his before, unless he was waited for already; whoever was at
        // work will say, or have said for him, what is missing of him and of those that began before his last commit. Where
        // nobody was, nobody can say that nobody was: those who had ended stand for him, or the sign of the moment does.
        session
            .simple(&format!(
                "UPDATE custody SET reign = {reign},
                     reign_seen_at = CASE WHEN EXISTS (SELECT 1 FROM process) THEN 1 ELSE -1 END * {SERVER_TIME};
                 UPDATE process SET reign = {reign}
                 WHERE ended = 1 AND reign = {known_reign} AND EXISTS (SELECT 1 FROM process WHERE ended = 0)"
            ))
            .map(drop)
    }
}

/// Whether a takeover was seen so short a time ago that whoever was at work may still be on his way.
pub(in crate::store) fn is_early() -> String {
    let microseconds = TIME_TO_COME_BACK.as_micros();
    format!("(SELECT abs(reign_seen_at) FROM custody) + {microseconds} > {SERVER_TIME}")
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

/// For how long somebody may still be waited for who was at work when another server took over, if anybody is.
pub(in crate::store) fn longest_wait_for_others(transaction: &Transaction<'_>) -> Result<Option<Duration>, SqlError> {
    if !transaction.awaits_others() {
        return Ok(None);
    }
    let microseconds = TIME_TO_COME_BACK.as_micros();
    let left = format!(
        "SELECT abs(reign_seen_at) + {microseconds} - {SERVER_TIME} FROM custody
         WHERE EXISTS (SELECT 1 FROM process WHERE process.reign <> custody.reign)"
    );
    let left: Option<i64> = transaction.query_row(&left, params![], |row| row.get(0)).optional()?;
    Ok(left.map(|left| Duration::from_micros(u64::try_from(left).unwrap_or(0))))
}

/// Notes that a process is waited for no longer: nothing of it is missing, or all know that something is.
pub(in crate::store) fn note_return(transaction: &Transaction<'_>, process_key: i64) -> Result<(), SqlError> {
    let returned = "UPDATE process SET reign = (SELECT reign FROM custody) WHERE process_key = ?1";
    transaction.execute(returned, [process_key]).map(drop)
}

/// Notes of those who have died before they were back that what they had not done here they may have done.
pub(in crate::store) fn doubt_the_dead(transaction: &Transaction<'_>) -> Result<(), SqlError> {
    if !transaction.awaits_others() {
        return Ok(());
    }
    let dead = "SELECT process_key FROM process WHERE ended = 1 AND reign <> (SELECT reign FROM custody)";
    let dead: Vec<i64> =
        transaction.prepare_cached(dead)?.query_map(params![], |row| row.get(0))?.collect::<Result<_, _>>()?;
    dead.into_iter().try_for_each(|process_key| custody::doubt(transaction, Some(process_key)))
}

fn look_for_all(transaction: &Transaction<'_>, timeline_key: i64, clock: &dyn Clock) -> Result<bool, SqlError> {
    let is_early = is_early();
    let missing = format!(
        "SELECT count(*) FILTER (WHERE ended = 0), count(*) FILTER (WHERE ended = 1), {is_early},
             (SELECT reign_seen_at < 0 FROM custody)
         FROM custody LEFT JOIN process ON process.reign <> custody.reign"
    );
    let (living, dead, is_early, nobody_was_known): (i64, i64, bool, bool) =
        transaction.query_row(&missing, params![], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    if living > 0 || is_early {
        return Ok(false);
    }
    if dead > 0 || nobody_was_known {
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
    use crate::quota::ages::{HELD_ON_THE_WAY, LONGEST_TIME_OUT, SENT_WITHIN};

    #[test]
    fn what_a_server_lacks_shows_in_its_count_or_in_what_it_knows_of_whoever_asks() {
        let found =
            |count, last_commit, reign| Found { count, last_commit, reign, known_reign: reign, awaits_others: false };
        let known = KnownCommits { last: 7, reign: 1, ..KnownCommits::default() };
        let table = [
            ("nothing", found(9, Some(7), 2), false),
            ("a commit whose answer was lost came about", found(9, Some(8), 1), false),
            ("the count went back", found(7, Some(7), 1), true),
            ("others have counted on since", found(9, Some(6), 2), true),
            ("the process itself, after a takeover", found(9, None, 2), true),
            ("the process, which was forgotten", found(9, None, 1), false),
        ];
        for (what, found, lacks) in table {
            assert_eq!(found.lacks(&known, true), lacks, "{what}");
        }
        assert!(!found(9, Some(6), 2).lacks(&known, false), "whoever is no process has only counted");
        assert!(
            !found(9, None, 2).lacks(&KnownCommits { last: 7, ..KnownCommits::default() }, true),
            "the reign is not told"
        );
    }

    #[test]
    fn the_manual_says_how_long_others_are_waited_for() {
        for time in [TIME_TO_COME_BACK, SENT_WITHIN + LONGEST_TIME_OUT + HELD_ON_THE_WAY] {
            let said = format!("{} seconds", time.as_secs());
            assert!(include_str!("../../help/state.md").contains(&said), "{said}");
        }
        assert!(TIME_TO_COME_BACK > LONGEST_SIGN_IN + LONGEST_CONNECT);
    }

    #[test]
    fn two_servers_that_take_over_from_the_same_one_are_told_apart_also_where_they_tell_the_same() {
        let read = |text: &str| Found::read(text).expect("a finding");
        let before = read("5 4 0 0 00000001");
        assert_eq!((before.reign, before.known_reign), (1, 0));
        assert_eq!(read("6 4 1 0 00000001").reign, 1);
        assert_eq!(read("6 4 1 0").reign, 1, "it is not told any more");
        let [second, third] = [(); 2].map(|()| read("6 4 1 0 0000000A"));
        assert_eq!([second.reign & TOLD_OF_REIGN, third.reign & TOLD_OF_REIGN], [10, 10]);
        assert_ne!(second.reign, third.reign);
        let again = read(&format!("7 4 {} 1 0000000A", second.reign));
        assert_eq!(again.reign, second.reign);
        // A process that began under the second one is not there under the third, which has counted on.
        let known = KnownCommits { last: 6, reign: second.reign, ..KnownCommits::default() };
        assert!(read(&format!("9 -1 {} 1 0000000A", third.reign)).lacks(&known, true));
        assert!(read("9 -1 1 0 0000000A").lacks(&known, true), "nobody has seen that takeover before");
    }
}
