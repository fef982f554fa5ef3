//! Problems as people and scripts are told of them: many of one kind are one finding, with the first places and a count.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::excerpt::Excerpt;
use super::problem::Problem;
use crate::model::RowNumber;
use crate::words::listed;

/// Problems of one kind up to this number are told one by one; of more, this many places.
const PLACES: usize = 5;

/// One problem, or many of one kind in one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding<'p> {
    /// The first of them.
    pub problem: &'p Problem,
    /// Where the first of them are.
    pub places: Vec<Place>,
    /// How many rows there are in all.
    pub rows: u64,
    /// Whether all of them are exactly alike.
    pub alike: bool,
    last: Place,
}

/// A row and its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    pub row: RowNumber,
    /// The physical line on which it begins, from 1.
    pub line: u32,
}

/// Groups problems, which are in the order of rows; a group stands where its first problem does.
pub(in crate::input) fn findings(problems: &[Problem]) -> Vec<Finding<'_>> {
    let key = |problem: &Problem| (problem.kind.code(), problem.column.as_deref().map(str::as_ptr));
    let mut counts: HashMap<_, u64> = HashMap::new();
    for problem in problems {
        *counts.entry(key(problem)).or_default() += 1;
    }
    let mut groups: HashMap<_, usize> = HashMap::new();
    let mut findings: Vec<Finding<'_>> = Vec::new();
    for problem in problems {
        let place = Place { row: problem.row, line: problem.line };
        let is_grouped = counts.get(&key(problem)).is_some_and(|count| *count > PLACES as u64);
        let group = groups.get(&key(problem)).filter(|_| is_grouped);
        let Some(finding) = group.and_then(|group| findings.get_mut(*group)) else {
            groups.insert(key(problem), findings.len());
            findings.push(Finding { problem, places: vec![place], rows: 1, alike: true, last: place });
            continue;
        };
        finding.alike &= finding.problem.kind == problem.kind;
        // A cell with several faults of one kind is one place.
        if std::mem::replace(&mut finding.last, place) != place {
            finding.rows += 1;
            if finding.places.len() < PLACES {
                finding.places.push(place);
            }
        }
    }
    findings
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows <= 1 {
            return self.problem.fmt(formatter);
        }
        let more = self.rows.saturating_sub(self.places.len() as u64);
        let rows: Vec<String> = self.places.iter().map(|place| place.row.to_string()).collect();
        let lines: Vec<String> = self.places.iter().map(|place| place.line.to_string()).collect();
        let (ellipsis, example) = (if more > 0 { ", …" } else { "" }, if self.alike { "" } else { ", for example" });
        write!(formatter, "rows {} (lines {}{ellipsis})", listed(&rows, more), lines.join(", "))?;
        if let Some(column) = &self.problem.column {
            write!(formatter, ", column \"{}\"", Excerpt::new(column))?;
        }
        write!(formatter, "{example}: {}", self.problem.kind)
    }
}

impl Serialize for Finding<'_> {
    fn serialize<To: Serializer>(&self, serializer: To) -> Result<To::Ok, To::Error> {
        let Self { problem, places, rows, .. } = self;
        let mut object = serializer.serialize_struct("Finding", 8)?;
        object.serialize_field("code", problem.kind.code())?;
        object.serialize_field("row", &problem.row)?;
        object.serialize_field("line", &problem.line)?;
        object.serialize_field("column", &problem.column.as_deref())?;
        object.serialize_field("message", &problem.kind.to_string())?;
        object.serialize_field("accept", &problem.kind.doubt().map(super::accept::Doubt::name))?;
        object.serialize_field("rows", rows)?;
        object.serialize_field("places", places)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::problem::ProblemKind;
    use super::*;

    fn unknown(row: u32, column: &Arc<str>, found: &str) -> Problem {
        let kind = ProblemKind::UnknownAction { found: Excerpt::new(found) };
        Problem { row: RowNumber(row), line: row + 1, column: Some(Arc::clone(column)), kind }
    }

    #[test]
    fn many_of_one_kind_are_one_finding_with_the_first_places_and_a_count() {
        let column: Arc<str> = "action".into();
        let mut problems: Vec<Problem> = (1..=1000).map(|row| unknown(row, &column, "Ad")).collect();
        let missing = Problem { row: RowNumber(3), line: 4, column: None, kind: ProblemKind::MissingMachine };
        problems.insert(2, missing);
        let told: Vec<String> = findings(&problems).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        rows 1, 2, 3, 4, 5 and 995 more (lines 2, 3, 4, 5, 6, …), column "action": unknown action "Ad"; use Add, Remove or SetDeviceValue
        row 3, line 4: the machine is missing; fill in its id or DNS name
        "#);
        problems[7] = unknown(7, &column, "Bd");
        assert!(findings(&problems)[0].to_string().contains("column \"action\", for example: unknown action \"Ad\""));
        let json = serde_json::to_value(&findings(&problems)[0]).expect("JSON");
        assert_eq!(
            (&json["rows"], &json["places"][4]["row"], &json["code"]),
            (&1000.into(), &5.into(), &"unknown_action".into())
        );
        assert_eq!(json["accept"], serde_json::Value::Null);
    }

    #[test]
    fn a_few_of_one_kind_are_told_one_by_one() {
        let column: Arc<str> = "action".into();
        let problems: Vec<Problem> = (1..=5).map(|row| unknown(row, &column, "Ad")).collect();
        assert_eq!(findings(&problems).len(), 5);
    }
}
