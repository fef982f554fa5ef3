//! The reader of inputs, and the plan that is made of them.

use std::io::Read;

use jiff::Timestamp;

use super::{Choices, assert_harmless};
use crate::input::{Accepted, InputOptions, Orders, Sheet, encoding, read, records};
use crate::inventory::Inventory;
use crate::model::MachineRecord;
use crate::model::{Requests, TagAction};
use crate::plan::changes::{Plan, PlanSettings, UnlistedPolicy};
use crate::plan::operations::Operations;
use crate::plan::recent::RecentWrites;
use crate::plan::resolution::Resolution;
use crate::plan::tenant_tags::tenant_tag_warnings;

/// A source that gives its bytes a few at a time, as a pipe does.
struct InPieces<'d> {
    bytes: &'d [u8],
    piece_bytes: usize,
}

impl Read for InPieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.piece_bytes.min(buffer.len()).min(self.bytes.len());
        self.bytes.read(buffer.get_mut(..length).unwrap_or_default())
    }
}

/// Reads a file, whole and in pieces, and plans what it asks for.
pub(super) fn input(data: &[u8]) {
    let mut choices = Choices(data);
    let options = options(&mut choices);
    let piece_bytes = usize::from(choices.byte()).max(1);
    let bytes = choices.0;
    let whole = read(bytes, &options);
    let in_pieces = read(InPieces { bytes, piece_bytes }, &options);
    match (whole, in_pieces) {
        (Ok(mut whole), Ok(in_pieces)) => {
            assert_eq!(told(&whole), told(&in_pieces));
            every_row_is_answered(&whole);
            if !whole.is_refused() {
                every_row_comes_back(&mut whole);
            }
            plan(&whole);
        }
        (Err(whole), Err(in_pieces)) => {
            assert_eq!(whole.to_string(), in_pieces.to_string());
            assert_harmless(&whole.to_string());
        }
        (whole, in_pieces) => panic!("whole: {:?}, in pieces: {:?}", whole.err(), in_pieces.err()),
    }
}

fn options(choices: &mut Choices<'_>) -> InputOptions {
    let switches = choices.byte();
    let is_set = |bit: u8| switches & 1 << bit != 0;
    let labels = ["utf-8", "windows-1252", "utf-16le", "shift_jis", "gb18030", "iso-2022-jp"];
    InputOptions {
        encoding: is_set(0).then(|| encoding(choices.of(labels))).flatten(),
        spool_directory: None,
        accepted: if is_set(1) { Accepted::ALL } else { Accepted::default() },
        tag_separator: is_set(2).then(|| choices.of([';', '|', ',', '\n', '/', '\u{ff1b}'])),
        orders: is_set(4).then(|| Orders::new(&["A".to_owned()], &[], None, Accepted::ALL).ok()).flatten(),
        sheet: None,
        ids_only: is_set(3),
        tenants: None,
        signed_in: None,
        machine_fields: &["osPlatform"],
    }
}

/// Everything that a person is told of a sheet.
fn told(sheet: &Sheet) -> Vec<String> {
    let findings = sheet.findings();
    let notes = sheet.notes.iter().map(ToString::to_string);
    let warnings = sheet.warnings.iter().map(ToString::to_string);
    let said: Vec<String> = findings.iter().map(ToString::to_string).chain(notes).chain(warnings).collect();
    for line in &said {
        assert_harmless(line);
    }
    let Requests { machines, tags, all, unmade_adds, .. } = &*sheet.requests;
    let rest = format!("{sheet:?} {all:?} {machines:?} {tags:?} {unmade_adds:?}");
    said.into_iter().chain([rest]).collect()
}

fn every_row_is_answered(sheet: &Sheet) {
    let answered = |row: u32| sheet.requests.all.iter().any(|request| request.row.0 == row);
    let is_wrong = |row: u32| sheet.problems.iter().any(|problem| problem.row.0 == row);
    // Of very many rows the first ones will do.
    for row in 1..=sheet.row_count.min(200) {
        assert_ne!(answered(row), is_wrong(row), "row {row} has requests or problems, never both");
    }
    assert!(sheet.requests.all.is_sorted_by_key(|request| (request.row, request.line)));
    assert!(sheet.problems.is_sorted_by_key(|problem| (problem.row, problem.line)));
    let findings = sheet.findings();
    assert!(findings.is_sorted_by_key(|finding| (finding.problem.row, finding.problem.line)));
    let rows: u64 = findings.iter().map(|finding| finding.rows).sum();
    assert!(rows <= sheet.problems.len() as u64 && (rows > 0 || sheet.problems.is_empty()));
    let last_row = sheet.requests.all.iter().map(|request| request.row.0).max().unwrap_or(0);
    assert!(last_row <= sheet.row_count);
}

/// The second pass finds the rows of the first.
fn every_row_comes_back(sheet: &mut Sheet) {
    let delimiter = sheet.dialect.delimiter;
    let mut rows = 0;
    for chunk in sheet.chunks() {
        let chunk = chunk.expect("a chunk");
        assert_eq!(chunk.first_row.0, rows + 1);
        let count = records(delimiter, chunk.text.as_bytes()).count();
        assert_eq!(count, chunk.row_count as usize);
        rows += chunk.row_count;
    }
    assert_eq!(rows, sheet.row_count);
}

/// Plans the sheet without a list of machines, and with one that knows some of them.
fn plan(sheet: &Sheet) {
    let listed = sheet.requests.machines.iter().step_by(2).enumerate().map(|(number, machine)| MachineRecord {
        id: format!("{number:040x}").into(),
        computer_dns_name: Some(machine.to_string().into()),
        machine_tags: Some(
            sheet.requests.tags.iter().step_by(2).map(|tag| tag.as_str().to_lowercase().into()).collect(),
        ),
        device_value: Some("Low".into()),
        ..MachineRecord::default()
    });
    let inventory = Inventory::from_machines(Timestamp::UNIX_EPOCH, listed);
    for inventory in [None, Some(&inventory)] {
        let machines = Resolution::of(&sheet.requests, inventory);
        let operations = Operations::of(&machines);
        assert_eq!(operations.of_request.len(), sheet.requests.all.len());
        for conflict in &operations.conflicts {
            assert_harmless(&conflict.describe(&sheet.requests));
        }
        let settings = PlanSettings { unlisted: UnlistedPolicy::Try, limit: Some(3), ..PlanSettings::default() };
        let plan = Plan::of(operations.into(), machines, inventory, &RecentWrites::default(), settings.unlisted)
            .held_back(settings, inventory);
        assert_eq!(plan.decisions.len(), plan.operations.operations.len());
        for operation in &plan.operations.of_request {
            assert!((operation.0 as usize) < plan.decisions.len());
        }
        let calls = plan.calls(500);
        assert!(calls.bulk + calls.tags + calls.value <= plan.decisions.len() as u64);
    }
    let (warnings, _) = tenant_tag_warnings(&sheet.requests, &[TagAction::Add, TagAction::Remove], &inventory);
    for warning in warnings {
        assert_harmless(&warning.to_string());
    }
}
