//! Keeps secrets out of everything that is written.
//!
//! Text that others sent (an authority's error, a proxy's page, another program's standard error)
//! may repeat what we sent it. Before any of it is shown, the known secrets are replaced, and so is
//! everything that looks like a JSON Web Token, known or not.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};

/// What stands where a secret stood.
const MASK: &str = "***";
/// Shorter "secrets" are not masked: they would punch holes into ordinary words and protect
/// nothing.
const SHORTEST_SECRET_CHARACTERS: usize = 4;
/// `{"` in base64: what every JSON Web Token begins with.
const WEB_TOKEN_START: &str = "eyJ";
/// A shorter run that begins like a web token is a word (`keyJournal`), not a token.
const SHORTEST_WEB_TOKEN_BYTES: usize = 20;

/// How many secrets are kept that came up while the program ran. Tokens are renewed about once an
/// hour, and what is written is at most minutes old.
const MOST_LEARNED: usize = 16;

/// Masks known secrets, and every web token, in any text. Cheap to clone; clones share what they
/// learn.
#[derive(Clone, Default)]
pub struct Redactor {
    fixed: Arc<[SecretString]>,
    /// The youngest last.
    learned: Arc<Mutex<VecDeque<SecretString>>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redactor").field("secrets", &self.fixed.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor for these secrets, as they are and as a form or a URL writes them. Those of
    /// fewer than four characters are left out.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s SecretString>) -> Self {
        Self { fixed: secrets.into_iter().flat_map(forms).collect(), learned: Arc::default() }
    }

    /// Masks this secret, too, from now on; the oldest learned ones are forgotten.
    pub(super) fn learn(&self, secret: &SecretString) {
        let mut learned = self.learned();
        for form in forms(secret) {
            if learned.iter().any(|known| known.expose_secret() == form.expose_secret()) {
                continue;
            }
            if learned.len() == MOST_LEARNED {
                learned.pop_front();
            }
            learned.push_back(form);
        }
    }

    /// `text` with every known secret and every web token replaced by `***`.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut shown = Cow::Borrowed(text);
        {
            let learned = self.learned();
            let mut needles: Vec<&str> =
                self.fixed.iter().chain(learned.iter()).map(ExposeSecret::expose_secret).collect();
            // Longest first, so that a secret that contains another one is masked whole.
            needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
            for needle in needles {
                if shown.contains(needle) {
                    shown = Cow::Owned(shown.replace(needle, MASK));
                }
            }
        }
        if shown.contains(WEB_TOKEN_START) {
            shown = Cow::Owned(without_web_tokens(&shown));
        }
        shown
    }

    fn learned(&self) -> MutexGuard<'_, VecDeque<SecretString>> {
        // Whatever a panic left here is still a list of secrets.
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `text` made fit for one line of a message: control characters and runs of white space become
    /// one space, secrets are masked, and what is longer than `longest_characters` is cut. The
    /// masking comes before the cut, so that no half secret is left at the end.
    #[must_use]
    pub(crate) fn one_line(&self, text: &str, longest_characters: usize) -> String {
        let visible: String = text.chars().map(|c| if is_shown(c) { c } else { ' ' }).collect();
        let joined = visible.split_whitespace().collect::<Vec<_>>().join(" ");
        let masked = self.redact(&joined);
        let mut cut: String = masked.chars().take(longest_characters).collect();
        if cut.len() < masked.len() {
            cut.push('…');
        }
        cut
    }
}

/// The forms in which a secret is looked for: none if it is too short.
fn forms(secret: &SecretString) -> impl Iterator<Item = SecretString> + use<> {
    // Secrets are sent without the white space that a variable or a file put around them.
    let plain = secret.expose_secret().trim();
    let long_enough = plain.chars().count() >= SHORTEST_SECRET_CHARACTERS;
    let encoded = percent_encoded(plain);
    let encoded = (encoded != plain).then(|| SecretString::from(encoded));
    let plain = long_enough.then(|| SecretString::from(plain));
    plain.into_iter().chain(encoded.filter(|_| long_enough))
}

/// Control characters could drive a terminal; the directional ones could make a line read as
/// another.
fn is_shown(character: char) -> bool {
    let turns_direction = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !character.is_control() && !turns_direction
}

fn without_web_tokens(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(WEB_TOKEN_START) {
        let (before, candidate) = rest.split_at(start);
        let end = candidate.find(|c: char| !is_web_token_character(c)).unwrap_or(candidate.len());
        let (run, after) = candidate.split_at(end);
        shown.push_str(before);
        shown.push_str(if run.len() >= SHORTEST_WEB_TOKEN_BYTES { MASK } else { run });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Both alphabets of base64, and the dots between a token's parts.
fn is_web_token_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '+' | '/' | '=')
}

/// As `application/x-www-form-urlencoded` writes it (WHATWG URL, section 5.2).
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            // Writing to a string cannot fail.
            other => drop(write!(encoded, "%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB_TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJ0aWQiOiJ4In0.c2lnbmF0dXJl";

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<SecretString> = secrets.iter().map(|&s| s.into()).collect();
        Redactor::new(&secrets)
    }

    #[test]
    fn secrets_and_web_tokens_are_masked_wherever_they_stand() {
        let redactor = redactor(&[" hunter2!~\n", "abcd", "abcdefgh", "no"]);
        let cases = [
            ("nothing to hide", "nothing to hide"),
            ("hunter2!~ and hunter2!~", "*** and ***"),
            ("client_secret=hunter2%21%7E&x", "client_secret=***&x"),
            ("abcdefgh", "***"),
            ("xabcdx", "x***x"),
            ("no is too short", "no is too short"),
            ("a keyJournal stays", "a keyJournal stays"),
        ];
        for (text, expected) in cases {
            assert_eq!(redactor.redact(text), expected);
        }
        assert_eq!(redactor.redact(&format!("Bearer {WEB_TOKEN}, end")), "Bearer ***, end");
        assert_eq!(redactor.redact(&format!("{WEB_TOKEN} {WEB_TOKEN}")), "*** ***");
    }

    #[test]
    fn one_line_is_one_bounded_line_without_control_characters_or_half_secrets() {
        let redactor = redactor(&["topsecret"]);
        let cases = [
            ("two\r\nlines\t here ", 40, "two lines here"),
            ("\u{1b}[31mred\u{202e}", 40, "[31mred"),
            ("abcdef", 3, "abc…"),
            ("abc", 3, "abc"),
            ("xx topsecret", 5, "xx **…"),
            ("änderung", 2, "än…"),
        ];
        for (text, longest, expected) in cases {
            assert_eq!(redactor.one_line(text, longest), expected);
        }
    }

    #[test]
    fn what_is_learned_is_masked_by_all_clones_until_newer_ones_push_it_out() {
        let redactor = redactor(&["fixed"]);
        let clone = redactor.clone();
        redactor.learn(&"prefixed!".into());
        assert_eq!(clone.redact("prefixed! prefixed%21 fixed"), "*** *** ***");
        for number in 0..MOST_LEARNED {
            redactor.learn(&format!("number{number}").into());
            redactor.learn(&format!("number{number}").into());
        }
        assert_eq!(clone.redact("prefixed! number0"), "pre***! ***");
    }

    #[test]
    fn its_own_debug_form_holds_no_secret() {
        let redactor = redactor(&["topsecret"]);
        redactor.learn(&"othersecret".into());
        assert_eq!(format!("{redactor:?}"), "Redactor { secrets: 1, .. }");
    }
}
