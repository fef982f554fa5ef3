//! How many calls and operations there are, in words.

use std::collections::BTreeMap;

use crate::api::CallKind;
use crate::store::OperationState;
use crate::words::{counted, group_digits};

/// So many calls of a kind, in words; of a kind that is not known any more, where there is none.
pub(in crate::report) fn calls_text(kind: Option<CallKind>, count: u64) -> String {
    let (one, many) = match kind {
        Some(CallKind::List) => ("page of machines", "pages of machines"),
        Some(CallKind::Get) => ("single machine", "single machines"),
        Some(CallKind::Bulk) => ("bulk call", "bulk calls"),
        Some(CallKind::Tags) => ("single tag", "single tags"),
        Some(CallKind::Value) => ("device value", "device values"),
        None => ("other", "others"),
    };
    counted(count, one, many)
}

/// The counts in words, those that are still to be sent last.
pub(in crate::report) fn operations_text(operations: &BTreeMap<OperationState, u32>) -> String {
    const ORDER: [(OperationState, &str); 7] = [
        (OperationState::Succeeded, "succeeded"),
        (OperationState::Unchanged, "unchanged"),
        (OperationState::Failed, "failed"),
        (OperationState::Unknown, "unknown"),
        (OperationState::NotAttempted, "not attempted"),
        (OperationState::Refused, "refused"),
        (OperationState::Pending, "left"),
    ];
    let counts: Vec<String> = ORDER
        .into_iter()
        .filter_map(|(state, text)| {
            let count = operations.get(&state).filter(|count| **count > 0)?;
            Some(format!("{} {text}", group_digits((*count).into())))
        })
        .collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}
