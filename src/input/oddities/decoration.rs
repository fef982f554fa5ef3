//! What programs put around a machine's id or name: it is taken off, and told once per file.

/// What stood around an id or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoration {
    /// An apostrophe in front, by which spreadsheets are told that a cell is text.
    Apostrophe,
    /// Quotation marks of whatever kind.
    QuotationMarks,
    /// `="…"`, by which spreadsheets are told the same; around an id without the marks, too.
    Formula,
    /// Braces or other brackets.
    Brackets,
    /// Characters that nobody sees, and unusual spaces.
    Invisible,
    /// The address of the machine's page in the portal.
    Address,
    /// The domain in front: `DOMAIN\host`.
    Domain,
    /// Two backslashes in front: `\\host`.
    Backslashes,
    /// The `$` behind an account's name: `host$`.
    Dollar,
    /// The dot that ends a full name.
    FinalDot,
}

impl Decoration {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 10] = [
        Self::Apostrophe,
        Self::QuotationMarks,
        Self::Formula,
        Self::Brackets,
        Self::Invisible,
        Self::Address,
        Self::Domain,
        Self::Backslashes,
        Self::Dollar,
        Self::FinalDot,
    ];

    pub const fn words(self) -> &'static str {
        match self {
            Self::Apostrophe => "a leading apostrophe",
            Self::QuotationMarks => "quotation marks",
            Self::Formula => "an equals sign in front",
            Self::Brackets => "brackets",
            Self::Invisible => "invisible characters",
            Self::Address => "the portal's address around it",
            Self::Domain => "a domain in front",
            Self::Backslashes => "\\\\ in front",
            Self::Dollar => "a $ at the end",
            Self::FinalDot => "a dot at the end",
        }
    }
}

/// A set of [`Decoration`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::input) struct Decorations(u16);

impl Decorations {
    pub(in crate::input) const fn put_off(&mut self, decoration: Decoration) {
        self.0 |= 1 << decoration as u16;
    }

    pub(in crate::input) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(in crate::input) const fn has(self, decoration: Decoration) -> bool {
        self.0 & (1 << decoration as u16) != 0
    }
}
