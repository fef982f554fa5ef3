//! A header as filters see it: names to positions, and which columns hold lists.

use super::columns::bare_name;
use crate::filter::{Column, ColumnKind, ColumnName, Columns, ListForm, Lookup};

/// The columns that hold lists, bare, and how: the API's and `tagfleet`'s own, advanced hunting's, the portal's.
const LISTS: [(&str, ListForm); 3] =
    [("machinetags", ListForm::Json), ("devicemanualtags", ListForm::Json), ("tags", ListForm::Commas)];

/// How the cells of a column of this name hold lists, if they do.
pub(crate) fn list_form(name: &str) -> Option<ListForm> {
    let bare = bare_name(name);
    LISTS.into_iter().find_map(|(list, form)| (list == bare).then_some(form))
}

/// The elements of the list in a cell of a column of this name, if it holds one. An empty cell is no list but between commas,
/// where nothing else could be an empty one.
pub(crate) fn list_elements(name: &str, cell: &str) -> Option<Vec<Box<str>>> {
    let (form, cell) = (list_form(name)?, cell.trim());
    if cell.is_empty() && form == ListForm::Json {
        return None;
    }
    let mut elements = Vec::new();
    form.visit(cell, |element| elements.push(element.into()))?;
    Some(elements)
}

/// The columns of a header. Filters name them as orders do: whatever their case, blanks, `_` and `-`.
#[derive(Clone, Debug)]
pub struct HeaderColumns {
    /// Bare, and as one writes them in a filter.
    names: Vec<(String, String)>,
}

impl HeaderColumns {
    /// Takes the cells of a header.
    #[must_use]
    pub fn new(header: &[String]) -> Self {
        let written = |cell: &str| ColumnName { qualifier: None, name: cell.trim().to_owned() }.written();
        let names = header.iter().map(|cell| (bare_name(cell), written(cell)));
        Self { names: names.collect() }
    }
}

impl Columns for HeaderColumns {
    fn find(&self, name: &ColumnName) -> Lookup {
        let wanted = bare_name(&name.name);
        if name.qualifier.is_some() || wanted.is_empty() {
            return Lookup::Unknown;
        }
        let mut matching = self.names.iter().enumerate().filter(|(_, (bare, _))| *bare == wanted);
        let Some((position, _)) = matching.next() else { return Lookup::Unknown };
        if matching.next().is_some() {
            let same = self.names.iter().filter(|(bare, _)| *bare == wanted);
            return Lookup::Ambiguous(same.map(|(_, written)| written.clone()).collect());
        }
        let kind = list_form(&name.name).map_or(ColumnKind::Text, ColumnKind::List);
        Lookup::Found(Column { position, kind })
    }

    fn known(&self, qualifier: Option<&str>) -> Vec<String> {
        let written = |(bare, written): &(String, String)| (!bare.is_empty()).then(|| written.clone());
        if qualifier.is_some() { Vec::new() } else { self.names.iter().filter_map(written).collect() }
    }
}
