//! What stands after the options of `--help`: examples, and how a command can end.

use std::fmt::Write as _;

/// Each exit status, with what it means in a line.
pub(crate) const EXIT_STATUSES: [(u8, &str); 10] = [
    (0, "done, or nothing to do"),
    (1, "finished, but rows are failed, unknown, invalid or withheld"),
    (2, "usage: options or environment"),
    (3, "input or plan refused, or cancelled; nothing was changed"),
    (4, "refused by the service: sign-in or permission"),
    (5, "stopped early, resumable: interrupt, deadline, outage, too many errors"),
    (6, "another run is in the way"),
    (7, "local storage failed: disk full, unwritable results"),
    (10, "verify, and --detailed-exitcode: differences"),
    (70, "a bug: the outcomes do not add up to the rows"),
];

/// Commands, how each can end, and examples: what one is for, and what is typed.
type Entry = (&'static str, &'static [u8], &'static [(&'static str, &'static str)]);

const COMMANDS: [Entry; 21] = [
    (
        "apply",
        &[0, 1, 2, 3, 4, 5, 6, 7, 70],
        &[
            ("Rehearse a file without a tenant", "tagfleet apply retag.csv --sandbox"),
            ("Send the first five changes, and look at them in the portal", "tagfleet apply retag.csv --limit 5"),
            ("Run at night, without a terminal", "tagfleet apply retag.csv --yes --json -q --deadline 06:00"),
        ],
    ),
    (
        "plan",
        &[0, 1, 2, 3, 4, 5, 7, 10],
        &[
            ("See what would change, and how long it takes", "tagfleet plan retag.csv"),
            ("Exit with status 10 if something would", "tagfleet plan retag.csv --detailed-exitcode -q"),
        ],
    ),
    (
        "resume",
        &[0, 1, 2, 3, 4, 5, 6, 7, 70],
        &[
            ("Resume the only unfinished run", "tagfleet resume"),
            ("Resume one of several, until the morning", "tagfleet resume 20261126-220000-k3x9q2 --deadline 06:00"),
        ],
    ),
    (
        "runs",
        &[0, 2, 7],
        &[
            ("List the runs, newest first", "tagfleet runs"),
            ("Show one, and what to type next", "tagfleet runs 20261126-220000-k3x9q2"),
        ],
    ),
    (
        "results",
        &[0, 2, 7],
        &[
            ("Write the results of a run again", "tagfleet results 20261126-220000-k3x9q2"),
            ("Print them", "tagfleet results 20261126-220000-k3x9q2 -o -"),
        ],
    ),
    (
        "report",
        &[0, 2, 7],
        &[
            ("Make the page", "tagfleet report 20261126-220000-k3x9q2"),
            ("Get its numbers", "tagfleet report 20261126-220000-k3x9q2 --json"),
        ],
    ),
    (
        "undo",
        &[0, 1, 2, 3, 4, 5, 6, 7, 70],
        &[
            ("Take a run back", "tagfleet undo 20261126-220000-k3x9q2"),
            (
                "Take it back unless that is more than 100 changes",
                "tagfleet undo 20261126-220000-k3x9q2 --max-changes 100 --yes",
            ),
        ],
    ),
    (
        "verify",
        &[0, 1, 2, 3, 4, 5, 7, 10],
        &[
            ("See which rows the tenant holds", "tagfleet verify retag.csv"),
            ("Write each row and what was found", "tagfleet verify retag.csv -o found.csv"),
            ("Tell Prometheus how many rows differ", "tagfleet verify retag.csv -q --metrics-file drift.prom"),
        ],
    ),
    (
        "inventory",
        &[0, 2, 4, 5, 7],
        &[
            ("Export the tenant's machines", "tagfleet inventory -o machines.csv"),
            ("Print them as CSV", "tagfleet inventory | head"),
        ],
    ),
    (
        "tags",
        &[0, 2, 4, 5, 7],
        &[
            ("List the tags of the tenant", "tagfleet tags"),
            ("See what renaming one would do", "tagfleet tags rename Marketting Marketing --plan-only"),
        ],
    ),
    (
        "state",
        &[0, 2, 7],
        &[
            ("Show where the state is, and which processes use it", "tagfleet state"),
            (
                "Copy it to a database that hosts share",
                "tagfleet state move --to postgresql://tagfleet@db.example/tagfleet",
            ),
        ],
    ),
    ("state init", &[0, 2, 7], &[]),
    ("state move", &[0, 2, 6, 7], &[]),
    (
        "rules",
        &[0, 2, 3, 4, 5, 7],
        &[
            (
                "Write a first file from the tags that the tenant has",
                "tagfleet rules --dump --prefix SITE- > fleet.toml",
            ),
            ("Let another file own what this one owned", "tagfleet rules --release fleet-eu"),
        ],
    ),
    (
        "tags rename",
        &[0, 1, 2, 3, 4, 5, 6, 7, 10, 70],
        &[
            ("See what would change", "tagfleet tags rename Marketting Marketing --plan-only"),
            ("Rename it unless that is more than 100 changes", "tagfleet tags rename Ring1 Ring-1 --max-changes 100"),
        ],
    ),
    (
        "tags remove",
        &[0, 1, 2, 3, 4, 5, 6, 7, 10, 70],
        &[
            ("Take a tag off", "tagfleet tags remove Pilot-2025"),
            (
                "Exit with status 10 if a machine has it",
                "tagfleet tags remove Pilot-2025 --plan-only --detailed-exitcode",
            ),
        ],
    ),
    (
        "check",
        &[0, 2, 4, 5, 7],
        &[
            ("Check everything before the first run", "tagfleet check"),
            ("Check another cloud", "tagfleet check --cloud gcc-high"),
        ],
    ),
    (
        "config",
        &[0, 2, 7],
        &[
            ("See which settings a run would get, and from where", "tagfleet config --profile contoso"),
            ("The same for a script", "tagfleet config --json"),
        ],
    ),
    (
        "sandbox",
        &[0, 2, 7],
        &[
            ("Serve a tenant of 5,000 machines", "tagfleet sandbox --machines 5000"),
            ("One in which every hundredth call fails", "tagfleet sandbox --fault internal-error=1%"),
        ],
    ),
    (
        "completions",
        &[0, 2, 7],
        &[
            (
                "For bash, for you alone",
                "tagfleet completions bash > ~/.local/share/bash-completion/completions/tagfleet",
            ),
            ("For fish", "tagfleet completions fish > ~/.config/fish/completions/tagfleet.fish"),
        ],
    ),
    (
        "man",
        &[0, 2, 7],
        &[
            ("Install the pages for you alone", "tagfleet man ~/.local/share/man"),
            ("Read one without installing it", "tagfleet man | man -l -"),
        ],
    ),
];

fn entry(command: &str) -> (Vec<u8>, &'static [(&'static str, &'static str)]) {
    match COMMANDS.iter().find(|(name, ..)| *name == command) {
        Some((_, statuses, examples)) => (statuses.to_vec(), examples),
        None => (EXIT_STATUSES.iter().map(|(status, _)| *status).collect(), &[]),
    }
}

/// The examples of a command: what each is for, and what is typed.
pub(crate) fn examples(command: &str) -> &'static [(&'static str, &'static str)] {
    entry(command).1
}

/// The exit statuses of a command with their meanings; of the program, if it is none.
pub(crate) fn exit_statuses(command: &str) -> impl Iterator<Item = (u8, &'static str)> {
    let (possible, _) = entry(command);
    EXIT_STATUSES.into_iter().filter(move |(status, _)| possible.contains(status))
}

/// What stands after a command's options.
pub(super) fn after_help(command: &str) -> String {
    let mut text = String::new();
    let examples = examples(command);
    if !examples.is_empty() {
        text.push_str("Examples:\n");
        for (purpose, typed) in examples {
            let _infallible = writeln!(text, "  {purpose}:\n      {typed}");
        }
        text.push('\n');
    }
    text.push_str("Exit status:");
    for (status, meaning) in exit_statuses(command) {
        let _infallible = write!(text, "\n  {status:>2}  {meaning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_examples_that_are_understood() {
        for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "help") {
            let name = command.get_name();
            assert!((2..=3).contains(&examples(name).len()), "{name}");
            for (_, typed) in examples(name) {
                let words = typed.split([' ']).take_while(|word| !matches!(*word, "|" | ">"));
                let understood = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{typed}: {error}"));
                assert!(typed.starts_with(&format!("tagfleet {name}")), "{typed}: {understood:?}");
            }
        }
    }

    #[test]
    fn short_texts_are_one_line_and_have_no_full_stop() {
        let mut program = Cli::command();
        program.build();
        let commands = program.get_subcommands().chain([&program]);
        for command in commands.filter(|command| command.get_name() != "sandbox") {
            for argument in command.get_arguments() {
                let Some(help) = argument.get_help().map(ToString::to_string) else { continue };
                let is_short = help.chars().count() <= 56 && !help.ends_with('.');
                assert!(is_short, "{} {}: {help}", command.get_name(), argument.get_id());
            }
        }
    }
}
