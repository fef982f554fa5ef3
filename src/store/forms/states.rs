//! The states of operations, as SQL writes them.

use super::run::OperationState;

pub(in crate::store) const PENDING: u8 = OperationState::Pending.number();
pub(in crate::store) const SUCCEEDED: u8 = OperationState::Succeeded.number();
pub(in crate::store) const FAILED: u8 = OperationState::Failed.number();
pub(in crate::store) const UNKNOWN: u8 = OperationState::Unknown.number();
pub(in crate::store) const NOT_ATTEMPTED: u8 = OperationState::NotAttempted.number();
pub(in crate::store) const REFUSED: u8 = OperationState::Refused.number();

/// It is to be sent. As the index of such operations has it, which is not found by another text.
pub(in crate::store) const IS_TO_BE_SENT: &str = "state IN (0, 6)";

/// The service answered that it is so now.
pub(in crate::store) const IS_DONE: &str = "state = 1";

/// It was done, or may have been.
pub(in crate::store) const MAY_BE_DONE: &str = "(operation.state = 1 OR operation.ambiguous = 1)";

/// An operation of this run and number that the service has refused. It is sent again, and unless it is reached, that it was
/// refused, and why, stays true.
pub(in crate::store) const WAS_REFUSED: &str =
    "run_key = ?1 AND operation_number = ?2 AND state IN (3, 6) AND ambiguous = 0 AND http_status IS NOT NULL";

/// Whether an operation may have been done although its outcome does not say so.
pub(in crate::store) fn in_doubt(operation: &str) -> String {
    format!(
        "({operation}.state = {UNKNOWN} OR ({operation}.ambiguous = 1 AND {operation}.state IN ({FAILED}, {NOT_ATTEMPTED})))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_conditions_are_those_of_the_states() {
        assert_eq!(IS_TO_BE_SENT, format!("state IN ({PENDING}, {REFUSED})"));
        assert_eq!(IS_DONE, format!("state = {SUCCEEDED}"));
        assert_eq!(MAY_BE_DONE, format!("(operation.state = {SUCCEEDED} OR operation.ambiguous = 1)"));
        assert!(WAS_REFUSED.contains(&format!("state IN ({FAILED}, {REFUSED})")));
    }
}
