//! A token that somebody else got: from `TAGFLEET_TOKEN`, or from a file that another program may
//! keep renewing.
//!
//! The file is read again whenever a token is wanted anew, so a long run goes on as long as the
//! file is kept fresh.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::cache::{AcquiredToken, TokenSource};
use super::error::SignInError;
use super::files::{read_private_text, read_text};
use super::token::{TokenClaims, is_token_text};
use crate::outside::shown;

/// Entra lets clocks differ by five minutes; a token is not refused by us for less.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);
/// The variable, as messages name it.
const VARIABLE: &str = "TAGFLEET_TOKEN";

/// Where the ready token is.
#[derive(Debug)]
pub(super) enum ReadyToken {
    Variable(SecretString),
    File {
        path: PathBuf,
        /// What the first look found. A pipe can be read only once.
        first: Mutex<Option<SecretString>>,
    },
}

impl ReadyToken {
    /// The token of `TAGFLEET_TOKEN`, looked at once, so that a damaged one is found before
    /// anything starts.
    pub(super) fn in_variable(token: &SecretString) -> Result<Self, SignInError> {
        let source = Self::Variable(token.clone());
        source.take(token, SystemTime::now())?;
        Ok(source)
    }

    /// The token in a file, looked at once, so that a missing or damaged one is found before
    /// anything starts.
    pub(super) fn in_file(path: &Path) -> Result<Self, SignInError> {
        let text = read_private_text(path)?;
        let source = Self::File { path: path.to_owned(), first: Mutex::new(Some(text.clone())) };
        source.take(&text, SystemTime::now())?;
        Ok(source)
    }

    fn place(&self) -> String {
        match self {
            Self::Variable(_) => VARIABLE.to_owned(),
            Self::File { path, .. } => shown(path),
        }
    }

    /// The token in `text`: without white space at the ends, and without a `Bearer` in front.
    fn take(&self, text: &SecretString, now: SystemTime) -> Result<AcquiredToken, SignInError> {
        let token = without_scheme(text.expose_secret().trim());
        if !is_token_text(token) {
            let problem = if token.is_empty() { "holds no token" } else { "holds something that is not a token" };
            return Err(SignInError::settings(
                format!("{} {problem}", self.place()),
                "put the access token into it, and nothing else: one line, without quotes",
            ));
        }
        let secret = SecretString::from(token);
        let Some(end) = TokenClaims::read(token).and_then(|claims| claims.expires_at_unix_seconds) else {
            return Ok(AcquiredToken { secret, life: None });
        };
        let now_seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let end_seconds = u64::try_from(end).unwrap_or_default();
        if end_seconds.saturating_add(CLOCK_TOLERANCE.as_secs()) < now_seconds {
            return Err(SignInError::TokenEnded {
                place: self.place(),
                ended_at: jiff::Timestamp::from_second(end)
                    .map_or_else(|_| "a time long past".to_owned(), |time| time.to_string()),
            });
        }
        let end_nanoseconds = i128::from(end) * 1_000_000_000;
        Ok(AcquiredToken::ending_at(secret, end_nanoseconds, now))
    }
}

/// Tokens are often copied together with the header's scheme.
fn without_scheme(text: &str) -> &str {
    let (first, rest) = text.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((text, ""));
    if first.eq_ignore_ascii_case("bearer") { rest.trim_start() } else { text }
}

#[async_trait]
impl TokenSource for ReadyToken {
    async fn acquire(&self) -> Result<AcquiredToken, SignInError> {
        let text = match self {
            Self::Variable(token) => token.clone(),
            Self::File { path, first } => {
                let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
                match first {
                    Some(text) => text,
                    None => read_in_background(path).await?,
                }
            }
        };
        self.take(&text, SystemTime::now())
    }
}

/// Reads a file on a thread that may wait for the disk.
pub(super) async fn read_in_background(path: &Path) -> Result<SecretString, SignInError> {
    let owned = path.to_owned();
    tokio::task::spawn_blocking(move || read_text(&owned))
        .await
        .unwrap_or_else(|stopped| Err(SignInError::File { path: path.to_owned(), source: Arc::new(stopped.into()) }))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const NOW_SECONDS: u64 = 1_700_000_000;

    fn take(text: &str) -> Result<AcquiredToken, SignInError> {
        let now = UNIX_EPOCH + Duration::from_secs(NOW_SECONDS);
        ReadyToken::Variable("".into()).take(&text.into(), now)
    }

    fn token_ending_at(seconds: u64) -> String {
        let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{seconds}}}"#));
        format!("eyJhbGciOiJub25lIn0.{payload}.x")
    }

    #[test]
    fn a_token_is_taken_out_of_what_surrounds_it() {
        for text in ["abc.def", " abc.def\r\n", "Bearer abc.def", "bearer\tabc.def\n"] {
            let token = take(text).expect("a token");
            assert_eq!(token.secret.expose_secret(), "abc.def");
            assert_eq!(token.life, None);
        }
    }

    #[test]
    fn what_is_no_token_is_an_error_that_does_not_show_it() {
        for text in ["", "  ", "Bearer ", "abc def", "\"abc\ndef\"", "abc\u{7}", "äbc"] {
            let error = take(text).expect_err("no token");
            assert!(matches!(error, SignInError::Settings { .. }), "{error:?}");
            assert!(error.to_string().starts_with("TAGFLEET_TOKEN holds"), "{error}");
            assert!(!format!("{error:?}").contains("bc"), "{error:?}");
        }
    }

    #[test]
    fn the_end_that_the_token_names_is_believed_within_the_tolerance() {
        let living = take(&token_ending_at(NOW_SECONDS + 600)).expect("a token");
        assert_eq!(living.life, Some(Duration::from_mins(10)));
        let just_over = take(&token_ending_at(NOW_SECONDS - 299)).expect("still tried");
        assert_eq!(just_over.life, Some(Duration::from_mins(5)));
        let over = take(&token_ending_at(NOW_SECONDS - 301)).expect_err("over");
        assert_eq!(
            over.to_string(),
            "the token in TAGFLEET_TOKEN ended at 2023-11-14T22:08:19Z by this computer's clock"
        );
    }
}
