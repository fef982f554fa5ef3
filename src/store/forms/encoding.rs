//! How values stand in the columns of the database: numbers for what there is a fixed number of, and lists as bytes.

use jiff::Timestamp;

use crate::model::{Bucket, Change, ChangeKind, DeviceValue, Held, OperationId, TagNumber};
use crate::quota::QuotaScope;
use crate::store::engine::sql::{Row, SqlError};

pub(in crate::store) const fn bucket_number(bucket: Bucket) -> u8 {
    match bucket {
        Bucket::Machines => 0,
        Bucket::Tags => 1,
        Bucket::Value => 2,
        Bucket::BulkTags => 3,
    }
}

/// How the scope of a quota stands in its column: by its place here.
const QUOTA_SCOPES: [QuotaScope; 3] = [QuotaScope::Api, QuotaScope::App, QuotaScope::Auto];

pub(in crate::store) fn quota_scope_number(scope: QuotaScope) -> u8 {
    (0..).zip(QUOTA_SCOPES).find(|(_, known)| *known == scope).map_or(0, |(number, _)| number)
}

pub(in crate::store) fn read_quota_scope(row: &Row<'_>, column: usize) -> Result<QuotaScope, SqlError> {
    let scope = QUOTA_SCOPES.get(usize::from(row.get::<u8>(column)?));
    scope.copied().ok_or_else(|| damaged(column, "the scope of a quota"))
}

pub(in crate::store) const CHANGE_ADD_TAG: u8 = 0;
pub(in crate::store) const CHANGE_REMOVE_TAG: u8 = 1;
pub(in crate::store) const CHANGE_DEVICE_VALUE: u8 = 2;
pub(in crate::store) const DEVICE_VALUES: [DeviceValue; 3] = [DeviceValue::Low, DeviceValue::Normal, DeviceValue::High];

pub(in crate::store) const fn kind_number(kind: ChangeKind) -> u8 {
    match kind {
        ChangeKind::Add => CHANGE_ADD_TAG,
        ChangeKind::Remove => CHANGE_REMOVE_TAG,
        ChangeKind::DeviceValue => CHANGE_DEVICE_VALUE,
    }
}

/// The number of a tag in the run's table, or that of a value.
pub(in crate::store) fn change_argument(change: Change<TagNumber>) -> u32 {
    match change {
        Change::Tag(_, TagNumber(number)) => number,
        Change::DeviceValue(value) => {
            let position = DEVICE_VALUES.iter().position(|known| *known == value).unwrap_or(0);
            u32::try_from(position).unwrap_or(0)
        }
    }
}

/// A value that this program never writes.
pub(in crate::store) fn damaged(column: usize, what: &'static str) -> SqlError {
    SqlError::Damaged { column, what }
}

/// What a column says that something held.
pub(in crate::store) fn read_held(row: &Row<'_>, column: usize) -> Result<Held, SqlError> {
    Ok(row.get::<Option<String>>(column)?.as_deref().map_or(Held::Unknown, Held::parse))
}

pub(in crate::store) fn timestamp(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Marks records that have the numbers of their rows in front. No record begins with it: each follows a line break.
const NUMBERED: u8 = 0x1e;

/// The records, with the numbers of their rows in front where they have some: four bytes each, least significant first.
pub(in crate::store) fn encode_records(numbers: &[u32], records: Vec<u8>) -> Vec<u8> {
    if numbers.is_empty() {
        return records;
    }
    let mut bytes = vec![NUMBERED];
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.extend(records);
    bytes
}

/// So many rows' numbers, none where they are their places, and their records.
pub(in crate::store) fn decode_records(mut bytes: Vec<u8>, rows: usize) -> Option<(Vec<u32>, Vec<u8>)> {
    if bytes.first() != Some(&NUMBERED) {
        return Some((Vec::new(), bytes));
    }
    let end = rows.checked_mul(4)?.checked_add(1).filter(|end| *end <= bytes.len())?;
    let records = bytes.split_off(end);
    let numbers = bytes.get(1..)?.chunks_exact(4).filter_map(|number| number.try_into().ok().map(u32::from_le_bytes));
    Some((numbers.collect(), records))
}

/// Per row a count and that many numbers of four bytes, least significant first.
pub(in crate::store) fn encode_links(rows: &[Vec<OperationId>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * 5);
    for operations in rows {
        bytes.push(u8::try_from(operations.len()).unwrap_or(u8::MAX));
        for operation in operations.iter().take(usize::from(u8::MAX)) {
            bytes.extend(operation.0.to_le_bytes());
        }
    }
    bytes
}

pub(in crate::store) fn decode_links(mut bytes: &[u8]) -> Option<Vec<Vec<OperationId>>> {
    let mut rows = Vec::new();
    while let Some((count, rest)) = bytes.split_first() {
        let (numbers, rest) = rest.split_at_checked(usize::from(*count) * 4)?;
        rows.push(
            numbers
                .chunks_exact(4)
                .filter_map(|number| number.try_into().ok().map(|number| OperationId(u32::from_le_bytes(number))))
                .collect(),
        );
        bytes = rest;
    }
    Some(rows)
}

/// The operations of an attempt, four bytes each, least significant first.
pub(in crate::store) fn encode_operations(operations: &[OperationId]) -> Vec<u8> {
    operations.iter().flat_map(|operation| operation.0.to_le_bytes()).collect()
}

/// Reads what [`encode_operations`] has written.
///
/// # Errors
/// When the column holds something else.
pub(in crate::store) fn read_operations(row: &Row<'_>, column: usize) -> Result<Vec<OperationId>, SqlError> {
    let bytes: Vec<u8> = row.get(column)?;
    let (numbers, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(damaged(column, "the operations of a call"));
    }
    Ok(numbers.iter().map(|number| OperationId(u32::from_le_bytes(*number))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_of_rows_survive_their_packing() {
        let rows = vec![vec![], vec![OperationId(7)], vec![OperationId(0), OperationId(u32::MAX)]];
        assert_eq!(decode_links(&encode_links(&rows)), Some(rows));
        assert_eq!(decode_links(&[1, 0, 0]), None);
    }

    #[test]
    fn records_come_back_with_the_numbers_of_their_rows() {
        let records = b"\na\nb\n".to_vec();
        for numbers in [vec![], vec![3, 70_000]] {
            let encoded = encode_records(&numbers, records.clone());
            assert_eq!(decode_records(encoded, 2), Some((numbers, records.clone())));
        }
        assert_eq!(decode_records(vec![NUMBERED, 1, 0, 0, 0], 2), None, "cut");
    }
}
