//! Lookups: other lists that say more of machines, with one row for each.
//!
//! A row is that of a machine by its id, by its Entra device id, or by its name as machines' names match: a whole name, or
//! the part before the first dot, where no two machines of different names begin with that. A device that was onboarded
//! anew has one row for all its records.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::fault::Fault;
use crate::input::{Accepted, Encoding, Excerpt, Finding, KeyKind, List, ListError, ListOptions, ListRemedy};
use crate::inventory::{Inventory, MachinePosition, NameMatch};
use crate::model::MachineReference;
use crate::outside::shown;
use crate::words::{counted, describe_duration, group_digits};

/// How far two clocks may differ: a file that is from later than this is not from now.
const CLOCKS_DIFFER_BY: Duration = Duration::from_mins(5);

/// The fields of machines that can be keys.
pub(super) const KEYS: [(KeyKind, &str); 3] =
    [(KeyKind::Machine, "computerDnsName"), (KeyKind::Id, "id"), (KeyKind::EntraDevice, "aadDeviceId")];

/// A lookup as the file of rules asks for it.
#[derive(Clone, Debug)]
pub(crate) struct LookupOrder {
    /// What rules call it.
    pub name: String,
    /// Where it stands in the file of rules, from 1.
    pub line: usize,
    /// The file that holds it, as it is named there.
    pub file: String,
    /// The column of its keys.
    pub key_column: String,
    pub(super) key: KeyKind,
    /// Its worksheet, where it is a workbook; `None` is the first.
    pub(super) sheet: Option<String>,
    /// Its encoding, where neither a byte order mark says it nor UTF-8 is right.
    pub(super) encoding: Option<&'static Encoding>,
    /// What may be in it although it is doubtful.
    pub(super) accepted: Accepted,
    /// How old it may be.
    pub max_age: Option<Duration>,
    /// The share of the rows of the last finished run that it must have.
    pub rows_percent: Option<u8>,
}

/// A lookup with its rows.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    order: LookupOrder,
    list: List,
    /// For each place of the tenant's list the row that it has here.
    of_machine: Vec<Option<u32>>,
    /// The rows whose short name fits machines of several names, by the places of these.
    ambiguous: HashMap<usize, u32>,
}

impl LookupOrder {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.line, format!("the lookup {}: {}", shown(&self.name), message.into()))
    }

    /// A fault of the file that holds it, whose text says why it cannot be used.
    pub(crate) fn unusable(&self, why: &str) -> Fault {
        self.fault(format!("{} cannot be used: {why}", shown(&self.file)))
    }

    /// Why its file cannot be read as a list, which `why` says as a whole. What an option says of an input, a key says here.
    #[must_use]
    pub(crate) fn faults(&self, error: &ListError, why: &str) -> Vec<Fault> {
        let section = shown(&self.name);
        let hint = |remedy: ListRemedy| match remedy {
            ListRemedy::Encoding => format!("in [lookup.{section}], that option is encoding = \"LABEL\""),
            ListRemedy::Accept(doubt) => format!("in [lookup.{section}], that option is accept = [\"{doubt}\"]"),
        };
        let fault = |why: &str, remedy: Option<ListRemedy>| match remedy {
            Some(remedy) => self.unusable(why).hint(hint(remedy)),
            None => self.unusable(why),
        };
        let findings = error.findings();
        if findings.is_empty() {
            return vec![fault(why, error.remedy())];
        }
        let of_finding =
            |finding: &Finding<'_>| fault(&finding.to_string(), finding.problem.kind.doubt().map(ListRemedy::Accept));
        findings.iter().map(of_finding).collect()
    }

    /// Refuses a file that is older than it may be, or whose age nobody can tell since it is from the future.
    ///
    /// # Errors
    /// [`Fault`] if it is.
    pub(crate) fn check_age(&self, written: SystemTime, now: SystemTime) -> Result<(), Fault> {
        let ahead = written.duration_since(now).unwrap_or_default();
        if self.max_age.is_some() && ahead > CLOCKS_DIFFER_BY {
            let (file, ahead) = (shown(&self.file), describe_duration(ahead));
            let message = format!("{file} was written {ahead} from now, so its age cannot be held against max-age");
            return Err(self.fault(message).hint("set the clock right, or write the file again"));
        }
        let age = now.duration_since(written).unwrap_or_default();
        match self.max_age {
            Some(most) if age > most => Err(self.fault(format!(
                "{} was written {} ago, and max-age allows {}",
                shown(&self.file),
                describe_duration(age),
                describe_duration(most)
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses a file that has shrunk since a run that is over, when it had so many rows.
    ///
    /// # Errors
    /// [`Fault`] if it has.
    pub(crate) fn check_rows(&self, rows: u64, before: u64) -> Result<(), Fault> {
        match self.rows_percent {
            Some(percent) if rows.saturating_mul(100) < before.saturating_mul(u64::from(percent)) => {
                Err(self.fault(format!(
                    "{} has {}, and rows asks for {percent}% of the {} of the last finished run",
                    shown(&self.file),
                    counted(rows, "row", "rows"),
                    group_digits(before)
                )))
            }
            _ => Ok(()),
        }
    }
}

impl Lookup {
    /// Reads it by whoever reads its file as a list.
    ///
    /// # Errors
    /// [`ListError`] when it cannot be used; [`LookupOrder::faults`] says so of the file of rules.
    pub(crate) fn read(
        order: &LookupOrder,
        read: impl FnOnce(&ListOptions<'_>) -> Result<List, ListError>,
    ) -> Result<Self, ListError> {
        let options = ListOptions {
            key_columns: &[&order.key_column],
            key: order.key,
            has_tags: false,
            sheet: order.sheet.as_deref(),
            encoding: order.encoding,
            accepted: order.accepted,
        };
        let list = read(&options)?;
        Ok(Self { order: order.clone(), list, of_machine: Vec::new(), ambiguous: HashMap::new() })
    }

    /// What rules call it.
    pub(crate) fn name(&self) -> &str {
        &self.order.name
    }

    /// How it was asked for.
    pub(crate) const fn order(&self) -> &LookupOrder {
        &self.order
    }

    /// Its columns.
    pub(crate) fn header(&self) -> &[String] {
        self.list.header()
    }

    /// Why a column cannot be taken as texts, if its workbook shows them otherwise.
    pub(super) fn shown_otherwise(&self, column: usize) -> Option<Fault> {
        self.list.shown_otherwise(column).map(|why| self.order.unusable(&why))
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> u64 {
        self.list.row_count()
    }

    /// What was skipped in it, or read without what stood around it; with the name of its file.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let (file, section) = (shown(&self.order.file), format!("lookup.{}", shown(&self.order.name)));
        self.list.notes().iter().map(move |note| format!("{file}: {}", note.in_section(&section)))
    }

    /// Finds the row of every machine of a list.
    ///
    /// # Errors
    /// [`Fault`] when two rows are about one machine.
    pub(crate) fn join(&mut self, inventory: &Inventory) -> Result<(), Fault> {
        let mut of_machine: Vec<Option<u32>> = vec![None; inventory.len()];
        let mut ambiguous = HashMap::new();
        for (number, row) in (0_u32..).zip(self.list.rows()) {
            let positions = found(&row.machine, inventory).unwrap_or_else(|several| {
                ambiguous.extend(several.iter().map(|position| (position.index(), number)));
                Vec::new()
            });
            for position in positions {
                let Some(place) = of_machine.get_mut(position.index()) else { continue };
                if let Some(earlier) = place.replace(number) {
                    let earlier = self.list.row(earlier as usize).map_or(0, |row| row.line);
                    let machine = inventory.machine(position).map(|machine| machine.id().to_string());
                    let (file, line) = (shown(&self.order.file), row.line);
                    return Err(self.order.fault(format!(
                        "lines {earlier} and {line} of {file} are both about machine {}",
                        machine.unwrap_or_default()
                    )));
                }
            }
        }
        (self.of_machine, self.ambiguous) = (of_machine, ambiguous);
        Ok(())
    }

    /// Why the machine at this place has no row, although there is one for it or for another one.
    pub(super) fn ambiguity(&self, place: usize) -> Option<String> {
        let number = self.ambiguous.get(&place).filter(|_| self.of_machine.get(place).copied().flatten().is_none())?;
        let row = self.list.row(*number as usize)?;
        let (file, name) = (shown(&self.order.file), Excerpt::new(&row.machine.to_string()));
        Some(format!(
            "\"{name}\" on line {} of {file} fits machines of several names: write the full name there",
            row.line
        ))
    }

    /// The cell of the machine at this place of the list; `None` where it has no row.
    pub(super) fn cell(&self, place: usize, column: usize) -> Option<&str> {
        let row = self.of_machine.get(place).copied().flatten()?;
        self.list.row(row as usize).map(|row| row.cell(column))
    }
}

/// The records of the one device that a key means, or those of all that it can mean.
fn found(key: &MachineReference, inventory: &Inventory) -> Result<Vec<MachinePosition>, Vec<MachinePosition>> {
    let matched = match key {
        MachineReference::Id(id) => return Ok(inventory.find(id).into_iter().collect()),
        MachineReference::Entra(device) => inventory.find_entra(*device),
        MachineReference::Name(name) => inventory.find_name(name),
    };
    match matched {
        NameMatch::None => Ok(Vec::new()),
        NameMatch::One(position) => Ok(vec![position]),
        NameMatch::Several(positions) => {
            let name = |position: &MachinePosition| {
                let name = inventory.machine(*position).and_then(|machine| machine.name()).unwrap_or_default();
                name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
            };
            let is_one = !matches!(key, MachineReference::Name(_))
                || positions.windows(2).all(|two| two.iter().map(name).is_sorted_by(|one, other| one == other));
            if is_one { Ok(positions) } else { Err(positions) }
        }
    }
}
