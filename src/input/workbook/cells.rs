//! What a cell of a workbook holds, as text.

use std::borrow::Cow;

use calamine::{DataRef, ExcelDateTime, Style};

/// Numbers from here on have more digits than a spreadsheet keeps: what was one of 40 digits must not look like an id.
const DIGITS_END: f64 = 1e15;
/// The last day that a spreadsheet knows is the one before this.
const DAYS_END: f64 = 2_958_466.0;

/// The value as text, as near as possible to what a person sees.
pub(super) fn shown_value<'c>(value: &'c DataRef<'_>, style: Option<&Style>) -> Cow<'c, str> {
    match value {
        DataRef::Empty => Cow::Borrowed(""),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.into(),
        DataRef::SharedString(text) => (*text).into(),
        DataRef::Bool(true) => "TRUE".into(),
        DataRef::Bool(false) => "FALSE".into(),
        #[expect(clippy::cast_precision_loss, reason = "a spreadsheet holds numbers no more precisely")]
        DataRef::Int(number) => with_zeros(number_text(*number as f64), style).into(),
        DataRef::Float(number) => with_zeros(number_text(*number), style).into(),
        DataRef::DateTime(time) => time_text(time).into(),
        DataRef::Error(error) => error.to_string().into(),
    }
}

/// A whole number with the zeros in front that its format shows: 7 in a cell of the format `000` is seen as 007.
fn with_zeros(number: String, style: Option<&Style>) -> String {
    let format = style.and_then(|style| style.number_format.as_ref()).map_or("", |format| &format.format_code);
    let is_padding = format.len() > 1 && format.bytes().all(|byte| byte == b'0');
    let is_whole = number.bytes().all(|byte| byte.is_ascii_digit());
    if is_padding && is_whole { format!("{number:0>width$}", width = format.len()) } else { number }
}

fn number_text(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if number.abs() < DIGITS_END {
        return number.to_string();
    }
    let scientific = format!("{number:E}");
    if scientific.contains("E-") { scientific } else { scientific.replace('E', "E+") }
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
