//! How the file is written: its delimiter, an Excel `sep=` line.

use encoding_rs::Encoding;

use crate::input::findings::error::InputError;
use crate::input::findings::excerpt::Excerpt;
use crate::input::text::scan::line_break_bytes;

/// The delimiters that are looked for, the likeliest first.
pub(super) const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

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

/// The first line of a file in which Excel is told the delimiter: `sep=;`, perhaps in quotation marks.
pub(super) struct SeparatorLine {
    pub(super) delimiter: u8,
    /// How many bytes of the text it takes, its line break included.
    pub(super) bytes: usize,
}

impl SeparatorLine {
    pub(super) fn find(text: &str) -> Result<Option<Self>, InputError> {
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
