//! The secrets of this process: whoever reads or receives one tells it here, before anything can repeat it.
//!
//! What was set (a client secret, a password) is kept for good; of what comes while the program runs (tokens,
//! assertions) the youngest are kept, since tokens are renewed about once an hour, and what is written is at most
//! minutes old.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};

use super::pieces::Pieces;

/// How many secrets are kept that came up while the program ran.
const MOST_LEARNED: usize = 64;
/// A shorter "secret" is never masked: it would punch holes into ordinary words and protect nothing.
const SHORTEST_SECRET_CHARACTERS: usize = 4;

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

/// All secrets, without white space around them.
#[derive(Default)]
struct Known {
    kept: Vec<SecretString>,
    /// The youngest last.
    learned: VecDeque<SecretString>,
    /// What all of them are found by; replaced and never changed, so that whoever masks a long text holds nobody up.
    pieces: Arc<Pieces>,
}

impl Known {
    fn all(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().chain(&self.learned).map(ExposeSecret::expose_secret)
    }
}

/// Masks this secret from now on.
pub(crate) fn keep(secret: &SecretString) {
    add(secret, |known, secret| known.kept.push(secret));
}

/// Masks this secret from now on, until many younger ones have come.
pub(crate) fn learn(secret: &SecretString) {
    add(secret, |known, secret| {
        if known.learned.len() == MOST_LEARNED {
            known.learned.pop_front();
            let mut pieces = Pieces::default();
            known.all().for_each(|secret| pieces.add(secret));
            known.pieces = Arc::new(pieces);
        }
        known.learned.push_back(secret);
    });
}

/// Masks what was put where the path of a key or a token belongs, and is one itself: a text of several lines, or one in Base64
/// that is longer than names are.
pub(crate) fn keep_unless_path(text: &str) {
    const LONGEST_NAME: usize = 255;
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let is_block = text.len() > LONGEST_NAME && text.trim().bytes().all(is_encoded);
    if is_block || text.contains("-----BEGIN") || text.trim().contains('\n') {
        keep(&text.into());
    }
}

/// The password that stands in an address, without its scheme: whatever comes between the first colon and the last at sign, as
/// people paste passwords that an address could not hold. A host and its port are no user and password.
pub(crate) fn in_address(address: &str) -> Option<&str> {
    let (user, rest) = address.split_once(':')?;
    let (password, _host) = rest.rsplit_once('@')?;
    (!user.contains('@')).then_some(password)
}

/// An address, or whatever else stands in its place, without the password in it.
pub(crate) fn without_password(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_scheme, rest)| rest);
    match in_address(rest).filter(|password| !password.is_empty()) {
        Some(password) => {
            keep(&password.into());
            address.replace(password, "***")
        }
        None => address.to_owned(),
    }
}

fn add(secret: &SecretString, add: impl FnOnce(&mut Known, SecretString)) {
    // Secrets are sent without the white space that a variable or a file put around them.
    let secret = secret.expose_secret().trim();
    if secret.chars().count() < SHORTEST_SECRET_CHARACTERS {
        return;
    }
    // Whatever a panic left here is still a list of secrets.
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let is_known = known.all().any(|one| one == secret);
    if !is_known {
        Arc::make_mut(&mut known.pieces).add(secret);
        add(&mut known, secret.into());
    }
}

/// What the secrets of this moment are found by.
pub(super) fn pieces() -> Arc<Pieces> {
    Arc::clone(&KNOWN.read().unwrap_or_else(PoisonError::into_inner).pieces)
}
