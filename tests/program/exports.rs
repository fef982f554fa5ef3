//! Lists of machines with a change on the command line: exports as they are, the tenant's own list, workbooks.

use std::io::{Cursor, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::machines::{id, with_ids};
use crate::process::{Ended, Program};
use crate::rehearsal::{Folder, Rehearsal};
use crate::stand_in::{Reply, StandIn};
use crate::table::Table;
use crate::tenant::{Tenant, error, machine};

/// The portal's columns, with some of the user's own that look like orders.
const PORTAL: &str = "Device ID,Device Name,OS Platform,Tags,Health Status,tag,Action,Device Value\n\
                      #1,web1.contoso.example,WindowsServer2022,\"Old, PCI\",Active,Nonsense,Explode,Tiny\n\
                      #2,web2.contoso.example,Windows11,,Active,,,\n\
                      #3,db.contoso.example,WindowsServer2019,Old,Inactive,,,\n\
                      #1,web1.contoso.example,WindowsServer2022,\"Old, PCI\",Active,Other,,Low\n";

/// The machines of that export.
fn tenant() -> Tenant {
    Tenant::of([
        machine(1).named("web1.contoso.example").running("WindowsServer2022").tagged("Old").tagged("PCI"),
        machine(2).named("web2.contoso.example").running("Windows11"),
        machine(3).named("db.contoso.example").running("WindowsServer2019").tagged("Old"),
    ])
}

/// A command over the portal's export.
fn portal(server: &StandIn) -> Rehearsal {
    Rehearsal::at_stand_in(server).planned().file(with_ids(PORTAL))
}

/// A command in this folder, without a quota.
#[track_caller]
fn tagfleet(server: &StandIn, folder: &Folder, arguments: &[&str], status: i32) -> Ended {
    let mut command = folder.command();
    command.envs(server.variables()).args(arguments).args(["--quota", "off"]);
    let ended = Program::start(command, None, true).end();
    assert_eq!(ended.status, Some(status), "{}", ended.messages);
    ended
}

#[test]
fn every_selected_row_asks_for_what_the_command_line_says_and_its_own_orders_are_carried_along() {
    let tenant = tenant();
    let server = tenant.serve();
    let change = |run: Rehearsal| {
        let run = run.option("--where", "OSPlatform startswith 'WindowsServer'").option("--add", "Tier 1");
        run.with("--add New --remove Old --set-value high")
    };
    let plan = change(portal(&server).only_plan()).with("--json").run().exits(0);
    assert_eq!((&plan.summary()["rows"], &plan.summary()["changes"]), (&json!(3), &json!(8)));
    let outcome = change(portal(&server)).run().exits(0).says(&["note: input.csv: 3 of 4 rows selected"]);
    let results = outcome.results();
    assert_eq!(results.column("row"), ["1", "3", "4"]);
    assert_eq!(results.column("Device Value"), ["Tiny", "", "Low"]);
    assert_eq!(results.column("Action"), ["Explode", "", ""]);
    assert_eq!(outcome.statuses(), ["succeeded"; 3]);
    assert_eq!(tenant.holds(1), (["New", "PCI", "Tier 1"].map(str::to_owned).to_vec(), "High".to_owned()));
    assert_eq!(tenant.holds(3), (["New", "Tier 1"].map(str::to_owned).to_vec(), "High".to_owned()));
    assert_eq!(tenant.holds(2).0, Vec::<String>::new());
    let before = server.writes();
    let verify = change(portal(&server).only_verify()).with("--json").run().exits(0);
    assert_eq!(verify.summary()["holds"], 3);
    let again = change(portal(&server)).run().exits(0);
    assert_eq!((again.statuses(), server.writes()), (vec!["unchanged".to_owned(); 3], before), "nothing is left to do");
}

#[test]
fn what_makes_no_sense_is_refused_before_the_file_is_read() {
    let server = tenant().serve();
    for (options, status, says) in [
        ("--add A", 2, "nothing says which rows the changes on the command line are for"),
        ("--all", 2, "--all takes all rows, and nothing says what for"),
        ("--all --add A --remove A", 2, "--add \"A\" and --remove \"A\" contradict each other"),
        ("--all --add A --remove a", 2, "contradict each other"),
        ("--all --set-value Mid", 2, "\"Mid\" is not Low, Normal or High"),
        ("--all --add A --where x=='1'", 2, "cannot be used with"),
        ("--all --add A --tag-separator ;", 2, "cannot be used with"),
        ("--all --add a;b", 3, "or allow it with --accept odd-tags"),
        ("--all --add A --add a", 3, "--accept case-variants"),
        ("--all --add A --sheet Devices", 3, "--sheet names a worksheet, and the input is no workbook"),
        ("--where Nobody=='1' --add A", 2, "unknown column \"Nobody\""),
    ] {
        portal(&server).with(options).run().exits(status).says(&[says]);
        portal(&server).only_plan().with(options).run().exits(status);
        portal(&server).only_verify().with(options).run().exits(status);
    }
    portal(&server).with("--all --add a;b --accept odd-tags").only_plan().run().exits(0);
    let folder = Folder::new();
    for arguments in [&["plan", "@tenant"][..], &["plan", "@tenant", "--all"], &["plan", "@tenant", "--add", "A"]] {
        tagfleet(&server, &folder, arguments, 2);
    }
    tagfleet(&server, &folder, &["plan", "@tenant", "--all", "--add", "A", "--no-inventory"], 2);
    // A file that is somebody else's is found first, too.
    folder.write("notes.csv", "mine");
    let asked = server.requests().len();
    tagfleet(&server, &folder, &["apply", "@tenant", "--all", "--add", "A", "--yes", "-o", "notes.csv"], 7);
    assert_eq!(server.requests().len(), asked, "before the list is read");
    // What to do comes before whether.
    let nothing_to_do = tagfleet(&server, &folder, &["apply", "@tenant", "--where", "true"], 2);
    assert!(nothing_to_do.messages.contains("not what for"), "{}", nothing_to_do.messages);
    let nameless = Rehearsal::at_stand_in(&server).file("Owner,Tags\nx,y\n").with("--all --add A").run().exits(3);
    nameless.says(&["has no machine column", "it needs a machine column (machineId"]);
    assert_eq!(server.writes(), 0);
}

#[test]
fn rows_in_error_are_those_that_name_no_machine_and_are_not_fed_back_as_orders() {
    let server = tenant().serve();
    let file = with_ids("Device ID,tag,action\n#1,X,Remove\n5.5E+39,X,Remove\n,X,Remove\n");
    let run = || Rehearsal::at_stand_in(&server).planned().file(file.clone()).with("--all --add A");
    run().run().exits(3).says(&["row 2, line 3", "row 3, line 4", "2 rows of 3 in error"]);
    let outcome = run().with("--skip-invalid --json").run().exits(1);
    assert_eq!(outcome.statuses(), ["succeeded", "invalid", "invalid"]);
    // To apply these rows as they stand would remove a tag.
    assert_eq!(outcome.summary()["next"], Value::Null);
    assert_eq!(outcome.failed().map(|failed| failed.lines().count()), Some(3));
}

#[test]
fn what_a_machine_is_called_is_no_row_of_the_tenants_list() {
    let like_a_row = format!("x\n{},T,Add", id(1));
    let tenant = Tenant::of([machine(1), machine(2).named(&like_a_row)]);
    let (server, folder) = (tenant.serve(), Folder::new());
    let ended = tagfleet(&server, &folder, &["apply", "--yes", "--json", "@tenant", "--all", "--add", "Triage"], 0);
    assert_eq!(ended.object()["status"]["succeeded"], 2, "{}", ended.messages);
    assert_eq!(server.writes(), 1, "one bulk call for both");
}

#[test]
fn the_tenants_own_list_is_read_selected_changed_and_taken_back() {
    let tenant = tenant();
    let (server, folder) = (tenant.serve(), Folder::new());
    let change = ["@tenant", "--where", "isempty(machineTags)", "--add", "Triage", "--set-value", "High"];
    let plan = tagfleet(&server, &folder, &[&["plan"], &change[..]].concat(), 0);
    let text = String::from_utf8_lossy(&plan.output).into_owned();
    assert!(text.starts_with("Plan for @tenant, 1 of 3 rows selected, 2 operations, on "), "{text}");
    let applied = tagfleet(&server, &folder, &[&["apply", "--yes", "--json"], &change[..]].concat(), 0);
    let told = applied.object();
    assert_eq!(
        (&told["input"], &told["rows"], &told["results"]),
        (&json!("@tenant"), &json!(1), &json!("tenant.results.csv"))
    );
    let results = Table::read(&folder.read("tenant.results.csv").expect("results"), ',');
    assert_eq!(results.column("row"), ["2"]);
    assert_eq!(results.column("computerDnsName"), ["web2.contoso.example"]);
    assert_eq!(results.header[..4], ["machineId", "computerDnsName", "lastSeen", "firstSeen"]);
    assert_eq!(tenant.holds(2), (vec!["Triage".to_owned()], "High".to_owned()));
    // The list that was read for the rows is that of the plan.
    let lists = server.requests().iter().filter(|request| request.path.contains("/machines?")).count();
    assert_eq!(lists, 2);
    let before = server.writes();
    let again = tagfleet(&server, &folder, &[&["apply", "--yes", "--json"], &change[..]].concat(), 0).object();
    assert_eq!((&again["rows"], server.writes()), (&json!(0), before), "nothing is left to select");
    let run = told["run_id"].as_str().expect("a run");
    tagfleet(&server, &folder, &["undo", run, "--yes"], 0);
    assert_eq!(tenant.holds(2), (Vec::new(), "Normal".to_owned()));
}

#[test]
fn a_run_over_the_tenants_list_keeps_its_selection_when_it_was_killed() {
    let tenant = tenant();
    let folder = Folder::new();
    let change =
        ["apply", "@tenant", "--where", "machineTags !contains 'A'", "--add", "A", "--yes", "--json", "--no-bulk"];
    for way in ["again", "resume"] {
        let folder = Folder::new();
        let tenant = self::tenant();
        let writes = AtomicU32::new(0);
        // The second write is never answered.
        let silent = tenant.serve_unless(move |request| {
            let is_late = request.path.ends_with("/tags") && writes.fetch_add(1, Ordering::SeqCst) > 0;
            is_late.then_some(Reply::Silence)
        });
        let mut command = folder.command();
        command.envs(silent.variables()).args(change).args(["--quota", "off", "--concurrency", "1"]);
        let program = Program::start(command, None, true);
        silent.waits_for_requests(3);
        drop(program);
        assert_eq!(tenant.holds(1).0.len() + tenant.holds(2).0.len() + tenant.holds(3).0.len(), 3 + 1, "one is done");
        let server = tenant.serve();
        let arguments = if way == "again" { change.to_vec() } else { vec!["resume", "--yes", "--json"] };
        let told = tagfleet(&server, &folder, &arguments, 0).object();
        assert_eq!((&told["rows"], &told["status"]["succeeded"]), (&json!(3), &json!(3)), "{way}");
        for number in 1..=3 {
            assert!(tenant.holds(number).0.contains(&"A".to_owned()), "{way}");
        }
        let last = tagfleet(&server, &folder, &change, 0).object();
        assert_eq!(last["rows"], 0, "{way}: a new run, for which nothing is left");
    }
    // Another change of the same list is another run.
    let refuses = tenant
        .serve_unless(|request| (request.method == "POST").then(|| Reply::json(401, error("Unauthorized", "no"))));
    let mut command = folder.command();
    command.envs(refuses.variables()).args(change).args(["--quota", "off"]);
    assert_ne!(Program::start(command, None, true).end().status, Some(0));
    let server = tenant.serve();
    let other =
        ["apply", "@tenant", "--where", "machineTags !contains 'A'", "--add", "B", "--yes", "--json", "--no-bulk"];
    let told = tagfleet(&server, &folder, &other, 0).object();
    assert_eq!((&told["rows"], tenant.holds(2).0), (&json!(3), vec!["B".to_owned()]));
}

#[test]
fn the_sandbox_makes_up_a_list_where_the_tenants_own_is_asked_for() {
    let folder = Folder::new();
    let plan =
        folder.run(&["plan", "@tenant", "--sandbox", "--where", "osPlatform == 'Linux'", "--add", "A", "--json"]);
    assert_eq!(plan.status, Some(0), "{}", plan.messages);
    assert!(plan.object()["rows"].as_u64().is_some_and(|rows| (1..1000).contains(&rows)), "{}", plan.messages);
}

/// Intune's list: its own ids, and those of Entra beside them.
const INTUNE: &str = "Device ID,Device name,Ownership,OS,Azure AD Device ID\n\
    10000000-0000-4000-8000-000000000001,WEB1,Corporate,Windows,20000000-0000-4000-8000-000000000001\n\
    10000000-0000-4000-8000-000000000002,WEB2,Personal,Windows,20000000-0000-4000-8000-000000000002\n\
    10000000-0000-4000-8000-000000000003,DB,Corporate,Windows,20000000-0000-4000-8000-000000000003\n";

#[test]
fn of_several_columns_of_guids_the_one_counts_whose_ids_the_tenant_knows() {
    let tenant = Tenant::of([
        machine(1).running("Windows11").of_device("20000000-0000-4000-8000-000000000001"),
        machine(2).running("Windows11").of_device("20000000-0000-4000-8000-000000000002"),
        machine(3).running("Linux").of_device("20000000-0000-4000-8000-000000000003"),
    ]);
    let server = tenant.serve();
    let note = "the tenant knows no id in the column \"Device ID\", so \"Azure AD Device ID\" names the machines";
    let intune = || Rehearsal::at_stand_in(&server).planned().file(INTUNE);
    let outcome = intune().with("--where Ownership=='Corporate' --add A").run().exits(0).says(&[note]);
    assert_eq!(outcome.statuses(), ["succeeded"; 2]);
    assert_eq!([1, 2, 3].map(|number| tenant.holds(number).0.len()), [1, 0, 1]);
    // So does a filter that asks for what the tenant shows of the machines.
    let outcome = intune().with("--where machine.osPlatform=='Linux' --add B").run().exits(0).says(&[note]);
    assert_eq!(outcome.results().column("row"), ["3"]);
    assert_eq!(tenant.holds(3).0, ["A", "B"]);
    let verify = intune().only_verify().with("--all --add A --json").run().exits(10);
    assert_eq!((&verify.summary()["holds"], &verify.summary()["differs"]), (&json!(2), &json!(1)));
    // Entra's own list has one column of ids that the tenant knows.
    let entra = "displayName,accountEnabled,deviceId,objectId\nWEB2,True,20000000-0000-4000-8000-000000000002,x\n";
    let outcome = Rehearsal::at_stand_in(&server).planned().file(entra).with("--all --add E").run().exits(0);
    assert!(!outcome.messages().contains("names the machines"));
    assert_eq!(tenant.holds(2).0, ["E"]);
}

/// A workbook of these sheets: names, and rows of XML.
fn workbook(sheets: &[(&str, &str)]) -> Vec<u8> {
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut part = |name: &str, text: String| {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("a part");
        zip.write_all(text.as_bytes()).expect("bytes");
    };
    let (mut named, mut targets) = (String::new(), String::new());
    for (number, (name, rows)) in (1..).zip(sheets) {
        named.push_str(&format_args!("<sheet name=\"{name}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>").to_string());
        let target = format!("worksheets/sheet{number}.xml");
        targets.push_str(
            &format_args!("<Relationship Id=\"rId{number}\" Type=\"{relations}/worksheet\" Target=\"{target}\"/>")
                .to_string(),
        );
        // What stands behind the rows of a sheet goes there.
        let (rows, behind) = rows.split_once("</sheetData>").unwrap_or((rows, ""));
        let rows = format!("<sheetData>{rows}</sheetData>{behind}");
        part(&format!("xl/{target}"), format!("<worksheet xmlns=\"{main}\">{rows}</worksheet>"));
    }
    let book = format!("<workbook xmlns=\"{main}\" xmlns:r=\"{relations}\"><sheets>{named}</sheets></workbook>");
    part("xl/workbook.xml", book);
    part("xl/_rels/workbook.xml.rels", format!("<Relationships xmlns=\"{package}\">{targets}</Relationships>"));
    let document = format!("<Relationship Id=\"r\" Type=\"{relations}/officeDocument\" Target=\"xl/workbook.xml\"/>");
    part("_rels/.rels", format!("<Relationships xmlns=\"{package}\">{document}</Relationships>"));
    // Style 1 is a date.
    let styles = "<cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/></cellXfs>";
    part("xl/styles.xml", format!("<styleSheet xmlns=\"{main}\">{styles}</styleSheet>"));
    zip.finish().expect("a packed file").into_inner()
}

/// A row of a worksheet: each cell text, a number under a style, or an error.
fn row(number: u32, cells: &[&str]) -> String {
    let cell = |(column, text): (char, &&str)| match text.split_once(':') {
        Some(("date", days)) => format!("<c r=\"{column}{number}\" s=\"1\"><v>{days}</v></c>"),
        Some(("error", error)) => format!("<c r=\"{column}{number}\" t=\"e\"><v>{error}</v></c>"),
        _ => format!("<c r=\"{column}{number}\" t=\"inlineStr\"><is><t>{text}</t></is></c>"),
    };
    format!("<row r=\"{number}\">{}</row>", ('A'..).zip(cells).map(cell).collect::<String>())
}

#[test]
fn a_workbook_is_read_like_a_file_its_dates_are_dates_and_its_errors_are_findings() {
    let tenant = tenant();
    let server = tenant.serve();
    // 46082 is 1 March 2026.
    let devices = [
        row(1, &["Exported on Monday"]),
        row(3, &["Device ID", "Last seen", "Remark"]),
        row(4, &[&id(1), "date:46082", "error:#N/A"]),
        row(5, &[&id(2), "date:46000", "two\nlines"]),
        row(6, &[&id(3), "date:46100.5", ""]),
    ];
    let broken = [row(1, &["Device ID", "Remark"]), row(2, &[&id(1), "a\nb"]), row(3, &["error:#REF!", ""])];
    let book = workbook(&[("Devices", &devices.concat()), ("Broken", &broken.concat())]);
    let run = || Rehearsal::at_stand_in(&server).planned().file(book.clone());
    let outcome = run().option("--where", "['Last seen'] >= datetime(2026-03-01)").with("--add A").run().exits(0);
    let outcome = outcome.says(&["the worksheet \"Devices\" is read, and not \"Broken\" (--sheet names another one)"]);
    let results = outcome.results();
    assert_eq!(results.column("row"), ["1", "3"]);
    assert_eq!(results.column("Last seen"), ["2026-03-01", "2026-03-19T12:00:00"]);
    assert_eq!(results.column("Remark"), ["#N/A", ""]);
    assert_eq!([1, 2, 3].map(|number| tenant.holds(number).0.contains(&"A".to_owned())), [true, false, true]);
    let refused = run().with("--all --add A --sheet broken").run().exits(3);
    refused.says(&["row 2, line 3, column \"Device ID\"", "#REF!"]);
    run()
        .with("--all --add A --sheet Missing")
        .run()
        .exits(3)
        .says(&["no worksheet \"Missing\"", "\"Devices\", \"Broken\""]);
    let piped = run().on_standard_input().with("--all --add P --sheet Devices -o out.csv").run().exits(0);
    assert_eq!(piped.folder().read("out.csv").map(|bytes| bytes.len() > 100), Some(true));
    assert!(tenant.holds(2).0.contains(&"P".to_owned()));
}

#[test]
fn rows_that_a_workbook_hides_or_merges_refuse_it_until_they_are_allowed() {
    let orders = |second: String| {
        let header = row(1, &["machineId", "tag", "action", "value"]);
        workbook(&[("Orders", &[header, row(2, &[&id(1), "M", "Add", "High"]), second].concat())])
    };
    let second = || row(3, &[&id(2), "M", "Add"]);
    let merged = format!("{}</sheetData><mergeCells><mergeCell ref=\"D2:D3\"/></mergeCells>", second());
    let height = second().replacen("<row", "<row ht=\"0\" customHeight=\"1\"", 1);
    for (name, book, words) in [
        (
            "hidden-rows",
            second().replacen("<row", "<row hidden=\"1\"", 1),
            "row 2, line 3: the workbook does not show this row",
        ),
        ("hidden-rows", height, "row 2, line 3: the workbook does not show this row"),
        ("merged-cells", merged, "row 2, line 3, column \"value\": a merged area covers this cell"),
    ] {
        let tenant = tenant();
        let server = tenant.serve();
        let run =
            |options: &str| Rehearsal::at_stand_in(&server).planned().file(orders(book.clone())).with(options).run();
        run("").exits(3).says(&[words, &format!("--accept {name}")]);
        assert_eq!(server.writes(), 0);
        let skipped = run("--skip-invalid").exits(1);
        assert_eq!(skipped.statuses(), ["succeeded", "invalid"]);
        assert_eq!(tenant.holds(2).0, Vec::<String>::new());
        let allowed = run(&format!("--accept {name}")).exits(0);
        let note = format!("--accept {name} allows 1 row that would be refused otherwise");
        assert_eq!(allowed.says(&[&note]).statuses(), ["unchanged", "succeeded"]);
        assert_eq!(tenant.holds(2), (vec!["M".to_owned()], "Normal".to_owned()), "what is not shown is empty");
    }
}

#[test]
fn rules_are_tried_on_a_workbook_as_on_a_file() {
    let server = tenant().serve();
    let folder = Folder::new();
    let rules = "schema = 1\nname = 'f'\n[own]\nprefixes = ['SITE-']\n\
                 [[rule]]\nname = 'a'\nwhere = \"osPlatform == 'Linux'\"\ntag = 'SITE-A'\n";
    folder.write("fleet.toml", rules);
    // A worksheet does not hold the empty cells behind the last one.
    let devices = [
        row(1, &["Device ID", "Device Name", "OS Platform", "Tags"]),
        row(2, &[&id(1), "web1", "Linux"]),
        row(4, &[&id(2), "web2", "Windows11", "SITE-A"]),
    ];
    let wide = [row(1, &["Device ID", "OS Platform"]), row(3, &[&id(1), "Linux", "x"])];
    let sheets = [("Notes", row(1, &["nothing"])), ("Devices", devices.concat()), ("Wide", wide.concat())];
    let sheets: Vec<(&str, &str)> = sheets.iter().map(|(name, rows)| (*name, rows.as_str())).collect();
    folder.write("machines.xlsx", workbook(&sheets));
    let run = |sheet: &[&str], status| {
        let plan = ["plan", "fleet.toml", "--inventory", "machines.xlsx", "--json"];
        tagfleet(&server, &folder, &[&plan[..], sheet].concat(), status)
    };
    let planned = run(&["--sheet", "devices"], 0);
    let read = "note: machines.xlsx: the worksheet \"Devices\" is read, and not \"Notes\" and \"Wide\" (--sheet names another one)";
    assert!(planned.messages.contains(read), "{}", planned.messages);
    assert_eq!((&planned.object()["machines_in_scope"], &planned.object()["changes"]), (&json!(2), &json!(2)));
    for (sheet, says) in [
        (&["--sheet", "Missing"][..], "no worksheet \"Missing\""),
        (&["--sheet", "Wide"], "row 1, line 3: the row has 3 cells, but the header has 2"),
        (&[], "the header on line 1 has no column \"machineId\"; it has \"nothing\" (1)"),
    ] {
        let refused = run(sheet, 3);
        assert!(refused.messages.contains(says), "{}", refused.messages);
    }
    let refused = tagfleet(&server, &folder, &["plan", "fleet.toml", "--sheet", "Devices"], 2);
    assert!(refused.messages.contains("--sheet is for change files"), "{}", refused.messages);
    folder.write("cmdb.toml", format!("{rules}[lookup.x]\nfile = '.'\nkey = {{ id = 'Id' }}\n"));
    let refused = tagfleet(&server, &folder, &["plan", "cmdb.toml"], 3);
    assert!(
        refused.messages.contains(". cannot be used: cannot read the input: Is a directory"),
        "{}",
        refused.messages
    );
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn hostile_filters_and_files_end_soon() {
    let server = tenant().serve();
    let nested = format!("{}OSPlatform == 'x'{}", "(".repeat(100), ")".repeat(100));
    let long = vec!["OSPlatform == 'WindowsServer2022'"; 1000].join(" or ");
    let items = format!("OSPlatform in ('{}')", vec!["x"; 1500].join("', '"));
    for (filter, status) in [
        (&*nested, 2),
        ("OSPlatform matches regex '(a{1000}){1000}'", 2),
        ("OSPlatform matches regex '(a+)+$' or DeviceName matches regex '(x*)*y'", 0),
        (&long, 0),
        (&items, 0),
        ("", 2),
    ] {
        portal(&server).only_plan().option("--where", filter).with("--add A").run().exits(status);
    }
}

#[test]
fn rows_that_were_in_error_for_want_of_the_list_are_none_for_the_same_orders_with_it() {
    let tenant = Tenant::of([machine(1).tagged("A").named("pc1"), machine(2).tagged("A"), machine(3).tagged("A")]);
    let server = tenant.serve();
    let folder = Folder::new();
    folder.write("input.csv", with_ids("machineId\npc1\n#2\n#3\n"));
    let run = |options: &str, status| {
        let mut command = folder.command();
        command
            .envs(server.variables())
            .args("apply input.csv --all --remove A --yes".split(' '))
            .args(options.split(' '));
        let ended = Program::start(command, None, true).end();
        assert_eq!(ended.status, Some(status), "{}", ended.messages);
    };
    run("--no-inventory --no-bulk --skip-invalid --quota 1/1h --deadline 10m", 5);
    run("--quota off", 0);
    assert_eq!([1, 2, 3].map(|number| tenant.holds(number).0.len()), [0; 3]);
}
