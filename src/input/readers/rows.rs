//! Reads and checks every record after the header, and decides which of them are rows.
//!
//! Every record comes to exactly one of these: a row that asks for something, a row with problems, or a count of what was
//! skipped. Only rows go to the spool, so that whoever reads it again sees the same rows and no others.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use crate::input::cells::check::{self, AskedOfMachine, Field, NamedCells, Rules};
use crate::input::cells::machine;
use crate::input::cells::tag_book::{AskedTag, RowPlace, TagBook, TakenTag};
use crate::input::choices::options::InputOptions;
use crate::input::choices::orders::Orders;
use crate::input::choices::selection::Selection;
use crate::input::choices::tenants::{SignedIn, TenantColumn};
use crate::input::findings::accept::{Accepted, Doubt};
use crate::input::findings::error::InputError;
use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::note::{self, DecorationCounts, Note};
use crate::input::findings::problem::{Problem, ProblemKind};
use crate::input::findings::skipped::SkippedRecords;
use crate::input::oddities::decoration::Decorations;
use crate::input::sheet::growing::make_room;
use crate::input::sheet::mentions::Mentions;
use crate::input::sheet::spool::SpoolWriter;
use crate::input::sheet::{ChunkPlaces, Sheet};
use crate::input::structure::columns::{Column, Columns};
use crate::input::structure::opening::Opening;
use crate::input::structure::record::{Record, may_begin_blank, next_row, trim};
use crate::input::structure::record_fault::{Expected, column_name, hidden_columns, shown_otherwise};
use crate::input::text::Text;
use crate::input::text::scan::Cells;
use crate::input::workbook::SheetRows;
use crate::model::{Change, MachineId, MachineReference, Request, Requests, RowNumber};

/// Reads all rows after the opening, or those that are selected; `sheet` tells which rows a workbook hides.
pub(in crate::input) fn read<R: Read>(
    mut text: Text<R>,
    opening: Opening,
    selection: Option<Selection<'_>>,
    sheet: Option<&SheetRows>,
    options: &InputOptions,
) -> Result<Sheet, InputError> {
    let mut cells = Cells::new(opening.dialect.delimiter);
    let mut rows = Rows::new(opening, selection, options);
    loop {
        match text.next_record(&mut cells) {
            Ok(Some(place)) => rows.take(&Record { place, cells: &cells, text: &text, sheet })?,
            Ok(None) => break,
            Err(InputError::UnclosedQuote { line: opened }) => {
                rows.take_open_end(text.line(), opened)?;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    rows.notes.extend(hidden_columns(sheet, &rows.columns, &rows.header, &rows.selecting));
    rows.finish()
}

/// What has been found so far.
struct Rows<'m> {
    header: Vec<String>,
    dialect: crate::input::Dialect,
    columns: Columns,
    accepted: Accepted,
    tag_separator: Option<char>,
    /// What every row asks for, where the command line says it.
    orders: Option<Orders>,
    allows_names: bool,
    selection: Option<Selection<'m>>,
    tenants: Option<TenantColumn>,
    signed_in: Option<SignedIn>,
    /// The columns by which rows are selected.
    selecting: Vec<usize>,
    /// How many are selected, where some may not be.
    selected: Option<u32>,
    /// Those that are not selected included.
    row_count: u32,
    spool: SpoolWriter,
    chunks: ChunkPlaces,
    mentions: Mentions,
    tags: TagBook,
    requests: Vec<Request>,
    problems: Vec<Problem>,
    unmade_adds: Vec<MachineReference>,
    notes: Vec<Note>,
    skipped: SkippedRecords,
    decoration_counts: DecorationCounts,
    allowed: HashMap<Doubt, u64>,
    machines: MachineColumn,
    /// The faults and tags of the row at hand; kept for their memory.
    faults: Vec<(Field, ProblemKind)>,
    asked_tags: Vec<AskedTag>,
}

/// What the machines' column holds.
#[derive(Default)]
struct MachineColumn {
    has_id: bool,
    has_entra: bool,
    has_name: bool,
    /// The first row whose cell is not an id, with the cell; an empty one only where another column may hold names.
    first: Option<(RowPlace, Excerpt)>,
}

impl<'m> Rows<'m> {
    fn new(opening: Opening, selection: Option<Selection<'m>>, options: &InputOptions) -> Self {
        let Opening { dialect, header, columns, notes } = opening;
        let tenants = TenantColumn::find(options.tenants.as_ref(), &header);
        let of_filter = selection.iter().flat_map(|selection| selection.places(columns.machine.position));
        let signed_in = SignedIn::find(options.signed_in.as_deref(), &header);
        let of_others = signed_in.iter().flat_map(|signed_in| signed_in.positions.clone());
        Self {
            selecting: of_filter.chain(tenants.iter().map(|tenants| tenants.position)).chain(of_others).collect(),
            selected: (selection.is_some() || tenants.is_some()).then_some(0),
            tenants,
            signed_in,
            header,
            dialect,
            columns,
            accepted: options.accepted,
            tag_separator: options.tag_separator,
            orders: options.orders.clone(),
            allows_names: !options.ids_only,
            selection,
            row_count: 0,
            spool: SpoolWriter::new(options.spool_directory.as_deref()),
            chunks: ChunkPlaces::default(),
            mentions: Mentions::default(),
            tags: TagBook::new(options.accepted),
            requests: Vec::new(),
            problems: Vec::new(),
            unmade_adds: Vec::new(),
            notes,
            skipped: SkippedRecords::default(),
            decoration_counts: DecorationCounts::default(),
            allowed: HashMap::new(),
            machines: MachineColumn::default(),
            faults: Vec::new(),
            asked_tags: Vec::new(),
        }
    }

    fn take<R: Read>(&mut self, record: &Record<'_, R>) -> Result<(), InputError> {
        // Blanks beyond ASCII are a decoration, of which a note tells.
        let machine = record.cell(self.columns.machine.position).trim_ascii();
        let line = record.place.first_line;
        if record.is_skipped(trim(machine), &self.columns.machine.name, &self.header, &mut self.skipped) {
            return Ok(());
        }
        let row = self.next_row(line)?;
        let (named, has_blanks) = self.named(record, machine);
        let expected =
            Expected { columns: &self.columns, delimiter: char::from(self.dialect.delimiter), accepted: self.accepted };
        let fault = expected.fault_of(record, machine, has_blanks, &mut self.allowed);
        let fault = fault.or_else(|| expected.selecting_fault(record, &self.selecting));
        let of_nobody = || self.tenants.as_ref().and_then(|tenants| tenants.fault(trim(record.cell(tenants.position))));
        let fault = fault.or_else(|| Some((Field::Row, of_nobody()?)));
        let fault = fault.or_else(|| self.unsure_column(record));
        // Cells that cannot be believed say nothing to a filter either.
        if fault.is_none() && !self.selects(record, machine) {
            return Ok(());
        }
        let expected =
            Expected { columns: &self.columns, delimiter: char::from(self.dialect.delimiter), accepted: self.accepted };
        let fault = fault.or_else(|| expected.sheet_fault(record, &self.selecting, &mut self.allowed));
        let fault = fault.or_else(|| self.signed_in.as_ref()?.doubt(record, self.accepted, &mut self.allowed));
        let start = self.spool.write(&self.kept(record))?;
        self.keep(row.row, start);
        // A row that may be meant so leaves its cells what they say, and all that is wrong with them is told at once.
        let is_readable = fault.as_ref().is_none_or(|(field, kind)| *field == Field::Row && kind.doubt().is_some());
        self.faults.extend(fault);
        if is_readable {
            self.check_and_take(row, &named, record.sheet);
        } else {
            self.unmade_adds.extend(self.may_be_of(record, machine));
            self.report(row);
        }
        Ok(())
    }

    /// The machines of which an unreadable row may be, if it may add a tag: that in its place, and every id.
    fn may_be_of<R: Read>(&self, record: &Record<'_, R>, machine: &str) -> Vec<MachineReference> {
        if self.orders.as_ref().is_some_and(|orders| !orders.adds()) {
            return Vec::new();
        }
        let in_its_place = machine::read(machine).ok().map(|(machine, _)| machine);
        machine::ids_in(record.raw()).chain(in_its_place).collect()
    }

    /// What is wrong with a row that a workbook shows otherwise than the cells by which it is selected.
    fn unsure_column<R: Read>(&self, record: &Record<'_, R>) -> Option<(Field, ProblemKind)> {
        let sheet = record.sheet?;
        let texts = self.selection.as_ref().map(Selection::texts).unwrap_or_default();
        let tenant = self.tenants.as_ref().map(|tenants| tenants.position);
        let positions = texts.iter().copied().chain(tenant);
        let mut unsure = positions.filter_map(|position| {
            let kind = shown_otherwise(sheet, record.place.first_line, position, record.cell(position))?;
            Some((Field::Beside(position), kind))
        });
        unsure.next()
    }

    /// Finds cells that a workbook shows otherwise than they are read, beside what else is wrong; says whether there are any.
    fn find_shown_otherwise(&mut self, sheet: Option<&SheetRows>, line: u32, named: &NamedCells<'_>) -> bool {
        let Some(sheet) = sheet else { return false };
        let known = self.faults.len();
        let columns = [
            (Field::Machine, Some(&self.columns.machine), named.machine),
            (Field::Action, self.columns.action.as_ref(), named.action),
            (Field::Tag, self.columns.tag.as_ref(), named.tag),
            (Field::Value, self.columns.value.as_ref(), named.value),
        ];
        for (field, column, cell) in columns {
            let kind = column.and_then(|column| shown_otherwise(sheet, line, column.position, cell));
            if self.faults.iter().all(|(known, _)| *known != field) {
                self.faults.extend(kind.map(|kind| (field, kind)));
            }
        }
        self.faults.sort_by_key(|(field, _)| *field);
        self.faults.len() > known
    }

    /// Whether a row is of the tenant that is called, and of those that are meant.
    fn selects<R: Read>(&mut self, record: &Record<'_, R>, machine: &str) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.is_own(trim(record.cell(tenants.position))))
            && self.selection.as_mut().is_none_or(|selection| selection.takes(record, machine, &self.columns.rivals))
    }

    fn next_row(&mut self, line: u32) -> Result<RowPlace, InputError> {
        let row = next_row(self.row_count)?;
        self.row_count = row.0;
        Ok(RowPlace { row, line })
    }

    /// The rest of the file is one cell: a row that nobody can read.
    fn take_open_end(&mut self, line: u64, opened: u64) -> Result<(), InputError> {
        let number = |line: u64| u32::try_from(line).map_err(|_| InputError::TooManyRows);
        let row = self.next_row(number(line)?)?;
        self.keep(row.row, self.spool.end());
        self.faults.push((Field::Row, ProblemKind::UnclosedQuote { opened: number(opened)? }));
        self.report(row);
        Ok(())
    }

    /// Keeps a row of the run whose text begins there.
    fn keep(&mut self, row: RowNumber, start: u64) {
        match &mut self.selected {
            None => self.chunks.add(row, start, self.spool.end()),
            Some(rows) => {
                *rows += 1;
                self.chunks.add_selected(row, start, self.spool.end());
            }
        }
    }

    /// The row as the second pass shall see it: as it is written, but without the columns that are not carried along.
    fn kept<'r, R: Read>(&self, record: &'r Record<'_, R>) -> Cow<'r, str> {
        if self.columns.own.is_empty() {
            return Cow::Borrowed(record.raw());
        }
        let mut kept = String::new();
        for (position, cell) in record.cells().enumerate() {
            if self.columns.own.binary_search(&position).is_err() {
                let delimiter = if kept.is_empty() { "" } else { self.delimiter() };
                kept.push_str(delimiter);
                kept.push('"');
                kept.push_str(&cell.replace('"', "\"\""));
                kept.push('"');
            }
        }
        kept.push('\n');
        Cow::Owned(kept)
    }

    fn delimiter(&self) -> &str {
        std::str::from_utf8(std::slice::from_ref(&self.dialect.delimiter)).unwrap_or_default()
    }

    /// The cells that matter, and whether one of them may begin with a blank.
    fn named<'r, R: Read>(&self, record: &'r Record<'_, R>, machine: &'r str) -> (NamedCells<'r>, bool) {
        let mut has_blanks = may_begin_blank(record.cell(self.columns.machine.position));
        let mut cell = |column: &Option<Column>| {
            let raw = column.as_ref().map_or("", |column| record.cell(column.position));
            has_blanks |= may_begin_blank(raw);
            trim(raw)
        };
        let (action, tag) = (cell(&self.columns.action), cell(&self.columns.tag));
        let value = cell(&self.columns.value);
        (NamedCells { machine, action, tag, value }, has_blanks)
    }

    fn check_and_take(&mut self, place: RowPlace, named: &NamedCells<'_>, sheet: Option<&SheetRows>) {
        let rules = Rules {
            row: place.row,
            accepted: self.accepted,
            tag_separator: self.tag_separator,
            allows_names: self.allows_names,
            has_action_column: self.columns.action.is_some(),
            state_beside: self.columns.state_beside.as_ref().map(|column| &*column.name),
        };
        // Nearly every cell is a bare id, and what else it can be is large to hand on.
        let id = MachineId::from_hexadecimal(named.machine);
        let other = match id {
            Some(_) => None,
            None => check::other_machine(named.machine, &rules)
                .map_err(|kind| self.faults.push((Field::Machine, kind)))
                .ok(),
        };
        let asked = match &self.orders {
            None => check::check(named, &rules, &mut self.tags, &mut self.faults, &mut self.asked_tags),
            Some(_) => self.faults.is_empty().then_some(AskedOfMachine::NOTHING),
        };
        let asked = if self.find_shown_otherwise(sheet, place.line, named) { None } else { asked };
        match (id, other, asked) {
            (Some(id), _, Some(asked)) => self.ask(place, MachineReference::Id(id), Decorations::default(), asked),
            (None, Some((machine, decorations)), Some(asked)) => self.ask(place, machine, decorations, asked),
            (id, other, _) => {
                self.asked_tags.clear();
                let machine = id.map(MachineReference::Id).or_else(|| other.map(|(machine, _)| machine));
                let may_add = self.orders.as_ref().map_or_else(|| check::may_add(named), Orders::adds);
                if may_add {
                    let mentioned = machine.is_none().then(|| machine::ids_in(named.machine)).into_iter().flatten();
                    self.unmade_adds.extend(mentioned.chain(machine.clone()));
                }
                self.report(place);
            }
        }
    }

    fn ask(&mut self, place: RowPlace, machine: MachineReference, decorations: Decorations, asked: AskedOfMachine) {
        let AskedOfMachine { action, value, takes_state } = asked;
        let is_id = !matches!(machine, MachineReference::Name(_));
        if !decorations.is_empty() {
            self.decoration_counts.add(is_id, decorations);
        }
        self.machines.see(place, &machine);
        let machine = self.mentions.add(machine);
        let RowPlace { row, line } = place;
        for change in self.orders.iter().flat_map(|orders| &orders.changes) {
            make_room(&mut self.requests);
            self.requests.push(Request { row, line, machine, change: *change });
        }
        let mut allowed = [None, None, takes_state.then_some(Doubt::StateColumns)];
        for tag in self.asked_tags.drain(..) {
            let Some(action) = action else { continue };
            let Some(TakenTag { number, allowed: doubts }) = self.tags.take(tag, action, place) else { continue };
            for (known, doubt) in allowed.iter_mut().zip(doubts) {
                *known = known.or(doubt);
            }
            make_room(&mut self.requests);
            self.requests.push(Request { row, line, machine, change: Change::Tag(action, number) });
        }
        for doubt in allowed.into_iter().flatten() {
            *self.allowed.entry(doubt).or_default() += 1;
        }
        if let Some(value) = value {
            make_room(&mut self.requests);
            self.requests.push(Request { row, line, machine, change: Change::DeviceValue(value) });
        }
    }

    fn report(&mut self, place: RowPlace) {
        let RowPlace { row, line } = place;
        for (field, kind) in self.faults.drain(..) {
            // Ids that are damaged are ids, and what is no machine at all is no name.
            match kind {
                ProblemKind::MissingMachine if self.columns.names.is_none() => {}
                ProblemKind::MissingMachine => _ = self.machines.first.get_or_insert((place, Excerpt::new(""))),
                _ => self.machines.has_id |= field == Field::Machine,
            }
            let column = column_name(field, &self.columns, &self.header);
            self.problems.push(Problem { row, line, column, kind });
        }
    }

    fn finish(mut self) -> Result<Sheet, InputError> {
        self.refuse_column_without_ids();
        if self.columns.misnamed.is_some() {
            self.allowed.insert(Doubt::MisnamedColumns, self.row_count.into());
        }
        self.notes.extend(self.selection.iter().flat_map(Selection::notes));
        let own = &self.columns.own;
        let notes = note::all(self.notes, own, &self.header, self.skipped, &self.decoration_counts, &self.allowed);
        let spool = self.spool.finish()?;
        let selected = self.selected;
        let machines = self.mentions.finish(&mut self.requests);
        let (tags, warnings, further_warnings) = self.tags.finish();
        let tags = self.orders.map_or(tags, |orders| orders.tags);
        let is_rivalled = self.machines.has_entra && !self.columns.rivals.is_empty();
        let rivals = if is_rivalled { self.columns.of_machines() } else { Vec::new() };
        let header = (0..).zip(self.header).filter(|(position, _)| own.binary_search(position).is_err());
        Ok(Sheet {
            dialect: self.dialect,
            header: header.map(|(_, name)| name).collect(),
            row_count: selected.unwrap_or(self.row_count),
            selected_from: selected.map(|_| self.row_count),
            requests: Arc::new(Requests {
                machines,
                tags,
                all: self.requests,
                unmade_adds: self.unmade_adds,
                exchanges: Vec::new(),
            }),
            problems: self.problems,
            notes,
            warnings,
            further_warnings,
            machine_columns: rivals,
            chunks: self.chunks,
            spool,
        })
    }

    /// A column of ids in which nothing is an id holds something else: the numbers of rows or assets. Where names stand in
    /// a column of their own, nothing in a column of ids can be meant as one.
    fn refuse_column_without_ids(&mut self) {
        let MachineColumn { has_id, has_name, ref first, .. } = self.machines;
        let Some((place, found)) = first.clone().filter(|_| self.columns.machine_by_id && !has_id) else { return };
        if has_name && self.columns.names.is_none() {
            return;
        }
        let names: Option<Arc<str>> = self.columns.names.as_ref().map(|column| Arc::clone(&column.name));
        let column = Some(Arc::clone(&self.columns.machine.name));
        let problem = Problem { row: place.row, line: place.line, column, kind: ProblemKind::NoIds { found, names } };
        // A row has requests or problems, never both.
        self.requests.retain(|request| request.row != place.row);
        let position = self.problems.partition_point(|known| known.row < place.row);
        self.problems.insert(position, problem);
    }
}

impl MachineColumn {
    fn see(&mut self, place: RowPlace, machine: &MachineReference) {
        match machine {
            MachineReference::Name(name) => {
                self.has_name |= machine.is_plausible();
                // What is there tells more than what is missing.
                if self.first.as_ref().is_none_or(|(_, found)| *found == Excerpt::new("")) {
                    self.first = Some((place, Excerpt::new(name)));
                }
            }
            MachineReference::Entra(_) => (self.has_id, self.has_entra) = (true, true),
            MachineReference::Id(_) => self.has_id = true,
        }
    }
}
