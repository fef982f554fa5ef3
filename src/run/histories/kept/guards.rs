//! Those that are about rules and guards.

use super::super::history::{Bound, Choice, Order};
use super::super::rules_file::{Condition, Manner, OwnTag, Rule, RulesFile};
use super::*;

#[test]
fn a_guard_reckons_with_the_list_of_the_plan_that_was_made_again_after_a_question_had_waited() {
    let mut history = plain();
    history.machines.push(history.machines[0].clone());
    history.machines[1].tags.push("old".into());
    history.machines[2].tags.push("old".into());
    let guard_removals = Some(Bound { percent: 50, count: 0 });
    let answered_after = Some(Duration::from_mins(20));
    let options = Options { answered_after, guard_removals, ..Options::default() };
    let guarded = Command { options, ..command(1, Deed::Apply(0), Fate::Undisturbed) };
    let meanwhile = vec![(Duration::from_mins(1), Step::List(3, false))];
    let rows = file(&[(remove("old"), 1), (remove("old"), 2), (set(DeviceValue::Low), 0)]);
    holds(history, [rows, Step::Command(Command { meanwhile, ..guarded })]);
}

#[test]
fn a_removal_is_withheld_with_the_others_where_its_row_speaks_of_a_value_that_failed() {
    let mut history = plain();
    history.machines[1].tags.push("old".into());
    history.machines[2] =
        Machine { nature: Nature::Stubborn, tags: vec!["tier0".into()], ..history.machines[2].clone() };
    let row = |machine, wishes: &[Wish]| Row { machine, reference: Reference::Id, wishes: wishes.to_vec() };
    let rows = vec![row(1, &[remove("old")]), row(2, &[remove("tier0"), set(DeviceValue::Low)])];
    let options = Options { guard_removals: Some(Bound { percent: 50, count: 0 }), ..Options::default() };
    let guarded = Command { options, ..command(1, Deed::Apply(0), Fate::Undisturbed) };
    holds(history, [Step::Write { file: 0, rows }, Step::Command(guarded)]);
}

#[test]
fn a_file_of_rules_is_brought_about_gone_on_with_and_taken_back_whenever_it_dies() {
    let mut history = plain();
    history.machines[0].tags.push("old".into());
    history.machines[2].tags.push("old".into());
    let wide = Bound { percent: 100, count: 100 };
    let rule = |condition, tag| Rule { condition, is_one_of: true, tag: Some(tag), value: None, only_reports: false };
    let rules = RulesFile {
        name: "one",
        own: ["old", "new"].map(|tag| OwnTag { tag, manner: Manner::Prefix }).to_vec(),
        scope: None,
        guard_removals: wide,
        guard_changes: wide,
        rules: vec![rule(Condition::Grouped, "new"), rule(Condition::Chosen(Choice::Odd), "old")],
    };
    let well = |label, deed| Step::Command(command(label, deed, Fate::Undisturbed));
    for goes_on in [Deed::ApplyRules(0), Deed::Resume(1)] {
        holds_whenever_it_dies(&history, |fate| {
            let declared = Step::Declare { file: 0, rules: rules.clone() };
            let first = Step::Command(command(1, Deed::ApplyRules(0), fate));
            vec![declared, first, well(2, goes_on), well(3, Deed::VerifyRules(0)), undo(4, 1)]
        });
    }
}

#[test]
fn a_guard_holds_for_what_is_carried_over_and_lets_go_what_another_has_withheld() {
    let mut history = plain();
    history.machines.iter_mut().for_each(|machine| machine.tags.push("old".into()));
    // It keeps the run open.
    history.machines[2].nature = Nature::Broken;
    let guarded = |label, choice, most: Option<u32>, fate| {
        let order = Order { file: None, add: Some("new"), remove: Some("old"), value: None };
        let guard_removals = most.map(|count| Bound { percent: 0, count });
        let options = Options { choice, guard_removals, ..Options::default() };
        Step::Command(Command { options, ..command(label, Deed::Order(order), fate) })
    };
    let well = Fate::Undisturbed;
    for choice in [None, Some(Choice::Valued(DeviceValue::High))] {
        // The guard comes later, or goes when it was too narrow.
        for most in [None, Some(0), Some(2)] {
            holds_whenever_it_dies(&history, |fate| {
                let first = guarded(1, choice, most, fate);
                vec![first, guarded(2, choice, Some(1), well), guarded(3, choice, Some(3), well)]
            });
        }
    }
    let files = [file(&[(remove("old"), 0)]), file(&[(remove("old"), 0), (remove("old"), 1), (remove("old"), 2)])];
    holds_whenever_it_dies(&history, |fate| {
        let options = Options { guard_removals: Some(Bound { percent: 0, count: 1 }), ..Options::default() };
        let last = Command { options, ..command(2, Deed::Apply(0), Fate::Undisturbed) };
        let [first, second] = files.clone();
        vec![first, apply(1, fate), second, Step::Command(last)]
    });
}
