//! The rooms of the crate and who may name whom. Reads the source as text: what a room names, it names as `crate::room` or,
//! for a library, as `library::`.
//!
//! Only the program itself is looked at: comments, tests and what a fuzzer calls may name what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::rehearsal::repository;

/// The room that all may name, since all have texts from outside; but for the sandbox, which shares no code with what is
/// checked against it.
const EVERYBODYS: &str = "outside";

/// Every room: what it may name of the others, and why no more. Whoever adds a room adds a line.
const ROOMS: [(&str, &[&str], &str); 25] = [
    ("model", &[], "plain types that everybody shares depend on nobody"),
    ("clock", &[], "time and randomness are values; asking the system for them is all that it does"),
    ("words", &[], "how numbers and times are written depends on nothing that is written about"),
    ("help", &[], "the manual is text, laid out for whoever shows it"),
    (EVERYBODYS, &[], "how a text from outside is shown depends on nobody who shows it"),
    ("quota", &["model", "clock", "words"], "the window rule is pure and knows neither calls nor rows"),
    ("filter", &["words"], "pure: what a condition says of cells must not hang on whose cells they are"),
    ("input", &["model", "words", "filter"], "bytes become rows whatever becomes of the rows"),
    (
        "plan",
        &["model", "input", "inventory", "quota", "clock", "words"],
        "pure: what it decides must not hang on a service or a disk",
    ),
    ("api", &["model", "clock"], "the wire neither retries nor waits, and knows no rows, runs or quotas"),
    (
        "store",
        &["model", "clock", "quota", "words"],
        "the ledger of attempts knows nothing of HTTP and nothing of reports",
    ),
    ("call", &["model", "clock", "quota", "api", "store"], "one call knows operations by number, and no rows"),
    ("inventory", &["model"], "pure: holds machines as they were listed, and decides nothing"),
    ("listing", &["model", "clock", "api", "store", "call", "inventory"], "reads the machines for whatever takes them"),
    (
        "rules",
        &["model", "filter", "input", "inventory", "plan", "quota", "words"],
        "pure: what is declared must not hang on a service or a disk",
    ),
    (
        "dispatch",
        &["model", "clock", "quota", "plan", "listing", "api", "store", "call"],
        "the engine speaks events: it never names who shows them",
    ),
    (
        "report",
        &[
            "model",
            "clock",
            "quota",
            "input",
            "inventory",
            "plan",
            "rules",
            "api",
            "store",
            "call",
            "dispatch",
            "words",
            "help",
        ],
        "shows what the engine tells and the store holds",
    ),
    ("sandbox", &[], "what the program is checked against shares no code with it"),
    (
        "cli",
        &["model", "quota", "input", "plan", "api", "dispatch", "report", "sandbox", "config", "help"],
        "what was typed, in the words of the rooms",
    ),
    ("config", &["cli", "quota", "api", "store"], "what it means once the environment is read"),
    (
        "exit",
        &["model", "filter", "api", "store", "call", "inventory", "dispatch", "report"],
        "how a command ends, whatever it did",
    ),
    (
        "run",
        &[
            "model",
            "clock",
            "quota",
            "filter",
            "input",
            "plan",
            "api",
            "store",
            "call",
            "inventory",
            "dispatch",
            "report",
            "rules",
            "exit",
            "words",
        ],
        "a run goes over any transport, and knows no command line, no environment and no sandbox",
    ),
    (
        "commands",
        &[
            "model", "clock", "quota", "input", "plan", "rules", "api", "store", "dispatch", "run", "report",
            "sandbox", "cli", "config", "exit", "words", "help",
        ],
        "commands turn what was typed into values; the work is done in the rooms",
    ),
    ("lib", &[], "the map of the crate does no work"),
    ("main", &["cli", "commands"], "parses, runs, ends the process"),
];

/// What only some rooms may name, and why.
const RESERVED: [(&str, &[&str], &str); 32] = [
    ("reqwest::", &["api"], "there is one place where HTTP requests leave"),
    ("hyper_util::", &["api"], "which proxy is on the way is known where requests leave"),
    (
        "rustls::",
        &["api", "store"],
        "whom to trust is a matter of the wire, also of the one to a server that holds the state",
    ),
    ("getrandom::", &["api"], "what nobody may guess is a matter of signing in"),
    ("rusqlite::", &["store"], "SQL lives in one place"),
    ("axum::", &["sandbox"], "nothing else serves anything"),
    ("governor::", &["quota"], "the pacer has a clock of its own, which only its wrapper keeps in check"),
    ("indicatif::", &["report"], "the engine knows no bar"),
    ("maud::", &["report"], "pages are made in one place, which escapes what stands on them"),
    ("console::", &["report"], "nobody but the report draws on a terminal"),
    ("tracing_subscriber::", &["report"], "where logs go is decided once"),
    ("encoding_rs::", &["input"], "bytes are decoded once"),
    ("calamine::", &["input"], "workbooks become records once"),
    ("quick_xml::", &["input"], "what calamine does not tell of workbooks"),
    ("zip::", &["input"], "nothing else is unpacked"),
    ("winnow::", &["filter"], "there is one language to parse"),
    ("toml::", &["config", "rules"], "files of settings and of rules are understood in one place each"),
    ("regex::", &["filter"], "what users write as a pattern is bounded in one place"),
    ("csv::", &["input", "report"], "read by the one, written by the other"),
    ("clap::Parser", &["cli", "main"], "what was typed is understood once"),
    ("process::exit", &[], "a process that ends in the middle loses rows; main returns its status"),
    ("ExitCode", &["main"], "nobody but main ends the process"),
    ("println!", &[], "data and messages go through the screen, which tears no bar and survives a closed pipe"),
    ("print!", &[], "see println!; eprint! and eprintln! end in the same letters"),
    ("dbg!", &[], "see println!"),
    ("stdout()", &["report"], "nobody but the report prints"),
    ("stderr()", &["report"], "nobody but the report prints"),
    ("stdin()", &["report", "commands"], "asked by the one, read as a file by the other"),
    (
        "time::sleep",
        &["clock", "call", "sandbox", "api"],
        "waiting is a matter of one call; the wire waits for people only",
    ),
    (".display()", &["sandbox"], "a path may hold anything; outside::shown takes the harm out of it"),
    (".print()", &["commands"], "see println!; the help alone is printed by the library that makes it"),
    ("std::env::", &["config", "commands", "report", "api", "store", "cli"], "pure rooms know no environment"),
];

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
