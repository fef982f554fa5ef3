//! Tags.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The most characters that a tag may have (documented for tags set through the registry).
pub(crate) const TAG_MAXIMUM_CHARACTERS: usize = 200;

/// What the input of a run is called that changes a tag on every machine, before what was typed after that.
pub(crate) const RETAGGING_PREFIX: &str = "tags ";
/// What stands in it before the filter where not every machine is meant.
pub(crate) const RETAGGING_WHERE: &str = " --where ";

/// Whether a run of this input changes a tag wherever it is.
pub(crate) fn is_retagging_of_all(input_path: &str) -> bool {
    input_path.starts_with(RETAGGING_PREFIX) && !input_path.contains(RETAGGING_WHERE)
}

/// A machine tag: 1 to 200 characters. One that holds a control character can be on a machine, and so be removed; to add one,
/// [`Tag::addable`] refuses. Clones share the text: a million machines bear a handful of tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

/// Why a text cannot be a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Nothing is left after trimming.
    #[error("the tag is empty")]
    Empty,
    /// Longer than [`TAG_MAXIMUM_CHARACTERS`].
    #[error("the tag has {characters} characters, and at most 200 are allowed")]
    TooLong {
        /// How many it has.
        characters: usize,
    },
    /// It holds a control character, a tab for example, and is to be added; or U+0000, which no database takes into a text.
    #[error("the tag holds the control character U+{code_point:04X}")]
    ControlCharacter {
        /// The character's number.
        code_point: u32,
    },
}

impl Tag {
    /// Takes a tag that a machine may have.
    ///
    /// # Errors
    /// [`TagError`] when it is empty, too long, or holds U+0000.
    pub fn new(text: &str) -> Result<Self, TagError> {
        if text.is_empty() {
            return Err(TagError::Empty);
        }
        if text.len() > TAG_MAXIMUM_CHARACTERS {
            let characters = text.chars().count();
            if characters > TAG_MAXIMUM_CHARACTERS {
                return Err(TagError::TooLong { characters });
            }
        }
        if text.contains('\0') {
            return Err(TagError::ControlCharacter { code_point: 0 });
        }
        Ok(Self(text.into()))
    }

    /// Takes a trimmed text as a tag to be added.
    ///
    /// # Errors
    /// [`TagError`] when no machine can have it, or when it holds a control character other than a line break, which is
    /// doubtful and may be allowed.
    pub fn addable(text: &str) -> Result<Self, TagError> {
        match text.chars().find(|it| is_never_added(*it)) {
            Some(character) => Err(TagError::ControlCharacter { code_point: u32::from(character) }),
            None => Self::new(text),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its text without case, which groups the tags that the service may take for one, as [`Self::is_same_but_for_case`] tells
    /// of two.
    pub(crate) fn case_key(&self) -> String {
        case_key(&self.0)
    }

    /// Whether another tag is this one, or differs from it in nothing but case: the service may take them for one.
    pub(crate) fn is_same_but_for_case(&self, other: &str) -> bool {
        let own: &str = &self.0;
        let is_ascii = own.is_ascii() && other.is_ascii();
        own.eq_ignore_ascii_case(other) || (!is_ascii && case_key(own) == case_key(other))
    }

    /// Whether another tag differs from this one in nothing but case.
    pub(crate) fn is_case_variant_of(&self, other: &str) -> bool {
        &*self.0 != other && self.is_same_but_for_case(other)
    }

    /// Whether the portal cannot filter by this tag: parentheses and commas break its filter (documented).
    pub fn breaks_portal_filter(&self) -> bool {
        self.0.contains(['(', ')', ','])
    }
}

/// The text of a tag without case, as [`Tag::case_key`] has it.
pub(crate) fn case_key(tag: &str) -> String {
    tag.to_lowercase()
}

/// Whether a character means something to a device, and is no line break: no tag that is added may hold one.
pub(crate) fn is_never_added(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\r')
}

impl Borrow<str> for Tag {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_differ_in_case_alone_are_the_same_but_for_case_and_have_one_key() {
        for (one, other, is_same, is_variant) in [
            ("Größe", "Größe", true, false),
            ("Größe", "GRÖßE", true, true),
            ("Test", "tEST", true, true),
            ("ΣΟΦΟΣ", "σοφος", true, true),
            ("Größe", "Grösse", false, false),
            ("Test", "Test ", false, false),
        ] {
            let tag = Tag(one.into());
            assert_eq!(tag.is_same_but_for_case(other), is_same, "{one} and {other}");
            assert_eq!(tag.is_case_variant_of(other), is_variant, "{one} and {other}");
            assert_eq!(tag.case_key() == case_key(other), is_same, "{one} and {other}");
        }
    }

    #[test]
    fn tags_are_checked() {
        let table: &[(&str, Result<(), TagError>)] = &[
            ("x", Ok(())),
            ("Tier 0 / Größe", Ok(())),
            ("", Err(TagError::Empty)),
            ("a\u{7}", Err(TagError::ControlCharacter { code_point: 7 })),
            ("a\nb", Ok(())),
            ("a\u{85}b", Err(TagError::ControlCharacter { code_point: 0x85 })),
        ];
        for (text, expected) in table {
            assert_eq!(Tag::addable(text).map(|_| ()), *expected, "{text:?}");
            let is_one = matches!(expected, Ok(()) | Err(TagError::ControlCharacter { .. }));
            assert_eq!(Tag::new(text).is_ok(), is_one, "a machine may have {text:?}");
        }
        assert_eq!(Tag::new("a\0"), Err(TagError::ControlCharacter { code_point: 0 }));
        assert!(Tag::new(&"ü".repeat(200)).is_ok());
        assert_eq!(Tag::new(&"ü".repeat(201)), Err(TagError::TooLong { characters: 201 }));
        assert!(Tag::new("a (b)").is_ok_and(|tag| tag.breaks_portal_filter()));
        assert!(Tag::new("a b").is_ok_and(|tag| !tag.breaks_portal_filter()));
    }
}
