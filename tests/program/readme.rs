//! What the README says of the program, held against the program.

use std::process::Command;

use crate::rehearsal::repository;

fn readme() -> String {
    std::fs::read_to_string(repository("README.md")).expect("the README")
}

#[test]
fn the_usage_block_is_what_help_prints() {
    let readme = readme();
    let (_, rest) = readme.split_once("<!-- usage -->\n```text\n").expect("the beginning of the usage block");
    let (shown, _) = rest.split_once("```\n<!-- /usage -->").expect("the end of the usage block");
    let output = Command::new(env!("CARGO_BIN_EXE_tagfleet")).arg("--help").output().expect("the program");
    assert_eq!(shown, String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_two_commands_stand_each_on_a_line_of_its_own() {
    for command in ["cargo run --release -- apply samples/retag.csv --sandbox", "cargo test"] {
        assert!(readme().lines().any(|line| line == command), "{command}");
    }
}

#[test]
fn every_option_of_apply_that_the_readme_names_is_there() {
    let output = Command::new(env!("CARGO_BIN_EXE_tagfleet")).args(["apply", "--help"]).output().expect("the program");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for option in ["--yes", "--limit", "--max-changes", "--max-errors", "--deadline", "--quota-share", "--skip-invalid"]
    {
        assert!(readme().contains(option) && help.contains(option), "{option}");
    }
}
