//! What every JSON object says, of whatever command it is and however that ended. Written in one place, so that no command
//! lacks a field, and each field means the same everywhere.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::problem::Problem;
use crate::outside::{json_document, masked_ours};

/// The version of all JSON objects; fields may be added under it, never changed.
const SCHEMA_VERSION: u32 = 1;
/// The most causes that are listed.
const LISTED: usize = 100;

/// One call of the program.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub started_at: Timestamp,
    /// The input as a path that means the same in any directory, where the command has one.
    pub input: Option<String>,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// The exit status of the process.
    pub exit_status: u8,
    /// Why, in a word.
    pub ended: &'static str,
    /// Why, in a sentence; `None` for a command that came to its end.
    pub reason: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What went wrong, the gravest first.
    pub causes: Vec<Value>,
}

impl Ending {
    /// A command that came to its end, whatever it found.
    pub(crate) const fn finished(exit_status: u8) -> Self {
        Self { exit_status, ended: "finished", reason: None, hint: None, causes: Vec::new() }
    }

    /// A command that could not do its work. What was found in a refused input are its causes, if there is any.
    pub(crate) fn failed(exit_status: u8, ended: &'static str, problem: &Problem, findings: &[Value]) -> Self {
        let reason = masked_ours(&problem.on_one_line()).into_owned();
        let hint = problem.hint.as_deref().map(|hint| masked_ours(hint).into_owned());
        let mut causes = causes_of(findings, hint.as_deref());
        if causes.is_empty() {
            causes.push(json!({
                "code": ended,
                "status": null,
                "http_status": null,
                "message": reason,
                "count": 1,
                "first_row": null,
                "hint": hint,
            }));
        }
        Self { exit_status, ended, reason: Some(reason), hint, causes }
    }
}

impl Invocation {
    /// The object for `--json`: what the command itself has to say, and around it what every one says.
    pub(in crate::report) fn object(&self, own: Value, ending: &Ending, finished_at: Timestamp) -> String {
        let unless_it_says_otherwise = json!({"run_id": null, "input": self.input});
        let frame = json!({
            "schema_version": SCHEMA_VERSION,
            "started_at": written(self.started_at),
            "finished_at": written(finished_at),
            "ended": ending.ended,
            "reason": ending.reason,
            "hint": ending.hint,
            "causes": ending.causes.get(..LISTED).unwrap_or(&ending.causes),
            "exit_status": ending.exit_status,
        });
        json_document(&joined(joined(unless_it_says_otherwise, own), frame))
    }
}

/// Two objects as one.
pub(crate) fn joined(object: Value, more: Value) -> Value {
    let maps = [object, more].into_iter().filter_map(|value| match value {
        Value::Object(map) => Some(map),
        _ => None,
    });
    Value::Object(maps.flatten().collect())
}

/// One cause for each code among the findings, with the number of its rows and the first of them.
fn causes_of(findings: &[Value], hint: Option<&str>) -> Vec<Value> {
    let mut causes: Vec<(&Value, u64)> = Vec::new();
    for finding in findings {
        let rows = finding.get("rows").and_then(Value::as_u64).unwrap_or(1);
        match causes.iter_mut().find(|(first, _)| first.get("code") == finding.get("code")) {
            Some((_, count)) => *count += rows,
            None => causes.push((finding, rows)),
        }
    }
    let cause = |(first, count): (&Value, u64)| {
        let hint = match first.get("accept").and_then(Value::as_str) {
            Some(name) => Some(format!("fix these rows, or allow what is meant with --accept {name}")),
            None => hint.map(str::to_owned),
        };
        json!({
            "code": first.get("code"),
            "status": "invalid",
            "http_status": null,
            "message": first.get("message"),
            "count": count,
            "first_row": first.get("row"),
            "hint": hint,
        })
    };
    causes.into_iter().map(cause).collect()
}

/// A time for scripts.
pub(in crate::report) fn written(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(own: Value, ending: &Ending) -> Value {
        let time = "2026-03-01T12:00:00Z".parse().expect("a time");
        let invocation = Invocation { started_at: time, input: Some("/data/x.csv".into()) };
        serde_json::from_str(&invocation.object(own, ending, time)).expect("an object")
    }

    #[test]
    fn whoever_has_nothing_to_say_says_what_all_say() {
        insta::assert_snapshot!(object(json!({}), &Ending::finished(10)), @r#"{"causes":[],"ended":"finished","exit_status":10,"finished_at":"2026-03-01T12:00:00.000Z","hint":null,"input":"/data/x.csv","reason":null,"run_id":null,"schema_version":1,"started_at":"2026-03-01T12:00:00.000Z"}"#);
        let own = json!({"run_id": "R", "input": "/data/y.csv", "rows": 3, "ended": "its own", "exit_status": 0});
        let object = object(own, &Ending::finished(1));
        assert_eq!(
            (&object["run_id"], &object["input"], &object["rows"]),
            (&json!("R"), &json!("/data/y.csv"), &json!(3))
        );
        assert_eq!((&object["ended"], &object["exit_status"]), (&json!("finished"), &json!(1)));
    }

    #[test]
    fn a_command_that_failed_says_why_and_what_to_do() {
        let problem = Problem { error: "cannot\nopen it".into(), hint: Some("try".into()) };
        let object = object(json!({}), &Ending::failed(2, "usage", &problem, &[]));
        insta::assert_snapshot!(object["causes"], @r#"[{"code":"usage","count":1,"first_row":null,"hint":"try","http_status":null,"message":"cannot open it","status":null}]"#);
        assert_eq!((&object["reason"], &object["hint"]), (&json!("cannot open it"), &json!("try")));
    }

    #[test]
    fn what_was_found_is_a_cause_for_each_code() {
        let problem = Problem { error: "x.csv has rows in error".into(), hint: Some("fix these rows".into()) };
        let finding = |code, row, rows, accept| json!({"code": code, "row": row, "rows": rows, "accept": accept, "message": code});
        let findings = [
            finding("unknown_action", 3, 995, Value::Null),
            finding("odd_tag", 7, 1, json!("odd-tags")),
            finding("unknown_action", 9, 5, Value::Null),
        ];
        let causes = Ending::failed(3, "input_refused", &problem, &findings).causes;
        insta::assert_snapshot!(json!(causes), @r#"[{"code":"unknown_action","count":1000,"first_row":3,"hint":"fix these rows","http_status":null,"message":"unknown_action","status":"invalid"},{"code":"odd_tag","count":1,"first_row":7,"hint":"fix these rows, or allow what is meant with --accept odd-tags","http_status":null,"message":"odd_tag","status":"invalid"}]"#);
    }
}
