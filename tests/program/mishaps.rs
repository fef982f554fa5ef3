//! Files as people have them, through the whole program: what has one meaning is read, whatever its dress; what would do
//! harm is refused before the first call, and says which switch allows it.

use crate::machines::with_ids;
use crate::process::at_once;
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::tenant::{Tenant, machine};

const DEVICE: &str = "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b";

fn tenant() -> Tenant {
    Tenant::of((1..=6).map(|number| {
        let named = machine(number).named(&format!("web0{number}.contoso.example")).valued("High");
        if number == 6 { named.of_device(DEVICE) } else { named }
    }))
}

/// A file with `#1` for the id of machine 1; options; the status; the machines that then have the tag `Wave 3`; and what is
/// said.
type Case = (&'static str, &'static str, &'static str, i32, &'static [u32], &'static [&'static str]);

/// Nothing here holds a comma within a cell, so that every file can be had with another delimiter.
const CASES: &[Case] = &[
    (
        "a stray quotation mark",
        "machineId,tag,action,remark\n#1,Wave 3,Add,\"swapped disk\n#2,Wave 3,Add,ok\n#3,Wave 3,Add,\"done\"\n",
        "",
        3,
        &[],
        &["row 1, line 2: the quotation mark opened on line 2 closes on line 4, and text follows it"],
    ),
    (
        "backslashes before quotation marks",
        "machineId,tag,action\n#1,\"Wave \\\"3\\\"\",Add\n",
        "",
        3,
        &[],
        &["row 1, line 2: the quotation mark opened on line 2", "and text follows it there"],
    ),
    (
        "rows in a cell",
        "machineId,tag,action,remark\n#1,Wave 3,Add,\"see below\n#2,Wave 3,Add,ok\"\n#3,Wave 3,Add,\n",
        "",
        3,
        &[],
        &[
            "row 1, line 2: the quoted cell from line 2 to line 3 holds a line that looks like a row",
            "--accept line-breaks",
        ],
    ),
    (
        "rows in a cell that are meant",
        "machineId,tag,action,remark\n#1,Wave 3,Add,\"see below\n#2,Wave 3,Add,ok\"\n#3,Wave 3,Add,\n",
        "--accept line-breaks",
        0,
        &[1, 3],
        &["note: input.csv: --accept line-breaks allows 1 row"],
    ),
    (
        "rows in a cell that is left out",
        "machineId,tag,action,remark\n#1,Wave 3,Add,\"see below\n#2,Wave 3,Add,ok\"\n#3,Wave 3,Add,\n",
        "--skip-invalid",
        1,
        &[3],
        &["warning: input.csv: row 1, line 2"],
    ),
    (
        "a remark of two lines",
        "machineId,tag,action,remark\n#1,Wave 3,Add,\"first line\nsecond line\"\n#2,Wave 3,Add,\n",
        "",
        0,
        &[1, 2],
        &[],
    ),
    (
        "a blank before a quotation mark",
        "machineId,tag,action\n#1, \"Wave 3\",Add\n",
        "",
        3,
        &[],
        &["row 1, line 2, column \"tag\"", "remove the blank before the quotation mark"],
    ),
    ("short rows", "machineId,tag,action,value\n#1,Wave 3,Add,\n#2,Wave 3,Add\n", "", 0, &[1, 2], &[]),
    ("empty cells too many", "machineId,tag,action\n#1,Wave 3,Add,,\n", "", 0, &[1], &[]),
    (
        "an empty tail",
        "machineId,tag,action,value\n#1,Wave 3,Add,\n,,,\n , ,,\n",
        "",
        0,
        &[1],
        &["note: input.csv: skipped 2 rows of nothing but delimiters and blanks, on lines 3 and 4"],
    ),
    (
        "a line of PowerShell's",
        "#TYPE Deserialized.Machine\n\"machineId\",\"tag\",\"action\"\n\"#1\",\"Wave 3\",\"Add\"\n",
        "",
        0,
        &[1],
        &["note: input.csv: skipped line 1, \"#TYPE Deserialized.Machine\""],
    ),
    (
        "titles",
        "Retagging list,,\nof the server team,,\n\nmachineId,tag,action\n#1,Wave 3,Add\n",
        "",
        0,
        &[1],
        &["note: input.csv: the header is on line 4; skipped lines 1 and 2 above it"],
    ),
    (
        "a row above the header",
        "#2,Wave 3,Add\nmachineId,tag,action\n#1,Wave 3,Add\n",
        "",
        3,
        &[],
        &["line 1 looks like a row, and the header follows below it on line 2"],
    ),
    (
        "a second header",
        "machineId,tag,action\n#1,Wave 3,Add\nMachine Id,tag,action\n#2,Wave 3,Add\n",
        "",
        3,
        &[],
        &["row 2, line 3, column \"action\": unknown action \"action\""],
    ),
    (
        "the same header again",
        "machineId,tag,action\n#1,Wave 3,Add\nmachineID,Tag,action,\n#2,Wave 3,Add\n",
        "",
        0,
        &[1, 2],
        &["note: input.csv: skipped 1 row that repeats the header, on line 3"],
    ),
    (
        "every line in quotation marks",
        "\"machineId,\"\"tag\"\",\"\"action\"\"\"\n\"#1,\"\"Wave 3\"\",\"\"Add\"\"\"\n",
        "",
        3,
        &[],
        &["every line is one quoted cell"],
    ),
    (
        "dressed ids",
        "machineId,tag,action\n'#1,Wave 3,Add\n{#2},Wave 3,Add\n\"=\"\"#3\"\"\",Wave 3,Add\n\u{200b}#4,Wave 3,Add\n\
         https://security.microsoft.com/machines/v2/#5/overview,Wave 3,Add\n",
        "",
        0,
        &[1, 2, 3, 4, 5],
        &["note: input.csv: 5 machine ids had a leading apostrophe (1)"],
    ),
    (
        "dressed names",
        "Hostname,tag,action\nCONTOSO\\web01,Wave 3,Add\nweb02$,Wave 3,Add\n\\\\web03,Wave 3,Add\nweb04.contoso.example.,Wave 3,Add\n",
        "",
        0,
        &[1, 2, 3, 4],
        &["note: input.csv: 4 machine names had a domain in front (1)"],
    ),
    (
        "ids of Entra's",
        "Device ID,Device name,tag,action\n3F2A9C1E-5B7D-4E8F-9A0B-1C2D3E4F5A6B,web06,Wave 3,Add\n",
        "",
        0,
        &[6],
        &[],
    ),
    (
        "ids of Entra's that nobody has",
        "aadDeviceId,tag,action\n00000000-5b7d-4e8f-9a0b-1c2d3e4f5a6b,Wave 3,Add\n#1,Wave 3,Add\n",
        "",
        1,
        &[1],
        &[],
    ),
    (
        "numbers of rows",
        "Id,Device name,tag,action\n1,web01,Wave 3,Add\n2,web02,Wave 3,Add\n",
        "--skip-invalid",
        3,
        &[],
        &["row 1, line 2, column \"Id\": no cell of this column is a machine id", "in the column \"Device name\""],
    ),
    (
        "damaged ids",
        "machineId,tag,action\n#1,Wave 3,Add\nb6ec7fd12d959bffb08ac7f8b279b5255d55aa,Wave 3,Add\n9.1E+39,Wave 3,Add\n10.20.30.40,Wave 3,Add\n",
        "",
        3,
        &[],
        &[
            "row 2, line 3",
            "38 hexadecimal digits",
            "row 3, line 4",
            "a spreadsheet took it for a number",
            "row 4, line 5",
            "IP address",
            "3 rows of 4 in error",
        ],
    ),
    (
        "odd tags",
        "machineId,tag,action\n#1,Wave\u{200b}3,Add\n#2,Wave\u{a0}3,Add\n#3,#REF!,Add\n#4,“Wave 3”,Add\n",
        "",
        3,
        &[],
        &[
            "row 1, line 2",
            "row 2, line 3",
            "row 3, line 4",
            "row 4, line 5",
            "--accept odd-tags",
            "4 rows of 4 in error",
        ],
    ),
    (
        "variants of a tag",
        "machineId,tag,action\n#1,Wave 3,Add\n#2,WAVE 3,Add\n",
        "",
        3,
        &[],
        &[
            "row 2, line 3, column \"tag\": the tag \"WAVE 3\" differs from \"Wave 3\" of row 1",
            "--accept case-variants",
        ],
    ),
    (
        "an export for an order",
        "\"id\",\"computerDnsName\",\"riskScore\",\"deviceValue\",\"machineTags\"\n\"#1\",\"web01\",\"Low\",\"Normal\",\"Ring A\"\n",
        "",
        3,
        &[],
        &["row 1, line 2, column \"deviceValue\"", "name the column \"value\"", "--accept state-columns"],
    ),
    ("columns that results have, too", "machineId,tag,action,Status,Run_id\n#1,Wave 3,Add,open,77\n", "", 0, &[1], &[]),
];

/// The ways in which every file is written.
const DRESSES: [(&str, char, &str, bool); 3] =
    [("as it is", ',', "\n", false), ("by Excel", ';', "\r\n", false), ("as Unicode text", '\t', "\r\n", true)];

fn dressed(file: &str, (_, delimiter, line_break, is_wide): (&str, char, &str, bool)) -> Vec<u8> {
    let text = with_ids(file).replace(',', &delimiter.to_string()).replace('\n', line_break);
    if is_wide {
        return format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    }
    text.into_bytes()
}

#[test]
fn every_mishap_is_read_or_refused_in_every_dress() {
    let cases = CASES.iter().flat_map(|case| DRESSES.iter().map(move |dress| (case, dress)));
    let cases: Vec<_> = cases.collect();
    for some in cases.chunks(12) {
        at_once(some.iter().copied(), |((name, file, options, status, tagged, says), dress)| {
            let tenant = tenant();
            let server = tenant.serve();
            let rehearsal = Rehearsal::at_stand_in(&server).planned().file(dressed(file, *dress)).with(options);
            let outcome = rehearsal.run();
            let messages = outcome.messages().to_owned();
            assert_eq!(outcome.status(), Some(*status), "{name}, {}: {messages}", dress.0);
            for text in *says {
                assert!(messages.contains(&with_ids(text)), "{name}, {}: {text:?} is not in: {messages}", dress.0);
            }
            let has_tag = |number: &u32| tenant.holds(*number).0 == ["Wave 3"];
            let found: Vec<u32> = (1..=6).filter(has_tag).collect();
            assert_eq!(found, *tagged, "{name}, {}: {messages}", dress.0);
            assert!((1..=6).all(|number| tenant.holds(number).1 == "High"), "{name}, {}", dress.0);
            if *status == 3 {
                assert!(server.requests().is_empty(), "{name}, {}: something was sent", dress.0);
                assert!(!outcome.wrote_anything(), "{name}, {}", dress.0);
            }
        });
    }
}

#[test]
fn the_same_is_refused_by_plan_verify_a_rehearsal_and_from_standard_input() {
    let tenant = tenant();
    let server = tenant.serve();
    let file = with_ids("machineId,tag,action\n#1,Wave 3;PCI,Add\n5.5E+39,Wave 3,Add\n#2,A,Add\n#3,a,Add\n");
    let words = [
        "row 1, line 2, column \"tag\": the tag \"Wave 3;PCI\" holds \";\" and looks like a list",
        "row 2, line 3",
        "row 4, line 5",
    ];
    let rehearsals = [
        Rehearsal::at_stand_in(&server).planned(),
        Rehearsal::at_stand_in(&server).only_plan(),
        Rehearsal::at_stand_in(&server).only_verify(),
        Rehearsal::at_nobody().planned().with("--sandbox"),
        Rehearsal::at_stand_in(&server).planned().on_standard_input().with("-o input.results.csv"),
    ];
    for rehearsal in rehearsals {
        rehearsal.file(file.clone()).run().exits(3).says(&words);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_rehearsal_takes_nothing_for_a_machine_that_a_tenant_would_not() {
    let rows = "web01,A,Add,\n17,A,Add,\nweb 02,A,Add,\n";
    let outcome = Rehearsal::at_nobody().planned().rows(rows).with("--sandbox -o input.results.csv").run().exits(1);
    assert_eq!(outcome.statuses(), ["succeeded", "failed", "failed"]);
    assert_eq!(outcome.results().column("error_code")[1..], ["machine_not_found"; 2]);
}

#[test]
fn what_is_accepted_is_named_and_a_wrong_name_points_to_the_nearest() {
    let outcome = Rehearsal::at_nobody().rows("#1,A,Add,").with("--accept odd-tag").run().exits(2);
    outcome.says(&["invalid value 'odd-tag' for '--accept", "'odd-tags'"]);
    for separator in ["", "ab", "x", "\""] {
        let folder = Folder::new();
        folder.write("input.csv", "machineId,value\n");
        let ended = folder.run(&["plan", "input.csv", &format!("--tag-separator={separator}")]);
        assert_eq!(ended.status, Some(2), "{separator:?}: {}", ended.messages);
    }
}

#[test]
fn odd_tags_can_be_added_when_that_is_allowed_and_removed_in_any_case() {
    let tenant = Tenant::of([machine(1).tagged("#REF!").tagged("a\nb"), machine(2)]);
    let server = tenant.serve();
    let rows = "#1,#REF!,Remove,\n#1,\"a\nb\",Remove,\n#2,Ring A;PCI,Add,\n";
    let rehearsal = || Rehearsal::at_stand_in(&server).planned().rows(rows);
    let outcome = rehearsal().with("--accept odd-tags,case-variants").run().exits(0);
    assert_eq!((tenant.holds(1).0, tenant.holds(2).0), (Vec::new(), vec!["Ring A;PCI".to_owned()]));
    outcome.says(&[
        "warning: input.csv: row 1, line 2: the tag \"#REF!\" is a spreadsheet's error; it is removed as it stands",
    ]);
}

#[test]
fn a_cell_may_be_read_as_a_list_of_tags_that_one_row_answers() {
    let tenant = tenant();
    let server = tenant.serve();
    let rows = "#1,Ring A; PCI;,Add,Low\n#2,Ring A,Add,\n";
    let outcome = Rehearsal::at_stand_in(&server).planned().rows(rows).with("--tag-separator ; --json").run().exits(0);
    assert_eq!(tenant.holds(1), (vec!["PCI".to_owned(), "Ring A".to_owned()], "Low".to_owned()));
    assert_eq!(tenant.holds(2).0, ["Ring A"]);
    let results = outcome.results();
    assert_eq!(results.column("status"), ["succeeded"; 2]);
    assert_eq!(results.column("before"), ["absent; absent; High", "absent"]);
    assert_eq!(results.column("after"), ["present; present; Low", "present"]);
    assert_eq!(outcome.summary()["rows"], 2);
}

#[test]
fn added_columns_make_room_for_those_that_are_there_and_earlier_ones_are_left_out() {
    let tenant = tenant();
    let server = tenant.serve();
    let folder = Folder::new();
    let file = with_ids("machineId,tag,action,Status,Run_id\n#1,Wave 3,Add,open,77\n");
    let rehearsal = || Rehearsal::at_stand_in(&server).planned().in_folder(&folder);
    let outcome = rehearsal().file(file).run().exits(0);
    let header = outcome.results().header;
    assert_eq!(header[..7], ["machineId", "tag", "action", "Status", "Run_id", "row", "result_status"]);
    assert_eq!(header.last().map(String::as_str), Some("result_run_id"));
    assert_eq!(outcome.results().column("Status"), ["open"]);
    // The results are an input again.
    let outcome = rehearsal().file(outcome.results_bytes()).with("-o again.csv --fresh").run().exits(0);
    let again = crate::table::Table::read(&outcome.folder().read("again.csv").expect("results"), ',');
    assert_eq!(again.header, header);
    outcome.says(&["note: input.csv: the 11 columns from \"row\" to \"result_run_id\" are tagfleet's own"]);
}

#[test]
fn many_findings_of_one_kind_are_one_line_and_scripts_have_them_too() {
    let rows: String = (1..=1000).map(|number| format!("#{number},Wave 3,Ad,\n")).collect();
    let refused = |options: &str| -> Outcome {
        let rows = format!("{rows}9.1E+39,Wave 3,Add,\n");
        Rehearsal::at_nobody().variable("TAGFLEET_TOKEN", "x").rows(&rows).with(options).run().exits(3)
    };
    let outcome = refused("").says(&[
        "error: input.csv: rows 1, 2, 3, 4, 5 and 995 more (lines 2, 3, 4, 5, 6, …), column \"action\": unknown action \"Ad\"",
        "error: input.csv: row 1001, line 1002, column \"machineId\": \"9.1E+39\" is a damaged id",
        "error: input.csv has 1,001 rows of 1,001 in error, so nothing was sent",
    ]);
    assert!(outcome.messages().lines().count() < 8, "{}", outcome.messages());
    let object = refused("--json").summary();
    assert_eq!(object["exit_status"], 3);
    let findings = object["findings"].as_array().expect("findings");
    assert_eq!(findings.len(), 2);
    assert_eq!((&findings[0]["code"], &findings[0]["rows"]), (&"unknown_action".into(), &1000.into()));
    assert_eq!(findings[0]["places"][4], serde_json::json!({"row": 5, "line": 6}));
    assert_eq!((&findings[1]["row"], &findings[1]["line"]), (&1001.into(), &1002.into()));
    let doubtful = Rehearsal::at_nobody().variable("TAGFLEET_TOKEN", "x").rows("#1,NULL,Add,").with("--json");
    assert_eq!(doubtful.run().exits(3).summary()["findings"][0]["accept"], "odd-tags");
    let unusable = Rehearsal::at_nobody().variable("TAGFLEET_TOKEN", "x").file("machineId,tag\n").with("--json");
    assert_eq!(unusable.run().exits(3).summary()["findings"][0]["code"], "missing_columns");
}

#[test]
fn notes_are_silent_where_nothing_is_to_be_said() {
    let tenant = tenant();
    let server = tenant.serve();
    let file = with_ids("List\nmachineId,tag,action\n'#1,Wave 3,Add\n,,\n");
    let outcome = Rehearsal::at_stand_in(&server).planned().file(file).with("-q").run().exits(0);
    assert_eq!(outcome.messages(), "");
}

#[test]
fn the_tenants_own_tags_warn_of_what_is_hardly_meant() {
    let tenant =
        Tenant::of([machine(1).tagged("Marketing"), machine(2).tagged("Marketing"), machine(3).tagged("Tier 0")]);
    let server = tenant.serve();
    let rows = "#1,MARKETING,Add,\n#3,Tier O,Remove,\n#3,Xyz,Remove,\n";
    let words = [
        "warning: input.csv: row 1, line 2: the tag \"MARKETING\" is new to the tenant, where 2 machines have \"Marketing\"",
        "warning: input.csv: row 2, line 3: no machine of the tenant has the tag \"Tier O\", which is to be removed; the nearest is \"Tier 0\"",
        "warning: input.csv: row 3, line 4: no machine of the tenant has the tag \"Xyz\", which is to be removed",
    ];
    Rehearsal::at_stand_in(&server).only_plan().rows(rows).run().exits(0).says(&words);
    Rehearsal::at_stand_in(&server).only_verify().rows(rows).run().exits(10).says(&words);
    Rehearsal::at_stand_in(&server).planned().rows(rows).run().exits(0).says(&words);
}
