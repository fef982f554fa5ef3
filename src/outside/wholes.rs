//! Where secrets stand whole, as words of their own. There they end.
//!
//! White space and quotes are left out before anything is compared, as they may stand between the halves of a secret. So a
//! secret that repeats itself, as `abab…` does, would go on in the next word if that begins as a secret goes on, and begin in
//! the one before. Where all of it stands between the ends of words, nothing beyond them is of it.
//!
//! What surprises: only the pieces of this same secret end there. What stands whole may be the first half of another one.

use std::ops::Range;

use super::hashes::{BASE, MODULUS, appended, product};
use super::reading::{Reading, is_of_a_word};

/// Which secret a piece belongs to; `None` where it is in several.
pub(super) type Owner = Option<u16>;

/// A piece of a secret in a reading, as positions of glyphs.
pub(super) struct Match {
    pub(super) glyphs: Range<usize>,
    pub(super) owner: Owner,
}

/// What a whole secret is known by.
#[derive(Clone)]
pub(super) struct Whole {
    length: usize,
    hash: u64,
    /// What a character of a reading counts for that has so many behind it.
    first: u64,
    owner: u16,
}

impl Whole {
    pub(super) fn of(secret: &Reading, owner: u16) -> Self {
        let length = secret.glyphs().len();
        let first = (0..length).fold(1, |power, _| product(power, BASE));
        Self { length, hash: secret.characters().fold(0, appended), first, owner }
    }
}

/// Leaves those out that go beyond the ends of a whole secret to which they belong.
pub(super) fn within_words(reading: &Reading, wholes: &[Whole], mut matches: Vec<Match>) -> Vec<Match> {
    let ends = ends_of_wholes(reading, wholes, &merged(&matches));
    matches.retain(|one| {
        let from = ends.partition_point(|(end, _)| *end <= one.glyphs.start);
        let mut inside = ends.iter().skip(from).take_while(|(end, _)| *end < one.glyphs.end);
        one.owner.is_none_or(|owner| inside.all(|(_, whole)| *whole != owner))
    });
    matches
}

/// Where matches are, in order, those that overlap or meet as one.
fn merged(matches: &[Match]) -> Vec<Range<usize>> {
    let mut places: Vec<Range<usize>> = matches.iter().map(|one| one.glyphs.clone()).collect();
    places.sort_unstable_by_key(|place| place.start);
    places.dedup_by(|place, before| {
        let is_one = place.start <= before.end;
        before.end = if is_one { before.end.max(place.end) } else { before.end };
        is_one
    });
    places
}

/// Where secrets begin and end that stand whole there, in order; one that begins within another is none.
fn ends_of_wholes(reading: &Reading, wholes: &[Whole], places: &[Range<usize>]) -> Vec<(usize, u16)> {
    let mut ends: Vec<(usize, u16)> = Vec::new();
    if places.is_empty() {
        return ends;
    }
    let hashes: Vec<u64> = std::iter::once(0)
        .chain(reading.characters().scan(0, |hash, character| {
            *hash = appended(*hash, character);
            Some(*hash)
        }))
        .collect();
    let hash_of = |whole: &Whole, end: usize| {
        let (all, before) = (hashes.get(end)?, hashes.get(end.checked_sub(whole.length)?)?);
        Some((all + MODULUS - product(*before, whole.first)) % MODULUS)
    };
    let mut taken: Vec<(u16, usize)> = Vec::new();
    let within = places.iter().flat_map(|place| place.start + 1..=place.end);
    for end in within.filter(|end| ends_a_word(reading, *end)) {
        for whole in wholes.iter().filter(|whole| hash_of(whole, end) == Some(whole.hash)) {
            let (start, owner) = (end - whole.length, whole.owner);
            let is_within = taken.iter().any(|(known, taken)| *known == owner && start < *taken);
            if ends_a_word(reading, start) && !is_within {
                taken.retain(|(known, _)| *known != owner);
                taken.push((owner, end));
                ends.extend([(start, owner), (end, owner)]);
            }
        }
    }
    ends.sort_unstable();
    ends
}

/// Whether a word may end before this position, or begin there.
fn ends_a_word(reading: &Reading, position: usize) -> bool {
    let is_in_a_word = |at: usize| reading.glyphs().get(at).is_some_and(|glyph| is_of_a_word(glyph.character));
    position == 0 || !is_in_a_word(position - 1) || !is_in_a_word(position)
}
