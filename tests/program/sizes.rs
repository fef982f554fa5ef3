//! A file holds one idea, and a function fits on a screen.
//!
//! Whoever reaches a limit looks for the second idea in it, which has a name of its own. Reads the source as text, as
//! `rustfmt` leaves it.

use std::path::Path;

use crate::layout::files;
use crate::rehearsal::repository;

/// The longest file, its tests included.
const FILE_MAXIMUM_LINES: usize = 450;
/// The longest function, from its name to its last bracket.
const FUNCTION_MAXIMUM_LINES: usize = 70;

/// The files that are longer, with the lines that they have. Whoever shortens one lowers its figure or takes it out; nobody
/// raises one or adds a file.
const LONG_FILES: [(&str, usize); 0] = [];
/// The same of functions; those that are nothing but a table stay.
const LONG_FUNCTIONS: [(&str, usize); 5] = [
    ("a_file_that_cannot_be_used_is_refused_before_any_call", 71),
    ("every_fault_is_told_with_its_line", 94),
    ("every_command_has_the_same_frame_at_every_status", 78),
    ("scripts_get_every_number", 85),
    ("the_same_row_comes_out_of_every_dialect", 94),
];

/// The functions of a file with their lengths in lines.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = name_of_function(line) else { continue };
        let depth = line.len() - line.trim_start().len();
        let end = |line: &&str| line.get(depth..).is_some_and(|rest| rest.starts_with('}'));
        let is_whole = line.ends_with(['}', ';']);
        let further = lines.get(start + 1..).unwrap_or_default().iter().position(end);
        found.push((name, if is_whole { 1 } else { further.map_or(1, |further| further + 2) }));
    }
    found
}

/// The name of the function whose first line this is.
fn name_of_function(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_first = before.split_whitespace().all(|word| {
        matches!(word, "const" | "async" | "unsafe") || word == "pub" || word.starts_with("pub(") || word.ends_with(')')
    });
    let end = after.find(|character: char| !character.is_alphanumeric() && character != '_')?;
    (is_first && end > 0).then_some(&after[..end])
}

/// What is longer than it may be: by the exceptions where one is among them, by the limit otherwise.
fn is_too_long(name: &str, lines: usize, exceptions: &[(&str, usize)], limit: usize) -> bool {
    let allowed = exceptions.iter().find(|(known, _)| *known == name).map_or(limit, |(_, lines)| *lines);
    lines > allowed
}

#[test]
fn no_file_and_no_function_is_longer_than_one_idea() {
    let root = repository("");
    let mut offences = Vec::new();
    let mut seen = 0;
    for path in ["src", "tests"].into_iter().flat_map(|folder| files(repository(folder))) {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let name = path.strip_prefix(&root).unwrap_or(Path::new("")).to_string_lossy().replace('\\', "/");
        let lines = text.lines().count();
        if is_too_long(&name, lines, &LONG_FILES, FILE_MAXIMUM_LINES) {
            offences.push(format!("{name} has {lines} lines"));
        }
        for (function, lines) in functions(&text) {
            seen += 1;
            if is_too_long(function, lines, &LONG_FUNCTIONS, FUNCTION_MAXIMUM_LINES) {
                offences.push(format!("{function} in {name} has {lines} lines"));
            }
        }
    }
    assert!(seen > 3000, "only {seen} functions were found");
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn functions_are_measured_as_they_are_written() {
    let text = "impl A {\n    pub(super) async fn whole(\n        &self,\n    ) -> B {\n        c()\n    }\n}\nfn short() {}\n// a fn of\n";
    assert_eq!(functions(text), [("whole", 5), ("short", 1)]);
}
