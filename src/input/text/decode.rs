//! From the bytes of the file to UTF-8. A byte that does not decode is an error; nothing is ever replaced.

use std::io::Read;

use encoding_rs::{Decoder, DecoderResult, UTF_8};

pub(crate) use encoding_rs::Encoding;

use crate::input::findings::error::InputError;

/// Looks up an encoding by the labels of the Encoding Standard, such as `utf-16le` or `windows-1252`, in any case.
pub(crate) fn encoding(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label.as_bytes())
}

/// How many bytes are read at once.
const BLOCK_BYTES: usize = 128 * 1024;

/// The source and the block that is decoded next.
pub(super) struct DecodingSource<R> {
    source: R,
    encoding: &'static Encoding,
    has_byte_order_mark: bool,
    /// `None` for UTF-8, which only needs to be checked.
    decoder: Option<Decoder>,
    /// Whether all of it could be UTF-8 as well, where it is read as something that nearly never looks like it.
    utf8: Option<Utf8Look>,
    block: Vec<u8>,
    /// Where in the block the bytes begin that are not decoded yet.
    position: usize,
    /// Where in the file the block begins.
    offset: u64,
    /// Whether the file ends with the block.
    is_last_block: bool,
}

/// What decoding a block ended with.
pub(super) enum Decoded {
    /// There may be more.
    Some,
    /// That was the end of the file.
    Over,
    /// The bytes at this offset of the file, from 0, mean nothing in the encoding.
    Malformed { offset: u64 },
}

impl<R: Read> DecodingSource<R> {
    /// Reads the first block and finds out from it how to go on.
    pub(super) fn open(source: R, chosen: Option<&'static Encoding>) -> Result<Self, InputError> {
        let mut opened = Self {
            source,
            encoding: UTF_8,
            has_byte_order_mark: false,
            decoder: None,
            utf8: None,
            block: Vec::new(),
            position: 0,
            offset: 0,
            is_last_block: false,
        };
        opened.read_block()?;
        let (encoding, mark_bytes) = recognise(&opened.block, chosen)?;
        opened.encoding = encoding;
        opened.has_byte_order_mark = mark_bytes > 0;
        opened.position = mark_bytes;
        opened.utf8 = encoding.is_single_byte().then(Utf8Look::default);
        opened.decoder = (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling());
        Ok(opened)
    }

    pub(super) const fn encoding(&self) -> &'static Encoding {
        self.encoding
    }

    pub(super) const fn has_byte_order_mark(&self) -> bool {
        self.has_byte_order_mark
    }

    /// Decodes the block to the end of `text`, and reads the next one.
    pub(super) fn decode_block(&mut self, text: &mut String) -> Result<Decoded, InputError> {
        let bytes = self.block.get(self.position..).unwrap_or_default();
        let (result, read) = match &mut self.decoder {
            None => check_utf8(bytes, text, self.is_last_block),
            Some(decoder) => {
                // The decoder names a length that is enough; `OutputFull` only means another turn.
                text.reserve(decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len()));
                decoder.decode_to_string_without_replacement(bytes, text, self.is_last_block)
            }
        };
        if let Some(look) = &mut self.utf8 {
            look.at(bytes.get(..read).unwrap_or_default());
        }
        self.position += read;
        match result {
            DecoderResult::InputEmpty if self.is_last_block => {
                let is_utf8 = self.utf8.as_ref().is_some_and(Utf8Look::is_utf8);
                if is_utf8 { Err(InputError::IsUtf8 { chosen: self.encoding.name() }) } else { Ok(Decoded::Over) }
            }
            DecoderResult::InputEmpty => self.read_block().map(|()| Decoded::Some),
            DecoderResult::OutputFull => Ok(Decoded::Some),
            DecoderResult::Malformed(length, after) => {
                let end = self.offset + self.position as u64;
                Ok(Decoded::Malformed { offset: end.saturating_sub(u64::from(length) + u64::from(after)) })
            }
        }
    }

    /// Reads on, behind the bytes that are not decoded yet. A block is short only at the end of the file, so that what
    /// is recognised does not depend on how a pipe hands out its bytes.
    fn read_block(&mut self) -> Result<(), InputError> {
        self.block.drain(..self.position);
        self.offset += self.position as u64;
        self.position = 0;
        let count = self.source.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut self.block);
        self.is_last_block = count.map_err(InputError::Read)? < BLOCK_BYTES;
        Ok(())
    }
}

/// Looks whether bytes are UTF-8 with more than ASCII in it. No text of a person in an encoding of single bytes looks so: it
/// would be of nothing but pairs such as `Ã¤`.
#[derive(Default)]
struct Utf8Look {
    /// The beginning of a character that the last bytes cut.
    cut: Vec<u8>,
    has_more_than_ascii: bool,
    is_other: bool,
}

impl Utf8Look {
    fn at(&mut self, bytes: &[u8]) {
        if self.is_other || (self.cut.is_empty() && bytes.is_ascii()) {
            return;
        }
        self.has_more_than_ascii = true;
        self.cut.extend_from_slice(bytes);
        match std::str::from_utf8(&self.cut) {
            Ok(_) => self.cut.clear(),
            Err(error) if error.error_len().is_none() => drop(self.cut.drain(..error.valid_up_to())),
            Err(_) => self.is_other = true,
        }
    }

    const fn is_utf8(&self) -> bool {
        self.has_more_than_ascii && !self.is_other && self.cut.is_empty()
    }
}

/// Does for UTF-8 what a decoder does, only faster. A character that the block cuts stays unread.
fn check_utf8(bytes: &[u8], text: &mut String, is_last: bool) -> (DecoderResult, usize) {
    let (checked, error) = match std::str::from_utf8(bytes) {
        Ok(checked) => (checked, None),
        Err(error) => {
            let checked = bytes.get(..error.valid_up_to()).unwrap_or_default();
            (std::str::from_utf8(checked).unwrap_or_default(), Some(error))
        }
    };
    text.push_str(checked);
    match error {
        Some(error) if is_last || error.error_len().is_some() => (DecoderResult::Malformed(0, 0), checked.len()),
        _ => (DecoderResult::InputEmpty, checked.len()),
    }
}

/// The encoding, and the length of its byte order mark at the beginning of the file.
fn recognise(start: &[u8], chosen: Option<&'static Encoding>) -> Result<(&'static Encoding, usize), InputError> {
    // The first of these also begins like the mark of UTF-16LE.
    if [b"\xFF\xFE\x00\x00", b"\x00\x00\xFE\xFF"].iter().any(|mark| start.starts_with(*mark)) {
        return Err(InputError::Utf32);
    }
    match (Encoding::for_bom(start), chosen) {
        (Some((marked, _)), Some(chosen)) if marked != chosen => {
            Err(InputError::EncodingContradictsMark { marked: marked.name(), chosen: chosen.name() })
        }
        (Some((marked, length)), _) => Ok((marked, length)),
        (None, Some(chosen)) => Ok((chosen, 0)),
        (None, None) => refuse_unmarked_wide_text(start).map(|()| (UTF_8, 0)),
    }
}

/// A header begins with ASCII, so a zero among the first four bytes is a part of a wider character.
fn refuse_unmarked_wide_text(start: &[u8]) -> Result<(), InputError> {
    match start {
        [0, 0, ..] | [_, 0, 0, 0, ..] => Err(InputError::Utf32),
        [0, ..] => Err(InputError::Utf16WithoutMark { label: "utf-16be" }),
        [_, 0, ..] => Err(InputError::Utf16WithoutMark { label: "utf-16le" }),
        _ => Ok(()),
    }
}
