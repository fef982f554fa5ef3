//! The tenant's list as it is read before the rows of an input are: the inventory, and beside it those fields of every
//! machine that a filter names.

use std::io::{self, BufReader, Read, Seek as _};

use tempfile::SpooledTempFile;

use super::foreign_lists::ExportedColumns;
use super::machines::{COLUMNS, cells, tags_cell, write_machine};
use crate::input::{MachineFields, bare_name};
use crate::inventory::{Inventory, InventoryBuilder, MachinePosition, MachineSink, NameMatch};
use crate::model::MachineRecord;
use crate::model::{MachineId, MachineReference};

/// The most text of fields that is held in memory. A million machines with five fields take about 100 MB.
const FIELDS_MAXIMUM_BYTES: usize = 512 * 1024 * 1024;

/// Rows up to this size stay in memory; beyond it, all are in a file without a name.
const ROWS_IN_MEMORY_BYTES: usize = 1024 * 1024;

/// Machines that are being read ahead.
#[derive(Debug, Default)]
pub(crate) struct ListBuilder {
    inventory: InventoryBuilder,
    fields: Fields,
}

/// Some fields of all machines.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// The columns that are kept, in ascending order.
    kept: Vec<usize>,
    /// The kept cells of one machine after the other.
    cells: Vec<Box<str>>,
    bytes: usize,
    /// All machines as `inventory` writes them, where they are to be the rows of an input.
    rows: Option<Box<csv::Writer<SpooledTempFile>>>,
}

impl ListBuilder {
    /// Keeps the fields of these names; a name that no field has is nobody's.
    pub(crate) fn keeping<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let wanted: Vec<String> = names.into_iter().map(bare_name).collect();
        let kept = COLUMNS.iter().enumerate().filter(|(_, column)| wanted.contains(&bare_name(column)));
        let fields = Fields { kept: kept.map(|(position, _)| position).collect(), ..Fields::default() };
        Self { fields, ..Self::default() }
    }

    /// Adds a machine as an exported list has it, by the cells of its row.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(crate) fn add_exported<'c>(
        &mut self,
        id: &str,
        columns: &ExportedColumns,
        cell: impl Fn(usize) -> &'c str,
    ) -> io::Result<()> {
        self.take(&columns.machine(id, cell)).map(|_is_new| ())
    }

    /// Writes the machines down, too, as the rows of an input.
    pub(crate) fn writing_rows(mut self) -> Self {
        self.fields.rows = Some(Box::new(csv::Writer::from_writer(SpooledTempFile::new(ROWS_IN_MEMORY_BYTES))));
        self
    }

    /// What was read.
    pub(crate) fn into_parts(self) -> (InventoryBuilder, Fields) {
        (self.inventory, self.fields)
    }
}

impl MachineSink for ListBuilder {
    fn take(&mut self, machine: &MachineRecord) -> io::Result<bool> {
        let is_new = self.inventory.take(machine)?;
        if !self.fields.kept.is_empty() {
            let place = self.inventory.place(&MachineId::from_service(&machine.id));
            self.fields.take(place.unwrap_or_default(), machine)?;
        }
        if let Some(rows) = self.fields.rows.as_mut().filter(|_| is_new) {
            write_machine(rows, machine, &MachineId::from_service(&machine.id).to_string())?;
        }
        Ok(is_new)
    }
}

impl Fields {
    /// The rows that were written, under the header of an exported list.
    pub(crate) fn open_rows(&mut self) -> impl FnOnce() -> io::Result<Box<dyn Read>> + Send + use<> {
        let rows = self.rows.take();
        move || {
            let header = io::Cursor::new(COLUMNS.join(",") + "\n");
            let Some(rows) = rows else { return Ok(Box::new(header)) };
            let mut rows = rows.into_inner().map_err(csv::IntoInnerError::into_error)?;
            rows.rewind()?;
            Ok(Box::new(header.chain(BufReader::new(rows))))
        }
    }

    /// Takes what the machine at this place of the list shows; of one that comes again, the later showing counts.
    fn take(&mut self, place: usize, machine: &MachineRecord) -> io::Result<()> {
        let (id, tags) = (MachineId::from_service(&machine.id).to_string(), tags_cell(machine)?);
        let all = cells(machine, &id, tags.as_deref());
        for (slot, column) in (place * self.kept.len()..).zip(&self.kept) {
            let cell = all.get(*column).copied().flatten().unwrap_or_default();
            self.bytes += cell.len() + size_of::<Box<str>>();
            match self.cells.get_mut(slot) {
                Some(known) => *known = cell.into(),
                None => self.cells.push(cell.into()),
            }
        }
        if self.bytes > FIELDS_MAXIMUM_BYTES { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
    }
}

/// The fields of a list's machines, found by the machines.
#[derive(Clone, Copy)]
pub(crate) struct ListedFields<'l> {
    /// Finds the machines.
    pub inventory: &'l Inventory,
    /// What was kept of them.
    pub fields: &'l Fields,
}

impl MachineFields for ListedFields<'_> {
    fn names(&self) -> &[&str] {
        &COLUMNS
    }

    fn find(&self, machine: &MachineReference) -> Option<usize> {
        let found = match machine {
            MachineReference::Id(id) => return self.inventory.find(id).map(MachinePosition::index),
            MachineReference::Entra(device) => self.inventory.find_entra(*device),
            MachineReference::Name(name) => match self.inventory.find(&MachineId::from_service(name)) {
                Some(position) => NameMatch::One(position),
                None => self.inventory.find_name(name),
            },
        };
        if let NameMatch::One(position) = found { Some(position.index()) } else { None }
    }

    fn cell(&self, machine: usize, field: usize) -> &str {
        let Fields { kept, cells, .. } = self.fields;
        let slot = kept.binary_search(&field).ok().map(|slot| machine * kept.len() + slot);
        slot.and_then(|slot| cells.get(slot)).map_or("", |cell| cell)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_field_is_that_of_the_machine_whatever_names_it_and_the_later_showing_counts() {
        let machine = |id: &str, name: &str, platform: Option<&str>| MachineRecord {
            id: id.into(),
            computer_dns_name: Some(name.into()),
            os_platform: platform.map(Into::into),
            machine_tags: Some(vec!["a".into()]),
            ..MachineRecord::default()
        };
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let mut list = ListBuilder::keeping(["OS Platform", "machineTags", "nobody"]);
        for (machine, is_new) in [
            (machine(&one, "one.example", Some("Linux")), true),
            (machine(&two, "two.example", None), true),
            (machine(&one, "one.example", Some("macOS")), false),
        ] {
            assert_eq!(list.take(&machine).expect("room"), is_new);
        }
        let (builder, fields) = list.into_parts();
        let inventory = builder.finish(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let listed = ListedFields { inventory: &inventory, fields: &fields };
        let field = |name: &str| COLUMNS.iter().position(|column| *column == name).expect("a column");
        let cell = |machine: &str, name: &str| {
            let machine = listed.find(&MachineReference::parse(machine))?;
            Some(listed.cell(machine, field(name)).to_owned())
        };
        assert_eq!(cell(&one, "osPlatform").as_deref(), Some("macOS"));
        assert_eq!(cell("ONE", "osPlatform").as_deref(), Some("macOS"));
        assert_eq!(cell("two.example", "osPlatform").as_deref(), Some(""));
        assert_eq!(cell("two", "machineTags").as_deref(), Some("[\"a\"]"));
        assert_eq!(cell("three", "machineTags"), None);
    }
}
