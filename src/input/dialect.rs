//! How the file is written: its delimiter, an Excel `sep=` line, and the header.

use std::io::Read;

use encoding_rs::Encoding;

use super::columns::Columns;
use super::error::InputError;
use super::excerpt::Excerpt;
use super::scan::{Cells, Stop, count_line_breaks, line_break_bytes};
use super::text::{Ahead, Text};

/// The longest beginning of a file in which the header must be over. A portal export's header has 500 bytes.
pub(super) const HEADER_MAXIMUM_BYTES: usize = 256 * 1024;

/// The delimiters that are looked for, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How the input was written, as far as results take it over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dialect {
    /// The encoding that the bytes were decoded from.
    pub encoding: &'static Encoding,
    /// Whether the file began with a byte order mark.
    pub byte_order_mark: bool,
    /// What stands between cells; an ASCII character.
    pub delimiter: u8,
    /// Whether the first line was Excel's `sep=`, which is no record.
    pub separator_line: bool,
}

/// The file's beginning, understood.
pub(super) struct Opening {
    pub(super) dialect: Dialect,
    /// The header's cells as they were decoded.
    pub(super) header: Vec<String>,
    pub(super) columns: Columns,
}

impl Opening {
    /// Reads the text up to its first row.
    ///
    /// The delimiter is the one under which the header has the columns that are needed; if it has them under none, the
    /// error is told for the likeliest, which as a rule is the one that splits it most.
    pub(super) fn read<R: Read>(text: &mut Text<R>) -> Result<Self, InputError> {
        let separator_line = SeparatorLine::find(text.look_ahead(HEADER_MAXIMUM_BYTES)?.text)?;
        if let Some(separator_line) = &separator_line {
            text.skip(separator_line.bytes, 1);
        }
        text.skip_empty_lines()?;
        let ahead = text.look_ahead(HEADER_MAXIMUM_BYTES)?;
        if ahead.text.is_empty() {
            return Err(InputError::Empty);
        }
        let named = separator_line.as_ref().map(|separator_line| separator_line.delimiter);
        let mut best: Option<Candidate> = None;
        for delimiter in named.map_or(DELIMITERS.to_vec(), |named| vec![named]) {
            let candidate = Candidate::read(ahead, delimiter);
            if best.as_ref().is_none_or(|best| candidate.rank() > best.rank()) {
                best = Some(candidate);
            }
        }
        let Candidate { delimiter, header, columns, bytes, line_breaks } = best.ok_or(InputError::Empty)?;
        let columns = columns?;
        text.skip(bytes, line_breaks);
        let dialect = Dialect {
            encoding: text.encoding(),
            byte_order_mark: text.has_byte_order_mark(),
            delimiter,
            separator_line: separator_line.is_some(),
        };
        Ok(Self { dialect, header, columns })
    }
}

/// The header as one delimiter makes it.
struct Candidate {
    delimiter: u8,
    header: Vec<String>,
    columns: Result<Columns, InputError>,
    /// What of the text it takes, its line break included.
    bytes: usize,
    line_breaks: u64,
}

impl Candidate {
    fn read(ahead: Ahead<'_>, delimiter: u8) -> Self {
        let mut cells = Cells::new(delimiter, usize::MAX);
        let (header, columns, bytes, line_breaks) = match cells.scan(ahead.text, 0, ahead.is_whole) {
            Ok(scanned) => {
                let header: Vec<String> = cells.iter(ahead.text).map(str::to_owned).collect();
                let columns = Columns::find(&header, ahead.line);
                (header, columns, scanned.end, scanned.inner_line_breaks + 1)
            }
            Err(Stop::MoreNeeded) => (Vec::new(), Err(InputError::HeaderTooLong), 0, 0),
            Err(Stop::OpenQuote { position }) => {
                let before = ahead.text.as_bytes().get(..position).unwrap_or_default();
                let line = ahead.line + count_line_breaks(before);
                (Vec::new(), Err(InputError::UnclosedQuote { line }), 0, 0)
            }
        };
        Self { delimiter, header, columns, bytes, line_breaks }
    }

    /// The best candidate has the greatest. A cell that is opened and not closed makes its delimiter likelier than one
    /// that splits elsewhere, and is what people want to be told.
    fn rank(&self) -> (bool, bool, usize) {
        let is_open = matches!(self.columns, Err(InputError::HeaderTooLong | InputError::UnclosedQuote { .. }));
        (self.columns.is_ok(), is_open, self.header.len())
    }
}

/// The first line of a file in which Excel is told the delimiter: `sep=;`, perhaps in quotation marks.
struct SeparatorLine {
    delimiter: u8,
    /// How many bytes of the text it takes, its line break included.
    bytes: usize,
}

impl SeparatorLine {
    fn find(text: &str) -> Result<Option<Self>, InputError> {
        let (line, rest) = text.split_at(text.find(['\r', '\n']).unwrap_or(text.len()));
        let bare = line.strip_prefix('"').map_or(line, |line| line.strip_suffix('"').unwrap_or(line));
        let Some((key, named)) = bare.split_at_checked(4) else {
            return Ok(None);
        };
        if !key.eq_ignore_ascii_case("sep=") {
            return Ok(None);
        }
        match named.as_bytes() {
            // A spreadsheet that saves the file again gives the line as many delimiters as there are columns.
            [delimiter, more @ ..] if is_delimiter(*delimiter) && more.iter().all(|byte| byte == delimiter) => {
                let bytes = line.len() + line_break_bytes(rest, 0, true).unwrap_or_default();
                Ok(Some(Self { delimiter: *delimiter, bytes }))
            }
            _ => Err(InputError::SeparatorLine { found: Excerpt::new(line) }),
        }
    }
}

const fn is_delimiter(byte: u8) -> bool {
    (byte.is_ascii_punctuation() && byte != b'"') || matches!(byte, b'\t' | b' ')
}
