//! The tags of a file: held once each, and judged when they are asked for.
//!
//! Whether a tag may be added depends on the tag itself ([`TagOddity`]) and on those that the file adds before it: two that
//! differ only in case or width are two tags to the service, and hardly ever two to whoever wrote them. To remove a tag is
//! never refused, so that odd tags can be got rid of.

use std::collections::HashMap;

use super::accept::{Accepted, Doubt};
use super::excerpt::Excerpt;
use super::intern::Tags;
use super::note::{TagWarning, TagWarningKind};
use super::problem::ProblemKind;
use super::tag_gate::TagOddity;
use super::unicode::folded;
use crate::model::{RowNumber, Tag, TagAction, TagError};

/// The most warnings that are kept.
const WARNINGS_MAXIMUM: usize = 100;

/// A place in the file: the row and its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowPlace {
    pub(super) row: RowNumber,
    pub(super) line: u32,
}

/// A tag that a row asks for, and that may be asked for.
pub(super) struct AskedTag {
    form: AskedForm,
    /// What had to be allowed for it.
    odd: bool,
    variant: bool,
}

enum AskedForm {
    /// It came before, at this position.
    Known(u32),
    New(Tag),
}

/// What is known of a tag that came before.
struct Known {
    oddity: Option<TagOddity>,
    /// Whether another one that equals it but for case and width was added before it.
    variant: bool,
    first: RowPlace,
    added: Option<RowPlace>,
    removed: Option<RowPlace>,
}

/// The tags so far.
pub(super) struct TagBook {
    accepted: Accepted,
    tags: Tags,
    known: Vec<Known>,
    /// By their folded forms, the tags that were added first.
    added: HashMap<Box<str>, u32>,
}

impl TagBook {
    pub(super) fn new(accepted: Accepted) -> Self {
        Self { accepted, tags: Tags::new(), known: Vec::new(), added: HashMap::new() }
    }

    /// A tag that came before, that nothing is to be said of, and that was asked for in the same way: nearly every one.
    #[inline]
    pub(super) fn judged_before(&self, text: &str, action: TagAction) -> Option<AskedTag> {
        let position = self.tags.find(text)?;
        let known = self.known.get(position as usize)?;
        let was_asked = if action == TagAction::Add { known.added } else { known.removed };
        let is_plain = was_asked.is_some() && known.oddity.is_none() && !known.variant;
        is_plain.then_some(AskedTag { form: AskedForm::Known(position), odd: false, variant: false })
    }

    /// Judges a trimmed text that is not empty.
    #[inline(never)]
    pub(super) fn judge(&self, text: &str, action: Option<TagAction>) -> Result<AskedTag, ProblemKind> {
        let is_added = action == Some(TagAction::Add);
        let before = || if is_added { self.added_before(text) } else { None };
        let (form, oddity, variant) = if let Some(position) = self.tags.find(text) {
            let known = self.known.get(position as usize);
            // Judged already, unless it was only removed so far.
            let variant = match known {
                Some(known) if known.added.is_some() => known.variant.then_some(position),
                _ => before(),
            };
            (AskedForm::Known(position), known.and_then(|known| known.oddity), variant)
        } else {
            let tag = Tag::new(text).map_err(|error| match error {
                TagError::TooLong { characters } => ProblemKind::TagTooLong { characters },
                TagError::ControlCharacter { code_point } => ProblemKind::TagControlCharacter { code_point },
                TagError::Empty => ProblemKind::MissingTag { action: action.unwrap_or(TagAction::Add) },
            })?;
            (AskedForm::New(tag), TagOddity::of(text), before())
        };
        if !is_added {
            return Ok(AskedTag { form, odd: false, variant: false });
        }
        match (oddity, variant) {
            (Some(oddity), _) if !self.accepted.allows(Doubt::OddTags) => {
                Err(ProblemKind::OddTag { tag: Excerpt::new(text), oddity })
            }
            (_, Some(other)) if !self.accepted.allows(Doubt::CaseVariants) => Err(self.variant_of(text, other)),
            _ => Ok(AskedTag { form, odd: oddity.is_some(), variant: variant.is_some() }),
        }
    }

    fn added_before(&self, text: &str) -> Option<u32> {
        self.added.get(folded(text).as_str()).copied()
    }

    fn variant_of(&self, text: &str, other: u32) -> ProblemKind {
        let other_row = self.known.get(other as usize).and_then(|known| known.added);
        ProblemKind::CaseVariant {
            tag: Excerpt::new(text),
            other: Excerpt::new(self.tags.text(other)),
            other_row: other_row.map_or(RowNumber(0), |place| place.row),
        }
    }

    /// Takes a tag that was judged; says its position, and the doubts that had to be allowed for it.
    pub(super) fn take(&mut self, asked: AskedTag, action: TagAction, place: RowPlace) -> (u32, [Option<Doubt>; 2]) {
        let position = match asked.form {
            AskedForm::Known(position) => position,
            // The same row may have asked for it twice.
            AskedForm::New(tag) => self.tags.find(tag.as_str()).unwrap_or_else(|| {
                let oddity = TagOddity::of(tag.as_str());
                self.known.push(Known { oddity, variant: false, first: place, added: None, removed: None });
                self.tags.add(tag)
            }),
        };
        let Some(known) = self.known.get_mut(position as usize) else { return (position, [None, None]) };
        match action {
            TagAction::Remove => {
                known.removed.get_or_insert(place);
            }
            TagAction::Add if known.added.is_none() => {
                known.added = Some(place);
                known.variant = asked.variant;
                self.added.entry(folded(self.tags.text(position)).into()).or_insert(position);
            }
            TagAction::Add => {}
        }
        (position, [asked.odd.then_some(Doubt::OddTags), asked.variant.then_some(Doubt::CaseVariants)])
    }

    /// The tags by their positions; the first warnings about them, in the order of rows; and how many more there are.
    pub(super) fn finish(self) -> (Vec<Tag>, Vec<TagWarning>, u32) {
        let mut warnings = Vec::new();
        for (position, known) in (0_u32..).zip(&self.known) {
            if let Some((place, kind)) = self.warning(position, known) {
                warnings.push((place, position, kind));
            }
        }
        warnings.sort_by_key(|(place, ..)| *place);
        let further = u32::try_from(warnings.len().saturating_sub(WARNINGS_MAXIMUM)).unwrap_or(u32::MAX);
        let tags = self.tags.into_items();
        let kept = warnings.into_iter().take(WARNINGS_MAXIMUM);
        let kept = kept.filter_map(|(place, position, kind)| {
            let tag = tags.get(position as usize)?.clone();
            Some(TagWarning { row: place.row, line: place.line, tag, kind })
        });
        let kept = kept.collect();
        (tags, kept, further)
    }

    fn warning(&self, position: u32, known: &Known) -> Option<(RowPlace, TagWarningKind)> {
        let text = self.tags.text(position);
        if let (Some(removed), None) = (known.removed, known.added) {
            if let Some(oddity) = known.oddity {
                return Some((removed, TagWarningKind::OddRemoved(oddity)));
            }
            // Nothing is folded where nothing is added.
            let other = if self.added.is_empty() { None } else { self.added_before(text) };
            if let Some((other, added)) = other.and_then(|other| Some((other, self.known.get(other as usize)?.added?)))
            {
                let other = Tag::new(self.tags.text(other)).ok()?;
                return Some((removed, TagWarningKind::VariantRemoved { other, other_row: added.row }));
            }
        }
        let breaks_filter = text.contains(['(', ')', ',']);
        breaks_filter.then_some((known.first, TagWarningKind::PortalFilter))
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
        let ask = |(row, (text, action)): (u32, &(&str, TagAction))| match book.judge(text, Some(*action)) {
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
            ("Ring (A)", Add),
        ];
        let expected = ["", "case_variant", "", "", "case_variant", "", "odd_tag", ""];
        assert_eq!(codes(&mut book, &asked), expected);
        let (tags, warnings, further) = book.finish();
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["Marketing", "MARKETING", "#REF!", "Ring (A)"]);
        let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r##"
        row 4, line 5: the tag "MARKETING" is removed, and row 1 adds "Marketing", which differs only in case or width
        row 6, line 7: the tag "#REF!" is a spreadsheet's error; it is removed as it stands
        row 8, line 9: the tag "Ring (A)" holds a parenthesis or a comma, so the portal cannot filter by it
        "##);
        assert_eq!(further, 0);
    }

    #[test]
    fn what_is_allowed_is_taken() {
        use TagAction::Add;
        let mut book = book([Doubt::OddTags, Doubt::CaseVariants]);
        assert_eq!(codes(&mut book, &[("a;b", Add), ("x", Add), ("X", Add), ("X", Add)]), ["", "", "", ""]);
        let judged = book.judge("X", Some(Add)).expect("allowed");
        let place = RowPlace { row: RowNumber(9), line: 10 };
        assert_eq!(book.take(judged, Add, place), (2, [None, Some(Doubt::CaseVariants)]));
    }
}
