//! The tags of a file: held once each, and judged when they are asked for.
//!
//! Whether a tag may be added depends on the tag itself ([`TagOddity`]) and on those that the file adds before it: two that
//! differ only in case or width are two tags to the service, and hardly ever two to whoever wrote them. To remove a tag is
//! never refused, so that odd tags can be got rid of.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use crate::input::findings::accept::{Accepted, Doubt};
use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::note::{TagWarning, TagWarningKind};
use crate::input::findings::problem::ProblemKind;
use crate::input::oddities::tag_oddity::TagOddity;
use crate::input::oddities::unicode::folded;
use crate::model::{RowNumber, Tag, TagAction, TagError, TagNumber};

/// The most warnings that are kept.
const WARNINGS_MAXIMUM: usize = 100;

/// A place in the file: the row and its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::input) struct RowPlace {
    pub(in crate::input) row: RowNumber,
    pub(in crate::input) line: u32,
}

/// A tag that a row asks for, and that may be asked for.
pub(in crate::input) struct AskedTag {
    form: AskedForm,
    /// What had to be allowed for it.
    odd: bool,
    variant: bool,
}

enum AskedForm {
    /// It came before, at this position.
    Known(usize),
    New(Tag),
}

/// A tag that was taken: its number, and the doubts that had to be allowed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::input) struct TakenTag {
    pub(in crate::input) number: TagNumber,
    pub(in crate::input) allowed: [Option<Doubt>; 2],
}

/// What is known of a tag that a row without faults asked for.
struct Known {
    oddity: Option<TagOddity>,
    /// Whether another one that equals it but for case and width was added before it.
    variant: bool,
    first: RowPlace,
    /// The last row that asked for it.
    last: RowNumber,
    added: Option<RowPlace>,
    removed: Option<RowPlace>,
    /// The position of the tag that was asked for after it.
    follower: usize,
}

/// A tag that a row is to add, be there faults elsewhere in the row or not.
struct Added {
    tag: Box<str>,
    row: RowNumber,
}

/// The tags so far.
pub(in crate::input) struct TagBook {
    accepted: Accepted,
    tags: IndexMap<Tag, Known, RandomState>,
    /// The position of the tag that was asked for last.
    last: usize,
    /// By their folded forms, the tags that were to be added first.
    added: HashMap<Box<str>, Added>,
}

impl TagBook {
    pub(in crate::input) fn new(accepted: Accepted) -> Self {
        Self { accepted, tags: IndexMap::default(), last: 0, added: HashMap::new() }
    }

    /// A tag that came before, that nothing is to be said of, and that was asked for in the same way: nearly every one.
    #[inline]
    pub(super) fn judged_before(&mut self, text: &str, action: TagAction) -> Option<AskedTag> {
        let position = self.find(text)?;
        let (_, known) = self.tags.get_index(position)?;
        let was_asked = if action == TagAction::Add { known.added } else { known.removed };
        let is_plain = was_asked.is_some() && known.oddity.is_none() && !known.variant;
        is_plain.then_some(AskedTag { form: AskedForm::Known(position), odd: false, variant: false })
    }

    /// The position of a tag that came before. Rows mostly name the same few tags in turn, so that which has followed the last
    /// one before is looked at first.
    fn find(&mut self, text: &str) -> Option<usize> {
        let guess = self.tags.get_index(self.last).map_or(0, |(_, last)| last.follower);
        let is_guessed = self.tags.get_index(guess).is_some_and(|(tag, _)| tag.as_str() == text);
        let position = if is_guessed { guess } else { self.tags.get_index_of(text)? };
        if !is_guessed && let Some((_, last)) = self.tags.get_index_mut(self.last) {
            last.follower = position;
        }
        self.last = position;
        Some(position)
    }

    /// Judges a trimmed text that is not empty; `action` is `None` where the row says none that takes a tag.
    #[inline(never)]
    pub(super) fn judge(
        &mut self,
        text: &str,
        action: Option<TagAction>,
        row: RowNumber,
    ) -> Result<AskedTag, ProblemKind> {
        // What a machine may have is more than what may be given to one.
        let tag = if action == Some(TagAction::Remove) { Tag::new(text) } else { Tag::addable(text) };
        let tag = tag.map_err(|error| match error {
            TagError::TooLong { characters } => ProblemKind::TagTooLong { characters },
            TagError::ControlCharacter { code_point } => ProblemKind::TagControlCharacter { code_point },
            TagError::Empty => ProblemKind::MissingTag { action: action.unwrap_or(TagAction::Add) },
        })?;
        let (form, oddity) = match self.tags.get_full(text) {
            Some((position, _, known)) => (AskedForm::Known(position), known.oddity),
            None => (AskedForm::New(tag), TagOddity::of(text)),
        };
        if action != Some(TagAction::Add) {
            return Ok(AskedTag { form, odd: false, variant: false });
        }
        if let Some(oddity) = oddity.filter(|_| !self.accepted.allows(Doubt::OddTags)) {
            return Err(ProblemKind::OddTag { tag: Excerpt::new(text), oddity });
        }
        let first = self.added.entry(folded(text).into()).or_insert_with(|| Added { tag: text.into(), row });
        let variant = *first.tag != *text;
        if variant && !self.accepted.allows(Doubt::CaseVariants) {
            let (tag, other, other_row) = (Excerpt::new(text), Excerpt::new(&first.tag), first.row);
            return Err(ProblemKind::CaseVariant { tag, other, other_row });
        }
        Ok(AskedTag { form, odd: oddity.is_some(), variant })
    }

    /// Takes a tag that was judged, unless this row asked for it already.
    pub(in crate::input) fn take(&mut self, asked: AskedTag, action: TagAction, place: RowPlace) -> Option<TakenTag> {
        let AskedTag { form, odd, variant } = asked;
        let index = match form {
            AskedForm::Known(index) => index,
            AskedForm::New(tag) => {
                let entry = self.tags.entry(tag);
                let (index, oddity) = (entry.index(), TagOddity::of(entry.key().as_str()));
                let last = RowNumber(0);
                entry.or_insert(Known {
                    oddity,
                    variant: false,
                    first: place,
                    last,
                    added: None,
                    removed: None,
                    follower: index,
                });
                index
            }
        };
        let (_, known) = self.tags.get_index_mut(index)?;
        if std::mem::replace(&mut known.last, place.row) == place.row {
            return None;
        }
        match action {
            TagAction::Remove => {
                known.removed.get_or_insert(place);
            }
            TagAction::Add if known.added.is_none() => {
                known.added = Some(place);
                known.variant = variant;
            }
            TagAction::Add => {}
        }
        // Saturates beyond what the limit on rows lets happen.
        let number = TagNumber(u32::try_from(index).unwrap_or(u32::MAX));
        Some(TakenTag { number, allowed: [odd.then_some(Doubt::OddTags), variant.then_some(Doubt::CaseVariants)] })
    }

    /// The tags by their numbers; the first warnings about them, in the order of rows; and how many more there are.
    pub(in crate::input) fn finish(self) -> (Vec<Tag>, Vec<TagWarning>, u32) {
        let mut warnings: Vec<TagWarning> =
            self.tags.iter().filter_map(|(tag, known)| self.warning(tag, known)).collect();
        warnings.sort_by_key(|warning| warning.row);
        let further = u32::try_from(warnings.len().saturating_sub(WARNINGS_MAXIMUM)).unwrap_or(u32::MAX);
        warnings.truncate(WARNINGS_MAXIMUM);
        (self.tags.into_keys().collect(), warnings, further)
    }

    fn warning(&self, tag: &Tag, known: &Known) -> Option<TagWarning> {
        let text = tag.as_str();
        let warning = |RowPlace { row, line }, kind| Some(TagWarning { row, line, tag: tag.clone(), kind });
        if let (Some(removed), None) = (known.removed, known.added) {
            if let Some(oddity) = known.oddity {
                return warning(removed, TagWarningKind::OddRemoved(oddity));
            }
            // Nothing is folded where nothing is added.
            let other = if self.added.is_empty() { None } else { self.added.get(folded(text).as_str()) };
            // A row in error adds nothing, but its tag may be this one.
            let other = other.filter(|other| *other.tag != *text);
            if let Some((other, Added { row, .. })) = other.and_then(|other| Some((Tag::new(&other.tag).ok()?, other)))
            {
                return warning(removed, TagWarningKind::VariantRemoved { other, other_row: *row });
            }
        }
        if tag.breaks_portal_filter() { warning(known.first, TagWarningKind::PortalFilter) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(accepted: impl IntoIterator<Item = Doubt>) -> TagBook {
        TagBook::new(accepted.into_iter().collect())
    }

    /// Asks for tags in the order of rows; the codes of those that are refused.
    fn codes(book: &mut TagBook, asked: &[(&str, TagAction)]) -> Vec<&'static str> {
        let place = |row| RowPlace { row: RowNumber(row), line: row + 1 };
        let ask =
            |(row, (text, action)): (u32, &(&str, TagAction))| match book.judge(text, Some(*action), RowNumber(row)) {
                Ok(judged) => {
                    book.take(judged, *action, place(row));
                    ""
                }
                Err(problem) => problem.code(),
            };
        (1..).zip(asked).map(ask).collect()
    }

    #[test]
    fn what_is_odd_or_a_variant_may_be_removed_and_not_added() {
        use TagAction::{Add, Remove};
        let mut book = book([]);
        let asked = [
            ("Marketing", Add),
            ("MARKETING", Add),
            ("Marketing", Add),
            ("MARKETING", Remove),
            ("MARKETING", Add),
            ("#REF!", Remove),
            ("#REF!", Add),
            ("Ring\tA", Remove),
            ("Ring\tA", Add),
            ("Ring (A)", Add),
        ];
        let expected = ["", "case_variant", "", "", "case_variant", "", "odd_tag", "", "tag_control_character", ""];
        assert_eq!(codes(&mut book, &asked), expected);
        let (tags, warnings, further) = book.finish();
        assert_eq!(
            tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
            ["Marketing", "MARKETING", "#REF!", "Ring\tA", "Ring (A)"]
        );
        let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r##"
        row 4, line 5: the tag "MARKETING" is removed, and row 1 adds "Marketing", which differs only in case or width
        row 6, line 7: the tag "#REF!" is a spreadsheet's error; it is removed as it stands
        row 8, line 9: the tag "Ring\u{9}A" holds the control character U+0009; it is removed as it stands
        row 10, line 11: the tag "Ring (A)" holds a parenthesis or a comma, so the portal cannot filter by it
        "##);
        assert_eq!(further, 0);
    }

    #[test]
    fn what_is_allowed_is_taken() {
        use TagAction::Add;
        let mut book = book([Doubt::OddTags, Doubt::CaseVariants]);
        assert_eq!(codes(&mut book, &[("a;b", Add), ("x", Add), ("X", Add), ("X", Add)]), ["", "", "", ""]);
        let judged = book.judge("X", Some(Add), RowNumber(9)).expect("allowed");
        let place = RowPlace { row: RowNumber(9), line: 10 };
        let allowed = [None, Some(Doubt::CaseVariants)];
        assert_eq!(book.take(judged, Add, place), Some(TakenTag { number: TagNumber(2), allowed }));
    }
}
