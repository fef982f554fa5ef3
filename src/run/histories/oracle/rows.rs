//! What the rows say, against what is so.

use super::{AT_ONCE, CallStory, Case, Content, Deed, Kind, LAG, Reply, ResultRow, SLACK, Sight, Slot, Told, Wish};
use crate::run::histories::history::Nature;
use crate::run::histories::telling::End;
use crate::run::histories::truth::Applied;

/// The codes of a row whose machine was not found in what was listed.
const NAMED_NOBODY: [&str; 2] = ["not_in_inventory", "machine_not_found"];

/// Judges every row of a command's results.
pub(super) fn judge(case: &Case<'_>, told: &Told, writes: &[CallStory<'_>], note: &mut dyn FnMut(Kind, String)) {
    if matches!(told.deed, Deed::Verify(_) | Deed::VerifyRules(_)) {
        return judge_verification(case, told, note);
    }
    for row in told.results.iter().flatten() {
        let Some(machine) = row.machine else { continue };
        for wish in &row.wishes {
            let claim = Claim { case, told, writes, row, slot: wish.slot(machine), wish };
            claim.judge(note);
        }
    }
}

/// What a row says of one of its wishes.
struct Claim<'a> {
    case: &'a Case<'a>,
    told: &'a Told,
    writes: &'a [CallStory<'a>],
    row: &'a ResultRow,
    slot: Slot,
    wish: &'a Wish,
}

impl Claim<'_> {
    fn judge(&self, note: &mut dyn FnMut(Kind, String)) {
        let say = |what: String| {
            let row = self.row;
            format!("row {} ({} on {}) says {} {}: {what}", row.number, self.wish, self.slot, row.status, row.code)
        };
        // Of a row with two wishes the worse one speaks.
        let is_alone = self.row.wishes.len() == 1;
        match self.row.status.as_str() {
            "succeeded" | "unchanged" => {
                if let Some(what) = self.why_not_so() {
                    note(Kind::NotSo, say(what));
                }
            }
            "failed" | "not_attempted" if is_alone => {
                if let Some(what) = self.done_after_all() {
                    note(Kind::DoneAfterAll, say(what));
                }
                if let Some(what) = self.anothers_error() {
                    note(Kind::AnothersError, say(what));
                }
                if self.row.status == "failed"
                    && let Some(what) = self.was_well()
                {
                    note(Kind::WellMachineFailed, say(what));
                }
            }
            "unknown" if is_alone && !self.may_have_been_sent() => {
                note(Kind::UnknownWithoutCall, say("no call ever carried it, and nobody was killed".into()));
            }
            _ => {}
        }
    }

    /// The writes of this row's run to its slot.
    fn own_writes(&self) -> impl Iterator<Item = &CallStory<'_>> {
        let run = self.told.run.as_deref().unwrap_or_default();
        self.writes.iter().filter(move |write| {
            write.sent < self.told.ended
                && write.machines.contains(&self.slot.machine)
                && write.wish.slot(self.slot.machine) == self.slot
                && self.case.is_of_run(write.command, run)
        })
    }

    /// Why the row lies when it says that something is so.
    fn why_not_so(&self) -> Option<String> {
        let log = self.case.log;
        let content = log.content_before(&self.slot, self.told.ended);
        if self.wish.holds(&content) || self.is_history() {
            return None;
        }
        let mut changes = log.changes(&self.slot).filter(|change| change.index < self.told.ended);
        let taking = changes.rfind(|change| self.wish.holds(change.before) && !self.wish.holds(change.after));
        let Some(taking) = taking else { return Some(format!("there is {content}, and it never was so")) };
        match taking.call {
            None => self.could_know(&taking),
            Some(_) => self.own_doing(&taking),
        }
    }

    /// A run that was finished is written down again, or one that was taken back: that is history.
    fn is_history(&self) -> bool {
        let run = self.told.run.as_deref();
        let earlier =
            self.case.told.iter().filter(|other| other.number < self.told.number && other.run.as_deref() == run);
        let was_finished = earlier.clone().any(|other| matches!(other.end, End::Exited(0 | 1)));
        let was_undone = self.case.told.iter().any(|other| match other.deed {
            Deed::Undo(label) => {
                other.number < self.told.number && earlier.clone().any(|earlier| earlier.label == label)
            }
            _ => false,
        });
        let sent = self.writes.iter().any(|write| write.command == self.told.number);
        matches!(self.told.deed, Deed::Resume(_)) && (was_finished || was_undone) && !sent
    }

    /// Why the program could know what somebody else has done.
    fn could_know(&self, taking: &Applied<'_>) -> Option<String> {
        let (case, told) = (self.case, self.told);
        let sights = case.sights(&self.slot, told.ended);
        let run = told.run.as_deref().unwrap_or_default();
        let of_this_run = |command| command == told.number || case.is_of_run(command, run);
        let was_seen = sights
            .iter()
            .any(|sight| of_this_run(sight.command) && sight.as_of <= taking.index && self.wish.holds(&sight.content));
        let was_written = case
            .log
            .changes(&self.slot)
            .any(|change| change.index < taking.index && change.call.is_some() && self.wish.holds(change.after));
        // Where it was so already, the service's answer to a write of ours showed it.
        let was_answered = self.writes.iter().any(|write| {
            matches!(write.answered, Some((answered, _, Reply::Shown(machines)))
                if answered < taking.index && machines.contains(&self.slot.machine) && write.wish == self.wish)
        });
        if !was_seen && !was_written && !was_answered {
            return Some("nothing that the program saw or did ever showed it so".into());
        }
        // "Unchanged" speaks of the list by which it was decided; what is read once calls are made is about those.
        let first_call = self.writes.iter().filter(|write| write.command == told.number).map(|write| write.sent).min();
        let decided = first_call.filter(|_| self.row.status == "unchanged").unwrap_or(usize::MAX);
        let mut decisive = sights.iter().filter(|sight| sight.index < decided);
        let latest = decisive.rfind(|sight| sight.command == told.number && sight.as_of > taking.index);
        let stopped_early = matches!(told.end, End::Exited(4 | 5));
        // Who is stopped while the list is read has decided nothing: what stands in the row is what held before.
        let may_have_decided = first_call.is_some() || !stopped_early;
        if let Some(sight) = latest
            && may_have_decided
            && !self.wish.holds(&sight.content)
            && (!self.wrote_shortly_before(sight) || self.can_only_be_others(sight, taking))
        {
            return Some(format!(
                "others took it away at {:?}, and the program was shown so at {:?}",
                taking.at, sight.at
            ));
        }
        let goes_on = case.beginning_of(run).is_some_and(|first| first.number < told.number);
        let long_ago = taking.at + LAG + SLACK < told.began_at;
        if goes_on && long_ago && !case.has_read(told) && !told.options.no_inventory && !stopped_early {
            return Some(format!(
                "others took it away at {:?}, and the program went on with its run at {:?} without having looked",
                taking.at, told.began_at
            ));
        }
        None
    }

    /// Whether a write of ours makes that a list has to be doubted which showed this.
    fn wrote_shortly_before(&self, sight: &Sight) -> bool {
        let began_at = self.case.reading_began_at(sight);
        self.writes.iter().any(|write| {
            let latest = write.answered.map_or(write.sent_at + LAG, |(_, at, _)| at);
            write.machines.contains(&self.slot.machine)
                && write.wish.slot(self.slot.machine) == self.slot
                && write.sent_at <= sight.at
                && latest + LAG + SLACK >= began_at
        })
    }

    /// Whether a list shows a device value that was never there before, and that no call of ours would leave, to a program
    /// that has always seen what was there: however far it lags, that is somebody else's.
    fn can_only_be_others(&self, sight: &Sight, taking: &Applied<'_>) -> bool {
        let (case, slot) = (self.case, &self.slot);
        let mut earlier = case.log.changes(slot).filter(|change| change.index < taking.index);
        let mut writes = self.writes.iter().filter(|write| {
            let is_of_slot = write.machines.contains(&slot.machine) && write.wish.slot(slot.machine) == *slot;
            is_of_slot && write.sent < sight.index
        });
        let mut told = case.told.iter().filter(|told| told.number <= self.told.number);
        matches!(sight.content, Content::Value(_))
            && case.log.initially(slot) != sight.content
            && earlier.all(|change| *change.after != sight.content)
            && writes.all(|write| !case.is_in_doubt(write) && !write.wish.holds(&sight.content))
            && told.all(|told| !told.options.no_inventory)
            && case.is_always_listed(slot.machine)
    }

    /// Why it is no excuse that a call of ours took it away.
    fn own_doing(&self, taking: &Applied<'_>) -> Option<String> {
        let call = taking.call?;
        let story = self.writes.iter().find(|write| write.number == call)?;
        let of_whom = self.case.told_of_call(call)?;
        // On the way since before what this run did: nobody could call it back.
        let mut earlier = self.case.log.changes(&self.slot).filter(|change| change.index < taking.index);
        let done = earlier.rfind(|change| change.call.is_some() && self.wish.holds(change.after));
        let was_on_the_way = story.answered.is_none_or(|(_, _, reply)| matches!(reply, Reply::Ambiguous(_)));
        if was_on_the_way && done.is_some_and(|done| story.sent < done.index) {
            return None;
        }
        // Since before the list was read that showed it: the list has to be doubted then, which the program can know.
        if of_whom.number > self.told.number && taking.at + AT_ONCE >= self.told.ended_at {
            return None;
        }
        Some(format!("our own command {} took it away at {:?} ({})", of_whom.label, taking.at, story.wish))
    }

    /// Why the row lies when it says that nothing was done.
    fn done_after_all(&self) -> Option<String> {
        // It named nobody; another row may have named the machine by its id.
        if NAMED_NOBODY.contains(&self.row.code.as_str()) {
            return None;
        }
        let changes: Vec<_> = self.case.log.changes(&self.slot).collect();
        let own: Vec<usize> =
            self.own_writes().filter(|write| write.wish == self.wish).map(|write| write.number).collect();
        let (place, done) = changes.iter().enumerate().rfind(|(_, change)| {
            change.call.is_some_and(|call| own.contains(&call))
                && !self.wish.holds(change.before)
                && self.wish.holds(change.after)
        })?;
        // Whoever has taken it away since has made it true again.
        let holds_on = changes[place..].iter().take_while(|change| change.index < self.told.ended.max(done.index + 1));
        if holds_on.clone().any(|change| !self.wish.holds(change.after)) {
            return None;
        }
        Some(format!("call {} of this run did it at {:?}", done.call.unwrap_or_default(), done.at))
    }

    /// Whether the row carries what was said of another machine.
    fn anothers_error(&self) -> Option<String> {
        let is_missing = self.row.http_status == "404" || self.row.code == "ResourceNotFound";
        if !is_missing || self.nature() == Some(Nature::Gone) {
            return None;
        }
        let own_refusal = self
            .own_writes()
            .any(|write| write.machines.len() == 1 && matches!(write.answered, Some((_, _, Reply::Refused(_)))));
        let names_everybody = self.case.habits().naming == crate::sandbox::DeadNaming::Everybody;
        (!own_refusal && !names_everybody)
            .then(|| format!("{} {}, and this machine is there", self.row.http_status, self.row.code))
    }

    fn nature(&self) -> Option<Nature> {
        self.case.history.machines.get(self.slot.machine).map(|machine| machine.nature)
    }

    /// A machine that takes everything cannot fail, unless a call that held it was refused or came to nothing.
    fn was_well(&self) -> Option<String> {
        if self.nature() != Some(Nature::Well) {
            return None;
        }
        let is_local = NAMED_NOBODY.contains(&self.row.code.as_str());
        let met_trouble = self.own_writes().any(|write| {
            let (bulk, reply) = (write.machines.len() > 1, write.answered.map(|(_, _, reply)| reply));
            match reply {
                // What is refused to everybody says nothing of one machine in particular, and is each one's answer.
                Some(Reply::Refused(status)) => !bulk || matches!(status, 300..=399 | 401 | 407),
                Some(Reply::Ambiguous(_)) => true,
                _ => false,
            }
        });
        if met_trouble || (is_local && !self.case.is_always_listed(self.slot.machine)) {
            return None;
        }
        Some(format!("nothing was ever wrong with it ({})", self.row.code))
    }

    /// Whether it may be that a call was on its way.
    fn may_have_been_sent(&self) -> bool {
        let run = self.told.run.as_deref();
        let somebody_was_killed = self.case.told.iter().any(|other| {
            other.number <= self.told.number && other.run.as_deref() == run && !matches!(other.end, End::Exited(0 | 1))
        });
        somebody_was_killed || self.own_writes().next().is_some()
    }
}

/// What `verify` says of a row, against what it was shown.
fn judge_verification(case: &Case<'_>, told: &Told, note: &mut dyn FnMut(Kind, String)) {
    if let (Some((_, file)), Some(results), None) = (&told.file, &told.results, told.options.choice)
        && file.len() != results.len()
    {
        let text = format!("{} rows were compared, and the file has {}", results.len(), file.len());
        note(Kind::RowsDiffer, text);
    }
    for row in told.results.iter().flatten() {
        let (Some(machine), [wish]) = (row.machine, row.wishes.as_slice()) else { continue };
        let slot = wish.slot(machine);
        let sights = case.sights(&slot, told.ended);
        let shown: Vec<&Content> =
            sights.iter().filter(|sight| sight.command == told.number).map(|sight| &sight.content).collect();
        if shown.is_empty() {
            continue;
        }
        let may_hold = shown.iter().any(|content| wish.holds(content));
        let must_hold = shown.iter().all(|content| wish.holds_in_any_case(content));
        let lies = (row.status == "holds" && !may_hold) || (row.status == "differs" && must_hold);
        if lies {
            let text =
                format!("row {} ({wish} on {slot}) says {}, and the list showed {}", row.number, row.status, shown[0]);
            note(Kind::NotSo, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tale::Tale;
    use super::*;

    /// Others take away what the first command did; the tale goes on from there.
    fn taken_away(asked: &Wish) -> Tale {
        let mut tale = Tale::new();
        tale.begin(Deed::Apply(0), "a");
        tale.look();
        tale.change(asked, 1);
        tale.end(End::Exited(0), &[("succeeded", 1, asked.clone())]);
        tale.others(&Wish::Remove("x".into()), 1);
        tale
    }

    #[test]
    fn a_reading_that_takes_minutes_is_as_old_as_its_beginning_unless_it_begins_anew() {
        let asked = Wish::Add("x".into());
        for (begins_anew, violations) in [(false, &[][..]), (true, &[Kind::NotSo])] {
            let mut tale = taken_away(&asked);
            tale.begin(Deed::Apply(1), "b");
            tale.show([0]);
            tale.wait(20);
            if begins_anew {
                tale.show([0]);
            }
            tale.show([1]);
            tale.end(End::Exited(0), &[("unchanged", 1, asked.clone())]);
            tale.comes_to(violations);
        }
    }

    #[test]
    fn who_is_stopped_while_the_list_is_read_has_decided_nothing() {
        let asked = Wish::Add("x".into());
        // Nothing in this tale makes a command stop, which is another matter.
        for (status, violations) in [(5, &[Kind::ExitStatus]), (0, &[Kind::NotSo])] {
            let mut tale = taken_away(&asked);
            tale.wait(20);
            tale.begin(Deed::Apply(1), "b");
            tale.look();
            tale.end(End::Exited(status), &[("unchanged", 1, asked.clone())]);
            tale.comes_to(violations);
        }
    }
}
