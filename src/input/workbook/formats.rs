//! What a cell's format makes of the number, the date or the text in it (ECMA-376, part 1, 18.8.30 and 18.8.31).
//!
//! A format is understood as far as what it shows is certain, whatever the language of who opens the workbook: digits. What
//! it shows of anything else is nobody's guess: that it is something other than what the cell holds, and no more, is known.

use calamine::Style;

/// Spreadsheets take no longer code of a format, and `format!` no more than 65,535 decimals.
const LONGEST_CODE_BYTES: usize = 255;
/// The custom formats' numbers begin here; below, some are of a language, and stand in no file.
const CUSTOM_FORMATS: u32 = 164;
/// Numbers from here on have more digits than a spreadsheet keeps: what was one of 40 digits must not look like an id.
const DIGITS_END: f64 = 1e15;
/// The most digits that a cell without a format shows, of a whole number and of another.
const GENERAL_DIGITS: (usize, usize) = (11, 10);
/// Below it, a cell without a format may show an exponent.
const GENERAL_SMALLEST: f64 = 0.0001;
/// The most digits before an exponent that a cell without a format shows.
const MANTISSA_DIGITS: usize = 6;
/// Stands for whatever in a format is not understood.
const UNKNOWN: char = '\u{fffd}';
/// Stands for a condition under which a section counts.
const CONDITION: char = '\u{fffc}';

/// What a style shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shows {
    form: Form,
    /// Whether negative numbers, and zero, are shown by a section of their own.
    apart: (bool, bool),
    /// Whether a text is shown as it is.
    text: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    General,
    /// At least as many digits before the point, just as many behind it.
    Digits {
        whole: usize,
        decimals: usize,
        /// Whether thousands are set apart, by what depends on the language.
        has_groups: bool,
    },
    /// A date in ISO form.
    Date,
    Other,
}

impl Shows {
    /// What a cell without a format shows.
    pub(super) const GENERAL: Self = Self { form: Form::General, apart: (false, false), text: true };

    /// What a style shows.
    pub(super) fn of(style: &Style) -> Self {
        let Some(format) = &style.number_format else { return Self::GENERAL };
        let is_of_a_language = format.format_id.is_some_and(|id| (1..CUSTOM_FORMATS).contains(&id));
        if is_of_a_language && format.format_code == "General" {
            return Self { form: Form::Other, ..Self::GENERAL };
        }
        Self::of_format(&format.format_code)
    }

    pub(super) fn of_format(code: &str) -> Self {
        let mut sections = sections(code);
        let has_text_section = sections.len() == 4 || sections.last().is_some_and(|last| last.contains('@'));
        let text = !has_text_section || sections.last().is_some_and(|last| last == "@" || last == "general");
        if has_text_section && sections.len() > 1 {
            sections.pop();
        }
        let is_conditional = sections.iter().any(|section| section.contains(CONDITION));
        let form = if is_conditional { Form::Other } else { sections.first().map_or(Form::Other, |it| Form::of(it)) };
        Self { form, apart: (sections.len() > 1, sections.len() > 2), text }
    }

    /// The text of a number, if it is certain and says just this number.
    pub(super) fn number(self, number: f64) -> Option<String> {
        if (number < 0.0 && self.apart.0) || (number == 0.0 && self.apart.1) {
            return None;
        }
        match self.form {
            Form::General => general(number),
            Form::Digits { whole, decimals, has_groups } => {
                let digits = format!("{:.decimals$}", number.abs());
                if number.abs() >= DIGITS_END || digits.parse() != Ok(number.abs()) {
                    return None;
                }
                let whole_digits = digits.split('.').next().unwrap_or_default().len();
                let sign = if number < 0.0 { "-" } else { "" };
                let zeros = "0".repeat(whole.saturating_sub(whole_digits));
                let is_grouped = has_groups && whole_digits > 3;
                (!is_grouped).then(|| format!("{sign}{zeros}{digits}"))
            }
            Form::Date | Form::Other => None,
        }
    }

    /// Whether a date is shown in ISO form.
    pub(super) fn is_date(self) -> bool {
        self.form == Form::Date
    }

    /// Whether a text is shown as it is.
    pub(super) const fn is_text(self) -> bool {
        self.text
    }
}

impl Form {
    fn of(section: &str) -> Self {
        match section {
            "general" | "@" => return Self::General,
            "yyyy-mm-dd" => return Self::Date,
            _ => {}
        }
        let (whole, decimals) = section.split_once('.').unwrap_or((section, ""));
        let is_zeros = |text: &str| text.bytes().all(|byte| byte == b'0');
        let has_groups = whole == "#,##0";
        let is_whole = has_groups || (!whole.is_empty() && is_zeros(whole));
        if !is_whole || !is_zeros(decimals) || section.ends_with('.') || section.len() > LONGEST_CODE_BYTES {
            return Self::Other;
        }
        Self::Digits { whole: if has_groups { 1 } else { whole.len() }, decimals: decimals.len(), has_groups }
    }
}

/// What a cell without a format shows of a number.
fn general(number: f64) -> Option<String> {
    let text = number_text(number);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_certain = if let Some((mantissa, _)) = text.split_once('E') {
        mantissa.bytes().filter(u8::is_ascii_digit).count() <= MANTISSA_DIGITS
    } else if text.contains('.') {
        digits <= GENERAL_DIGITS.1 && number.abs() >= GENERAL_SMALLEST
    } else {
        digits <= GENERAL_DIGITS.0
    };
    is_certain.then_some(text)
}

/// The number itself, whatever a format makes of it.
pub(super) fn number_text(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if number.abs() < DIGITS_END {
        return number.to_string();
    }
    let scientific = format!("{number:E}");
    if scientific.contains("E-") { scientific } else { scientific.replace('E', "E+") }
}

/// The sections of a format, in lower case, without colours, and without what only makes room.
fn sections(code: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    let mut characters = code.chars();
    while let Some(character) = characters.next() {
        let mut piece = String::new();
        match character {
            ';' => {
                sections.push(piece);
                continue;
            }
            // A character as wide as the next, or as many of the next as there is room for.
            '_' | '*' => {
                characters.next();
            }
            '\\' => piece.extend(characters.next().map(literal)),
            '"' => piece.extend(characters.by_ref().take_while(|it| *it != '"').map(literal)),
            '[' => {
                let inner: String = characters.by_ref().take_while(|it| *it != ']').collect();
                match inner.chars().next() {
                    Some('<' | '>' | '=') => piece.push(CONDITION),
                    _ if is_colour(&inner) => {}
                    _ => piece.push(UNKNOWN),
                }
            }
            other => piece.extend(other.to_lowercase()),
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(&piece);
        }
    }
    sections
}

/// What is written as such must not be taken for digits or marks.
const fn literal(character: char) -> char {
    if character == '-' { '-' } else { UNKNOWN }
}

fn is_colour(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let colours = ["black", "blue", "cyan", "green", "magenta", "red", "white", "yellow"];
    colours.contains(&name.as_str()) || name.starts_with("color")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_shows_of_a_number_is_certain_or_not_known() {
        let known = [
            ("General", 5.0, "5"),
            ("@", -5.25, "-5.25"),
            ("[Red]GENERAL", 12_345_678_901.0, "12345678901"),
            ("General", 5.5e39, "5.5E+39"),
            ("0", 5.0, "5"),
            ("0", -5.0, "-5"),
            ("000", 7.0, "007"),
            ("000", -7.0, "-007"),
            ("000", 1234.0, "1234"),
            ("0.00", 5.0, "5.00"),
            ("00.0", 1.5, "01.5"),
            ("0_ ;[Red]\\-0\\ ", 5.0, "5"),
            ("#,##0", 999.0, "999"),
            ("#,##0.00", -2.5, "-2.50"),
            ("_(* #,##0_)", 0.0, "0"),
        ];
        for (format, number, text) in known {
            assert_eq!(Shows::of_format(format).number(number).as_deref(), Some(text), "{format}");
        }
        let not_known = [
            ("General", 123_456_789_012.0),
            ("General", 0.1 + 0.2),
            ("General", 0.000_01),
            ("0", 5.5),
            ("0", 1e15),
            ("0.00", 5.125),
            ("#,##0", 1000.0),
            ("0%", 5.0),
            ("0.00E+00", 5.0),
            ("# ?/?", 5.0),
            ("#", 0.0),
            ("\"Tier \"0", 5.0),
            ("\"0\"0", 5.0),
            ("\\00", 5.0),
            ("0,", 5000.0),
            ("0.", 5.0),
            ("[$€-407] 0", 5.0),
            ("[>100]0;00", 5.0),
            ("0;[<0]0;0", 5.0),
            ("0_ ;[Red]\\-0\\ ", -5.0),
            ("0;-0;;@", 0.0),
            (";;;", 5.0),
            ("", 5.0),
            ("yyyy-mm-dd", 5.0),
        ];
        for (format, number) in not_known {
            assert_eq!(Shows::of_format(format).number(number), None, "{format}");
        }
        let zeros = "0".repeat(70_000);
        for format in [format!("0.{zeros}"), zeros] {
            assert_eq!(Shows::of_format(&format).number(5.0), None, "too long for a spreadsheet");
        }
    }

    #[test]
    fn what_a_format_shows_of_texts_and_dates_is_certain_or_not_known() {
        for (format, is_text) in [
            ("General", true),
            ("0%", true),
            ("0;-0;;@", true),
            ("_(\"$\"* #,##0_);_(@_)", true),
            ("0;-0;0;General", true),
            (";;;", false),
            ("\"Tier \"@", false),
            ("0;-0;0;\"none\"", false),
        ] {
            assert_eq!(Shows::of_format(format).is_text(), is_text, "{format}");
        }
        for (format, is_date) in
            [("yyyy-mm-dd", true), ("YYYY\\-MM\\-DD;@", true), ("dd.mm.yyyy", false), ("yyyy-mm-dd hh:mm", false)]
        {
            assert_eq!(Shows::of_format(format).is_date(), is_date, "{format}");
        }
    }
}
