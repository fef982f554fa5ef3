//! Numbers, dates, time spans and truth values: as literals of a filter, and as cells that are compared with them.

use std::cmp::Ordering;

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, civil};

/// A literal, by whose type a cell is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(Number),
    Boolean(bool),
    Date(Timestamp),
}

impl Literal {
    /// The type, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Date(_) => "a date",
        }
    }
}

/// A number. Whole ones are compared exactly, since ids have more digits than a fraction can hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(i64),
    /// Finite.
    Fraction(f64),
}

impl Number {
    /// Reads digits, perhaps with a sign, a point and an exponent.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse() {
            return Some(Self::Whole(whole));
        }
        // The library also reads words: nan, infinity.
        let is_digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        let fraction = text.parse::<f64>().ok().filter(|fraction| is_digits && fraction.is_finite())?;
        Some(Self::Fraction(fraction))
    }

    pub(super) fn of_count(count: usize) -> Self {
        Self::Whole(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Self::Whole(one), Self::Whole(other)) => one.cmp(&other),
            // Zero has two signs, and is one number all the same.
            (Self::Fraction(one), Self::Fraction(other)) => one.partial_cmp(&other).unwrap_or(Ordering::Equal),
            (Self::Whole(whole), Self::Fraction(fraction)) => compare(whole, fraction),
            (Self::Fraction(fraction), Self::Whole(whole)) => compare(whole, fraction).reverse(),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

fn compare(whole: i64, fraction: f64) -> Ordering {
    /// 2 to the power of 63.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if fraction >= BEYOND {
        return Ordering::Less;
    }
    if fraction < -BEYOND {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "cut off on purpose, and within the range")]
    let cut = fraction.trunc() as i64;
    whole.cmp(&cut).then_with(|| 0.0.partial_cmp(&fraction.fract()).unwrap_or(Ordering::Equal))
}

/// Reads a date, or a date and a time: in ISO form, with `T` or a blank between them, with `Z` or an offset; without a zone
/// it is UTC.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    // Nothing else that the library reads: no 20260131, and no zones in brackets.
    let has_dashes = matches!(text.as_bytes(), [_, _, _, _, b'-', _, _, b'-', _, _, ..]);
    if !has_dashes || text.ends_with(']') {
        return None;
    }
    text.parse().ok().or_else(|| {
        let civil: civil::DateTime = text.strip_suffix(['Z', 'z']).unwrap_or(text).parse().ok()?;
        // The last day of the year 9999 stands for never, and is later than all that can be counted.
        let furthest = if civil.year() > 0 { Timestamp::MAX } else { Timestamp::MIN };
        Some(Offset::UTC.to_timestamp(civil).unwrap_or(furthest))
    })
}

/// Reads a number with a unit.
pub(super) fn time_span(text: &str) -> Option<SignedDuration> {
    const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    let (number, seconds) = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    if !number.ends_with(|character: char| character.is_ascii_digit()) {
        return None;
    }
    SignedDuration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// Reads what KQL takes for a truth value.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") || text == "1" {
        Some(true)
    } else if is("false") || text == "0" {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_as_numbers_do() {
        let ascending = [
            "-1e300",
            "-9223372036854775809",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "0",
            "0.5",
            "1",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "1e300",
        ];
        let number = |text: &str| Number::parse(text).expect("a number");
        for (position, one) in ascending.iter().enumerate() {
            for (other_position, other) in ascending.iter().enumerate() {
                let expected = position.cmp(&other_position);
                // As fractions, the smallest whole number and the one below it are the same.
                let is_same = one.starts_with("-92") && other.starts_with("-92");
                assert!(is_same || number(one).cmp(&number(other)) == expected, "{one} {other}");
            }
        }
        for (one, other) in [("1", "1.0"), ("-0.0", "0"), ("+5", "5"), ("1e3", "1000"), ("0.50", ".5")] {
            assert_eq!(number(one), number(other), "{one} {other}");
        }
        for text in ["", "x", "nan", "inf", "-infinity", "1e999", "1,000", "0x10", "1 2", "--1", "e", "1d"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn dates_are_iso_and_utc_unless_they_say_otherwise() {
        let table = [
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31 08:30", "2026-01-31T08:30:00Z"),
            ("2026-01-31T08:30:15", "2026-01-31T08:30:15Z"),
            ("2026-01-31T08:30:15.1234567Z", "2026-01-31T08:30:15.1234567Z"),
            ("2026-01-31 08:30:15+02:00", "2026-01-31T06:30:15Z"),
            ("2026-01-31T08:30:15-0500", "2026-01-31T13:30:15Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(date(text), Some(expected.parse().expect("a time")), "{text}");
        }
        for text in ["9999-12-31", "9999-12-31T23:59:59Z", "9999-12-31 23:59:59.9999999"] {
            assert_eq!(date(text), Some(Timestamp::MAX), "{text}");
        }
        let others = ["", "2026-02-30", "20260131", "31.01.2026", "01/31/2026", "2026-01-31x", "2026-1-1", "46000.5"];
        for text in others.into_iter().chain(["2026-01-31T08:30:15+01:00[Europe/Berlin]", "2026-01-31T25:00"]) {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn time_spans_have_a_unit() {
        for (text, seconds) in [("30d", 2_592_000.0), ("1.5h", 5_400.0), ("10m", 600.0), ("-5s", -5.0), ("250ms", 0.25)]
        {
            assert_eq!(time_span(text).map(|span| span.as_secs_f64()), Some(seconds), "{text}");
        }
        for text in ["30", "d", "1w", "1.h", "infs", "1e400d"] {
            assert_eq!(time_span(text), None, "{text}");
        }
    }
}
