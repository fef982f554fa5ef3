//! What the README and the manual say of the program, held against the program.

use std::collections::BTreeSet;
use std::process::Command;

use crate::manual::topics;
use crate::rehearsal::{Folder, repository};
use crate::sandbox_server::Sandbox;
use crate::table::Table;

fn readme() -> String {
    std::fs::read_to_string(repository("README.md")).expect("the README")
}

#[test]
fn the_two_commands_stand_each_on_a_line_of_its_own() {
    for command in ["cargo run --release -- apply samples/retag.csv --sandbox", "cargo test"] {
        assert!(readme().lines().any(|line| line == command), "{command}");
    }
}

/// The commands of the blocks that `.ci/run` leaves out because they need a tenant, those of the front page first.
fn commands_for_a_tenant() -> Vec<String> {
    let pages: String = std::iter::once(readme()).chain(topics().into_iter().map(|(_, text)| text)).collect();
    let blocks = pages.split("<!-- not run here: needs a tenant -->\n```sh\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines()).map(str::to_owned).collect()
}

/// Against a sandbox in the place of the tenant; whoever would be asked says yes.
#[cfg(unix)]
#[test]
fn the_commands_for_a_tenant_work_one_after_the_other_as_they_are_written() {
    let folder = Folder::new();
    let sample = std::fs::read(repository("samples/retag.csv")).expect("a sample");
    folder.write("retag.csv", &sample);
    let machines: BTreeSet<String> =
        Table::read(&sample, ',').column("machineId").into_iter().map(str::to_owned).collect();
    folder.write("machines.txt", machines.into_iter().collect::<Vec<_>>().join("\n"));
    let machines = folder.path("machines.txt");
    let sandbox =
        Sandbox::start_exactly(&format!("--listen 127.0.0.1:0 --quota off --machines-file {}", machines.display()));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tagfleet")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let commands = commands_for_a_tenant();
    assert!(commands.len() > 10, "{commands:?}");
    for written in commands {
        let mut command = written.clone();
        for asking in ["apply", "resume", "undo"] {
            command = command.replace(&format!("tagfleet {asking}"), &format!("tagfleet {asking} --yes --quota off"));
        }
        command = command.replacen(" --yes --json", " --json", 1);
        if let Some(results) = folder.read("retag.results.csv") {
            command = command.replace("RUN", &Table::read(&results, ',').rows[0]["run_id"]);
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(folder.path(".")).env("PATH", &path);
        shell.env("TAGFLEET_STATE_DIR", folder.path("state")).envs(sandbox.variables().iter().cloned());
        let output = shell.output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{written} ({command}): {said}");
    }
    for written in ["summary.json", "rows.csv", "machines.csv", "results.csv", "retag.sandbox.results.csv"] {
        assert!(folder.read(written).is_some_and(|bytes| !bytes.is_empty()), "{written}");
    }
}
