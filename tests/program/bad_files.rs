//! Files that cannot be used as a whole: refused with the place and what to do, before any call.

use crate::machines::{id, with_ids};
use crate::process::Program;
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::sandbox_server::Sandbox;

/// A file, options, and what is said of it.
type Case = (&'static str, Vec<u8>, &'static str, &'static str);

fn refused(outcome: Outcome, name: &str) -> Outcome {
    assert!(!outcome.wrote_anything(), "{name}: {:?}", outcome.folder().names());
    assert!(!outcome.folder().path("state").exists(), "{name}: nothing is stored for a run that never began");
    outcome
}

#[test]
fn a_file_that_cannot_be_used_is_refused_before_any_call() {
    let sandbox = Sandbox::start("");
    let good = with_ids("machineId,tag,action\n#1,Tier 0,Add\n");
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let cases: Vec<Case> = vec![
        ("nothing at all", Vec::new(), "", "the input is empty; its first line must be a header"),
        ("blank lines only", "\n\r\n\n".into(), "", "the input is empty"),
        ("a mark only", "\u{feff}".into(), "", "the input is empty"),
        ("a workbook", b"PK\x03\x04\x14\x00".to_vec(), "", "this is not an .xlsx workbook, or a damaged one"),
        (
            "an old workbook",
            b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec(),
            "",
            "this workbook is in the old format or has a password",
        ),
        ("UTF-32", b"\xFF\xFE\x00\x00m\x00\x00\x00".to_vec(), "", "the input looks like UTF-32"),
        ("UTF-16 without a mark", utf_16(&good), "", "say so with --encoding utf-16le"),
        (
            "half a character",
            [&utf_16("\u{feff}")[..], &utf_16(&good), b"x"].concat(),
            "",
            "on line 3, are not UTF-16LE",
        ),
        (
            "a byte that is not UTF-8",
            [good.as_bytes(), b"x,Z\xFCrich,Add\n"].concat(),
            "",
            "the bytes at offset 76, on line 3, are not UTF-8",
        ),
        (
            "another encoding than its mark says",
            format!("\u{feff}{good}").into(),
            "--encoding windows-1252",
            "the input begins with the byte order mark of UTF-8, and its encoding was said to be windows-1252",
        ),
        ("no machine", "tag,action\nTier 0,Add\n".into(), "", "the header on line 1 has no machine column"),
        (
            "no action",
            "\n\nmachineId,tag\n".into(),
            "",
            "the header on line 3 has a tag column but no action column: add one that says Add or Remove",
        ),
        ("no tag", "machineId,action\n".into(), "", "has an action column but no tag column"),
        ("nothing to do", "machineId,note\n".into(), "", "has no column that says what to change"),
        ("no header", format!("{},Tier 0,Add\n", id(1)).into(), "", "which looks like a row without a header above it"),
        (
            "two columns for one thing",
            "machineId,tag,action,Machine ID\n".into(),
            "",
            "has two columns with the same name for the machine, \"machineId\" (1) and \"Machine ID\" (4); rename or remove one",
        ),
        (
            "a separator line without a separator",
            format!("sep=\n{good}").into(),
            "",
            "line 1 says \"sep=\", which names no delimiter",
        ),
        (
            "an open header",
            "\"machineId,tag,action\n".into(),
            "",
            "the quotation mark opened on line 1 is never closed",
        ),
        ("a header without end", vec![b'x'; 300_000], "", "the header is longer than 256 KiB"),
    ];
    for (name, file, options, message) in cases {
        let outcome = refused(Rehearsal::at(&sandbox).file(file).with(options).run().exits(3), name);
        outcome.says(&["error: input.csv cannot be used", message]);
    }
    sandbox.end().are_all_nought();
}

#[test]
fn a_file_whose_structure_is_wrong_is_refused_whatever_is_skipped() {
    let sandbox = Sandbox::start("");
    let cases = [
        (
            "#1,Tier 0,Add,\n#2,\"Tier 0,Add,\n#3,Tier 0,Add,\n",
            "row 2, line 3: the quotation mark opened on line 3 is never closed",
        ),
        (
            "#1,Tier 0,Add,\"swapped disk\n#2,Tier 0,Add,ok\n#3,Tier 0,Add,\"done\"\n#4,Tier 0,Add,ok\n",
            "row 1, line 2: the quotation mark opened on line 2 closes on line 4, and text follows it there",
        ),
    ];
    for (rows, message) in cases {
        let file = with_ids(&format!("machineId,tag,action,note\n{rows}"));
        for options in
            ["", "--skip-invalid", "--accept line-breaks,odd-tags,case-variants,state-columns,misnamed-columns"]
        {
            let outcome = Rehearsal::at(&sandbox).file(file.clone()).with(options).run().exits(3);
            refused(outcome, rows)
                .says(&[&format!("error: input.csv: {message}"), "error: the structure of input.csv is in error"]);
        }
    }
    sandbox.end().are_all_nought();
}

#[test]
fn an_input_that_is_not_there_or_no_file_is_refused() {
    let sandbox = Sandbox::start("");
    for name in ["missing.csv", "."] {
        let folder = Folder::new();
        let mut command = folder.command();
        command.envs(sandbox.variables().iter().cloned()).args(["apply", name, "-o", "out.csv", "--yes"]);
        let ended = Program::start(command, None, true).end();
        assert_eq!(ended.status, Some(3), "{}", ended.messages);
        assert!(ended.messages.contains(&format!("error: cannot read {name}\n")), "{}", ended.messages);
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
    sandbox.end().are_all_nought();
}

#[test]
fn an_encoding_that_nobody_knows_is_a_usage_error() {
    let outcome = Rehearsal::at_nobody().rows("#1,A,Add,").with("--encoding klingon").run().exits(2);
    refused(outcome, "klingon").says(&["\"klingon\" is not a known encoding", "hint: use a name such as windows-1252"]);
}

#[test]
fn a_file_that_contradicts_itself_is_refused_with_both_places() {
    let sandbox = Sandbox::start("");
    // A record of two lines stands between those that contradict each other.
    let table = [
        (
            "#1,Tier 0,Add,,\n#2,Tier 0,Add,,\"two\nlines\"\n#1,Tier 0,Remove,,",
            "row 3, line 5: removes the tag \"Tier 0\", and row 1, line 2, adds it, on machine #1; keep one of them",
        ),
        (
            "#1,,,High,\n#2,,,High,\"two\nlines\"\n#1,Tier 0,Add,Low,",
            "row 3, line 5: sets the device value Low, and row 1, line 2, sets High, on machine #1; keep one of them",
        ),
    ];
    for (rows, message) in table {
        let file = with_ids(&format!("machineId,tag,action,value,note\n{rows}\n"));
        for options in ["", "--skip-invalid"] {
            let outcome = Rehearsal::at(&sandbox).file(file.clone()).with(options).run().exits(3);
            refused(outcome, rows).says(&[message, "error: input.csv contradicts itself, so nothing was sent"]);
        }
    }
    sandbox.end().are_all_nought();
}
