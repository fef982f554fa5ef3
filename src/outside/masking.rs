//! Finds secrets in a text, and puts `***` in their place.
//!
//! A secret is found in whatever dress it stands: in any mixture of the encodings of URLs, forms, JSON, HTML and mail, in
//! base64 and in hexadecimal digits, some of them within others, in full width, and with white space, controls or what
//! nobody sees between its characters. So are sixteen of its characters in a row. A web token is known by its shape,
//! whoever's it is: three parts, of which the first two begin as JSON objects do in base64.
//!
//! Time grows with the length of the text only, and memory not even with that: a long text is read in pieces that
//! overlap. A text that can be decoded in so many ways that this would not hold is masked whole.
//!
//! What surprises: a secret that could be a word is masked in what comes from outside only. Our own sentences, and the
//! names and paths that the user typed, would be wrong without their words.

use std::borrow::Cow;
use std::ops::Range;

use super::decoding::{decoded, has_digits, is_line_break, of_an_id, unescaped};
use super::pieces::Pieces;
use super::reading::Reading;
use super::secrets;

/// What stands where a secret stood.
const MASK: &str = "***";
/// `{"` in base64: what the first two parts of every web token begin with.
const WEB_TOKEN_START: [char; 3] = ['e', 'y', 'J'];
/// A shorter first part cannot name an algorithm.
const SHORTEST_WEB_TOKEN_HEAD_CHARACTERS: usize = 12;
/// How many bytes the signatures have that web tokens are made with: of 256 to 512 bits, by RSA also more.
const SIGNATURE_BYTES: [usize; 9] = [32, 48, 64, 96, 128, 132, 256, 384, 512];
/// The shortest that is a web token.
const SHORTEST_WEB_TOKEN_BYTES: usize = 18;
/// How many encodings may be within each other.
const MAXIMUM_ROUNDS: u8 = 4;
/// A longer text is read in pieces of so many bytes.
const PIECE_BYTES: usize = 256 * 1024;
/// What a piece has in common with the one before it: more than any token or secret takes.
const COMMON_BYTES: usize = 64 * 1024;
/// How many characters may be read for each of a piece, in all its readings.
const MAXIMUM_READ_PER_CHARACTER: usize = 24;

/// What is looked for in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everything,
    /// All but secrets that could be words.
    Sure,
}

/// A text from outside with `***` in place of every secret of this process and of every web token.
pub(crate) fn masked(text: &str) -> Cow<'_, str> {
    masked_within(text, Scope::Everything)
}

/// A text of ours, or one that the user typed, with `***` in place of what cannot stand in it by chance.
pub(crate) fn masked_ours(text: &str) -> Cow<'_, str> {
    masked_within(text, Scope::Sure)
}

fn masked_within(text: &str, scope: Scope) -> Cow<'_, str> {
    let pieces = secrets::pieces();
    if text.len() < pieces.shortest_bytes().min(SHORTEST_WEB_TOKEN_BYTES) || is_harmless_id(text, &pieces) {
        return Cow::Borrowed(text);
    }
    let found = found_in(text, &pieces, scope);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for range in found {
        let range = start_of_escape(text, range.start)..range.end;
        if range.start >= end {
            shown.push_str(text.get(end..range.start).unwrap_or_default());
            shown.push_str(MASK);
        }
        end = end.max(range.end);
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    Cow::Owned(shown)
}

/// Whether a text is an id in which surely nothing would be found: each call has one, and to search takes many times as long.
fn is_harmless_id(text: &str, pieces: &Pieces) -> bool {
    of_an_id(text)
        .is_some_and(|mut others| !pieces.are_in(&Reading::of(text)) && others.all(|other| is_harmless(&other, pieces)))
}

/// Whether surely nothing would be found in a reading, nor in any that it allows.
fn is_harmless(reading: &Reading, pieces: &Pieces) -> bool {
    !pieces.are_in(reading)
        && !begins_web_token(reading)
        && !has_digits(reading)
        && unescaped(reading).is_none_or(|other| is_harmless(&other, pieces))
}

/// Where to begin masking, so that no half of an escape stays in a line of JSON: `\nABC` may be read as base64 from the `n` on.
fn start_of_escape(text: &str, start: usize) -> usize {
    let before = text.as_bytes().get(..start).unwrap_or_default();
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    start - backslashes % 2
}

/// What is to be masked, in order.
fn found_in(text: &str, pieces: &Pieces, scope: Scope) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    loop {
        let end = text.floor_char_boundary(start + PIECE_BYTES);
        let piece = text.get(start..end).unwrap_or_default();
        let mut search =
            Search { pieces, scope, found: Vec::new(), left: 4096 + piece.len() * MAXIMUM_READ_PER_CHARACTER };
        match search.read(&Reading::of(piece), 0) {
            Ok(()) => found.extend(search.found.iter().map(|range| range.start + start..range.end + start)),
            Err(TooMuch) => found.push(start..end),
        }
        if end == text.len() {
            break;
        }
        start = text.floor_char_boundary(end - COMMON_BYTES);
    }
    found.sort_unstable_by_key(|range| (range.start, range.end));
    found.dedup();
    found
}

struct Search<'a> {
    pieces: &'a Pieces,
    scope: Scope,
    found: Vec<Range<usize>>,
    /// How many characters may still be read.
    left: usize,
}

/// There are so many ways to read a text that nobody can say what it holds.
struct TooMuch;

impl Search<'_> {
    /// Looks for secrets in a reading, and in every one that it allows.
    fn read(&mut self, reading: &Reading, round: u8) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(reading.glyphs().len()).ok_or(TooMuch)?;
        let found = &mut self.found;
        let mut take = |range: Range<usize>| match found.last_mut() {
            Some(last) if range.start >= last.start && range.start < last.end => last.end = last.end.max(range.end),
            _ => found.push(range),
        };
        self.pieces.find_sure(reading, &mut take);
        web_tokens(reading, &mut take);
        if self.scope == Scope::Everything {
            self.pieces.find_words(reading, &mut take);
        }
        if round == MAXIMUM_ROUNDS {
            return Ok(());
        }
        decoded(reading, round == 0).try_for_each(|other| self.read(&other, round + 1))
    }
}

/// Whether a web token may begin somewhere.
fn begins_web_token(reading: &Reading) -> bool {
    let mut starts = reading.glyphs().windows(WEB_TOKEN_START.len());
    starts.any(|three| three.iter().map(|glyph| glyph.character).eq(WEB_TOKEN_START))
}

/// Where tokens stand that have a web token's shape.
fn web_tokens(reading: &Reading, mut found: impl FnMut(Range<usize>)) {
    let glyphs = reading.glyphs();
    let at = |position: usize| glyphs.get(position).map(|glyph| glyph.character);
    let begins = |position: usize| {
        (position..).zip(WEB_TOKEN_START).all(|(position, character)| at(position) == Some(character))
    };
    if !begins_web_token(reading) {
        return;
    }
    let mut parts: Vec<Vec<Range<usize>>> = Vec::new();
    reading.for_each_run(is_of_base64_url, is_line_break, |lines| parts.push(lines.to_vec()));
    let is_followed = |part: &[Range<usize>], next: &[Range<usize>]| {
        let between = part.last().map_or(0, |line| line.end)..next.first().map_or(0, |line| line.start);
        let between = glyphs.get(between).unwrap_or_default().iter().map(|glyph| glyph.character);
        between.filter(|it| *it != ' ').eq(['.'])
    };
    for window in parts.windows(3) {
        let [head, payload, signature] = window else { continue };
        let (Some(last), Some(first)) = (head.last(), payload.first()) else { continue };
        let starts = head.iter().flat_map(Clone::clone);
        let start = starts.take_while(|it| it + SHORTEST_WEB_TOKEN_HEAD_CHARACTERS <= last.end).find(|it| begins(*it));
        let is_token = begins(first.start) && is_followed(head, payload) && is_followed(payload, signature);
        if let Some(start) = start.filter(|_| is_token) {
            // What follows on another line belongs to it only if it is no word.
            let lines = signature.iter().enumerate();
            let lines = lines.take_while(|(number, line)| *number == 0 || is_line_break(' ', line.len()));
            let end = lines.last().map_or(last.end, |(_, line)| line.end);
            found(reading.place(&(start..end_of_whole(reading, start..end, signature).unwrap_or(end))));
        }
    }
}

/// Where a token ends that stands on one line, with a signature that can be whole: what follows behind white space is none of
/// it.
fn end_of_whole(reading: &Reading, token: Range<usize>, signature: &[Range<usize>]) -> Option<usize> {
    let is_space = |position: usize| reading.glyphs().get(position).is_some_and(|glyph| glyph.character == ' ');
    let end = token.skip(1).find(|position| is_space(*position) || reading.breaks_before(*position))?;
    let characters = end.checked_sub(signature.first()?.start)?;
    SIGNATURE_BYTES.iter().any(|bytes| (bytes * 4).div_ceil(3) == characters).then_some(end)
}

fn is_of_base64_url(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

#[cfg(test)]
mod tests;
