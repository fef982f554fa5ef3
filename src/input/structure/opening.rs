//! The beginning of a file, up to its first row: marks, a `sep=` line, what stands above the header, and the header.
//!
//! The header is the first record among the first [`RECORDS_MAXIMUM`] that has the columns; titles and remarks above it are
//! skipped, and said. A row above it is never skipped, for then the file would mean less than it shows.

use std::io::Read;

use super::columns::{Columns, Needed};
use super::dialect::{DELIMITERS, Dialect, SeparatorLine};
use super::record::swallows_row;
use crate::input::cells::check::is_action;
use crate::input::cells::machine::holds_id;
use crate::input::findings::accept::{Accepted, Doubt};
use crate::input::findings::delimiter_name::DelimiterName;
use crate::input::findings::error::InputError;
use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::note::Note;
use crate::input::text::scan::{Cells, QuotedPlace, Stop, count_line_breaks, line_break_bytes};
use crate::input::text::{Ahead, Lines, Text};

/// The longest beginning of a file in which the header must be over. A portal export's header has 500 bytes.
const HEADER_MAXIMUM_BYTES: usize = 256 * 1024;

/// Among so many records the header is looked for.
const RECORDS_MAXIMUM: usize = 20;

/// The byte order mark of UTF-8 as it looks when it was decoded as windows-1252, code page 437, Mac Roman, windows-1251, or
/// as windows-1252 twice.
const CONVERTED_MARKS: [&str; 5] = ["ï»¿", "∩╗┐", "Ôªø", "п»ї", "Ã¯Â»Â¿"];

/// A file's beginning, understood.
pub(in crate::input) struct Opening {
    pub(in crate::input) dialect: Dialect,
    /// The header's cells as they were decoded.
    pub(in crate::input) header: Vec<String>,
    pub(in crate::input) columns: Columns,
    /// What was skipped.
    pub(in crate::input) notes: Vec<Note>,
}

impl Opening {
    /// Reads the text up to its first row.
    ///
    /// The delimiter is the one under which a header is found; if there is none, the error is told for the likeliest, which
    /// as a rule is the one that splits a record most.
    pub(in crate::input) fn read<R: Read>(
        text: &mut Text<R>,
        accepted: Accepted,
        needed: Needed<'_>,
    ) -> Result<Self, InputError> {
        let mut notes = Vec::new();
        if skip_marks(text)? {
            text.require_ascii()?;
            notes.push(Note::DoubleMark);
        }
        let separator_line = SeparatorLine::find(text.look_ahead(HEADER_MAXIMUM_BYTES)?.text)?;
        if let Some(separator_line) = &separator_line {
            text.skip(separator_line.bytes, 1);
        }
        text.skip_empty_lines()?;
        let first_line = text.line();
        let ahead = text.look_ahead(HEADER_MAXIMUM_BYTES)?;
        if ahead.text.is_empty() {
            return Err(InputError::Empty);
        }
        let named = separator_line.as_ref().map(|separator_line| separator_line.delimiter);
        let mut best: Option<Candidate> = None;
        for delimiter in named.map_or(DELIMITERS.to_vec(), |named| vec![named]) {
            let candidate = Candidate::read(ahead, delimiter, accepted, needed);
            if best.as_ref().is_none_or(|best| candidate.rank() > best.rank()) {
                best = Some(candidate);
            }
        }
        let best = best.ok_or(InputError::Empty)?;
        let delimiters = named.as_ref().map_or(&DELIMITERS[..], std::slice::from_ref);
        let why = |error: InputError| {
            quoted_lines(ahead, best.delimiter, needed)
                .or_else(|| other_separator(ahead, named?, needed).filter(|_| lacks_columns(&error)))
                .or_else(|| header_below(ahead, delimiters, needed).filter(|_| lacks_columns(&error)))
                .unwrap_or(error)
        };
        let columns = best.columns.map_err(why)?;
        let above = ahead.text.get(..best.start).unwrap_or_default();
        skip_above(Ahead { text: above, is_whole: true, ..ahead }, best.line, best.delimiter, &mut notes)?;
        text.skip(best.end, best.line + best.inner_line_breaks + 1 - first_line);
        let dialect = Dialect {
            encoding: text.encoding(),
            byte_order_mark: text.has_byte_order_mark(),
            delimiter: best.delimiter,
            separator_line: separator_line.is_some(),
        };
        Ok(Self { dialect, header: best.header, columns, notes })
    }
}

/// Reads over marks that are still there when the file's own was taken off; says whether one had been converted.
fn skip_marks<R: Read>(text: &mut Text<R>) -> Result<bool, InputError> {
    let mut is_converted = false;
    loop {
        let ahead = text.look_ahead(HEADER_MAXIMUM_BYTES)?.text;
        let converted = CONVERTED_MARKS.iter().find(|mark| ahead.starts_with(**mark)).map(|mark| mark.len());
        let mark = converted.or_else(|| ahead.starts_with('\u{feff}').then_some('\u{feff}'.len_utf8()));
        let Some(bytes) = mark else { return Ok(is_converted) };
        is_converted |= converted.is_some();
        text.skip(bytes, 0);
    }
}

/// The records of a beginning under one delimiter.
struct Records<'a> {
    ahead: Ahead<'a>,
    cells: Cells,
    position: usize,
    line: u64,
}

/// A record of a beginning.
struct Found {
    start: usize,
    end: usize,
    line: u64,
    inner_line_breaks: u64,
    cells: Vec<String>,
}

impl<'a> Records<'a> {
    const fn new(ahead: Ahead<'a>, delimiter: u8) -> Self {
        Self { ahead, cells: Cells::new(delimiter), position: 0, line: ahead.line }
    }

    /// The next record; `None` at the end.
    fn next(&mut self) -> Result<Option<Found>, Stop> {
        let Ahead { text, is_whole, counted, .. } = self.ahead;
        loop {
            match line_break_bytes(text, self.position, is_whole)? {
                0 if self.position >= text.len() => return if is_whole { Ok(None) } else { Err(Stop::MoreNeeded) },
                0 => break,
                bytes => {
                    self.position += bytes;
                    self.line += 1;
                }
            }
        }
        let scanned = self.cells.scan(text, self.position, is_whole)?;
        let inner_line_breaks = counted.within(scanned.inner_line_breaks);
        let found = Found {
            start: self.position,
            end: scanned.end,
            line: self.line,
            inner_line_breaks,
            cells: self.cells.iter(text).map(str::to_owned).collect(),
        };
        self.position = scanned.end;
        self.line += inner_line_breaks + 1;
        Ok(Some(found))
    }

    /// The line of a place in the record that was found last.
    fn line_at(&self, position: usize) -> u64 {
        match self.ahead.counted {
            Lines::Physical => {
                self.ahead.line + count_line_breaks(self.ahead.text.as_bytes().get(..position).unwrap_or_default())
            }
            Lines::Rows => self.line - 1,
        }
    }

    /// What is wrong with the marks of the record that was found last.
    fn stray_quote(&self) -> Option<InputError> {
        let stray = self.cells.stray_quote()?;
        Some(InputError::TextAfterQuote { opened: self.line_at(stray.opened), closed: self.line_at(stray.closed) })
    }

    /// A quoted cell of that record with the header in it: its mark was to close before, or means nothing.
    fn header_in_quotes(&self, delimiter: u8, needed: Needed<'_>) -> Option<InputError> {
        let Ahead { text, line, .. } = self.ahead;
        let is_header = |line_text: &str| {
            let found = Records::new(Ahead { text: line_text, is_whole: true, ..self.ahead }, delimiter).next();
            found.ok().flatten().is_some_and(|found| Columns::find(&found.cells, line, needed).is_ok())
        };
        let holds_header = |quoted: &&QuotedPlace| {
            let quoted = text.get(quoted.opened + 1..quoted.closed).unwrap_or_default();
            quoted.split(['\n', '\r']).any(is_header)
        };
        let quoted = self.cells.broken().iter().find(holds_header)?;
        Some(InputError::HeaderInQuotes { opened: self.line_at(quoted.opened), closed: self.line_at(quoted.closed) })
    }

    /// A quoted cell of that record that may have swallowed a row.
    fn swallowed_row(&self, delimiter: u8, columns: usize) -> Option<InputError> {
        let text = |quoted: &QuotedPlace| self.ahead.text.get(quoted.opened + 1..quoted.closed).unwrap_or_default();
        let swallows = |quoted: &&QuotedPlace| swallows_row(text(quoted), char::from(delimiter), columns);
        let quoted = self.cells.broken().iter().find(swallows)?;
        Some(InputError::LineBreaks { opened: self.line_at(quoted.opened), closed: self.line_at(quoted.closed) })
    }
}

/// The header as one delimiter makes it, or why it makes none.
struct Candidate {
    delimiter: u8,
    header: Vec<String>,
    columns: Result<Columns, InputError>,
    /// Where it stands in the text, its line break included.
    start: usize,
    end: usize,
    line: u64,
    inner_line_breaks: u64,
    /// How many of the columns that matter an incomplete header has.
    recognised: usize,
}

impl Candidate {
    fn read(ahead: Ahead<'_>, delimiter: u8, accepted: Accepted, needed: Needed<'_>) -> Self {
        let mut records = Records::new(ahead, delimiter);
        let mut best = Self::without_header(delimiter, InputError::Empty);
        let mut in_quotes = None;
        let mut seen = 0;
        while seen < RECORDS_MAXIMUM {
            let found = match records.next() {
                Ok(Some(found)) => found,
                Err(stop) if seen == 0 => return Self::without_header(delimiter, open_error(&records, stop)),
                // The mark that is not closed stands below title lines, and the header may be in its cell.
                Err(stop @ Stop::OpenQuote { .. }) if best.recognised == 0 => {
                    return Self::without_header(delimiter, open_error(&records, stop));
                }
                Ok(None) | Err(_) => break,
            };
            if found.cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            seen += 1;
            in_quotes = in_quotes.or_else(|| records.header_in_quotes(delimiter, needed));
            let columns = found.cells.len();
            let swallowed =
                || records.swallowed_row(delimiter, columns).filter(|_| !accepted.allows(Doubt::LineBreaks));
            let stray_quote = records.stray_quote().or_else(swallowed);
            let candidate = Self::of(delimiter, found, needed);
            match (&candidate.columns, stray_quote) {
                (Ok(Columns { misnamed: Some(misnamed), .. }), None) if !accepted.allows(Doubt::MisnamedColumns) => {
                    let error = InputError::MisnamedColumn { line: candidate.line, misnamed: misnamed.clone() };
                    return Self { columns: Err(error), ..candidate };
                }
                (Ok(_), None) | (Err(InputError::DuplicateColumns { .. }), _) => return candidate,
                (Ok(_), Some(error)) => return Self { columns: Err(error), ..candidate },
                // A mark that swallows a part of the header is why it is not complete.
                (Err(_), Some(error)) if candidate.recognised > best.recognised => {
                    best = Self { columns: Err(error), ..candidate };
                }
                (Err(_), _) if seen == 1 || candidate.is_likelier(&best) => best = candidate,
                _ => {}
            }
        }
        match in_quotes {
            Some(error) => Self { columns: Err(error), ..best },
            None => best,
        }
    }

    /// Whether it is meant as the header before another incomplete one: a title stands in a cell of its own.
    fn is_likelier(&self, other: &Self) -> bool {
        let is_title = |it: &Self| it.header.iter().filter(|cell| !cell.trim().is_empty()).count() < 2;
        self.recognised > other.recognised || (other.recognised == 0 && is_title(other) && !is_title(self))
    }

    fn of(delimiter: u8, found: Found, needed: Needed<'_>) -> Self {
        let Found { start, end, line, inner_line_breaks, cells: header } = found;
        let mut columns = Columns::find(&header, line, needed);
        let recognised = match &columns {
            Err(InputError::MissingColumns { gaps, .. }) => gaps.recognised(),
            _ => 0,
        };
        let unquoted: Vec<String> = header.iter().map(|cell| without_late_quotes(cell).to_owned()).collect();
        if columns.is_err() && unquoted != header && Columns::find(&unquoted, line, needed).is_ok() {
            columns = Err(InputError::BlankBeforeQuote { line });
        }
        Self { delimiter, header, columns, start, end, line, inner_line_breaks, recognised }
    }

    const fn without_header(delimiter: u8, error: InputError) -> Self {
        let header = Vec::new();
        Self { delimiter, header, columns: Err(error), start: 0, end: 0, line: 0, inner_line_breaks: 0, recognised: 0 }
    }

    /// The best candidate has the greatest. A cell that is opened and not closed makes its delimiter likelier than one
    /// that splits elsewhere, and is what people want to be told; so is a column that is there twice.
    fn rank(&self) -> (bool, std::cmp::Reverse<usize>, bool, usize, usize) {
        let is_telling = match &self.columns {
            Ok(_) => true,
            Err(error) => {
                !matches!(error, InputError::MissingColumns { .. } | InputError::MissingKey { .. } | InputError::Empty)
            }
        };
        let start = if self.columns.is_ok() { self.start } else { 0 };
        (self.columns.is_ok(), std::cmp::Reverse(start), is_telling, self.recognised, self.header.len())
    }
}

fn open_error(records: &Records<'_>, stop: Stop) -> InputError {
    match stop {
        Stop::MoreNeeded => InputError::HeaderTooLong,
        Stop::OpenQuote { position } => InputError::UnclosedQuote { line: records.line_at(position) },
    }
}

/// A cell as it was meant whose quotation marks stand behind a blank.
fn without_late_quotes(cell: &str) -> &str {
    if cell.starts_with(char::is_whitespace) { cell.trim().trim_matches('"') } else { cell }
}

/// Whether the header is there when a line that is one quoted cell, perhaps with empty ones behind it, is read once more.
fn quoted_lines(ahead: Ahead<'_>, delimiter: u8, needed: Needed<'_>) -> Option<InputError> {
    let mut records = Records::new(ahead, delimiter);
    for _ in 0..RECORDS_MAXIMUM {
        let found = records.next().ok()??;
        let Some((cell, rest)) = found.cells.split_first() else { continue };
        if records.cells.is_bare(ahead.text, 0) || rest.iter().any(|cell| !cell.trim().is_empty()) {
            continue;
        }
        let has_header = |delimiter: &u8| {
            let inner = Ahead { text: cell, is_whole: true, line: found.line, ..ahead };
            let inner = Records::new(inner, *delimiter).next().ok().flatten();
            inner.is_some_and(|inner| inner.cells.len() > 1 && Columns::find(&inner.cells, found.line, needed).is_ok())
        };
        if DELIMITERS.iter().any(has_header) {
            return Some(InputError::QuotedLines { line: found.line });
        }
    }
    None
}

/// Whether nothing that could be a header was found.
fn lacks_columns(error: &InputError) -> bool {
    match error {
        InputError::MissingColumns { gaps, .. } => gaps.only_machines || gaps.recognised() == 0,
        InputError::MissingKey { .. } => true,
        _ => false,
    }
}

/// A header that is there by another delimiter than the one that the separator line names.
fn other_separator(ahead: Ahead<'_>, named: u8, needed: Needed<'_>) -> Option<InputError> {
    let others = DELIMITERS.iter().filter(|delimiter| **delimiter != named);
    let mut candidates = others.map(|delimiter| Candidate::read(ahead, *delimiter, Accepted::ALL, needed));
    let Candidate { line, delimiter, .. } = candidates.find(|candidate| candidate.columns.is_ok())?;
    let [named, found] = [named, delimiter].map(|delimiter| DelimiterName(char::from(delimiter)));
    Some(InputError::OtherSeparator { line, named, found })
}

/// A header that stands below where it is looked for, and no row above it.
fn header_below(ahead: Ahead<'_>, delimiters: &[u8], needed: Needed<'_>) -> Option<InputError> {
    let first = delimiters.iter().filter_map(|delimiter| {
        let mut records = Records::new(ahead, *delimiter);
        while let Ok(Some(found)) = records.next() {
            if Columns::find(&found.cells, found.line, needed).is_ok() {
                return Some((found, *delimiter));
            }
        }
        None
    });
    let (header, delimiter) = first.min_by_key(|(found, _)| found.start)?;
    let above = Ahead { text: ahead.text.get(..header.start)?, is_whole: true, ..ahead };
    match skip_above(above, header.line, delimiter, &mut Vec::new()) {
        Err(error) => Some(error),
        Ok(()) => Some(InputError::HeaderBelow { line: header.line, records: RECORDS_MAXIMUM }),
    }
}

/// Looks at what stands above the header. Nothing of it may be a row.
fn skip_above(ahead: Ahead<'_>, header_line: u64, delimiter: u8, notes: &mut Vec<Note>) -> Result<(), InputError> {
    let Ahead { text: above, line: first_line, .. } = ahead;
    let mut records = Records::new(ahead, delimiter);
    let (mut lines, mut first) = (Vec::new(), None);
    while let Ok(Some(found)) = records.next() {
        if let Some(error) = records.stray_quote() {
            return Err(error);
        }
        let raw = above.get(found.start..found.end).unwrap_or_default();
        let has_action = found.cells.len() > 2 && found.cells.iter().any(|cell| is_action(cell));
        if holds_id(raw) || has_action {
            return Err(InputError::RowAboveHeader { line: found.line, header_line });
        }
        let text = raw.trim_end_matches(['\r', '\n']);
        if first_line == found.line && text.trim_start_matches('"').starts_with("#TYPE ") {
            notes.push(Note::TypeLine { line: found.line, text: Excerpt::new(text) });
            continue;
        }
        lines.extend(found.line..=found.line + found.inner_line_breaks);
        if found.cells.iter().any(|cell| !cell.trim().is_empty()) {
            first.get_or_insert_with(|| Excerpt::new(text));
        }
    }
    if !lines.is_empty() {
        let text = first.unwrap_or_else(|| Excerpt::new(above.lines().next().unwrap_or_default()));
        notes.push(Note::LinesAbove { lines, text, header_line });
    }
    Ok(())
}
