//! What is wrong or doubtful about rows. There may be a million problems, so they hold little, and speak only when shown.

use std::fmt;
use std::sync::Arc;

use super::accept::Doubt;
use super::delimiter_name::DelimiterName;
use super::excerpt::Excerpt;
use crate::input::oddities::tag_oddity::TagOddity;
use crate::model::{RowNumber, TagAction};

/// What the column of keys of a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Whatever names a machine in a file of orders.
    Machine,
    /// Machines' ids only.
    Id,
    /// Entra device ids only.
    EntraDevice,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Machine => "machine",
            Self::Id => "machine id of 40 hexadecimal digits",
            Self::EntraDevice => "Entra device id",
        })
    }
}

/// One problem of one row; a row can have several.
///
/// It is shown as `row 7, line 9, column "tag": what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
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

/// What can be wrong with a row or doubtful about it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// Text behind a closing quotation mark: the mark was not meant to close the cell, or not meant at all.
    #[error(
        "the quotation mark opened on line {opened} closes on line {closed}, and text follows it there; \
         what stands between is one cell, so rows may be lost in it; {}",
        QUOTE_ADVICE
    )]
    TextAfterQuote {
        /// The physical line of the opening mark, from 1.
        opened: u32,
        /// The physical line of the closing mark.
        closed: u32,
    },
    /// A quotation mark without its counterpart: the rest of the file is one cell.
    #[error(
        "the quotation mark opened on line {opened} is never closed, which makes the rest of the file one cell; {}",
        QUOTE_ADVICE
    )]
    UnclosedQuote {
        /// The physical line of the mark, from 1.
        opened: u32,
    },
    /// A column of ids in which no cell is one.
    #[error("no cell of this column is a machine id (this one {}); {}", found.held(), NamesHint(names.as_deref()))]
    NoIds {
        /// The first cell.
        found: Excerpt,
        /// The column that holds names, if there is one.
        names: Option<Arc<str>>,
    },
    /// A quoted cell of several lines that may have swallowed rows.
    #[error(
        "the quoted cell from line {opened} to line {closed} holds a line that looks like a row of its own; close the \
         quotation mark where the cell is to end, or allow such cells with --accept line-breaks"
    )]
    LineBreaks {
        /// The physical line of the opening mark, from 1.
        opened: u32,
        /// The physical line of the closing mark.
        closed: u32,
    },
    /// A row of a workbook that whoever opens it does not see.
    #[error(
        "the workbook does not show this row: a filter hides it, or it was hidden by hand; show it or delete it, or run \
         such rows with --accept hidden-rows"
    )]
    HiddenRow,
    /// A cell of a workbook that shows what another one holds.
    #[error(
        "a merged area covers this cell, so the workbook shows here what the area's first cell holds; unmerge it and fill in \
         each cell, or read such cells as the empty ones that they are with --accept merged-cells"
    )]
    MergedCell,
    /// A cell of a workbook of which nobody knows yet what it shows.
    #[error("the cell holds a formula whose value was never computed; open the workbook in a spreadsheet and save it")]
    Uncomputed,
    /// A cell by which rows are selected, and that holds the error of a formula.
    #[error("a formula of the workbook ends in \"{found}\" here, so the row may be meant or not; correct the formula")]
    ErrorCell { found: Excerpt },
    /// A cell of a workbook whose format shows something other than it holds.
    #[error(
        "the workbook shows something other than \"{held}\" here, since the cell has a format; give it the format Text, and \
         write into it what is meant"
    )]
    ShownOtherwise {
        /// The number, date or text that the cell holds.
        held: Excerpt,
    },
    /// A quotation mark that means nothing, because a blank stands in front of it.
    #[error("a quotation mark after a blank is a part of the cell; remove the blank before the quotation mark")]
    BlankBeforeQuote,
    /// More cells than the header has, and not only empty ones. Which cell is which is anybody's guess, so none is read.
    #[error(
        "the row has {found} cells, but the header has {expected}; put cells that hold the delimiter in quotation marks{}",
        LinesHint(*last_line)
    )]
    RaggedRow {
        /// The row's cells.
        found: usize,
        /// The header's cells.
        expected: usize,
        /// The physical line on which the row ends, when it is another than that on which it begins.
        last_line: Option<u32>,
    },
    /// The same in a workbook, which needs no quotation marks.
    #[error(
        "the row has {found} cells, but the header has {expected}; name the further columns in the header, or empty these \
         cells"
    )]
    SurplusCells {
        /// The row's cells.
        found: usize,
        /// The header's cells.
        expected: usize,
    },
    /// The row is one cell that holds all others.
    #[error("the whole row is one quoted cell; remove the quotation marks around it, and write those within it once")]
    QuotedRow,
    /// A row in another delimiter than the header.
    #[error("the header is written with {header} between its cells, and this row with {found}; write both in one way")]
    OtherDelimiter {
        /// The header's delimiter.
        header: DelimiterName,
        /// The row's.
        found: DelimiterName,
    },
    /// A remark between rows.
    #[error("the row begins with #, and a CSV file has no comments between its rows; remove the line")]
    CommentRow,
    /// No tenant, in a file whose rows say whose they are.
    #[error("the tenant is missing; name it as its profile does, or by the name of the profile")]
    MissingTenant,
    /// A tenant that no profile is for.
    #[error("no profile is for the tenant \"{found}\"; write a profile for it, or correct the cell")]
    UnknownTenant {
        /// The cell.
        found: Excerpt,
    },
    /// Another tenant than the one that is signed in to.
    #[error(
        "the row is for the tenant \"{found}\", and this command signs in to another one; write a profile for each tenant, \
         remove the row, or run such rows here with --accept other-tenants"
    )]
    OtherTenant {
        /// The cell.
        found: Excerpt,
    },
    /// No machine.
    #[error("the machine is missing; fill in its id or DNS name")]
    MissingMachine,
    /// What a spreadsheet or a program writes in place of a machine.
    #[error("\"{found}\" stands in place of a machine; fill in its id or DNS name")]
    MachinePlaceholder {
        /// What is there instead.
        found: Excerpt,
    },
    /// Something else than a list's column of keys is to hold.
    #[error("\"{found}\" is no {wanted}, which this column is to hold; correct the cell, or name another column")]
    OtherKey {
        /// The cell.
        found: Excerpt,
        /// What it is to hold.
        wanted: KeyKind,
    },
    /// A key that another row of the list has.
    #[error("\"{found}\" stands on line {line} already, and a list has one row for each machine; remove one of both")]
    RepeatedKey {
        /// The cell.
        found: Excerpt,
        /// The physical line of the first row that has it, from 1.
        line: u32,
    },
    /// A list of tags that cannot be read as one.
    #[error(
        "\"{found}\" is no list of tags in JSON, as in [\"Tier 0\"]; write it so, or name the column Tags, in which commas \
         stand between tags"
    )]
    NoTagList {
        /// The cell.
        found: Excerpt,
    },
    /// An id that lost or gained digits.
    #[error(
        "\"{found}\" is a damaged id: it has {digits} hexadecimal digits in all, and an id has 40 in one piece; copy the \
         id again"
    )]
    DamagedId {
        /// The cell.
        found: Excerpt,
        /// The hexadecimal digits in it.
        digits: usize,
    },
    /// An id that a spreadsheet took for a number.
    #[error(
        "\"{found}\" is a damaged id: a spreadsheet took it for a number and lost most of its digits; format the \
         column as text and copy the ids again"
    )]
    MachineNumber {
        /// The cell.
        found: Excerpt,
    },
    /// An IP address.
    #[error(
        "\"{found}\" is an IP address, which may belong to another machine by now; give the machine's id or DNS name"
    )]
    MachineAddress {
        /// The cell.
        found: Excerpt,
    },
    /// More than one machine.
    #[error("\"{found}\" names several machines; write one machine per row")]
    SeveralMachines {
        /// The cell.
        found: Excerpt,
    },
    /// An id, or an address, with text that does not belong to it.
    #[error("\"{found}\" holds more than a machine's id or DNS name; remove the rest")]
    MachineWithMore {
        /// The cell.
        found: Excerpt,
    },
    /// A name or an Entra device id where nothing is read to look it up in.
    #[error(
        "\"{found}\" is no machine id of 40 hexadecimal digits; give the id, or leave --no-inventory out, so that \
         tagfleet can look it up"
    )]
    NotAMachineId {
        /// The cell.
        found: Excerpt,
    },
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
    #[error("unknown action \"{found}\"; use Add, Remove or SetDeviceValue")]
    UnknownAction {
        /// What is there instead.
        found: Excerpt,
    },
    /// Neither an action nor a value, so nothing is asked for.
    #[error("the row has neither an action nor a value; write Add, Remove or SetDeviceValue, or remove the row")]
    MissingAction,
    /// A tag, and nothing says whether to add or to remove it.
    #[error("the tag \"{tag}\" has no action; write Add or Remove, or empty the tag's cell")]
    TagWithoutAction { tag: Excerpt },
    /// A tag beside an action that sets the device value.
    #[error(
        "SetDeviceValue takes no tag, and the row has \"{tag}\"; to change the tag write Add or Remove, otherwise empty its cell"
    )]
    TagWithSetDeviceValue { tag: Excerpt },
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
    /// A tab, for example, in a tag that is not to be removed.
    #[error("the tag holds the control character U+{code_point:04X}; remove it")]
    TagControlCharacter {
        /// The character's number.
        code_point: u32,
    },
    /// A tag that hardly anybody wants, to be added.
    #[error("the tag \"{tag}\" {oddity}, or allow it with --accept odd-tags")]
    OddTag {
        tag: Excerpt,
        /// Why it is odd.
        oddity: TagOddity,
    },
    /// A tag to be added that another one, added before, equals but for case and width.
    #[error(
        "the tag \"{tag}\" differs from \"{other}\" of row {other_row} only in case or width; write both in one way, or \
         allow both with --accept case-variants"
    )]
    CaseVariant {
        tag: Excerpt,
        /// The one that came before.
        other: Excerpt,
        /// The row that it came with.
        other_row: RowNumber,
    },
    /// Not one of the values.
    #[error("unknown device value \"{found}\"; use Low, Normal or High")]
    UnknownValue {
        /// What is there instead.
        found: Excerpt,
    },
    /// A value that an export found, and nothing orders it.
    #[error(
        "this looks like a value that an export found, since the file also has the column \"{beside}\"; to order it, \
         name the column \"value\", or allow it with --accept state-columns"
    )]
    StateColumn {
        /// A column that only exports have.
        beside: Excerpt,
    },
}

const QUOTE_ADVICE: &str =
    "remove the stray mark, or write a mark that belongs into a quoted cell twice, as in \"say \"\"yes\"\"\"";

impl ProblemKind {
    /// The name in results and JSON, in snake case.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TextAfterQuote { .. } => "text_after_quote",
            Self::UnclosedQuote { .. } => "unclosed_quote",
            Self::NoIds { .. } => "no_ids",
            Self::LineBreaks { .. } => "line_breaks",
            Self::HiddenRow => "hidden_row",
            Self::MergedCell => "merged_cell",
            Self::Uncomputed => "uncomputed",
            Self::ErrorCell { .. } => "error_cell",
            Self::ShownOtherwise { .. } => "shown_otherwise",
            Self::BlankBeforeQuote => "blank_before_quote",
            Self::RaggedRow { .. } | Self::SurplusCells { .. } => "ragged_row",
            Self::QuotedRow => "quoted_row",
            Self::OtherDelimiter { .. } => "other_delimiter",
            Self::CommentRow => "comment_row",
            Self::MissingTenant => "missing_tenant",
            Self::UnknownTenant { .. } => "unknown_tenant",
            Self::OtherTenant { .. } => "other_tenant",
            Self::MissingMachine => "missing_machine",
            Self::MachinePlaceholder { .. } => "machine_placeholder",
            Self::OtherKey { .. } => "other_key",
            Self::RepeatedKey { .. } => "repeated_key",
            Self::NoTagList { .. } => "no_tag_list",
            Self::DamagedId { .. } | Self::MachineNumber { .. } => "damaged_id",
            Self::MachineAddress { .. } => "machine_address",
            Self::SeveralMachines { .. } => "several_machines",
            Self::MachineWithMore { .. } => "machine_with_more",
            Self::NotAMachineId { .. } => "not_a_machine_id",
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
            Self::OddTag { .. } => "odd_tag",
            Self::CaseVariant { .. } => "case_variant",
            Self::UnknownValue { .. } => "unknown_value",
            Self::StateColumn { .. } => "state_column",
        }
    }

    /// Whether the file's structure is at fault, so that no other row of it can be trusted either.
    pub const fn is_structural(&self) -> bool {
        matches!(self, Self::TextAfterQuote { .. } | Self::UnclosedQuote { .. } | Self::NoIds { .. })
    }

    /// What allows it; `None` for what is wrong in any case.
    pub const fn doubt(&self) -> Option<Doubt> {
        match self {
            Self::LineBreaks { .. } => Some(Doubt::LineBreaks),
            Self::HiddenRow => Some(Doubt::HiddenRows),
            Self::MergedCell => Some(Doubt::MergedCells),
            Self::OtherTenant { .. } => Some(Doubt::OtherTenants),
            Self::OddTag { .. } => Some(Doubt::OddTags),
            Self::CaseVariant { .. } => Some(Doubt::CaseVariants),
            Self::StateColumn { .. } => Some(Doubt::StateColumns),
            _ => None,
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

struct NamesHint<'n>(Option<&'n str>);

impl fmt::Display for NamesHint<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(names) => write!(
                formatter,
                "the machines' names seem to stand in the column \"{}\": remove or rename this column to use them",
                Excerpt::new(names)
            ),
            None => formatter.write_str("fill in the machines' ids or DNS names"),
        }
    }
}
