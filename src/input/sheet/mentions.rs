//! The machines that rows mention, held once each however many rows name them.
//!
//! What surprises: they are told apart by sorting, when all rows are read. A table of a million machines is larger than the
//! processor's caches, so that each look into it is a wait for memory; sorting goes through memory in order.

use std::hash::{BuildHasher, Hasher as _};
use std::thread::Builder;

use foldhash::fast::RandomState;

use super::growing::make_room;
use crate::model::{MachineReference, ReferenceNumber, Request};

/// The machines of all rows so far. Names are the same whatever the case of their ASCII letters; the first spelling stays.
#[derive(Default)]
pub(in crate::input) struct Mentions(Vec<MachineReference>);

impl Mentions {
    /// Takes another machine, and gives the number of its mention, which stands for it until they are told apart.
    pub(in crate::input) fn add(&mut self, machine: MachineReference) -> ReferenceNumber {
        // Saturates beyond what the limit on rows lets happen.
        let mention = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        make_room(&mut self.0);
        self.0.push(machine);
        ReferenceNumber(mention)
    }

    /// The same where many a row names the machine of the row before, which is then mentioned once.
    pub(super) fn add_unless_last(&mut self, machine: MachineReference) -> ReferenceNumber {
        match (self.0.last(), self.0.len().checked_sub(1)) {
            (Some(last), Some(mention)) if *last == machine => {
                ReferenceNumber(u32::try_from(mention).unwrap_or(u32::MAX))
            }
            _ => self.add(machine),
        }
    }

    /// The machines, each once, in the order of their first mention. Requests, which name mentions, name machines then.
    pub(in crate::input) fn finish(self, requests: &mut [Request]) -> Vec<MachineReference> {
        let Self(mut machines) = self;
        let Some(mut positions) = first_mentions(&machines) else { return machines };
        let mut kept = 0;
        for mention in 0..machines.len() {
            let first = positions.get(mention).map_or(mention, |first| *first as usize);
            let position = if first == mention {
                machines.swap(kept, mention);
                kept += 1;
                u32::try_from(kept - 1).ok()
            } else {
                positions.get(first).copied()
            };
            if let Some((known, position)) = positions.get_mut(mention).zip(position) {
                *known = position;
            }
        }
        machines.truncate(kept);
        for request in requests {
            let position = positions.get(request.machine.0 as usize).copied();
            request.machine = ReferenceNumber(position.unwrap_or_default());
        }
        machines
    }
}

/// For every mention the first one of the same machine; `None` where each is the first.
fn first_mentions(machines: &[MachineReference]) -> Option<Vec<u32>> {
    let state = RandomState::default();
    // The hash above, the mention below.
    let hashed = (0_u64..).zip(machines).map(|(mention, machine)| hash(&state, machine) << 32 | mention);
    let hashed = sorted(hashed, machines.len());
    let mut firsts: Option<Vec<u32>> = None;
    let mut distinct: Vec<u32> = Vec::new();
    let alike = hashed.iter().flat_map(|half| half.chunk_by(|one, next| one >> 32 == next >> 32));
    for alike in alike.filter(|alike| alike.len() > 1) {
        distinct.clear();
        for mention in alike.iter().copied().map(mention_of) {
            let machine = |mention: u32| machines.get(mention as usize);
            let Some(known) = distinct.iter().find(|known| is_same(machine(**known), machine(mention))) else {
                distinct.push(mention);
                continue;
            };
            let firsts = firsts.get_or_insert_with(|| (0..).take(machines.len()).collect());
            if let Some(first) = firsts.get_mut(mention as usize) {
                *first = *known;
            }
        }
    }
    firsts
}

/// The lower and the upper half of these, each sorted, by two threads where there are many.
fn sorted(hashed: impl Iterator<Item = u64>, count: usize) -> [Vec<u64>; 2] {
    const MANY: usize = 100_000;
    let mut halves = [Vec::with_capacity(count / 2 + count / 8), Vec::with_capacity(count / 2 + count / 8)];
    let [lower, upper] = &mut halves;
    hashed.for_each(|hash| if hash >> 63 == 0 { lower.push(hash) } else { upper.push(hash) });
    if count >= MANY {
        std::thread::scope(|scope| {
            let _ends_with_the_scope = Builder::new().spawn_scoped(scope, || upper.sort_unstable());
            lower.sort_unstable();
        });
    }
    // What is sorted is soon found to be so; where no thread could be had, it is not.
    for half in &mut halves {
        half.sort_unstable();
    }
    halves
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
const fn mention_of(hashed: u64) -> u32 {
    hashed as u32
}

fn is_same(one: Option<&MachineReference>, other: Option<&MachineReference>) -> bool {
    match (one, other) {
        (Some(MachineReference::Name(one)), Some(MachineReference::Name(other))) => one.eq_ignore_ascii_case(other),
        (one, other) => one == other,
    }
}

fn hash(state: &RandomState, machine: &MachineReference) -> u64 {
    match machine {
        MachineReference::Id(id) => state.hash_one(id),
        MachineReference::Entra(id) => state.hash_one(id),
        MachineReference::Name(name) => {
            let mut hasher = state.build_hasher();
            name.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
            hasher.finish()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::model::{Change, DeviceValue, RowNumber};

    /// A machine for a number: a third of them ids, a third Entra ids, a third names in several spellings.
    fn machine(number: u32) -> MachineReference {
        MachineReference::parse(&match number % 3 {
            0 => format!("{number:040x}"),
            1 => format!("{number:08x}-0000-0000-0000-000000000000"),
            _ => format!("Web{number}"),
        })
    }

    #[test]
    fn machines_are_held_once_in_the_order_of_their_first_mention() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut mentions = Mentions::default();
        let mut known: HashMap<u32, u32> = HashMap::new();
        let (mut expected, mut requests) = (Vec::new(), Vec::new());
        let mut number = 0;
        for row in 0..20_000 {
            // Every third row names the machine of the row before.
            number = if random.u8(..3) == 0 { number } else { random.u32(..5_000) };
            let next = u32::try_from(known.len()).expect("few");
            expected.push(ReferenceNumber(*known.entry(number).or_insert(next)));
            let machine = match machine(number) {
                MachineReference::Name(name) if random.bool() => MachineReference::Name(name.to_uppercase().into()),
                machine => machine,
            };
            let add = if random.bool() { Mentions::add } else { Mentions::add_unless_last };
            let (machine, change) = (add(&mut mentions, machine), Change::DeviceValue(DeviceValue::Low));
            requests.push(Request { row: RowNumber(row), line: row, machine, change });
        }
        let machines = mentions.finish(&mut requests);
        assert_eq!(machines.len(), known.len());
        let found: Vec<_> = requests.iter().map(|request| request.machine).collect();
        assert!(found == expected, "another machine, or another order");
        for (number, position) in known {
            let spelling = machines[position as usize].to_string();
            assert!(spelling.eq_ignore_ascii_case(&machine(number).to_string()), "{spelling}");
        }
    }
}
