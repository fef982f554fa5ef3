//! What became of one row: the worst of its operations, with that one's reasons.

use std::borrow::Cow;

use crate::input::RESULT_COLUMNS;
use crate::model::row_code::{
    CHANGED_SINCE, INTERRUPTED, MACHINE_NOT_FOUND, MAY_BE_CHANGED_SINCE, NOT_ATTEMPTED, NOT_IN_INVENTORY,
    UNKNOWN_BEFORE,
};
use crate::model::{Held, OperationId, Status, says_machine_is_gone};
use crate::store::{StoredChunk, StoredOperation};

/// The answer to a row, as the results show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) struct RowAnswer {
    pub(super) status: Status,
    pub(super) http_status: Option<u16>,
    pub(super) error_code: String,
    /// Why, of the operation that counts.
    pub(super) error_message: String,
    /// The same with what was done of the row all the same, if something was.
    message_of_part: Option<String>,
    attempts: u32,
    request_id: String,
    before: String,
    after: String,
    finished_at: String,
}

impl RowAnswer {
    /// Whether the row belongs into the file that is fed back.
    pub(super) fn is_worth_feeding_back(&self) -> bool {
        matches!(self.status, Status::Failed | Status::Unknown | Status::NotAttempted | Status::Invalid)
            && !self.is_left_to_others()
            && !self.is_without_before()
            && self.error_code != MAY_BE_CHANGED_SINCE
    }

    /// Whether the row was left alone because somebody else has changed what it is about: nothing failed, and to do it
    /// nevertheless is not this program's to suggest.
    pub(super) fn is_left_to_others(&self) -> bool {
        self.error_code == CHANGED_SINCE
    }

    /// Whether the row was left alone because nobody knows what was there before: there is nothing that could be done.
    pub(super) fn is_without_before(&self) -> bool {
        self.error_code == UNKNOWN_BEFORE
    }

    /// Whether the row failed because its machine is gone: the inventory lacks it, or the service says that there is none.
    pub(super) fn is_about_missing_machine(&self) -> bool {
        let is_unlisted = [MACHINE_NOT_FOUND, NOT_IN_INVENTORY].contains(&self.error_code.as_str());
        self.status == Status::Failed && (is_unlisted || says_machine_is_gone(self.http_status, Some(&self.error_code)))
    }

    /// The cells of the added columns, in their order.
    pub(super) fn cells<'a>(&'a self, row: u32, run_id: &'a str) -> [AddedCell<'a>; RESULT_COLUMNS.len()] {
        let ours = AddedCell::Ours;
        [
            ours(row.to_string().into()),
            ours(self.status.to_string().into()),
            ours(self.http_status.map(|status| status.to_string()).unwrap_or_default().into()),
            AddedCell::Outside(&self.error_code),
            AddedCell::Outside(self.message_of_part.as_deref().unwrap_or(&self.error_message)),
            ours(self.attempts.to_string().into()),
            AddedCell::Outside(&self.request_id),
            ours(self.before.as_str().into()),
            ours(self.after.as_str().into()),
            ours(self.finished_at.as_str().into()),
            AddedCell::Outside(run_id),
        ]
    }
}

/// A cell of an added column.
pub(in crate::report) enum AddedCell<'a> {
    /// A number, a time, or a word of ours.
    Ours(Cow<'a, str>),
    /// What somebody else may have written.
    Outside(&'a str),
}

/// Puts the answer to a row together.
pub(super) fn answer_row(place: u32, operations: &[OperationId], chunk: &StoredChunk) -> RowAnswer {
    let stored: Vec<&StoredOperation> = operations.iter().filter_map(|id| chunk.operations.get(id)).collect();
    // Of equals the first counts, so the later one must be worse to take its place.
    let worst = stored.iter().copied().reduce(|worst, next| if next.status() > worst.status() { next } else { worst });
    let Some(worst) = worst else { return invalid(place, chunk) };
    let status = worst.status();
    let answer = &worst.answer;
    let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
    let (mut error_code, mut error_message) = (text(&answer.error_code), text(&answer.error_message));
    if status == Status::NotAttempted && error_code.is_empty() {
        error_code = NOT_ATTEMPTED.into();
        error_message = "this row was not reached".into();
    }
    if status == Status::Unknown && error_code.is_empty() {
        error_code = INTERRUPTED.into();
        error_message = "the outcome of this row is not known".into();
    }
    let is_part_done =
        status == Status::NotAttempted && stored.iter().any(|operation| operation.status() == Status::Succeeded);
    RowAnswer {
        status,
        http_status: answer.http_status,
        error_code,
        message_of_part: is_part_done
            .then(|| format!("a part of the row was done, as after shows; the rest: {error_message}")),
        error_message,
        attempts: stored.iter().map(|operation| operation.attempts).sum(),
        request_id: text(&answer.request_id),
        before: joined(&stored, |operation| operation.before),
        after: joined(&stored, |operation| operation.after),
        finished_at: stored
            .iter()
            .filter_map(|operation| operation.finished_at)
            .max()
            .map(|time| format!("{time:.3}"))
            .unwrap_or_default(),
    }
}

fn invalid(place: u32, chunk: &StoredChunk) -> RowAnswer {
    let (code, message) = chunk.problems.get(&place).cloned().unwrap_or_default();
    RowAnswer {
        status: Status::Invalid,
        http_status: None,
        error_code: code,
        error_message: message,
        message_of_part: None,
        attempts: 0,
        request_id: String::new(),
        before: String::new(),
        after: String::new(),
        finished_at: String::new(),
    }
}

/// The values of one or two operations, tag first, joined by `; `; empty when none is known.
fn joined(stored: &[&StoredOperation], held: impl Fn(&StoredOperation) -> Held) -> String {
    let values: Vec<Option<&str>> = stored.iter().map(|operation| held(operation).as_str()).collect();
    if values.iter().all(Option::is_none) {
        return String::new();
    }
    values.iter().map(|value| value.unwrap_or_default()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::model::AnswerFacts;
    use crate::store::OperationState;

    fn operation(state: OperationState, ambiguous: bool, code: &str, after: Option<&str>) -> StoredOperation {
        StoredOperation {
            state,
            ambiguous,
            attempts: 2,
            answer: AnswerFacts {
                http_status: Some(200),
                error_code: (!code.is_empty()).then(|| code.into()),
                error_message: None,
                request_id: Some(code.into()),
            },
            before: Held::Unknown,
            after: after.map_or(Held::Unknown, Held::parse),
            finished_at: None,
        }
    }

    fn answer(operations: Vec<StoredOperation>) -> RowAnswer {
        let ids: Vec<OperationId> = (0..).take(operations.len()).map(OperationId).collect();
        let stored: HashMap<_, _> = ids.iter().copied().zip(operations).collect();
        answer_row(1, &ids, &StoredChunk { operations: stored, ..StoredChunk::default() })
    }

    #[test]
    fn every_state_of_an_operation_has_its_status() {
        use OperationState::{Failed, NotAttempted, Pending, Refused, Succeeded, Unchanged, Unknown};
        let table = [
            (Pending, false, Status::NotAttempted),
            (Pending, true, Status::Unknown),
            (Succeeded, true, Status::Succeeded),
            (Unchanged, false, Status::Unchanged),
            (Failed, true, Status::Unknown),
            (Unknown, true, Status::Unknown),
            (NotAttempted, false, Status::NotAttempted),
            (Refused, false, Status::Failed),
            (Refused, true, Status::Unknown),
        ];
        for (state, ambiguous, status) in table {
            assert_eq!(answer(vec![operation(state, ambiguous, "c", None)]).status, status, "{state:?} {ambiguous}");
        }
    }

    #[test]
    fn a_row_with_two_operations_takes_the_worst_of_them() {
        let tag = operation(OperationState::Succeeded, false, "tag", Some("present"));
        let value = operation(OperationState::Failed, false, "value", None);
        let row = answer(vec![tag.clone(), value]);
        assert_eq!((row.status, row.error_code.as_str(), row.request_id.as_str()), (Status::Failed, "value", "value"));
        assert_eq!((row.attempts, row.after.as_str(), row.before.as_str()), (4, "present; ", ""));
        let row = answer(vec![tag.clone(), operation(OperationState::Succeeded, false, "value", Some("High"))]);
        assert_eq!((row.request_id.as_str(), row.after.as_str()), ("tag", "present; High"));
        let left = operation(OperationState::Pending, false, "", None);
        let row = answer(vec![tag.clone(), left.clone()]);
        assert_eq!(row.status, Status::NotAttempted);
        let part = "a part of the row was done, as after shows; the rest: this row was not reached";
        assert_eq!(row.message_of_part.as_deref(), Some(part));
        let row = answer(vec![operation(OperationState::Unchanged, false, "tag", None), left]);
        assert_eq!(row.message_of_part, None);
        let row = answer(vec![operation(OperationState::Unchanged, false, "tag", None), tag]);
        assert_eq!(row.status, Status::Succeeded);
    }

    #[test]
    fn a_machine_is_missing_whatever_the_status_that_says_so() {
        let table = [
            (Some(404), "ResourceNotFound", true),
            (Some(400), "ResourceNotFound", true),
            (Some(404), "MachineGone", true),
            (Some(404), "not_found", false),
            (Some(400), "BadRequest", false),
            (None, "not_in_inventory", true),
            (None, "machine_not_found", true),
        ];
        for (status, code, expected) in table {
            let mut row = answer(vec![operation(OperationState::Failed, false, code, None)]);
            row.http_status = status;
            assert_eq!(row.is_about_missing_machine(), expected, "{status:?} {code}");
        }
    }

    #[test]
    fn a_row_in_error_says_why() {
        let mut chunk = StoredChunk::default();
        chunk.problems.insert(7, ("ragged_row".into(), "3 cells".into()));
        let row = answer_row(7, &[], &chunk);
        assert_eq!(
            (row.status, row.error_code.as_str(), row.error_message.as_str()),
            (Status::Invalid, "ragged_row", "3 cells")
        );
    }

    #[test]
    fn what_others_may_have_written_is_told_from_our_own_words() {
        let answer = RowAnswer {
            status: Status::Failed,
            http_status: Some(404),
            error_code: "code".into(),
            error_message: "message".into(),
            message_of_part: None,
            attempts: 2,
            request_id: "request".into(),
            before: "absent".into(),
            after: "present".into(),
            finished_at: "2026-11-26T12:00:00.000Z".into(),
        };
        let outside = answer.cells(7, "run").into_iter().zip(RESULT_COLUMNS);
        let outside = outside.filter_map(|(cell, column)| match cell {
            AddedCell::Outside(text) => Some((column, text.to_owned())),
            AddedCell::Ours(_) => None,
        });
        let expected =
            [("error_code", "code"), ("error_message", "message"), ("request_id", "request"), ("run_id", "run")];
        assert_eq!(outside.collect::<Vec<_>>(), expected.map(|(column, text)| (column, text.to_owned())));
    }
}
