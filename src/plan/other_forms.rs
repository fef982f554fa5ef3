//! The other forms of a tag on a machine: those that differ from it in nothing but case.
//!
//! The service may take them for one tag. Then whoever removes the one takes the other away, and taking that back means
//! adding the form that was there.

use super::recent::{Age, Held, RecentWrites};
use crate::inventory::Inventory;
use crate::model::{MachineId, Tag};

/// In which other forms a tag stands on a machine in the place of this one, as far as the list and our own writes of late tell.
/// Where the list shows it as it is written, that may be what has become of another form that we wrote.
pub(crate) fn other_forms(machine: &MachineId, tag: &Tag, inventory: &Inventory, recent: &RecentWrites) -> Vec<Tag> {
    let listed = inventory.look_up(machine);
    let is_listed = |form: &Tag| listed.is_some_and(|listed| listed.has_tag(form.as_str()) == Some(true));
    let is_shown = is_listed(tag);
    let is_gone = |form: &Tag| {
        recent.find(machine, Some(form)).is_some_and(|written| {
            written.surely == Some(Held::Absent) && written.perhaps.is_nothing() && written.age == Age::Young
        })
    };
    let mut forms = Vec::new();
    if let Some(listed) = listed.filter(|_| !is_shown) {
        let shown = listed.tags().filter(|form| tag.is_case_variant_of(form)).filter_map(|form| Tag::new(form).ok());
        forms.extend(shown.filter(|form| !is_gone(form)));
    }
    forms.extend(recent.case_variants(machine, tag).filter(|form| !(is_shown && is_listed(form))).cloned());
    forms.sort();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MayHold;
    use crate::plan::fixtures::{inventory, machine_id, slot, tagged};

    #[test]
    fn the_forms_that_may_go_with_a_tag_are_those_that_stand_there_in_its_place() {
        let inventory = inventory([
            tagged(1, &["old", "Old", "other", "Gone"]),
            tagged(2, &["OLD", "old"]),
            tagged(4, &["old", "olD"]),
        ]);
        let mut recent = RecentWrites::default();
        recent.note(slot(1, "Gone"), MayHold::only(Held::Present), Held::Absent, Age::Young);
        recent.note(slot(1, "olD"), MayHold::only(Held::Absent), Held::Present, Age::Young);
        recent.note_doubtful(slot(3, "Old"), MayHold::only(Held::Absent), Held::Present, Age::Young);
        for form in ["OLD", "olD"] {
            recent.note(slot(4, form), MayHold::only(Held::Absent), Held::Present, Age::Young);
        }
        let forms = |machine, tag| -> Vec<String> {
            let forms = other_forms(&machine_id(machine), &Tag::new(tag).expect("a tag"), &inventory, &recent);
            forms.iter().map(ToString::to_string).collect()
        };
        assert_eq!(forms(1, "OLD"), ["Old", "olD", "old"]);
        assert_eq!(forms(1, "GONE"), Vec::<String>::new(), "we have removed it");
        assert_eq!(forms(2, "OLD"), Vec::<String>::new(), "it is there as it is written");
        assert_eq!(forms(3, "OLD"), ["Old"]);
        assert_eq!(forms(4, "old"), ["OLD"], "which we wrote, and which the list does not show beside it");
    }
}
