//! Which machine a row means: its id, or the one record that bears its name or its Entra device id.
//!
//! Two spellings of one machine (its id and its name, or its full and its short name) come to one number here, so that
//! what contradicts itself is found although the file does not show it. A name that nobody or more than one bears fails
//! its rows; the file is not refused for it, since inventories change from day to day.

use std::collections::HashMap;
use std::sync::Arc;

use crate::input::Sheet;
use crate::inventory::{Inventory, ListedMachine, MachinePosition, NameMatch};
use crate::model::{MachineId, MachineReference};
use crate::words::group_digits;

/// The most candidates that a message lists.
const LISTED_CANDIDATES: usize = 5;

/// A machine that rows name; the numbers are positions in [`Sheet::machines`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResolvedMachine {
    /// The inventory holds it there.
    Listed(MachinePosition),
    /// The inventory was read and lacks this id.
    Unlisted(u32),
    /// An id, and no inventory was read.
    Unread(u32),
    /// A name that does not lead to one machine.
    Unresolved(u32),
}

/// Why a name does not lead to one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFailure {
    /// Nobody bears it. These begin with the same part before the first dot.
    NoMatch(Vec<MachinePosition>),
    /// Several records bear it, the one that was seen last first.
    Several(Vec<MachinePosition>),
}

/// The machines of a sheet, each with one number however it is spelled.
#[derive(Debug, Default)]
pub struct Resolution {
    /// Those of the sheet.
    references: Arc<Vec<MachineReference>>,
    /// For each of them its number.
    numbers: Vec<u32>,
    machines: Vec<ResolvedMachine>,
    failures: HashMap<u32, NameFailure>,
    names_resolved: u32,
}

impl Resolution {
    /// Looks up every machine of the sheet.
    #[must_use]
    pub fn of(sheet: &Sheet, inventory: Option<&Inventory>) -> Self {
        let count = sheet.machines.len();
        let mut resolution = Self {
            references: Arc::clone(&sheet.machines),
            numbers: Vec::with_capacity(count),
            machines: Vec::with_capacity(count),
            ..Self::default()
        };
        let mut by_position: HashMap<MachinePosition, u32> = HashMap::new();
        // Only where there are names can two spellings mean one machine.
        let has_names = sheet.machines.iter().any(|machine| !matches!(machine, MachineReference::Id(_)));
        for (position, reference) in (0_u32..).zip(sheet.machines.iter()) {
            let machine = resolution.look_up(reference, position, inventory);
            let next = u32::try_from(resolution.machines.len()).unwrap_or(u32::MAX);
            let number = match machine {
                ResolvedMachine::Listed(listed) if has_names => *by_position.entry(listed).or_insert(next),
                _ => next,
            };
            if number == next {
                resolution.machines.push(machine);
            }
            resolution.numbers.push(number);
        }
        resolution
    }

    fn look_up(
        &mut self,
        reference: &MachineReference,
        position: u32,
        inventory: Option<&Inventory>,
    ) -> ResolvedMachine {
        match (reference, inventory) {
            (MachineReference::Id(_), None) => ResolvedMachine::Unread(position),
            (MachineReference::Id(id), Some(inventory)) => {
                inventory.find(id).map_or(ResolvedMachine::Unlisted(position), ResolvedMachine::Listed)
            }
            (MachineReference::Name(_) | MachineReference::Entra(_), None) => {
                self.failures.insert(position, NameFailure::NoMatch(Vec::new()));
                ResolvedMachine::Unresolved(position)
            }
            (MachineReference::Name(name), Some(inventory)) => self.look_up_name(name, position, inventory),
            (MachineReference::Entra(device), Some(inventory)) => {
                self.take_match(inventory.find_entra(*device), position, Vec::new)
            }
        }
    }

    fn look_up_name(&mut self, name: &str, position: u32, inventory: &Inventory) -> ResolvedMachine {
        // An id that is not hexadecimal looks like a name until the inventory shows it.
        if let Some(listed) = inventory.find(&MachineId::from_service(name)) {
            return ResolvedMachine::Listed(listed);
        }
        self.take_match(inventory.find_name(name), position, || inventory.similar_names(name))
    }

    fn take_match(
        &mut self,
        found: NameMatch,
        position: u32,
        similar: impl FnOnce() -> Vec<MachinePosition>,
    ) -> ResolvedMachine {
        let failure = match found {
            NameMatch::One(listed) => {
                self.names_resolved += 1;
                return ResolvedMachine::Listed(listed);
            }
            NameMatch::None => NameFailure::NoMatch(similar()),
            NameMatch::Several(candidates) => NameFailure::Several(candidates),
        };
        self.failures.insert(position, failure);
        ResolvedMachine::Unresolved(position)
    }

    /// The number of a machine of the sheet.
    #[must_use]
    pub fn number(&self, machine_of_sheet: u32) -> u32 {
        self.numbers.get(machine_of_sheet as usize).copied().unwrap_or(u32::MAX)
    }

    /// The machine with this number.
    #[must_use]
    pub fn machine(&self, number: u32) -> Option<&ResolvedMachine> {
        self.machines.get(number as usize)
    }

    /// The id of the machine with this number; `None` for a name that does not lead to one.
    #[must_use]
    pub fn id<'a>(&'a self, number: u32, inventory: Option<&'a Inventory>) -> Option<&'a MachineId> {
        match self.machine(number)? {
            ResolvedMachine::Listed(position) => inventory?.machine(*position).map(|machine| machine.id()),
            ResolvedMachine::Unlisted(position) | ResolvedMachine::Unread(position) => {
                match self.references.get(*position as usize)? {
                    MachineReference::Id(id) => Some(id),
                    _ => None,
                }
            }
            ResolvedMachine::Unresolved(_) => None,
        }
    }

    /// How many different machines there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether there is no machine.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// How many names led to one machine.
    #[must_use]
    pub const fn names_resolved(&self) -> u32 {
        self.names_resolved
    }

    /// How many names did not.
    #[must_use]
    pub fn names_unresolved(&self) -> usize {
        self.failures.len()
    }

    /// Why the name at this place of the sheet does not lead to one machine.
    #[must_use]
    pub fn failure(&self, machine_of_sheet: u32) -> Option<&NameFailure> {
        self.failures.get(&machine_of_sheet)
    }

    /// Says why a name of the sheet does not lead to one machine, with the candidates; code and message.
    #[must_use]
    pub fn describe_failure(
        &self,
        sheet: &Sheet,
        machine_of_sheet: u32,
        inventory: Option<&Inventory>,
    ) -> (&'static str, String) {
        let reference = sheet.machines.get(machine_of_sheet as usize);
        let name = reference.map(ToString::to_string).unwrap_or_default();
        let name = crate::input::Excerpt::new(&name);
        let bears = match reference {
            Some(MachineReference::Entra(_)) => "has the Entra device id",
            _ => "is called",
        };
        match self.failure(machine_of_sheet) {
            Some(NameFailure::Several(candidates)) => {
                let count = candidates.len();
                let listed = describe_candidates(candidates, inventory);
                let bear = bears.replace("has", "have").replace("is", "are");
                (
                    "machine_ambiguous",
                    format!("{count} machines {bear} \"{name}\": {listed}; give the id of one of them"),
                )
            }
            Some(NameFailure::NoMatch(similar)) if !similar.is_empty() => {
                let listed = describe_candidates(similar, inventory);
                ("machine_not_found", format!("no machine in the inventory {bears} \"{name}\"; similar: {listed}"))
            }
            _ => ("machine_not_found", format!("no machine in the inventory {bears} \"{name}\"")),
        }
    }
}

fn describe_candidates(candidates: &[MachinePosition], inventory: Option<&Inventory>) -> String {
    let describe = |machine: ListedMachine<'_>| {
        let name = crate::input::Excerpt::new(machine.name().unwrap_or("no name"));
        let seen = machine.last_seen().map_or_else(
            || "never seen".to_owned(),
            |seen| format!("last seen {}", seen.strftime("%Y-%m-%d %H:%M UTC")),
        );
        format!("{} ({name}, {seen})", machine.id())
    };
    let found = candidates.iter().filter_map(|position| inventory?.machine(*position));
    let mut listed: Vec<String> = found.take(LISTED_CANDIDATES).map(describe).collect();
    if candidates.len() > LISTED_CANDIDATES {
        listed.push(format!("and {} more", group_digits((candidates.len() - LISTED_CANDIDATES) as u64)));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests;
