//! A tag renamed or removed on every machine that has it: left on the way, resumed, taken back.

use super::*;
use crate::input::Accepted;
use crate::plan::tag_change::TagChange;

impl World {
    /// A tenant with the machines 1 to `machines`, all of which have the tag.
    fn tagged(tag: &str, machines: u32) -> Self {
        let world = Self::of(machines);
        (1..=machines).for_each(|number| world.service.change(number, |machine| machine.tag(tag)));
        world
    }

    async fn retag_or_die(&self, change: &TagChange, how: &Invocation) -> Option<Said> {
        let order = ApplyOrder {
            target: ResultsTarget::StandardOutput,
            planning: how.planning(),
            run: how.run(),
            joins: how.joins,
        };
        let typed = format!("tags {:?}", change.changes().map(|change| change.to_string()).collect::<Vec<_>>());
        let retagging = Retagging { change: change.clone(), typed, filter: None };
        let ended = self.command(how, async |world, mut context| {
            let outcome = match world.tenant(&mut context, how).await {
                Ok(tenant) => Box::pin(retag(&tenant, &order, &retagging, &mut context)).await,
                Err(error) => Err(error),
            };
            (context, outcome)
        });
        ended.await
    }

    async fn retag(&self, change: &TagChange, how: &Invocation) -> Said {
        self.retag_or_die(change, how).await.expect("it lives")
    }

    fn held<const COUNT: usize>(&self, tags: [&str; COUNT]) -> [usize; COUNT] {
        tags.map(|tag| self.service.tagged(tag))
    }
}

fn rename(old: &str, new: &str) -> TagChange {
    TagChange::rename(old, new, Accepted::default()).expect("two tags")
}

#[tokio::test(start_paused = true)]
async fn the_same_command_goes_on_with_a_run_that_was_left_and_answers_every_machine() {
    let moments = [450, 1010, 1550, 2040, 2980].map(Duration::from_millis);
    for (dies, after) in [false, true].into_iter().flat_map(|dies| moments.map(|after| (dies, Some(after)))) {
        let world = World::tagged("Old", 20);
        let tagged = world.service.machine(20);
        world.service.change(20, |machine| machine.tags.clear());
        let left = Invocation { concurrency: 1, ..Invocation::default() };
        let left = if dies {
            Invocation { dies_after: after, ..left }
        } else {
            Invocation { interrupted_after: after, ..left }
        };
        let said = world.retag_or_die(&rename("Old", "New"), &left).await;
        assert_eq!(said.is_none(), dies);
        let [old, new] = world.held(["Old", "New"]);
        assert!(new >= 19 - old && (1..30).contains(&(new + 19 - old)), "{old} {new}");
        // Somebody gives the tag to another machine meanwhile.
        world.service.change(20, |machine| machine.clone_from(&tagged));
        let said = world.retag(&rename("Old", "New"), &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(world.held(["Old", "New"]), [0, 20]);
        assert_eq!(said.statuses(), [("succeeded".to_owned(), 40)].into(), "{dies} {after:?}: {}", said.messages);
        let runs = world.store().await.runs().await.expect("runs");
        assert_eq!((runs.len(), &runs[0].run_id), (1, &said.run_id()));
        assert!(world.service.writes().len() <= 41, "nothing is sent again but what was in flight");
        world.undo(&said.run_id(), &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(world.held(["Old", "New"]), [20, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_left_is_resumed_by_its_name_and_another_change_is_another_run() {
    let world = World::tagged("Old", 20);
    let left = Invocation { interrupted_after: Some(Duration::from_secs(1)), concurrency: 1, ..Invocation::default() };
    let first = world.retag(&rename("Old", "New"), &left).await.exits(ExitStatus::StoppedEarly).run_id();
    let done = world.service.tagged("New");
    assert!((1..20).contains(&done), "{done}");
    let other = world.retag(&rename("New", "Newer"), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_ne!(other.run_id(), first);
    assert_eq!(world.held(["New", "Newer"]), [0, done]);
    world.resume(Some(&first), &Invocation::default()).await.exits(ExitStatus::Done);
    // What a later run has taken off the tenant stays away everywhere, and the tag that it was to replace stays.
    assert_eq!(world.held(["Old", "New", "Newer"]), [20, 0, done]);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_off_the_tenant_later_an_older_run_brings_back_nowhere() {
    let left =
        Invocation { interrupted_after: Some(Duration::from_millis(600)), concurrency: 1, ..Invocation::default() };
    let remove = TagChange::remove("A").expect("a tag");
    for is_undone in [false, true] {
        let world = World::of(20);
        let first = world.apply(&each_with_a_tag_of_its_own(), &left).await.exits(ExitStatus::StoppedEarly).run_id();
        let done = world.service.tagged("A");
        assert!((1..10).contains(&done), "{done}");
        let later = world.retag(&remove, &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(later.statuses(), [("succeeded".to_owned(), done)].into());
        if is_undone {
            world.undo(&later.run_id(), &Invocation::default()).await.exits(ExitStatus::Done);
        }
        // The other tags are nobody's but the first run's.
        world.resume(None, &Invocation::default()).await.exits(ExitStatus::Done).says(&format!("Resuming run {first}"));
        assert_eq!(world.held(["A", "B"]), [if is_undone { 10 } else { 0 }, 10]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_taken_off_the_tenant_is_taken_off_what_a_living_run_is_still_to_give_it_to() {
    for (change, lock_wait) in [
        (TagChange::remove("A").expect("a tag"), None),
        (TagChange::remove("A").expect("a tag"), Some(Duration::from_hours(1))),
        (rename("A", "Z"), Some(Duration::from_hours(1))),
    ] {
        let world = World::of(20);
        world.service.change(20, |machine| machine.tag("A"));
        let slow = Invocation { quota: "1/1m", concurrency: 1, ..Invocation::default() };
        // The machine that comes first is changed last.
        let rows = row(1, "A", "Add", "") + &row(2, "C", "Add", "") + &row(3, "B", "Add", "");
        let first = async { world.apply(&rows, &slow).await.exits(ExitStatus::Done) };
        let second = async {
            tokio::time::sleep(Duration::from_secs(90)).await;
            let other = Invocation { lock_wait, ..Invocation::default() };
            let status = if lock_wait.is_some() { ExitStatus::Done } else { ExitStatus::AnotherRun };
            world.retag(&change, &other).await.exits(status);
        };
        tokio::join!(first, second);
        let expected = match (change.new_tag(), lock_wait) {
            (_, None) => [2, 0],
            (None, _) => [0, 0],
            (Some(_), _) => [0, 2],
        };
        assert_eq!(world.held(["A", "Z"]), expected, "{change:?}");
    }
}

/// The first ten machines get one tag, the others another.
fn each_with_a_tag_of_its_own() -> String {
    (1..=20).map(|machine| row(machine, if machine <= 10 { "A" } else { "B" }, "Add", "")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_remove_is_left_with_its_add_that_a_later_run_has_taken_away_and_is_not_fed_back() {
    let world = World::tagged("Old", 20);
    let left = Invocation { interrupted_after: Some(Duration::from_secs(1)), concurrency: 1, ..Invocation::default() };
    let first = world.retag(&rename("Old", "New"), &left).await.exits(ExitStatus::StoppedEarly).run_id();
    let has_new = |machine: &u32| world.service.machine(*machine).tags.iter().any(|tag| tag == "New");
    let taken: Vec<u32> = (1..=20).filter(has_new).take(1).collect();
    let rows: String = taken.iter().map(|machine| row(*machine, "New", "Remove", "")).collect();
    world.apply(&rows, &Invocation { joins: false, ..Invocation::default() }).await.exits(ExitStatus::Done);
    let said = world.resume(Some(&first), &Invocation::default()).await.exits(ExitStatus::Done);
    let left_alone = said.rows().iter().filter(|row| row["error_code"] == "changed_since").count();
    assert_eq!((left_alone, said.statuses().get("succeeded")), (2, Some(&38)), "{}", said.data);
    assert!(!said.messages.contains("feed back") && !said.messages.contains("Next:"), "{}", said.messages);
    assert_eq!(world.held(["Old", "New"]), [1, 19]);
}

#[tokio::test(start_paused = true)]
async fn no_machine_loses_the_old_tag_before_it_has_the_new_one() {
    let world = World::tagged("Old", 30);
    world.retag(&rename("Old", "New"), &Invocation::default()).await.exits(ExitStatus::Done);
    let writes = world.service.writes();
    let position = |machine: u32, what: &str| {
        writes.iter().position(|(written, change)| *written == id(machine) && change.starts_with(what)).expect(what)
    };
    assert!((1..=30).all(|machine| position(machine, "Add") < position(machine, "Remove")), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_lags_behind_our_own_writes_hides_no_machine_and_shows_none_that_has_lost_the_tag() {
    let world = World::tagged("Old", 12);
    world.service.lag(Duration::from_mins(5));
    let how = Invocation::default();
    world.retag(&rename("Old", "New"), &how).await.exits(ExitStatus::Done);
    world
        .retag(&TagChange::remove("Old").expect("a tag"), &how)
        .await
        .exits(ExitStatus::Done)
        .says("No machine of the tenant has the tag \"Old\".");
    world.retag(&rename("Old", "Third"), &how).await.exits(ExitStatus::Done).says("No machine");
    world.retag(&rename("New", "Newer"), &how).await.exits(ExitStatus::Done);
    assert_eq!(world.held(["New", "Newer"]), [0, 12]);
    assert_eq!(world.service.tagged("Third"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_waited_for_too_long_is_made_again_with_the_machines_that_have_the_tag_by_then() {
    let world = World::tagged("Old", 6);
    world.service.change(6, |machine| machine.tags.clear());
    let slow = Invocation { answered_after: Some(Duration::from_mins(11)), ..Invocation::default() };
    let remove = TagChange::remove("Old").expect("a tag");
    let (said, ()) = tokio::join!(world.retag(&remove, &slow), async {
        tokio::time::sleep(Duration::from_mins(5)).await;
        world.service.change(6, |machine| machine.tag("Old"));
    });
    let said = said.exits(ExitStatus::Done).says("so tagfleet reads the tenant and plans again");
    assert_eq!((world.service.tagged("Old"), said.rows().len()), (0, 6));
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_the_same_command_again_wants_what_another_run_has_changed_since_too() {
    for is_resumed in [false, true] {
        let world = World::tagged("Old", 20);
        let left =
            Invocation { interrupted_after: Some(Duration::from_secs(1)), concurrency: 1, ..Invocation::default() };
        let first = world.retag(&rename("Old", "New"), &left).await.exits(ExitStatus::StoppedEarly).run_id();
        let has_new = |machine: &u32| world.service.machine(*machine).tags.iter().any(|tag| tag == "New");
        let taken: Vec<u32> = (1..=20).filter(has_new).take(1).collect();
        let rows: String = taken.iter().map(|machine| row(*machine, "New", "Remove", "")).collect();
        let pending = (1..=20).find(|machine| !has_new(machine)).expect("one that is not done");
        let fresh = Invocation { joins: false, ..Invocation::default() };
        for rows in [rows, row(pending, "New", "Add", ""), row(pending, "New", "Remove", "")] {
            world.apply(&rows, &fresh).await.exits(ExitStatus::Done);
        }
        if is_resumed {
            let said = world.resume(Some(&first), &left).await.exits(ExitStatus::StoppedEarly);
            assert!(said.rows().iter().any(|row| row["error_code"] == "changed_since"), "{}", said.data);
        }
        let said = world.retag(&rename("Old", "New"), &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!((said.run_id(), said.statuses()), (first, [("succeeded".to_owned(), 40)].into()), "{}", said.data);
        assert_eq!(world.held(["Old", "New"]), [0, 20], "{is_resumed}");
    }
}
