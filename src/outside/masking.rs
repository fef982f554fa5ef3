//! Finds secrets in a decoded text, and puts `***` in their place.
//!
//! A secret is found as it is, in any mixture of the encodings that a body, an address or a log line may have given it
//! (percent, form, JSON and HTML escapes), and inside base64. One that was cut short is masked as far as it goes. A web
//! token is known by its shape, whoever's it is: three parts, of which the first two begin as JSON objects do in base64.
//!
//! What surprises: a short secret, or one that could be a word, is masked only where it stands as a whole word. As `Test`
//! it protects nothing where it is a part of `Test-Lab`, and to mask it there would make a message wrong. Messages only
//! are masked; data never is.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::secrets;

/// What stands where a secret stood.
const MASK: &str = "***";
/// A shorter secret is masked only as a whole word.
const SHORTEST_SURE_CHARACTERS: usize = 8;
/// A secret of letters only is masked only as a whole word unless it is longer than words are.
const LONGEST_WORD_CHARACTERS: usize = 16;
/// So much of a secret's beginning is masked even where the rest was cut off.
const SHORTEST_BEGINNING_CHARACTERS: usize = 16;
/// `{"` in base64: what the first two parts of every web token begin with.
const WEB_TOKEN_START: &str = "eyJ";
/// A shorter first part cannot name an algorithm.
const SHORTEST_WEB_TOKEN_HEAD_BYTES: usize = 12;
/// A shorter run of base64 holds no secret that is looked for there.
const SHORTEST_BASE64_BYTES: usize = 11;

const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The text with `***` in place of every secret of this process and of every web token.
pub(crate) fn masked(text: &str) -> Cow<'_, str> {
    let mut found = web_tokens(text);
    let mut runs = None;
    secrets::for_each(|secret| {
        found.extend(occurrences(text, secret));
        if is_sure(secret) {
            let runs = runs.get_or_insert_with(|| base64_runs(text));
            let holding =
                runs.iter().filter(|(_, decoded)| decoded.iter().any(|one| !occurrences(one, secret).is_empty()));
            found.extend(holding.map(|(run, _)| run.clone()));
        }
    });
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for range in found {
        if range.start >= end {
            shown.push_str(text.get(end..range.start).unwrap_or_default());
            shown.push_str(MASK);
        }
        end = end.max(range.end);
    }
    shown.push_str(text.get(end..).unwrap_or_default());
    Cow::Owned(shown)
}

/// Whether a secret is so long, or so unlike a word, that no text holds it by chance.
fn is_sure(secret: &str) -> bool {
    let length = secret.chars().count();
    let is_word = length <= LONGEST_WORD_CHARACTERS && secret.chars().all(char::is_alphabetic);
    length >= SHORTEST_SURE_CHARACTERS && !is_word
}

/// Where a secret stands in a text, in any of its encodings.
fn occurrences(text: &str, secret: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let Some(first) = secret.chars().next() else { return found };
    let mut end = 0;
    for (start, character) in text.char_indices() {
        let may_begin = character == first || matches!(character, '%' | '\\' | '&' | '+');
        if start < end || !may_begin {
            continue;
        }
        let rest = text.get(start..).unwrap_or_default();
        let Some(length) = match_length(rest, secret) else { continue };
        let after = rest.get(length..).unwrap_or_default();
        if is_sure(secret) || (!ends_in_a_word(text.get(..start).unwrap_or_default()) && !begins_in_a_word(after)) {
            end = start + length;
            found.push(start..end);
        }
    }
    found
}

/// How many bytes of the text write the secret, or a beginning of it that is long enough to tell.
fn match_length(text: &str, secret: &str) -> Option<usize> {
    // What stands there can be read in several ways, as `\\\\` can.
    let mut ends = vec![0];
    for (count, character) in secret.chars().enumerate() {
        let mut next = Vec::new();
        for end in &ends {
            let rest = text.get(*end..).unwrap_or_default();
            next.extend(written_lengths(rest, character).map(|length| end + length).filter(|end| *end <= text.len()));
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return if count >= SHORTEST_BEGINNING_CHARACTERS { ends.last().copied() } else { None };
        }
        ends = next;
    }
    ends.last().copied()
}

/// How many bytes at the beginning of the text write this character, in each encoding in which they do.
fn written_lengths(text: &str, character: char) -> impl Iterator<Item = usize> {
    let plain = text.starts_with(character).then(|| character.len_utf8());
    let form = (character == ' ' && text.starts_with('+')).then_some(1);
    // What was escaped twice has two backslashes, or more.
    let backslashes = text.bytes().take_while(|byte| *byte == b'\\').count();
    let escape = text.get(backslashes..).filter(|_| backslashes > 0);
    let unit = escape.and_then(|escape| unit_length(escape, character));
    let mark = escape.filter(|escape| matches!(character, '/' | '"' | '\'') && escape.starts_with(character));
    let escaped = unit.or(mark.map(|_| 1)).map(|length| backslashes + length);
    let doubled = [2, 4].into_iter().filter(move |count| character == '\\' && *count <= backslashes);
    let others = [plain, form, percent_length(text, character), escaped, entity_length(text, character)];
    others.into_iter().flatten().chain(doubled)
}

/// `%2F`, byte by byte.
fn percent_length(text: &str, character: char) -> Option<usize> {
    let mut length = 0;
    for expected in character.encode_utf8(&mut [0; 4]).bytes() {
        let digits = text.get(length..)?.strip_prefix('%')?.get(..2)?;
        if u8::from_str_radix(digits, 16) != Ok(expected) {
            return None;
        }
        length += 3;
    }
    Some(length)
}

/// `u002F` behind the backslash, unit by unit.
fn unit_length(text: &str, character: char) -> Option<usize> {
    let mut length = 0;
    for (count, expected) in character.encode_utf16(&mut [0; 2]).iter().enumerate() {
        let rest = text.get(length..)?;
        let prefix = if count == 0 { "u" } else { "\\u" };
        if u16::from_str_radix(rest.strip_prefix(prefix)?.get(..4)?, 16) != Ok(*expected) {
            return None;
        }
        length += prefix.len() + 4;
    }
    Some(length)
}

/// `&#x2F;`, `&#47;` and `&amp;`.
fn entity_length(text: &str, character: char) -> Option<usize> {
    let rest = text.strip_prefix('&')?;
    let name = rest.get(..rest.find(';')?)?;
    let named = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            number.ok().and_then(char::from_u32)
        }
    };
    (named == Some(character)).then(|| name.len() + 2)
}

/// Whether what stands before a short secret makes it a part of a longer word. The last digit of an escape does not.
fn ends_in_a_word(before: &str) -> bool {
    let is_escape = |length: usize, start: &str| {
        let tail = before.len().checked_sub(length).and_then(|from| before.get(from..));
        tail.and_then(|tail| tail.strip_prefix(start))
            .is_some_and(|digits| digits.bytes().all(|it| it.is_ascii_hexdigit()))
    };
    let is_short_escape = ["\\n", "\\r", "\\t"].iter().any(|escape| before.ends_with(escape));
    before.chars().next_back().is_some_and(is_of_a_word)
        && !(is_escape(3, "%") || is_escape(6, "\\u") || is_short_escape)
}

fn begins_in_a_word(after: &str) -> bool {
    after.chars().next().is_some_and(is_of_a_word)
}

fn is_of_a_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_')
}

/// Where tokens stand that have a web token's shape.
fn web_tokens(text: &str) -> Vec<Range<usize>> {
    let run = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.find(|it: char| !is_of_base64_url(it)).unwrap_or(rest.len())
    };
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, _) in text.match_indices(WEB_TOKEN_START) {
        if found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let head = run(start);
        let payload_start = start + head + 1;
        let payload = run(payload_start);
        let signature_start = payload_start + payload + 1;
        let is_token = head >= SHORTEST_WEB_TOKEN_HEAD_BYTES
            && text.get(payload_start..).is_some_and(|rest| rest.starts_with(WEB_TOKEN_START))
            && [payload_start, signature_start].iter().all(|part| text.as_bytes().get(part - 1) == Some(&b'.'))
            && run(signature_start) > 0;
        if is_token {
            found.push(start..signature_start + run(signature_start));
        }
    }
    found
}

fn is_of_base64_url(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

/// The runs of base64 in a text, with what they hold. A run may begin within one, since `/` and letters are of its
/// alphabet: so it is read from each of four positions.
fn base64_runs(text: &str) -> Vec<(Range<usize>, Vec<String>)> {
    let is_of_base64 = |character: char| is_of_base64_url(character) || matches!(character, '+' | '/');
    let mut runs = Vec::new();
    let mut rest = text;
    while let Some(skipped) = rest.find(is_of_base64) {
        let begun = rest.get(skipped..).unwrap_or_default();
        let length = begun.find(|it: char| !is_of_base64(it)).unwrap_or(begun.len());
        let (run, after) = begun.split_at(length);
        if length >= SHORTEST_BASE64_BYTES {
            let start = text.len() - begun.len();
            let run = run.replace('+', "-").replace('/', "_");
            let decoded = (0..4).filter_map(|skipped| {
                let from = run.get(skipped..)?;
                // A single digit too many is no byte.
                let whole = from.get(..from.len() - usize::from(from.len() % 4 == 1))?;
                let bytes = LENIENT_BASE64.decode(whole).ok()?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            });
            runs.push((start..start + length, decoded.collect()));
        }
        rest = after;
    }
    runs
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use secrecy::SecretString;

    use super::*;

    const WEB_TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0.c2lnbmF0dXJl";
    /// With everything that encodings change.
    const SECRET: &str = "mask~me+a/b&\"c\"=\\d e";

    #[test]
    fn a_secret_is_masked_in_whatever_encoding_it_stands() {
        secrets::keep(&SecretString::from(format!(" {SECRET}\n")));
        let form = "mask%7Eme%2Ba%2fb%26%22c%22%3D%5Cd+e";
        let (whole, pieces) = (format!("id:{SECRET}"), format!("x{SECRET}"));
        let json = serde_json::to_string(SECRET).expect("a text").trim_matches('"').to_owned();
        let table = [
            ("nothing to hide".to_owned(), "nothing to hide"),
            (format!("{SECRET} and {SECRET}"), "*** and ***"),
            (format!("x{SECRET}y"), "x***y"),
            (format!("client_secret={form}&x"), "client_secret=***&x"),
            (format!("\"{json}\""), "\"***\""),
            (r#"(mask~me\u002Ba\/b\u0026\"c\"=\\d e)"#.to_owned(), "(***)"),
            (r#"(mask~me\\u002ba\\/b\\u0026\\\"c\\\"=\\\\d e)"#.to_owned(), "(***)"),
            ("(mask~me&#43;a&#x2F;b&amp;&quot;c&quot;=\\d e)".to_owned(), "(***)"),
            (format!("Basic {}", STANDARD.encode(&whole)), "Basic ***="),
            (format!("Basic {}", STANDARD.encode(&pieces)), "Basic ***"),
            (format!("/{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(SECRET)), "***"),
            ("cut: mask~me+a/b&\"c\"=…".to_owned(), "cut: ***…"),
            ("cut: mask~me+a".to_owned(), "cut: mask~me+a"),
        ];
        for (text, expected) in table {
            assert_eq!(masked(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_secret_that_could_be_a_word_is_masked_as_a_whole_word_only() {
        for secret in ["Sesame", "maskedpassword", "no"] {
            secrets::keep(&SecretString::from(secret));
        }
        for (text, expected) in [
            ("the token Sesame, \"Sesame\" and Sesame.", "the token ***, \"***\" and ***."),
            ("Sesame-Lab, OpenSesame, sesame_x Sesame_x", "Sesame-Lab, OpenSesame, sesame_x Sesame_x"),
            ("token%3DSesame and \\u0022Sesame and \\nSesame", "token%3D*** and \\u0022*** and \\n***"),
            ("maskedpassword maskedpasswords", "*** maskedpasswords"),
            ("no is too short", "no is too short"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn a_web_token_is_known_by_its_three_parts_and_no_word_is_taken_for_one() {
        for (text, expected) in [
            (format!("Bearer {WEB_TOKEN}, end"), "Bearer ***, end"),
            (format!("{WEB_TOKEN} {WEB_TOKEN}."), "*** ***."),
            (format!("token%3D{WEB_TOKEN}"), "token%3D***"),
        ] {
            assert_eq!(masked(&text), expected);
        }
        for word in [
            "HackneyJunction-Workstations",
            "keyJournal.keyJournals.keyJournalists",
            "eyJunctionWorkstations.contoso.com",
            "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0",
        ] {
            assert_eq!(masked(word), word);
        }
    }

    #[test]
    fn whatever_a_text_holds_it_can_be_masked() {
        secrets::keep(&"mask~größe&9".into());
        for text in
            ["", "%", "\\", "\\u", "&", "&#", "&#x", "&amp", "mask~gr%C3%B6%C3%9Fe&", "eyJ", "eyJ.eyJ.", "ü%ü&ü;ü\\ü"]
        {
            assert_eq!(masked(text), text);
        }
        for text in ["mask~gr%C3%B6%C3%9Fe%269", "mask~gr\\u00f6\\u00dfe&9", "mask~größe&amp;9"] {
            assert_eq!(masked(text), "***");
        }
    }
}
