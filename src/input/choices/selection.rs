//! Which rows of a file are rows of the run: those that a filter selects, by their own cells and by what the tenant's list
//! shows of their machines.

use std::io::Read;

use super::options::InputOptions;
use crate::filter::{
    BoundFilter, Cell, Column, ColumnKind, ColumnName, Columns, Filter, FilterError, Lookup, Row, Unread,
};
use crate::input::cells::machine;
use crate::input::findings::note::Note;
use crate::input::findings::skipped::SkippedRows;
use crate::input::structure::columns::{Column as Position, bare_name};
use crate::input::structure::header::{HeaderColumns, list_form};
use crate::input::structure::record::{Record, trim};
use crate::model::{MachineId, MachineReference};

/// What stands before the dot of a name that is a field of the tenant's list.
const OF_MACHINES: &str = "machine";

/// What the tenant's list shows of its machines, for filters that name their fields.
pub trait MachineFields: Send + Sync {
    /// The names of the fields.
    fn names(&self) -> &[&str];

    /// The one machine that is named so.
    fn find(&self, machine: &MachineReference) -> Option<usize>;

    /// What a field of a machine holds: the text that an exported list has for it.
    fn cell(&self, machine: usize, field: usize) -> &str;
}

/// Whether a filter asks for what only the tenant's list shows.
pub(crate) fn names_machine_fields(filter: &Filter) -> bool {
    filter.names().iter().any(is_of_machine)
}

/// Whether a name of a filter is that of a field of the tenant's list.
pub(crate) fn is_of_machine(name: &ColumnName) -> bool {
    name.qualifier.as_deref().is_some_and(|qualifier| bare_name(qualifier) == OF_MACHINES)
}

/// A filter over the rows of a file, and what came of it so far.
pub(in crate::input) struct Selection<'m> {
    filter: BoundFilter,
    unread: Unread,
    /// The cells that it takes as texts.
    texts: Vec<usize>,
    /// How many cells the header has; the fields of machines follow.
    width: usize,
    /// Present where the filter names fields of machines.
    machines: Option<&'m dyn MachineFields>,
    /// The rows that are not selected, of machines of which the list shows nothing.
    unlisted: SkippedRows,
}

impl<'m> Selection<'m> {
    /// Finds the filter's columns in the header and among the machines' fields.
    pub(in crate::input) fn new(
        filter: Filter,
        header: &[String],
        machines: Option<&'m dyn MachineFields>,
        options: &InputOptions,
    ) -> Result<Self, FilterError> {
        let machines = machines.filter(|_| names_machine_fields(&filter));
        let (width, listed) = (header.len(), options.machine_fields);
        let columns = FileColumns { header: HeaderColumns::new(header), width, machines, listed };
        let filter = filter.bind(&columns)?;
        let (unread, unlisted) = (Unread::default(), SkippedRows::default());
        let texts = filter.texts().into_iter().filter(|position| *position < header.len()).collect();
        Ok(Self { filter, unread, texts, width: header.len(), machines, unlisted })
    }

    /// Whether a row is selected, whose machine stands in this cell; or, where the tenant does not know its GUID, in one of
    /// the rivals of its column.
    pub(in crate::input) fn takes<R: Read>(
        &mut self,
        record: &Record<'_, R>,
        machine: &str,
        rivals: &[Position],
    ) -> bool {
        let Self { filter, unread, width, machines, unlisted, .. } = self;
        let machines = machines.map(|machines| (machines, find(machines, record, machine, rivals)));
        let is_selected = filter.selects(&FileRow { record, width: *width, machines }, unread);
        if !is_selected && machines.is_some_and(|(_, found)| found.is_none()) && reference(machine).is_some() {
            unlisted.add(record.place.first_line);
        }
        is_selected
    }

    /// The places of the cells that the filter takes as texts: not as numbers or dates, which a format does not change.
    pub(in crate::input) fn texts(&self) -> &[usize] {
        &self.texts
    }

    /// The places of the cells that it reads, of the machine as well where it asks for a machine's fields.
    pub(in crate::input) fn places(&self, machine: usize) -> impl Iterator<Item = usize> {
        let of_file = self.filter.places().filter(|position| *position < self.width);
        of_file.chain(self.machines.map(|_| machine))
    }

    /// What the filter could not read, and of which machines it knew nothing.
    pub(in crate::input) fn notes(&self) -> impl Iterator<Item = Note> {
        let unlisted = (self.unlisted.count > 0).then(|| Note::UnlistedMachines(self.unlisted.clone()));
        self.filter.unread_cells(&self.unread).into_iter().map(Note::UnreadCells).chain(unlisted)
    }
}

/// The machine of a row.
fn find<R: Read>(
    machines: &dyn MachineFields,
    record: &Record<'_, R>,
    machine: &str,
    rivals: &[Position],
) -> Option<usize> {
    let named = reference(machine)?;
    let is_guid = matches!(named, MachineReference::Entra(_));
    machines.find(&named).or_else(|| {
        let others = rivals.iter().filter(|_| is_guid).filter_map(|rival| reference(trim(record.cell(rival.position))));
        others.into_iter().find_map(|other| machines.find(&other))
    })
}

pub(super) fn reference(cell: &str) -> Option<MachineReference> {
    let id = MachineId::from_hexadecimal(cell).map(MachineReference::Id);
    id.or_else(|| machine::read(cell).ok().map(|(machine, _decorations)| machine))
}

/// The columns of a file, and behind them the fields of machines.
struct FileColumns<'m> {
    header: HeaderColumns,
    width: usize,
    machines: Option<&'m dyn MachineFields>,
    /// The fields that there would be if the list were asked for.
    listed: &'static [&'static str],
}

impl FileColumns<'_> {
    fn fields(&self) -> &[&str] {
        self.machines.map(MachineFields::names).unwrap_or_default()
    }
}

impl Columns for FileColumns<'_> {
    fn find(&self, name: &ColumnName) -> Lookup {
        if !is_of_machine(name) {
            return self.header.find(name);
        }
        let wanted = bare_name(&name.name);
        match self.fields().iter().position(|field| bare_name(field) == wanted) {
            Some(field) => {
                let kind = list_form(&name.name).map_or(ColumnKind::Text, ColumnKind::List);
                Lookup::Found(Column { position: self.width + field, kind })
            }
            None => Lookup::Unknown,
        }
    }

    fn known(&self, qualifier: Option<&str>) -> Vec<String> {
        let Some(qualifier) = qualifier else { return self.header.known(None) };
        let fields = if bare_name(qualifier) == OF_MACHINES { self.fields() } else { &[] };
        fields.iter().map(|field| format!("{OF_MACHINES}.{field}")).collect()
    }

    fn elsewhere(&self) -> Vec<ColumnName> {
        let qualified =
            |field: &&str| ColumnName { qualifier: Some(OF_MACHINES.to_owned()), name: (*field).to_owned() };
        self.listed.iter().map(qualified).collect()
    }
}

/// A row of a file with its machine, as far as the tenant's list has that.
struct FileRow<'r, 't, R> {
    record: &'r Record<'t, R>,
    width: usize,
    machines: Option<(&'r dyn MachineFields, Option<usize>)>,
}

impl<R: Read> Row for FileRow<'_, '_, R> {
    fn cell(&self, position: usize) -> Cell<'_> {
        let Some(field) = position.checked_sub(self.width) else { return Cell::Text(self.record.cell(position)) };
        // Of a machine that the list lacks, nobody knows anything.
        match self.machines {
            Some((machines, Some(machine))) => Cell::Text(machines.cell(machine, field)),
            _ => Cell::Lacking,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::input::read_selected;

    /// A list that shows nothing of any machine.
    struct Nobody;

    impl MachineFields for Nobody {
        fn names(&self) -> &[&str] {
            &["osPlatform"]
        }

        fn find(&self, _machine: &MachineReference) -> Option<usize> {
            None
        }

        fn cell(&self, _machine: usize, _field: usize) -> &'static str {
            ""
        }
    }

    #[test]
    fn rows_that_name_no_machine_are_none_of_unlisted_machines() {
        let text = "Name,tag,action\n,T,Add\nN/A,T,Add\nweb01,T,Add\n10.0.0.1,T,Add\n";
        let filter = Filter::parse("machine.osPlatform == \"Linux\"", Timestamp::UNIX_EPOCH).expect("a filter");
        let sheet = read_selected(text.as_bytes(), &InputOptions::default(), Some(filter), Some(&Nobody));
        let notes: Vec<String> = sheet.expect("a sheet").notes.iter().map(ToString::to_string).collect();
        let expected = "not selected 1 row that names a machine of which the tenant's list shows no field, on line 4";
        assert!(notes.iter().any(|note| note == expected), "{notes:?}");
    }

    #[test]
    fn a_field_of_the_tenants_list_without_its_qualifier_is_told() {
        let options = InputOptions {
            machine_fields: &["osPlatform", "healthStatus", "currentDeviceValue"],
            ..InputOptions::default()
        };
        let hint = |text: &str, header: &str| {
            let filter = Filter::parse(text, Timestamp::UNIX_EPOCH).expect("a filter");
            let header: Vec<String> = header.split(',').map(str::to_owned).collect();
            Selection::new(filter, &header, None, &options).err().expect("a refusal").hint().expect("a hint")
        };
        let columns = "the columns are Name, tag, action";
        for (name, meant) in [
            ("healthStatus", "machine.healthStatus"),
            ("['OS platform']", "machine.osPlatform"),
            ("helthstatus", "machine.healthStatus"),
            ("deviceValue", "machine.currentDeviceValue"),
        ] {
            let expected = format!("did you mean {meant}? {columns}");
            assert_eq!(hint(&format!("{name} == 'x'"), "Name,tag,action"), expected);
        }
        assert_eq!(hint("Departement == 'x'", "Name,tag,action"), columns);
        let near = hint("healthStatus == 'x'", "Name,Health State");
        assert!(near.starts_with("did you mean machine.healthStatus?"), "what is called so goes first: {near}");
        let near = hint("helthState == 'x'", "Name,Health State");
        assert!(near.starts_with("did you mean ['Health State']?"), "{near}");
    }
}
