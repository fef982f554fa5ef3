//! What comes back from a call, before anybody judges it.

mod machine_record;
mod page;

use serde::Deserialize;

use super::Loss;
use crate::model::MachineRecord;
use crate::outside::Outside;

pub(crate) use page::{MachinePage, UnreadableList};

use machine_record::Element;
use page::{Bound, ListBounds};

/// What became of a request that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Response(Response),
    Lost(Loss),
}

impl Answer {
    /// How many bytes its body has.
    pub(crate) const fn body_length(&self) -> usize {
        match self {
            Self::Response(response) => response.body.len(),
            Self::Lost(_) => 0,
        }
    }

    /// Drops the body, once everything that matters has been read from it.
    pub(crate) fn forget_body(&mut self) {
        if let Self::Response(response) = self {
            response.body = Vec::new();
        }
    }
}

/// A complete response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header, as sent.
    pub retry_after: Option<String>,
    /// The `Date` header, as sent: what `Retry-After` dates are measured against.
    pub date: Option<String>,
    /// The host of the `Location` header of a redirect.
    pub location: Option<String>,
    /// A correlation id from the headers.
    pub request_id: Option<String>,
    /// The body, complete and within the limit.
    pub body: Vec<u8>,
}

/// The service's own words about an error: `{"error": {"code", "message", "target"}}`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct ServiceError {
    /// The code, `NotFound` for example.
    #[serde(default)]
    pub code: Outside<'static>,
    /// Free text.
    #[serde(default)]
    pub message: Outside<'static>,
    /// A correlation id.
    #[serde(default)]
    pub target: Option<Outside<'static>>,
}

#[derive(Deserialize)]
struct ErrorEnvelope {
    error: ServiceError,
}

impl Response {
    /// Whether there is nothing in it: a success without a body is an acceptance that shows nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.body.iter().all(u8::is_ascii_whitespace)
    }

    /// The machines in the answer to a bulk call: `{"value": […]}` or a bare list; an empty list when it shows no machine.
    ///
    /// # Errors
    /// [`UnreadableList`] when the body is anything else, holds too much, or lists things of which none is a machine.
    pub(crate) fn machines(&self) -> Result<Vec<MachineRecord>, UnreadableList> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let (machines, skipped) = match MachinePage::parse(&self.body, ListBounds::BULK) {
            Ok(page) => (page.machines, page.skipped),
            Err(UnreadableList::Other) => Bound::new(ListBounds::BULK).bare_list(&self.body)?,
            Err(excess) => return Err(excess),
        };
        if skipped > 0 && machines.is_empty() { Err(UnreadableList::Other) } else { Ok(machines) }
    }

    /// The body as a page of the list of machines.
    ///
    /// # Errors
    /// [`UnreadableList`] when it is none, or holds too much.
    pub(crate) fn machine_page(&self) -> Result<MachinePage, UnreadableList> {
        MachinePage::parse(&self.body, ListBounds::PAGE)
    }

    /// The body as a machine, if it is one and speaks of no error besides.
    pub(crate) fn machine_record(&self) -> Option<MachineRecord> {
        match serde_json::from_slice(&self.body) {
            Ok(Element::Machine { record, complains: false }) => Some(record),
            _ => None,
        }
    }

    /// What is too much of the machine that is the body, where that is why it is not read.
    pub(crate) fn machine_excess(&self) -> Option<UnreadableList> {
        let is_too_much = matches!(serde_json::from_slice(&self.body), Ok(Element::TooManyTags));
        is_too_much.then_some(UnreadableList::TooManyTags { limit: machine_record::MAXIMUM_TAGS })
    }

    /// The body as the service's error, if it is one.
    pub(crate) fn service_error(&self) -> Option<ServiceError> {
        serde_json::from_slice::<ErrorEnvelope>(&self.body).ok().map(|envelope| envelope.error)
    }

    /// Whether somebody other than the service seems to have answered: a proxy's page of HTML.
    pub(crate) fn looks_like_html(&self) -> bool {
        self.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &str) -> Response {
        Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() }
    }

    #[test]
    fn a_machine_is_read_leniently_and_nothing_else_is_one() {
        let machine =
            response(r#"{"id": "x", "machineTags": ["a"], "deviceValue": null, "error": null, "further": [1]}"#);
        let tags = Some(vec!["a".into()]);
        assert_eq!(
            machine.machine_record(),
            Some(MachineRecord { id: "x".into(), machine_tags: tags, ..MachineRecord::default() })
        );
        let odd_tags = response(r#"{"id": "x", "machineTags": [7]}"#).machine_record().expect("a machine");
        assert_eq!(odd_tags.machine_tags, None, "what cannot be read is not shown");
        for other in ["", "{}", "[]", "null", "<html>", r#"{"id": 7}"#, r#"{"id": "x""#, r#"{"id": "x", "error": "e"}"#]
        {
            assert_eq!(response(other).machine_record(), None, "{other}");
        }
    }

    #[test]
    fn the_answer_to_a_bulk_call_is_a_list_of_machines_and_nothing_else() {
        let ids = |body: &str| {
            let machines = response(body).machines().ok()?;
            Some(machines.into_iter().map(|machine| String::from(machine.id)).collect::<Vec<_>>())
        };
        let listed = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            ids(r#"{"@odata.context": "x", "value": [{"id": "a"}, {"id": "b"}, {"name": "c"}]}"#),
            listed(&["a", "b"])
        );
        assert_eq!(ids(r#"[{"id": "a"}]"#), listed(&["a"]));
        for empty in ["", " \r\n", "[]", r#"{"value": []}"#, r#"{"value": [], "error": null}"#] {
            assert_eq!(ids(empty), listed(&[]), "{empty}");
        }
        for other in [
            "null",
            "{}",
            r#"{"id": "a"}"#,
            r#"{"message": "maintenance"}"#,
            r#"{"status": 503}"#,
            r#"{"value": null}"#,
            r#"{"value": {"id": "a"}}"#,
            r#"{"value": [{"id": 7}]}"#,
            "[1, 2]",
            r#"[[{"id": "a"}]]"#,
            "7",
            "<html>",
            r#"{"value": 7}"#,
            r#"{"value": [{"id": "a"}"#,
            r#"{"error": {}}"#,
            r#"{"value": [{"id": "a"}], "error": {"code": "InternalServerError"}}"#,
        ] {
            assert_eq!(ids(other), None, "{other}");
        }
    }

    #[test]
    fn an_error_is_read_leniently() {
        let error = response(r#"{"error": {"code": "NotFound", "message": "m", "target": "t", "details": []}}"#);
        assert_eq!(
            error.service_error(),
            Some(ServiceError {
                code: Outside::new("NotFound"),
                message: Outside::new("m"),
                target: Some(Outside::new("t"))
            })
        );
        assert_eq!(response(r#"{"error": {}}"#).service_error(), Some(ServiceError::default()));
        assert_eq!(response(r#"{"message": "m"}"#).service_error(), None);
    }

    #[test]
    fn a_page_of_html_is_told_from_json() {
        assert!(response(" \r\n<!DOCTYPE html>").looks_like_html());
        assert!(!response(r#"{"a": "<"}"#).looks_like_html());
        assert!(!response("").looks_like_html());
    }
}
