//! What is wrong with single rows. There may be a million problems, so they hold little, and speak only when shown.

use std::fmt;
use std::sync::Arc;

use super::excerpt::Excerpt;
use crate::model::{RowNumber, Tag, TagAction};

/// One problem of one row; a row can have several.
///
/// It is shown as `row 7, line 9, column "tag": what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The row.
    pub row: RowNumber,
    /// The physical line of the file on which the row begins, from 1.
    pub line: u32,
    /// The column, as the header names it; `None` when the row as a whole is at fault, or the column is not there.
    pub column: Option<Arc<str>>,
    /// What is wrong. Shown, it is the message without the place.
    pub kind: ProblemKind,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "row {}, line {}", self.row, self.line)?;
        if let Some(column) = &self.column {
            write!(formatter, ", column \"{}\"", Excerpt::new(column))?;
        }
        write!(formatter, ": {}", self.kind)
    }
}

/// What can be wrong with a row, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// No cell holds anything.
    #[error("every cell is empty; remove the row, or fill it in")]
    EmptyRow,
    /// Another number of cells than the header has. Which cell is which is then anybody's guess, so no other is read.
    #[error(
        "the row has {found} cells and the header {expected}; make them equal, and put cells that hold the \
         delimiter in quotation marks{}", LinesHint(*last_line)
    )]
    RaggedRow {
        /// The row's cells.
        found: usize,
        /// The header's cells.
        expected: usize,
        /// The physical line on which the row ends, when it is another than that on which it begins.
        last_line: Option<u32>,
    },
    /// No machine.
    #[error("the machine is missing; give its id or DNS name")]
    MissingMachine,
    /// Too long for any name.
    #[error("the machine has {characters} characters, and at most 1000 are allowed; give its id or DNS name")]
    MachineTooLong {
        /// The cell's characters.
        characters: usize,
    },
    /// No name and no id holds such a character.
    #[error("the machine holds the control character U+{code_point:04X}; remove it")]
    MachineControlCharacter {
        /// The character's number.
        code_point: u32,
    },
    /// Not one of the actions.
    #[error("\"{found}\" is no action; write Add, Remove or SetDeviceValue")]
    UnknownAction {
        /// What is there instead.
        found: Excerpt,
    },
    /// Neither an action nor a value, so nothing is asked for.
    #[error("the row has neither an action nor a value; write Add, Remove or SetDeviceValue, or remove the row")]
    MissingAction,
    /// A tag, and nothing says whether to add or to remove it.
    #[error("the tag \"{tag}\" has no action; write Add or Remove, or empty the tag's cell")]
    TagWithoutAction {
        /// The tag.
        tag: Excerpt,
    },
    /// A tag beside an action that sets the device value.
    #[error(
        "the tag \"{tag}\" stands beside an action that sets the value; write Add or Remove, or empty the tag's cell"
    )]
    TagWithSetDeviceValue {
        /// The tag.
        tag: Excerpt,
    },
    /// Add or Remove without a tag.
    #[error("{} needs a tag, and there is none; fill in the tag", .action.as_str())]
    MissingTag {
        /// Which of both.
        action: TagAction,
    },
    /// `SetDeviceValue` without a value, or a file that can only set values and a row without one.
    #[error("the value is missing; write Low, Normal or High")]
    MissingValue,
    /// The tag is too long.
    #[error("the tag has {characters} characters, and at most 200 are allowed; shorten it")]
    TagTooLong {
        /// The tag's characters.
        characters: usize,
    },
    /// A line break or a tab, for example.
    #[error("the tag holds the control character U+{code_point:04X}; remove it")]
    TagControlCharacter {
        /// The character's number.
        code_point: u32,
    },
    /// Not one of the values.
    #[error("\"{found}\" is no device value; write Low, Normal or High")]
    UnknownValue {
        /// What is there instead.
        found: Excerpt,
    },
}

impl ProblemKind {
    /// The name in results and JSON, in snake case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EmptyRow => "empty_row",
            Self::RaggedRow { .. } => "ragged_row",
            Self::MissingMachine => "missing_machine",
            Self::MachineTooLong { .. } => "machine_too_long",
            Self::MachineControlCharacter { .. } => "machine_control_character",
            Self::UnknownAction { .. } => "unknown_action",
            Self::MissingAction => "missing_action",
            Self::TagWithoutAction { .. } => "tag_without_action",
            Self::TagWithSetDeviceValue { .. } => "tag_with_set_device_value",
            Self::MissingTag { .. } => "missing_tag",
            Self::MissingValue => "missing_value",
            Self::TagTooLong { .. } => "tag_too_long",
            Self::TagControlCharacter { .. } => "tag_control_character",
            Self::UnknownValue { .. } => "unknown_value",
        }
    }
}

struct LinesHint(Option<u32>);

impl fmt::Display for LinesHint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |line| write!(formatter, " (the row runs to line {line}: is a quotation mark not closed?)"))
    }
}

/// A tag that works, but that the portal cannot filter by: it holds a parenthesis or a comma (documented).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagWarning {
    /// The first row that has it.
    pub row: RowNumber,
    /// The physical line of that row, from 1.
    pub line: u32,
    /// The tag.
    pub tag: Tag,
}

impl fmt::Display for TagWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "row {}, line {}: the tag \"{}\" holds a parenthesis or a comma, so the portal cannot filter by it",
            self.row,
            self.line,
            Excerpt::new(self.tag.as_str())
        )
    }
}
