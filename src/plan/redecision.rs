//! What becomes of an operation of a run that is resumed as it is stored, without its input.

use super::carrying::{Carried, Earlier, Today, carried, is_contradicted};
use super::changes::{Decision, UnlistedPolicy};
use super::recent::Held;
use crate::model::MayHold;

/// Whether the inventory shows a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InList {
    /// Nobody has looked.
    NotRead,
    /// It does.
    Listed,
    /// It does not.
    Unlisted,
}

/// Whether a run of ours that was asked for later has made something else of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overruled {
    No,
    /// It has written there, and nobody knows whether that took effect.
    MayBe,
    Surely,
}

/// An operation as its run left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredWish {
    /// Whether its run takes another back.
    pub is_undo: bool,
    /// How far it had come.
    pub earlier: Earlier,
    /// What it wants to hold.
    pub wanted: Held,
    /// What held before; of an undo that is what the run had left that it takes back.
    pub before: Held,
    /// Whether a later run goes before it.
    pub overruled: Overruled,
}

impl StoredWish {
    /// What holds, where the list shows `shown`, our own writes of the last minutes make `held` of that, and one that lags
    /// behind them may still show what was there `earlier`.
    ///
    /// The list may lag behind the run that an undo takes back, behind the undo, or behind runs before them: then it shows
    /// what one of them had left or found. Anything else is somebody else's, and younger than our writes.
    pub(crate) fn held_or_shown(self, shown: Held, held: Held, earlier: MayHold) -> Held {
        let is_ours = [Held::Unknown, self.wanted, self.before].contains(&shown)
            || self.before == Held::Unknown
            || (earlier != MayHold::ANYTHING && earlier.allows(shown));
        if self.is_undo && !is_ours { shown } else { held }
    }
}

/// Decides about an operation again.
pub(crate) fn redecide(wish: StoredWish, today: Today, in_list: InList, unlisted: UnlistedPolicy) -> Decision {
    if wish.earlier == Earlier::DoneInDoubt {
        return settle_doubt(wish, today);
    }
    if wish.is_undo {
        return redecide_undo(wish, today);
    }
    if today.held != wish.wanted {
        match wish.overruled {
            Overruled::No => {}
            Overruled::MayBe => return Decision::MayBeChangedSince,
            // What the service has refused, too, or its row would be fed back over the later run.
            Overruled::Surely => return Decision::ChangedSince,
        }
    }
    let sent = match carried(wish.earlier, today, wish.wanted) {
        Carried::Kept => return Decision::Kept,
        Carried::DecidedAnew if today.held == wish.wanted => return Decision::Unchanged,
        Carried::DecidedAnew | Carried::SentAgain => Decision::Change,
    };
    if in_list == InList::Unlisted && unlisted == UnlistedPolicy::Fail { Decision::NotInInventory } else { sent }
}

/// What became of what was done, now that a list may tell: a later run that may have changed it was asked for after this one.
fn settle_doubt(wish: StoredWish, Today { held, written_later }: Today) -> Decision {
    let is_surely_other = wish.overruled == Overruled::Surely
        || written_later.is_some_and(|written| ![Held::Unknown, wish.wanted].contains(&written));
    match held {
        held if held == wish.wanted => Decision::Unchanged,
        Held::Unknown if !is_surely_other => Decision::MayBeChangedSince,
        _ => Decision::ChangedSince,
    }
}

/// An undo goes back only from what the other run has left: whatever else is there now, somebody else has made. So it is with
/// what it has gone back to itself: it says no more that it is so, and does not do it again.
fn redecide_undo(wish: StoredWish, today: Today) -> Decision {
    let Today { held, written_later } = today;
    let is_in_doubt = wish.earlier == Earlier::MayBeDone;
    // A later run of ours that surely wrote there counts like somebody else.
    let was_written = written_later.is_some_and(|written| written != Held::Unknown);
    match wish.earlier {
        // Its row would be fed back over the later run.
        Earlier::Succeeded | Earlier::FailedUnsent if was_written && written_later != Some(wish.wanted) => {
            return Decision::ChangedSince;
        }
        Earlier::Succeeded if is_contradicted(today, wish.wanted) => {
            let is_known = held != Held::Unknown || was_written;
            return if is_known { Decision::ChangedSince } else { Decision::MayBeChangedSince };
        }
        Earlier::Succeeded | Earlier::FailedUnsent => return Decision::Kept,
        _ => {}
    }
    match held {
        // Also where it wrote the very same: what has become of that since is not this run's.
        _ if was_written => Decision::ChangedSince,
        held if held == wish.wanted && !is_in_doubt => Decision::Unchanged,
        Held::Unknown => Decision::Change,
        held if held == wish.before || wish.before == Held::Unknown || held == wish.wanted => Decision::Change,
        _ => Decision::ChangedSince,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DeviceValue;

    const LOW: Held = Held::Value(DeviceValue::Low);
    const NORMAL: Held = Held::Value(DeviceValue::Normal);
    const HIGH: Held = Held::Value(DeviceValue::High);
    /// An undo has gone back to Normal.
    const DONE: StoredWish = StoredWish {
        is_undo: true,
        earlier: Earlier::Succeeded,
        wanted: NORMAL,
        before: HIGH,
        overruled: Overruled::No,
    };

    #[test]
    fn what_an_undo_did_and_a_later_run_of_ours_undid_is_not_said_to_be_so() {
        let decided =
            |held, written_later| redecide(DONE, Today { held, written_later }, InList::Listed, UnlistedPolicy::Try);
        for held in [NORMAL, Held::Unknown] {
            assert_eq!(decided(held, Some(LOW)), Decision::ChangedSince);
            // What it did, and what nobody wrote over, stands.
            assert_eq!([None, Some(NORMAL)].map(|later| decided(held, later)), [Decision::Kept; 2], "{held:?}");
        }
        // Nobody knows whether a later run has written over it.
        let later = Some(Held::Unknown);
        let decisions = [NORMAL, Held::Unknown].map(|held| decided(held, later));
        assert_eq!(decisions, [Decision::Kept, Decision::MayBeChangedSince]);
    }

    #[test]
    fn what_an_undo_did_is_not_said_to_be_so_where_todays_list_shows_something_else() {
        for held in [LOW, HIGH] {
            for written_later in [None, Some(Held::Unknown), Some(NORMAL), Some(held)] {
                let decision = redecide(DONE, Today { held, written_later }, InList::Listed, UnlistedPolicy::Try);
                assert_eq!(decision, Decision::ChangedSince, "{held:?} {written_later:?}");
            }
        }
    }

    #[test]
    fn what_is_left_is_decided_by_todays_list_and_options() {
        use Decision::{Change, ChangedSince, Kept, MayBeChangedSince, NotInInventory, Unchanged};
        use Earlier::{DoneInDoubt, Failed, MayBeDone, NotSent, Succeeded};
        use InList::{Listed, NotRead, Unlisted};
        let (try_them, fail_them) = (UnlistedPolicy::Try, UnlistedPolicy::Fail);
        let table = [
            (NotSent, LOW, Listed, fail_them, Change),
            (NotSent, HIGH, Listed, fail_them, Unchanged),
            (NotSent, Held::Unknown, NotRead, fail_them, Change),
            (NotSent, Held::Unknown, Unlisted, try_them, Change),
            (NotSent, Held::Unknown, Unlisted, fail_them, NotInInventory),
            (MayBeDone, Held::Unknown, Unlisted, fail_them, NotInInventory),
            (MayBeDone, HIGH, Listed, try_them, Change),
            (Succeeded, HIGH, Listed, try_them, Kept),
            (DoneInDoubt, HIGH, Listed, try_them, Unchanged),
            (DoneInDoubt, LOW, Listed, try_them, ChangedSince),
            (DoneInDoubt, Held::Unknown, NotRead, try_them, MayBeChangedSince),
            (Succeeded, LOW, Listed, try_them, Change),
            (Failed, LOW, Listed, try_them, Change),
            (Failed, Held::Unknown, Unlisted, try_them, Change),
            (Failed, Held::Unknown, Unlisted, fail_them, NotInInventory),
            (Failed, Held::Unknown, NotRead, fail_them, Change),
        ];
        for (earlier, held, listing, unlisted, expected) in table {
            let wish = StoredWish { is_undo: false, earlier, wanted: HIGH, before: LOW, overruled: Overruled::No };
            let today = Today { held, written_later: None };
            assert_eq!(redecide(wish, today, listing, unlisted), expected, "{earlier:?} {held:?} {listing:?}");
        }
    }

    #[test]
    fn what_a_run_that_was_asked_for_later_has_overwritten_stays_as_that_made_it() {
        use Earlier::{Failed, MayBeDone, NotSent, Succeeded};
        for held in [LOW, Held::Unknown] {
            let decided = |earlier, overruled| {
                let wish = StoredWish { is_undo: false, earlier, wanted: HIGH, before: NORMAL, overruled };
                redecide(wish, Today { held, written_later: Some(LOW) }, InList::Listed, UnlistedPolicy::Try)
            };
            for earlier in [NotSent, MayBeDone, Succeeded, Failed] {
                let decisions = [Overruled::Surely, Overruled::MayBe, Overruled::No].map(|how| decided(earlier, how));
                let expected = [Decision::ChangedSince, Decision::MayBeChangedSince, Decision::Change];
                assert_eq!(decisions, expected, "{earlier:?} {held:?}");
            }
        }
    }

    #[test]
    fn what_an_undo_finds_that_is_neither_the_runs_nor_what_was_before_is_somebody_elses() {
        // The run had set High where Low was, a minute ago.
        let wish = |is_undo, before| StoredWish {
            is_undo,
            earlier: Earlier::NotSent,
            wanted: LOW,
            before,
            overruled: Overruled::No,
        };
        let table = [
            (true, HIGH, HIGH, HIGH),
            (true, HIGH, LOW, HIGH),
            (true, HIGH, Held::Unknown, HIGH),
            (true, HIGH, NORMAL, NORMAL),
            // It is not known what the run had left.
            (true, Held::Unknown, NORMAL, HIGH),
            (false, HIGH, NORMAL, HIGH),
        ];
        for (is_undo, before, shown, expected) in table {
            for earlier in [MayHold::NOTHING, MayHold::only(LOW), MayHold::ANYTHING] {
                let held = wish(is_undo, before).held_or_shown(shown, HIGH, earlier);
                assert_eq!(held, expected, "{is_undo} {before:?} {shown:?} {earlier:?}");
            }
        }
        // A run before that one had found it, and the list lags behind both.
        assert_eq!(wish(true, HIGH).held_or_shown(NORMAL, HIGH, MayHold::only(NORMAL)), HIGH);
    }

    #[test]
    fn an_undo_that_is_gone_on_with_leaves_what_somebody_made_meanwhile() {
        use Decision::{Change, ChangedSince, Kept, MayBeChangedSince, Unchanged};
        use Earlier::{DoneInDoubt, Failed, FailedUnsent, MayBeDone, NotSent, Succeeded};
        // The run had set High where Low was; its undo goes back to Low.
        let table = [
            (NotSent, HIGH, None, Change),
            (NotSent, LOW, None, Unchanged),
            (NotSent, NORMAL, None, ChangedSince),
            (NotSent, Held::Unknown, None, Change),
            (NotSent, HIGH, Some(HIGH), ChangedSince),
            (NotSent, LOW, Some(LOW), ChangedSince),
            (NotSent, HIGH, Some(Held::Unknown), Change),
            (NotSent, Held::Unknown, Some(NORMAL), ChangedSince),
            (MayBeDone, HIGH, None, Change),
            (MayBeDone, LOW, None, Change),
            (MayBeDone, NORMAL, None, ChangedSince),
            (Succeeded, LOW, None, Kept),
            (Succeeded, Held::Unknown, None, Kept),
            (Succeeded, NORMAL, None, ChangedSince),
            (Succeeded, HIGH, None, ChangedSince),
            (DoneInDoubt, LOW, Some(Held::Unknown), Unchanged),
            (DoneInDoubt, HIGH, Some(Held::Unknown), ChangedSince),
            (DoneInDoubt, Held::Unknown, Some(Held::Unknown), MayBeChangedSince),
            (DoneInDoubt, Held::Unknown, Some(HIGH), ChangedSince),
            (Failed, HIGH, None, Change),
            (Failed, LOW, None, Unchanged),
            (Failed, HIGH, Some(HIGH), ChangedSince),
            (FailedUnsent, HIGH, None, Kept),
            (FailedUnsent, HIGH, Some(HIGH), ChangedSince),
        ];
        for (earlier, held, written_later, expected) in table {
            let wish = StoredWish { is_undo: true, earlier, wanted: LOW, before: HIGH, overruled: Overruled::No };
            let today = Today { held, written_later };
            let decision = redecide(wish, today, InList::Listed, UnlistedPolicy::Try);
            assert_eq!(decision, expected, "{earlier:?} {held:?} {written_later:?}");
        }
    }
}
