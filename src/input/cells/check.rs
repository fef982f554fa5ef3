//! The rules of a single row: what its cells ask for, or everything that is wrong with them.

use super::machine;
use super::tag_book::{AskedTag, TagBook};
use crate::input::findings::accept::{Accepted, Doubt};
use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::problem::ProblemKind;
use crate::input::oddities::decoration::Decorations;
use crate::input::oddities::unicode::is_line_break;
use crate::model::{DeviceValue, MachineReference, RowNumber, TagAction};

/// The cells of a row that matter, trimmed; empty where the file has no such column.
pub(in crate::input) struct NamedCells<'r> {
    pub(in crate::input) machine: &'r str,
    pub(in crate::input) action: &'r str,
    pub(in crate::input) tag: &'r str,
    pub(in crate::input) value: &'r str,
}

/// What a row is checked by.
pub(in crate::input) struct Rules<'c> {
    pub(in crate::input) row: RowNumber,
    /// What is allowed although it is doubtful.
    pub(in crate::input) accepted: Accepted,
    /// What stands between the tags of one cell, if a cell may hold several.
    pub(in crate::input) tag_separator: Option<char>,
    /// Whether a machine may be named by what must be looked up.
    pub(in crate::input) allows_names: bool,
    /// Whether the file can say actions at all. If not, a row without a value lacks just that.
    pub(in crate::input) has_action_column: bool,
    /// A column that only exports have, if values are what an export found.
    pub(in crate::input) state_beside: Option<&'c str>,
}

/// The column that a fault belongs to, in the order in which faults are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::input) enum Field {
    Row,
    Machine,
    Action,
    Tag,
    Value,
    /// A column that says which rows are meant, by its place.
    Beside(usize),
}

/// What a row without faults asks for, beside its machine and its tags.
#[derive(Clone, Copy)]
pub(in crate::input) struct AskedOfMachine {
    /// What to do with its tags.
    pub(in crate::input) action: Option<TagAction>,
    pub(in crate::input) value: Option<DeviceValue>,
    /// Whether its value is one that an export found, and that was allowed.
    pub(in crate::input) takes_state: bool,
}

#[derive(Clone, Copy)]
enum Action {
    Empty,
    Tag(TagAction),
    SetDeviceValue,
    Unknown,
}

impl AskedOfMachine {
    /// For rows whose cells ask for nothing.
    pub(in crate::input) const NOTHING: Self = Self { action: None, value: None, takes_state: false };
}

/// Checks a row but for its machine. Whatever is wrong goes to `faults`, which may hold what is wrong with the machine, its
/// tags, judged beside those of the rows before, to `tags`, which is empty before; with a fault, nothing is asked for.
pub(in crate::input) fn check(
    cells: &NamedCells<'_>,
    rules: &Rules<'_>,
    book: &mut TagBook,
    faults: &mut Vec<(Field, ProblemKind)>,
    tags: &mut Vec<AskedTag>,
) -> Option<AskedOfMachine> {
    let action = action(cells.action).map_err(|kind| faults.push((Field::Action, kind))).unwrap_or(Action::Unknown);
    let tag_action = if let Action::Tag(action) = action { Some(action) } else { None };
    let mut has_tag = false;
    for text in pieces(cells.tag, rules.tag_separator) {
        // A tag or value that is wrong is there all the same.
        has_tag = true;
        if let Some(tag) = tag_action.and_then(|action| book.judged_before(text, action)) {
            tags.push(tag);
            continue;
        }
        match book.judge(text, tag_action, rules.row) {
            Ok(tag) => tags.push(tag),
            Err(kind) => faults.push((Field::Tag, kind)),
        }
    }
    let value = value(cells.value).map_err(|kind| faults.push((Field::Value, kind))).ok();
    let has = Has { tag: has_tag, value: !matches!(value, Some(None)) };
    check_together(cells, rules, action, has, faults);
    let is_state = matches!(value, Some(Some(_))) && !matches!(action, Action::SetDeviceValue);
    let state_beside = rules.state_beside.filter(|_| is_state);
    if let Some(beside) = state_beside.filter(|_| !rules.accepted.allows(Doubt::StateColumns)) {
        faults.push((Field::Value, ProblemKind::StateColumn { beside: Excerpt::new(beside) }));
    }
    if !faults.is_empty() {
        faults.sort_by_key(|(field, _)| *field);
        tags.clear();
        return None;
    }
    Some(AskedOfMachine { action: tag_action, value: value?, takes_state: state_beside.is_some() })
}

#[derive(Clone, Copy)]
struct Has {
    tag: bool,
    value: bool,
}

/// Whether the cells fit each other, each for itself being right or not.
fn check_together(
    cells: &NamedCells<'_>,
    rules: &Rules<'_>,
    action: Action,
    has: Has,
    faults: &mut Vec<(Field, ProblemKind)>,
) {
    let tag = || Excerpt::new(cells.tag);
    match action {
        Action::Unknown => {}
        Action::Tag(_) if has.tag => {}
        Action::Tag(action) => faults.push((Field::Tag, ProblemKind::MissingTag { action })),
        Action::SetDeviceValue => {
            if has.tag {
                faults.push((Field::Tag, ProblemKind::TagWithSetDeviceValue { tag: tag() }));
            }
            if !has.value {
                faults.push((Field::Value, ProblemKind::MissingValue));
            }
        }
        Action::Empty if has.tag => faults.push((Field::Tag, ProblemKind::TagWithoutAction { tag: tag() })),
        Action::Empty if has.value => {}
        Action::Empty if rules.has_action_column => faults.push((Field::Action, ProblemKind::MissingAction)),
        Action::Empty => faults.push((Field::Value, ProblemKind::MissingValue)),
    }
}

/// Reads a machine that is not named by a bare id.
#[inline(never)]
pub(in crate::input) fn other_machine(
    cell: &str,
    rules: &Rules<'_>,
) -> Result<(MachineReference, Decorations), ProblemKind> {
    let read = machine::read(cell)?;
    match &read.0 {
        MachineReference::Id(_) => Ok(read),
        _ if rules.allows_names => Ok(read),
        _ => Err(ProblemKind::NotAMachineId { found: Excerpt::new(cell) }),
    }
}

fn action(cell: &str) -> Result<Action, ProblemKind> {
    const NAMES: [(&str, Action); 6] = [
        ("Add", Action::Tag(TagAction::Add)),
        ("Remove", Action::Tag(TagAction::Remove)),
        ("", Action::Empty),
        ("SetDeviceValue", Action::SetDeviceValue),
        ("SetValue", Action::SetDeviceValue),
        ("Set", Action::SetDeviceValue),
    ];
    match NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(cell)) {
        Some((_, action)) => Ok(*action),
        None => Err(ProblemKind::UnknownAction { found: Excerpt::new(cell) }),
    }
}

/// Whether a row with faults adds a tag, or may mean to.
pub(in crate::input) fn may_add(cells: &NamedCells<'_>) -> bool {
    match action(cells.action) {
        Ok(Action::Tag(action)) => action == TagAction::Add,
        Ok(Action::SetDeviceValue) => false,
        Ok(Action::Empty | Action::Unknown) | Err(_) => !cells.tag.is_empty(),
    }
}

/// Whether a cell says what is to be done: a word that stands in hardly any other place.
pub(in crate::input) fn is_action(cell: &str) -> bool {
    matches!(action(cell.trim()), Ok(Action::Tag(_) | Action::SetDeviceValue))
}

/// The tags of a cell. A line break is one, however lines end.
fn pieces(cell: &str, separator: Option<char>) -> impl Iterator<Item = &str> {
    let (list, single) = match separator {
        Some(separator) => {
            let is_separator = move |it: char| it == separator || (separator == '\n' && is_line_break(it));
            (Some(cell.split(is_separator).map(str::trim)), None)
        }
        None => (None, Some(cell)),
    };
    list.into_iter().flatten().chain(single).filter(|tag| !tag.is_empty())
}

fn value(cell: &str) -> Result<Option<DeviceValue>, ProblemKind> {
    if cell.is_empty() {
        return Ok(None);
    }
    let found = || ProblemKind::UnknownValue { found: Excerpt::new(cell) };
    DeviceValue::parse(cell).map(Some).ok_or_else(found)
}
