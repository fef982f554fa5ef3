//! The cells of one record, found in decoded text.
//!
//! The rules are those of the `csv` crate, and a property test holds both together. It is not used here because of what it
//! does not tell: the physical line (it counts LF alone), the bytes that a record takes, that a quotation mark was still
//! open at the end of the file, and that text followed one. It also copies every cell, and with a million rows that was half
//! of the time. There is no other reader: rows are read again by the same rules when results are written.

/// The cells of the record that was scanned last, as places in its text.
pub(in crate::input) struct Cells {
    delimiter: u8,
    places: Vec<Place>,
    /// The text of cells that do not stand in the record as they are.
    unescaped: String,
    /// The first quoted cell with text behind its closing mark.
    stray_quote: Option<QuotedPlace>,
    /// The quoted cells with line breaks in them.
    broken: Vec<QuotedPlace>,
}

/// Where the quotation marks of a cell stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::input) struct QuotedPlace {
    pub(in crate::input) opened: usize,
    pub(in crate::input) closed: usize,
}

#[derive(Clone, Copy)]
enum Place {
    InText { start: usize, end: usize },
    Unescaped { start: usize, end: usize },
}

/// A record that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::input) struct Scanned {
    /// Where the text goes on after the record and its line break.
    pub(in crate::input) end: usize,
    /// How many lines lie between its beginning and its end.
    pub(in crate::input) inner_line_breaks: u64,
}

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::input) enum Stop {
    /// The text ends before it is clear where the record does.
    MoreNeeded,
    /// The file ends, and the quotation mark that stands here is not closed.
    OpenQuote { position: usize },
}

impl Cells {
    pub(in crate::input) const fn new(delimiter: u8) -> Self {
        Self { delimiter, places: Vec::new(), unescaped: String::new(), stray_quote: None, broken: Vec::new() }
    }

    /// How many cells the record has.
    pub(in crate::input) const fn count(&self) -> usize {
        self.places.len()
    }

    /// The first quoted cell with text other than blanks behind its closing mark.
    pub(in crate::input) const fn stray_quote(&self) -> Option<QuotedPlace> {
        self.stray_quote
    }

    /// The quoted cells with line breaks in them.
    pub(in crate::input) fn broken(&self) -> &[QuotedPlace] {
        &self.broken
    }

    /// Whether a cell is written without quotation marks.
    pub(in crate::input) fn is_bare(&self, text: &str, position: usize) -> bool {
        match self.places.get(position) {
            Some(Place::InText { start, .. }) => {
                start.checked_sub(1).and_then(|before| text.as_bytes().get(before)) != Some(&b'"')
            }
            _ => false,
        }
    }

    /// A cell of the record, as it is in the text that was scanned; empty where there is none.
    #[inline]
    pub(in crate::input) fn get<'t>(&'t self, text: &'t str, position: usize) -> &'t str {
        match self.places.get(position) {
            Some(Place::InText { start, end }) => text.get(*start..*end),
            Some(Place::Unescaped { start, end }) => self.unescaped.get(*start..*end),
            None => None,
        }
        .unwrap_or_default()
    }

    pub(in crate::input) fn iter<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        (0..self.places.len()).map(|position| self.get(text, position))
    }

    /// Scans the record that begins at `start`, which is neither a line break nor the end of the text.
    /// `is_whole` says whether the file ends where the text does.
    pub(in crate::input) fn scan(&mut self, text: &str, start: usize, is_whole: bool) -> Result<Scanned, Stop> {
        self.places.clear();
        self.unescaped.clear();
        self.stray_quote = None;
        self.broken.clear();
        let scan = Scan { text, delimiter: self.delimiter, is_whole };
        let mut inner_line_breaks = 0;
        let mut position = start;
        loop {
            let (place, end) = if scan.byte(position) == Some(b'"') {
                let (place, closed, end) = scan.quoted_cell(position, &mut self.unescaped)?;
                let line_breaks = count_line_breaks(scan.bytes(position, closed));
                let quoted = QuotedPlace { opened: position, closed };
                if line_breaks > 0 {
                    inner_line_breaks += line_breaks;
                    self.broken.push(quoted);
                }
                if text.get(closed + 1..end).is_some_and(|rest| !rest.trim().is_empty()) {
                    self.stray_quote.get_or_insert(quoted);
                }
                (place, end)
            } else {
                let end = scan.bare_end(position)?;
                (Place::InText { start: position, end }, end)
            };
            self.places.push(place);
            if scan.byte(end) != Some(self.delimiter) {
                let end = end + line_break_bytes(text, end, is_whole)?;
                return Ok(Scanned { end, inner_line_breaks });
            }
            position = end + 1;
        }
    }
}

/// What stays the same within one record.
struct Scan<'t> {
    text: &'t str,
    delimiter: u8,
    is_whole: bool,
}

impl Scan<'_> {
    fn byte(&self, position: usize) -> Option<u8> {
        self.text.as_bytes().get(position).copied()
    }

    fn bytes(&self, start: usize, end: usize) -> &[u8] {
        self.text.as_bytes().get(start..end).unwrap_or_default()
    }

    /// Where the cell ends that goes on at `from` without a quotation mark that means anything.
    fn bare_end(&self, from: usize) -> Result<usize, Stop> {
        let rest = self.bytes(from, self.text.len());
        match memchr::memchr3(self.delimiter, b'\n', b'\r', rest) {
            Some(distance) => Ok(from + distance),
            None if self.is_whole => Ok(self.text.len()),
            None => Err(Stop::MoreNeeded),
        }
    }

    /// A cell that begins with a quotation mark: two of them are one, and what follows the closing one, if anything
    /// does, belongs to the cell as it is. Gives its place, that of the closing mark, and where it ends.
    fn quoted_cell(&self, opened: usize, unescaped: &mut String) -> Result<(Place, usize, usize), Stop> {
        let unescaped_start = unescaped.len();
        let mut from = opened + 1;
        loop {
            let rest = self.bytes(from, self.text.len());
            let quote = match memchr::memchr(b'"', rest) {
                Some(distance) => from + distance,
                None if self.is_whole => return Err(Stop::OpenQuote { position: opened }),
                None => return Err(Stop::MoreNeeded),
            };
            let is_plain = from == opened + 1;
            match self.byte(quote + 1) {
                None if !self.is_whole => return Err(Stop::MoreNeeded),
                Some(b'"') => {
                    unescaped.push_str(self.text.get(from..=quote).unwrap_or_default());
                    from = quote + 2;
                }
                None | Some(b'\n' | b'\r') if is_plain => {
                    return Ok((Place::InText { start: from, end: quote }, quote, quote + 1));
                }
                Some(delimiter) if is_plain && delimiter == self.delimiter => {
                    return Ok((Place::InText { start: from, end: quote }, quote, quote + 1));
                }
                _ => {
                    let end = self.bare_end(quote + 1)?;
                    unescaped.push_str(self.text.get(from..quote).unwrap_or_default());
                    unescaped.push_str(self.text.get(quote + 1..end).unwrap_or_default());
                    return Ok((Place::Unescaped { start: unescaped_start, end: unescaped.len() }, quote, end));
                }
            }
        }
    }
}

/// How long the line break is that stands at `position`: LF, CR or CRLF; 0 for anything else.
pub(in crate::input) fn line_break_bytes(text: &str, position: usize, is_whole: bool) -> Result<usize, Stop> {
    match text.as_bytes().get(position..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(2),
        [b'\r'] if !is_whole => Err(Stop::MoreNeeded),
        [b'\r' | b'\n', ..] => Ok(1),
        _ => Ok(0),
    }
}

/// How many physical lines end in a text that does not begin or end in the middle of a CRLF.
pub(in crate::input) fn count_line_breaks(text: &[u8]) -> u64 {
    let is_break_of_its_own = |position: &usize| {
        let follows_carriage_return = position.checked_sub(1).and_then(|before| text.get(before)) == Some(&b'\r');
        !(follows_carriage_return && text.get(*position) == Some(&b'\n'))
    };
    memchr::memchr2_iter(b'\n', b'\r', text).filter(is_break_of_its_own).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_lf_crlf_or_cr() {
        let table = [("", 0), ("a\nb\nc", 2), ("a\r\nb\r\n", 2), ("a\rb\rc\r", 3), ("\n\r\n\r", 3), ("\r\r\n\n", 3)];
        for (text, expected) in table {
            assert_eq!(count_line_breaks(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_record_waits_for_more_text_until_its_end_is_certain() {
        let table = [
            ("a,b", false),
            ("a,b\r", false),
            ("a,b\n", true),
            ("a,b\r\n", true),
            ("a,\"b\"", false),
            ("a,\"b\n", false),
            ("a,\"b\"\"", false),
            ("a,\"b\"\n", true),
            ("a,\"b\" c", false),
        ];
        for (text, is_certain) in table {
            let mut cells = Cells::new(b',');
            assert_eq!(cells.scan(text, 0, false).is_ok(), is_certain, "{text:?}");
            if !is_certain {
                assert_eq!(cells.scan(text, 0, false), Err(Stop::MoreNeeded), "{text:?}");
            }
        }
    }
}
