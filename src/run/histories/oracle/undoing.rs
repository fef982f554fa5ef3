//! What an undo leaves: every slot as it was before the run, or as somebody else made it since, and said so.

use std::collections::BTreeSet;

use super::layers::Layers;
use super::{
    AT_ONCE, CallStory, Case, Content, Deed, Kind, LAG, Label, Reply, ResultRow, Row, SLACK, Sight, Slot, Told, alike,
};
use crate::run::histories::telling::End;
use crate::run::histories::truth::{Applied, Wish};

/// Judges an undo that came to its end.
pub(super) fn judge(case: &Case<'_>, told: &Told, writes: &[CallStory<'_>], note: &mut dyn FnMut(Kind, String)) {
    let Some(label) = taken_back(case, told) else { return };
    let Some(undone) = case.told.iter().find(|other| other.label == label).and_then(|other| other.run.as_deref())
    else {
        return;
    };
    let undoing = Undoing { case, told, writes, undone };
    match told.end {
        End::Exited(0 | 1) => {}
        End::Exited(3) => {
            if let Some(what) = undoing.could_be_undone().filter(|_| matches!(told.deed, Deed::Undo(_))) {
                note(Kind::UndoRefused, what);
            }
            return;
        }
        _ => return,
    }
    for slot in case.log.slots() {
        undoing.judge(&slot, note);
    }
}

/// Which command's run it takes back: by an undo of its own, or as it resumes one that had not come to its end.
fn taken_back(case: &Case<'_>, told: &Told) -> Option<Label> {
    match told.deed {
        Deed::Undo(label) => Some(label),
        Deed::Resume(of) => {
            let earlier = || case.told.iter().filter(|other| other.number < told.number);
            let has_ended = earlier().any(|other| other.run == told.run && matches!(other.end, End::Exited(0 | 1)));
            match earlier().find(|other| other.label == of)?.deed {
                Deed::Undo(label) if !has_ended => Some(label),
                _ => None,
            }
        }
        _ => None,
    }
}

struct Undoing<'a> {
    case: &'a Case<'a>,
    told: &'a Told,
    writes: &'a [CallStory<'a>],
    /// The run that was taken back.
    undone: &'a str,
}

impl Undoing<'_> {
    fn is_of_undone(&self, change: &Applied<'_>) -> bool {
        let command = change.call.and_then(|call| self.case.log.commands.get(call));
        command.is_some_and(|command| self.case.is_of_run(*command, self.undone))
    }

    fn is_of_undo(&self, change: &Applied<'_>) -> bool {
        let command = change.call.and_then(|call| self.case.log.commands.get(call));
        let run = self.told.run.as_deref().unwrap_or_default();
        command.is_some_and(|command| *command == self.told.number || self.case.is_of_run(*command, run))
    }

    fn row(&self, slot: &Slot) -> Option<&ResultRow> {
        self.told.results.iter().flatten().find(|row| {
            row.machine == Some(slot.machine) && row.wishes.iter().any(|wish| wish.slot(slot.machine) == *slot)
        })
    }

    fn judge(&self, slot: &Slot, note: &mut dyn FnMut(Kind, String)) {
        let log = self.case.log;
        let until = self.told.ended;
        let effective = log.changes(slot).filter(|change| change.index < until && !alike(change.before, change.after));
        let changes: Vec<Applied<'_>> = effective.collect();
        let own = |change: &&Applied<'_>| self.is_of_undone(change) && change.index < self.told.began;
        let (first, last) = (changes.iter().find(own), changes.iter().rfind(own));
        let (Some(first), Some(last)) = (first, last) else { return self.judge_untouched(slot, &changes, note) };
        let now = log.content_before(slot, until);
        let since = changes
            .iter()
            .filter(|change| change.index > first.index && !self.is_of_undone(change) && !self.is_of_undo(change));
        let (earlier, later): (Vec<_>, Vec<_>) = since.copied().partition(|change| change.index < last.index);
        let Layers { standing, gone } = self.case.layers(last.after, later.into_iter());
        let others: Vec<Applied<'_>> = earlier.into_iter().chain(standing).collect();
        let before_run = self.case.beginning_of(self.undone).map(|told| log.content_before(slot, told.began));
        let mut good = vec![first.before.clone()];
        good.extend(before_run);
        good.extend(self.seen_before(slot, first.index));
        good.extend(self.believed_before(slot, first.index));
        good.extend(others.iter().map(|change| change.after.clone()));
        let row = self.row(slot);
        let says_so = row.is_some_and(|row| matches!(row.status.as_str(), "failed" | "unknown"));
        match others.last() {
            None => {
                let without = self.without_forms_of_others(slot, first, &now);
                let is_good = good.iter().any(|content| alike(content, &now) || alike(content, &without));
                let (code, status) = row.map_or(("", ""), |row| (row.code.as_str(), row.status.as_str()));
                // What was asked for since the undo goes before it where it is merely resumed.
                let is_asked_now = matches!(self.told.deed, Deed::Undo(_));
                if is_asked_now
                    && code == "changed_since"
                    && !self.is_doubt_excused(slot, last)
                    && !self.was_written_since(slot, last.index, &gone)
                {
                    note(
                        Kind::LeftWithoutReason,
                        format!("{slot} is {now} and left as changed since; nobody else changed it"),
                    );
                } else if status != "not_attempted" && !says_so && !is_good {
                    // Nobody can go back to what was never seen; but it has to be said.
                    if row.is_none() && self.was_never_clear(slot, first.index) {
                        return note(
                            Kind::LeftUnsaid,
                            format!("{slot} was {} before, is {now}, and no row says so", first.before),
                        );
                    }
                    note(
                        Kind::NotUndone,
                        format!("{slot} was {} before, and is {now} ({code} {status})", first.before),
                    );
                }
            }
            Some(other) if other.index > last.index => self.judge_others(slot, other, last, &changes, note),
            Some(_) => {
                if !says_so
                    && row.is_none_or(|row| row.status != "not_attempted")
                    && !good.iter().any(|content| alike(content, &now))
                {
                    note(Kind::NotUndone, format!("{slot} was {} before, and is {now}", first.before));
                }
            }
        }
    }

    /// What is there now but for the forms of a tag that others have added since the run changed it: where its other form was
    /// there, that changed nothing for whoever takes the two for one.
    fn without_forms_of_others(&self, slot: &Slot, first: &Applied<'_>, now: &Content) -> Content {
        let Content::Tag(forms) = now else { return now.clone() };
        let has = |content: &Content, form: &String| matches!(content, Content::Tag(forms) if forms.contains(form));
        let is_of_others = |form: &String| {
            let mut changes = self.case.log.changes(slot).filter(|change| change.index < self.told.ended);
            let added = changes.rfind(|change| has(change.after, form) && !has(change.before, form));
            added.is_some_and(|added| {
                added.index > first.index && !self.is_of_undone(&added) && !self.is_of_undo(&added)
            })
        };
        Content::Tag(forms.iter().filter(|form| !is_of_others(form)).cloned().collect())
    }

    /// A slot that somebody has changed since the run did.
    fn judge_others(
        &self,
        slot: &Slot,
        other: &Applied<'_>,
        last: &Applied<'_>,
        changes: &[Applied<'_>],
        note: &mut dyn FnMut(Kind, String),
    ) {
        let Some(taken) = changes.iter().find(|change| change.index > other.index && self.is_of_undo(change)) else {
            return;
        };
        // It looks as the run left it; nobody can tell.
        if other.call.is_none() && alike(other.after, last.after) {
            return;
        }
        let is_known = match other.call.and_then(|call| self.case.told_of_call(call)) {
            Some(of_whom) => {
                of_whom.number < self.told.number && other.at + AT_ONCE < self.told.began_at && !self.was_in_doubt(slot)
            }
            None => self.was_shown(slot, other, taken.index),
        };
        if is_known {
            let text = format!(
                "{slot} was made {} by others at {:?}, and the undo made it {}",
                other.after, other.at, taken.after
            );
            note(Kind::UndidOthers, text);
        }
    }

    /// Whether the undo saw what somebody else had done, and had to believe it.
    fn was_shown(&self, slot: &Slot, other: &Applied<'_>, until: usize) -> bool {
        let sights = self.case.sights(slot, until);
        let sight = sights.iter().rfind(|sight| sight.command == self.told.number && sight.as_of > other.index);
        let Some(sight) = sight.filter(|sight| alike(&sight.content, other.after)) else { return false };
        let began_at = self.case.reading_began_at(sight);
        let wrote_shortly_before = self.writes.iter().any(|write| {
            let latest = write.answered.map_or(write.sent_at + LAG, |(_, at, _)| at);
            write.sent < sight.index
                && write.machines.contains(&slot.machine)
                && write.wish.slot(slot.machine) == *slot
                && latest + LAG + SLACK >= began_at
        });
        !wrote_shortly_before
    }

    /// Whether a call of ours on the slot has never been answered as it should, so that nobody can tell who did what.
    fn was_in_doubt(&self, slot: &Slot) -> bool {
        self.writes.iter().any(|write| {
            write.machines.contains(&slot.machine)
                && write.wish.slot(slot.machine) == *slot
                && self.case.is_in_doubt(write)
        })
    }

    /// Whether a doubt excuses that the slot was left: it is young, or the list has not shown since what the run had left.
    fn is_doubt_excused(&self, slot: &Slot, last: &Applied<'_>) -> bool {
        let is_young = |write: &CallStory<'_>| write.sent_at + LAG + SLACK >= self.told.began_at;
        let is_seen = self
            .case
            .sights(slot, self.told.ended)
            .iter()
            .any(|sight| sight.command == self.told.number && sight.content == *last.after);
        let mut of_slot = self
            .writes
            .iter()
            .filter(|write| write.machines.contains(&slot.machine) && write.wish.slot(slot.machine) == *slot);
        self.was_in_doubt(slot) && (!is_seen || of_slot.any(is_young))
    }

    /// Whether the run could not tell what was in the slot before it.
    fn was_never_clear(&self, slot: &Slot, index: usize) -> bool {
        // Whoever reads no list sees only what an earlier command of the run noted of the same row.
        let blind =
            self.case.told.iter().any(|told| {
                told.options.no_inventory && told.run.as_deref() == Some(self.undone) && told.began <= index
            });
        blind || self.seen_before(slot, index).is_none() || self.was_doubtful_before(slot, index)
    }

    /// Whether another run of ours may have changed the slot shortly before, so that no list is to be believed.
    fn was_doubtful_before(&self, slot: &Slot, index: usize) -> bool {
        self.written_shortly_before(slot, index)
            .any(|write| self.case.is_in_doubt(write) || self.may_have_taken_another_form(slot, write))
    }

    /// Whether a call has removed a tag that was there in another case only: nobody knows whether the service takes the two
    /// for one.
    fn may_have_taken_another_form(&self, slot: &Slot, write: &CallStory<'_>) -> bool {
        let Wish::Remove(form) = &write.wish else { return false };
        let content = self.case.log.content_before(slot, write.sent);
        matches!(content, Content::Tag(forms) if !forms.is_empty() && !forms.contains(form))
    }

    /// Whether another run of ours wrote to the slot shortly before.
    fn was_written_shortly_before(&self, slot: &Slot, index: usize) -> bool {
        self.written_shortly_before(slot, index).next().is_some()
    }

    fn written_shortly_before(&self, slot: &Slot, index: usize) -> impl Iterator<Item = &CallStory<'_>> {
        let before = self.case.log.events[index].0;
        self.writes.iter().filter(move |write| {
            write.sent < index
                && write.sent_at + LAG + SLACK >= before
                && write.machines.contains(&slot.machine)
                && write.wish.slot(slot.machine) == *slot
                && !self.case.is_of_run(write.command, self.undone)
        })
    }

    /// What another run of ours has made of the slot so shortly before that its list is not to be believed, and that write is.
    fn believed_before(&self, slot: &Slot, index: usize) -> Option<Content> {
        let write = self.written_shortly_before(slot, index).last()?;
        let before = self.case.log.content_before(slot, write.sent);
        Some(write.wish.carried_out(&before, self.case.habits().tells_case_apart))
    }

    /// Whether another run of ours has written there since, even in vain: it wants it so, unless it was taken back.
    fn was_written_since(&self, slot: &Slot, index: usize, gone: &BTreeSet<&str>) -> bool {
        self.writes.iter().any(|write| {
            write.sent > index
                && write.sent < self.told.began
                && write.machines.contains(&slot.machine)
                && write.wish.slot(slot.machine) == *slot
                && !self.case.is_of_run(write.command, self.undone)
                && !gone.iter().any(|run| self.case.is_of_run(write.command, run))
        })
    }

    /// What the undone run had been shown before it first changed the slot.
    fn seen_before(&self, slot: &Slot, index: usize) -> Option<Content> {
        let sights = self.case.sights(slot, index);
        sights.into_iter().rfind(|sight| self.case.is_of_run(sight.command, self.undone)).map(|sight| sight.content)
    }

    /// What the undone run had been shown before it first changed the slot, by commands that had to note it.
    fn noted_before(&self, slot: &Slot, index: usize) -> Option<Content> {
        let sights = self.case.sights(slot, index);
        let noted = sights
            .into_iter()
            .rfind(|sight| self.case.is_of_run(sight.command, self.undone) && self.was_to_change(slot, sight));
        noted.map(|sight| sight.content)
    }

    /// Whether the undone run had been asked to change the slot when that was seen: what nobody asks for yet is not noted,
    /// and what was as it should be need not have stayed so.
    fn was_to_change(&self, slot: &Slot, sight: &Sight) -> bool {
        let changes = |wish: &Wish| wish.slot(slot.machine) == *slot && !wish.holds(&sight.content);
        let is_about = |row: &Row| row.machine == slot.machine && row.wishes.iter().any(changes);
        self.case
            .told
            .iter()
            .filter(|told| told.number <= sight.command && self.case.is_of_run(told.number, self.undone))
            .any(|told| match &told.file {
                Some((_, rows)) if told.deed.orders().is_none() => rows.iter().any(is_about),
                // Who resumes a run asks for nothing else; of everything else no rows say what it asks for.
                _ => !matches!(told.deed, Deed::Resume(_)),
            })
    }

    /// A slot that the run has not changed must not be changed by its undo.
    fn judge_untouched(&self, slot: &Slot, changes: &[Applied<'_>], note: &mut dyn FnMut(Kind, String)) {
        let Some(taken) = changes.iter().find(|change| change.index > self.told.began && self.is_of_undo(change))
        else {
            return;
        };
        let asked: Vec<&CallStory<'_>> = self
            .writes
            .iter()
            .filter(|write| {
                self.case.is_of_run(write.command, self.undone)
                    && write.machines.contains(&slot.machine)
                    && write.wish.slot(slot.machine) == *slot
            })
            .collect();
        let Some(first) = asked.first() else {
            return note(
                Kind::UndidOthers,
                format!("{slot} was made {}, and the run had never touched it", taken.after),
            );
        };
        if asked.iter().all(|write| matches!(write.answered, Some((_, _, Reply::Refused(_) | Reply::Throttled(_))))) {
            return note(
                Kind::UndidOthers,
                format!("{slot} was made {}, and the run had been refused there", taken.after),
            );
        }
        match self.seen_before(slot, first.sent) {
            // Shortly after a write of ours a list is not to be believed.
            Some(seen) if !alike(&seen, taken.after) && !self.was_written_shortly_before(slot, first.sent) => {
                let text = format!("{slot} was made {}, and the run had seen it {seen} before it began", taken.after);
                note(Kind::UndidOthers, text);
            }
            _ => {}
        }
    }

    /// Why it is wrong to say that the run cannot be undone.
    fn could_be_undone(&self) -> Option<String> {
        let of_run: Vec<&Told> =
            self.case.told.iter().filter(|other| other.run.as_deref() == Some(self.undone)).collect();
        let was_cancelled = self.told.text.contains("cancelled");
        let is_limited = self.told.options.max_changes.is_some();
        if was_cancelled || is_limited || of_run.iter().any(|told| told.options.no_inventory) {
            return None;
        }
        let touched: BTreeSet<Slot> = self.case.log.slots();
        touched.into_iter().find_map(|slot| {
            let first = self.case.log.changes(&slot).find(|change| {
                change.index < self.told.began && self.is_of_undone(change) && !alike(change.before, change.after)
            })?;
            let seen =
                self.noted_before(&slot, first.index).filter(|_| !self.was_doubtful_before(&slot, first.index))?;
            Some(format!("{slot} was changed by the run, which had seen it {seen} before; it was refused all the same"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tale::Tale;
    use super::*;
    use crate::model::DeviceValue::{High, Low, Normal};

    #[test]
    fn shortly_after_a_write_of_ours_an_undo_goes_back_to_that_and_later_to_what_the_list_showed() {
        for (back, minutes, violations) in [
            (Low, 1, &[][..]),
            (Normal, 1, &[]),
            (Normal, 60, &[]),
            (Low, 60, &[Kind::NotUndone]),
            (High, 1, &[Kind::NotUndone]),
        ] {
            let mut tale = Tale::new();
            let mut set = |deed, run: &str, value| {
                tale.begin(deed, run);
                tale.look();
                let rows = [("succeeded", 1, Wish::Set(value))];
                tale.change(&rows[0].2, 1);
                tale.end(End::Exited(0), &rows);
                if run == "a" {
                    tale.others(&Wish::Set(Normal), 1);
                    tale.wait(minutes);
                }
            };
            set(Deed::Apply(0), "a", Low);
            set(Deed::Apply(0), "b", High);
            set(Deed::Undo(1), "c", back);
            tale.comes_to(violations);
        }
    }

    #[test]
    fn a_run_can_be_taken_back_where_it_was_to_change_the_slot_when_it_saw_it() {
        let [asked, other] = ["x", "y"].map(|tag| Wish::Add(tag.into()));
        let contrary = Wish::Remove("x".into());
        for (first, violations) in [(&asked, &[Kind::UndoRefused][..]), (&other, &[]), (&contrary, &[])] {
            let mut tale = Tale::new();
            tale.begin(Deed::Apply(0), "a");
            tale.look();
            tale.end(End::Killed, &[("not_attempted", 0, first.clone())]);
            tale.begin(Deed::Apply(0), "a");
            tale.change(&asked, 0);
            tale.end(End::Exited(0), &[("succeeded", 0, asked.clone())]);
            tale.begin(Deed::Undo(0), "u");
            tale.end(End::Exited(3), &[]);
            tale.comes_to(violations);
        }
    }

    #[test]
    fn another_form_of_a_tag_that_a_later_run_has_added_stays_and_the_runs_own_goes() {
        let [own, other] = ["x", "X"].map(|tag| Wish::Add(tag.into()));
        for (gone, violations) in [("x", &[][..]), ("X", &[Kind::NotUndone])] {
            let mut tale = Tale::new();
            for (run, wish) in [("a", &own), ("b", &other)] {
                tale.begin(Deed::Apply(0), run);
                tale.look();
                tale.change(wish, 0);
                tale.end(End::Exited(0), &[("succeeded", 0, wish.clone())]);
            }
            tale.begin(Deed::Undo(0), "u");
            tale.look();
            let gone = Wish::Remove(gone.into());
            tale.change(&gone, 0);
            tale.end(End::Exited(0), &[("succeeded", 0, gone)]);
            tale.comes_to(violations);
        }
    }
}
