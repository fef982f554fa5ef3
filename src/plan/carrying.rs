//! What becomes of an outcome when its run is resumed: the list of today and our own later writes decide.
//!
//! A run may be resumed hours later, with a file that was edited meanwhile, beside other runs that wrote to the same
//! machines. So an outcome is never simply believed again: one that is contradicted is sent again, and one of which it is
//! not known what became of it is asked for, whatever the list shows.

use super::changes::{Decision, Plan, PlanSettings};
pub(crate) use super::decision::Earlier;
use super::recent::Held;

/// What is known today of the slot that an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Today {
    /// What holds, by the list and our own writes of the last minutes over it; [`Held::Unknown`] when the list was not
    /// read, does not show it, or a write is in doubt.
    pub held: Held,
    /// What our own last write after the earlier outcome left; [`Held::Unknown`] when it is in doubt, `None` when there
    /// was none. What the list shows goes before it.
    pub written_later: Option<Held>,
}

/// What becomes of an operation when its run is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// Its outcome stands.
    Kept,
    /// It is sent again, whatever the list shows; what held before the run, and its attempts, are kept.
    SentAgain,
    /// Today's plan decides about it as about a new one.
    DecidedAnew,
}

/// How far an operation had come, and what is known of its slot since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EarlierOutcome {
    /// How far.
    pub earlier: Earlier,
    /// What is known today.
    pub today: Today,
}

impl Plan {
    /// Takes the outcomes of the run that is resumed into the plan, of which nothing is held back yet, by the numbers of its
    /// operations, and says what becomes of each. The guard, of a list of so many machines, and the limit count what is still
    /// to be changed.
    pub(crate) fn carry(
        &mut self,
        earlier: impl Fn(usize) -> Option<EarlierOutcome>,
        settings: PlanSettings,
        listed: u64,
    ) -> Vec<Option<Carried>> {
        let mut fates = Vec::with_capacity(self.decisions.len());
        let operations = &self.operations.operations;
        for (number, (decision, operation)) in self.decisions.iter_mut().zip(operations).enumerate() {
            let fate = earlier(number)
                .map(|EarlierOutcome { earlier, today }| carried(earlier, today, operation.change.leaves()));
            match (fate, *decision) {
                (Some(Carried::Kept), _) => *decision = Decision::Kept,
                (Some(Carried::SentAgain), Decision::Unchanged) => *decision = Decision::Change,
                _ => {}
            }
            fates.push(fate);
        }
        self.hold_back(settings, listed, |number| earlier(number).map_or(Earlier::NotSent, |outcome| outcome.earlier));
        fates
    }
}

/// What becomes of an operation that wants `wanted` and had come so far.
pub(crate) fn carried(earlier: Earlier, today: Today, wanted: Held) -> Carried {
    let holds = today.held == wanted;
    match earlier {
        Earlier::MayBeDone => Carried::SentAgain,
        Earlier::Succeeded if is_contradicted(today, wanted) => Carried::SentAgain,
        Earlier::Succeeded => Carried::Kept,
        Earlier::Failed | Earlier::Refused | Earlier::DoneInDoubt if !holds => Carried::SentAgain,
        // What somebody else has brought about since needs no call.
        Earlier::NotSent
        | Earlier::Unchanged
        | Earlier::Failed
        | Earlier::FailedUnsent
        | Earlier::Refused
        | Earlier::DoneInDoubt => Carried::DecidedAnew,
    }
}

/// Whether the list of today, or where it says nothing our own later write, speaks against an outcome that left `wanted`.
pub(super) fn is_contradicted(today: Today, wanted: Held) -> bool {
    match today.held {
        Held::Unknown => today.written_later.is_some_and(|written| written != wanted),
        held => held != wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeviceValue;
    use crate::plan::changes::PlanSettings;
    use crate::plan::fixtures::{inventory, plan, sheet, tagged};
    use crate::plan::guard::Guard;
    use crate::plan::recent::RecentWrites;

    #[test]
    fn the_limit_of_this_invocation_counts_what_is_still_to_be_changed() {
        use Decision::{BeyondLimit, Change, Kept, Unchanged};
        let inventory = inventory([tagged(1, &["Done"]), tagged(2, &[]), tagged(3, &["Lost"]), tagged(4, &[])]);
        let sheet = sheet("#1,Done,Add,\n#2,Gone,Add,\n#3,Lost,Add,\n#4,New,Add,\n#4,Never,Remove,\n");
        let nothing = RecentWrites::default();
        let limited = |limit| PlanSettings { limit, ..PlanSettings::default() };
        let earlier =
            [Earlier::Succeeded, Earlier::Succeeded, Earlier::MayBeDone, Earlier::NotSent, Earlier::Unchanged];
        let shown = [Held::Present, Held::Absent, Held::Present, Held::Absent, Held::Absent];
        let outcome = |number: usize| {
            let today = Today { held: shown[number], written_later: None };
            Some(EarlierOutcome { earlier: earlier[number], today })
        };
        let decisions = |limit| {
            let mut plan = plan(&sheet, Some(&inventory), &nothing, PlanSettings::default());
            let fates = plan.carry(outcome, limited(limit), 4);
            assert_eq!(fates[..3], [Carried::Kept, Carried::SentAgain, Carried::SentAgain].map(Some));
            plan.decisions
        };
        assert_eq!(decisions(None), [Kept, Change, Change, Change, Unchanged]);
        assert_eq!(decisions(Some(2)), [Kept, Change, Change, BeyondLimit, Unchanged]);
        assert_eq!(decisions(Some(0)), [Kept, BeyondLimit, BeyondLimit, BeyondLimit, Unchanged]);
    }

    #[test]
    fn the_guard_of_this_invocation_counts_the_removals_that_are_still_to_be_made() {
        use Decision::{Change, Kept, Withheld};
        let inventory = inventory([tagged(1, &[]), tagged(2, &["Old"]), tagged(3, &["Old"])]);
        let sheet = sheet("#1,Old,Remove,\n#2,Old,Remove,\n#3,Old,Remove,\n");
        let outcome = |number: usize| {
            let (earlier, held) =
                if number == 0 { (Earlier::Succeeded, Held::Absent) } else { (Earlier::NotSent, Held::Present) };
            Some(EarlierOutcome { earlier, today: Today { held, written_later: None } })
        };
        let decisions = |most: u32| {
            let mut plan = plan(&sheet, Some(&inventory), &RecentWrites::default(), PlanSettings::default());
            let guard = Guard::default().with_ceilings(Some(most), None);
            let _fates = plan.carry(outcome, PlanSettings { guard, ..PlanSettings::default() }, 3);
            plan.decisions
        };
        assert_eq!(decisions(2), [Kept, Change, Change]);
        assert_eq!(decisions(1), [Kept, Withheld, Withheld]);
    }

    #[test]
    fn the_list_of_today_and_our_own_later_writes_decide_about_every_outcome() {
        use Carried::{DecidedAnew, Kept, SentAgain};
        use Earlier::{Failed, FailedUnsent, MayBeDone, NotSent, Refused, Succeeded, Unchanged};
        const LOW: Held = Held::Value(DeviceValue::Low);
        const HIGH: Held = Held::Value(DeviceValue::High);
        let all = [NotSent, Unchanged, Succeeded, Failed, FailedUnsent, Refused, MayBeDone];
        // What High, as the run wanted it, comes to.
        let table = [
            // It is so.
            (HIGH, None, [DecidedAnew, DecidedAnew, Kept, DecidedAnew, DecidedAnew, DecidedAnew, SentAgain]),
            (HIGH, Some(HIGH), [DecidedAnew, DecidedAnew, Kept, DecidedAnew, DecidedAnew, DecidedAnew, SentAgain]),
            // A later write of ours was undone by somebody since: the list is younger.
            (HIGH, Some(LOW), [DecidedAnew, DecidedAnew, Kept, DecidedAnew, DecidedAnew, DecidedAnew, SentAgain]),
            // It is otherwise, whoever did that.
            (LOW, None, [DecidedAnew, DecidedAnew, SentAgain, SentAgain, DecidedAnew, SentAgain, SentAgain]),
            (LOW, Some(LOW), [DecidedAnew, DecidedAnew, SentAgain, SentAgain, DecidedAnew, SentAgain, SentAgain]),
            // Nobody has looked; our own writes are all that is known.
            (Held::Unknown, None, [DecidedAnew, DecidedAnew, Kept, SentAgain, DecidedAnew, SentAgain, SentAgain]),
            (Held::Unknown, Some(HIGH), [DecidedAnew, DecidedAnew, Kept, SentAgain, DecidedAnew, SentAgain, SentAgain]),
            (
                Held::Unknown,
                Some(LOW),
                [DecidedAnew, DecidedAnew, SentAgain, SentAgain, DecidedAnew, SentAgain, SentAgain],
            ),
            (
                Held::Unknown,
                Some(Held::Unknown),
                [DecidedAnew, DecidedAnew, SentAgain, SentAgain, DecidedAnew, SentAgain, SentAgain],
            ),
        ];
        for (held, written_later, expected) in table {
            let today = Today { held, written_later };
            assert_eq!(all.map(|earlier| carried(earlier, today, HIGH)), expected, "{today:?}");
        }
    }
}
