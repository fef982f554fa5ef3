//! Every file in `samples/`, as the README lets people use it.

use std::collections::BTreeSet;
use std::process::Command;

use crate::process::{Ended, Program};
use crate::rehearsal::{Folder, repository};
use crate::table::{Row, Table};

/// The samples that tests below use by name; `cron/` is used as a whole, `prometheus/` by those of the metrics,
/// `container/`, `kubernetes/` and `pipelines/` by those of the deployment, and `config.toml` by those of the profiles.
pub(crate) const USED: [&str; 15] = [
    "retag.csv",
    "values.csv",
    "names.csv",
    "semicolon-excel.csv",
    "portal-export.csv",
    "servers.kql",
    "bad-rows.csv",
    "fleet.toml",
    "fleet-cmdb.csv",
    "cron",
    "prometheus",
    "config.toml",
    "container",
    "kubernetes",
    "pipelines",
];

/// Rehearses a copy of a sample, since results are written beside the input.
fn rehearse_sample(name: &str, options: &[&str]) -> (Folder, Ended) {
    assert!(USED.contains(&name), "{name} is missing in the list");
    let folder = Folder::new();
    folder.write(name, std::fs::read(repository("samples").join(name)).expect("a sample"));
    let mut command = folder.command();
    command.args(["apply", name, "--sandbox"]).args(options);
    let ended = Program::start(command, None, true).end();
    (folder, ended)
}

/// The names in `samples/` that belong to the repository. What else lies there is the user's: results of the first command
/// of the README, files of their own. `None` where there is no git to tell them apart.
fn samples_of_the_repository() -> Option<BTreeSet<String>> {
    let listed = Command::new("git").args(["ls-files", "-z", "."]).current_dir(repository("samples")).output().ok()?;
    let paths = String::from_utf8(listed.stdout).ok().filter(|paths| listed.status.success() && !paths.is_empty())?;
    Some(paths.split_terminator('\0').map(|path| path.split('/').next().unwrap_or(path).to_owned()).collect())
}

#[test]
fn every_sample_is_used_by_a_test() {
    let is_there = |name: &&str| repository("samples").join(name).exists();
    assert!(USED.iter().all(is_there), "a sample that is used is not there");
    for name in samples_of_the_repository().unwrap_or_default() {
        assert!(USED.contains(&name.as_str()), "no test here uses samples/{name}");
    }
}

#[test]
fn the_first_run_that_anybody_makes_works() {
    let (folder, ended) = rehearse_sample("retag.csv", &[]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    assert_eq!(folder.names(), ["retag.csv", "retag.sandbox.results.csv", "state"]);
    let results = Table::read(&folder.read("retag.sandbox.results.csv").expect("results"), ',');
    // A new sandbox knows no tags, so there is none to remove, and every machine has the value Normal.
    for (status, after, count) in [
        ("succeeded", "present", 12),
        ("unchanged", "absent", 6),
        ("succeeded", "present; High", 4),
        ("unchanged", "absent; Normal", 4),
        ("succeeded", "High", 6),
        ("succeeded", "Low", 8),
    ] {
        let has = |row: &&Row| (&row["status"], &row["after"]) == (status, after);
        assert_eq!(results.rows.iter().filter(has).count(), count, "{status} {after}");
    }
}

#[test]
fn a_fleet_is_kept_as_declared_with_the_lookup_beside_it() {
    let folder = Folder::new();
    for name in ["fleet.toml", "fleet-cmdb.csv"] {
        folder.write(name, std::fs::read(repository("samples").join(name)).expect("a sample"));
    }
    let run = |options: &[&str]| {
        let mut command = folder.command();
        command.args(options).args(["fleet.toml", "--sandbox", "--quota", "off"]);
        Program::start(command, None, true).end()
    };
    let plan = run(&["plan"]);
    let text = String::from_utf8_lossy(&plan.output).into_owned();
    assert_eq!(plan.status, Some(0), "{text}{}", plan.messages);
    for part in ["remove tag \"Standort-Berlin\"", "add tag \"DEPT-Sales\"", "\"kiosks\" (mode = \"report\") matches"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ended = run(&["apply"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let results = Table::read(&folder.read("fleet.sandbox.results.csv").expect("results"), ',');
    assert!(results.rows.iter().all(|row| ["succeeded", "unchanged"].contains(&&row["status"])), "{}", ended.messages);
    assert!(results.column("tag").iter().all(|tag| *tag != "TIER-3"), "what only reports is not done");
}

#[test]
#[cfg(unix)]
fn the_nightly_script_of_a_fleet_is_silent_when_the_fleet_is_as_declared() {
    let folder = Folder::new();
    let fleet = "schema = 1\nname = 'a'\n[own]\nprefixes = ['NIGHT-']\n";
    folder.write("fleet.toml", fleet);
    let run = |fleet: &str| {
        let program = folder.command();
        let directory = std::path::Path::new(program.get_program()).parent().expect("a folder").display();
        let mut command = Command::new("sh");
        command
            .arg(repository("samples/cron/fleet-nightly.sh"))
            .args([&folder.path(fleet), &folder.path("night.csv")])
            .args(["--sandbox", "--quota", "off"])
            .env("PATH", format!("{directory}:{}", std::env::var("PATH").unwrap_or_default()))
            .env("TAGFLEET_STATE_DIR", folder.path("state"));
        command.output().expect("a shell")
    };
    let silent = run("fleet.toml");
    assert_eq!(
        (silent.status.code(), silent.stderr.as_slice(), silent.stdout.as_slice()),
        (Some(0), &b""[..], &b""[..])
    );
    assert!(folder.read("night.csv").is_some());
    folder.write("broken.toml", fleet.replace("prefixes", "prefixs"));
    let told = run("broken.toml");
    assert_eq!(told.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&told.stderr).contains("did you mean prefixes?"));
}

#[test]
fn two_columns_will_do_for_device_values() {
    let (folder, ended) = rehearse_sample("values.csv", &["--quota", "off"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let results = Table::read(&folder.read("values.sandbox.results.csv").expect("results"), ',');
    assert_eq!(results.column("after"), results.column("value"));
}

#[test]
fn machines_go_by_their_names_full_or_short() {
    let (folder, ended) = rehearse_sample("names.csv", &["--quota", "off", "--json"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let results = Table::read(&folder.read("names.sandbox.results.csv").expect("results"), ',');
    assert_eq!(results.column("status"), ["succeeded"; 8]);
    assert_eq!(results.rows[5]["request_id"], results.rows[6]["request_id"], "one machine, one operation");
    let summary: serde_json::Value = serde_json::from_slice(&ended.output).expect("an object");
    assert_eq!((&summary["calls"]["bulk"], &summary["calls"]["value"]), (&2.into(), &4.into()), "{summary}");
}

#[test]
fn a_file_comes_as_excel_saves_it() {
    let (folder, ended) = rehearse_sample("semicolon-excel.csv", &["--quota", "off"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let bytes = folder.read("semicolon-excel.sandbox.results.csv").expect("results");
    let results = Table::read(bytes.strip_prefix(b"\xef\xbb\xbf").expect("a byte order mark"), ';');
    assert_eq!(results.header[..4], ["Machine ID", "Tag", "Action", "Device Value"]);
    assert_eq!(results.column("after"), ["present", "present; High", "Low", "absent", "Normal", "present"]);
    assert_eq!(&results.rows[2]["Bemerkung"], "Zeile eins\nZeile zwei");
}

#[test]
fn the_portals_export_with_two_columns_added_is_an_input() {
    let (folder, ended) = rehearse_sample("portal-export.csv", &["--quota", "off"]);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let results = Table::read(&folder.read("portal-export.sandbox.results.csv").expect("results"), ',');
    // There is no tag to remove.
    let statuses: Vec<&str> =
        results.rows.iter().map(|row| if &row["Action"] == "Remove" { "unchanged" } else { "succeeded" }).collect();
    assert_eq!(results.column("status"), statuses);
    assert!(results.header.iter().any(|name| name == "Onboarding Status"));
}

#[test]
fn an_export_with_a_filter_needs_no_columns_of_orders() {
    let filter = repository("samples/servers.kql");
    let filter = filter.to_str().expect("UTF-8");
    let options = ["--quota", "off", "--where-file", filter, "--add", "Tier 1"];
    let (folder, ended) = rehearse_sample("portal-export.csv", &options);
    assert_eq!(ended.status, Some(0), "{}", ended.messages);
    let results = Table::read(&folder.read("portal-export.sandbox.results.csv").expect("results"), ',');
    let sample = Table::read(&folder.read("portal-export.csv").expect("a sample"), ',');
    let is_meant = |row: &&Row| {
        let platform = &row["OS Platform"];
        (platform.starts_with("WindowsServer") || platform == "Linux")
            && (&row["Health Status"], &row["Onboarding Status"]) == ("Active", "Onboarded")
            && !row["Device Name"].starts_with("build")
    };
    let meant: Vec<&str> = sample.rows.iter().filter(is_meant).map(|row| &row["Device ID"]).collect();
    assert!((1..sample.rows.len()).contains(&meant.len()));
    assert_eq!(results.column("Device ID"), meant);
    assert!(results.column("after").iter().all(|after| *after == "present"));
}

/// Silent when all is well; a list that nobody has exported anew is refused.
#[cfg(unix)]
#[test]
fn the_nightly_job_over_an_export_takes_a_fresh_one_only() {
    let folder = Folder::new();
    folder.write("export.csv", std::fs::read(repository("samples/portal-export.csv")).expect("a sample"));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tagfleet")).parent().expect("a folder");
    let run = || {
        let mut command = Command::new("sh");
        command.arg(repository("samples/cron/tag-export-nightly.sh")).arg(folder.path("export.csv"));
        command.arg(repository("samples/servers.kql")).args(["Tier 1", "--sandbox", "--quota", "off"]);
        command.env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default()));
        command.env("TAGFLEET_STATE_DIR", folder.path("state")).output().expect("a shell")
    };
    let output = run();
    assert_eq!((output.status.code(), output.stderr, output.stdout), (Some(0), Vec::new(), Vec::new()));
    assert!(folder.read("export.sandbox.results.csv").is_some());
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(37);
    let file = std::fs::File::options().write(true).open(folder.path("export.csv")).expect("our own file");
    file.set_modified(old).expect("our own file");
    let output = run();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("older than 36 hours"));
}

#[test]
fn errors_are_shown_all_at_once_and_can_be_left_out() {
    // Row 4 names a machine, which may be looked up.
    for (options, names_are_errors) in [(&[][..], false), (&["--no-inventory"], true)] {
        let (folder, ended) = rehearse_sample("bad-rows.csv", options);
        assert_eq!(ended.status, Some(3), "{}", ended.messages);
        for row in 3..=19 {
            let place = format!("error: bad-rows.csv: row {row}, line ");
            let is_listed = ended.messages.lines().any(|line| line.starts_with(&place));
            assert_eq!(is_listed, names_are_errors || row != 4, "{place}: {}", ended.messages);
        }
        assert_eq!(folder.names(), ["bad-rows.csv"]);
    }

    let (folder, ended) = rehearse_sample("bad-rows.csv", &["--skip-invalid", "--quota", "off"]);
    assert_eq!(ended.status, Some(1), "{}", ended.messages);
    let results = Table::read(&folder.read("bad-rows.sandbox.results.csv").expect("results"), ',');
    let statuses = results.column("status");
    let last = statuses.len() - 1;
    assert_eq!((statuses[0], statuses[1], statuses[last]), ("succeeded", "succeeded", "unchanged"));
    assert_eq!(statuses[2..6], ["invalid", "succeeded", "invalid", "invalid"]);
    assert!(statuses[6..last].iter().all(|status| *status == "invalid"), "{statuses:?}");
    let failed = folder.read("bad-rows.sandbox.failed.csv").expect("rows to feed back");
    assert!(String::from_utf8_lossy(&failed).contains("no machine"));
}

/// The script for unattended runs, with this program before all others that are called `tagfleet`.
#[cfg(unix)]
fn nightly_script(folder: &Folder, program: &std::path::Path, options: &[&str]) -> std::process::Output {
    let directory = program.parent().expect("a folder").display();
    let mut command = Command::new("sh");
    command
        .arg(repository("samples/cron/retag-nightly.sh"))
        .arg(folder.path("waiting"))
        .args(options)
        .env("PATH", format!("{directory}:{}", std::env::var("PATH").unwrap_or_default()))
        .env("TAGFLEET_STATE_DIR", folder.path("state"));
    command.output().expect("a shell")
}

#[cfg(unix)]
fn folder_with_waiting_files(files: &[(&str, &[u8])]) -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("waiting")).expect("our own folder");
    for (name, bytes) in files {
        folder.write(&format!("waiting/{name}"), bytes);
    }
    folder
}

/// What is done is put away, what is refused is put aside, and the mail says where the reasons are.
#[cfg(unix)]
#[test]
fn the_nightly_script_takes_all_files_and_puts_each_in_its_place() {
    let sample = |name: &str| std::fs::read(repository("samples").join(name)).expect("a sample");
    let (values, bad, missing) = (sample("values.csv"), sample("bad-rows.csv"), b"Name,value\nweb 1,Low\n");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tagfleet"));
    let options = ["--sandbox", "--quota", "off"];

    let folder = folder_with_waiting_files(&[("a.csv", &values), ("b.csv", &values)]);
    let output = nightly_script(&folder, program, &options);
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "silent when all went well");
    assert_eq!(folder.names_in("waiting/done").len(), 6, "input, results and summary of each");

    let folder = folder_with_waiting_files(&[("a.csv", &bad), ("b.csv", missing), ("c.csv", &values)]);
    let output = nightly_script(&folder, program, &options);
    let mail = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(3), "the gravest counts: {mail}");
    for part in [
        "a.csv was refused and nothing was sent; fix",
        "error: ",
        "b.csv is done, but not every row succeeded",
        "b.results.csv says why",
        "machine_not_found",
    ] {
        assert!(mail.contains(part), "{part:?} is not in the mail: {mail}");
    }
    assert_eq!(folder.names_in("waiting"), ["done", "refused"]);
    assert_eq!(folder.names_in("waiting/refused"), ["a.csv"]);

    // Another one of the name that is refused does not take the place of the first.
    folder.write("waiting/a.csv", &sample("bad-rows.csv")[..]);
    let output = nightly_script(&folder, program, &options);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(folder.names_in("waiting/refused").len(), 2);
    // A file of which rows are left for another time is not done.
    folder.write("waiting/a.csv", &values[..]);
    for options in [
        &["--sandbox", "--limit", "1"][..],
        &["--sandbox", "--profile", "a,b"],
        &["--sandbox", "--profile=a", "--profile=b"],
        &["--sandbox", "--all-profiles"],
    ] {
        let output = nightly_script(&folder, program, options);
        assert_eq!((output.status.code(), folder.names_in("waiting").len()), (Some(2), 3), "{options:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was sent"), "{output:?}");
    }
    folder.write("c.toml", "[profile.a]\n");
    let settings = folder.path("c.toml").display().to_string();
    let output = nightly_script(&folder, program, &["--sandbox", "--profile", "a", "--config", &settings]);
    assert_eq!((output.status.code(), folder.names_in("waiting").len()), (Some(0), 2), "{output:?}");
}

#[cfg(unix)]
#[test]
fn a_deadline_is_that_of_the_night_and_not_of_each_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = folder_with_waiting_files(&[("a.csv", b"x"), ("b.csv", b"x"), ("c.csv", b"x")]);
    std::fs::create_dir(folder.path("programs")).expect("our own folder");
    // Takes longer for any file than the night has.
    folder.write("programs/tagfleet", "#!/bin/sh\necho \"$@\" >>\"$TAGFLEET_STATE_DIR\"\nsleep 6\n");
    let program = folder.path("programs/tagfleet");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    let output = nightly_script(&folder, &program, &["--deadline", "5s", "--cloud", "eu"]);
    let mail = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(5), "{mail}");
    assert!(mail.contains("the night is over; b.csv and what comes after it wait"), "{mail}");
    let calls = String::from_utf8(folder.read("state").expect("a list of calls")).expect("UTF-8");
    assert_eq!(calls.lines().count(), 1, "{calls}");
    assert!(calls.contains("a.csv -o ") && calls.ends_with("--deadline 5s --cloud eu\n"), "{calls}");
    assert_eq!(folder.names_in("waiting"), ["b.csv", "c.csv", "done", "refused"]);
}

#[test]
fn jobs_in_kubernetes_use_options_that_there_are() {
    let mut command = Program::command();
    command.args(["apply", "--help"]);
    let help = String::from_utf8(Program::start(command, None, true).end().output).expect("text");
    for name in ["tag-servers.yaml", "tag-servers-shared-state.yaml"] {
        let job = std::fs::read_to_string(repository("samples/kubernetes").join(name)).expect("a sample");
        let options = job.lines().filter_map(|line| line.trim_start().strip_prefix("- --"));
        let options: Vec<&str> = options.filter_map(|option| option.split('=').next()).collect();
        assert!(options.len() > 5, "{options:?}");
        for option in options {
            assert!(help.contains(&format!("--{option}")), "{name}: --{option}");
        }
    }
}
