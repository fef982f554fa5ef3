//! Filters over the tenant's machines themselves, where no file has rows.

use super::selection::{MachineFields, is_of_machine};
use crate::filter::{
    BoundFilter, Cell, Column, ColumnKind, ColumnName, Columns, Filter, FilterError, Lookup, Row, Unread,
};
use crate::input::findings::note::Note;
use crate::input::structure::columns::bare_name;
use crate::input::structure::header::list_form;
use crate::model::{MachineId, MachineReference};

/// A filter that names fields of the tenant's list, with or without `machine.` in front.
#[derive(Debug)]
pub(crate) struct MachineFilter {
    filter: BoundFilter,
    names: Vec<String>,
}

impl MachineFilter {
    /// Finds the filter's columns among the fields.
    ///
    /// # Errors
    /// [`FilterError`] when it names another one.
    pub(crate) fn new(filter: Filter, fields: &[&str]) -> Result<Self, FilterError> {
        let names = filter.names().iter().map(|name| name.name.clone()).collect();
        Ok(Self { filter: filter.bind(&Fields(fields))?, names })
    }

    /// The names of the fields that it asks for.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The text as it was given.
    pub(crate) fn text(&self) -> &str {
        self.filter.text()
    }

    /// The machines that are selected, and what could not be read. Of one that the list lacks nobody knows anything, so that
    /// it is not.
    pub(crate) fn select(&self, list: &dyn MachineFields, machines: &mut Vec<MachineId>) -> Vec<Note> {
        let mut unread = Unread::default();
        machines.retain(|machine| {
            let machine = list.find(&MachineReference::Id(machine.clone()));
            self.filter.selects(&Machine { list, machine }, &mut unread)
        });
        self.filter.unread_cells(&unread).into_iter().map(Note::UnreadCells).collect()
    }
}

/// The fields of the list, by their places.
struct Fields<'f>(&'f [&'f str]);

impl Columns for Fields<'_> {
    fn find(&self, name: &ColumnName) -> Lookup {
        if name.qualifier.is_some() && !is_of_machine(name) {
            return Lookup::Unknown;
        }
        let wanted = bare_name(&name.name);
        let position = self.0.iter().position(|field| bare_name(field) == wanted);
        position.map_or(Lookup::Unknown, |position| {
            let kind = list_form(&name.name).map_or(ColumnKind::Text, ColumnKind::List);
            Lookup::Found(Column { position, kind })
        })
    }

    fn known(&self, _qualifier: Option<&str>) -> Vec<String> {
        self.0.iter().map(|field| (*field).to_owned()).collect()
    }
}

struct Machine<'l> {
    list: &'l dyn MachineFields,
    machine: Option<usize>,
}

impl Row for Machine<'_> {
    fn cell(&self, position: usize) -> Cell<'_> {
        self.machine.map_or(Cell::Lacking, |machine| Cell::Text(self.list.cell(machine, position)))
    }
}
