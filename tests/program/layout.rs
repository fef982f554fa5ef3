//! The rooms of the crate and who may name whom. Reads the source as text: what a room names, it names as `crate::room` or,
//! for a library, as `library::`.
//!
//! Only the program itself is looked at: comments, tests and what a fuzzer calls may name what they like.

mod rooms;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use self::rooms::{EVERYBODYS, RESERVED, ROOMS};
use crate::rehearsal::repository;

/// Rooms that touch neither disk nor network, and what touching looks like.
const PURE: [&str; 5] = ["model", "filter", "plan", "rules", "quota"];
const EFFECTS: [&str; 8] =
    ["std::fs", "std::net", "std::process", "tokio::fs", "tokio::net", "tokio::process", "std::io", "Timestamp::now"];

/// What a run must be given from outside, so that a simulation can give it.
const FROM_OUTSIDE: [&str; 11] = [
    "Timestamp::now",
    "Zoned::now",
    "Instant::now",
    "SystemTime::now",
    "SystemClock",
    "fastrand::u64",
    "fastrand::alphanumeric",
    "Rng::new",
    "std::env",
    "std::process",
    "is_terminal",
];

/// A file of the program.
pub(crate) struct Source {
    path: PathBuf,
    room: String,
    /// The names of its modules from the crate's root.
    pub(crate) names: Vec<String>,
    /// How many steps upwards from its deepest module lead to the crate's root.
    depth: usize,
    /// The text without comments and tests.
    pub(crate) text: String,
}

/// Every file of Rust below a folder.
pub(crate) fn files(root: PathBuf) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut directories = vec![root];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("the source") {
            let path = entry.expect("an entry").path();
            // Editors leave files beside those that they edit.
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            if path.is_dir() {
                directories.push(path);
            } else if is_source {
                paths.push(path);
            }
        }
    }
    paths
}

/// Every file of the program, tests apart.
pub(crate) fn sources() -> Vec<Source> {
    let root = repository("src");
    let texts: BTreeMap<PathBuf, String> = files(root.clone())
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).expect("UTF-8")))
        .collect();
    let of_tests: BTreeSet<PathBuf> = texts.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_test = |path: &Path| path.ancestors().any(|above| of_tests.contains(&above.with_extension("")));
    let program = texts.iter().filter(|(path, _)| !is_test(path));
    program
        .map(|(path, text)| {
            let inner = path.strip_prefix(&root).expect("below the source").with_extension("");
            let names: Vec<String> = inner.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            let is_directory = names.last().is_some_and(|name| name == "mod");
            let text = without_comments(without_inline_tests(text));
            let has_inner_module = text.lines().any(|line| line.starts_with("mod ") && line.ends_with('{'));
            let depth = names.len() - usize::from(is_directory) + usize::from(has_inner_module);
            Source { path: path.clone(), room: names[0].clone(), names, depth, text }
        })
        .collect()
}

/// The modules that a file declares for tests or fuzzers only, as paths without an extension.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let directory = match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("mod" | "lib" | "main") => path.with_file_name(""),
        _ => path.with_extension(""),
    };
    let text = text.replace("#[cfg(any(test, fuzzing))]", "#[cfg(test)]");
    let declared = text.split("#[cfg(test)]").skip(1).filter_map(|after| {
        let declaration = after.trim_start().lines().next()?;
        let name = declaration.strip_suffix(';')?.rsplit(' ').next()?;
        declaration.contains("mod ").then(|| directory.join(name))
    });
    declared.collect()
}

/// Tests within a file stand at its end.
fn without_inline_tests(text: &str) -> &str {
    let inline = ["#[cfg(test)]\nmod tests {", "#[cfg(all(test, unix))]\nmod tests {"];
    inline.into_iter().find_map(|beginning| text.split_once(beginning)).map_or(text, |(program, _tests)| program)
}

fn without_comments(text: &str) -> String {
    let code = |line: &str| {
        if line.trim_start().starts_with("//") {
            String::new()
        } else {
            line.split(" // ").next().unwrap_or_default().to_owned()
        }
    };
    text.lines().map(|line| code(line) + "\n").collect()
}

/// The names that stand directly behind a prefix such as `crate::`, those of a braced list included.
fn named_behind<'text>(prefix: &str, text: &'text str) -> Vec<&'text str> {
    let mut names = Vec::new();
    for after in text.split(prefix).skip(1) {
        if let Some(list) = after.strip_prefix('{') {
            let mut nesting = 0;
            let mut expects_name = true;
            for (position, character) in list.char_indices() {
                match character {
                    '{' => nesting += 1,
                    '}' if nesting == 0 => break,
                    '}' => nesting -= 1,
                    ',' if nesting == 0 => expects_name = true,
                    _ if expects_name && !character.is_whitespace() => {
                        names.push(first_word(&list[position..]));
                        expects_name = false;
                    }
                    _ => {}
                }
            }
        } else {
            names.push(first_word(after));
        }
    }
    names
}

fn first_word(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether a text holds a name that is not merely the end of a longer one.
fn names(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(position, _)| {
        let before = text[..position].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

#[test]
fn every_room_has_a_line_in_the_table_and_every_line_a_room() {
    let found: BTreeSet<String> = sources().into_iter().map(|source| source.room).collect();
    let listed: BTreeSet<String> = ROOMS.iter().map(|(room, ..)| (*room).to_owned()).collect();
    assert_eq!(found, listed);
}

/// The rooms of the diagram in the map, in its order.
fn drawn() -> Vec<String> {
    let map = std::fs::read_to_string(repository("src/lib.rs")).expect("the map");
    let diagram = map.split("//! ```text\n").nth(1).and_then(|rest| rest.split("//! ```").next()).expect("a diagram");
    let lines = diagram.lines().map(|line| line.trim_start_matches("//! "));
    let names = lines.map(|line| line.split("  ").next().unwrap_or_default());
    names
        .flat_map(|names| names.split([',', ' ', '─', '>']))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_room_knows_only_those_that_the_diagram_draws_above_it_or_to_its_left() {
    let drawn = drawn();
    let place = |room: &str| drawn.iter().position(|name| name == room);
    for (room, may_name, _) in ROOMS.iter().filter(|(room, ..)| !["lib", "main"].contains(room)) {
        let own = place(room).unwrap_or_else(|| panic!("{room} is not drawn"));
        let below: Vec<_> = may_name.iter().filter(|other| place(other).is_none_or(|other| other >= own)).collect();
        assert!(below.is_empty(), "{room} may name {below:?}, which stand behind it");
    }
}

#[test]
fn no_room_names_another_that_it_must_not_know() {
    let rooms: Vec<&str> = ROOMS.iter().map(|(room, ..)| *room).collect();
    let mut offences = Vec::new();
    for source in sources() {
        let Some((_, may_name, reason)) = ROOMS.iter().find(|(room, ..)| *room == source.room) else { continue };
        let prefixes = ["crate::", "tagfleet::"];
        for name in prefixes.iter().flat_map(|prefix| named_behind(prefix, &source.text)) {
            let is_everybodys = name == EVERYBODYS && source.room != "sandbox";
            if rooms.contains(&name) && name != source.room && !may_name.contains(&name) && !is_everybodys {
                offences.push(format!("{}: {} names {name}, but {reason}", source.path.display(), source.room));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn no_room_is_reached_by_a_way_around_the_crates_root() {
    for source in sources() {
        let way_out = "super::".repeat(source.depth);
        let leaves = source.room != "lib" && source.room != "main" && source.text.contains(&way_out);
        assert!(!leaves, "{} names others by {way_out}", source.path.display());
    }
}

#[test]
fn what_is_reserved_for_some_rooms_is_named_by_no_other() {
    let mut offences = Vec::new();
    for source in sources() {
        // To ask whether somebody watches is not to print.
        let text = source.text.replace("stderr().is_terminal()", "").replace("stdin().is_terminal()", "");
        for (name, rooms, reason) in RESERVED {
            // A macro may be the end of a longer one.
            let is_named = if name.ends_with('!') { text.contains(name) } else { names(&text, name) };
            if is_named && !rooms.contains(&source.room.as_str()) {
                offences.push(format!("{} names {name}, but {reason}", source.path.display()));
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn one_file_writes_what_every_object_says() {
    let frames = sources().into_iter().filter(|source| source.text.contains("\"schema_version\""));
    let paths: Vec<PathBuf> = frames.map(|source| source.path).collect();
    assert_eq!(paths, [repository("src/report/output/frame.rs")]);
}

#[test]
fn there_is_one_way_out_to_a_terminal_or_a_log_and_no_error_shows_a_path_as_it_is() {
    // What hands bytes to a stream or a file of the log, and the files that do.
    let sinks = [
        (
            "stdout()",
            &[
                "report/output/standard_output.rs",
                "report/output/streams.rs",
                "report/output/screen.rs",
                "report/output/screen/data.rs",
            ][..],
        ),
        (
            "stderr()",
            &[
                "report/output/standard_output.rs",
                "report/output/streams.rs",
                "report/output/screen.rs",
                "report/output/terminal.rs",
            ],
        ),
        ("Outlet::new", &["report/output/streams.rs", "report/output/screen.rs"]),
        (".offer(", &["report/output/streams.rs", "report/output/screen.rs", "report/output/screen/log_line.rs"]),
        (".write_error(", &["report/output/streams.rs", "report/output/screen.rs"]),
        (".write_data(", &["report/output/streams.rs", "report/output/screen/data.rs"]),
        (".print()", &["commands/command_line.rs"]),
        ("/dev/tty", &[]),
        ("/dev/std", &[]),
    ];
    for source in sources() {
        let path =
            source.path.strip_prefix(repository("src")).expect("below the source").to_string_lossy().into_owned();
        for (sink, files) in sinks {
            let text = source.text.replace("stderr().is_terminal()", "").replace("use_stderr()", "");
            assert!(!text.contains(sink) || files.contains(&path.as_str()), "{path} writes by {sink}");
        }
        let shows_path = source.text.lines().any(|line| line.contains("#[error(") && line.contains("{path}"));
        assert!(!shows_path || source.room == "sandbox", "an error in {path} shows a path: say shown(path)");
    }
}

#[test]
fn pure_rooms_have_no_effects() {
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        for effect in EFFECTS {
            assert!(!names(&source.text, effect), "{} names {effect}", source.path.display());
        }
    }
}

#[test]
fn a_run_is_given_whatever_comes_from_outside() {
    for source in sources().iter().filter(|source| source.room == "run") {
        for from_outside in FROM_OUTSIDE {
            assert!(!names(&source.text, from_outside), "{} names {from_outside}", source.path.display());
        }
    }
}

#[test]
fn main_is_short() {
    let main = std::fs::read_to_string(repository("src/main.rs")).expect("the source");
    assert!(main.lines().count() <= 40, "{} lines", main.lines().count());
}

#[test]
fn names_are_read_as_the_compiler_reads_them() {
    let text = "use crate::{api::{self, Url}, model, store as kept};\nlet x = crate::clock::now(); crate::Error";
    assert_eq!(named_behind("crate::", text), ["api", "model", "store", "clock", "Error"]);
    assert_eq!(without_comments("a // crate::x\n  // crate::y\nb(\"http://c\")"), "a\n\nb(\"http://c\")\n");
    assert!(names("use csv::Reader", "csv::") && !names("use my_csv::Reader", "csv::"));
}
