//! The secrets, ready to be found in time that grows with the text alone: by the hashes of their pieces.
//!
//! Any so many characters of a secret in a row give it away, wherever they stand in it; of a shorter secret, all of it.
//! They are compared as people read them ([`Reading::compact`]), and each secret in every way in which it can be decoded,
//! since a text that is decoded has decoded what only looked like an escape, too.
//!
//! What surprises: a short secret, or one that could be a word, is found only where it stands as a whole word. As `Test`
//! it protects nothing where it is a part of `Test-Lab`, and to mask it there would make a message wrong.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use secrecy::{ExposeSecret, SecretString};

use super::decoding::unescaped;
use super::hashes::{BASE, MODULUS, appended, product};
use super::reading::{Glyph, Reading, is_of_a_word};
use super::wholes::{Match, Owner, Whole, within_words};

/// So many characters in a row of a secret are masked, whatever stands around them.
const PIECE_CHARACTERS: usize = 16;
/// A shorter secret is masked only as a whole word.
const SHORTEST_SURE_CHARACTERS: usize = 8;
/// A secret of letters only is masked only as a whole word unless it is longer than words are.
const LONGEST_WORD_CHARACTERS: usize = 16;
/// How often a secret may look as if it were encoded.
const MAXIMUM_ROUNDS: usize = 3;

/// What is looked for.
#[derive(Clone, Default)]
pub(super) struct Pieces {
    by_length: Vec<Hashes>,
    /// Each character of a piece is one of these.
    characters: Characters,
    /// Everything that pieces are of.
    wholes: Vec<Whole>,
    /// How many secrets these are.
    secrets: u16,
    words: Vec<SecretString>,
}

/// Characters of ASCII, each by a bit, and those beyond as one.
#[derive(Clone, Copy, Default)]
struct Characters(u128, bool);

impl Characters {
    fn add(&mut self, character: char) {
        if character.is_ascii() {
            self.0 |= 1 << u32::from(character);
        } else {
            self.1 = true;
        }
    }

    fn have(self, character: char) -> bool {
        if character.is_ascii() { self.0 >> u32::from(character) & 1 == 1 } else { self.1 }
    }
}

/// The hashes of all pieces of one length.
#[derive(Clone)]
struct Hashes {
    length: usize,
    /// What a character adds to the hash that is the first of a piece.
    first: u64,
    /// Whose they are.
    owners: HashMap<u64, Owner, RandomState>,
}

impl Pieces {
    /// Looks for this secret from now on.
    pub(super) fn add(&mut self, secret: &str) {
        let mut reading = Some(Reading::of(secret));
        let is_word = secret.chars().count() <= LONGEST_WORD_CHARACTERS && secret.chars().all(char::is_alphabetic);
        let is_sure = reading.as_ref().is_some_and(|it| it.compact().len() >= SHORTEST_SURE_CHARACTERS);
        if is_word || !is_sure {
            self.words.extend(reading.map(|reading| reading.characters().collect::<String>().into()));
            return;
        }
        self.secrets = self.secrets.saturating_add(1);
        let mut forms = String::new();
        for _ in 0..MAXIMUM_ROUNDS {
            let Some(form) = reading else { break };
            let characters: String = form.characters().collect();
            // A form that stands within another ends in the middle of that.
            if !forms.contains(&characters) {
                self.wholes.push(Whole::of(&form, self.secrets));
            }
            forms = forms + &characters + "\n";
            self.add_pieces(&form);
            reading = unescaped(&form);
        }
        // A part of a web token is worth as much as the whole.
        let parts: Vec<&str> = secret.split('.').collect();
        if let [_, _, _] = parts.as_slice() {
            parts.into_iter().map(Reading::of).for_each(|part| self.add_pieces(&part));
        }
    }

    fn add_pieces(&mut self, reading: &Reading) {
        let (glyphs, owner) = (reading.glyphs(), self.secrets);
        let length = PIECE_CHARACTERS.min(glyphs.len()).max(1);
        let pieces: Vec<Cow<'_, [Glyph]>> = glyphs.windows(length).map(super::reading::compact).collect();
        let all = [reading.compact()];
        let is_long = |piece: &&Cow<'_, [Glyph]>| piece.len() >= SHORTEST_SURE_CHARACTERS;
        // Where there is little between what is left out, the secret is known as a whole only.
        let are_any = pieces.iter().any(|piece| is_long(&piece));
        for piece in if are_any { pieces.iter() } else { all.iter() }.filter(is_long) {
            piece.iter().for_each(|glyph| self.characters.add(glyph.character));
            let hashes = self.of_length(piece.len());
            let hash = piece.iter().fold(0, |hash, glyph| appended(hash, glyph.character));
            let known = hashes.owners.entry(hash).or_insert(Some(owner));
            *known = known.filter(|known| *known == owner);
        }
    }

    fn of_length(&mut self, length: usize) -> &mut Hashes {
        let position = self.by_length.iter().position(|hashes| hashes.length == length).unwrap_or_else(|| {
            let first = (1..length).fold(1, |power, _| product(power, BASE));
            self.by_length.push(Hashes { length, first, owners: HashMap::default() });
            self.by_length.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "it was found or added there")]
        &mut self.by_length[position]
    }

    /// The fewest bytes in which anything could be found.
    pub(super) fn shortest_bytes(&self) -> usize {
        let words = self.words.iter().map(|word| word.expose_secret().chars().count());
        self.by_length.iter().map(|hashes| hashes.length).chain(words).min().unwrap_or(usize::MAX)
    }

    /// Whether anything is found in a reading.
    pub(super) fn are_in(&self, reading: &Reading) -> bool {
        let mut is_found = false;
        self.find_sure(reading, |_| is_found = true);
        self.find_words(reading, |_| is_found = true);
        is_found
    }

    /// Where pieces of secrets stand that no text holds by chance.
    pub(super) fn find_sure(&self, reading: &Reading, mut found: impl FnMut(Range<usize>)) {
        if self.by_length.is_empty() {
            return;
        }
        for one in within_words(reading, &self.wholes, self.matches(reading)) {
            found(reading.place(&one.glyphs));
        }
    }

    fn matches(&self, reading: &Reading) -> Vec<Match> {
        let mut matches = Vec::new();
        let glyphs = &*reading.compact();
        // Most readings are of what was never encoded, and nothing in them is long enough.
        let longest = self.longest_run(glyphs);
        for Hashes { length, first, owners } in self.by_length.iter().filter(|hashes| hashes.length <= longest) {
            let mut hash = 0;
            for (position, glyph) in glyphs.iter().enumerate() {
                if let Some(gone) = position.checked_sub(*length).and_then(|gone| glyphs.get(gone)) {
                    let gone = product(u64::from(u32::from(gone.character)), *first);
                    hash = (hash + MODULUS - gone) % MODULUS;
                }
                hash = appended(hash, glyph.character);
                let start = (position + 1).checked_sub(*length);
                if let Some((start, owner)) = start.zip(owners.get(&hash)) {
                    matches.push(Match { glyphs: start..position + 1, owner: *owner });
                }
            }
        }
        reading.spread(matches.iter_mut().map(|one| &mut one.glyphs));
        matches
    }

    /// How many of these stand in a row at the most that may belong to a piece.
    fn longest_run(&self, glyphs: &[Glyph]) -> usize {
        let runs = glyphs.iter().scan(0, |run, glyph| {
            *run = if self.characters.have(glyph.character) { *run + 1 } else { 0 };
            Some(*run)
        });
        runs.max().unwrap_or(0)
    }

    /// Where secrets stand as whole words.
    pub(super) fn find_words(&self, reading: &Reading, mut found: impl FnMut(Range<usize>)) {
        let glyphs = reading.glyphs();
        let is_in_a_word = |glyph: Option<&Glyph>| glyph.is_some_and(|glyph| is_of_a_word(glyph.character));
        for word in &self.words {
            let word = word.expose_secret();
            let Some(first) = word.chars().next() else { continue };
            let length = word.chars().count();
            let starts = glyphs.iter().enumerate().filter(|(_, glyph)| glyph.character == first);
            for (start, _) in starts {
                let Some(candidate) = glyphs.get(start..start + length) else { break };
                let before = start.checked_sub(1).and_then(|before| glyphs.get(before));
                let is_whole = !is_in_a_word(before) && !is_in_a_word(glyphs.get(start + length));
                if is_whole && candidate.iter().map(|glyph| glyph.character).eq(word.chars()) {
                    found(reading.place(&(start..start + length)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_can_belong_to_a_piece_than_stand_in_a_row_of_its_characters() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.longest_run(Reading::of("abc").glyphs()), 0);
        pieces.add("bad-cafe-0123-λ");
        for (text, expected) in [("abcd-xyz", 5), ("xyz", 0), ("λλλ", 3), ("g", 0), ("x0123-λbadx9", 9), ("", 0)] {
            assert_eq!(pieces.longest_run(Reading::of(text).glyphs()), expected, "{text}");
        }
        let mut found = Vec::new();
        pieces.find_sure(&Reading::of("x bad-cafe-0123-λ x"), |range| found.push(range));
        assert!(!found.is_empty());
    }
}
