//! What a reading holds if something in it is taken for encoded: one more reading for each way to take it.
//!
//! What surprises: several levels of backslashes are one, since only what follows them tells; and a run of base64 or of
//! hexadecimal digits may begin within another, as in `id0x71`, so it is read from each of its first positions.

use std::ops::Range;

use super::reading::{BREAK, ESCAPE, Glyph, Reading};

/// A shorter run of base64 holds no secret.
const SHORTEST_BASE64_CHARACTERS: usize = 11;
/// A line of an encoded text that goes on behind a line break is at least as long.
const SHORTEST_LINE_CHARACTERS: usize = 16;
/// A shorter run of hexadecimal digits holds no secret.
const SHORTEST_HEX_DIGITS: usize = 16;
/// The longest name of an entity, or number of a character, between its ends.
const LONGEST_ENTITY_CHARACTERS: usize = 10;
/// A longer text of hexadecimal digits is none that calls are known by.
const LONGEST_ID_BYTES: usize = 64;

/// Every reading that this one allows.
pub(super) fn decoded(reading: &Reading, is_original: bool) -> impl Iterator<Item = Reading> {
    let digits = || base64(reading, is_original).into_iter().chain(hexadecimal(reading, is_original));
    let readings = unescaped(reading).into_iter().chain(has_digits(reading).then(digits).into_iter().flatten());
    readings.filter(|other| !other.glyphs().is_empty())
}

/// Whether enough digits for a secret may stand in a row: of base64 they do on one line, however many follow.
pub(super) fn has_digits(reading: &Reading) -> bool {
    let (mut run, mut longest_run, mut hexadecimal_digits) = (0, 0, 0);
    for character in reading.characters() {
        run = if base64_digit(character).is_some() { run + 1 } else { 0 };
        longest_run = longest_run.max(run);
        hexadecimal_digits += usize::from(character.is_ascii_hexdigit());
    }
    longest_run >= SHORTEST_BASE64_CHARACTERS || hexadecimal_digits >= SHORTEST_HEX_DIGITS
}

/// Every reading of an id but the plain one: there is nothing to unescape in hexadecimal digits and hyphens, and they are one
/// run. `None` of any other text.
pub(super) fn of_an_id(text: &str) -> Option<impl Iterator<Item = Reading>> {
    let is_of_id = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    let values = |value: fn(char) -> Option<u8>| text.chars().filter_map(value).collect::<Vec<u8>>();
    (text.len() <= LONGEST_ID_BYTES && text.bytes().all(is_of_id)).then(|| {
        let ways = [(values(hexadecimal_digit), 4, 2), (values(base64_digit), 6, 4)];
        ways.into_iter().flat_map(|(values, bits_per_digit, starts)| {
            (0..starts).map(move |skipped| {
                let bytes = bytes_of(values.get(skipped..).unwrap_or_default(), bits_per_digit);
                let mut reading = Reading::default();
                reading.reserve(bytes.len() + 1);
                reading.push_bytes(&bytes, |_| 0..0);
                reading.push(BREAK, &(0..0), true);
                reading
            })
        })
    })
}

/// What an escape says.
enum Meaning {
    Character(char),
    Byte(u8),
    /// Nothing, as what only colours, or ends a line.
    Nothing,
}

/// Whether an escape may begin so.
const fn may_begin(character: char) -> bool {
    matches!(character, '%' | '\\' | '&' | '+' | '=' | ESCAPE)
}

/// With every escape read: of URLs, forms, JSON and other languages, HTML, mail and terminals. `None` where there is none.
pub(super) fn unescaped(reading: &Reading) -> Option<Reading> {
    let glyphs = reading.glyphs();
    if !reading.characters().any(may_begin) {
        return None;
    }
    let mut other = Reading::default();
    other.reserve(glyphs.len());
    let mut bytes: Vec<(u8, Range<usize>)> = Vec::new();
    let (mut position, mut is_other, mut joins) = (0, false, false);
    while let Some(glyph) = glyphs.get(position) {
        let rest = glyphs.get(position..).unwrap_or_default();
        let found = if may_begin(glyph.character) { escape(rest) } else { None };
        if !matches!(found, Some((Meaning::Byte(_), _))) {
            put_bytes(&mut other, &mut bytes);
        }
        let length = match found {
            None => {
                other.copy(*glyph, std::mem::take(&mut joins));
                1
            }
            Some((meaning, length)) => {
                let end = rest.get(length - 1).map_or(glyph.place().end, |last| last.place().end);
                let place = glyph.place().start..end;
                match meaning {
                    Meaning::Character(character) => other.push(character, &place, true),
                    Meaning::Byte(byte) => bytes.push((byte, place)),
                    Meaning::Nothing => joins = true,
                }
                is_other = true;
                length
            }
        };
        position += length;
    }
    put_bytes(&mut other, &mut bytes);
    is_other.then_some(other)
}

fn put_bytes(reading: &mut Reading, bytes: &mut Vec<(u8, Range<usize>)>) {
    if !bytes.is_empty() {
        let (values, places): (Vec<u8>, Vec<Range<usize>>) = std::mem::take(bytes).into_iter().unzip();
        reading.push_bytes(&values, |position| places.get(position).cloned().unwrap_or_default());
    }
}

/// The escape at the beginning, and how many characters it takes.
fn escape(text: &[Glyph]) -> Option<(Meaning, usize)> {
    let at = |position: usize| text.get(position).map(|glyph| glyph.character);
    match at(0)? {
        '+' => Some((Meaning::Character(' '), 1)),
        // `%uXXXX` is how scripts wrote it once.
        '%' if at(1) == Some('u') => unit(text, 2, 4),
        '=' if at(1) == Some(' ') => {
            Some((Meaning::Nothing, 1 + text.iter().skip(1).take_while(|it| it.character == ' ').count()))
        }
        '%' | '=' => byte(text, 1),
        '&' => entity(text),
        ESCAPE if at(1) == Some('[') => {
            let parameters = text.iter().skip(2).take_while(|it| matches!(it.character, '0'..='?')).count();
            // Of these no terminal takes more, and a row of entities looks like many.
            let behind =
                text.iter().skip(2 + parameters).take(2).take_while(|it| matches!(it.character, ' '..='/')).count();
            let length = 2 + parameters + behind;
            let is_whole = at(length).is_some_and(|end| matches!(end, '@'..='~'));
            Some((Meaning::Nothing, if is_whole { length + 1 } else { 1 }))
        }
        // What is encoded behind it may be the rest of what moves a terminal.
        ESCAPE if !at(1).is_some_and(may_begin) => Some((Meaning::Nothing, 1)),
        '\\' => backslashed(text),
        _ => None,
    }
}

/// What stands behind backslashes, however many.
fn backslashed(text: &[Glyph]) -> Option<(Meaning, usize)> {
    let from = text.iter().take_while(|glyph| glyph.character == '\\').count();
    let rest = text.get(from..).unwrap_or_default();
    let braced = rest.get(1).is_some_and(|glyph| glyph.character == '{');
    let (meaning, length) = match rest.first()?.character {
        'u' | 'x' if braced => {
            let digits = rest.iter().skip(2).take(6).take_while(|it| it.character.is_ascii_hexdigit()).count();
            let is_closed = rest.get(2 + digits).is_some_and(|glyph| glyph.character == '}');
            let meaning = number(rest, 2, digits).and_then(char::from_u32).filter(|_| is_closed)?;
            (Meaning::Character(meaning), digits + 3)
        }
        'u' => unit(rest, 1, 4)?,
        'U' => unit(rest, 1, 8)?,
        'x' => byte(rest, 1)?,
        'n' | 'r' | 't' | 'f' | 'v' | 'b' => (Meaning::Character(' '), 1),
        'e' => (Meaning::Character(ESCAPE), 1),
        '0'..='7' => {
            let digits = rest.iter().take(3).map_while(|glyph| glyph.character.to_digit(8));
            let (value, length) = digits.fold((0, 0), |(value, length), digit| (value * 8 + digit, length + 1));
            (Meaning::Byte(u8::try_from(value).ok()?), length)
        }
        _ => return None,
    };
    Some((meaning, from + length))
}

/// A character by its number of so many hexadecimal digits; of two halves of one, both.
fn unit(text: &[Glyph], from: usize, digits: usize) -> Option<(Meaning, usize)> {
    let first = number(text, from, digits)?;
    let high = if let 0xD800..=0xDBFF = first { Some(first - 0xD800) } else { None };
    let Some(high) = high else { return Some((Meaning::Character(char::from_u32(first)?), from + digits)) };
    let behind = text.get(from + digits..)?;
    let prefix = behind.iter().take_while(|glyph| matches!(glyph.character, '\\' | '%')).count() + 1;
    let low = number(behind, prefix, 4)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
    let character = char::from_u32(0x1_0000 + (high << 10) + low)?;
    Some((Meaning::Character(character), from + digits + prefix + 4))
}

/// Two hexadecimal digits.
fn byte(text: &[Glyph], from: usize) -> Option<(Meaning, usize)> {
    Some((Meaning::Byte(u8::try_from(number(text, from, 2)?).ok()?), from + 2))
}

fn number(text: &[Glyph], from: usize, digits: usize) -> Option<u32> {
    let digits = text.get(from..from + digits)?.iter().map(|glyph| glyph.character.to_digit(16));
    digits.filter(|_| from > 0).try_fold(0_u32, |number, digit| number.checked_mul(16)?.checked_add(digit?))
}

/// `&#x2F;`, `&#47;` and `&amp;`. A number ends at its last digit, as browsers have it, also where no semicolon follows.
fn entity(text: &[Glyph]) -> Option<(Meaning, usize)> {
    let name = text.iter().skip(1).take(LONGEST_ENTITY_CHARACTERS).map(|glyph| glyph.character);
    let is_number = text.get(1).is_some_and(|glyph| glyph.character == '#');
    let is_hexadecimal = text.get(2).is_some_and(|glyph| matches!(glyph.character, 'x' | 'X'));
    let radix = if is_hexadecimal { 16 } else { 10 };
    let is_of_number =
        |place: usize, character: char| place == 0 || (place == 1 && is_hexadecimal) || character.is_digit(radix);
    let is_of_name = |(place, character): &(usize, char)| {
        if is_number { is_of_number(*place, *character) } else { *character != ';' }
    };
    let name: String = name.enumerate().take_while(is_of_name).map(|(_, character)| character).collect();
    let length = name.chars().count();
    let is_closed = text.get(length + 1).is_some_and(|glyph| glyph.character == ';');
    if !is_closed && !is_number {
        return None;
    }
    let character = match &*name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            number.ok().and_then(char::from_u32)?
        }
    };
    Some((Meaning::Character(character), length + 1 + usize::from(is_closed)))
}

/// The lines of a run, and its digits.
struct Digits<'a> {
    reading: &'a Reading,
    lines: Lines<'a>,
    values: Vec<u8>,
}

impl<'a> Digits<'a> {
    /// The digits of a run that is long enough, and that was not read before.
    fn of(
        reading: &'a Reading,
        lines: &'a [Range<usize>],
        (shortest, is_original): (usize, bool),
        value: impl Fn(char) -> Option<u8>,
    ) -> Option<Self> {
        let (start, end) = (lines.first()?.start, lines.last()?.end);
        let glyphs = reading.glyphs();
        let is_read =
            is_long(lines, shortest) && (is_original || glyphs.get(start..end)?.iter().any(|glyph| glyph.is_new));
        let digits = || lines.iter().flat_map(|line| glyphs.get(line.clone()).unwrap_or_default());
        let values = || digits().filter_map(|glyph| value(glyph.character)).collect();
        is_read.then(|| Self { reading, lines: Lines::of(lines), values: values() })
    }

    /// Adds what the digits say, from the one at this position on, to another reading.
    fn read(&self, skipped: usize, bits_per_digit: usize, other: &mut Reading) {
        let bytes = bytes_of(self.values.get(skipped..).unwrap_or_default(), bits_per_digit);
        other.reserve(bytes.len() + 1);
        other.push_bytes(&bytes, |byte| {
            let first = skipped + byte * 8 / bits_per_digit;
            let last = skipped + (byte * 8 + 7) / bits_per_digit;
            self.reading.place(&(self.lines.start_of(first)..self.lines.end_of(last)))
        });
        other.push(BREAK, &(0..0), true);
    }
}

/// What digits of so many bits each say.
fn bytes_of(digits: &[u8], bits_per_digit: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digits.len() * bits_per_digit / 8);
    let (mut bits, mut unread) = (0_u32, 0);
    for digit in digits {
        bits = bits << bits_per_digit | u32::from(*digit);
        unread += bits_per_digit;
        if unread >= 8 {
            unread -= 8;
            let [.., byte] = (bits >> unread).to_be_bytes();
            bytes.push(byte);
        }
    }
    bytes
}

/// Whether a run has so many digits on all its lines.
fn is_long(lines: &[Range<usize>], shortest: usize) -> bool {
    lines.iter().map(Range::len).sum::<usize>() >= shortest
}

/// Which digit of a run stands on which line. What a line holds is masked whole: digits share the bits of bytes.
struct Lines<'a> {
    lines: &'a [Range<usize>],
    /// Where each line begins, counted in digits.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(lines: &'a [Range<usize>]) -> Self {
        let starts = lines.iter().scan(0, |digits, line| Some(std::mem::replace(digits, *digits + line.len())));
        Self { lines, starts: starts.collect() }
    }

    fn line_of(&self, digit: usize) -> Range<usize> {
        let line = self.starts.partition_point(|start| *start <= digit).saturating_sub(1);
        self.lines.get(line).cloned().unwrap_or_default()
    }

    fn start_of(&self, digit: usize) -> usize {
        self.line_of(digit).start
    }

    fn end_of(&self, digit: usize) -> usize {
        self.line_of(digit).end
    }
}

/// What the runs of base64 hold, by the position at which they begin.
fn base64(reading: &Reading, is_original: bool) -> [Reading; 4] {
    let mut readings = <[Reading; 4]>::default();
    let is_of_base64 = |character: char| base64_digit(character).is_some();
    reading.for_each_run(is_of_base64, is_line_break, |lines| {
        if !is_long(lines, SHORTEST_BASE64_CHARACTERS) {
            return;
        }
        let (lines, least) = (reading.unbroken(lines), (SHORTEST_BASE64_CHARACTERS, is_original));
        if let Some(digits) = Digits::of(reading, &lines, least, base64_digit) {
            for (skipped, other) in readings.iter_mut().enumerate() {
                digits.read(skipped, 6, other);
            }
        }
    });
    readings
}

/// Whether a long text goes on behind what may be a line break, or what is left of one.
pub(super) fn is_line_break(character: char, line_characters: usize) -> bool {
    character == ' ' && line_characters >= SHORTEST_LINE_CHARACTERS
}

fn base64_digit(character: char) -> Option<u8> {
    let byte = u8::try_from(character).ok()?;
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

fn hexadecimal_digit(character: char) -> Option<u8> {
    character.to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// What the runs of hexadecimal digits hold, with or without something between the bytes.
fn hexadecimal(reading: &Reading, is_original: bool) -> [Reading; 2] {
    let mut readings = <[Reading; 2]>::default();
    let is_between = |character, _| matches!(character, ':' | '-' | ' ' | ',' | '.' | '_' | 'x' | 'X');
    let is_prefix = |end: usize| reading.glyphs().get(end).is_some_and(|next| matches!(next.character, 'x' | 'X'));
    reading.for_each_run(
        |character| character.is_ascii_hexdigit(),
        is_between,
        |lines| {
            if !is_long(lines, SHORTEST_HEX_DIGITS) {
                return;
            }
            // The nought of `0x` says nothing.
            let lines: Vec<Range<usize>> = reading
                .unbroken(lines)
                .into_iter()
                .map(|line| line.start..line.end - usize::from(is_prefix(line.end)))
                .filter(|line| !line.is_empty())
                .collect();
            let least = (SHORTEST_HEX_DIGITS, is_original);
            if let Some(digits) = Digits::of(reading, &lines, least, hexadecimal_digit) {
                for (skipped, other) in readings.iter_mut().enumerate() {
                    digits.read(skipped, 4, other);
                }
            }
        },
    );
    readings
}
