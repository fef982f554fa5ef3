//! What programs put into a cell in place of a value, and nobody ever means: a spreadsheet's errors, and the words for nothing.

/// Whether a cell holds what a spreadsheet shows in place of a value: `#N/A`, `#REF!`, `#####`, also in the languages in
/// which spreadsheets write them.
pub(crate) fn is_spreadsheet_error(text: &str) -> bool {
    const WORDS: [&str; 7] = ["N/A", "NV", "N/D", "N/V", "GETTING_DATA", "I/T", "YOK"];
    if let Some(number) = text.strip_prefix("Err:") {
        return number.parse::<u16>().is_ok();
    }
    let Some(word) = text.strip_prefix('#') else { return false };
    let is_too_narrow = word.len() > 1 && word.bytes().all(|byte| byte == b'#');
    let name = word.strip_suffix(['!', '?']);
    let is_name = |name: &str| {
        let fits =
            |it: char| it.is_uppercase() || it.is_ascii_digit() || matches!(it, '/' | '_' | '¡' | '¿' | ' ' | '.');
        name.chars().all(fits) && name.chars().any(char::is_uppercase)
    };
    is_too_narrow || name.is_some_and(is_name) || WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Whether a cell holds what a program writes where it has nothing to write.
pub(in crate::input) fn stands_for_nothing(text: &str) -> bool {
    const WORDS: [&str; 13] = [
        "null",
        "nil",
        "nan",
        "nat",
        "none",
        "undefined",
        "n/a",
        "(null)",
        "<null>",
        "<na>",
        "\\n",
        "[object object]",
        "(none)",
    ];
    let is_type = |text: &str| text.starts_with("System.") && text.ends_with("[]");
    text.len() <= 100 && (is_type(text) || WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheets_errors_are_known_in_its_languages() {
        for text in [
            "#N/A",
            "#REF!",
            "#VALUE!",
            "#NAME?",
            "#DIV/0!",
            "#NUM!",
            "#NULL!",
            "#SPILL!",
            "#BEZUG!",
            "#NV",
            "#WERT!",
            "#ÜBERLAUF!",
            "#NOM?",
            "#¡REF!",
            "#n/a",
            "#####",
            "Err:502",
            "#N/D",
        ] {
            assert!(is_spreadsheet_error(text), "{text}");
        }
        for text in ["", "#", "#1", "#Tier0", "#tier0!", "Err:", "Err:x", "#!", "REF!", "C#"] {
            assert!(!is_spreadsheet_error(text), "{text}");
        }
    }

    #[test]
    fn the_words_for_nothing_are_known() {
        for text in ["NULL", "null", "nan", "NaN", "None", "undefined", "N/A", "<NA>", "\\N", "System.Object[]"] {
            assert!(stands_for_nothing(text), "{text}");
        }
        for text in ["", "NA", "nothing", "no", "-", "Nonesuch", "0"] {
            assert!(!stands_for_nothing(text), "{text}");
        }
    }
}
