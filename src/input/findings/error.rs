//! Why a file as a whole cannot be used.

use std::fmt;
use std::io;

use super::accept::Doubt;
use super::delimiter_name::DelimiterName;
use super::excerpt::Excerpt;
use crate::filter::FilterError;
use crate::input::workbook::WorkbookError;
use crate::model::MachineReference;

/// Why an input was refused as a whole. The caller adds the file's name.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The source failed.
    #[error("cannot read the input")]
    Read(#[source] io::Error),
    /// The temporary file failed: local storage, not the input, is at fault.
    #[error("cannot keep a copy of the input in a temporary file; is the disk full?")]
    Spool(#[source] io::Error),
    /// There is no record at all.
    #[error("the input is empty; its first line must be a header, for example machineId,tag,action,value")]
    Empty,
    /// A spreadsheet's own format that cannot be read.
    #[error(transparent)]
    Workbook(#[from] WorkbookError),
    /// A worksheet was named, and the file has none.
    #[error("--sheet names a worksheet, and the input is no workbook; leave --sheet out")]
    NoSheets,
    /// UTF-32, which no decoder here knows.
    #[error("the input looks like UTF-32, which cannot be read; save it as UTF-8")]
    Utf32,
    /// UTF-16, as far as its first bytes say.
    #[error(
        "the input looks like UTF-16 without a byte order mark; \
         say so with --encoding {label}, or save it as UTF-8"
    )]
    Utf16WithoutMark {
        /// What `--encoding` takes for it.
        label: &'static str,
    },
    /// `--encoding` says one thing, and every byte of the file another.
    #[error(
        "the input is UTF-8, and its encoding was said to be {chosen} (--encoding, or encoding in a profile or a file of rules); \
         leave that out, or say utf-8"
    )]
    IsUtf8 {
        /// The encoding that the user named.
        chosen: &'static str,
    },
    /// `--encoding` says one thing and the file another.
    #[error(
        "the input begins with the byte order mark of {marked}, and its encoding was said to be {chosen} (--encoding, or encoding \
         in a profile or a file of rules); leave that out, or say {marked}"
    )]
    EncodingContradictsMark {
        /// The encoding that the mark stands for.
        marked: &'static str,
        /// The encoding that the user named.
        chosen: &'static str,
    },
    /// Bytes that mean nothing in the encoding.
    #[error("the bytes at offset {offset}, on line {line}, are not {encoding}; {}", decoding_hint(*is_marked))]
    Undecodable {
        /// Where the first of them is in the file, from 0.
        offset: u64,
        /// The physical line, from 1.
        line: u64,
        /// The encoding that was tried.
        encoding: &'static str,
        /// Whether a byte order mark told it.
        is_marked: bool,
    },
    /// A `sep=` line that names no delimiter.
    #[error("line 1 says \"{found}\", which names no delimiter; write for example sep=; or remove the line")]
    SeparatorLine {
        /// The line.
        found: Excerpt,
    },
    /// A `sep=` line that names another delimiter than the header has.
    #[error(
        "line 1 says that {named} stands between cells, and the header on line {line} is written with {found}; correct \
         line 1, or remove it"
    )]
    OtherSeparator {
        /// The physical line of the header, from 1.
        line: u64,
        /// What line 1 names.
        named: DelimiterName,
        /// The header's.
        found: DelimiterName,
    },
    /// The header does not end where every header would have.
    #[error("the header is longer than 256 KiB; is a quotation mark in it not closed?")]
    HeaderTooLong,
    /// A byte order mark that was decoded as something else, in a file that is not all ASCII.
    #[error(
        "the file was converted twice: it begins with a byte order mark that was read as text, so the characters beyond \
         ASCII on line {line} cannot be trusted; save the original again as UTF-8"
    )]
    ConvertedTwice {
        /// The physical line of the first such character, from 1.
        line: u64,
    },
    /// Every line is one quoted cell, which holds a row.
    #[error(
        "every line is one quoted cell, as when a CSV file is pasted into a spreadsheet and saved again: line {line} as a \
         whole stands in quotation marks; remove those around each line, and write those within it once"
    )]
    QuotedLines {
        /// The physical line of the header in it, from 1.
        line: u64,
    },
    /// A row stands above the header.
    #[error(
        "line {line} looks like a row, and the header follows below it on line {header_line}; put the header first, or \
         remove what stands above it"
    )]
    RowAboveHeader {
        /// The physical line of the row, from 1.
        line: u64,
        /// The physical line of the header.
        header_line: u64,
    },
    /// The header stands below where it is looked for.
    #[error(
        "the header is on line {line}, and tagfleet looks for it among the first {records} lines that are not empty; remove \
         lines above it"
    )]
    HeaderBelow {
        /// The physical line of the header, from 1.
        line: u64,
        /// Among how many records it is looked for.
        records: usize,
    },
    /// A quotation mark above the header, or before it, that closes behind it.
    #[error(
        "the quotation mark opened on line {opened} closes on line {closed} only, which makes the header a part of its cell; \
         remove the mark, or close it before the header"
    )]
    HeaderInQuotes {
        /// The physical line of the opening mark, from 1.
        opened: u64,
        /// The physical line of the closing mark.
        closed: u64,
    },
    /// Text behind a closing quotation mark, in the header or above it.
    #[error(
        "the quotation mark opened on line {opened} closes on line {closed}, and text follows it there; remove the stray \
         mark, or write a mark that belongs into a quoted cell twice"
    )]
    TextAfterQuote {
        /// The physical line of the opening mark, from 1.
        opened: u64,
        /// The physical line of the closing mark.
        closed: u64,
    },
    /// A quoted cell of the header that may have swallowed rows.
    #[error(
        "the quoted cell of the header from line {opened} to line {closed} holds a line that looks like a row; close the \
         quotation mark where the cell is to end, or allow such cells with --accept line-breaks"
    )]
    LineBreaks {
        /// The physical line of the opening mark, from 1.
        opened: u64,
        /// The physical line of the closing mark.
        closed: u64,
    },
    /// A quotation mark in the header that means nothing.
    #[error(
        "a quotation mark after a blank is a part of a column's name on line {line}; remove the blank before the quotation mark"
    )]
    BlankBeforeQuote {
        /// The physical line of the header, from 1.
        line: u64,
    },
    /// Columns that are needed are not there.
    #[error("the header on line {line} {gaps}; it has {found}; {}{}", MisnamedHint(misnamed), gaps.needed())]
    MissingColumns {
        /// The physical line of the header, from 1.
        line: u64,
        gaps: ColumnGaps,
        /// Which others are called nearly like them.
        misnamed: Vec<MisnamedColumn>,
        found: FoundColumns,
    },
    /// A list lacks the column that says whose its rows are.
    #[error("the header on line {line} has no column \"{wanted}\"; it has {found}")]
    MissingKey {
        /// The physical line of the header, from 1.
        line: u64,
        /// The column.
        wanted: Excerpt,
        /// What is there.
        found: FoundColumns,
    },
    /// A column is called nearly like one that is not there, and would be carried along unread.
    #[error(
        "the header on line {line} has {misnamed}; rename the column, or carry it along unread with \
         --accept misnamed-columns"
    )]
    MisnamedColumn {
        /// The physical line of the header, from 1.
        line: u64,
        misnamed: MisnamedColumn,
    },
    /// Two columns could be meant.
    #[error(
        "the header on line {line} has two columns with the same name for {kind}, {first} and {second}; rename or remove \
         one (case, blanks, _ and - make no difference)"
    )]
    DuplicateColumns {
        /// The physical line of the header, from 1.
        line: u64,
        /// What both give.
        kind: &'static str,
        /// The one, with its number.
        first: FoundColumns,
        /// The other.
        second: FoundColumns,
    },
    /// A quotation mark without its counterpart: the rest of the file would be one cell.
    #[error(
        "the quotation mark opened on line {line} is never closed, which makes the rest of the input one cell; \
         close it, or write it twice inside a quoted cell"
    )]
    UnclosedQuote {
        /// The physical line of the mark, from 1.
        line: u64,
    },
    /// A record without end.
    #[error("the record that begins on line {line} is longer than 16 MiB; is a quotation mark in it not closed?")]
    RecordTooLong {
        /// The physical line on which it begins, from 1.
        line: u64,
    },
    /// A filter that does not fit the columns.
    #[error(transparent)]
    Filter(FilterError),
    /// More than the numbers of rows and lines can count.
    #[error("the input has more than 1,073,741,824 rows or 4,294,967,295 lines; split it")]
    TooManyRows,
}

impl InputError {
    /// The name in JSON, in snake case.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read(_) => "unreadable_file",
            Self::Spool(_) => "local_storage",
            Self::Empty => "empty_file",
            Self::Workbook(_) | Self::NoSheets => "workbook",
            Self::Utf32
            | Self::Utf16WithoutMark { .. }
            | Self::EncodingContradictsMark { .. }
            | Self::IsUtf8 { .. } => "wrong_encoding",
            Self::Undecodable { .. } => "undecodable",
            Self::SeparatorLine { .. } | Self::OtherSeparator { .. } => "separator_line",
            Self::HeaderTooLong | Self::RecordTooLong { .. } | Self::TooManyRows => "too_long",
            Self::ConvertedTwice { .. } => "converted_twice",
            Self::QuotedLines { .. } => "quoted_lines",
            Self::RowAboveHeader { .. } => "row_above_header",
            Self::HeaderBelow { .. } => "header_below",
            Self::TextAfterQuote { .. } => "text_after_quote",
            Self::LineBreaks { .. } => "line_breaks",
            Self::UnclosedQuote { .. } | Self::HeaderInQuotes { .. } => "unclosed_quote",
            Self::BlankBeforeQuote { .. } => "blank_before_quote",
            Self::MissingColumns { .. } | Self::MissingKey { .. } => "missing_columns",
            Self::MisnamedColumn { .. } => "misnamed_column",
            Self::DuplicateColumns { .. } => "duplicate_columns",
            Self::Filter(_) => "filter",
        }
    }

    /// What allows it; `None` for what is wrong in any case.
    pub const fn doubt(&self) -> Option<Doubt> {
        match self {
            Self::LineBreaks { .. } => Some(Doubt::LineBreaks),
            Self::MisnamedColumn { .. } => Some(Doubt::MisnamedColumns),
            _ => None,
        }
    }

    /// The physical line that it is about, from 1, if it is about one.
    pub const fn line(&self) -> Option<u64> {
        match self {
            Self::Undecodable { line, .. }
            | Self::ConvertedTwice { line }
            | Self::QuotedLines { line }
            | Self::RowAboveHeader { line, .. }
            | Self::HeaderBelow { line, .. }
            | Self::HeaderInQuotes { opened: line, .. }
            | Self::TextAfterQuote { opened: line, .. }
            | Self::LineBreaks { opened: line, .. }
            | Self::UnclosedQuote { line }
            | Self::BlankBeforeQuote { line }
            | Self::MissingColumns { line, .. }
            | Self::MissingKey { line, .. }
            | Self::MisnamedColumn { line, .. }
            | Self::DuplicateColumns { line, .. }
            | Self::RecordTooLong { line } => Some(*line),
            Self::SeparatorLine { .. } | Self::OtherSeparator { .. } => Some(1),
            _ => None,
        }
    }
}

/// The columns of which one must be there in any case.
macro_rules! machine_columns {
    () => {
        "machineId, Device ID, Id, AAD Device Id, or else Device Name, computerDnsName, Machine Name, Hostname, Name"
    };
}

const fn decoding_hint(is_marked: bool) -> &'static str {
    if is_marked {
        "the input is damaged, or was joined from files in different encodings; save it as UTF-8"
    } else {
        "name the input's encoding with --encoding (windows-1252 for many older Excel files), or save it as UTF-8"
    }
}

/// A column that is called nearly like one that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisnamedColumn {
    pub(in crate::input) found: FoundColumns,
    /// The name that it should have.
    pub(in crate::input) name: &'static str,
}

impl fmt::Display for MisnamedColumn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the column {}, which looks like \"{}\" misspelled", self.found, self.name)
    }
}

struct MisnamedHint<'m>(&'m [MisnamedColumn]);

impl fmt::Display for MisnamedHint<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|misnamed| write!(formatter, "rename {} to \"{}\"; ", misnamed.found, misnamed.name))
    }
}

/// Which of the columns that matter a header has; not enough of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one for each column, and every combination is possible")]
pub struct ColumnGaps {
    pub(in crate::input) has_machine: bool,
    pub(in crate::input) has_tag: bool,
    pub(in crate::input) has_action: bool,
    pub(in crate::input) has_value: bool,
    /// Whether the machine is all that is needed.
    pub(in crate::input) only_machines: bool,
}

impl ColumnGaps {
    /// What a header must have.
    const fn needed(self) -> &'static str {
        if self.only_machines {
            concat!("it needs a machine column (", machine_columns!(), ")")
        } else {
            concat!("it needs a machine column (", machine_columns!(), ") and either tag and action, or value")
        }
    }

    /// How many of the columns are there.
    pub(in crate::input) fn recognised(self) -> usize {
        [self.has_machine, self.has_tag, self.has_action, self.has_value]
            .into_iter()
            .filter(|is_there| *is_there)
            .count()
    }
}

impl fmt::Display for ColumnGaps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match (self.has_tag, self.has_action) {
            (true, true) => None,
            _ if self.has_value => None,
            (true, false) => Some("a tag column but no action column: add one that says Add or Remove"),
            (false, true) => Some("an action column but no tag column"),
            (false, false) => Some("no column that says what to change"),
        };
        match (self.has_machine, change) {
            (false, Some(change)) => write!(formatter, "has no machine column, and {change}"),
            (false, None) => formatter.write_str("has no machine column"),
            (true, change) => write!(formatter, "has {}", change.unwrap_or_default()),
        }
    }
}

/// Names of columns, as they are shown: quoted, cut, with their number, and not more of them than fit on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundColumns {
    names: Vec<(usize, Excerpt)>,
    more: usize,
    looks_like_row: bool,
}

impl FoundColumns {
    const SHOWN: usize = 40;

    pub(in crate::input) fn new(header: &[String]) -> Self {
        let names = (1..).zip(header.iter().map(|name| Excerpt::new(name))).take(Self::SHOWN).collect();
        let looks_like_row =
            header.iter().any(|cell| matches!(MachineReference::parse(cell.trim()), MachineReference::Id(_)));
        Self { names, more: header.len().saturating_sub(Self::SHOWN), looks_like_row }
    }

    pub(in crate::input) fn one(position: usize, name: &str) -> Self {
        Self { names: vec![(position + 1, Excerpt::new(name))], more: 0, looks_like_row: false }
    }
}

impl fmt::Display for FoundColumns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (number, name)) in self.names.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}\"{name}\" ({number})")?;
        }
        if self.more > 0 {
            write!(formatter, " and {} more", self.more)?;
        }
        if self.looks_like_row {
            formatter.write_str(", which looks like a row without a header above it")?;
        }
        Ok(())
    }
}
