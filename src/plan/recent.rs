//! Our own writes of the last minutes: the service's list lags behind them, so they override it.
//!
//! How old a write is, is not always known: a start of the machine leaves only a lower bound. Such a write may be older than
//! what the list shows, or younger. Neither is relied on to call something so, and both stay known as what may hold.
//!
//! A write whose outcome is not known overrides it, too, but says less: the slot may hold what was written, or what it
//! held before. Nothing is called unchanged that may be otherwise; the service is asked. But where the list shows what only
//! that write can have left, it is known what was there before the next.
//!
//! A list that lags shows what was there before one of our writes, or what one has left. A device value that is neither is
//! somebody else's, and overrides what we wrote.

use std::collections::HashMap;
use std::time::Duration;

pub(crate) use crate::model::{Age, Held};
use crate::model::{MachineId, MayHold, Slot, Tag};

/// How long the list may lag behind writes (the API's page says "some latency"; users saw minutes).
pub(crate) const LIST_LAG: Duration = Duration::from_mins(15);

/// What our writes of the last [`LIST_LAG`] made of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// What the last one left that surely took effect; `None` when there was none.
    pub surely: Option<Held>,
    /// How much is known of its age.
    pub age: Age,
    /// How much is known of the age of the youngest of all.
    pub youngest: Option<Age>,
    /// What others left, if they took effect.
    pub perhaps: MayHold,
    /// Those of them that may yet do so, and undo what surely was done since.
    pub unanswered: MayHold,
    /// What a list that lags may still show: what was there before each of them, and what later ones replaced.
    pub earlier: MayHold,
    /// The same as far as it is known: where nobody has noted what was there before one of them, what the others tell.
    pub known_earlier: MayHold,
}

impl Written {
    /// What the slot holds, where the list shows `listed` and `wanted` is asked for; nothing is known of it while a write
    /// may or may not have taken effect. What somebody else has made of it speaks against an outcome, and never for one:
    /// who came last nobody can tell. Nor can they where our write may be old: then what speaks against it holds.
    #[must_use]
    pub(crate) fn over(self, listed: Held, wanted: Held) -> Held {
        match self.surely {
            Some(ours) if ours == wanted && self.age != Age::Young && !self.is_in_doubt() => listed,
            _ => self.outcome_over(listed, wanted),
        }
    }

    /// The same where `wanted` is an outcome of ours that is not to be given up without reason: a write that looks young
    /// upholds it.
    #[must_use]
    pub(crate) fn outcome_over(self, listed: Held, wanted: Held) -> Held {
        if self.is_somebody_elses(listed) || self.is_proven_by(listed) {
            return if listed == wanted { Held::Unknown } else { listed };
        }
        match self.surely {
            _ if self.is_in_doubt() => Held::Unknown,
            Some(ours) if ours == wanted && self.age == Age::LooksOld => listed,
            ours => ours.unwrap_or(listed),
        }
    }

    /// Whether it is not known what our writes have left; a write in doubt that would leave what is there changes nothing.
    fn is_in_doubt(self) -> bool {
        !self.perhaps.is_nothing() && !self.surely.is_some_and(|ours| self.perhaps.is_only(ours))
    }

    /// Whether somebody else must have made what the list shows: a device value that neither our writes left nor was
    /// there before them. Of a tag that cannot be told, since it is there or not.
    #[must_use]
    pub(crate) fn is_somebody_elses(self, listed: Held) -> bool {
        matches!(listed, Held::Value(_)) && !self.earlier.allows(listed) && !self.may_have_left(listed)
    }

    /// Whether the list shows that the one write in doubt took effect, and came last: nothing else that we know of was ever
    /// there that would look so.
    fn is_proven_by(self, listed: Held) -> bool {
        let came_last = self.surely.is_none_or(|ours| self.earlier.allows(ours));
        came_last && self.perhaps.is_only(listed) && !self.earlier.allows(listed)
    }

    /// What is so proven to be there, or by the age of all writes; nothing is known where it is not.
    #[must_use]
    pub(crate) fn proven(self, listed: Held) -> Held {
        if self.looks_old() || self.is_proven_by(listed) { listed } else { Held::Unknown }
    }

    /// Everything that it may hold where the list shows this.
    #[must_use]
    pub(crate) fn may_hold(self, listed: Held) -> MayHold {
        MayHold::only(self.surely.unwrap_or(listed)).or(self.perhaps)
    }

    /// Whether all of them are old by wall time, so that a list shows what has become of them unless that time is wrong.
    #[must_use]
    pub(crate) fn looks_old(self) -> bool {
        self.youngest == Some(Age::LooksOld)
    }

    /// Whether a write of ours may have left this.
    #[must_use]
    pub(crate) fn may_have_left(self, held: Held) -> bool {
        self.surely == Some(held) || self.perhaps.allows(held)
    }
}

/// What our own writes of the last [`LIST_LAG`] made of machines.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentWrites(HashMap<MachineId, Vec<(Option<Tag>, Written)>>);

impl RecentWrites {
    /// Notes a write that took effect; writes come in the order in which they were made, and the last one counts. What was
    /// there before is `replaced`.
    pub(crate) fn note(&mut self, slot: Slot, replaced: MayHold, held: Held, age: Age) {
        for other in self.perhaps_gone_with(&slot, held, age) {
            other.perhaps = other.perhaps.or(MayHold::only(held));
        }
        let written = self.slot(slot, replaced, held, age);
        written.age = age;
        written.perhaps = written.unanswered;
        if let Some(replaced) = written.surely.replace(held) {
            written.earlier = written.earlier.or(MayHold::only(replaced));
            written.known_earlier = written.known_earlier.or(MayHold::only(replaced));
        }
    }

    /// Notes a write that may have taken effect or not, or may do so yet.
    pub(crate) fn note_doubtful(&mut self, slot: Slot, replaced: MayHold, held: Held, age: Age) {
        for other in self.perhaps_gone_with(&slot, held, age) {
            other.perhaps = other.perhaps.or(MayHold::only(held));
            other.unanswered = other.unanswered.or(MayHold::only(held));
        }
        let written = self.slot(slot, replaced, held, age);
        written.perhaps = written.perhaps.or(MayHold::only(held));
        written.unanswered = written.unanswered.or(MayHold::only(held));
    }

    /// Notes a write to another form of the tag, which was answered and took effect on this one if the service takes the two
    /// for one.
    pub(crate) fn note_other_form(&mut self, slot: Slot, replaced: MayHold, held: Held, age: Age) {
        let written = self.slot(slot, replaced, held, age);
        written.perhaps = written.perhaps.or(MayHold::only(held));
    }

    /// The other forms of a tag that is removed which we have written and may stand there. They go with it if the service takes
    /// them for one, and nobody knew them who was shown the tag itself.
    fn perhaps_gone_with<'a>(
        &'a mut self,
        slot: &'a Slot,
        held: Held,
        age: Age,
    ) -> impl Iterator<Item = &'a mut Written> {
        let removed = slot.tag.as_ref().filter(|_| held == Held::Absent);
        let writes = self.0.get_mut(&slot.machine).filter(|_| removed.is_some());
        let others = writes.into_iter().flatten().filter(move |(tag, written)| {
            let is_other = |tag: &Tag| removed.is_some_and(|removed| tag.is_case_variant_of(removed.as_str()));
            tag.as_ref().is_some_and(is_other) && written.may_have_left(Held::Present)
        });
        others.map(move |(_, written)| {
            written.youngest = written.youngest.map(|known| known.min(age));
            written
        })
    }

    /// What is known of a slot that is written to. What was there before a run that only restored it, nobody has noted.
    fn slot(&mut self, slot: Slot, replaced: MayHold, held: Held, age: Age) -> &mut Written {
        let replaced = if replaced.is_only(held) { MayHold::ANYTHING } else { replaced };
        // Most machines have one write, and there may be a million of them.
        let writes = self.0.entry(slot.machine).or_insert_with(|| Vec::with_capacity(1));
        let position = writes.iter().position(|(known, _)| *known == slot.tag).unwrap_or_else(|| {
            writes.push((slot.tag, Written::default()));
            writes.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was found or made one line above")]
        let written = &mut writes[position].1;
        written.earlier = written.earlier.or(replaced);
        if replaced != MayHold::ANYTHING {
            written.known_earlier = written.known_earlier.or(replaced);
        }
        written.youngest = Some(written.youngest.map_or(age, |known| known.min(age)));
        written
    }

    /// What our writes left there; `None` when there was none.
    #[must_use]
    pub(crate) fn find(&self, machine: &MachineId, tag: Option<&Tag>) -> Option<Written> {
        let writes = self.0.get(machine)?;
        writes.iter().find(|(known, _)| known.as_ref() == tag).map(|(_, written)| *written)
    }

    /// The tags that differ from this one in nothing but case and were written there, or may have been.
    pub(crate) fn case_variants(&self, machine: &MachineId, tag: &Tag) -> impl Iterator<Item = &Tag> {
        let writes = self.0.get(machine).into_iter().flatten();
        writes
            .filter(|(_, written)| written.may_have_left(Held::Present))
            .filter_map(move |(known, _)| known.as_ref().filter(|known| known.is_case_variant_of(tag.as_str())))
    }

    /// The tags of a machine that were written there, with what is known of that.
    pub(crate) fn tags_of(&self, machine: &MachineId) -> impl Iterator<Item = (&Tag, &Written)> {
        let writes = self.0.get(machine).into_iter().flatten();
        writes.filter_map(|(tag, written)| Some((tag.as_ref()?, written)))
    }

    /// The machines that were written to, sorted.
    #[must_use]
    pub(crate) fn machines(&self) -> Vec<&MachineId> {
        let mut machines: Vec<&MachineId> = self.0.keys().collect();
        machines.sort();
        machines
    }

    /// Whether there was no write at all.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeviceValue;

    #[test]
    fn the_last_write_counts_for_its_tag_or_value_and_one_in_doubt_leaves_nothing_known() {
        let machine = MachineId::from_service("m");
        let slot =
            |tag: Option<&str>| Slot { machine: machine.clone(), tag: tag.map(|tag| Tag::new(tag).expect("a tag")) };
        let (absent, low, high) = (Held::Absent, Held::Value(DeviceValue::Low), Held::Value(DeviceValue::High));
        let mut recent = RecentWrites::default();
        recent.note(slot(Some("a")), MayHold::only(absent), Held::Present, Age::Young);
        recent.note(slot(Some("a")), MayHold::only(Held::Present), absent, Age::Young);
        recent.note(slot(None), MayHold::only(high), low, Age::Young);
        recent.note_doubtful(slot(None), MayHold::only(low), high, Age::Young);
        recent.note_doubtful(slot(Some("c")), MayHold::only(absent), Held::Present, Age::Young);
        recent.note(slot(Some("d")), MayHold::only(Held::Present), absent, Age::Young);
        recent.note_other_form(slot(Some("d")), MayHold::only(Held::Present), absent, Age::Young);
        recent.note_other_form(slot(Some("e")), MayHold::only(absent), Held::Present, Age::Young);
        recent.note_doubtful(slot(Some("f")), MayHold::only(absent), Held::Present, Age::Young);
        for tag in ["e", "f"] {
            recent.note(slot(Some(tag)), MayHold::only(Held::Present), absent, Age::Young);
        }
        let find = |tag| recent.find(&machine, slot(tag).tag.as_ref());
        let a = find(Some("a")).expect("a write");
        assert_eq!((a.over(Held::Present, absent), a.may_hold(Held::Present)), (absent, MayHold::only(absent)));
        let value = find(None).expect("a write");
        assert_eq!((value.over(low, low), value.may_hold(low).words().as_str()), (Held::Unknown, "Low|High"));
        // A remove of another form that may have taken this one, too, has left nothing else.
        let d = find(Some("d")).expect("a write");
        assert_eq!([Held::Present, absent].map(|wanted| d.over(Held::Present, wanted)), [absent, absent]);
        // What was surely done later stands, unless the doubt may yet arrive.
        let of = |tag| find(Some(tag)).expect("a write").over(absent, Held::Present);
        assert_eq!(["e", "f"].map(of), [absent, Held::Unknown]);
        let c = find(Some("c")).expect("a write");
        assert_eq!((c.over(absent, absent), c.may_hold(absent).words().as_str()), (Held::Unknown, "absent|present"));
        // The list shows that it was carried out; but nothing is called unchanged while it may still arrive.
        assert_eq!([absent, Held::Present].map(|wanted| c.over(Held::Present, wanted)), [Held::Present, Held::Unknown]);
        assert_eq!(find(Some("b")), None);
        let tag = |tag| Tag::new(tag).expect("a tag");
        let variants = |of| recent.case_variants(&machine, &tag(of)).map(Tag::to_string).collect::<Vec<_>>();
        assert_eq!(variants("C"), ["c"]);
        assert!(variants("c").is_empty() && variants("A").is_empty(), "it was removed");
    }

    #[test]
    fn a_removal_may_take_another_form_of_the_tag_with_it_that_was_written_before_and_none_that_comes_later() {
        let (absent, present, young) = (Held::Absent, Held::Present, Age::Young);
        let slot = |form: &str| Slot { machine: MachineId::from_service("m"), tag: Tag::new(form).ok() };
        // What was written after OLD was added, whether that was answered, and what is known of OLD then.
        for (later, expected) in [
            (&[][..], present),
            (&[("old", absent, true)], Held::Unknown),
            (&[("old", absent, false)], Held::Unknown),
            (&[("old", present, true)], present),
            (&[("older", absent, true)], present),
            (&[("old", absent, true), ("OLD", present, true)], present),
            // It may yet arrive.
            (&[("old", absent, false), ("OLD", present, true)], Held::Unknown),
        ] {
            let mut recent = RecentWrites::default();
            recent.note(slot("OLD"), MayHold::ANYTHING, present, young);
            for (form, held, was_answered) in later {
                if *was_answered {
                    recent.note(slot(form), MayHold::ANYTHING, *held, young);
                } else {
                    recent.note_doubtful(slot(form), MayHold::ANYTHING, *held, young);
                }
            }
            let written = recent.find(&slot("OLD").machine, slot("OLD").tag.as_ref()).expect("a write");
            assert_eq!(written.over(absent, present), expected, "{later:?}");
        }
    }

    #[test]
    fn a_write_in_doubt_is_proven_by_a_list_that_shows_what_it_alone_can_have_left() {
        type Case<'a> = (&'a [(Held, Held, bool)], Option<Held>);
        let [low, normal, high] = [DeviceValue::Low, DeviceValue::Normal, DeviceValue::High].map(Held::Value);
        let table: [Case<'_>; 8] = [
            (&[(normal, high, false)], Some(high)),
            (&[(normal, high, true), (high, low, false)], Some(low)),
            // It was there before, as a list that lags may still show.
            (&[(low, high, true), (high, low, false)], None),
            (&[(high, normal, true), (Held::Unknown, high, false)], None),
            // Which of two was last?
            (&[(normal, high, false), (high, low, false)], None),
            (&[(normal, high, false), (normal, low, true)], None),
            (&[(normal, high, false), (Held::Unknown, low, true)], None),
            // No doubt, no proof.
            (&[(normal, high, true)], None),
        ];
        for (writes, expected) in table {
            let mut recent = RecentWrites::default();
            let slot = Slot { machine: MachineId::from_service("m"), tag: None };
            for (before, wrote, surely) in writes.iter().copied() {
                if surely {
                    recent.note(slot.clone(), MayHold::only(before), wrote, Age::Young);
                } else {
                    recent.note_doubtful(slot.clone(), MayHold::only(before), wrote, Age::Young);
                }
            }
            let written = recent.find(&slot.machine, None).expect("a write");
            let proven = [low, normal, high].into_iter().find(|listed| written.is_proven_by(*listed));
            assert_eq!(proven, expected, "{writes:?}");
        }
    }

    #[test]
    fn a_value_that_our_writes_neither_left_nor_found_is_somebody_elses() {
        type Case<'a> = (&'a [(Held, Held, bool)], [bool; 3]);
        let [low, normal, high] = [DeviceValue::Low, DeviceValue::Normal, DeviceValue::High].map(Held::Value);
        let machine = MachineId::from_service("m");
        // Our writes as what was there before, what they left, and whether they surely did.
        let table: [Case<'_>; 6] = [
            (&[(normal, high, true)], [true, false, false]),
            (&[(normal, high, false)], [true, false, false]),
            // The list may lag behind the first of them as well.
            (&[(normal, high, true), (high, low, true)], [false, false, false]),
            (&[(low, high, true), (high, low, true)], [false, true, false]),
            // Nobody has looked before.
            (&[(Held::Unknown, high, true)], [false, false, false]),
            (&[(high, high, true)], [false, false, false]),
        ];
        for (writes, expected) in table {
            let mut recent = RecentWrites::default();
            for (before, wrote, surely) in writes.iter().copied() {
                let slot = Slot { machine: machine.clone(), tag: None };
                if surely {
                    recent.note(slot, MayHold::only(before), wrote, Age::Young);
                } else {
                    recent.note_doubtful(slot, MayHold::only(before), wrote, Age::Young);
                }
            }
            let written = recent.find(&machine, None).expect("a write");
            assert_eq!([low, normal, high].map(|listed| written.is_somebody_elses(listed)), expected, "{writes:?}");
            if expected == [true, false, false] {
                assert_eq!((written.over(low, high), written.over(low, low)), (low, Held::Unknown));
            }
        }
    }

    #[test]
    fn what_a_list_shows_is_proven_where_every_write_is_old() {
        let machine = MachineId::from_service("m");
        for (ages, is_proven) in
            [(&[Age::LooksOld][..], true), (&[Age::Young], false), (&[Age::LooksOld, Age::Young], false)]
        {
            let mut recent = RecentWrites::default();
            for age in ages {
                let slot = Slot { machine: machine.clone(), tag: None };
                recent.note_doubtful(slot, MayHold::ANYTHING, Held::Value(DeviceValue::Low), *age);
            }
            let high = Held::Value(DeviceValue::High);
            let proven = recent.find(&machine, None).expect("a write").proven(high);
            assert_eq!(proven, if is_proven { high } else { Held::Unknown }, "{ages:?}");
        }
    }
}
