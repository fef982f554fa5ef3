//! Which machine a row means: its id, or the one record that bears its name or its Entra device id.
//!
//! Two spellings of one machine (its id and its name, or its full and its short name) come to one number here, so that
//! what contradicts itself is found although the file does not show it. A name that nobody or more than one bears fails
//! its rows; the file is not refused for it, since inventories change from day to day.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::inventory::{Inventory, ListedMachine, MachinePosition, NameMatch};
use crate::model::row_code::{MACHINE_AMBIGUOUS, MACHINE_NOT_FOUND};
use crate::model::{MachineId, MachineReference, ReferenceNumber, Requests};
use crate::words::group_digits;

/// The most candidates that a message lists.
const LISTED_CANDIDATES: usize = 5;

/// The number of a machine in a plan, from 0: one, however rows name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MachineNumber(pub u32);

/// A machine that rows name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResolvedMachine {
    /// The inventory holds it there.
    Listed(MachinePosition),
    /// The inventory was read and lacks this id.
    Unlisted(ReferenceNumber),
    /// An id, and no inventory was read.
    Unread(ReferenceNumber),
    /// A name that does not lead to one machine.
    Unresolved(ReferenceNumber),
}

/// Why a name does not lead to one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFailure {
    /// Nobody bears it. These begin with the same part before the first dot.
    NoMatch(Vec<MachinePosition>),
    /// Several records bear it, the one that was seen last first.
    Several(Vec<MachinePosition>),
}

/// The machines that are asked about, each with one number however it is spelled.
#[derive(Debug)]
pub struct Resolution {
    requests: Arc<Requests>,
    /// For each spelling the number of its machine; none where each spelling is a machine of its own.
    numbers: Vec<MachineNumber>,
    machines: Vec<ResolvedMachine>,
    failures: HashMap<ReferenceNumber, NameFailure>,
    /// Machines that names led to once.
    remembered: HashMap<ReferenceNumber, MachineId>,
    names_resolved: u32,
}

impl Resolution {
    /// Looks up every machine that is asked about.
    #[must_use]
    pub fn of(requests: &Arc<Requests>, inventory: Option<&Inventory>) -> Self {
        let mut resolution = Self {
            requests: Arc::clone(requests),
            numbers: Vec::new(),
            machines: Vec::with_capacity(requests.machines.len()),
            failures: HashMap::new(),
            remembered: HashMap::new(),
            names_resolved: 0,
        };
        let mut by_position: HashMap<MachinePosition, MachineNumber> = HashMap::new();
        // Only where there are names can two spellings mean one machine.
        let has_names = requests.machines.iter().any(|machine| !matches!(machine, MachineReference::Id(_)));
        for (position, reference) in (0_u32..).zip(&requests.machines) {
            let machine = resolution.look_up(reference, ReferenceNumber(position), inventory);
            let next = MachineNumber(u32::try_from(resolution.machines.len()).unwrap_or(u32::MAX));
            let number = match machine {
                ResolvedMachine::Listed(listed) if has_names => *by_position.entry(listed).or_insert(next),
                _ => next,
            };
            if number == next {
                resolution.machines.push(machine);
            }
            if has_names {
                resolution.numbers.push(number);
            }
        }
        resolution
    }

    /// What is asked for.
    #[must_use]
    pub const fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    /// Whether two spellings were found to mean one machine.
    #[must_use]
    pub fn has_merged(&self) -> bool {
        self.machines.len() < self.requests.machines.len()
    }

    /// Takes names that lead to nobody today for the machines that they led to when all was done that is asked of these: these
    /// have left the list since, or are called something else. Where other rows are about such a machine, under whatever
    /// name, its rows stay apart as they are.
    pub(crate) fn remember(&mut self, done: &HashMap<ReferenceNumber, MachineId>, inventory: Option<&Inventory>) {
        let requests = Arc::clone(&self.requests);
        let ids = requests.machines.iter().filter_map(|machine| match machine {
            MachineReference::Id(id) if !done.is_empty() => Some(id),
            _ => None,
        });
        let mut rows_about: HashMap<&MachineId, u32> = HashMap::new();
        ids.chain(done.values()).for_each(|id| *rows_about.entry(id).or_default() += 1);
        let is_about = |machine: &ResolvedMachine| match machine {
            ResolvedMachine::Listed(position) if !done.is_empty() => inventory?.machine(*position).map(|it| it.id()),
            _ => None,
        };
        let named: HashSet<&MachineId> = self.machines.iter().filter_map(is_about).collect();
        for machine in &mut self.machines {
            let ResolvedMachine::Unresolved(name) = *machine else { continue };
            let is_nobody = matches!(self.failures.get(&name), Some(NameFailure::NoMatch(_)));
            let is_alone = |id: &&MachineId| rows_about.get(id) == Some(&1) && !named.contains(id);
            if let Some(id) = done.get(&name).filter(|id| is_nobody && is_alone(id)) {
                *machine = ResolvedMachine::Unlisted(name);
                self.failures.remove(&name);
                self.remembered.insert(name, id.clone());
            }
        }
    }

    fn look_up(
        &mut self,
        reference: &MachineReference,
        position: ReferenceNumber,
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

    fn look_up_name(&mut self, name: &str, position: ReferenceNumber, inventory: &Inventory) -> ResolvedMachine {
        // An id that is not hexadecimal looks like a name until the inventory shows it.
        if let Some(listed) = inventory.find(&MachineId::from_service(name)) {
            return ResolvedMachine::Listed(listed);
        }
        self.take_match(inventory.find_name(name), position, || inventory.similar_names(name))
    }

    fn take_match(
        &mut self,
        found: NameMatch,
        position: ReferenceNumber,
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

    /// The number of a machine that is named so.
    #[must_use]
    pub fn number(&self, named: ReferenceNumber) -> MachineNumber {
        let number =
            if self.numbers.is_empty() { Some(&MachineNumber(named.0)) } else { self.numbers.get(named.0 as usize) };
        number.copied().unwrap_or(MachineNumber(u32::MAX))
    }

    /// The machine with this number.
    #[must_use]
    pub fn machine(&self, number: MachineNumber) -> Option<&ResolvedMachine> {
        self.machines.get(number.0 as usize)
    }

    /// The id of the machine with this number; `None` for a name that does not lead to one.
    #[must_use]
    pub fn id<'a>(&'a self, number: MachineNumber, inventory: Option<&'a Inventory>) -> Option<&'a MachineId> {
        match self.machine(number)? {
            ResolvedMachine::Listed(position) => inventory?.machine(*position).map(|machine| machine.id()),
            ResolvedMachine::Unlisted(position) | ResolvedMachine::Unread(position) => {
                match self.requests.machine(*position)? {
                    MachineReference::Id(id) => Some(id),
                    _ => self.remembered.get(position),
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

    /// Why this name does not lead to one machine.
    #[must_use]
    pub fn failure(&self, named: ReferenceNumber) -> Option<&NameFailure> {
        self.failures.get(&named)
    }

    /// Says why a name does not lead to one machine, with the candidates; code and message.
    #[must_use]
    pub fn describe_failure(&self, named: ReferenceNumber, inventory: Option<&Inventory>) -> (&'static str, String) {
        let reference = self.requests.machine(named);
        let name = reference.map(ToString::to_string).unwrap_or_default();
        let name = crate::input::Excerpt::new(&name);
        let bears = match reference {
            Some(MachineReference::Entra(_)) => "has the Entra device id",
            _ => "is called",
        };
        match self.failure(named) {
            Some(NameFailure::Several(candidates)) => {
                let count = candidates.len();
                let listed = describe_candidates(candidates, inventory);
                let bear = bears.replace("has", "have").replace("is", "are");
                (MACHINE_AMBIGUOUS, format!("{count} machines {bear} \"{name}\": {listed}; give the id of one of them"))
            }
            Some(NameFailure::NoMatch(similar)) if !similar.is_empty() => {
                let listed = describe_candidates(similar, inventory);
                (MACHINE_NOT_FOUND, format!("no machine of the tenant's list {bears} \"{name}\"; similar: {listed}"))
            }
            _ => (MACHINE_NOT_FOUND, format!("no machine of the tenant's list {bears} \"{name}\"")),
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
