//! `--where`: which rows of a file are rows of the run, by their own cells and by what the tenant shows of their machines.

use crate::machines::{id, with_ids};
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::stand_in::StandIn;
use crate::tenant::{Tenant, machine};

/// Orders with a column of their own to select by; rows 3 and 6 are in error.
const ORDERS: &str = "machineId,tag,action,value,site,seen\n\
                      #1,A,Add,,ber,2026-01-05\n\
                      #2,A,Add,,muc,never\n\
                      #3,A,Sometimes,,ber,2026-01-07\n\
                      #4,A,Add,,ber,2026-03-01\n\
                      #5,B,Add,High,muc,\n\
                      nobody's,A,Remove,,par,2026-03-02\n";

fn orders() -> Rehearsal {
    Rehearsal::new().file(with_ids(ORDERS))
}

#[track_caller]
fn refused(filter: &str, words: &[&str]) -> Outcome {
    let outcome = orders().option("--where", filter).run().exits(2).says(words);
    assert_eq!(outcome.folder().names(), ["input.csv"], "{filter}");
    outcome
}

#[test]
fn rows_that_are_not_selected_are_no_rows_of_the_run_and_the_others_keep_their_numbers() {
    let outcome = orders().option("--where", "site == 'ber' and seen > datetime(2026-02-01) or site == 'muc'").run();
    let outcome = outcome.exits(0).says(&["note: input.csv: 3 of 6 rows selected\n"]);
    assert!(outcome.output().contains(" is finished: 3 of 6 rows selected.\n"), "{}", outcome.output());
    let results = outcome.results();
    assert_eq!(results.column("row"), ["2", "4", "5"]);
    assert_eq!(results.column("machineId"), [2, 4, 5].map(id));
    assert_eq!(outcome.statuses(), ["succeeded"; 3]);
    assert_eq!(outcome.sandbox().machines().len(), 3, "nobody else was called");
    assert_eq!(outcome.sandbox().machine(5).value, "High");
}

#[test]
fn a_selected_row_in_error_refuses_the_file_and_can_be_skipped_with_its_own_number() {
    let ber = || orders().option("--where", "site == 'ber'");
    ber().run().exits(3).says(&["error: input.csv: row 3, line 4", "input.csv has 1 row of 3 in error"]);
    let outcome = ber().with("--skip-invalid --json").run().exits(1);
    let results = outcome.results();
    assert_eq!(results.column("row"), ["1", "3", "4"]);
    assert_eq!(outcome.statuses(), ["succeeded", "invalid", "succeeded"]);
    assert_eq!(results.column("error_code"), ["", "unknown_action", ""]);
    let summary = outcome.summary();
    assert_eq!((&summary["rows"], &summary["status"]["invalid"]), (&3.into(), &1.into()));
    assert_eq!(summary["causes"][0]["first_row"], 3);
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(2), "the row to mend, and the header");
}

#[test]
fn nothing_selected_is_done_and_a_file_without_rows_is_not() {
    let outcome = orders().option("--where", "site == 'rom'").with("--json").run().exits(0);
    assert_eq!(outcome.summary()["rows"], 0);
    assert_eq!(outcome.results().rows.len(), 0);
    let empty = Rehearsal::new().file("machineId,tag,action,site\n").option("--where", "site == 'rom'");
    empty.run().exits(3).says(&["a header and no rows"]);
}

#[test]
fn a_filter_that_is_none_is_refused_with_its_place_before_anything_is_written() {
    refused(" // nothing", &["error: --where, ", "the filter is empty"]);
    refused(
        "sote == 'ber'",
        &[
            "error: --where, line 1, column 1: unknown column \"sote\"\n    sote == 'ber'\n    ^^^^\n",
            "did you mean site? the columns are machineId, tag, action, value, site, seen",
        ],
    );
    refused("site == 'ber' and", &["column 18: expected", "site == 'ber' and\n"]);
    refused("site matches regex '(a{1000}){1000}'", &["the regular expression is too large"]);
    refused("list.site == 'ber'", &["unknown column \"list.site\"", "there are no columns of that kind"]);
    let both = orders().option("--where", "site == 'ber'").option("--where-file", "x.kql");
    both.run().exits(2).says(&["cannot be used with"]);
    orders().option("--where-file", "missing.kql").run().exits(2).says(&["missing.kql cannot"]);
}

#[test]
fn a_filter_stands_in_a_file_which_no_output_takes_the_place_of() {
    let folder = Folder::new();
    folder.write("ber.kql", "\u{feff}// Berlin\nsite == 'ber' // only\n  and action == 'Add'\n");
    let outcome = orders().in_folder(&folder).option("--where-file", "ber.kql").run().exits(0);
    assert_eq!(outcome.results().column("row"), ["1", "4"]);
    let onto = orders().in_folder(&folder).option("--where-file", "ber.kql").with("-o ber.kql");
    onto.run().exits(2).says(&["the file of the filter"]);
    folder.write("broken.kql", "site == 'ber'\n  and sote == 'x'\n");
    let broken = orders().in_folder(&folder).option("--where-file", "broken.kql");
    broken.run().exits(2).says(&["error: broken.kql, line 2, column 7: unknown column \"sote\""]);
}

#[test]
fn cells_that_cannot_be_read_as_the_filter_needs_them_are_counted() {
    let outcome = orders().option("--where", "seen < datetime(2026-01-06)").run().exits(0);
    let outcome = outcome.says(&[
        "note: input.csv: 2 cells are not a date in seen, so the filter's comparisons with them are false; 1 is empty, and \
         the first other is \"never\"",
    ]);
    assert_eq!(outcome.results().column("row"), ["1"]);
}

#[test]
fn a_faulty_record_cannot_hide_behind_the_filter() {
    let file = with_ids("machineId,tag,action,site\n#1,A,Add,ber\n#2,\"A\" x,Add,muc\n#3,A,Add,muc,ber\n");
    let outcome = Rehearsal::new().file(file).option("--where", "site == 'ber'").run().exits(3);
    outcome.says(&["row 2, line 3: ", "row 3, line 4: "]);
}

#[test]
fn plan_and_verify_take_the_same_rows() {
    let tenant = Tenant::of((1..=5).map(|number| machine(number).tagged(if number == 4 { "A" } else { "Z" })));
    let server = tenant.serve();
    let filter = "tag == 'A' and action == 'Add'";
    let at = || Rehearsal::at_stand_in(&server).file(with_ids(ORDERS)).option("--where", filter);
    let plan = at().only_plan().run().exits(0);
    assert!(plan.output().starts_with("Plan for input.csv, 3 of 6 rows selected, on "), "{}", plan.output());
    let verify = at().only_verify().with("-o found.csv").run().exits(10);
    assert!(verify.output().starts_with("input.csv: 3 of 6 rows selected:"), "{}", verify.output());
    let found = String::from_utf8(verify.folder().read("found.csv").expect("the rows")).expect("UTF-8");
    assert_eq!(found.lines().count(), 1 + 3, "{found}");
    assert!(found.contains(",4,holds,") && found.contains(",1,differs,") && found.contains(",2,differs,"), "{found}");
}

/// A tenant to select by.
fn tenant() -> Tenant {
    Tenant::of([
        machine(1).named("web1.contoso.example").running("Linux").in_group("Servers"),
        machine(2).named("web2.contoso.example").running("Windows11"),
        machine(3).named("db.contoso.example").running("Linux").tagged("Old"),
        machine(4).named("pc4.contoso.example").running("Windows11").tagged("Old"),
    ])
}

const NAMED: &str = "Device Name,tag,action\nweb1,A,Add\nweb2.contoso.example,A,Add\nDB,A,Add\nghost,A,Add\n";

fn named(server: &StandIn) -> Rehearsal {
    Rehearsal::at_stand_in(server).planned().file(NAMED)
}

#[test]
fn the_tenant_says_of_machines_what_the_file_does_not() {
    let tenant = tenant();
    let server = tenant.serve();
    for (filter, rows) in [
        ("machine.osPlatform == 'Linux'", &["1", "3"][..]),
        ("Machine.['OS Platform'] == 'linux' or machine.rbac_group_name == 'servers'", &[]),
        ("machine.rbacGroupName == 'Servers'", &["1"]),
        // Of a machine that the tenant does not have, nobody knows anything, whatever is asked.
        ("not(machine.osPlatform == 'Linux')", &["2"]),
        ("isempty(machine.machineTags) or ['Device Name'] == 'ghost'", &["1", "2", "4"]),
        ("set_has_element(machine.machineTags, 'Old')", &["3"]),
    ] {
        let outcome = named(&server).only_verify().option("--where", filter).with("-o found.csv").run();
        let found = crate::table::Table::read(&outcome.folder().read("found.csv").expect("the rows"), ',');
        assert_eq!(found.column("row"), rows, "{filter}: {}", outcome.messages());
        let is_told = outcome
            .messages()
            .contains("not selected 1 row that names a machine of which the tenant's list shows no field, on line 5");
        assert_eq!(is_told, !rows.contains(&"4"), "{filter}: {}", outcome.messages());
    }
    let lists = |server: &StandIn| server.requests().iter().filter(|it| it.path.contains("/machines?")).count();
    let before = lists(&server);
    let outcome = named(&server).option("--where", "machine.osPlatform == 'Linux'").run().exits(0);
    assert_eq!(outcome.results().column("row"), ["1", "3"]);
    assert_eq!(lists(&server), before + 1, "the machines are read once, for the filter and for the plan");
    assert_eq!((tenant.holds(1).0, tenant.holds(2).0), (vec!["A".to_owned()], Vec::new()));
    let unknown = named(&server).option("--where", "machine.platform == 'Linux'").run().exits(2);
    unknown.says(&["unknown column \"machine.platform\"", "machine.osPlatform, machine.osVersion"]);
    named(&server).option("--where", "machine.id == 'x'").with("--no-inventory").run().exits(2);
    let sandbox = Rehearsal::at_nobody().planned().file(NAMED).option("--where", "machine.machineId == 'x'");
    sandbox.with("--sandbox").run().exits(2).says(&["--base-url"]);
}

#[test]
fn the_same_command_goes_on_with_the_rows_that_it_selected() {
    let tenant = tenant();
    let folder = Folder::new();
    let by_tags = |server: &StandIn| {
        let rows = NAMED.replace("ghost", "pc4");
        let run = Rehearsal::at_stand_in(server).planned().file(rows).in_folder(&folder).with("--no-bulk --json");
        run.option("--where", "machine.machineTags !contains 'A'")
    };
    // The second of four is refused for good, and with it the run ends.
    let stops = tenant.serve_unless({
        let writes = std::sync::atomic::AtomicU32::new(0);
        move |request| {
            let is_write = request.path.ends_with("/tags");
            let is_late = is_write && writes.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0;
            is_late.then(|| crate::stand_in::Reply::json(401, crate::tenant::error("Unauthorized", "no")))
        }
    });
    let first = by_tags(&stops).with("--concurrency 1").run();
    assert_ne!(first.status(), Some(0));
    let run = first.summary()["run_id"].as_str().expect("a run").to_owned();
    assert_eq!((first.summary()["rows"].clone(), first.summary()["status"]["succeeded"].clone()), (4.into(), 1.into()));
    let server = tenant.serve();
    let again = by_tags(&server).run().exits(0).says(&[&format!("Run {run} of the same command is unfinished")]);
    assert_eq!((again.summary()["run_id"].clone(), again.summary()["rows"].clone()), (run.into(), 4.into()));
    assert_eq!(again.statuses(), ["succeeded"; 4]);
    assert!(!again.messages().contains("rows selected"), "it is not what is selected now: {}", again.messages());
    let third = by_tags(&server).run().exits(0).says(&["0 of 4 rows selected"]);
    assert_eq!(third.summary()["rows"], 0, "a new run, for which nothing is left");
}
