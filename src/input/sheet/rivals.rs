//! Which of several columns of ids names the machines.
//!
//! A column called "Device ID" holds this service's ids in one export, Entra's in another, and Intune's own in a third, which
//! nobody else knows. A GUID does not say whose it is; the tenant does. So where the column that counts holds GUIDs and the
//! tenant knows none of them, the next one of ids whose it knows takes its place.

use std::sync::Arc;

use csv::ByteRecord;

use super::Sheet;
use super::mentions::Mentions;
use super::records::records;
use crate::input::cells::machine;
use crate::input::findings::error::InputError;
use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::problem::{Problem, ProblemKind};
use crate::input::structure::columns::Column;
use crate::model::{EntraDeviceId, MachineReference, Request, Requests, RowNumber};

/// That another column names the machines than the one that counts by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChange {
    /// The one that would have counted.
    pub passed: Excerpt,
    /// The one that counts.
    pub chosen: Excerpt,
}

impl Sheet {
    /// Whether the tenant must say which column names the machines.
    pub const fn has_rival_columns(&self) -> bool {
        self.machine_columns.len() > 1
    }

    /// Reads the machines from the column of ids that counts, by what the tenant knows; says so where that is another one.
    /// Rows whose cell there names no machine are in error from now on.
    ///
    /// # Errors
    /// [`InputError`] when the rows cannot be read again.
    pub fn choose_machine_column(
        &mut self,
        knows: impl Fn(&MachineReference) -> bool,
    ) -> Result<Option<ColumnChange>, InputError> {
        let columns = std::mem::take(&mut self.machine_columns);
        let Some((named, rivals)) = columns.split_first() else { return Ok(None) };
        if self.requests.machines.iter().any(&knows) {
            return Ok(None);
        }
        for rival in rivals {
            let knows_cell = |cell: &str| EntraDeviceId::parse(cell.trim()).map(MachineReference::Entra);
            let mut is_known = false;
            self.each_cell(rival, |_, cell| is_known |= !is_known && knows_cell(cell).is_some_and(|id| knows(&id)))?;
            if is_known {
                self.read_machines_from(rival)?;
                let name = |column: &Column| Excerpt::new(&column.name);
                return Ok(Some(ColumnChange { passed: name(named), chosen: name(rival) }));
            }
        }
        Ok(None)
    }

    /// Goes over a column of all rows.
    fn each_cell(&mut self, column: &Column, mut each: impl FnMut(RowNumber, &str)) -> Result<(), InputError> {
        let delimiter = self.dialect.delimiter;
        let mut record = ByteRecord::new();
        for chunk in self.chunks() {
            let chunk = chunk?;
            let mut rows = records(delimiter, chunk.text.as_bytes());
            for offset in 0..chunk.row_count {
                if !rows.read(&mut record) {
                    break;
                }
                let number = chunk.numbers.get(offset as usize).copied().unwrap_or(chunk.first_row.0 + offset);
                let cell = record.get(column.position).unwrap_or_default();
                each(RowNumber(number), std::str::from_utf8(cell).unwrap_or_default());
            }
        }
        Ok(())
    }

    fn read_machines_from(&mut self, column: &Column) -> Result<(), InputError> {
        let requests = Arc::clone(&self.requests);
        let mut asked = requests.all.chunk_by(|one, next| one.row == next.row).peekable();
        let (mut mentions, mut all, mut problems) = (Mentions::default(), Vec::new(), Vec::new());
        self.each_cell(column, |row, cell| {
            let Some(asked) = asked.next_if(|asked| asked.first().is_some_and(|request| request.row == row)) else {
                return;
            };
            match machine::read(cell.trim()) {
                Ok((machine, _decorations)) => {
                    let machine = mentions.add(machine);
                    all.extend(asked.iter().map(|request| Request { machine, ..*request }));
                }
                Err(kind) => problems.extend(asked.first().map(|request| problem(request, column, kind))),
            }
        })?;
        let machines = mentions.finish(&mut all);
        let Requests { tags, unmade_adds, .. } = &*requests;
        let (tags, unmade_adds) = (tags.clone(), unmade_adds.clone());
        self.requests = Arc::new(Requests { machines, tags, all, unmade_adds, exchanges: Vec::new() });
        self.problems.extend(problems);
        self.problems.sort_by_key(|problem| problem.row);
        Ok(())
    }
}

fn problem(request: &Request, column: &Column, kind: ProblemKind) -> Problem {
    Problem { row: request.row, line: request.line, column: Some(Arc::clone(&column.name)), kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{InputOptions, read};

    const INTUNE: [&str; 2] = ["11111111-0000-0000-0000-000000000001", "11111111-0000-0000-0000-000000000002"];
    const ENTRA: [&str; 2] = ["22222222-0000-0000-0000-000000000001", "22222222-0000-0000-0000-000000000002"];

    fn export() -> String {
        let [intune, other_intune] = INTUNE;
        let [entra, _] = ENTRA;
        format!(
            "Device ID,Device name,Azure AD Device ID,tag,action\n{intune},a,{entra},A,Add\n{other_intune},b,,A,Add\n\
             {intune},a,{{{entra}}},B,Add\n"
        )
    }

    fn sheet() -> Sheet {
        read(export().as_bytes(), &InputOptions::default()).expect("an input")
    }

    #[test]
    fn the_highest_column_whose_ids_the_tenant_knows_counts() {
        let knowing = |known: &'static [&'static str]| {
            let mut sheet = sheet();
            let knows = |machine: &MachineReference| known.contains(&machine.to_string().as_str());
            let change = sheet.choose_machine_column(knows).expect("rows");
            let machines: Vec<String> = sheet.requests.machines.iter().map(ToString::to_string).collect();
            (change.map(|change| change.chosen.to_string()), machines, sheet.requests.all.len(), sheet.problems.len())
        };
        let owned = |machines: &[&str]| machines.iter().map(|machine| (*machine).to_owned()).collect::<Vec<_>>();
        assert_eq!(knowing(&[]), (None, owned(&INTUNE), 3, 0));
        assert_eq!(knowing(&[INTUNE[1], ENTRA[0]]), (None, owned(&INTUNE), 3, 0));
        let chosen = Some("Azure AD Device ID".to_owned());
        assert_eq!(knowing(&[ENTRA[0]]), (chosen, owned(&ENTRA[..1]), 2, 1));
    }

    #[test]
    fn a_row_that_names_nobody_in_the_chosen_column_is_in_error_there() {
        let mut sheet = sheet();
        let knows = |machine: &MachineReference| machine.to_string() == ENTRA[0];
        sheet.choose_machine_column(knows).expect("rows").expect("another column");
        let told: Vec<String> = sheet.findings().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("row 2, line 3, column \"Azure AD Device ID\""), "{told:?}");
        assert!(!sheet.has_rival_columns(), "it is chosen once");
    }

    #[test]
    fn ids_of_this_service_have_no_rivals() {
        let text = format!("Device ID,AAD Device Id,tag,action\n{},{},A,Add\n", "a".repeat(40), ENTRA[0]);
        assert!(!read(text.as_bytes(), &InputOptions::default()).expect("an input").has_rival_columns());
    }
}
