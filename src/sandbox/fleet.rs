//! The machines of the tenant and every change to them.
//!
//! Built for a million machines: ids take 20 bytes, shared texts are kept once, and what nobody gave or changed, names
//! and tags included, is made up anew for every answer. What surprises: machines may come into being when they are first named
//! ([`SandboxSettings::any_machine`]), and the list may show an older state than everything else
//! ([`SandboxSettings::list_lag`]), for which the replaced states are kept as long as the lag.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::calls::Arrival;
use super::company::CompanyMachine;
use super::key::MachineKey;
use super::made_up::{self, Guid, Particulars};
use super::names::{NameNumber, Names};
use super::settings::{
    DeadMachines, MAXIMUM_MACHINES, SandboxDeviceValue, SandboxMachine, SandboxSettings, SettingsError,
};
use super::view::{Known, MachineView, TagList};

/// The most tags of a machine; more than any tenant has.
const MOST_TAGS_OF_A_MACHINE: usize = 1000;
/// The most different tags, device groups and platforms of all machines.
const MOST_NAMES: usize = 200_000;
/// Of so many states of a machine the list can show an older one.
const MOST_REPLACED_STATES: usize = 100;

/// The position of a machine in the list's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place(usize);

/// What a write asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change<'text> {
    AddTag(&'text str),
    RemoveTag(&'text str),
    SetDeviceValue(SandboxDeviceValue),
}

#[derive(Debug)]
pub(super) struct Fleet {
    records: Vec<Record>,
    places: HashMap<MachineKey, Place>,
    names: Names,
    /// States that were replaced no longer ago than the list lag, the oldest first.
    replaced: HashMap<Place, VecDeque<Replaced>>,
    /// Machines that answered a false 404 and are spared the next.
    spared: HashSet<Place>,
    /// The directory's ids of the machines that were described with one.
    device_ids: HashMap<Place, Guid>,
    rules: Rules,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a trait of its own, and there are a million records")]
#[derive(Debug)]
struct Record {
    key: MachineKey,
    /// `None` for one that is made up from the place.
    computer_dns_name: Option<Box<str>>,
    /// `None` for those that are made up, as long as nobody changes them.
    tags: Option<Vec<NameNumber>>,
    last_seen: Timestamp,
    platform: NameNumber,
    group: NameNumber,
    device_value: SandboxDeviceValue,
    listed: bool,
    dead: bool,
    held_by_rule: bool,
    /// Whether nobody described or named it.
    made_up: bool,
}

#[derive(Debug)]
struct Replaced {
    at: Duration,
    tags: Vec<NameNumber>,
    device_value: SandboxDeviceValue,
}

impl Record {
    fn company(&self) -> CompanyMachine {
        CompanyMachine::new(Particulars::of(&self.key), self.computer_dns_name.as_deref())
    }

    fn made_up_tags(&self, names: &mut Names) -> Vec<NameNumber> {
        self.company().tags().map(|tag| names.number(tag)).collect()
    }
}

/// The settings that go on to matter after the start.
#[derive(Debug, Clone, Copy)]
struct Rules {
    any_machine: bool,
    dead: DeadMachines,
    dead_listed: bool,
    ignores_case: bool,
    /// How far the list lies behind.
    list_lag: Duration,
    /// How far it may ever lie behind, so that states are kept as long.
    longest_list_lag: Duration,
    seed: u64,
}

impl Fleet {
    /// The described machines, then the made-up ones.
    ///
    /// # Errors
    /// [`SettingsError`] when an id is empty or there twice.
    pub(super) fn new(
        settings: &SandboxSettings,
        machines: Vec<SandboxMachine>,
        now: Timestamp,
    ) -> Result<Self, SettingsError> {
        let expected = machines.len().saturating_add(settings.made_up_machines).min(MAXIMUM_MACHINES);
        let mut fleet = Self {
            records: Vec::with_capacity(expected),
            places: HashMap::with_capacity(expected),
            names: Names::default(),
            replaced: HashMap::new(),
            spared: HashSet::new(),
            device_ids: HashMap::new(),
            rules: Rules {
                any_machine: settings.any_machine,
                dead: settings.dead,
                dead_listed: settings.dead_listed,
                ignores_case: settings.ignores_case,
                list_lag: settings.list_lag,
                longest_list_lag: settings.list_lag,
                seed: settings.seed,
            },
        };
        for machine in machines {
            let problem = |problem| Err(SettingsError { setting: "machines", problem });
            if machine.id.is_empty() {
                return problem("a machine has no id".to_owned());
            }
            let key = MachineKey::new(&machine.id);
            if fleet.places.contains_key(&key) {
                return problem(format!("the id {key} is there twice; every machine needs its own"));
            }
            fleet.add(key, machine, false, now);
        }
        for number in (0_u64..).take(settings.made_up_machines) {
            // An id that a described machine has by chance is left out.
            fleet.add(made_up::id(settings.seed, number), SandboxMachine::new(String::new()), true, now);
        }
        fleet.choose_the_dead(now);
        Ok(fleet)
    }

    /// Adds a machine at the end; `None` if its id is there already or there is no room.
    fn add(&mut self, key: MachineKey, described: SandboxMachine, made_up: bool, now: Timestamp) -> Option<Place> {
        if self.records.len() >= MAXIMUM_MACHINES {
            return None;
        }
        let Entry::Vacant(entry) = self.places.entry(key.clone()) else { return None };
        let place = *entry.insert(Place(self.records.len()));
        if let Some(device) = described.aad_device_id.as_deref().and_then(Guid::parse) {
            self.device_ids.insert(place, device);
        }
        let numbers = Particulars::of(&key);
        let company = CompanyMachine::new(numbers, described.computer_dns_name.as_deref());
        let dies = matches!(self.rules.dead, DeadMachines::Share(share) if numbers.falls_into(share, self.rules.seed));
        let dead = described.dead || dies;
        let silence = match () {
            () if dead => company.silence_of_the_dead(),
            () if made_up && company.was_replaced() => company.silence_of_the_replaced(),
            () => company.silence(),
        };
        let mut tags = Vec::with_capacity(described.tags.len());
        for tag in &described.tags {
            let number = self.names.number(tag);
            if !tags.contains(&number) {
                tags.push(number);
            }
        }
        self.records.push(Record {
            key,
            computer_dns_name: described.computer_dns_name.map(Into::into),
            tags: (!made_up).then_some(tags),
            last_seen: described.last_seen.unwrap_or_else(|| now.checked_sub(silence).unwrap_or(now)),
            platform: self.names.number(described.os_platform.as_deref().unwrap_or_else(|| company.platform().name)),
            group: self.names.number(described.group.as_deref().unwrap_or_else(|| company.group())),
            device_value: if made_up { company.device_value() } else { described.device_value },
            listed: described.listed && (!dies || self.rules.dead_listed),
            dead,
            held_by_rule: described.held_by_rule,
            made_up,
        });
        Some(place)
    }

    /// Chooses the dead where their number is given.
    fn choose_the_dead(&mut self, now: Timestamp) {
        let DeadMachines::Count(count) = self.rules.dead else { return };
        let mut random = fastrand::Rng::with_seed(self.rules.seed);
        let living = self.records.iter_mut().filter(|record| !record.dead);
        for record in random.choose_multiple(living, count) {
            record.dead = true;
            record.listed &= self.rules.dead_listed;
            let silence = record.company().silence_of_the_dead();
            record.last_seen = now.checked_sub(silence).unwrap_or(now);
        }
    }

    fn find_or_make(&mut self, id: &str, now: Timestamp) -> Option<Place> {
        let key = MachineKey::new(id);
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        if self.rules.any_machine && key.is_hexadecimal() {
            return self.add(key, SandboxMachine::new(String::new()), false, now);
        }
        None
    }

    /// The machine that a write reaches: known and living.
    pub(super) fn writable(&mut self, id: &str, now: Timestamp) -> Option<Place> {
        let place = self.find_or_make(id, now)?;
        self.records.get(place.0).is_some_and(|record| !record.dead).then_some(place)
    }

    /// The machine that a read reaches, by id or by full computer name in any case.
    ///
    /// Of several machines with one name it is the one that was seen last. A name that was given is looked for in all
    /// machines, which takes some milliseconds for a million of them.
    pub(super) fn readable(&mut self, id_or_name: &str, now: Timestamp) -> Option<Place> {
        if let Some(place) = self.find_or_make(id_or_name, now) {
            return Some(place).filter(|place| self.is_readable(*place));
        }
        let is_called = |name: &str| name.eq_ignore_ascii_case(id_or_name);
        let given = self.records.iter().enumerate();
        let given = given.filter(|(_, record)| record.computer_dns_name.as_deref().is_some_and(is_called));
        // A name that was made up ends in the number of its machine, or of the one before it.
        let label = id_or_name.split('.').next().unwrap_or_default();
        let digits = label.rsplit(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default();
        let number: Option<usize> = digits.parse().ok();
        let made_up = number.into_iter().flat_map(|number| [number.checked_sub(1), Some(number)]).flatten().map(Place);
        let made_up = made_up.filter(|place| is_called(&self.computer_dns_name(*place)));
        let named = given.map(|(place, _)| Place(place)).chain(made_up).filter(|place| self.is_readable(*place));
        named.max_by_key(|place| self.records.get(place.0).map(|record| record.last_seen))
    }

    fn is_readable(&self, place: Place) -> bool {
        self.records.get(place.0).is_some_and(|record| record.listed || !record.dead)
    }

    /// The name of a machine; one that was installed anew has left its name to the machine before it.
    fn computer_dns_name(&self, place: Place) -> Cow<'_, str> {
        let Some(record) = self.records.get(place.0) else { return Cow::default() };
        if let Some(name) = &record.computer_dns_name {
            return Cow::Borrowed(name);
        }
        let company = record.company();
        let before = place.0.checked_sub(1).and_then(|before| self.records.get(before));
        let heir = before.filter(|before| before.made_up && record.made_up && company.was_replaced());
        match heir {
            Some(heir) => heir.company().computer_dns_name(place.0),
            None => company.computer_dns_name(place.0 + 1),
        }
        .into()
    }

    /// Whether this machine shall answer a false 404 now; never twice in a row.
    pub(super) fn hide_once(&mut self, place: Place) -> bool {
        !self.spared.remove(&place) && self.spared.insert(place)
    }

    /// Makes a change, unless asset rules hold the machine. The caller has asked whether there is
    /// [room for it](Self::has_room_for).
    pub(super) fn change(&mut self, place: Place, change: Change<'_>, now: Duration) {
        let Some(record) = self.records.get_mut(place.0).filter(|record| !record.held_by_rule) else { return };
        let (record_tags, mut device_value) = (record.tags.clone(), record.device_value);
        let mut tags = record_tags.unwrap_or_else(|| record.made_up_tags(&mut self.names));
        let ignores_case = self.rules.ignores_case;
        let is_one = |names: &Names, held, tag: &str| {
            let held = names.text(held);
            held == tag || ignores_case && held.to_lowercase() == tag.to_lowercase()
        };
        match change {
            Change::AddTag(tag) if !tags.iter().any(|other| is_one(&self.names, *other, tag)) => {
                tags.push(self.names.number(tag));
            }
            Change::AddTag(_) => {}
            Change::RemoveTag(tag) => tags.retain(|other| !is_one(&self.names, *other, tag)),
            Change::SetDeviceValue(value) => device_value = value,
        }
        self.hold(place, tags, device_value, now);
    }

    /// Makes a machine so whatever holds it, or adds it. What is not described stays as it is.
    pub(super) fn put(&mut self, machine: SandboxMachine, now: Arrival) {
        let key = MachineKey::new(&machine.id);
        let Some(place) = self.places.get(&key).copied() else {
            self.add(key, machine, false, now.wall);
            return;
        };
        let tags = machine.tags.iter().map(|tag| self.names.number(tag)).collect();
        self.hold(place, tags, machine.device_value, now.uptime);
        let Some(record) = self.records.get_mut(place.0) else { return };
        (record.listed, record.dead, record.held_by_rule) = (machine.listed, machine.dead, machine.held_by_rule);
        record.last_seen = machine.last_seen.unwrap_or(record.last_seen);
        record.computer_dns_name = machine.computer_dns_name.map(Into::into).or(record.computer_dns_name.take());
    }

    /// From now on the list lies so far behind.
    pub(super) const fn set_list_lag(&mut self, lag: Duration) {
        self.rules.list_lag = lag;
        if lag.as_nanos() > self.rules.longest_list_lag.as_nanos() {
            self.rules.longest_list_lag = lag;
        }
    }

    /// Gives a machine these tags and this value, and keeps what it had before for the list.
    fn hold(&mut self, place: Place, mut tags: Vec<NameNumber>, device_value: SandboxDeviceValue, now: Duration) {
        let Some(record) = self.records.get_mut(place.0) else { return };
        let before = record.tags.take().unwrap_or_else(|| record.made_up_tags(&mut self.names));
        let is_same = tags == before && device_value == record.device_value;
        tags.shrink_to_fit();
        record.tags = Some(tags);
        let device_value = std::mem::replace(&mut record.device_value, device_value);
        if is_same || self.rules.longest_list_lag.is_zero() {
            return;
        }
        let replaced = self.replaced.entry(place).or_default();
        // One state older than the lag can be seen by nobody any more.
        while replaced.front().is_some_and(|state| now.saturating_sub(state.at) > self.rules.longest_list_lag) {
            replaced.pop_front();
        }
        if replaced.len() >= MOST_REPLACED_STATES {
            replaced.pop_front();
        }
        replaced.push_back(Replaced { at: now, tags: before, device_value });
    }

    /// Whether a machine can take this change: it holds only so many tags, and the tenant only so many different ones.
    pub(super) fn has_room_for(&self, place: Place, change: Change<'_>) -> bool {
        let Change::AddTag(tag) = change else { return true };
        let is_known = self.names.find(tag).is_some();
        let tags = self.records.get(place.0).and_then(|record| record.tags.as_ref()).map_or(0, Vec::len);
        tags < MOST_TAGS_OF_A_MACHINE && (is_known || self.names.len() < MOST_NAMES)
    }

    /// The machine as it is.
    pub(super) fn view(&self, place: Place, now: Timestamp) -> Option<MachineView<'_>> {
        let record = self.records.get(place.0)?;
        Some(self.show(place, record, self.tags(record), record.device_value, now))
    }

    /// The machines of the list behind so many, as old as the lag wants them.
    pub(super) fn listed(&self, now: Arrival, skip: usize) -> impl Iterator<Item = MachineView<'_>> {
        let listed = self.records.iter().enumerate().filter(|(_, record)| record.listed).skip(skip);
        listed.map(move |(place, record)| {
            let place = Place(place);
            let seen = self.replaced.get(&place).and_then(|states| {
                states.iter().find(|state| now.uptime.saturating_sub(state.at) < self.rules.list_lag)
            });
            let (tags, device_value) = match seen {
                Some(state) => (self.known_tags(&state.tags), state.device_value),
                None => (self.tags(record), record.device_value),
            };
            self.show(place, record, tags, device_value, now.wall)
        })
    }

    fn tags<'fleet>(&'fleet self, record: &'fleet Record) -> TagList<'fleet> {
        record.tags.as_ref().map_or_else(|| TagList::MadeUp(record.company()), |tags| self.known_tags(tags))
    }

    const fn known_tags<'fleet>(&'fleet self, numbers: &'fleet [NameNumber]) -> TagList<'fleet> {
        TagList::Known { numbers, names: &self.names }
    }

    fn show<'fleet>(
        &'fleet self,
        place: Place,
        record: &'fleet Record,
        tags: TagList<'fleet>,
        device_value: SandboxDeviceValue,
        now: Timestamp,
    ) -> MachineView<'fleet> {
        MachineView::new(Known {
            key: &record.key,
            computer_dns_name: self.computer_dns_name(place),
            company: record.company(),
            tags,
            device_value,
            platform: self.names.text(record.platform),
            group: (record.group, self.names.text(record.group)),
            last_seen: record.last_seen,
            aad_device_id: self.device_ids.get(&place).copied(),
            now,
        })
    }

    /// A full description of a machine as it is now, whether reads reach it or not.
    pub(super) fn describe(&self, id: &str) -> Option<SandboxMachine> {
        let place = *self.places.get(&MachineKey::new(id))?;
        let record = self.records.get(place.0)?;
        Some(SandboxMachine {
            id: record.key.to_string(),
            computer_dns_name: Some(self.computer_dns_name(place).into_owned()),
            aad_device_id: self.device_ids.get(&place).map(ToString::to_string),
            tags: self.tags(record).iter().map(str::to_owned).collect(),
            device_value: record.device_value,
            group: Some(self.names.text(record.group).to_owned()),
            os_platform: Some(self.names.text(record.platform).to_owned()),
            last_seen: Some(record.last_seen),
            listed: record.listed,
            dead: record.dead,
            held_by_rule: record.held_by_rule,
        })
    }

    /// The ids of all machines, in the order of the list, the dead and unlisted ones included.
    pub(super) fn ids(&self) -> Vec<String> {
        self.records.iter().map(|record| record.key.to_string()).collect()
    }
}

#[cfg(test)]
mod tests;
