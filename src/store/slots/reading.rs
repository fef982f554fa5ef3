//! What the rows of the database say of slots and of what was written there.

use std::collections::HashSet;

use crate::model::{Age, Held, MachineId, MayHold, Slot, Tag, TagError};
use crate::store::engine::sql::{Row, SqlError, Transaction};
use crate::store::forms::attempt::AttemptKey;
use crate::store::forms::encoding::{CHANGE_ADD_TAG, CHANGE_DEVICE_VALUE, DEVICE_VALUES, damaged, read_held};
use crate::store::forms::run::RunKey;
use crate::store::forms::slot_write::{RunSlot, SlotWrite};

/// The columns of a write, of `operation` with `tag` joined to it. Whether it surely took effect, its attempt and two columns
/// for [`read_age`] come after them.
pub(super) const WRITE_COLUMNS: &str = "operation.machine, tag.tag, operation.change_kind, operation.change_argument,
    operation.before, operation.found, operation.other_forms, operation.run_key";
pub(super) const WITH_TAG: &str = "LEFT JOIN tag ON tag.run_key = operation.run_key
    AND tag.tag_number = operation.change_argument AND operation.change_kind <> 2";

/// Tags that have been read, so that each is held once however many slots bear it.
#[derive(Default)]
pub(super) struct KnownTags(HashSet<Tag>);

impl KnownTags {
    fn tag(&mut self, text: &str) -> Result<Tag, TagError> {
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        let tag = Tag::new(text)?;
        self.0.insert(tag.clone());
        Ok(tag)
    }
}

pub(super) fn read_history(transaction: &Transaction<'_>, run: RunKey) -> Result<Vec<RunSlot>, SqlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT machine, tag, before, after, doubtful, last_attempt FROM slot_history WHERE run_key = ?1",
    )?;
    let mut tags = KnownTags::default();
    let rows = statement.query_map([run.0], |row| {
        let machine = MachineId::from_service(&row.get::<String>(0)?);
        let tag: String = row.get(1)?;
        let tag = if tag.is_empty() { None } else { Some(tags.tag(&tag).map_err(|_no_tag| damaged(1, "a tag"))?) };
        let before = read_held(row, 2)?;
        let surely = row.get::<Option<String>>(3)?.map_or(before, |word| Held::parse(&word));
        Ok(RunSlot {
            slot: Slot { machine, tag },
            before,
            after: MayHold::only(surely).or(MayHold::parse(&row.get::<String>(4)?)),
            last_attempt: row.get::<Option<i64>>(5)?.map(AttemptKey),
            later: Vec::new(),
        })
    })?;
    rows.collect()
}

/// The writes of an operation. There is none where its tag is none that this program would write.
pub(super) fn read_writes(row: &Row<'_>, tags: &mut KnownTags) -> Result<Vec<SlotWrite>, SqlError> {
    let Some(slot) = read_slot(row, tags)? else { return Ok(Vec::new()) };
    let mut write = SlotWrite {
        run: RunKey(row.get(7)?),
        slot,
        before: read_held(row, 4)?,
        found: MayHold::parse(&row.get::<String>(5)?),
        wrote: read_wrote(row)?,
        surely: row.get(8)?,
        answered: row.get(8)?,
        attempt: row.get::<Option<i64>>(9)?.map(AttemptKey),
        age: read_age(row, 10)?,
    };
    let Some(other_forms) = row.get::<Option<String>>(6)? else { return Ok(vec![write]) };
    let other_forms: Vec<String> =
        serde_json::from_str(&other_forms).map_err(|_not_json| damaged(6, "the other forms of a tag"))?;
    // The list showed the tag in other forms only. Of one that was to be added it is not known whether that made another of it,
    // which alone could be taken back.
    if write.before == Held::Unknown && write.wrote == Held::Absent {
        write.before = Held::Absent;
    }
    let mut writes = Vec::with_capacity(other_forms.len() + 1);
    for tag in other_forms.iter().filter_map(|form| tags.tag(form).ok()) {
        let slot = Slot { machine: write.slot.machine.clone(), tag: Some(tag) };
        // Whether the service takes the two for one, nobody knows: then what is removed is this one, and none is added.
        let (before, surely) = (Held::Present, false);
        writes.push(SlotWrite { slot, before, found: MayHold::NOTHING, surely, ..write });
    }
    writes.push(write);
    Ok(writes)
}

/// The age of an attempt, by whether it is surely young, and whether it looks young.
pub(super) fn read_age(row: &Row<'_>, column: usize) -> Result<Age, SqlError> {
    Ok(match (row.get::<Option<bool>>(column)?, row.get::<Option<bool>>(column + 1)?) {
        (Some(true), _) => Age::Young,
        (_, Some(true)) => Age::LooksYoung,
        _ => Age::LooksOld,
    })
}

/// The slot of an operation; `None` where its tag is none that this program would write.
fn read_slot(row: &Row<'_>, tags: &mut KnownTags) -> Result<Option<Slot>, SqlError> {
    let machine = MachineId::from_service(&row.get::<String>(0)?);
    if row.get::<u8>(2)? == CHANGE_DEVICE_VALUE {
        return Ok(Some(Slot { machine, tag: None }));
    }
    let tag: Option<String> = row.get(1)?;
    Ok(tag.and_then(|tag| tags.tag(&tag).ok()).map(|tag| Slot { machine, tag: Some(tag) }))
}

/// What an operation leaves.
fn read_wrote(row: &Row<'_>) -> Result<Held, SqlError> {
    Ok(match row.get::<u8>(2)? {
        CHANGE_DEVICE_VALUE => {
            let value = DEVICE_VALUES.get(usize::from(row.get::<u8>(3)?));
            Held::Value(*value.ok_or_else(|| damaged(3, "a device value"))?)
        }
        CHANGE_ADD_TAG => Held::Present,
        _ => Held::Absent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_held_once_however_many_slots_bear_it() {
        let mut tags = KnownTags::default();
        let [one, other, again] = ["Tier 0", "Tier 1", "Tier 0"].map(|text| tags.tag(text).expect("a tag"));
        assert_eq!((one.as_str(), other.as_str()), ("Tier 0", "Tier 1"));
        assert!(std::ptr::eq(one.as_str(), again.as_str()));
        assert!(tags.tag("a\0b").is_err());
    }
}
