//! Calls that were made and of which nobody knows: by which clock they had ended, until when, and why they are unknown.

use std::time::Duration;

use super::unread::unread;
use crate::clock::BootTime;
use crate::store::engine::sql::{Optional, SqlError, Transaction, params};

/// Why nobody knows which calls were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncertainty {
    /// The latest commits are gone.
    Lost,
    /// The database and its witness are of different states.
    OfAnotherState,
    /// There is no witness to the commits.
    NoWitness,
    /// The witness cannot be read.
    DamagedWitness,
    /// The state was copied, put back, or changed from outside.
    Touched,
    /// The state holds times that this program cannot have stored.
    ImpossibleTimes,
    /// Another server has taken over, and whoever has died since cannot say which commits are missing.
    DiedAtTakeover,
    /// The database was put back from a copy on its server.
    Restored,
}

impl Uncertainty {
    const ALL: [Self; 8] = [
        Self::Lost,
        Self::OfAnotherState,
        Self::NoWitness,
        Self::DamagedWitness,
        Self::Touched,
        Self::ImpossibleTimes,
        Self::DiedAtTakeover,
        Self::Restored,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::OfAnotherState => "of_another_state",
            Self::NoWitness => "no_witness",
            Self::DamagedWitness => "damaged_witness",
            Self::Touched => "touched",
            Self::ImpossibleTimes => "impossible_times",
            Self::DiedAtTakeover => "died_at_takeover",
            Self::Restored => "restored",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The reason, for people: a sentence without its full stop.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Lost => "the state database has lost what was stored last",
            Self::OfAnotherState => "the state database and the tagfleet.witness beside it are of different states",
            Self::NoWitness => "the state directory has lost its tagfleet.witness",
            Self::DamagedWitness => "tagfleet.witness in the state directory is damaged",
            Self::Touched => "the state directory was copied, restored or changed from outside",
            Self::ImpossibleTimes => "the state database holds times that tagfleet cannot have stored",
            Self::DiedAtTakeover => {
                "another server of the state has taken over, and a process has died that may have stored more than it has"
            }
            Self::Restored => "the database of the state was put back from a copy",
        }
    }
}

/// What is known of them, if there are any.
pub(in crate::store) fn unknown(transaction: &Transaction<'_>) -> Result<Option<UnknownCallsOf>, SqlError> {
    transaction.once(0, || look_up_unknown(transaction))
}

/// Calls of which nobody knows: by which clock, until when, and why.
pub(in crate::store) type UnknownCallsOf = (i64, BootTime, Option<Uncertainty>);

const UNKNOWN: &str =
    "SELECT unknown_timeline, unknown_until, unknown_why FROM custody WHERE unknown_timeline IS NOT NULL";

/// Asks ahead what [`unknown`] asks.
pub(in crate::store) fn foresee(transaction: &Transaction<'_>) {
    transaction.foresee(UNKNOWN, params![]);
}

fn look_up_unknown(transaction: &Transaction<'_>) -> Result<Option<UnknownCallsOf>, SqlError> {
    transaction
        .prepare_cached(UNKNOWN)?
        .query_row(params![], |row| {
            let until = BootTime::from_microseconds(row.get(1)?);
            Ok((row.get(0)?, until, Uncertainty::from_name(&row.get::<String>(2)?)))
        })
        .optional()
}

/// Puts that moment on our clock when the other one is adopted, as if it were the end of a call.
pub(super) fn adopt(
    transaction: &Transaction<'_>,
    (from, from_position): (i64, BootTime),
    own: i64,
    now: BootTime,
    now_wall: Option<i64>,
    counted: Duration,
) -> Result<(), SqlError> {
    let older = unread(transaction, "unknown_until", "coalesce(unknown_until_at, ?5 - (?3 - unknown_until))", counted);
    transaction
        .prepare_cached(&format!(
            "UPDATE custody SET unknown_timeline = ?2, unknown_until = ?4 - (?3 - unknown_until) - ({older})
             WHERE unknown_timeline = ?1"
        ))?
        .execute(params![from, own, from_position.as_microseconds(), now.as_microseconds(), now_wall,])?;
    transaction.forget::<Option<UnknownCallsOf>>();
    Ok(())
}
