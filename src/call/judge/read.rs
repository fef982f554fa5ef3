//! Judging the answers to calls that change nothing. Whatever is no matter of reading (a refused token, a quota, a
//! service in trouble, a redirect) is judged as it is for writes.

use super::belief::{NOT_FOUND_BELIEVED_AFTER, TOO_MUCH_BELIEVED_AFTER};
use super::facts::{PROXY_PAGE, cut, facts, head_facts};
use super::verdict::{Excess, FailReason, History, ReadAnswer, RetryReason, Verdict, fail, retry};
use crate::api::{ApiRequest, Response, UnreadableList};
use crate::model::AnswerFacts;

/// The verdict on an answer to a read; `None` where reads and writes do not differ.
pub(super) fn judge_read(request: &ApiRequest, response: &Response, history: History) -> Option<Verdict> {
    match response.status {
        200..=299 => Some(judge_success(request, response, history)),
        // A proxy's page is nobody's verdict about a machine.
        404 if !response.looks_like_html() => Some(judge_not_found(request, response, history)),
        _ => None,
    }
}

fn judge_success(request: &ApiRequest, response: &Response, history: History) -> Verdict {
    let mut facts = head_facts(response);
    let answer = match request {
        ApiRequest::GetMachine { machine } => match response.machine_record() {
            Some(record) if machine.is_written(&record.id) => Ok(ReadAnswer::Machine(Box::new(record))),
            Some(record) => {
                facts.error_message = Some(cut(&format!("the answer is about the machine {}", record.id)));
                return retry(RetryReason::OtherMachine, facts);
            }
            None => Err(response.machine_excess().unwrap_or(UnreadableList::Other)),
        },
        _ => response.machine_page().map(ReadAnswer::Page),
    };
    let unreadable = match answer {
        Ok(answer) => return Verdict::Read { answer, facts },
        Err(unreadable) => unreadable,
    };
    let is_list = matches!(request, ApiRequest::ListMachines { .. });
    facts.error_message = Some(match unreadable {
        _ if response.looks_like_html() => PROXY_PAGE.into(),
        UnreadableList::Other if !is_list => "the answer is not a machine as the service sends it".into(),
        unreadable => unreadable.to_string().into(),
    });
    match Excess::of(unreadable) {
        Some(excess) => too_much(excess, facts, history),
        None => retry(RetryReason::NotUnderstood, facts),
    }
}

/// The verdict on an answer to a read that holds more than is read: asked for once more, it is most likely the same.
pub(super) fn too_much(excess: Excess, facts: AnswerFacts, history: History) -> Verdict {
    if history.too_much + 1 >= TOO_MUCH_BELIEVED_AFTER {
        fail(FailReason::Rejected, facts)
    } else {
        retry(RetryReason::TooMuch(excess), facts)
    }
}

/// Behind the first page a 404 is how the list ends after a full page, and believed at once: asking again would cost a
/// call in every tenant of a round number of machines. Anywhere else it is believed when it repeats.
fn judge_not_found(request: &ApiRequest, response: &Response, history: History) -> Verdict {
    let facts = facts(response);
    let is_end_of_list = matches!(request, ApiRequest::ListMachines { skip: 1.., .. });
    if is_end_of_list || history.not_found + 1 >= NOT_FOUND_BELIEVED_AFTER {
        Verdict::Read { answer: ReadAnswer::NotFound, facts }
    } else {
        retry(RetryReason::NotFound, facts)
    }
}

#[cfg(test)]
mod tests;
