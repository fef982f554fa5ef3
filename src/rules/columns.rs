//! What rules may name: the fields of machines, and the columns of lookups.

use super::fault::Fault;
use super::lookup::Lookup;
use crate::filter::{Cell, Column, ColumnKind, ColumnName, Columns, Lookup as Found, Row, nearest};
use crate::input::{HeaderColumns, MachineFields, bare_name, is_spreadsheet_error, list_form};
use crate::model::DeviceValue;
use crate::outside::shown;

/// What the API calls fields that an exported list has under another name.
const ALIASES: [(&str, &str); 2] = [("id", "machineid"), ("devicevalue", "currentdevicevalue")];
/// The field that holds a machine's tags.
pub(super) const TAGS: &str = "machineTags";

/// The field that holds the device value.
pub(super) const VALUE: &str = "currentDeviceValue";
/// What may stand before the dot of a machine's own field.
const OF_MACHINES: &str = "machine";

/// The columns of a file of rules: those of machines, and behind them those of each lookup.
pub(super) struct FleetColumns<'l> {
    fields: &'static [&'static str],
    /// Each lookup with the position of its first column, and its columns.
    lookups: Vec<(&'l Lookup, usize, HeaderColumns)>,
}

impl<'l> FleetColumns<'l> {
    /// Of these fields and these lookups.
    pub(super) fn new(fields: &'static [&'static str], lookups: &'l [Lookup]) -> Self {
        let mut start = fields.len();
        let place = |lookup: &'l Lookup| {
            let begins = start;
            start += lookup.header().len();
            (lookup, begins, HeaderColumns::new(lookup.header()))
        };
        Self { fields, lookups: lookups.iter().map(place).collect() }
    }

    /// The name of the machine's field at this position.
    pub(super) fn field(&self, position: usize) -> Option<&'static str> {
        self.fields.get(position).copied()
    }

    /// Why the column at this position cannot be taken as texts.
    pub(super) fn shown_otherwise(&self, position: usize) -> Option<Fault> {
        let (lookup, begins, _) = self.lookups.iter().rfind(|(_, begins, _)| *begins <= position)?;
        lookup.shown_otherwise(position - begins)
    }

    fn find_field(&self, name: &str) -> Found {
        let bare = bare_name(name);
        let wanted = ALIASES.iter().find(|(alias, _)| *alias == bare).map_or(bare.as_str(), |(_, field)| *field);
        let Some(position) = self.fields.iter().position(|field| bare_name(field) == wanted) else {
            return Found::Unknown;
        };
        let kind = list_form(name).map_or(ColumnKind::Text, ColumnKind::List);
        Found::Found(Column { position, kind })
    }
}

impl Columns for FleetColumns<'_> {
    fn find(&self, name: &ColumnName) -> Found {
        let qualifier = name.qualifier.as_deref().map(bare_name).filter(|qualifier| qualifier != OF_MACHINES);
        let Some(qualifier) = qualifier else { return self.find_field(&name.name) };
        let lookup = self.lookups.iter().find(|(lookup, ..)| bare_name(lookup.name()) == qualifier);
        let Some((_, start, header)) = lookup else { return Found::Unknown };
        match header.find(&ColumnName { qualifier: None, name: name.name.clone() }) {
            // What a lookup's cell holds is a text, whatever its column is called.
            Found::Found(Column { position, .. }) => {
                Found::Found(Column { position: start + position, kind: ColumnKind::Text })
            }
            other => other,
        }
    }

    fn known(&self, qualifier: Option<&str>) -> Vec<String> {
        let Some(qualifier) = qualifier.map(bare_name).filter(|qualifier| qualifier != OF_MACHINES) else {
            return self.fields.iter().map(|field| (*field).to_owned()).collect();
        };
        let meant = self.lookups.iter().filter(|(lookup, ..)| bare_name(lookup.name()) == qualifier);
        let names = meant.flat_map(|(lookup, _, header)| {
            header.known(None).into_iter().map(move |column| format!("{}.{column}", lookup.name()))
        });
        names.collect()
    }

    fn elsewhere(&self) -> Vec<ColumnName> {
        let of_machines = self.fields.iter().map(|field| ColumnName { qualifier: None, name: (*field).to_owned() });
        let of_lookups = self.lookups.iter().flat_map(|(lookup, ..)| {
            let qualifier = || Some(lookup.name().to_owned());
            lookup.header().iter().map(move |name| ColumnName { qualifier: qualifier(), name: name.trim().to_owned() })
        });
        of_machines.chain(of_lookups).collect()
    }

    fn unknown_qualifier(&self, qualifier: &str) -> Option<(String, String)> {
        let bare = bare_name(qualifier);
        if bare == OF_MACHINES || self.lookups.iter().any(|(lookup, ..)| bare_name(lookup.name()) == bare) {
            return None;
        }
        let names: Vec<String> = self.lookups.iter().map(|(lookup, ..)| shown(lookup.name())).collect();
        let called = shown(qualifier);
        let hint = match nearest(&bare, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {near}?"),
            None if names.is_empty() => format!("add [lookup.{called}], with the file that holds it and its key"),
            None => format!("the lookups are {}", names.join(", ")),
        };
        Some((format!("no lookup is called {called}"), hint))
    }
}

/// A machine as rules see it.
#[derive(Clone, Copy)]
pub(crate) struct MachineView<'m> {
    /// What the list shows.
    pub fields: &'m dyn MachineFields,
    /// The place of the machine in the list.
    pub place: usize,
    /// Its tags, the list's and our own of late; `None` when they are not known.
    pub tags: Option<&'m [&'m str]>,
    /// Its device value, where that is not the list's.
    pub value: Option<DeviceValue>,
    /// The lookups, joined to the list.
    pub lookups: &'m [Lookup],
}

impl MachineView<'_> {
    /// Why the cell at this position may be another machine's, where it is lacking for that.
    pub(super) fn ambiguity(&self, position: usize) -> Option<String> {
        let mut column = position.checked_sub(self.fields.names().len())?;
        for lookup in self.lookups {
            match column.checked_sub(lookup.header().len()) {
                Some(rest) => column = rest,
                None => return lookup.ambiguity(self.place),
            }
        }
        None
    }
}

/// The text of a cell. What a spreadsheet could not compute, as `#N/A`, says nothing about the machine: it is lacking.
fn decided(text: &str) -> Cell<'_> {
    if is_spreadsheet_error(text.trim()) { Cell::Lacking } else { Cell::Text(text) }
}

/// What a list leaves empty is lacking, and so is the row that a lookup does not have; an empty cell of one is there.
impl Row for MachineView<'_> {
    fn cell(&self, position: usize) -> Cell<'_> {
        let names = self.fields.names();
        if let Some(field) = names.get(position) {
            if *field == TAGS {
                return self.tags.map_or(Cell::Lacking, Cell::List);
            }
            if let Some(value) = self.value.filter(|_| *field == VALUE) {
                return Cell::Text(value.as_str());
            }
            return match self.fields.cell(self.place, position) {
                "" => Cell::Lacking,
                text => decided(text),
            };
        }
        let mut column = position - names.len();
        for lookup in self.lookups {
            match column.checked_sub(lookup.header().len()) {
                Some(rest) => column = rest,
                None => return lookup.cell(self.place, column).map_or(Cell::Lacking, decided),
            }
        }
        Cell::Lacking
    }
}
