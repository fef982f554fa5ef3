//! What a cell of a workbook holds, as text.

use std::borrow::Cow;

use calamine::{DataRef, ExcelDateTime};

use super::formats::{Shows, number_text};

/// The last day that a spreadsheet knows is the one before this.
const DAYS_END: f64 = 2_958_466.0;

/// The value as text, and whether the cell shows just that.
pub(super) fn shown_value<'c>(value: &'c DataRef<'_>, shows: Shows) -> (Cow<'c, str>, bool) {
    let number = |number: f64| match shows.number(number) {
        Some(text) => (text.into(), true),
        None => (number_text(number).into(), false),
    };
    match value {
        DataRef::Empty => (Cow::Borrowed(""), true),
        DataRef::String(text) => (text.into(), shows.is_text()),
        DataRef::SharedString(text) => ((*text).into(), shows.is_text()),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => (text.into(), shows.is_date() && is_date(text)),
        DataRef::Bool(true) => ("TRUE".into(), true),
        DataRef::Bool(false) => ("FALSE".into(), true),
        #[expect(clippy::cast_precision_loss, reason = "a spreadsheet holds numbers no more precisely")]
        DataRef::Int(whole) => number(*whole as f64),
        DataRef::Float(float) => number(*float),
        DataRef::DateTime(time) => {
            let text = time_text(time);
            let is_shown = shows.is_date() && is_date(&text);
            (text.into(), is_shown)
        }
        DataRef::Error(error) => (error.to_string().into(), true),
    }
}

/// Whether a text is a date without a time.
fn is_date(text: &str) -> bool {
    text.len() == "2026-11-26".len() && text.contains('-')
}

fn time_text(time: &ExcelDateTime) -> String {
    let days = time.as_f64();
    if !(0.0..DAYS_END).contains(&days) {
        return number_text(days);
    }
    if time.is_duration() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and bounded above")]
        let seconds = (days * 86_400.0).round() as u64;
        return format!("{}:{:02}:{:02}", seconds / 3600, seconds % 3600 / 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, millisecond) = time.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second, millisecond) {
        (0, 0, 0, 0) => date,
        (_, _, _, 0) => format!("{date}T{hour:02}:{minute:02}:{second:02}"),
        _ => format!("{date}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}"),
    }
}

/// A cell of a record. Whatever is not plain stands in quotation marks.
pub(super) fn csv_cell(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}
