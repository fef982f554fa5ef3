//! Which runs may go side by side: two of one account must not change the same tag of the same machine, nor the same
//! machine's value, at once.
//!
//! Every run is stored before it asks. Then it is compared with the runs under way, a page at a time, so that a million
//! operations keep nobody from the database; and only whether further runs have begun meanwhile is asked in the one
//! transaction that lets it begin. So of two that start at once, the one that comes second sees the first. What surprises:
//! no lock is ever written down. A run holds what its operations name for as long as it is `running` and the kernel says
//! that its process lives, so none goes stale.

mod marks;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use self::marks::{Mark, Marks, PAGE, Target, read_page};
use crate::clock::{BootTime, Clock};
use crate::model::{case_key, is_retagging_of_all};
use crate::store::access::identity::ProcessIdentity;
use crate::store::engine::sql::{Optional, Row, SqlError, Transaction, params};
use crate::store::forms::encoding::{CHANGE_ADD_TAG, CHANGE_REMOVE_TAG, damaged, timestamp};
use crate::store::forms::run::{OperationState, RunKey, RunState};
use crate::store::trust::timelines::Timelines;
use crate::store::{Store, StoreError};

/// The answer to a run that wants to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is [`RunState::Running`], or [`RunState::Revisited`] if it had finished, and belongs to this process. This it was before.
    Granted(RunState),
    /// These are in its way; nothing was changed.
    Held(Vec<Holder>),
}

#[cfg(test)]
impl Claim {
    pub(crate) fn is_granted(&self) -> bool {
        matches!(self, Self::Granted(_))
    }
}

/// A run under way that is in another's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    key: RunKey,
    process_key: i64,
    /// Its name.
    pub run_id: String,
    /// The machine that its process runs on.
    pub host: String,
    /// The system's number of its process.
    pub system_process_id: u32,
    /// When it began.
    pub created_at: Timestamp,
    /// Its input as it was named.
    pub input_path: String,
    /// A change number or remark.
    pub note: Option<String>,
    /// What it changes that the other wants to change; `None` when it is the very run that is asked for.
    pub overlap: Option<Overlap>,
    /// When nothing that it sent can arrive any more, if its process is dead; it is under way as long as that is open.
    pub silent_from: Option<Timestamp>,
}

impl Holder {
    /// What tells it from others that are in the way, or from itself when it was in the way by something else.
    pub(crate) fn obstacle(&self) -> (&str, i64, Option<&Overlap>, bool) {
        (&self.run_id, self.process_key, self.overlap.as_ref(), self.silent_from.is_some())
    }
}

/// What two runs both change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// How many operations of the holder.
    pub operations: u64,
    /// The machine of the first of them.
    pub machine: String,
    /// Its tag; `None` for the device value.
    pub tag: Option<String>,
}

/// What the transaction found that lets a run begin.
enum Attempt {
    Begun(RunState),
    NoSuchRun,
    NeverBegan(String),
    SameRun(Holder),
    Unchecked(RunState, Vec<Other>),
}

/// A run under way that may be in the way.
struct Other {
    holder: Holder,
    /// Whether it was asked for later than the run that wants to begin.
    is_later: bool,
}

/// What a run that wants to begin is to change, or has found so.
struct Claimed {
    /// Of each operation, sorted.
    marks: Vec<Mark>,
    /// Marks of the tags that it gives to machines.
    given: HashSet<u128>,
    /// Marks of the tags that it takes off wherever they are, and so also where another is still to give them.
    banned: HashSet<u128>,
}

impl Store {
    /// Lets a run begin, or go on in this process, unless a run under way is in its way.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`]; [`StoreError::NeverBegan`] when another process died while it stored the run.
    pub(crate) async fn claim_run(&self, run: RunKey) -> Result<Claim, StoreError> {
        let mut checked = HashSet::new();
        let mut own = None;
        loop {
            let (state, others) = match self.try_claim(run, checked.clone()).await? {
                Attempt::Begun(state) => return Ok(Claim::Granted(state)),
                Attempt::NoSuchRun => return Err(StoreError::NoSuchRun(format!("number {}", run.0))),
                Attempt::NeverBegan(run_id) => return Err(StoreError::NeverBegan(run_id)),
                Attempt::SameRun(holder) => return Ok(Claim::Held(vec![holder])),
                Attempt::Unchecked(state, others) => (state, others),
            };
            let own = match &mut own {
                Some(own) => own,
                none => none.insert(self.targets_to_come(run, state).await?),
            };
            let mut holders = Vec::new();
            for other in others {
                match self.overlap(&other, own).await? {
                    None => drop(checked.insert((other.holder.key.0, other.holder.process_key))),
                    overlap => holders.push(Holder { overlap, ..other.holder }),
                }
            }
            if !holders.is_empty() {
                return Ok(Claim::Held(holders));
            }
        }
    }

    /// Whether this run is still under way.
    pub(crate) async fn still_holds(&self, holder: &Holder) -> Result<bool, StoreError> {
        let (key, process_key) = (holder.key, holder.process_key);
        let identity = self.identity.clone();
        self.writer
            .run(move |transaction| {
                let runs = transaction
                    .prepare_cached("SELECT count(*) FROM run WHERE run_key = ?1 AND process_key = ?2 AND state IN ('running', 'revisited')")?
                    .query_row([key.0, process_key], |row| row.get::<u32>(0))?;
                Ok(runs > 0 && identity.is_alive(transaction, process_key)?)
            })
            .await
    }

    async fn try_claim(&self, run: RunKey, checked: HashSet<(i64, i64)>) -> Result<Attempt, StoreError> {
        let identity = self.identity.clone();
        let now = self.clock.wall_time().as_microsecond();
        let clock = self.clock.clone();
        let own_process = self.identity.process_key;
        self.writer
            .run(move |transaction| {
                let Some((mut holder, state, account_key, host)) = read_claimant(transaction, run)? else {
                    return Ok(Attempt::NoSuchRun);
                };
                if holder.process_key != own_process {
                    if state.is_taken() && identity.is_alive(transaction, holder.process_key)? {
                        return Ok(Attempt::SameRun(holder));
                    }
                    if state == RunState::Preparing {
                        return Ok(Attempt::NeverBegan(holder.run_id));
                    }
                    // Elsewhere a process that seems dead may still be sending.
                    if identity.is_on_server()
                        && let Some(silent_from) = silent_from(transaction, run, &identity, clock.as_ref())?
                    {
                        holder.silent_from = Some(silent_from);
                        return Ok(Attempt::SameRun(holder));
                    }
                }
                let mut unchecked = Vec::new();
                for other in runs_under_way(transaction, run, account_key, &host, own_process)? {
                    let Holder { key, process_key, .. } = other.holder;
                    if !checked.contains(&(key.0, process_key)) && identity.is_alive(transaction, process_key)? {
                        unchecked.push(other);
                    }
                }
                if !unchecked.is_empty() {
                    return Ok(Attempt::Unchecked(state, unchecked));
                }
                // Until something is sent, it is not forgotten that a run had finished.
                let (state, taken) = match state {
                    RunState::Finished | RunState::Revisited => (RunState::Finished, RunState::Revisited),
                    state => (state, RunState::Running),
                };
                transaction.execute(
                    "UPDATE run SET state = ?2, process_key = ?3, last_activity_at = ?4 WHERE run_key = ?1",
                    params![run.0, taken.as_str(), own_process, now],
                )?;
                Ok(Attempt::Begun(state))
            })
            .await
    }

    /// What the run that stood so has still to change, or has found so.
    async fn targets_to_come(&self, run: RunKey, state: RunState) -> Result<Claimed, StoreError> {
        let (mut marks, mut given) = (Vec::new(), HashSet::new());
        let tags = self.tag_marks(run).await?;
        // Of a run that was left before its end, what has failed is asked for again.
        let was_left = matches!(state, RunState::Running | RunState::Stopped);
        let is_wanted = |state: OperationState| {
            state.is_open() || state == OperationState::Unchanged || (was_left && state == OperationState::Failed)
        };
        self.for_each_target(run, &tags, is_wanted, |target, tag, operation| {
            let is_found = operation.state == OperationState::Unchanged.number();
            marks.push(target.of_claimant(is_found));
            given.extend(tag.filter(|_| operation.wish == CHANGE_ADD_TAG && !is_found));
        })
        .await?;
        marks.sort_unstable();
        Ok(Claimed { marks, given, banned: self.banned(run, &tags).await? })
    }

    /// Marks of the tags that a run takes off wherever they are.
    async fn banned(&self, run: RunKey, tags: &HashMap<u32, u128>) -> Result<HashSet<u128>, StoreError> {
        let banned = move |transaction: &Transaction<'_>| {
            let input: String =
                transaction.query_row("SELECT input_path FROM run WHERE run_key = ?1", [run.0], |row| row.get(0))?;
            if !is_retagging_of_all(&input) {
                return Ok(Vec::new());
            }
            transaction
                .prepare_cached(
                    "SELECT DISTINCT change_argument FROM operation WHERE run_key = ?1 AND change_kind = ?2",
                )?
                .query_map([run.0, CHANGE_REMOVE_TAG.into()], |row| row.get::<u32>(0))?
                .collect()
        };
        let banned = self.reader.connection.run(banned).await?;
        Ok(banned.iter().filter_map(|tag| tags.get(tag).copied()).collect())
    }

    /// What a run under way changes, or has changed, of these targets; and what it is still to change of that which was found as
    /// somebody else wants it, or is to give of a tag that is to be nowhere. Whoever was asked for later wants its own tags to be
    /// nowhere, too.
    async fn overlap(&self, other: &Other, claimed: &Claimed) -> Result<Option<Overlap>, StoreError> {
        // What is already set and what is left out is never sent.
        const NOT_SENT: [OperationState; 2] = [OperationState::Unchanged, OperationState::NotAttempted];
        let mut found: Option<(u64, String, Option<u32>)> = None;
        let run = other.holder.key;
        let tags = self.tag_marks(run).await?;
        let mut given_in_vain = if other.is_later { self.banned(run, &tags).await? } else { HashSet::new() };
        given_in_vain.retain(|tag| claimed.given.contains(tag));
        let is_sent = |state| !NOT_SENT.contains(&state);
        self.for_each_target(run, &tags, is_sent, |target, tag, operation| {
            let is_to_come = OperationState::from_number(operation.state).is_none_or(OperationState::is_open);
            let is_banned = match operation.wish {
                CHANGE_ADD_TAG => is_to_come && tag.is_some_and(|tag| claimed.banned.contains(&tag)),
                _ => tag.is_some_and(|tag| given_in_vain.contains(&tag)),
            };
            if is_banned || target.is_in_the_way_of(&claimed.marks, is_to_come) {
                found.get_or_insert_with(|| (0, operation.machine.clone(), operation.tag)).0 += 1;
            }
        })
        .await?;
        let Some((operations, machine, tag)) = found else { return Ok(None) };
        let tag = match tag {
            Some(number) => self.tag(run, number).await?,
            None => None,
        };
        Ok(Some(Overlap { operations, machine, tag }))
    }

    /// Calls `take` with the target, the mark of the tag and each operation in such a state.
    async fn for_each_target(
        &self,
        run: RunKey,
        tags: &HashMap<u32, u128>,
        is_wanted: impl Fn(OperationState) -> bool,
        mut take: impl FnMut(Mark, Option<u128>, &Target),
    ) -> Result<(), StoreError> {
        let marks = Marks::new();
        let mut after = -1;
        loop {
            let page = self.reader.connection.run(move |transaction| read_page(transaction, run, after)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.number;
            for operation in &page {
                if OperationState::from_number(operation.state).is_none_or(&is_wanted) {
                    let tag = operation.tag.and_then(|tag| tags.get(&tag)).copied();
                    let target = marks.of(&(&operation.machine, tag.unwrap_or(0)));
                    take(Mark::new(target, operation.wish), tag, operation);
                }
            }
        }
    }

    /// A mark of each of the run's tags. Two that differ in nothing but case have the same, since the service may take
    /// them for one.
    async fn tag_marks(&self, run: RunKey) -> Result<HashMap<u32, u128>, StoreError> {
        let marks = Marks::new();
        let mut tags = HashMap::new();
        let mut after = -1_i64;
        loop {
            let page: Vec<(u32, String)> = self
                .reader
                .connection
                .run(move |transaction| {
                    transaction
                        .prepare_cached(
                            "SELECT tag_number, tag FROM tag WHERE run_key = ?1 AND tag_number > ?2
                             ORDER BY tag_number LIMIT ?3",
                        )?
                        .query_map(params![run.0, after, PAGE], |row| Ok((row.get(0)?, row.get(1)?)))?
                        .collect()
                })
                .await?;
            let Some((last, _)) = page.last() else { return Ok(tags) };
            after = i64::from(*last);
            tags.extend(page.into_iter().map(|(number, tag)| (number, marks.of(&case_key(&tag)))));
        }
    }

    async fn tag(&self, run: RunKey, number: u32) -> Result<Option<String>, StoreError> {
        self.reader
            .connection
            .run(move |transaction| {
                transaction
                    .query_row(
                        "SELECT tag FROM tag WHERE run_key = ?1 AND tag_number = ?2",
                        [run.0, number.into()],
                        |row| row.get(0),
                    )
                    .optional()
            })
            .await
    }
}

const HOLDERS: &str =
    "SELECT run_key, process_key, run_id, process.host, system_process_id, run.created_at, input_path, note,
        state, account_key, run.host, EXISTS (SELECT 1 FROM run AS own WHERE own.run_key = ?1
            AND (run.asked_after, run.run_key) > (own.asked_after, own.run_key))
    FROM run JOIN process USING (process_key)";

fn read_holder(row: &Row<'_>) -> Result<Holder, SqlError> {
    Ok(Holder {
        key: RunKey(row.get(0)?),
        process_key: row.get(1)?,
        run_id: row.get(2)?,
        host: row.get(3)?,
        system_process_id: row.get(4)?,
        created_at: timestamp(row.get(5)?),
        input_path: row.get(6)?,
        note: row.get(7)?,
        overlap: None,
        silent_from: None,
    })
}

/// The run that wants to begin, with its state, account and API host.
fn read_claimant(
    transaction: &Transaction<'_>,
    run: RunKey,
) -> Result<Option<(Holder, RunState, i64, String)>, SqlError> {
    transaction
        .prepare_cached(&format!("{HOLDERS} WHERE run_key = ?1 AND state <> 'removing'"))?
        .query_row([run.0], |row| {
            let state: String = row.get(8)?;
            let state = RunState::from_name(&state).ok_or_else(|| damaged(8, "the state of a run"))?;
            Ok((read_holder(row)?, state, row.get(9)?, row.get(10)?))
        })
        .optional()
}

/// When no call of a run that its last process was not told the end of can arrive any more, if that is to come.
fn silent_from(
    transaction: &Transaction<'_>,
    run: RunKey,
    identity: &ProcessIdentity,
    clock: &dyn Clock,
) -> Result<Option<Timestamp>, SqlError> {
    let _their_locks = identity.sweep(transaction, clock)?;
    let timelines = Timelines::report(transaction, identity.timeline_key, clock)?;
    let mut statement = transaction
        .prepare_cached("SELECT timeline_key, ended FROM attempt WHERE run_key = ?1 AND verdict = 'lost'")?;
    let mut rows = statement.query([run.0])?;
    let mut last = timelines.now;
    while let Some(row) = rows.next()? {
        let ended = row.get::<Option<i64>>(1)?.map(BootTime::from_microseconds);
        if let Some(ended) = ended {
            last = last.max(timelines.on_our_clock(row.get(0).unwrap_or(timelines.own), ended));
        }
    }
    let to_come = Some(last.since(timelines.now)).filter(|to_come| !to_come.is_zero());
    Ok(to_come.map(|to_come| clock.wall_time().checked_add(to_come).unwrap_or(Timestamp::MAX)))
}

/// Other runs of this account that are running, if their processes live. A process that takes one of its own runs back
/// holds both.
fn runs_under_way(
    transaction: &Transaction<'_>,
    run: RunKey,
    account_key: i64,
    host: &str,
    own_process: i64,
) -> Result<Vec<Other>, SqlError> {
    transaction
        .prepare_cached(&format!(
            "{HOLDERS} WHERE state IN ('running', 'revisited') AND ended = 0 AND account_key = ?2 AND run.host = ?3 AND run_key <> ?1
                 AND process_key <> ?4"
        ))?
        .query_map(params![run.0, account_key, host, own_process], |row| {
            Ok(Other { holder: read_holder(row)?, is_later: row.get(11)? })
        })?
        .collect()
}

#[cfg(test)]
mod tests;
