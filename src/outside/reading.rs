//! A text in one of the readings that it allows: as it came, or with something in it decoded.
//!
//! A reading is what somebody sees who is not held up by dress: compatibility forms are their plain letters (full width,
//! ligatures), accents and whatever nobody sees are left out, and any white space is a space. Each character knows the
//! place in the original that it stands for, so that what is found in a reading can be masked there.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use icu_normalizer::{DecomposingNormalizer, DecomposingNormalizerBorrowed};
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointMapDataBorrowed, CodePointSetData, CodePointSetDataBorrowed};

/// Begins what moves a terminal. It is kept, since what it begins has an end that is text.
pub(super) const ESCAPE: char = '\u{1b}';
/// Stands where there is nothing to read, and joins nothing.
pub(super) const BREAK: char = '\u{fffd}';

/// Base letters, without what compatibility adds.
const PLAIN: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizer::new_nfkd();
const KINDS: CodePointMapDataBorrowed<'static, GeneralCategory> = CodePointMapData::new();
const IGNORABLE: CodePointSetDataBorrowed<'static> = CodePointSetData::new::<DefaultIgnorableCodePoint>();

/// Where Latin-1 goes beyond ASCII.
const FIRST_LATIN: usize = 0x80;
/// What its characters are read as: they are what most bytes look like that are no text, and to ask for each takes long.
static LATIN: LazyLock<[Vec<char>; 0x80]> = LazyLock::new(|| {
    std::array::from_fn(|position| {
        let character = char::from_u32(u32::try_from(FIRST_LATIN + position).unwrap_or_default());
        character.map(|character| plain_forms(character).collect()).unwrap_or_default()
    })
});

/// A character of a reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glyph {
    pub(super) character: char,
    /// Where in the original its first byte is, and the one behind its last.
    start: u32,
    end: u32,
    /// Whether this reading shows it, or shows it beside the one before it, and the one that it was made from does not.
    pub(super) is_new: bool,
}

impl Glyph {
    /// What it stands for in the original.
    pub(super) const fn place(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A text as it is read.
#[derive(Default)]
pub(super) struct Reading {
    glyphs: Vec<Glyph>,
}

impl Reading {
    /// The text as it is. It must be shorter than 4 GB, as pieces of a long one are.
    pub(super) fn of(text: &str) -> Self {
        let mut reading = Self { glyphs: Vec::with_capacity(text.len()) };
        for (start, character) in text.char_indices() {
            reading.push(character, &(start..start + character.len_utf8()), false);
        }
        reading
    }

    pub(super) fn glyphs(&self) -> &[Glyph] {
        &self.glyphs
    }

    pub(super) fn characters(&self) -> impl Iterator<Item = char> {
        self.glyphs.iter().map(|glyph| glyph.character)
    }

    /// What is compared: without white space, and without what encodings put around and between texts.
    pub(super) fn compact(&self) -> Cow<'_, [Glyph]> {
        compact(&self.glyphs)
    }

    /// Has these ranges, which count what is compared only, count everything that is read.
    pub(super) fn spread<'a>(&self, ranges: impl Iterator<Item = &'a mut Range<usize>>) {
        let mut ranges = ranges.peekable();
        if ranges.peek().is_none() {
            return;
        }
        let compared = self.glyphs.iter().enumerate().filter(|(_, glyph)| !is_between(glyph));
        let positions: Vec<usize> = compared.map(|(position, _)| position).collect();
        let position_of = |compared: usize| positions.get(compared).copied().unwrap_or(self.glyphs.len());
        ranges.for_each(|range| *range = position_of(range.start)..position_of(range.end - 1) + 1);
    }

    /// Makes room for so many characters.
    pub(super) fn reserve(&mut self, characters: usize) {
        self.glyphs.reserve(characters);
    }

    /// Does something with each run of such characters: with its lines, as positions of glyphs. A run goes on behind what
    /// joins, given what does and how long the line before it is.
    pub(super) fn for_each_run(
        &self,
        is_member: impl Fn(char) -> bool,
        joins: impl Fn(char, usize) -> bool,
        mut each: impl FnMut(&[Range<usize>]),
    ) {
        let mut lines: Vec<Range<usize>> = Vec::new();
        let mut is_open = false;
        for (position, character) in self.characters().enumerate() {
            let length = lines.last().map_or(0, ExactSizeIterator::len);
            let line = lines.last_mut();
            if is_member(character) {
                match line.filter(|_| is_open) {
                    Some(line) => line.end = position + 1,
                    None => lines.push(position..position + 1),
                }
                is_open = true;
            } else if length > 0 && joins(character, length) {
                is_open = false;
            } else if length > 0 {
                each(&lines);
                lines.clear();
                is_open = false;
            }
        }
        if !lines.is_empty() {
            each(&lines);
        }
    }

    /// These lines, each ended where something stands in the original that is read as nothing.
    pub(super) fn unbroken(&self, lines: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut unbroken = Vec::with_capacity(lines.len());
        for line in lines {
            let mut start = line.start;
            for end in (start + 1..line.end).filter(|position| self.breaks_before(*position)) {
                unbroken.push(std::mem::replace(&mut start, end)..end);
            }
            unbroken.push(start..line.end);
        }
        unbroken
    }

    /// What these glyphs stand for in the original.
    pub(super) fn place(&self, glyphs: &Range<usize>) -> Range<usize> {
        let glyphs = self.glyphs.get(glyphs.clone()).unwrap_or_default();
        let ends = glyphs.first().zip(glyphs.last());
        ends.map_or(0..0, |(first, last)| first.place().start..last.place().end)
    }

    /// Whether something stands in the original between this glyph and the one before it that is read as nothing: what joins
    /// the lines of a text that was encoded, or what nobody sees.
    pub(super) fn breaks_before(&self, position: usize) -> bool {
        let places =
            position.checked_sub(1).and_then(|before| Some((self.glyphs.get(before)?, self.glyphs.get(position)?)));
        // Of lines that were encoded each character has the place of all of the line, or of both of its lines.
        places.is_some_and(|(before, glyph)| {
            glyph.start > before.end || glyph.start == before.start && glyph.end > before.end
        })
    }

    /// Adds a character that was read there.
    pub(super) fn push(&mut self, character: char, place: &Range<usize>, is_new: bool) {
        let is_plain = matches!(character, ' '..='~' | ESCAPE | BREAK);
        if is_plain {
            self.push_plain(character, place, is_new);
        } else if character.is_ascii() {
            if character.is_whitespace() {
                self.push_plain(' ', place, is_new);
            }
        } else if let Some(plain) = LATIN.get(character as usize - FIRST_LATIN) {
            for plain in plain {
                self.push_plain(*plain, place, is_new);
            }
        } else {
            plain_forms(character).for_each(|plain| self.push_plain(plain, place, is_new));
        }
    }

    /// Adds a character of the reading that this one is made from.
    pub(super) fn copy(&mut self, glyph: Glyph, is_new: bool) {
        self.glyphs.push(Glyph { is_new, ..glyph });
    }

    /// Adds bytes that were read there: UTF-8, and where they are none Latin-1.
    pub(super) fn push_bytes(&mut self, bytes: &[u8], place: impl Fn(usize) -> Range<usize>) {
        let mut position = 0;
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                let length = character.len_utf8();
                self.push(character, &(place(position).start..place(position + length - 1).end), true);
                position += length;
            }
            for byte in chunk.invalid() {
                let letter = if is_latin_letter(*byte) { char::from(*byte) } else { BREAK };
                self.push(letter, &place(position), true);
                position += 1;
            }
        }
    }

    fn push_plain(&mut self, character: char, place: &Range<usize>, is_new: bool) {
        let [start, end] = [place.start, place.end].map(|it| u32::try_from(it).unwrap_or(u32::MAX));
        self.glyphs.push(Glyph { character, start, end, is_new });
    }
}

/// What is compared of these: see [`Reading::compact`].
pub(super) fn compact(glyphs: &[Glyph]) -> Cow<'_, [Glyph]> {
    if !glyphs.iter().any(is_between) {
        return Cow::Borrowed(glyphs);
    }
    glyphs.iter().filter(|glyph| !is_between(glyph)).copied().collect()
}

/// Whether this is left out of what is compared.
const fn is_between(glyph: &Glyph) -> bool {
    matches!(glyph.character, ' ' | '\\' | '"' | '\'' | '`' | ESCAPE)
}

/// Whether words are of such characters.
pub(super) fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_')
}

/// What is read in the place of a character beyond ASCII.
fn plain_forms(character: char) -> impl Iterator<Item = char> {
    let is_space = character.is_whitespace();
    let forms = PLAIN.normalize_iter(std::iter::once(if is_space { ' ' } else { character }));
    forms.filter(|plain| !is_unseen(*plain)).map(|plain| match plain {
        plain if plain.is_whitespace() => ' ',
        plain if is_quote(plain) => '"',
        plain => plain,
    })
}

/// Typographic quotes of any language, primes, and letters that look like an apostrophe.
fn is_quote(character: char) -> bool {
    let is_of_a_pair =
        || matches!(KINDS.get(character), GeneralCategory::InitialPunctuation | GeneralCategory::FinalPunctuation);
    matches!(
        character,
        '\u{2b9}'..='\u{2bd}' | '\u{201a}' | '\u{201e}' | '\u{2032}'..='\u{2037}' | '\u{300c}'..='\u{300f}' | '\u{301d}'..='\u{301f}'
    ) || is_of_a_pair()
}

/// Whether a byte is a letter in Latin-1 that is none in ASCII.
const fn is_latin_letter(byte: u8) -> bool {
    matches!(byte, 0xAA | 0xB5 | 0xBA | 0xC0..=0xD6 | 0xD8..=0xF6 | 0xF8..=0xFF)
}

/// Accents, controls, characters that change how others look, and those that have no look of their own.
fn is_unseen(character: char) -> bool {
    let is_mark = || {
        matches!(
            KINDS.get(character),
            GeneralCategory::NonspacingMark
                | GeneralCategory::EnclosingMark
                | GeneralCategory::SpacingMark
                | GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::PrivateUse
                | GeneralCategory::Unassigned
        )
    };
    matches!(character, '\u{2800}' | '\u{1d159}') || IGNORABLE.contains(character) || is_mark()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_is_read_as_each_of_its_characters_would_be() {
        for byte in 0x80..=0xFF_u8 {
            let character = char::from(byte);
            assert_eq!(is_latin_letter(byte), character.is_alphabetic(), "{character:?}");
            let mut reading = Reading::default();
            reading.push(character, &(0..2), true);
            assert!(reading.characters().eq(plain_forms(character)), "{character:?}");
        }
        let read = |text| Reading::of(text).characters().collect::<String>();
        assert_eq!(read("a\u{2800}\u{e000}\u{fdd0}\u{1d159}b"), "ab");
        assert_eq!(read("«a‹b“c‚d„e′f″g「h『iʼ"), "\"a\"b\"c\"d\"e\"f\"\"g\"h\"i\"");
        assert_eq!(read("é\u{a0}ª\u{ad}\u{85}\u{7f}½ﬁ\t\u{1}"), "e a 1\u{2044}2fi ");
        let mut reading = Reading::default();
        reading.push_bytes(b"\xe9\xff\x80a", |position| position..position + 1);
        assert_eq!(reading.characters().collect::<String>(), format!("ey{BREAK}a"));
    }
}
