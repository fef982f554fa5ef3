//! A secret in any text, in any disguise, is masked, and what is masked has nothing left to mask.

use std::sync::Once;

use super::Choices;
use crate::outside::disguises::ENCODINGS;
use crate::outside::{Outside, secrets};

/// One with all that encodings change, and one that repeats itself.
const SECRETS: [&str; 2] = ["fZ5~whole+or/in=pieces,Vk2.\"is\\ never&seen", "nX3nX3nX3nX3nX3nX3nX3nX3"];
/// So many characters in a row give it away.
const PIECE_CHARACTERS: usize = 16;

/// The first byte chooses the disguise, the second where the rest is split to take the secret.
pub(super) fn masking(data: &[u8]) {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        for secret in SECRETS {
            secrets::keep(&secret.into());
        }
    });
    let mut choices = Choices(data);
    let (name, disguise) = choices.of(ENCODINGS);
    let split = choices.number(1);
    let [first, second] = SECRETS;
    let secret = if split % 2 == 1 { second } else { first };
    let text = String::from_utf8_lossy(choices.0).into_owned();
    let split = text.floor_char_boundary(usize::try_from(split).unwrap_or(0));
    let (before, after) = text.split_at(split);
    let seen = Outside::new(format!("{before}{}{after}", disguise(secret))).json();
    assert!(seen.contains("***"), "{name}: {seen:?}");
    let characters: Vec<char> = secret.chars().collect();
    for piece in characters.windows(PIECE_CHARACTERS) {
        assert!(!seen.contains(&piece.iter().collect::<String>()), "{name}: {seen:?}");
    }
}
