//! What the system lets the program have, and what the program lets a child have.

use std::process::Command;

use crate::machines::rows_adding;
use crate::process::Program;
use crate::rehearsal::{Prepared, Rehearsal};
use crate::tenant::{Tenant, machine};

/// Runs it as a shell does that has done this before; gives the exit status and what was said.
fn behind(script: &str, rehearsal: Rehearsal) -> (Option<i32>, String) {
    let Prepared { command, input, sandbox: _sandbox, folder: _folder } = rehearsal.prepare();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("{script}; exec \"$@\""), "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().expect("a folder of its own"));
    let ended = Program::start(shell, input, true).end();
    (ended.status, ended.messages)
}

#[test]
fn limits_that_are_too_low_are_said_before_the_first_call_and_raised_where_they_may_be() {
    let tenant = Tenant::of((1..=3).map(machine));
    let server = tenant.serve();
    let rehearsal = || Rehearsal::at_stand_in(&server).rows(&rows_adding("A", 3));
    let table = [
        ("ulimit -n 16", "this process may have 16 files open, and needs 80 for 16 calls at a time", "ulimit -n 80"),
        ("ulimit -n 6", "this process may have 6 files open, and needs 12 to begin", "ulimit -n 48"),
        ("ulimit -v 60000", "this process may use 58 MiB of memory, and needs at least 340 MiB", "ulimit -v"),
        ("ulimit -d 100000", "this process may use 97 MiB of memory, and needs at least 340 MiB", "ulimit -d"),
        ("ulimit -v 200000", "this process may use 195 MiB of memory, and needs at least 340 MiB", "ulimit -v"),
    ];
    for (limit, problem, hint) in table {
        let (status, said) = behind(limit, rehearsal());
        assert_eq!(status, Some(2), "{limit}: {said}");
        assert!(said.contains(problem) && said.contains(hint), "{limit}: {said}");
        assert_eq!(server.requests().len(), 0, "{limit}");
    }
    // The last ones are the worst where memory is reserved in large parts.
    for limit in [
        "ulimit -S -n 16",
        "ulimit -n 50",
        "ulimit -d 349000",
        "ulimit -d 390000",
        "ulimit -v 390000",
        "ulimit -v 524288",
        "ulimit -v 1100000",
    ] {
        let fewer = if limit.contains("50") { rehearsal().with("--concurrency 1") } else { rehearsal() };
        let (status, said) = behind(limit, fewer);
        assert_eq!(status, Some(0), "{limit}: {said}");
    }
}

#[test]
fn the_azure_cli_gets_the_variables_that_it_needs_and_no_file_of_ours() {
    let tenant = Tenant::of((1..=3).map(machine));
    let server = tenant.serve();
    let rehearsal = Rehearsal::at_stand_in(&server)
        .variable("TAGFLEET_TOKEN", "")
        .variable("AZURE_CLIENT_SECRET", "hunter2")
        .variable("LD_DEBUG_OUTPUT", "x")
        .with("--auth azure-cli")
        .rows(&rows_adding("A", 3));
    let Prepared { command, folder, .. } = rehearsal.prepare();
    std::fs::create_dir(folder.path("bin")).expect("our own folder");
    let az = r#"#!/bin/sh
        env >"$HOME/variables"
        for descriptor in 3 4 9; do (eval ": <&$descriptor") 2>/dev/null && echo $descriptor >>"$HOME/descriptors"; done
        echo '{"accessToken": "a.b.c", "expires_on": 4102444800, "tokenType": "Bearer"}'"#;
    folder.write("bin/az", az);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(folder.path("bin/az"), executable).expect("our own file");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec 4</dev/null 9</dev/null; exec \"$@\"", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("PATH", format!("{}:/usr/bin:/bin", folder.path("bin").display())).current_dir(folder.path("."));
    let ended = Program::start(shell, None, true).end();
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let variables = String::from_utf8(folder.read("variables").expect("it was started")).expect("text");
    assert!(variables.contains("HOME=") && variables.contains("PATH="), "{variables}");
    assert!(!["hunter2", "LD_DEBUG", "TAGFLEET"].iter().any(|word| variables.contains(word)), "{variables}");
    assert_eq!(folder.read("descriptors"), None);
}
