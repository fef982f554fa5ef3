//! What of a run other runs have written over since it was last decided about.
//!
//! A slot that a run found to be so is nobody's: other runs may change it meanwhile. And a run that was left lying is over
//! where a later one has written, or has found what it was asked for: what the first still wanted there is not what was asked
//! for last. What surprises: rules ask for more than their rows, since what they own and do not give is to be gone, and so does
//! whoever takes a tag off the tenant.

use std::collections::{HashMap, HashSet};

use super::later_writes;
use super::overruling;
use super::reading::{KnownTags, WITH_TAG, WRITE_COLUMNS, read_writes};
use crate::model::row_code::CHANGED_SINCE;
use crate::model::{Held, MachineId, MayHold, OperationId, Slot, Tag, is_retagging_of_all};
use crate::store::engine::sql::{SqlError, Transaction, params};
use crate::store::forms::attempt::AttemptKey;
use crate::store::forms::run::{OperationState, RunKey, UNDO_PREFIX};
use crate::store::forms::slot_write::SlotWrite;
use crate::store::forms::states::{IS_TO_BE_SENT, UNKNOWN};
use crate::store::{Reader, Store, StoreError};

impl Reader {
    /// How many operations of a run are still to be sent or have an unknown outcome, and were not surely written over by
    /// one that goes before it.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn open_operations(&self, run: RunKey) -> Result<u32, StoreError> {
        self.connection.run(move |transaction| open_operations(transaction, run, &mut OpenCounts::default())).await
    }

    /// What runs that were asked for later, and have come to their end, found to be so as they were asked, where this run
    /// wants something else, done or not; sorted by attempt, as if each had written it then. That also holds of tags which one
    /// asked to be absent without a row that says so.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn later_findings(&self, run: RunKey) -> Result<Vec<SlotWrite>, StoreError> {
        let find = move |transaction: &Transaction<'_>| {
            later_findings(transaction, run, &OperationState::ALL, &mut OpenCounts::default())
        };
        self.connection.run(find).await
    }
}

impl Store {
    /// Takes back what a run says to be so where another has written something else since, or may have; says how many
    /// operations that were. The run must have been claimed.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(crate) async fn give_way(&self, run: RunKey) -> Result<u64, StoreError> {
        self.writer
            .run_repeatable(1, move |transaction| {
                let last = last_writes(later_writes(transaction, run)?);
                let is_overtaken = |own: &SlotWrite| {
                    last.get(&own.slot).is_some_and(|other| !(other.surely && other.wrote == own.wrote))
                };
                let overtaken = operations(transaction, run, &last, &[OperationState::Unchanged], is_overtaken)?;
                let mut give_way = transaction.prepare_cached(&format!(
                    "UPDATE operation SET state = ?3, after = NULL, error_code = '{CHANGED_SINCE}',
                         error_message = 'this was already set, and another run has changed it since, so it is left as it is'
                     WHERE run_key = ?1 AND operation_number = ?2"
                ))?;
                for operation in &overtaken {
                    give_way.execute(params![run.0, operation.0, OperationState::NotAttempted.number()])?;
                }
                Ok(overtaken.len() as u64)
            })
            .await
    }
}

/// How many operations are open of the runs that were looked at in a transaction: each hangs on all that came after it.
pub(in crate::store) type OpenCounts = HashMap<RunKey, u32>;

/// As [`Reader::open_operations`] has it.
pub(in crate::store) fn open_operations(
    transaction: &Transaction<'_>,
    run: RunKey,
    known: &mut OpenCounts,
) -> Result<u32, SqlError> {
    if let Some(open) = known.get(&run) {
        return Ok(*open);
    }
    let open = count_open(transaction, run, known)?;
    known.insert(run, open);
    Ok(open)
}

fn count_open(transaction: &Transaction<'_>, run: RunKey, known: &mut OpenCounts) -> Result<u32, SqlError> {
    let open: u32 = transaction
        .prepare_cached(&format!(
            "SELECT count(*) FROM operation WHERE run_key = ?1 AND ({IS_TO_BE_SENT} OR state = {UNKNOWN})"
        ))?
        .query_row([run.0], |row| row.get(0))?;
    if open == 0 {
        return Ok(0);
    }
    let mut writes = later_writes(transaction, run)?;
    let overruling = overruling(transaction, run, false)?;
    writes.retain(|write| write.surely && overruling.contains(&write.run));
    let is_open = [OperationState::Pending, OperationState::Unknown, OperationState::Refused];
    writes.extend(later_findings(transaction, run, &is_open, known)?);
    // What was found was decided after the attempt whose number it bears.
    writes.sort_by_key(|write| write.attempt);
    let last = last_writes(writes);
    let overtaken = operations(transaction, run, &last, &is_open, |own| {
        last.get(&own.slot).is_some_and(|other| other.attempt > own.attempt)
    })?;
    Ok(open.saturating_sub(u32::try_from(overtaken.len()).unwrap_or(u32::MAX)))
}

/// A run that was asked for after another, and has come to its end.
struct LaterRun {
    key: RunKey,
    decided_after: AttemptKey,
    /// Whether both carry out rules of one name: what these do not give a machine any more has no row.
    is_of_same_rules: bool,
    /// Whether it took a tag off wherever that was: machines that did not have it have no row.
    is_everywhere: bool,
}

/// As [`Reader::later_findings`] has it, for operations in these states. A run that was taken back asks for nothing any more.
fn later_findings(
    transaction: &Transaction<'_>,
    run: RunKey,
    states: &[OperationState],
    known: &mut OpenCounts,
) -> Result<Vec<SlotWrite>, SqlError> {
    let mut later: Vec<(LaterRun, bool)> = transaction
        .prepare_cached(
            "SELECT later.run_key, later.decided_after, later.input_path, EXISTS (
                 SELECT 1 FROM declaration_of_run AS own JOIN declaration_of_run AS other USING (name)
                 WHERE other.run_key = later.run_key AND own.run_key = run.run_key),
                 later.state IN ('finished', 'revisited')
             FROM run AS later JOIN run USING (account_key, host)
             WHERE run.run_key = ?1 AND later.run_key <> ?1
                 AND later.state IN ('finished', 'revisited', 'stopped', 'running')
                 AND (later.asked_after, later.run_key) > (run.asked_after, run.run_key)
                 AND NOT EXISTS (SELECT 1 FROM run AS undo WHERE undo.kind = 'undo' AND undo.input_path = ?2 || later.run_id)
             ORDER BY later.asked_after, later.run_key",
        )?
        .query_map(params![run.0, UNDO_PREFIX], |row| {
            let later = LaterRun {
                key: RunKey(row.get(0)?),
                decided_after: AttemptKey(row.get(1)?),
                is_everywhere: is_retagging_of_all(&row.get::<String>(2)?),
                is_of_same_rules: row.get(3)?,
            };
            Ok((later, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    // The last first: what became of a run that was left hangs on those after it alone.
    for (later, is_over) in later.iter_mut().rev().filter(|(_, is_finished)| !is_finished) {
        *is_over = open_operations(transaction, later.key, known)? == 0;
    }
    let later: Vec<LaterRun> = later.into_iter().filter_map(|(later, is_over)| is_over.then_some(later)).collect();
    if later.is_empty() {
        return Ok(Vec::new());
    }
    let mut wishes: HashMap<Slot, SlotWrite> = HashMap::new();
    each_wish(transaction, run, states, |wish, _operation| {
        wishes.insert(wish.slot.clone(), wish);
    })?;
    let mut forms = Forms::of(&wishes);
    let mut findings = HashMap::new();
    for later in later.into_iter().filter(|_| !wishes.is_empty()) {
        later.find(transaction, &wishes, &mut forms, &mut findings)?;
    }
    let mut findings: Vec<SlotWrite> = findings.into_values().collect();
    findings.sort_unstable_by_key(|finding| finding.attempt);
    Ok(findings)
}

/// In which forms the wishes of a run name a tag.
struct Forms {
    /// By the tag's [`case_key`](Tag::case_key).
    all: HashMap<String, Vec<Tag>>,
    /// Those that differ from a tag in case alone, as far as they were looked for.
    others: HashMap<Tag, Vec<Tag>>,
}

impl Forms {
    fn of(wishes: &HashMap<Slot, SlotWrite>) -> Self {
        let tags: HashSet<&Tag> = wishes.keys().filter_map(|slot| slot.tag.as_ref()).collect();
        let mut all: HashMap<String, Vec<Tag>> = HashMap::new();
        for tag in tags {
            all.entry(tag.case_key()).or_default().push(tag.clone());
        }
        Self { all, others: HashMap::new() }
    }

    /// The slots that the service may take for this one.
    fn of_slot(&mut self, slot: &Slot) -> Vec<Slot> {
        let Some(tag) = &slot.tag else { return Vec::new() };
        if !self.others.contains_key(tag) {
            let forms = self.all.get(&tag.case_key()).into_iter().flatten();
            self.others.insert(tag.clone(), forms.filter(|form| *form != tag).cloned().collect());
        }
        let others = self.others.get(tag).into_iter().flatten();
        others.map(|form| Slot { machine: slot.machine.clone(), tag: Some(form.clone()) }).collect()
    }
}

/// Tags that a run asks to be absent, without a row that says so where they were absent already.
#[derive(Default)]
struct Absent {
    /// Those that are to be nowhere.
    everywhere: HashSet<Tag>,
    /// Machines that get no tag of the same rules but those of `asked`. Of others nothing was decided, or they are out of scope.
    machines: HashSet<MachineId>,
    /// What has rows.
    asked: HashSet<Slot>,
}

impl Absent {
    fn holds(&self, slot: &Slot) -> bool {
        let Some(tag) = &slot.tag else { return false };
        self.everywhere.contains(tag) || self.machines.contains(&slot.machine) && !self.asked.contains(slot)
    }
}

impl LaterRun {
    /// Notes what this run found otherwise than these wishes have it, and takes out what it found as they do.
    fn find(
        &self,
        transaction: &Transaction<'_>,
        wishes: &HashMap<Slot, SlotWrite>,
        forms: &mut Forms,
        findings: &mut HashMap<Slot, SlotWrite>,
    ) -> Result<(), SqlError> {
        let absent = self.absent(transaction)?;
        let attempt = Some(self.decided_after);
        let over = wishes.values().filter(|wish| wish.wrote == Held::Present && absent.holds(&wish.slot));
        findings.extend(over.map(|wish| {
            let (wrote, found) = (Held::Absent, MayHold::NOTHING);
            let run = self.key;
            let finding = SlotWrite { run, wrote, found, surely: true, answered: true, attempt, ..wish.clone() };
            (wish.slot.clone(), finding)
        }));
        // What it had done before it was decided about again was so then.
        let so = [OperationState::Unchanged, OperationState::Succeeded];
        each_wish(transaction, self.key, &so, |found, _operation| {
            let attempt = found.attempt.max(attempt);
            let found = SlotWrite { surely: true, answered: true, attempt, ..found };
            match wishes.get(&found.slot) {
                Some(wish) if wish.wrote == found.wrote => drop(findings.remove(&found.slot)),
                Some(_) => drop(findings.insert(found.slot.clone(), found)),
                None => {}
            }
        })?;
        // What was written in another form may have made this one what it asks for, and nobody can say.
        let mut in_other_forms = Vec::new();
        each_wish(transaction, self.key, &so, |found, _operation| {
            let attempt = found.attempt.max(attempt);
            for slot in forms.of_slot(&found.slot) {
                if wishes.get(&slot).is_some_and(|wish| wish.wrote != found.wrote) {
                    in_other_forms.push(SlotWrite { slot, surely: true, answered: true, attempt, ..found.clone() });
                }
            }
        })?;
        if in_other_forms.is_empty() {
            return Ok(());
        }
        // Whoever renames a tag to another form of it asks for both.
        let mut asked = HashSet::new();
        each_wish(transaction, self.key, &OperationState::ALL, |wish, _operation| {
            if wishes.contains_key(&wish.slot) {
                asked.insert(wish.slot);
            }
        })?;
        in_other_forms.retain(|found| !asked.contains(&found.slot));
        findings.extend(in_other_forms.into_iter().map(|found| (found.slot.clone(), found)));
        Ok(())
    }

    fn absent(&self, transaction: &Transaction<'_>) -> Result<Absent, SqlError> {
        let mut absent = Absent::default();
        if self.is_everywhere || self.is_of_same_rules {
            each_wish(transaction, self.key, &OperationState::ALL, |wish, _operation| {
                if self.is_of_same_rules {
                    absent.machines.insert(wish.slot.machine.clone());
                    absent.asked.insert(wish.slot.clone());
                }
                if self.is_everywhere && wish.wrote == Held::Absent {
                    absent.everywhere.extend(wish.slot.tag);
                }
            })?;
        }
        Ok(absent)
    }
}

/// The last write to each slot; writes come in their order.
fn last_writes(writes: Vec<SlotWrite>) -> HashMap<Slot, SlotWrite> {
    writes.into_iter().map(|write| (write.slot.clone(), write)).collect()
}

/// The operations of a run in these states of which this holds; there is none where nobody else has written.
fn operations(
    transaction: &Transaction<'_>,
    run: RunKey,
    others: &HashMap<Slot, SlotWrite>,
    states: &[OperationState],
    holds: impl Fn(&SlotWrite) -> bool,
) -> Result<Vec<OperationId>, SqlError> {
    let mut found = Vec::new();
    if !others.is_empty() {
        each_wish(transaction, run, states, |wish, operation| {
            if holds(&wish) {
                found.push(operation);
            }
        })?;
    }
    Ok(found)
}

/// Shows what each operation of a run in these states wants itself.
fn each_wish(
    transaction: &Transaction<'_>,
    run: RunKey,
    states: &[OperationState],
    mut show: impl FnMut(SlotWrite, OperationId),
) -> Result<(), SqlError> {
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT {WRITE_COLUMNS}, FALSE, operation.last_attempt, TRUE, TRUE, operation_number FROM operation {WITH_TAG}
         WHERE operation.run_key = ?1 AND operation.state = ?2"
    ))?;
    let mut tags = KnownTags::default();
    for state in states {
        let mut rows = statement.query(params![run.0, state.number()])?;
        while let Some(row) = rows.next()? {
            // That is the last of its writes.
            if let Some(wish) = read_writes(&row, &mut tags)?.pop() {
                show(wish, OperationId(row.get(12)?));
            }
        }
    }
    Ok(())
}
