//! Those that are about undos which were left, and runs that were.

use super::*;

/// Changes values and tags of all three machines, has the first command after that be killed or not, others change the same, and
/// whoever resumes the run does that so many minutes later.
fn changed_by_others(fate: Fate, minutes: u64, is_undo: bool, goes_on: Deed) -> Vec<Step> {
    let wishes = [set(DeviceValue::Low), add("new"), remove("old")];
    let rows: Vec<_> = (0..3).flat_map(|machine| wishes.clone().map(|wish| (wish, machine))).collect();
    let mut steps = vec![file(&rows)];
    steps.extend(if is_undo {
        let undoing = Step::Command(command(2, Deed::Undo(1), fate));
        vec![apply(1, Fate::Undisturbed), undoing]
    } else {
        vec![apply(2, fate)]
    });
    let changed = if is_undo { [add("new"), remove("old")] } else { [remove("new"), add("old")] };
    for machine in 0..3 {
        // Neither what was there nor what the run left.
        steps.push(Step::Others(machine, set(DeviceValue::Normal)));
        steps.extend(changed.clone().map(|wish| Step::Others(machine, wish)));
    }
    let again = Step::Command(command(3, goes_on, Fate::Undisturbed));
    steps.extend([Step::Wait(Duration::from_mins(minutes)), again]);
    steps
}

#[test]
fn what_others_have_made_of_what_was_done_is_seen_when_it_is_gone_on_with() {
    let mut history = plain();
    history.machines.iter_mut().for_each(|machine| machine.tags.push("old".into()));
    for minutes in [1, 20] {
        for goes_on in [Deed::Resume(2), Deed::Undo(1)] {
            holds_whenever_it_dies(&history, |fate| changed_by_others(fate, minutes, true, goes_on));
        }
        for goes_on in [Deed::Resume(2), Deed::Apply(0)] {
            holds_whenever_it_dies(&history, |fate| changed_by_others(fate, minutes, false, goes_on));
        }
    }
}

#[test]
fn what_a_run_has_done_since_an_undo_of_it_died_is_taken_back_or_said_not_to_be() {
    let mut history = plain();
    history.habits.latency = Duration::from_millis(400);
    let rows = [0, 1, 2].map(|machine| (set(DeviceValue::Low), machine));
    let resume = |label, of| Step::Command(command(label, Deed::Resume(of), Fate::Undisturbed));
    // It has made one change or more, and dies about where the undo is stored and the run is closed.
    for begun_at in [19, 22] {
        for commits in 18..26 {
            let begun = command(1, Deed::Apply(0), Fate::KilledAtCommit(begun_at));
            let undoing = command(2, Deed::Undo(1), Fate::KilledAtCommit(commits));
            let (begun, undoing) = (Step::Command(begun), Step::Command(undoing));
            let steps = vec![file(&rows), begun, undoing, resume(3, 1), resume(4, 2), undo(5, 1)];
            holds(history.clone(), steps);
        }
    }
}

#[test]
fn what_a_run_has_done_and_a_later_one_may_have_changed_since_is_unknown_and_not_said_to_be_left_undone() {
    let mut history = plain();
    history.habits.list_lag = Duration::from_mins(10);
    // One of two calls is made before the first dies, and one may have been made when the second does.
    history.habits.quota = "1/1m";
    let Step::Write { rows: opposite, .. } = file(&[(remove("new"), 0), (remove("other"), 1)]) else { return };
    let resume = |label| Step::Command(command(label, Deed::Resume(1), Fate::Undisturbed));
    let mut said = Vec::new();
    for commits in 44..50 {
        let rows = file(&[(add("new"), 0), (add("other"), 1)]);
        let begun = command(1, Deed::Apply(0), Fate::KilledAfter(Duration::from_secs(30)));
        let other = Step::Write { file: 1, rows: opposite.clone() };
        let contrary = command(2, Deed::Apply(1), Fate::KilledAtCommit(commits));
        let (begun, contrary) = (Step::Command(begun), Step::Command(contrary));
        // By then the list tells.
        let later = Step::Wait(Duration::from_mins(20));
        let steps = vec![rows, begun, other, contrary, resume(3), later, resume(4)];
        let (performance, violations) = judge(&History { steps, ..history.clone() });
        assert!(violations.is_empty(), "{commits}: {violations:?}");
        let first = |label| {
            let told = performance.told.iter().find(|told| told.label == label)?;
            told.results.as_ref()?.first().map(|row| format!("{} {}", row.status, row.code))
        };
        said.push([first(3), first(4)].map(Option::unwrap_or_default));
    }
    let in_doubt = said.iter().find(|[at_once, _]| at_once == "unknown may_be_changed_since");
    assert_eq!(in_doubt.map(|[_, later]| later.as_str()), Some("not_attempted changed_since"), "{said:?}");
}

#[test]
fn whoever_removes_a_tag_also_takes_away_what_we_wrote_in_another_form_of_it() {
    let mut history = plain();
    (history.habits.tells_case_apart, history.habits.quota) = (false, "3/1m");
    history.machines.first_mut().expect("a machine").tags.extend(["tier0", "old"].map(Into::into));
    let Step::Write { rows: contrary, .. } = file(&[(remove("tier0"), 0)]) else { return };
    for goes_on in [Deed::Apply(0), Deed::Resume(1)] {
        let rows = file(&[(add("TIER0"), 0), (add("new"), 1), (remove("old"), 0)]);
        // It has done its first row.
        let begun = command(1, Deed::Apply(0), Fate::KilledAfter(Duration::from_secs(30)));
        let other = Step::Write { file: 1, rows: contrary.clone() };
        let [contrary, last] =
            [(2, Deed::Apply(1)), (3, goes_on)].map(|(label, deed)| command(label, deed, Fate::Undisturbed));
        let [begun, contrary, last] = [begun, contrary, last].map(Step::Command);
        assert!(holds(history.clone(), [rows, begun, other, contrary, last, undo(4, 2)]));
    }
}
