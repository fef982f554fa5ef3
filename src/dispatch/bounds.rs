//! When a run has been refused, or has failed, often enough to stop. Pure.
//!
//! A 403 before the service has accepted any call of this app may mean the app, or the machine. What surprises: it means
//! the app only when machines from different places of the input were refused and nothing was accepted; single calls
//! leave in an order that sees to that.

use super::events::EndReason;
use crate::model::{OperationId, Outcome, Status, says_machine_is_gone};

/// So many machines are refused with 403 before any accepted call when the run stops.
const FORBIDDEN_STOPS_AT: usize = 6;
/// Failures below which a share of failures does not stop a run.
const MINIMUM_ERRORS_FOR_SHARE: u64 = 20;

/// When a run has failed often enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MaximumErrors {
    /// More than so many operations.
    Count(u64),
    /// More than this share, in percent, of those that have an outcome, and at least 20.
    Percent(u8),
}

/// The refusals and failures of a run.
#[derive(Debug)]
pub(super) struct Bounds {
    maximum_errors: MaximumErrors,
    errors: u64,
    /// Operations refused with 403 before the service had accepted a call.
    forbidden: Vec<OperationId>,
    /// Whether one was refused for a reason that is its own: a machine that is gone, for example.
    has_other_refusals: bool,
    /// What the service said about that.
    said: Option<Box<str>>,
}

impl Bounds {
    pub(super) const fn new(maximum_errors: MaximumErrors) -> Self {
        Self { maximum_errors, errors: 0, forbidden: Vec::new(), has_other_refusals: false, said: None }
    }

    /// Takes the outcome of an operation into account; `named` where the refusal of a bulk call named its machine,
    /// `refused_before` where an earlier process counted it: else a run that is resumed would stop at the same rows for
    /// ever. Says why the run is to stop, if it is; `settled` operations have an outcome.
    pub(super) fn take(
        &mut self,
        operation: OperationId,
        outcome: &Outcome,
        named: bool,
        refused_before: bool,
        settled: u64,
        service_accepted: bool,
    ) -> Option<EndReason> {
        let answer = &outcome.answer;
        let is_forbidden = answer.http_status == Some(403);
        if is_forbidden && outcome.send_again {
            self.forbidden.push(operation);
            self.said.clone_from(&answer.error_message);
            let is_sure = self.forbidden.len() >= FORBIDDEN_STOPS_AT && !service_accepted;
            return is_sure.then(|| self.forbidden_reason());
        }
        self.has_other_refusals |= outcome.is_refusal;
        let is_gone = says_machine_is_gone(answer.http_status, answer.error_code.as_deref());
        if outcome.status != Status::Failed || is_gone || refused_before || (named && !is_forbidden) {
            return None;
        }
        self.errors += 1;
        self.are_too_many(settled).then_some(EndReason::TooManyErrors)
    }

    /// Whether anybody was refused before the service had accepted a call.
    pub(super) const fn has_forbidden(&self) -> bool {
        !self.forbidden.is_empty()
    }

    /// Whether those who were are few, and others were refused for reasons of their own: then it is about these machines.
    pub(super) const fn are_few_among_others(&self) -> bool {
        self.forbidden.len() < FORBIDDEN_STOPS_AT && self.has_other_refusals
    }

    /// Those who were.
    pub(super) fn forbidden(&self) -> &[OperationId] {
        &self.forbidden
    }

    /// Why a run ends in which everybody was.
    pub(super) fn forbidden_reason(&self) -> EndReason {
        EndReason::Forbidden { message: self.said.clone() }
    }

    const fn are_too_many(&self, settled: u64) -> bool {
        match self.maximum_errors {
            MaximumErrors::Count(count) => self.errors > count,
            MaximumErrors::Percent(percent) => {
                self.errors >= MINIMUM_ERRORS_FOR_SHARE && self.errors * 100 > percent as u64 * settled
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AnswerFacts, Held};

    fn failed(http_status: u16, code: &str, send_again: bool) -> Outcome {
        let answer = AnswerFacts {
            http_status: Some(http_status),
            error_code: Some(code.into()),
            error_message: Some("roles".into()),
            request_id: None,
        };
        Outcome { status: Status::Failed, send_again, is_refusal: true, answer, after: Held::Unknown }
    }

    #[test]
    fn what_is_about_a_machine_counts_as_it_should() {
        let table = [
            ("a machine that is gone", failed(404, "ResourceNotFound", false), false, 0),
            ("a path that nobody knows", failed(404, "not_found", false), false, 1),
            ("a machine that a refusal named", failed(400, "InvalidInput", false), true, 0),
            ("a request that is wrong", failed(400, "InvalidInput", false), false, 1),
            ("a machine that may not be changed", failed(403, "DisallowedOperation", false), false, 1),
            ("the same, named", failed(403, "DisallowedOperation", false), true, 1),
            ("a refusal that may concern the app", failed(403, "Forbidden", true), false, 0),
        ];
        for (case, outcome, named, errors) in table {
            let mut bounds = Bounds::new(MaximumErrors::Count(99));
            assert!(bounds.take(OperationId(1), &outcome, named, false, 1, false).is_none(), "{case}");
            assert_eq!(bounds.errors, errors, "{case}");
            assert!(bounds.take(OperationId(1), &outcome, named, true, 1, false).is_none(), "{case}");
            assert_eq!(bounds.errors, errors, "{case}, as an earlier process counted it");
        }
    }

    #[test]
    fn an_app_is_refused_when_several_machines_are_and_nothing_was_accepted() {
        for service_accepted in [false, true] {
            let mut bounds = Bounds::new(MaximumErrors::Count(99));
            let refused = failed(403, "Forbidden", true);
            let mut reasons =
                (1..=6).map(|number| bounds.take(OperationId(number), &refused, false, false, 6, service_accepted));
            assert!(reasons.by_ref().take(5).all(|reason| reason.is_none()));
            let last = reasons.next().flatten();
            match last {
                Some(EndReason::Forbidden { message }) if !service_accepted => {
                    assert_eq!(message.as_deref(), Some("roles"));
                }
                None if service_accepted => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_share_of_errors_stops_a_run_from_twenty_on() {
        let refused = failed(400, "InvalidInput", false);
        let stops_at = |maximum_errors, settled_for_each: u64| {
            let mut bounds = Bounds::new(maximum_errors);
            (1..100).find(|count| {
                bounds.take(OperationId(1), &refused, false, false, count * settled_for_each, true).is_some()
            })
        };
        assert_eq!(stops_at(MaximumErrors::Percent(50), 1), Some(20));
        assert_eq!(stops_at(MaximumErrors::Percent(50), 2), None);
        assert_eq!(stops_at(MaximumErrors::Count(3), 9), Some(4));
    }
}
