//! The rules of a single row: what its cells ask for, or everything that is wrong with them.

use super::excerpt::Excerpt;
use super::problem::ProblemKind;
use crate::model::{DeviceValue, MachineReference, Tag, TagAction, TagError};

/// The most characters of a machine's cell. A DNS name has at most 253.
const MACHINE_MAXIMUM_CHARACTERS: usize = 1000;

/// The cells of a row that matter, trimmed; empty where the file has no such column.
pub(super) struct NamedCells<'r> {
    pub(super) machine: &'r str,
    pub(super) action: &'r str,
    pub(super) tag: &'r str,
    pub(super) value: &'r str,
    /// Whether the file can say actions at all. If not, a row without a value lacks just that.
    pub(super) has_action_column: bool,
}

/// The column that a fault belongs to, in the order in which faults are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Row,
    Machine,
    Action,
    Tag,
    Value,
}

/// What a row without faults asks for.
pub(super) struct Asked {
    pub(super) machine: MachineReference,
    pub(super) tag: Option<(TagAction, AskedTag)>,
    pub(super) value: Option<DeviceValue>,
}

pub(super) enum AskedTag {
    /// It came before, at this position.
    Known(u32),
    New(Tag),
}

#[derive(Clone, Copy)]
enum Action {
    Empty,
    Tag(TagAction),
    SetDeviceValue,
    Unknown,
}

/// Checks a row. Whatever is wrong goes to `faults`, which is empty before; with a fault, nothing is asked for.
pub(super) fn check(
    cells: &NamedCells<'_>,
    known_tag: impl Fn(&str) -> Option<u32>,
    faults: &mut Vec<(Field, ProblemKind)>,
) -> Option<Asked> {
    let machine = machine(cells.machine).map_err(|kind| faults.push((Field::Machine, kind))).ok();
    let action = action(cells.action).map_err(|kind| faults.push((Field::Action, kind))).unwrap_or(Action::Unknown);
    let tag = tag(cells.tag, known_tag).map_err(|kind| faults.push((Field::Tag, kind))).ok();
    let value = value(cells.value).map_err(|kind| faults.push((Field::Value, kind))).ok();
    // A tag or value that is wrong is there all the same.
    let has = Has { tag: !matches!(tag, Some(None)), value: !matches!(value, Some(None)) };
    check_together(cells, action, has, faults);
    if !faults.is_empty() {
        faults.sort_by_key(|(field, _)| *field);
        return None;
    }
    let tag = match action {
        Action::Tag(action) => tag.flatten().map(|tag| (action, tag)),
        _ => None,
    };
    Some(Asked { machine: machine?, tag, value: value? })
}

#[derive(Clone, Copy)]
struct Has {
    tag: bool,
    value: bool,
}

/// Whether the cells fit each other, each for itself being right or not.
fn check_together(cells: &NamedCells<'_>, action: Action, has: Has, faults: &mut Vec<(Field, ProblemKind)>) {
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
        Action::Empty if cells.has_action_column => faults.push((Field::Action, ProblemKind::MissingAction)),
        Action::Empty => faults.push((Field::Value, ProblemKind::MissingValue)),
    }
}

fn machine(cell: &str) -> Result<MachineReference, ProblemKind> {
    match MachineReference::parse(cell) {
        name @ MachineReference::Name(_) => check_name(cell).map(|()| name),
        id @ MachineReference::Id(_) => Ok(id),
    }
}

fn check_name(name: &str) -> Result<(), ProblemKind> {
    if name.is_empty() {
        return Err(ProblemKind::MissingMachine);
    }
    // Bytes first: counting characters takes time, and nearly every name has fewer bytes than that.
    if name.len() > MACHINE_MAXIMUM_CHARACTERS {
        let characters = name.chars().count();
        if characters > MACHINE_MAXIMUM_CHARACTERS {
            return Err(ProblemKind::MachineTooLong { characters });
        }
    }
    match name.chars().find(|character| character.is_control()) {
        Some(character) => Err(ProblemKind::MachineControlCharacter { code_point: u32::from(character) }),
        None => Ok(()),
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

fn tag(cell: &str, known_tag: impl Fn(&str) -> Option<u32>) -> Result<Option<AskedTag>, ProblemKind> {
    if cell.is_empty() {
        return Ok(None);
    }
    if let Some(position) = known_tag(cell) {
        return Ok(Some(AskedTag::Known(position)));
    }
    match Tag::new(cell) {
        Ok(tag) => Ok(Some(AskedTag::New(tag))),
        Err(TagError::Empty) => Ok(None),
        Err(TagError::TooLong { characters }) => Err(ProblemKind::TagTooLong { characters }),
        Err(TagError::ControlCharacter { code_point }) => Err(ProblemKind::TagControlCharacter { code_point }),
    }
}

fn value(cell: &str) -> Result<Option<DeviceValue>, ProblemKind> {
    if cell.is_empty() {
        return Ok(None);
    }
    let found = || ProblemKind::UnknownValue { found: Excerpt::new(cell) };
    DeviceValue::parse(cell).map(Some).ok_or_else(found)
}
