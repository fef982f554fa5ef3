//! One command for several profiles, each with a sandbox for its tenant.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::machines::with_ids;
use crate::process::{Ended, Program};
use crate::profiles::profile;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::table::Table;
use crate::tenant::{Tenant, machine};

/// Two tenants, and a folder with their profiles `a` and `b` and an input.
struct Tenants {
    a: Sandbox,
    b: Sandbox,
    folder: Folder,
}

impl Tenants {
    fn new(of_b: &str, input: &str) -> Self {
        let (a, b, folder) = (Sandbox::start(""), Sandbox::start(of_b), Folder::new());
        let tenants = [profile("a", &a, "contoso", &folder), profile("b", &b, "fabrikam", &folder)];
        folder.write("c.toml", format!("[defaults]\nquota = \"off\"\nno-inventory = true\n{}", tenants.concat()));
        folder.write("input.csv", with_ids(input));
        Self { a, b, folder }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.folder.command();
        command.args(line.split_whitespace()).args(["--config", "c.toml"]);
        command
    }

    #[track_caller]
    fn run(&self, line: &str, status: i32) -> Ended {
        let ended = Program::start(self.command(line), None, true).end();
        let said = String::from_utf8_lossy(&ended.output).into_owned();
        assert_eq!(ended.status, Some(status), "{line}: {}\n{said}", ended.messages);
        assert!(!ended.messages.contains("panicked"), "{}", ended.messages);
        ended
    }

    #[track_caller]
    fn results(&self, name: &str) -> Table {
        let results = self.folder.read(name);
        Table::read(&results.unwrap_or_else(|| panic!("{:?}", self.folder.names())), ',')
    }
}

const ROW: &str = "machineId,tag,action\n#1,Tier 0,Add\n";

#[test]
fn each_tenant_gets_a_run_results_and_a_line_of_its_own() {
    let tenants = Tenants::new("", ROW);
    for jobs in ["1", "2"] {
        let ended = tenants.run(&format!("apply input.csv --all-profiles --yes --fresh --jobs {jobs}"), 0);
        assert_eq!((tenants.a.machine(1).tags, tenants.b.machine(1).tags.len()), (vec!["Tier 0".to_owned()], 1));
        let (a, b) = (tenants.results("input.a.results.csv"), tenants.results("input.b.results.csv"));
        assert_ne!(a.rows[0]["run_id"], b.rows[0]["run_id"]);
        assert!(ended.messages.contains("a: status 0, done") && ended.messages.contains("b: status 0, done"));
        let output = String::from_utf8(ended.output).expect("UTF-8");
        assert!(output.starts_with("a:\n") && output.contains("\nb:\n"), "{output}");
        let lines = ended.messages.lines();
        assert!(lines.clone().all(|line| line.starts_with("a: ") || line.starts_with("b: ")), "{}", ended.messages);
    }
}

#[test]
fn the_object_has_one_for_each_and_the_status_is_the_gravest() {
    let tenants = Tenants::new("--fault redirect=100%", ROW);
    let ended = tenants.run("apply input.csv --profile b,a --yes --json --jobs 2", 4);
    let object: Value = serde_json::from_slice(&ended.output).expect("one object");
    let of = |profile: &str| &object["profiles"][profile];
    assert_eq!((&of("a")["exit_status"], &of("b")["exit_status"]), (&0.into(), &4.into()), "{object}");
    assert_eq!((&object["exit_status"], &object["ended"]), (&4.into(), &"refused".into()));
    assert!(object["reason"].as_str().is_some_and(|reason| reason.starts_with("b: ")), "{object}");
    assert_eq!(of("a")["status"]["succeeded"], 1);
}

#[test]
fn rows_go_to_the_tenant_that_they_name_and_those_of_nobody_refuse_the_file() {
    let rows = "machineId,tag,action,Tenant ID\n#1,One,Add,contoso\n#2,Two,Add,FABRIKAM\n#3,Three,Add,b\n";
    let tenants = Tenants::new("", rows);
    let verdict = tenants.run("apply input.csv --profile a --yes", 0);
    assert!(verdict.messages.contains("1 of 3 rows selected"), "{}", verdict.messages);
    assert_eq!(tenants.results("input.results.csv").rows.len(), 1);
    tenants.run("apply input.csv --all-profiles --yes", 0);
    let tags = |sandbox: &Sandbox| [1, 2, 3].map(|machine| sandbox.machine(machine).tags.concat());
    assert_eq!(
        (tags(&tenants.a), tags(&tenants.b)),
        (["One", "", ""].map(str::to_owned), ["", "Two", "Three"].map(str::to_owned))
    );
    let rows: Vec<usize> =
        ["a", "b"].map(|name| tenants.results(&format!("input.{name}.results.csv")).rows.len()).into();
    assert_eq!(rows, [1, 2]);
    tenants
        .folder
        .write("input.csv", with_ids("machineId,tag,action,tenant\n#4,X,Add,contoso\n#5,X,Add,adatum\n#6,X,Add,\n"));
    for line in
        ["apply input.csv --all-profiles --yes", "plan input.csv --all-profiles", "verify input.csv --profile a"]
    {
        let refused = tenants.run(line, 3);
        assert!(
            refused.messages.contains("row 2, line 3: no profile is for the tenant \"adatum\""),
            "{}",
            refused.messages
        );
        assert!(refused.messages.contains("row 3, line 4: the tenant is missing"), "{}", refused.messages);
    }
    assert_eq!(tags(&tenants.a).concat() + &tenants.a.machine(4).tags.concat(), "One", "nothing was sent");
}

#[test]
fn without_a_profile_rows_of_another_tenant_are_not_applied_to_this_one() {
    let tenant = Tenant::of([1, 2].map(machine));
    let server = tenant.serve();
    let [own, other] = ["5a5a0000-0000-4000-8000-000000000001", "5a5a0000-0000-4000-8000-000000000002"];
    let file = with_ids(&format!("machineId,tag,action,tenant\n#1,One,Add,{own}\n#2,Two,Add,{other}\n"));
    let run = || Rehearsal::at_stand_in(&server).planned().file(file.clone()).variable("AZURE_TENANT_ID", own);
    let words = format!("row 2, line 3: the row is for the tenant \"{other}\"");
    run().only_plan().run().exits(3).says(&[&words, "--accept other-tenants"]);
    run().run().exits(3).says(&[&words]);
    assert_eq!(server.writes(), 0);
    assert_eq!(run().with("--skip-invalid").run().exits(1).statuses(), ["succeeded", "invalid"]);
    assert_eq!(tenant.holds(2).0, Vec::<String>::new());
    run().with("--accept other-tenants").run().exits(0).says(&["--accept other-tenants allows 1 row"]);
    assert_eq!(tenant.holds(2).0, ["Two"]);
}

#[test]
fn what_is_for_one_profile_is_refused_before_any_call() {
    let tenants = Tenants::new("", ROW);
    for (line, said) in [
        ("apply input.csv --all-profiles", "cannot ask for confirmation for several profiles"),
        ("apply - --all-profiles --yes", "standard input can be read for one profile only"),
        ("verify input.csv --all-profiles -o -", "the rows of several profiles cannot all go to standard output"),
        ("verify input.csv --all-profiles -o /dev/stdout", "the rows of several profiles cannot all go to /dev/stdout"),
        ("inventory --all-profiles", "the machines of several profiles cannot all go to standard output"),
        ("undo 20261126-220000-k3x9q2 --all-profiles --yes", "a run is of one tenant"),
        ("report 20261126-220000-k3x9q2 --all-profiles", "a run is of one tenant"),
    ] {
        let refused = tenants.run(line, 2);
        assert!(refused.messages.contains(said), "{line}: {}", refused.messages);
    }
    tenants.a.end().are_all_nought();
    tenants.b.end().are_all_nought();
}

#[test]
fn whatever_is_written_has_the_profile_in_its_name() {
    let tenants = Tenants::new("", ROW);
    tenants.run(
        "apply input.csv --all-profiles --yes -o rows.csv --metrics-file m.prom --log-file l.log --report r.html -v",
        0,
    );
    for name in ["rows.a.csv", "rows.b.csv", "m.a.prom", "m.b.prom", "l.a.log", "l.b.log", "r.a.html", "r.b.html"] {
        assert!(
            tenants.folder.read(name).is_some_and(|bytes| !bytes.is_empty()),
            "{name}: {:?}",
            tenants.folder.names()
        );
    }
    let metrics = String::from_utf8(tenants.folder.read("m.b.prom").expect("metrics")).expect("UTF-8");
    assert!(metrics.contains("{job=\"input.csv.b\"}"), "{metrics}");
    tenants.run("inventory --all-profiles -o machines.csv", 0);
    assert!(tenants.folder.read("machines.a.csv").is_some() && tenants.folder.read("machines.b.csv").is_some());
    let settings = tenants.run("config --profile b,a --json", 0);
    let object: Value = serde_json::from_slice(&settings.output).expect("one object");
    assert_eq!((&object["profiles"]["a"]["profile"], &object["profiles"]["b"]["profile"]), (&"a".into(), &"b".into()));
}

#[test]
fn lines_that_are_objects_say_whose_they_are() {
    let tenants = Tenants::new("", ROW);
    let ended = tenants.run("apply input.csv --all-profiles --yes --log-format json -v", 0);
    let profiles: Vec<Value> = ended
        .messages
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .map(|line| line["profile"].clone())
        .collect();
    assert!(profiles.contains(&"a".into()) && profiles.contains(&"b".into()), "{}", ended.messages);
}

#[test]
fn a_deadline_counts_from_the_beginning_of_the_whole() {
    let tenants = Tenants::new("", ROW);
    // As a process is started whose turn came late.
    let line = "--only-profile=a --begun-at=2026-01-01T00:00:00Z apply input.csv --all-profiles --yes --deadline 1h";
    tenants.run(line, 5);
    tenants.a.end().are_all_nought();
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_those_that_run_in_order_and_begins_no_other() {
    use rustix::process::Signal;
    // A place in the quota comes only after an hour, so the first of them waits.
    let tenants = Tenants::new("", "machineId,tag,action\n#1,A,Add\n#2,A,Add\n#3,A,Add\n");
    let line = "apply input.csv --all-profiles --yes --no-bulk --quota 1/1h";
    let program = Program::start(tenants.command(line), None, true);
    crate::process::wait_until(|| tenants.a.machines().values().any(|machine| !machine.tags.is_empty()));
    program.signal(Signal::INT);
    let ended = program.end();
    assert_eq!(ended.status, Some(5), "{}", ended.messages);
    assert!(ended.messages.contains("b: not started"), "{}", ended.messages);
    let output = String::from_utf8_lossy(&ended.output);
    assert!(output.contains("Next: tagfleet resume ") && output.contains(" --profile a --config c.toml"), "{output}");
    let results = tenants.results("input.a.results.csv");
    let count = |status: &str| results.column("status").iter().filter(|cell| **cell == status).count();
    assert_eq!((count("succeeded"), count("not_attempted")), (1, 2));
    assert!(tenants.folder.read("input.b.results.csv").is_none());
}

#[test]
fn a_standard_output_that_takes_nothing_leaves_no_tenant_out() {
    let tenants = Tenants::new("", ROW);
    let script = "exec $TAGFLEET apply input.csv --all-profiles --yes --config c.toml >/dev/full";
    let ended = crate::environments::by_shell(&tenants.folder, script);
    assert_eq!(ended.status, Some(7), "{}", ended.messages);
    for part in ["a: status 0, done", "b: status 0, done", "cannot write to standard output"] {
        assert!(ended.messages.contains(part), "{part}: {}", ended.messages);
    }
    assert_eq!((tenants.a.machine(1).tags.len(), tenants.b.machine(1).tags.len()), (1, 1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_suspended_process_hears_an_interrupt_as_well() {
    use rustix::process::{Pid, Signal, kill_process};
    let tenants = Tenants::new("", "machineId,tag,action\n#1,A,Add\n#2,A,Add\n#3,A,Add\n");
    let line = "apply input.csv --all-profiles --yes --no-bulk --quota 1/1h";
    let program = Program::start(tenants.command(line), None, true);
    crate::process::wait_until(|| tenants.a.machines().values().any(|machine| !machine.tags.is_empty()));
    let id = program.id();
    let children = (std::fs::read_dir(format!("/proc/{id}/task")).expect("threads").flatten())
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .collect::<String>();
    let child = children.split_whitespace().next().and_then(|id| Pid::from_raw(id.parse().ok()?)).expect("a child");
    kill_process(child, Signal::STOP).expect("ours");
    program.signal(Signal::INT);
    let ended = program.end();
    assert_eq!(ended.status, Some(5), "{}", ended.messages);
    assert!(tenants.folder.read("input.a.results.csv").is_some());
}

#[test]
fn no_secret_of_one_tenant_is_an_argument_or_stands_in_a_file() {
    let tenants = Tenants::new("", ROW);
    let canary = "canary~Tweety.1942_in-a-cage";
    let elsewhere = Folder::new();
    elsewhere.write_private("secret", canary);
    let settings = String::from_utf8(tenants.folder.read("c.toml").expect("settings")).expect("UTF-8");
    let path = elsewhere.path("secret").display().to_string();
    tenants.folder.write("c.toml", settings.replace("\"a.secret\"", &format!("\"{path}\"")));
    let ended = tenants.run("apply input.csv --all-profiles --yes --jobs 2 -vv", 0);
    assert_eq!(tenants.folder.files_holding(canary), Vec::<PathBuf>::new());
    assert!(!ended.messages.contains(canary) && !String::from_utf8_lossy(&ended.output).contains(canary));
}

#[test]
fn a_check_of_several_profiles_judges_the_names_that_their_runs_write() {
    let tenants = Tenants::new("", ROW);
    let settings = String::from_utf8(tenants.folder.read("c.toml").expect("settings")).expect("UTF-8");
    let names = "[defaults]\noutput = \"x.csv\"\nmetrics-file = \"x.prom\"\n";
    tenants.folder.write("c.toml", settings.replacen("[defaults]\n", names, 1));
    for (foreign, status) in [("x.csv", 0), ("x.prom", 0), ("x.a.csv", 7), ("x.b.prom", 2)] {
        tenants.folder.write(foreign, "my notes\n");
        let checked = Program::start(tenants.command("check --all-profiles"), None, true).end();
        let told = String::from_utf8_lossy(&checked.output).into_owned();
        assert_eq!(told.contains("× configuration"), status != 0, "{foreign}: {told}");
        tenants.run("apply input.csv --all-profiles --yes", status);
        std::fs::remove_file(tenants.folder.path(foreign)).expect("our own file");
    }
}
