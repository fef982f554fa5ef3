//! The JSON object of a command that could not do its work, so that a script finds one whatever the exit status is.

use jiff::Timestamp;
use serde_json::json;

use super::problem::Problem;
use super::summary::{SCHEMA_VERSION, written};
use crate::outside::{Outside, json_document};

/// A command that ended with an error.
#[derive(Debug)]
pub struct Refusal<'a> {
    /// What went wrong.
    pub problem: &'a Problem,
    /// The same in one word, such as `input_refused`.
    pub ended: &'a str,
    /// The run, if one began.
    pub run_id: Option<&'a str>,
    /// The input as it was named, if there is one.
    pub input: Option<&'a str>,
    /// When the command began.
    pub started_at: Timestamp,
    /// When it was over.
    pub finished_at: Timestamp,
    /// What was found in a refused input.
    pub findings: &'a [serde_json::Value],
    /// The exit status of the process.
    pub exit_status: u8,
}

impl Refusal<'_> {
    /// The object for `--json`. Fields that a summary has, too, mean the same here.
    #[must_use]
    pub fn json(&self) -> String {
        let reason = Outside::new(self.problem.on_one_line()).json();
        let hint = self.problem.hint.as_deref().map(|hint| Outside::new(hint).json());
        let cause = json!({
            "code": self.ended,
            "status": null,
            "http_status": null,
            "message": reason,
            "count": 1,
            "first_row": null,
            "hint": hint,
        });
        let object = json!({
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "started_at": written(self.started_at),
            "finished_at": written(self.finished_at),
            "input": self.input,
            "ended": self.ended,
            "reason": reason,
            "hint": hint,
            "causes": [cause],
            "findings": self.findings,
            "exit_status": self.exit_status,
        });
        json_document(&object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_a_refusal_says_why_and_what_to_do() {
        let problem = Problem { error: "cannot\nopen it".into(), hint: Some("try".into()) };
        let time = "2026-03-01T12:00:00Z".parse().expect("a time");
        let refusal = Refusal {
            problem: &problem,
            ended: "usage",
            run_id: None,
            findings: &[],
            input: Some("x.csv"),
            started_at: time,
            finished_at: time,
            exit_status: 2,
        };
        let object: serde_json::Value = serde_json::from_str(&refusal.json()).expect("an object");
        assert_eq!(
            (&object["reason"], &object["causes"][0]["message"]),
            (&json!("cannot open it"), &json!("cannot open it"))
        );
        assert_eq!(
            (&object["exit_status"], &object["hint"], &object["run_id"]),
            (&json!(2), &json!("try"), &json!(null))
        );
        assert_eq!((&object["started_at"], &object["input"]), (&json!("2026-03-01T12:00:00.000Z"), &json!("x.csv")));
    }
}
