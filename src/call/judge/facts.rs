//! What an answer says of itself, and what it says of an error.

use crate::api::Response;
use crate::model::AnswerFacts;
use crate::model::row_code::of_service;
use crate::outside::Outside;

/// What is said of an answer that somebody else gave.
pub(super) const PROXY_PAGE: &str = "the answer is a page of HTML, as a proxy sends it, and not the service's";
/// The service's code for a machine, or a change of it, that is out of bounds while the app is not.
const DISALLOWED_CODE: &str = "DisallowedOperation";
/// The most characters kept of a service's message.
const MESSAGE_MAXIMUM_CHARACTERS: usize = 500;

/// What an answer says of itself outside its body: all there is of one that says nothing of an error.
pub(super) fn head_facts(response: &Response) -> AnswerFacts {
    AnswerFacts {
        http_status: Some(response.status),
        request_id: response.request_id.as_deref().and_then(text),
        ..AnswerFacts::default()
    }
}

/// What an answer says of itself; where it gives no reason, ours.
pub(super) fn facts(response: &Response) -> AnswerFacts {
    let error = response.service_error().unwrap_or_default();
    let ours = || {
        Some(match response.status {
            200..=299 => return None,
            300..=399 => format!(
                "the answer leads elsewhere{} and was not followed",
                response.location.as_ref().map(|host| format!(", to {host},")).unwrap_or_default()
            ),
            _ if response.looks_like_html() => PROXY_PAGE.to_owned(),
            status => format!("the answer has the status {status} and gives no reason"),
        })
    };
    AnswerFacts {
        http_status: Some(response.status),
        error_code: text(error.code.exact()).map(of_service),
        error_message: text(error.message.exact()).or_else(|| ours().as_deref().map(cut)),
        request_id: error.target.as_ref().map(Outside::exact).or(response.request_id.as_deref()).and_then(text),
    }
}

/// A text of the service, where there is one.
fn text(text: &str) -> Option<Box<str>> {
    if text.is_empty() { None } else { Some(cut(text)) }
}

/// A text of the service as people are to read it.
pub(super) fn cut(text: &str) -> Box<str> {
    Outside::new(text).kept(MESSAGE_MAXIMUM_CHARACTERS)
}

/// Whether a 403 is about a machine and not about the app.
pub(super) fn is_disallowed(response: &Response) -> bool {
    response.service_error().is_some_and(|error| is_disallowed_code(error.code.exact()))
}

/// Whether this code of a 403 is about a machine, or a change of it, and not about the app.
pub(crate) fn is_disallowed_code(code: &str) -> bool {
    code.eq_ignore_ascii_case(DISALLOWED_CODE)
}

/// Whether a status in the four hundreds speaks of a state that passes, and not of the request. A change that is under way may
/// stand against a second one (409); 460 and 499 are a gateway's words for a caller that went away before the answer.
pub(crate) const fn asks_for_patience(status: u16) -> bool {
    matches!(status, 408 | 409 | 421 | 423 | 425 | 460 | 499)
}

/// Whether a status says that the service, or what stands before it, is not working.
pub(crate) const fn shows_outage(status: u16) -> bool {
    status == 408 || status >= 500
}
