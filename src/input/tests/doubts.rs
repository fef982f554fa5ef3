//! Files as people have them: what is read whatever its decoration, what is doubtful, what is wrong.

use super::super::{Accepted, Doubt, InputError, InputOptions, Sheet, added_names, read};
use super::{problems, requests, second_pass, sheet};

const ID: &str = "87e85b19b2b86c9cd465681f597fc4c9e879e8a1";

fn accepting(text: &str, doubts: &[Doubt]) -> Sheet {
    let accepted: Accepted = doubts.iter().copied().collect();
    let options = InputOptions { accepted, ..InputOptions::default() };
    read(text.as_bytes(), &options).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn notes(sheet: &Sheet) -> Vec<String> {
    sheet.notes.iter().map(ToString::to_string).collect()
}

/// The refusal of the file as a whole.
fn refusal(text: &str) -> String {
    match read(text.as_bytes(), &InputOptions::default()) {
        Ok(sheet) => panic!("not refused: {text:?}: {:?}", problems(&sheet)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_above_or_between_rows_and_is_none_is_skipped_and_told() {
    let table: &[(&str, &[&str], &[&str])] = &[
        (
            "#TYPE Deserialized.Machine\r\n\"machineId\",\"tag\",\"action\"\r\na,x,Add\r\n",
            &["1/3 a: Add \"x\""],
            &["skipped line 1, \"#TYPE Deserialized.Machine\""],
        ),
        ("sep=;\n#TYPE X\nmachineId;tag;action\na;x;Add\n", &["1/4 a: Add \"x\""], &["skipped line 2, \"#TYPE X\""]),
        (
            "\u{feff}Retagging list,,\n,,\n\nof the team,,\nmachineId,tag,action\na,x,Add\n",
            &["1/6 a: Add \"x\""],
            &[
                "the header is on line 5; skipped lines 1, 2 and 4 above it, the first of which says \"Retagging list,,\"",
            ],
        ),
        (
            "Version 3; of 1 May\nmachineId\ttag\taction\na\tx\tAdd\n",
            &["1/3 a: Add \"x\""],
            &["the header is on line 2; skipped line 1 above it \"Version 3; of 1 May\""],
        ),
        (
            "\"Title\nover two lines\"\nmachineId,tag,action\na,x,Add\n",
            &["1/4 a: Add \"x\""],
            &[
                "the header is on line 3; skipped lines 1 and 2 above it, the first of which says \"\"Title\\u{a}over two lines\"\"",
            ],
        ),
        (
            "machineId;tag;action;value\na;x;Add;\n;;;\n   \n\"\";\u{a0};;\n;\n",
            &["1/2 a: Add \"x\""],
            &["skipped 4 rows of nothing but delimiters and blanks, on lines 3, 4, 5 and 6"],
        ),
        (
            "machineId,tag,action\na,x,Add\n\u{feff}MACHINEID, tag ,\"action\",,\nb,x,Add\n",
            &["1/2 a: Add \"x\"", "2/4 b: Add \"x\""],
            &["skipped 1 row that repeats the header, on line 3"],
        ),
        (
            "ï»¿machineId,tag,action\na,x,Add\n",
            &["1/2 a: Add \"x\""],
            &["the file begins with a byte order mark that was converted twice; all else is ASCII, so it was left out"],
        ),
        ("\u{feff}\u{feff}sep=;\nmachineId;tag;action\na;x;Add\n", &["1/3 a: Add \"x\""], &[]),
        ("machineId,tag,action,value\na,x,Add\nb,x,Add,,,\n", &["1/2 a: Add \"x\"", "2/3 b: Add \"x\""], &[]),
        (
            "machineId,tag,action,note\na,x,Add,\"first line\nsecond, line\"\nb,x,Add, \"y\n",
            &["1/2 a: Add \"x\"", "2/4 b: Add \"x\""],
            &[],
        ),
        ("machineId,tag,action\na,\"x\" ,Add\n", &["1/2 a: Add \"x\""], &[]),
    ];
    for (text, expected, told) in table {
        let sheet = sheet(text);
        assert_eq!(requests(&sheet), *expected, "{text:?}");
        assert_eq!(problems(&sheet), <[&str; 0]>::default(), "{text:?}");
        assert_eq!(notes(&sheet), *told, "{text:?}");
        let mut sheet = sheet;
        assert_eq!(second_pass(&mut sheet).len(), expected.len(), "{text:?}");
    }
}

#[test]
fn what_hides_rows_refuses_the_file() {
    let table: &[(&str, &[&str])] = &[
        ("ID,\"Ring \\\"A\\\"\",Add,", &["1/2 - text_after_quote"]),
        ("ID,x,Add,\"swapped disk\nID,x,Add,ok\nID,x,Add,\"done\"\nID,x,Add,ok", &["1/2 - text_after_quote"]),
        ("ID,\"Tier\" 0,Add,\nID,x,Ad,", &["1/2 - text_after_quote", "2/3 action unknown_action"]),
        ("ID,x,Add,\nID,\"Tier 0,Add,\nID,x,Add,", &["2/3 - unclosed_quote"]),
    ];
    for (rows, expected) in table {
        let text = format!("machineId,tag,action,note\n{rows}\n").replace("ID", ID);
        let sheet = accepting(&text, &Doubt::ALL);
        assert_eq!(problems(&sheet), *expected, "{rows:?}");
        assert!(sheet.is_refused(), "{rows:?}");
    }
    let told = [
        refusal("\"machineId\" x,tag,action\na,x,Add\n"),
        refusal("Title\n\"a\" b\nmachineId,tag,action\na,x,Add\n"),
        refusal(&format!("{ID},x,Add\nmachineId,tag,action\n{ID},x,Add\n")),
        refusal("web01,x,Remove\nmachineId,tag,action\nweb02,x,Add\n"),
        refusal("machineId,tag,action,\"remark\nb,x,Add,ok\"\na,x,Add,\n"),
        refusal("machineId, \"tag\",action\na,x,Add\n"),
        refusal("\"machineId,\"\"tag\"\",\"\"action\"\"\"\n\"a,\"\"x\"\",\"\"Add\"\"\"\n"),
        refusal("Title\n\"machineId;tag;action\"\n\"a;x;Add\"\n"),
        refusal("\"machineId,tag,action\",, \n\"a,x,Add\",,\n"),
        refusal("ï»¿machineId,tag,action\na,x,Add\nb,GrÃ¶ÃŸe,Add\n"),
        refusal("Ã¯Â»Â¿machineId,tag,action\nb,é,Add\n"),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    the quotation mark opened on line 1 closes on line 1, and text follows it there; remove the stray mark, or write a mark that belongs into a quoted cell twice
    the quotation mark opened on line 2 closes on line 2, and text follows it there; remove the stray mark, or write a mark that belongs into a quoted cell twice
    line 1 looks like a row, and the header follows below it on line 2; put the header first, or remove what stands above it
    line 1 looks like a row, and the header follows below it on line 2; put the header first, or remove what stands above it
    the quoted cell of the header from line 1 to line 2 holds a line that looks like a row; close the quotation mark where the cell is to end, or allow such cells with --accept line-breaks
    a quotation mark after a blank is a part of a column's name on line 1; remove the blank before the quotation mark
    every line is one quoted cell, as when a CSV file is pasted into a spreadsheet and saved again: line 1 as a whole stands in quotation marks; remove those around each line, and write those within it once
    every line is one quoted cell, as when a CSV file is pasted into a spreadsheet and saved again: line 2 as a whole stands in quotation marks; remove those around each line, and write those within it once
    every line is one quoted cell, as when a CSV file is pasted into a spreadsheet and saved again: line 1 as a whole stands in quotation marks; remove those around each line, and write those within it once
    the file was converted twice: it begins with a byte order mark that was read as text, so the characters beyond ASCII on line 3 cannot be trusted; save the original again as UTF-8
    the file was converted twice: it begins with a byte order mark that was read as text, so the characters beyond ASCII on line 2 cannot be trusted; save the original again as UTF-8
    "#);
}

#[test]
fn a_row_in_a_cell_is_doubtful() {
    let header = "machineId,tag,action,note";
    for cell in [
        format!("see\n{ID}"),
        "see\nweb02,x,Add,ok".to_owned(),
        "a\r\nweb02,\"\"x\"\",Add".to_owned(),
        format!("x\n{ID},"),
    ] {
        let text = format!("{header}\nweb01,x,Add,\"{cell}\"\nweb03,y,Add,\n");
        let refused = sheet(&text);
        assert_eq!(problems(&refused), ["1/2 - line_breaks"], "{cell:?}");
        assert!(!refused.is_refused(), "the other rows are what they are");
        let allowed = accepting(&text, &[Doubt::LineBreaks]);
        assert_eq!((problems(&allowed).len(), allowed.requests.all.len()), (0, 2), "{cell:?}");
        assert_eq!(notes(&allowed), ["--accept line-breaks allows 1 row that would be refused otherwise"]);
    }
    for cell in ["see\nbelow", "a, b\nc, d", "one\n\ntwo"] {
        assert!(sheet(&format!("{header}\nweb01,x,Add,\"{cell}\"\n")).problems.is_empty(), "{cell:?}");
    }
}

#[test]
fn marks_behind_blanks_comments_and_quoted_rows_are_told_for_what_they_are() {
    let table: &[(&str, &[&str])] = &[
        ("a, \"Wave 1\",Add,", &["1/2 tag blank_before_quote"]),
        ("a, \"Wave, 1\",Add,", &["1/2 tag blank_before_quote"]),
        (" \"a\",x,Add,", &["1/2 machineId blank_before_quote"]),
        ("a,x,Add, \"one, two\"", &["1/2 - blank_before_quote"]),
        ("# the old ones", &["1/2 - comment_row"]),
        ("#a,x,Add,", &["1/2 - comment_row"]),
        ("#N/A,x,Add,", &["1/2 machineId machine_placeholder"]),
        ("\"a,\"\"x\"\",\"\"Add\"\"\"", &["1/2 - quoted_row"]),
        ("\"a,\"\"x\"\",\"\"Add\"\"\",, ,", &["1/2 - quoted_row"]),
        ("\"a,b\",x,Add,", &["1/2 machineId several_machines"]),
        ("a,x,Add,,y", &["1/2 - ragged_row"]),
    ];
    for (row, expected) in table {
        assert_eq!(problems(&sheet(&format!("machineId,tag,action,note\n{row}\nb,x,Add,\n"))), *expected, "{row:?}");
    }
    // The first column need not be the machine's, and a number may begin with such a mark.
    let ticket = sheet("ticket,machineId,tag,action\n#12,a,x,Add\n#13,,,\n");
    assert_eq!(problems(&ticket), ["2/3 - comment_row"]);
}

#[test]
fn the_machine_is_the_highest_column_that_is_there() {
    let table = [
        ("machineId,Device ID,value", 0),
        ("Device ID,MdeDeviceId,value", 1),
        ("computerDnsName,AAD Device Id,value", 1),
        ("AzureADDeviceId,Id,value", 1),
        ("Name,Entra Device Id,value", 1),
        ("Name,Hostname,value", 1),
        ("Machine Name,Device Name,value", 1),
        ("Device Name,computerDnsName,value", 1),
    ];
    for (header, position) in table {
        let mut cells = vec!["b1"; header.split(',').count()];
        cells[position] = ID;
        *cells.last_mut().expect("a value") = "Low";
        let sheet = sheet(&format!("{header}\n{}\n", cells.join(",")));
        assert_eq!(requests(&sheet), [format!("1/2 {ID}: Low")], "{header}");
    }
    for header in [
        "machineId,Machine ID,value",
        "Name,tag,Tag,action",
        "Hostname,host_name,value",
        "machine_id,Name,name,value",
        "Device ID,AAD Device Id,aadDeviceId,value",
    ] {
        let error = read(format!("{header}\n").as_bytes(), &InputOptions::default()).expect_err("a refusal");
        assert!(matches!(error, InputError::DuplicateColumns { .. }), "{header}: {error}");
    }
    // An export's state beside an order.
    assert_eq!(requests(&sheet("machineId,deviceValue,value\na,High,Low\n")), ["1/2 a: Low"]);
}

#[test]
fn a_column_of_ids_that_holds_none_points_to_the_names() {
    let told = |text: &str| {
        let sheet = sheet(text);
        assert!(sheet.is_refused(), "{text:?}");
        assert!(
            sheet.problems.iter().all(|problem| sheet.requests.all.iter().all(|request| request.row != problem.row))
        );
        sheet.findings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(told("Id,Device name,tag,action\n,web00,x,Ad\n1,web01,x,Add\n2,web02,x,Add\n"), @r#"
    row 1, line 2, column "Id": the machine is missing; fill in its id or DNS name
    row 1, line 2, column "action": unknown action "Ad"; use Add, Remove or SetDeviceValue
    row 2, line 3, column "Id": no cell of this column is a machine id (this one holds "1"); the machines' names seem to stand in the column "Device name": remove or rename this column to use them
    "#);
    let empty = told("machineId,Device name,tag,action\n,web01,x,Add\n");
    assert!(empty.contains("no cell of this column is a machine id (this one is empty); "), "{empty}");
    insta::assert_snapshot!(told("Id,tag,action\n1,x,Add\n2,x,Add\n"), @r#"row 1, line 2, column "Id": no cell of this column is a machine id (this one holds "1"); fill in the machines' ids or DNS names"#);
    assert!(told("Id;Name;value\nasset-1;web01;Low\n").contains("column \"Name\""));
    // One id is enough, and names may stand where there is no other column for them.
    for text in [
        format!("Id,Name,value\nasset-1,web01,Low\n{ID},web02,Low\n"),
        format!("Id,Name,value\n1,web01,Low\n{},web02,Low\n", &ID[..38]),
        "machineId,value\nweb01,Low\n".to_owned(),
        "Name,value\n17,Low\n".to_owned(),
    ] {
        assert!(!sheet(&text).is_refused(), "{text:?}");
    }
}

#[test]
fn values_that_an_export_found_are_no_orders() {
    let header = "id,computerDnsName,riskScore,deviceValue,machineTags,tag,action";
    let rows = format!(
        "{ID},web01,Low,Normal,Ring A,,\n{ID},web01,Low,High,,,SetDeviceValue\n{ID},web01,Low,Low,,x,Add\n{ID},web01,Low,,,x,Add\n"
    );
    let sheet = sheet(&format!("{header}\n{rows}"));
    assert_eq!(problems(&sheet), ["1/2 deviceValue state_column", "3/4 deviceValue state_column"]);
    assert_eq!(requests(&sheet).len(), 2);
    let renamed = super::sheet(&format!("{}\n{rows}", header.replace("deviceValue", "value")));
    assert_eq!(problems(&renamed), <[&str; 0]>::default());
    let allowed = accepting(&format!("{header}\n{rows}"), &[Doubt::StateColumns]);
    assert_eq!((problems(&allowed).len(), allowed.requests.all.len()), (0, 5));
    // Without a column that only exports have, it is an order in another spelling.
    assert_eq!(problems(&super::sheet("Id,Device Value,note\na,High,\n")), <[&str; 0]>::default());
}

#[test]
fn a_cell_may_be_a_list_of_tags() {
    let text = "machineId,tag,action,value\na,Ring A; PCI;;Ring A,Add,High\nb,;,Add,\nc,x;#REF!;y\u{a0}z,Add,\nd,old;PCI,Remove,\n";
    let options = InputOptions { tag_separator: Some(';'), ..InputOptions::default() };
    let sheet = read(text.as_bytes(), &options).expect("a sheet");
    assert_eq!(
        requests(&sheet),
        [
            "1/2 a: Add \"Ring A\"",
            "1/2 a: Add \"PCI\"",
            "1/2 a: High",
            "4/5 d: Remove \"old\"",
            "4/5 d: Remove \"PCI\"",
        ]
    );
    assert_eq!(problems(&sheet), ["2/3 tag missing_tag", "3/4 tag odd_tag", "3/4 tag odd_tag"]);
    let lines = InputOptions { tag_separator: Some('\n'), ..InputOptions::default() };
    let sheet = read(&b"machineId,tag,action\na,\"x\r\ny\",Add\n"[..], &lines).expect("a sheet");
    assert_eq!(requests(&sheet), ["1/2 a: Add \"x\"", "1/2 a: Add \"y\""]);
}

#[test]
fn odd_tags_are_told_with_what_to_do_and_may_be_removed() {
    let rows = "a,Wave\u{200b}3,Add\nb,Ring\u{a0}A,Add\nc,#REF!,Add\nd,“Ring A”,Add\ne,NULL,Add\nf,\"a\nb\",Add\n\
                g,\"[\"\"x\"\",\"\"y\"\"]\",Add\nh,a|b,Add\ni,\"=\"\"A\"\"\",Add\nj,Gr\u{fffd}n,Add\nk,#REF!,Remove\nl,Old,Add\nm,OLD,Remove\n";
    let odd = sheet(&format!("machineId,tag,action\n{rows}"));
    let told: Vec<String> = odd.problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r##"
    row 1, line 2, column "tag": the tag "Wave\u{200b}3" holds the invisible character U+200B; type it again, or allow it with --accept odd-tags
    row 2, line 3, column "tag": the tag "Ring\u{a0}A" holds U+00A0, a space other than the usual one; type it again, or allow it with --accept odd-tags
    row 3, line 4, column "tag": the tag "#REF!" is a spreadsheet's error; fix the formula behind it, or allow it with --accept odd-tags
    row 4, line 5, column "tag": the tag "“Ring A”" has quotation marks around it or in front; remove them, or allow it with --accept odd-tags
    row 5, line 6, column "tag": the tag "NULL" is what programs write for nothing; empty the cell, or fill in a tag, or allow it with --accept odd-tags
    row 6, line 7, column "tag": the tag "a\u{a}b" holds a line break and looks like a list; write one tag per row, read such cells as lists with --tag-separator "\n", or allow it with --accept odd-tags
    row 7, line 9, column "tag": the tag "["x","y"]" has brackets around it and looks like a list; write one tag per row, without brackets, or allow it with --accept odd-tags
    row 8, line 10, column "tag": the tag "a|b" holds "|" and looks like a list; write one tag per row, read such cells as lists with --tag-separator "|", or allow it with --accept odd-tags
    row 9, line 11, column "tag": the tag "="A"" has quotation marks around it or in front; remove them, or allow it with --accept odd-tags
    row 10, line 12, column "tag": the tag "Gr�n" holds U+FFFD, which stands for a character that a conversion lost; type it again, or allow it with --accept odd-tags
    "##);
    let warned: Vec<String> = odd.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warned.join("\n"), @r##"
    row 11, line 13: the tag "#REF!" is a spreadsheet's error; it is removed as it stands
    row 13, line 15: the tag "OLD" is removed, and row 12 adds "Old", which differs only in case or width
    "##);
    // The same tag in a row in error is no variant of itself.
    let same = sheet("machineId,tag,action\n1.2.3.4,Old,Add\nb,Old,Remove\n");
    assert_eq!((same.problems.len(), same.warnings.len()), (1, 0));
    assert!(odd.problems.iter().all(|problem| problem.to_string().ends_with("--accept odd-tags")));
    let allowed = accepting(&format!("machineId,tag,action\n{rows}"), &[Doubt::OddTags]);
    assert_eq!(problems(&allowed), <[&str; 0]>::default());
    assert_eq!(allowed.requests.tags.iter().filter(|tag| tag.as_str() == "a\nb").count(), 1);
    assert_eq!(notes(&allowed), ["--accept odd-tags allows 10 rows that would be refused otherwise"]);
}

#[test]
fn variants_of_a_tag_are_told_with_the_first() {
    let text = "machineId,tag,action\na,Marketing,Add\nb,MARKETING,Add\nc,Ｍarketing,Add\nd,Marketing,Add\n";
    let told: Vec<String> = sheet(text).problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    row 2, line 3, column "tag": the tag "MARKETING" differs from "Marketing" of row 1 only in case or width; write both in one way, or allow both with --accept case-variants
    row 3, line 4, column "tag": the tag "Ｍarketing" differs from "Marketing" of row 1 only in case or width; write both in one way, or allow both with --accept case-variants
    "#);
    let allowed = accepting(text, &[Doubt::CaseVariants]);
    assert_eq!((problems(&allowed).len(), allowed.requests.all.len()), (0, 4));
}

#[test]
fn columns_of_earlier_results_are_not_carried_along() {
    let own = "row,status,http_status,error_code,error_message,attempts,request_id,before,after,finished_at,run_id";
    let text = format!(
        "machineId,tag,action,{own},remark\na,x,Add,1,failed,404,x,\"no, \"\"really\"\"\",1,r,,,t,run,\"my, own\"\nb,x,Add\n"
    );
    let mut sheet = sheet(&text);
    assert_eq!(sheet.header, ["machineId", "tag", "action", "remark"]);
    assert_eq!(second_pass(&mut sheet), [vec!["a", "x", "Add", "my, own"], vec!["b", "x", "Add"]]);
    assert_eq!(
        notes(&sheet),
        [
            "the 11 columns from \"row\" to \"run_id\" are tagfleet's own, from an earlier results file; they are not carried along"
        ]
    );
    let renamed = own.replace("status,h", "result_status,h").replace("run_id", "result_run_id");
    let sheet = super::sheet(&format!("machineId,tag,action,Status,Run_id,{renamed}\na,x,Add,open,77,1\n"));
    assert_eq!(sheet.header, ["machineId", "tag", "action", "Status", "Run_id"]);
    // Some of the names are anybody's.
    assert_eq!(super::sheet("machineId,tag,action,status,run_id\n").header.len(), 5);
    let header = ["Status", "RUN_ID ", "result_status"].map(str::to_owned);
    assert_eq!(added_names(&header, &["row", "status", "run_id"]), ["row", "result_result_status", "result_run_id"]);
}

#[test]
fn a_tag_of_a_row_in_error_or_of_the_same_cell_counts_as_a_case_variant() {
    let options = InputOptions { tag_separator: Some(';'), ..InputOptions::default() };
    let table: &[(&str, &[&str])] = &[
        ("1.2.3.4,Marketing,Add\nb,MARKETING,Add", &["1/2 machineId machine_address", "2/3 tag case_variant"]),
        ("1.2.3.4,Marketing,Add\nb,Marketing,Add", &["1/2 machineId machine_address"]),
        ("1.2.3.4,Marketing,Remove\nb,MARKETING,Add", &["1/2 machineId machine_address"]),
        ("a,Marketing,Ad\nb,MARKETING,Add", &["1/2 action unknown_action"]),
        ("a,x;X,Add", &["1/2 tag case_variant"]),
        ("a,x;X,Remove", &[]),
    ];
    for (rows, expected) in table {
        let text = format!("machineId,tag,action\n{rows}\n");
        assert_eq!(problems(&read(text.as_bytes(), &options).expect("a sheet")), *expected, "{rows:?}");
    }
}

#[test]
fn blanks_beyond_ascii_around_a_machine_are_a_decoration() {
    for (machine, note) in [
        (format!("\u{a0}{ID}"), "1 machine id had invisible characters; it is read without"),
        (format!(" {ID}\u{2009} "), "1 machine id had invisible characters; it is read without"),
        ("web01\u{3000}".to_owned(), "1 machine name had invisible characters; it is read without"),
    ] {
        let sheet = sheet(&format!("machineId,tag,action\n{machine},x,Add\n"));
        assert_eq!((notes(&sheet), sheet.requests.all.len()), (vec![note.to_owned()], 1), "{machine:?}");
    }
    assert_eq!(notes(&sheet(&format!("machineId,tag,action\n \t{ID} ,x,Add\n"))), Vec::<String>::new());
}

#[test]
fn a_column_of_ids_that_is_empty_points_to_the_column_of_names() {
    let with_names = sheet("machineId,Device Name,tag,action\n,web01,x,Add\n ,web02,x,Add\n");
    assert_eq!(problems(&with_names)[0], "1/2 machineId no_ids");
    assert!(with_names.is_refused());
    let told = with_names.problems[0].to_string();
    assert!(told.ends_with("in the column \"Device Name\": remove or rename this column to use them"), "{told}");
    // One id makes it a column of ids.
    let with_id = sheet(&format!("machineId,Device Name,tag,action\n,web01,x,Add\n{ID},web02,x,Add\n"));
    assert_eq!(problems(&with_id), ["1/2 machineId missing_machine"]);
    assert_eq!(problems(&sheet("machineId,tag,action\n,x,Add\n")), ["1/2 machineId missing_machine"]);
}

#[test]
fn a_column_that_is_called_nearly_like_a_missing_one_is_named() {
    let told = [
        refusal("machineId,tag,action,vlaue\na,x,Add,High\n"),
        refusal("machineId;value;Tagg\na;Low;x\n"),
        refusal("machineId,tags,action,value\na,x,Add,\n"),
        refusal("machineId,tag,action,device_vallue\na,x,Add,High\n"),
        refusal("machineId,tagg,action\na,x,Add\n"),
        refusal("machine_idd,tags,acton\na,x,Add\n"),
        refusal("Device,tag,action\na,x,Add\n"),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    the header on line 1 has the column "vlaue" (4), which looks like "value" misspelled; rename the column, or carry it along unread with --accept misnamed-columns
    the header on line 1 has the column "Tagg" (3), which looks like "tag" misspelled; rename the column, or carry it along unread with --accept misnamed-columns
    the header on line 1 has the column "tags" (2), which looks like "tag" misspelled; rename the column, or carry it along unread with --accept misnamed-columns
    the header on line 1 has the column "device_vallue" (4), which looks like "deviceValue" misspelled; rename the column, or carry it along unread with --accept misnamed-columns
    the header on line 1 has an action column but no tag column; it has "machineId" (1), "tagg" (2), "action" (3); rename "tagg" (2) to "tag"; it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has no machine column, and no column that says what to change; it has "machine_idd" (1), "tags" (2), "acton" (3); rename "machine_idd" (1) to "machineId"; rename "acton" (3) to "action"; it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    the header on line 1 has no machine column; it has "Device" (1), "tag" (2), "action" (3); rename "Device" (1) to "Device ID"; it needs a machine column (machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name) and either tag and action, or value
    "#);
    let text = "machineId,tag,action,vlaue\na,x,Add,High\n";
    let allowed = accepting(text, &[Doubt::MisnamedColumns]);
    assert_eq!(requests(&allowed), ["1/2 a: Add \"x\""]);
    let note = "--accept misnamed-columns allows 1 row that would be refused otherwise";
    assert_eq!(allowed.notes.iter().map(ToString::to_string).collect::<Vec<_>>(), [note]);
    // What exports and earlier results have, and what only looks a little alike.
    for header in [
        "machineId,value,tags,machineTags",
        "Device ID,Device Name,Health Status,Tags,action,value",
        "Device Name,Device IP,tag,action",
        "machineId,tag,action,status,row,result_row",
        "machineId,value,stage,section,reaction",
        "machineId,tag,tags,action,actions,value,values",
        "Device Name,Device SID,Machine Uid,tag,action",
        "machineId,device_idd,device_namee,tag,action",
    ] {
        let count = header.split(',').count();
        let row = ["a"; 10][..count].join(",");
        sheet(&format!("{header}\n{row}\n"));
    }
}

#[test]
fn a_column_of_ids_that_is_called_nearly_so_is_named_although_another_column_names_machines() {
    let told = [
        refusal("machine_idd,Device Name,tag,action\na,b,x,Add\n"),
        refusal("Hostname,AADDeviceIdd,tag,action\na,b,x,Add\n"),
        refusal("Id,Device Dd,tag,action\na,b,x,Add\n"),
        refusal("Device ID,Machien ID,value\na,b,High\n"),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    the header on line 1 has the column "machine_idd" (1), which looks like "machineId" misspelled; rename the column, or carry it along unread with --accept misnamed-columns
    the header on line 1 has the column "AADDeviceIdd" (2), which looks like "aadDeviceId" misspelled; rename the column, or carry it along unread with --accept misnamed-columns
    the header on line 1 has the column "Device Dd" (2), which looks like "Device ID" misspelled; rename the column, or carry it along unread with --accept misnamed-columns
    the header on line 1 has the column "Machien ID" (2), which looks like "machineId" misspelled; rename the column, or carry it along unread with --accept misnamed-columns
    "#);
    let allowed = accepting("machine_idd,Device Name,tag,action\na,b,x,Add\n", &[Doubt::MisnamedColumns]);
    assert_eq!(requests(&allowed), ["1/2 b: Add \"x\""]);
}
