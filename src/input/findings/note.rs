//! What was read although it was decorated, or skipped although it was there; and what is allowed, but worth a word.

use std::collections::HashMap;
use std::fmt;

use super::accept::Doubt;
use super::excerpt::Excerpt;
use super::skipped::{SkippedRecords, SkippedRows};
use crate::filter::UnreadCells;
use crate::input::oddities::decoration::{Decoration, Decorations};
use crate::input::oddities::tag_oddity::TagOddity;
use crate::input::workbook::Workbook;
use crate::model::{RowNumber, Tag};
use crate::words::listed;

/// Something about the whole file, told in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A UTF-8 byte order mark that had been decoded as something else.
    DoubleMark,
    /// The line by which Windows PowerShell names the type of its objects.
    TypeLine {
        /// The physical line, from 1.
        line: u64,
        /// What it says.
        text: Excerpt,
    },
    /// Lines above the header.
    LinesAbove {
        /// The physical lines, from 1.
        lines: Vec<u64>,
        /// What the first of them says.
        text: Excerpt,
        /// The line of the header.
        header_line: u64,
    },
    /// Rows of nothing but delimiters and blanks.
    BlankRows(SkippedRows),
    /// Records that repeat the header.
    RepeatedHeaders(SkippedRows),
    /// Rows of a list that name no machine, so that they say nothing of any.
    KeylessRows {
        /// The column that would.
        column: Excerpt,
        /// Which rows.
        rows: SkippedRows,
    },
    /// Columns of an earlier results file.
    OwnColumns {
        /// How many.
        count: usize,
        /// The first of them.
        first: Excerpt,
        /// The last of them.
        last: Excerpt,
    },
    /// Machine ids, or names, that were decorated.
    Decorated {
        /// Whether they are ids.
        ids: bool,
        /// How many.
        cells: u64,
        /// How many wore what; one may wear several.
        decorations: Vec<(Decoration, u64)>,
    },
    /// Which sheet of a workbook is read, where it has several.
    Sheet {
        /// The one that is read.
        read: Excerpt,
        /// The others that can be seen.
        others: Vec<Excerpt>,
    },
    /// Columns of a workbook that are read, and that a spreadsheet does not show.
    HiddenColumns(Vec<Excerpt>),
    /// Rows that a filter over fields of machines leaves out, since the tenant's list does not have their machines.
    UnlistedMachines(SkippedRows),
    /// Cells that a filter could not read as the type that it needs.
    UnreadCells(UnreadCells),
    /// Rows that are doubtful and allowed.
    Accepted {
        /// What was allowed.
        doubt: Doubt,
        /// How many rows make use of it.
        rows: u64,
    },
}

impl Note {
    /// Which sheet is read of those that a workbook has; nothing where it has one.
    pub(in crate::input) fn sheet(workbook: &Workbook) -> Option<Self> {
        let others: Vec<Excerpt> = workbook.other_sheets().iter().map(|name| Excerpt::new(name)).collect();
        (!others.is_empty()).then(|| Self::Sheet { read: Excerpt::new(workbook.sheet()), others })
    }

    /// What is told of a list whose options are keys of this section.
    pub fn in_section(&self, section: &str) -> String {
        match self {
            Self::Sheet { read, others } => sheet_words(read, others, &format!("sheet in [{section}]")),
            Self::Accepted { doubt, rows } => accepted_words(&format!("accept = [\"{doubt}\"] in [{section}]"), *rows),
            other => other.to_string(),
        }
    }
}

/// Which sheet is read, and what names another one.
fn sheet_words(read: &Excerpt, others: &[Excerpt], option: &str) -> String {
    let shown: Vec<String> = others.iter().take(SkippedRows::SHOWN).map(|name| format!("\"{name}\"")).collect();
    let more = others.len().saturating_sub(shown.len()) as u64;
    let others = listed(&shown, more);
    format!("the worksheet \"{read}\" is read, and not {others} ({option} names another one)")
}

fn accepted_words(option: &str, rows: u64) -> String {
    format!("{option} allows {} that would be refused otherwise", counted(rows, "row"))
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoubleMark => formatter.write_str(
                "the file begins with a byte order mark that was converted twice; all else is ASCII, so it was left out",
            ),
            Self::TypeLine { line, text } => write!(formatter, "skipped line {line}, \"{text}\""),
            Self::LinesAbove { lines, text, header_line } => {
                let numbers: Vec<String> = lines.iter().take(SkippedRows::SHOWN).map(ToString::to_string).collect();
                let more = lines.len().saturating_sub(numbers.len()) as u64;
                let (word, first) = if lines.len() == 1 { ("line", "") } else { ("lines", ", the first of which says") };
                write!(
                    formatter,
                    "the header is on line {header_line}; skipped {word} {} above it{first} \"{text}\"",
                    listed(&numbers, more)
                )
            }
            Self::Sheet { read, others } => formatter.write_str(&sheet_words(read, others, "--sheet")),
            Self::HiddenColumns(names) => {
                let shown: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
                let (word, verb, read) =
                    if names.len() == 1 { ("column", "is", "it is") } else { ("columns", "are", "they are") };
                write!(formatter, "the {word} {} {verb} hidden in the sheet; {read} read", listed(&shown, 0))
            }
            Self::BlankRows(rows) => {
                write!(formatter, "skipped {} of nothing but delimiters and blanks, on {rows}", counted(rows.count, "row"))
            }
            Self::RepeatedHeaders(rows) => {
                let verb = if rows.count == 1 { "repeats" } else { "repeat" };
                write!(formatter, "skipped {} that {verb} the header, on {rows}", counted(rows.count, "row"))
            }
            Self::UnlistedMachines(rows) => {
                let verb = if rows.count == 1 { "names a machine" } else { "name machines" };
                write!(
                    formatter,
                    "not selected {} that {verb} of which the tenant's list shows no field, on {rows}",
                    counted(rows.count, "row")
                )
            }
            Self::KeylessRows { column, rows } => {
                let verb = if rows.count == 1 { "names" } else { "name" };
                let left_out = counted(rows.count, "row");
                write!(formatter, "left out {left_out} that {verb} no machine in the column \"{column}\", on {rows}")
            }
            Self::OwnColumns { count: 1, first, .. } => write!(
                formatter,
                "the column \"{first}\" is tagfleet's own, from an earlier results file; it is not carried along"
            ),
            Self::OwnColumns { count, first, last } => write!(
                formatter,
                "the {count} columns from \"{first}\" to \"{last}\" are tagfleet's own, from an earlier results file; \
                 they are not carried along"
            ),
            Self::Decorated { ids, cells, decorations } => {
                let what = if *ids { "machine id" } else { "machine name" };
                let read = if *cells == 1 { "it is" } else { "they are" };
                write!(formatter, "{} had {}; {read} read without", counted(*cells, what), listed(&worn(decorations), 0))
            }
            Self::UnreadCells(cells) => cells.fmt(formatter),
            Self::Accepted { doubt, rows } => {
                formatter.write_str(&accepted_words(&format!("--accept {doubt}"), *rows))
            }
        }
    }
}

/// What was worn, each with its number where it is not all.
fn worn(decorations: &[(Decoration, u64)]) -> Vec<String> {
    let shown = decorations.iter().map(|(decoration, count)| match decorations.len() {
        1 => decoration.words().to_owned(),
        _ => format!("{} ({count})", decoration.words()),
    });
    shown.collect()
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// What was taken off machines, while they are read.
#[derive(Default)]
pub(in crate::input) struct DecorationCounts {
    ids: Worn,
    names: Worn,
}

#[derive(Default)]
struct Worn {
    cells: u64,
    decorations: [u64; Decoration::ALL.len()],
}

impl DecorationCounts {
    pub(in crate::input) fn add(&mut self, is_id: bool, decorations: Decorations) {
        let worn = if is_id { &mut self.ids } else { &mut self.names };
        worn.cells += 1;
        for (decoration, count) in Decoration::ALL.into_iter().zip(&mut worn.decorations) {
            *count += u64::from(decorations.has(decoration));
        }
    }

    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        let kinds = [(true, &self.ids), (false, &self.names)];
        kinds.into_iter().filter(|(_, worn)| worn.cells > 0).map(|(ids, worn)| {
            let counts = Decoration::ALL.into_iter().zip(worn.decorations);
            Note::Decorated { ids, cells: worn.cells, decorations: counts.filter(|(_, count)| *count > 0).collect() }
        })
    }
}

/// A tag that is allowed and works, but that somebody should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagWarning {
    /// The first row that has it.
    pub row: RowNumber,
    /// The physical line of that row, from 1.
    pub line: u32,
    pub tag: Tag,
    /// What to know.
    pub kind: TagWarningKind,
}

/// What is to be known of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagWarningKind {
    /// It holds a parenthesis or a comma, so the portal cannot filter by it (documented).
    PortalFilter,
    /// It is odd, and it is to be removed.
    OddRemoved(TagOddity),
    /// It is to be removed, and the file adds a tag that equals it but for case and width.
    VariantRemoved {
        /// The other one.
        other: Tag,
        /// The row that adds it.
        other_row: RowNumber,
    },
}

impl fmt::Display for TagWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = Excerpt::new(self.tag.as_str());
        write!(formatter, "row {}, line {}: the tag \"{tag}\" ", self.row, self.line)?;
        match &self.kind {
            TagWarningKind::PortalFilter => {
                formatter.write_str("holds a parenthesis or a comma, so the portal cannot filter by it")
            }
            TagWarningKind::OddRemoved(oddity) => {
                write!(formatter, "{}; it is removed as it stands", oddity.words())
            }
            TagWarningKind::VariantRemoved { other, other_row } => write!(
                formatter,
                "is removed, and row {other_row} adds \"{}\", which differs only in case or width",
                Excerpt::new(other.as_str())
            ),
        }
    }
}

/// Everything that is to be said once about the whole file, of which these columns are those of earlier results.
pub(in crate::input) fn all(
    mut notes: Vec<Note>,
    own: &[usize],
    header: &[String],
    skipped: SkippedRecords,
    decoration_counts: &DecorationCounts,
    allowed: &HashMap<Doubt, u64>,
) -> Vec<Note> {
    let name = |position: Option<&usize>| {
        Excerpt::new(position.and_then(|position| header.get(*position)).map_or("", |name| name.trim()))
    };
    if !own.is_empty() {
        let (first, last) = (name(own.first()), name(own.last()));
        notes.push(Note::OwnColumns { count: own.len(), first, last });
    }
    let SkippedRecords { blank, repeated } = skipped;
    if blank.count > 0 {
        notes.push(Note::BlankRows(blank));
    }
    if repeated.count > 0 {
        notes.push(Note::RepeatedHeaders(repeated));
    }
    notes.extend(decoration_counts.notes());
    let accepted =
        Doubt::ALL.into_iter().filter_map(|doubt| Some(Note::Accepted { doubt, rows: *allowed.get(&doubt)? }));
    notes.extend(accepted);
    notes
}
