//! What is doubtful in a file: it could be meant, but mostly it is a mishap that would do harm. So it is refused unless
//! the user allows it by name.

use std::fmt;

/// A kind of doubtful input that `--accept` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Doubt {
    /// A quoted cell over several lines of which one looks like a row
    LineBreaks,
    /// A tag that looks like a mistake: invisible characters, quotation marks, a spreadsheet's error, a list, ...
    OddTags,
    /// Two tags that differ only in case or width
    CaseVariants,
    /// Device values that stand in an export, without an action that orders them
    StateColumns,
    /// Rows that name another tenant than the one that is signed in to
    OtherTenants,
    /// Rows of a workbook that are hidden, by a filter or by hand
    HiddenRows,
    /// Rows of a workbook with a cell that a merged area covers
    MergedCells,
    /// A column whose name is close to one that is missing, such as "vlaue"
    MisnamedColumns,
}

impl Doubt {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 8] = [
        Self::LineBreaks,
        Self::OddTags,
        Self::CaseVariants,
        Self::StateColumns,
        Self::OtherTenants,
        Self::HiddenRows,
        Self::MergedCells,
        Self::MisnamedColumns,
    ];

    /// The name that `--accept` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LineBreaks => "line-breaks",
            Self::OddTags => "odd-tags",
            Self::CaseVariants => "case-variants",
            Self::StateColumns => "state-columns",
            Self::OtherTenants => "other-tenants",
            Self::HiddenRows => "hidden-rows",
            Self::MergedCells => "merged-cells",
            Self::MisnamedColumns => "misnamed-columns",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The doubts that are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted(u8);

impl Accepted {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(u8::MAX);

    /// These and this one.
    #[must_use]
    pub(crate) const fn with(self, doubt: Doubt) -> Self {
        Self(self.0 | 1 << doubt as u8)
    }

    /// Whether this one is allowed.
    #[must_use]
    pub const fn allows(self, doubt: Doubt) -> bool {
        self.0 & (1 << doubt as u8) != 0
    }
}

impl FromIterator<Doubt> for Accepted {
    fn from_iter<Doubts: IntoIterator<Item = Doubt>>(doubts: Doubts) -> Self {
        Self(doubts.into_iter().fold(0, |allowed, doubt| allowed | 1 << doubt as u8))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_doubt_is_allowed_by_its_own_name_only() {
        for doubt in Doubt::ALL {
            let accepted = Accepted::from_iter([doubt]);
            assert!(Doubt::ALL.iter().all(|other| accepted.allows(*other) == (*other == doubt)), "{doubt}");
            assert!(Accepted::ALL.allows(doubt) && !Accepted::default().allows(doubt));
            let typed = doubt.to_possible_value().expect("a name");
            assert_eq!(typed.get_name(), doubt.name());
        }
    }
}
