//! The metrics of a command: what stands in the file at every end, what of it stays, and who keeps off it. What Prometheus'
//! own tool finds in it, and in the alerts among the samples.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::manual::has;
use crate::process::Program;
use crate::rehearsal::{Folder, Rehearsal, repository};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

/// A page, or nothing where there is none.
fn page(folder: &Folder) -> String {
    folder.read("x.prom").map(|page| String::from_utf8(page).expect("UTF-8")).unwrap_or_default()
}

/// What a page says of this metric with these labels.
#[track_caller]
fn value(page: &str, series: &str) -> Option<f64> {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = if labels == "}" { String::new() } else { format!(",{}", labels.trim_end_matches('}')) };
    let mut lines = page.lines().filter(|line| {
        line.strip_prefix(&format!("tagfleet_{name}{{job=\"")).is_some_and(|rest| {
            rest.split_once('"')
                .is_some_and(|(_, rest)| rest.split_once("} ").is_some_and(|(found, _)| found == labels))
        })
    });
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "{series} stands there twice");
    Some(line.rsplit(' ').next().expect("a value").parse().expect("a number"))
}

fn run(sandbox: &Sandbox, folder: &Folder, rows: &str, options: &str) -> Rehearsal {
    Rehearsal::at(sandbox).in_folder(folder).rows(rows).with("--metrics-file x.prom").with(options)
}

#[test]
fn every_end_stands_there_and_no_failure_takes_the_last_success_away() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    run(&sandbox, &folder, "#1,A,Add,", "").run().exits(0);
    let first = page(&folder);
    let success = value(&first, "run_last_success_timestamp_seconds").expect("a success");
    assert_eq!(value(&first, "run_last_end_timestamp_seconds"), Some(success));
    assert_eq!(value(&first, "run_rows{status=\"succeeded\"}"), Some(1.0));
    assert_eq!(value(&first, "run_calls{kind=\"tags\",result=\"ok\"}"), Some(1.0));
    assert!(first.contains("{job=\"input.csv\"}"), "{first}");
    let cases = [
        (1, "#1,A,Add,\n#2,A,Add,", ""),
        (2, "#1,A,Add,", "--client-secret-file nowhere"),
        (2, "#1,A,Add,", "--ping-url-file nowhere"),
        (2, "#1,A,Add,", "--log-file nowhere/x.log"),
        (3, "#1,,Add,", ""),
        (4, "#1,B,Add,", "--auth secret"),
        (5, "#1,B,Add,\n#1,C,Add,", "--deadline 10m"),
        (7, "#1,B,Add,", "-o nowhere/x.csv"),
    ];
    let refuses = StandIn::answering(|_request| Reply::json(401, r#"{"error": "invalid_client"}"#));
    for (status, rows, options) in cases {
        let before = page(&folder);
        let mut rehearsal = run(&sandbox, &folder, rows, options);
        if status == 4 {
            rehearsal = rehearsal.variable("AZURE_AUTHORITY_HOST", &refuses.variables()[0].1);
        }
        if status == 5 {
            rehearsal = rehearsal.quota("1/1h");
        }
        rehearsal.run().exits(status);
        let page = page(&folder);
        let failed = format!("{options}: {page}");
        assert_eq!(value(&page, "run_last_exit_status"), Some(f64::from(status)), "{failed}");
        assert_eq!(value(&page, "run_in_progress"), Some(0.0), "{failed}");
        assert_eq!(value(&page, "run_last_success_timestamp_seconds"), Some(success), "{failed}");
        let end = |page: &str| value(page, "run_last_end_timestamp_seconds").expect("an end");
        assert!(end(&page) > end(&before), "{failed}");
        let failed_rows = value(&page, "run_rows{status=\"failed\"}");
        assert_eq!(
            failed_rows,
            (status == 1).then_some(1.0).or((status == 4 || status == 5).then_some(0.0)),
            "{failed}"
        );
    }
    let verified = run(&sandbox, &folder, "#1,A,Add,\n#1,Z,Add,", "").only_verify().run().exits(10);
    let page = page(verified.folder());
    assert_eq!(value(&page, "drift{result=\"holds\"}"), Some(1.0), "{page}");
    assert_eq!(value(&page, "drift{result=\"differs\"}"), Some(1.0), "{page}");
    assert_eq!(value(&page, "run_calls{kind=\"list\",result=\"ok\"}"), Some(1.0), "reading counts, too: {page}");
}

#[test]
fn calls_and_quota_are_those_of_the_ledger() {
    let sandbox = Sandbox::start("");
    let folder = Folder::new();
    let rows = "#1,A,Add,\n#2,A,Add,\n#3,,SetDeviceValue,High";
    Rehearsal::at(&sandbox).in_folder(&folder).rows("#4,A,Add,").run().exits(0);
    let limits = "100/1m,1500/1h";
    run(&sandbox, &folder, rows, "").quota(limits).run().exits(0);
    let page = page(&folder);
    // The first run's calls count in the quota, and not as this one's.
    for (series, calls) in [
        ("run_calls{kind=\"tags\",result=\"ok\"}", 2.0),
        ("run_calls{kind=\"value\",result=\"ok\"}", 1.0),
        ("quota_used{bucket=\"tags\",window=\"3600s\"}", 3.0),
        ("quota_used{bucket=\"value\",window=\"3600s\"}", 1.0),
        ("quota_used{bucket=\"machines\",window=\"3600s\"}", 0.0),
        ("quota_limit{bucket=\"value\",window=\"3600s\"}", 1500.0),
        ("quota_limit{bucket=\"value\",window=\"60s\"}", 100.0),
    ] {
        assert_eq!(value(&page, series), Some(calls), "{series}: {page}");
    }
    run(&sandbox, &folder, rows, "--quota-scope app").quota(limits).run().exits(0);
    assert_eq!(value(&self::page(&folder), "quota_used{bucket=\"all\",window=\"3600s\"}"), Some(7.0));
}

#[test]
fn a_run_that_goes_on_says_so_before_its_first_call_and_keeps_what_the_last_one_came_to() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    run(&sandbox, &folder, "#1,A,Add,\n#2,A,Add,", "").run().exits(1);
    let before = page(&folder);
    let silent = StandIn::answering(|_request| Reply::Silence);
    let going_on = Rehearsal::at_stand_in(&silent).in_folder(&folder).rows("#1,A,Add,").with("--metrics-file x.prom");
    let going_on = going_on.start();
    silent.waits_for_requests(1);
    let page = page(&folder);
    assert_eq!(value(&page, "run_in_progress"), Some(1.0));
    for kept in ["run_last_exit_status", "run_last_end_timestamp_seconds", "run_rows{status=\"failed\"}"] {
        assert!(value(&before, kept).is_some());
        assert_eq!(value(&page, kept), value(&before, kept), "{kept}");
    }
    let start = |page: &str| value(page, "run_last_start_timestamp_seconds").expect("a start");
    assert!(start(&page) > start(&before));
    drop(going_on);
}

#[test]
fn where_the_page_is_gone_the_state_knows_when_the_input_was_last_done() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    let first = run(&sandbox, &folder, "#1,A,Add,", "").run().exits(0).results().rows[0]["run_id"].to_owned();
    let success = value(&page(&folder), "run_last_success_timestamp_seconds").expect("a success");
    std::fs::remove_file(folder.path("x.prom")).expect("a page");
    run(&sandbox, &folder, "#1,A,Add,\n#2,A,Add,", "").run().exits(1);
    let known = value(&page(&folder), "run_last_success_timestamp_seconds").expect("the state knows");
    assert!((success - known).abs() < 5.0 && known <= success, "{known} {success}");
    // A run with failed rows is none; and that somebody looks at the other one is no success of that moment.
    std::fs::remove_file(folder.path("x.prom")).expect("a page");
    let mut command = folder.command();
    command.envs(sandbox.variables().iter().cloned()).args(["resume", &first, "--yes"]);
    let resumed = Program::start(command, None, true).end();
    assert_eq!(resumed.status, Some(0), "{}", resumed.messages);
    run(&sandbox, &folder, "#1,,Add,", "").run().exits(3);
    assert_eq!(value(&page(&folder), "run_last_success_timestamp_seconds"), Some(known));
}

#[test]
fn a_job_has_succeeded_last_when_its_own_tenant_had_and_a_profiles_job_too() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    let of_profile = |rows: &str| {
        let _replaced = std::fs::remove_file(folder.path("x.prom"));
        run(&sandbox, &folder, rows, "--config c.toml --profile a")
    };
    let tenant = sandbox.variables().iter().find(|(name, _)| *name == "AZURE_TENANT_ID").expect("a tenant").1.clone();
    let tenant = tenant.to_uppercase();
    folder.write("c.toml", format!("[profile.a]\ntenant = \"{tenant}\"\n"));
    of_profile("#1,A,Add,").run().exits(0);
    let success = value(&page(&folder), "run_last_success_timestamp_seconds").expect("a success");
    of_profile("#1,,Add,").run().exits(3);
    let known = value(&page(&folder), "run_last_success_timestamp_seconds").expect("the state knows");
    assert!((success - known).abs() < 5.0, "{known} {success}");
    // The same input for another tenant, by variables.
    let _replaced = std::fs::remove_file(folder.path("x.prom"));
    let other = "99999999-5a5a-4a5a-8a5a-000000000009";
    run(&sandbox, &folder, "#1,,Add,", "").variable("AZURE_TENANT_ID", other).run().exits(3);
    assert_eq!(value(&page(&folder), "run_last_success_timestamp_seconds"), None);
}

#[test]
fn a_job_is_called_after_its_input_whoever_carries_it_out_and_a_rehearsal_after_itself() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    let stopped = run(&sandbox, &folder, "#1,A,Add,\n#1,B,Add,", "--deadline 10m").planned().quota("1/1h");
    let run_id = stopped.run().exits(5).results().rows[0]["run_id"].to_owned();
    let variables = sandbox.variables().to_vec();
    let job_of = |line: &str, status: i32| {
        let mut command = folder.command();
        command.args(line.split(' ')).args(["--metrics-file", "x.prom"]).envs(variables.iter().cloned());
        let _replaced = std::fs::remove_file(folder.path("x.prom"));
        let ended = Program::start(command, None, true).end();
        assert_eq!(ended.status, Some(status), "{line}: {}", ended.messages);
        let page = page(&folder);
        let (_, job) = page.split_once("run_in_progress{job=\"").expect("a job");
        job.split_once('"').expect("a label").0.to_owned()
    };
    assert_eq!(job_of("resume --yes --quota off", 0), "input.csv");
    assert_eq!(job_of(&format!("resume {run_id} --yes --quota off"), 0), "input.csv");
    assert_eq!(job_of(&format!("undo {run_id} --yes --quota off"), 0), "undo");
    assert_eq!(job_of("apply input.csv --yes --quota off --job nightly", 0), "nightly");
    assert_eq!(job_of("apply input.csv --sandbox --job nightly", 0), "sandbox-nightly");
}

#[cfg(unix)]
#[test]
fn metrics_go_into_no_file_with_another_purpose_and_a_folder_that_is_not_there_is_one_warning() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,").run().exits(0);
    folder.write_private("token", "ready-made\n");
    folder.write_private("address", "https://hc.example/x\n");
    for (target, link) in [
        ("input.csv", "input.prom"),
        ("input.results.csv", "results.prom"),
        ("state/tagfleet.sqlite3", "state.prom"),
        ("token", "token.prom"),
        ("address", "address.prom"),
    ] {
        std::os::unix::fs::symlink(folder.path(target), folder.path(link)).expect("our own directory");
    }
    folder.write("mine.prom", "# HELP mine x\nmine 1\n");
    let other = "hint: move it away, or name another file with --metrics-file";
    for (name, options, words) in [
        ("input.prom", "", "the metrics must not be written into the input input.prom"),
        ("results.prom", "", "the metrics must not be written into the results results.prom"),
        ("state.prom", "", "the metrics must not be written into a file of the state"),
        ("token.prom", "--token-file token", "the metrics must not be written into a file to sign in with token.prom"),
        ("address.prom", "--ping-url-file address", "into the file with the address to ping address.prom"),
        ("mine.prom", "", other),
        ("new.prom", "-o new.prom", "the metrics must not be written into the results new.prom"),
        ("new.prom", "--log-file new.prom", "the log must not be written into the metrics new.prom"),
        ("x.txt", "", "does not end in .prom"),
    ] {
        let before = folder.read(name);
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,").with(options);
        rehearsal.with(&format!("--metrics-file {name}")).run().exits(2).says(&[words]);
        if name != "new.prom" {
            assert_eq!(folder.read(name), before, "{name}");
        }
    }
    let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows("#1,A,Add,");
    let outcome = rehearsal.with("--metrics-file nowhere/x.prom").run().exits(0);
    assert_eq!(outcome.messages().matches("warning: cannot write metrics into nowhere/x.prom").count(), 1);
    assert_eq!(outcome.messages().lines().count(), 1, "{}", outcome.messages());
}

/// Runs Prometheus' own tool.
#[track_caller]
fn promtool(arguments: &[&str], input: Option<&str>) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(repository("samples/prometheus"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = command.spawn().expect("promtool");
    let mut pipe = tool.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut pipe, input.unwrap_or_default().as_bytes()).expect("a reader");
    drop(pipe);
    let output = tool.wait_with_output().expect("promtool");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    // What it finds in metrics it says, and calls some of it no error.
    assert!(input.is_none() || said.is_empty(), "{said}");
}

#[test]
fn prometheus_finds_nothing_wrong_with_pages_and_alerts() {
    if !has("promtool") {
        return;
    }
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    let job = "a\"b\\c{d}";
    let mut rehearsal = run(&sandbox, &folder, "#1,A,Add,\n#2,A,Add,", "").quota("100/1m,1500/1h").prepare();
    rehearsal.command.args(["--job", job]);
    assert_eq!(rehearsal.command.status().expect("the program").code(), Some(1));
    promtool(&["check", "metrics"], Some(&page(&folder)));
    run(&sandbox, &folder, "#1,A,Add,", "").only_verify().run().exits(0);
    promtool(&["check", "metrics"], Some(&page(&folder)));
    promtool(&["check", "rules", "tagfleet.rules.yml"], None);
    promtool(&["test", "rules", "tagfleet.test.yml"], None);
}

#[test]
fn manual_and_alerts_name_the_metrics_that_there_are() {
    let sandbox = Sandbox::holding(&[1]);
    let folder = Folder::new();
    let run = || run(&sandbox, &folder, "#1,A,Add,", "").quota("100/1m");
    run().run().exits(0);
    let applied = page(&folder);
    run().only_verify().run().exits(0);
    let pages = applied + &page(&folder);
    let read = |path: &str| std::fs::read_to_string(repository(path)).expect("a file of the repository");
    let names_in = |text: &str| -> BTreeSet<String> {
        let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        words.filter(|word| word.starts_with("tagfleet_")).map(str::to_owned).collect()
    };
    let names = names_in(&pages);
    assert_eq!(names_in(&read("src/help/metrics.md")), names);
    let rules = read("samples/prometheus/tagfleet.rules.yml");
    let alerted: BTreeSet<String> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).flat_map(names_in).collect();
    assert!(alerted.len() > 5 && alerted.is_subset(&names), "{alerted:?}");
    // The values of labels, too, but for numbers and versions; the statuses of rows have a topic of their own.
    let manual = read("src/help/metrics.md") + &read("src/help/results.md");
    let labels = pages.split("=\"").skip(1).filter_map(|rest| rest.split('"').next());
    for label in labels.filter(|label| label.chars().all(|it| it.is_ascii_lowercase() || it == '_')) {
        assert!(manual.contains(&format!("`{label}`")), "{label}");
    }
}
