//! The samples for schedulers, clusters, pipelines and containers, held against the program and against systemd.
//!
//! Whether each is well-formed is judged by its own tool in CI; here is what those cannot know: that the options and variables
//! exist, and that the commands do what the sample says, in a rehearsal.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::manual::{commands, has, stdout, topics};
use crate::rehearsal::{Folder, repository};

/// Every file of the samples that somebody deploys, with its text.
fn deployed() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for folder in ["cron", "kubernetes", "pipelines", "container"] {
        let entries = std::fs::read_dir(repository("samples").join(folder)).expect("a folder of samples");
        let paths = entries.map(|entry| entry.expect("a sample").path());
        files.extend(paths.map(|path| (path.clone(), std::fs::read_to_string(path).expect("UTF-8"))));
    }
    assert!(files.len() > 6, "{files:?}");
    files
}

fn sample(path: &str) -> String {
    std::fs::read_to_string(repository("samples").join(path)).expect("a sample")
}

/// What `start` begins in a text, each as far as its own characters go.
fn names<'a>(text: &'a str, start: &str, is_part: impl Fn(char) -> bool) -> BTreeSet<&'a str> {
    let starts = text.match_indices(start).map(|(position, _)| position);
    let whole = starts.filter(|start| !text[..*start].ends_with(|it: char| is_part(it)));
    whole.map(|start| text[start..].split(|it: char| !is_part(it)).next().unwrap_or_default()).collect()
}

fn options(text: &str) -> BTreeSet<&str> {
    let mut options = names(text, "--", |it| it == '-' || it.is_ascii_lowercase());
    // Lines between documents and in tables are none.
    options.retain(|option| option.ends_with(|it: char| it != '-'));
    options
}

fn variables(text: &str) -> BTreeSet<&str> {
    let is_part = |it: char| it == '_' || it.is_ascii_uppercase();
    ["TAGFLEET_", "AZURE_"].iter().flat_map(|prefix| names(text, prefix, is_part)).collect()
}

#[test]
fn every_option_and_variable_in_a_sample_exists() {
    let help_of = |command: String| stdout(&command.split(' ').chain(["--help"]).collect::<Vec<_>>());
    let help: String = commands().into_iter().map(help_of).collect();
    let known = options(&help);
    let manual: String = topics().into_iter().map(|(_, text)| text).collect();
    let described = manual + &help;
    let known_variables = variables(&described);
    for (path, text) in deployed() {
        // What is for other programs: the instructions of a Containerfile, and what systemctl and podman take.
        let is_container = path.ends_with("Containerfile");
        let ours = text.lines().filter(|line| !is_container || line.starts_with('#'));
        let text = ours.collect::<Vec<_>>().join("\n");
        let others = ["--now", "--rm", "--env-file"];
        for option in options(&text) {
            assert!(known.contains(option) || others.contains(&option), "{}: {option}", path.display());
        }
        for variable in variables(&text) {
            assert!(known_variables.contains(variable), "{}: {variable}", path.display());
        }
    }
}

/// Whoever adds a sample adds it to the Debian package.
#[test]
fn the_package_holds_every_sample() {
    let manifest = std::fs::read_to_string(repository("Cargo.toml")).expect("the manifest");
    for name in crate::samples::USED {
        let is_packed = [format!("[\"samples/{name}\","), format!("[\"samples/{name}/")];
        assert!(is_packed.iter().any(|asset| manifest.contains(asset)), "{name}");
    }
    for (path, _) in deployed().iter().filter(|(path, _)| path.parent().is_some_and(|folder| folder.ends_with("cron")))
    {
        let ending = path.extension().expect("an ending").to_string_lossy();
        assert!(manifest.contains(&format!("[\"samples/cron/*.{ending}\",")), "{}", path.display());
    }
}

/// Runs a command in a shell, with this program before all others of its name.
fn shell(folder: &Folder, line: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_tagfleet")).parent().expect("a folder");
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder.path("."));
    command.env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default()));
    command.env("TAGFLEET_STATE_DIR", folder.path("state")).env("BUILD_BUILDNUMBER", "20261126.1");
    command.output().expect("a shell")
}

#[track_caller]
fn succeeds(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The arguments of the `CronJob`, on its volumes, but with a rehearsal in the place of the tenant.
#[test]
fn the_job_of_the_cluster_tags_the_servers_of_the_tenant() {
    let job = sample("kubernetes/tag-servers.yaml");
    let folder = Folder::new();
    let (_, filter) = job.split_once("servers.kql: |\n").expect("a filter");
    folder.write("servers.kql", filter.lines().next().expect("a line").trim());
    let (_, arguments) = job.split_once("args:\n").expect("arguments");
    let (arguments, _) = arguments.split_once("env:").expect("variables after the arguments");
    let arguments = arguments.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let arguments: Vec<String> = arguments
        .map(|argument| argument.trim_matches('"'))
        .filter(|argument| !argument.starts_with("--auth="))
        .map(|argument| argument.replace("/etc/tagfleet", ".").replace("/data", "."))
        .map(|argument| format!("'{argument}'"))
        .collect();
    let output = shell(&folder, &format!("tagfleet {} --sandbox --quota off", arguments.join(" ")));
    succeeds(&output);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an object");
    assert!(summary["status"]["succeeded"].as_u64() > Some(0), "{summary}");
    assert!(folder.read("tenant.results.csv").is_some());
}

/// What the pipeline checks it then applies, and the results are where the pipeline publishes them from.
#[test]
fn the_pipeline_checks_a_file_and_applies_it() {
    let pipeline = sample("pipelines/azure-pipelines.yml");
    let folder = Folder::new();
    folder.write("retag.csv", sample("retag.csv"));
    let checks = pipeline.lines().filter_map(|line| line.trim().strip_prefix("- script: "));
    for line in checks {
        succeeds(&shell(&folder, line));
    }
    let (_, script) = pipeline.split_once("inlineScript: |\n").expect("a script");
    let script: Vec<&str> = script.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let script = script.join("\n").replace("--auth azure-cli", "--sandbox --quota off");
    succeeds(&shell(&folder, &format!("set -e\n{script}")));
    assert_eq!(folder.names_in("results"), ["retag.results.csv", "summary.json"]);

    folder.write("retag.csv", sample("bad-rows.csv"));
    let refused = pipeline.lines().find_map(|line| line.trim().strip_prefix("- script: ")).expect("a check");
    assert_eq!(shell(&folder, refused).status.code(), Some(3));
}

/// systemd itself finds nothing to say of the units, once the script is where they call it.
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !has("systemd-analyze") {
        return;
    }
    let folder = Folder::new();
    let scripts = repository("samples/cron");
    let mut units = Vec::new();
    for (path, text) in deployed() {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.extension().is_some_and(|ending| ending == "service" || ending == "timer") {
            assert!(!name.ends_with(".service") || text.contains("\nExecStart=/usr/local/lib/tagfleet/"), "{name}");
            folder.write(&name, text.replace("/usr/local/lib/tagfleet", scripts.to_str().expect("UTF-8")));
            units.push(folder.path(&name));
        }
    }
    assert!(units.len() >= 2, "{units:?}");
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(units).output().expect("a tool");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// As in an empty root: there the calls of a rehearsal go to loopback, which nobody vouches for.
#[test]
fn a_rehearsal_needs_no_root_certificates() {
    let folder = Folder::new();
    folder.write("values.csv", sample("values.csv"));
    let (file, directory) = (repository("LICENSE"), repository("samples"));
    let without_roots = format!("SSL_CERT_FILE='{}' SSL_CERT_DIR='{}'", file.display(), directory.display());
    succeeds(&shell(&folder, &format!("{without_roots} tagfleet apply values.csv --sandbox --quota off")));
    let output = shell(&folder, &format!("{without_roots} TAGFLEET_TOKEN=x tagfleet plan values.csv"));
    assert_ne!(output.status.code(), Some(0), "a tenant is called with roots only");
}
