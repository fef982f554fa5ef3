//! The columns that matter, found by their names. All others are carried along.

use std::sync::Arc;

use super::error::{ColumnGaps, FoundColumns, InputError};

/// Names that give the machine, without case, spaces, `_` and `-`.
const MACHINE: [&str; 3] = ["machineid", "deviceid", "id"];
/// Names that give the machine when none of [`MACHINE`] is there.
const MACHINE_BY_NAME: [&str; 3] = ["machinename", "devicename", "name"];
const TAG: [&str; 1] = ["tag"];
const ACTION: [&str; 1] = ["action"];
const VALUE: [&str; 2] = ["value", "devicevalue"];

/// A column of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Where its cell stands in a record, from 0.
    pub(super) position: usize,
    /// Its name in the header, trimmed; shared with every problem of the column.
    pub(super) name: Arc<str>,
}

/// The columns that rows are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// How many cells the header has, and every row must have.
    pub(super) count: usize,
    pub(super) machine: Column,
    pub(super) tag: Option<Column>,
    pub(super) action: Option<Column>,
    pub(super) value: Option<Column>,
}

impl Columns {
    /// Finds the columns by the header, which stands on `line`.
    pub(super) fn find(header: &[String], line: u64) -> Result<Self, InputError> {
        let only = |kind: &'static str, names: &[&str]| only_column(header, line, kind, names);
        let machine = match only("the machine", &MACHINE)? {
            None => only("the machine", &MACHINE_BY_NAME)?,
            by_id => by_id,
        };
        let (tag, action, value) = (only("the tag", &TAG)?, only("the action", &ACTION)?, only("the value", &VALUE)?);
        let is_enough = value.is_some() || (tag.is_some() && action.is_some());
        match machine {
            Some(machine) if is_enough => Ok(Self { count: header.len(), machine, tag, action, value }),
            machine => Err(InputError::MissingColumns {
                line,
                gaps: ColumnGaps {
                    has_machine: machine.is_some(),
                    has_tag: tag.is_some(),
                    has_action: action.is_some(),
                    has_value: value.is_some(),
                },
                found: FoundColumns::new(header),
            }),
        }
    }
}

fn only_column(header: &[String], line: u64, kind: &'static str, names: &[&str]) -> Result<Option<Column>, InputError> {
    let mut matching = header.iter().enumerate().filter(|(_, cell)| names.contains(&bare_name(cell).as_str()));
    let Some((position, name)) = matching.next() else {
        return Ok(None);
    };
    if let Some((second_position, second)) = matching.next() {
        return Err(InputError::DuplicateColumns {
            line,
            kind,
            first: FoundColumns::one(position, name),
            second: FoundColumns::one(second_position, second),
        });
    }
    Ok(Some(Column { position, name: trim_name(name).into() }))
}

/// White space, and a byte order mark that was left when files were joined.
fn trim_name(cell: &str) -> &str {
    cell.trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}')
}

fn bare_name(cell: &str) -> String {
    trim_name(cell)
        .chars()
        .filter(|character| !character.is_whitespace() && !matches!(character, '_' | '-'))
        .map(|character| character.to_ascii_lowercase())
        .collect()
}
