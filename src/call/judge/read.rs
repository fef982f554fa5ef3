//! Judging the answers to calls that change nothing. Whatever is no matter of reading (a refused token, a quota, a
//! service in trouble, a redirect) is judged as it is for writes.

use super::belief::NOT_FOUND_BELIEVED_AFTER;
use super::facts::{PROXY_PAGE, cut, facts};
use super::verdict::{History, ReadAnswer, RetryReason, Verdict, retry};
use crate::api::{ApiRequest, Response};
use crate::model::AnswerFacts;

/// The verdict on an answer to a read; `None` where reads and writes do not differ.
pub(super) fn judge_read(request: &ApiRequest, response: &Response, history: History) -> Option<Verdict> {
    match response.status {
        200..=299 => Some(judge_success(request, response)),
        // A proxy's page is nobody's verdict about a machine.
        404 if !response.looks_like_html() => Some(judge_not_found(request, response, history)),
        _ => None,
    }
}

fn judge_success(request: &ApiRequest, response: &Response) -> Verdict {
    let mut facts = AnswerFacts {
        http_status: Some(response.status),
        request_id: response.request_id.as_deref().map(cut),
        ..AnswerFacts::default()
    };
    let answer = match request {
        ApiRequest::GetMachine { machine } => match response.machine_record() {
            Some(record) if machine.is_written(&record.id) => Ok(ReadAnswer::Machine(Box::new(record))),
            Some(record) => {
                facts.error_message = Some(cut(&format!("the answer is about the machine {}", record.id)));
                return retry(RetryReason::OtherMachine, facts);
            }
            None => Err("the answer is not a machine as the service sends it".into()),
        },
        _ => response.machine_page().map(ReadAnswer::Page).map_err(|unreadable| unreadable.to_string().into()),
    };
    match answer {
        Ok(answer) => return Verdict::Read { answer, facts },
        Err(_other) if response.looks_like_html() => facts.error_message = Some(PROXY_PAGE.into()),
        Err(what) => facts.error_message = Some(what),
    }
    retry(RetryReason::NotUnderstood, facts)
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
