//! The decoded text on its way to the rows: physical lines are counted, or of a workbook its rows.
//!
//! Bytes come from a [`source`], which may be a workbook; [`decode`] makes text of them, of which a window is held here; and
//! [`scan`] finds a record's cells in it.

pub(super) mod decode;
pub(super) mod scan;
pub(super) mod source;

use std::io::Read;

use encoding_rs::Encoding;

use self::decode::{Decoded, DecodingSource};
use self::scan::{Cells, Stop, count_line_breaks, line_break_bytes};
use crate::input::findings::error::InputError;

/// The longest record that is read. The longest sane one is a few hundred kilobytes: notes that people pasted.
const RECORD_MAXIMUM_BYTES: usize = 16 * 1024 * 1024;

/// The decoded text, as far as it is not read yet.
pub(super) struct Text<R> {
    source: DecodingSource<R>,
    /// What is decoded and not forgotten.
    window: String,
    /// Where in the window reading goes on.
    position: usize,
    /// The line there, from 1.
    line: u64,
    counted: Lines,
    is_over: bool,
    /// Whether anything but ASCII shows that the file was converted twice.
    must_be_ascii: bool,
}

/// What is counted as lines. Where a text is a workbook's sheet every record is a row of it, whatever its cells hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    Physical,
    Rows,
}

impl Lines {
    /// How many of a record's inner line breaks count.
    pub(super) const fn within(self, inner_line_breaks: u64) -> u64 {
        match self {
            Self::Physical => inner_line_breaks,
            Self::Rows => 0,
        }
    }
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordPlace {
    /// Where its first byte is in the window.
    pub(super) start: usize,
    /// Where the window goes on after it and its line break.
    pub(super) end: usize,
    /// The line on which it begins, from 1.
    pub(super) first_line: u32,
    /// The line on which it ends: another one when a quoted cell holds line breaks that count.
    pub(super) last_line: u32,
}

impl<R: Read> Text<R> {
    pub(super) fn open(source: R, encoding: Option<&'static Encoding>, counted: Lines) -> Result<Self, InputError> {
        Ok(Self {
            source: DecodingSource::open(source, encoding)?,
            window: String::new(),
            position: 0,
            line: 1,
            counted,
            is_over: false,
            must_be_ascii: false,
        })
    }

    /// Decodes until `bytes` of text can be read, or all there is.
    pub(super) fn look_ahead(&mut self, bytes: usize) -> Result<Ahead<'_>, InputError> {
        while self.unread_bytes() < bytes && !self.is_over {
            self.decode_block()?;
        }
        let text = self.window.get(self.position..).unwrap_or_default();
        Ok(Ahead { text, is_whole: self.is_over, line: self.line, counted: self.counted })
    }

    /// Reads over a part of the text that has been looked at.
    pub(super) const fn skip(&mut self, bytes: usize, line_breaks: u64) {
        self.position += bytes;
        self.line += line_breaks;
    }

    /// Reads over empty lines.
    pub(super) fn skip_empty_lines(&mut self) -> Result<(), InputError> {
        loop {
            match line_break_bytes(&self.window, self.position, self.is_over) {
                Ok(0) if self.unread_bytes() > 0 || self.is_over => return Ok(()),
                Ok(0) | Err(_) => self.decode_more()?,
                Ok(bytes) => self.skip(bytes, 1),
            }
        }
    }

    /// Reads the next record; its cells stand in [`Self::window`]. `None` at the end.
    pub(super) fn next_record(&mut self, cells: &mut Cells) -> Result<Option<RecordPlace>, InputError> {
        self.skip_empty_lines()?;
        if self.unread_bytes() == 0 {
            return Ok(None);
        }
        let scanned = loop {
            match cells.scan(&self.window, self.position, self.is_over) {
                Ok(scanned) => break scanned,
                Err(Stop::MoreNeeded) => self.decode_more()?,
                Err(Stop::OpenQuote { position }) => {
                    let before = self.window.as_bytes().get(self.position..position).unwrap_or_default();
                    return Err(InputError::UnclosedQuote { line: self.line + count_line_breaks(before) });
                }
            }
        };
        let last_line = self.line + self.counted.within(scanned.inner_line_breaks);
        let place = RecordPlace {
            start: self.position,
            end: scanned.end,
            first_line: u32::try_from(self.line).map_err(|_| InputError::TooManyRows)?,
            last_line: u32::try_from(last_line).map_err(|_| InputError::TooManyRows)?,
        };
        // A record without a line break is the last one.
        self.line = last_line + 1;
        self.position = scanned.end;
        Ok(Some(place))
    }

    /// The text in which the cells of the last record stand.
    pub(super) fn window(&self) -> &str {
        &self.window
    }

    pub(super) const fn encoding(&self) -> &'static Encoding {
        self.source.encoding()
    }

    pub(super) const fn has_byte_order_mark(&self) -> bool {
        self.source.has_byte_order_mark()
    }

    /// From here on, whatever is not ASCII is an error: the file was converted twice.
    pub(super) fn require_ascii(&mut self) -> Result<(), InputError> {
        self.must_be_ascii = true;
        self.refuse_other_than_ascii(self.position)
    }

    fn refuse_other_than_ascii(&self, from: usize) -> Result<(), InputError> {
        let decoded = self.window.get(from..).unwrap_or_default();
        match decoded.char_indices().find(|(_, character)| !character.is_ascii()) {
            None => Ok(()),
            Some((position, _)) => {
                let before = self.window.as_bytes().get(self.position..from + position).unwrap_or_default();
                Err(InputError::ConvertedTwice { line: self.line + count_line_breaks(before) })
            }
        }
    }

    /// The line of a place within the record that was read last.
    pub(super) fn line_within(&self, record: &RecordPlace, position: usize) -> u32 {
        let before = self.window.as_bytes().get(record.start..position).unwrap_or_default();
        let breaks = u32::try_from(self.counted.within(count_line_breaks(before))).unwrap_or(u32::MAX);
        record.first_line.saturating_add(breaks)
    }

    /// The line of the record that comes next.
    pub(super) const fn line(&self) -> u64 {
        self.line
    }

    const fn unread_bytes(&self) -> usize {
        self.window.len() - self.position
    }

    /// Decodes more text for a record that is not complete: at least as much again, because a record is scanned from its
    /// beginning each time.
    fn decode_more(&mut self) -> Result<(), InputError> {
        if self.unread_bytes() > RECORD_MAXIMUM_BYTES {
            return Err(InputError::RecordTooLong { line: self.line });
        }
        self.window.drain(..self.position);
        self.position = 0;
        let enough = (2 * self.window.len()).min(RECORD_MAXIMUM_BYTES) + 1;
        while self.window.len() < enough && !self.is_over {
            self.decode_block()?;
        }
        Ok(())
    }

    fn decode_block(&mut self) -> Result<(), InputError> {
        let before = self.window.len();
        let decoded = self.source.decode_block(&mut self.window)?;
        if self.must_be_ascii {
            self.refuse_other_than_ascii(before)?;
        }
        match decoded {
            Decoded::Some => Ok(()),
            Decoded::Over => {
                self.is_over = true;
                Ok(())
            }
            Decoded::Malformed { offset } => {
                let unread = self.window.as_bytes().get(self.position..).unwrap_or_default();
                let line = self.line + count_line_breaks(unread);
                let (encoding, is_marked) = (self.encoding().name(), self.has_byte_order_mark());
                Err(InputError::Undecodable { offset, line, encoding, is_marked })
            }
        }
    }
}

/// The text that comes next.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'t> {
    pub(super) text: &'t str,
    /// Whether the file ends with it.
    pub(super) is_whole: bool,
    /// The line on which it begins.
    pub(super) line: u64,
    pub(super) counted: Lines,
}
