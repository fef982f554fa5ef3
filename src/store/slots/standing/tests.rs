use super::*;
use crate::model::{Age, DeviceValue, Held, MachineId};

const NORMAL: Held = Held::Value(DeviceValue::Normal);
const HIGH: Held = Held::Value(DeviceValue::High);

/// A run by one letter.
fn run(name: char) -> RunKey {
    RunKey(i64::from(u32::from(name)))
}

/// Writes as `run value`, with a `?` where they are in doubt.
fn writes(words: &str) -> Vec<SlotWrite> {
    let write = |words: &str| {
        let (name, value) = words.trim().split_once(' ').expect("a run and a value");
        SlotWrite {
            run: run(name.chars().next().expect("a name")),
            slot: Slot { machine: MachineId::from_service("m"), tag: None },
            before: Held::Unknown,
            found: MayHold::NOTHING,
            wrote: Held::parse(value.trim_end_matches('?')),
            surely: !value.ends_with('?'),
            answered: !value.ends_with('?'),
            attempt: None,
            age: Age::Young,
        }
    };
    words.split(',').filter(|words| !words.is_empty()).map(write).collect()
}

fn words(writes: &[SlotWrite]) -> String {
    let name = |run: RunKey| u32::try_from(run.0).ok().and_then(char::from_u32).expect("a name");
    let word = |write: &SlotWrite| {
        let doubt = if write.surely { "" } else { "?" };
        format!("{} {}{doubt}", name(write.run), write.wrote.as_str().unwrap_or_default())
    };
    writes.iter().map(word).collect::<Vec<_>>().join(",")
}

#[test]
fn what_was_taken_back_is_no_later_write_in_whatever_order_and_however_often() {
    // A left High where Normal had been. Each of these takes back: v and w the run B, x the run C, y the run v, z the run A,
    // and o one that nobody knows any more.
    let undos = [('v', Some('B')), ('w', Some('B')), ('x', Some('C')), ('y', Some('v')), ('z', Some('A')), ('o', None)];
    let undos = Undos(undos.into_iter().map(|(undo, undone)| (run(undo), undone.map(run))).collect());
    let table = [
        ("", ""),
        ("B Low", "B Low"),
        // Two files and the undo of the second; three, newest first; and in part.
        ("B Low,v High", ""),
        ("B Low,C Normal,x Low,v High", ""),
        ("B Low,C Normal,x Low", "B Low"),
        // An undo that is taken back, and what it had taken back with it.
        ("B Low,v High,y Low", "B Low"),
        ("B Low,v High,y Low,w High", ""),
        ("B Low,C Normal,x Low,v High,y Low", "B Low"),
        ("z Normal", "z Normal"),
        // A file that is run again.
        ("B Low,v High,D Low", "D Low"),
        // The same text as A's.
        ("B High,v High", ""),
        ("B Normal,v High,C High,x High", ""),
        // Somebody else had been there before B, and B's undo goes back to that.
        ("B Low,v Normal", "v Normal"),
        ("B Low,C Normal,x High", "B Low,x High"),
        ("B Low,v Normal?", "B Low?,v Normal?"),
        // In doubt: whether B was there, and whether its undo was.
        ("B Low?,v High", ""),
        ("B Low,v High?", "B Low?"),
        ("B Low,v High?,w High", ""),
        ("B Low,C Normal?,v High", ""),
        ("B Low,v High,y Low?", "B Low?"),
        ("B Low,v High?,y Low", "B Low"),
        ("B Low,v High?,v High,y Low", "B Low"),
        // B had written before A did.
        ("v Normal", "v Normal"),
        ("C Low,v Normal", "C Low,v Normal"),
        // What is forgotten counts for what it has left.
        ("o High", ""),
        ("o Low", "o Low"),
        ("C Low,o High", "C Low,o High"),
    ];
    for (later, expected) in table {
        let standing = undos.standing(MayHold::only(HIGH), writes(later));
        assert_eq!(words(&standing), expected, "{later}");
    }
    // Where A was in doubt, either is A's.
    let left = MayHold::only(NORMAL).or(MayHold::only(HIGH));
    for (later, expected) in [("B Low,v Normal", ""), ("B Low,v High", ""), ("o High", "o High")] {
        assert_eq!(words(&undos.standing(left, writes(later))), expected, "{later}");
    }
}

#[test]
fn slots_are_each_for_themselves_and_stay_in_their_order() {
    let undos = Undos([(run('v'), Some(run('B')))].into());
    let mut all = writes("B Low,C Low,v High,D Normal");
    for (number, write) in (1..).zip(&mut all) {
        write.attempt = Some(crate::store::AttemptKey(number));
    }
    // C's is another machine's.
    all[1].slot.machine = MachineId::from_service("other");
    assert_eq!(words(&undos.standing_everywhere(all.clone())), "C Low,D Normal");
    assert_eq!(words(&Undos(HashMap::new()).standing_everywhere(all)), "B Low,C Low,v High,D Normal");
}
