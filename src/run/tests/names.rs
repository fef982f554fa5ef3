//! Rows that name machines otherwise than by their ids: what a run did under a name, and whose name that is today.

use super::*;
use crate::model::DeviceValue;

/// A tenant of eight machines with names, and one row for each of them that asks for this.
fn named(change: &str) -> (World, String) {
    let world = World::of(8);
    for machine in 1..=8 {
        world.service.call(machine, &format!("h{machine}.example"));
    }
    (world, (1..=8).fold(String::new(), |rows, machine| rows + &format!("h{machine}.example{change}\n")))
}

fn one_at_a_time() -> Invocation {
    Invocation { concurrency: 1, ..Invocation::default() }
}

/// Applies this until somebody interrupts it.
async fn interrupted_after(milliseconds: u64, world: &World, rows: &str) -> Said {
    let how = Invocation { interrupted_after: Some(Duration::from_millis(milliseconds)), ..one_at_a_time() };
    world.apply(rows, &how).await.exits(ExitStatus::StoppedEarly)
}

#[tokio::test(start_paused = true)]
async fn what_was_done_under_a_name_is_done_though_nobody_is_called_so_any_more() {
    for (change, is_edited) in [(",,Set,High", false), (",A,Add,", false), (",,Set,High", true), (",A,Add,", true)] {
        let (world, rows) = named(change);
        let said = interrupted_after(550, &world, &rows).await;
        let done: Vec<u32> =
            (1..=8).filter(|machine| said.rows()[*machine as usize - 1]["status"] == "succeeded").collect();
        assert!((2..8).contains(&done.len()), "{}", said.data);
        world.service.list(done[0], false);
        world.service.call(done[1], "other.example");
        let writes = world.service.writes().len();
        // Sorted otherwise, and with one more row.
        let edited = rows.lines().rev().fold(row(8, "B", "Add", ""), |edited, line| edited + line + "\n");
        let said = world.apply(if is_edited { &edited } else { &rows }, &Invocation::default()).await;
        let (said, more) = (said.exits(ExitStatus::Done), usize::from(is_edited));
        assert_eq!(said.statuses(), [("succeeded".to_owned(), 8 + more)].into(), "{}", said.data);
        assert_eq!(world.service.writes().len(), writes + 8 - done.len() + more, "each once");
        let run = said.run_id();
        let nothing_left = "nothing is left to send";
        world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done).says(nothing_left);
        world.service.list(done[0], true);
        world.undo(&run, &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(world.service.tagged("A"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_to_a_machine_that_no_row_names_any_more() {
    for is_away in [false, true] {
        let (world, rows) = named(",A,Add,High");
        interrupted_after(950, &world, &rows).await;
        let is_half_done = |machine: &u32| {
            let machine = world.service.machine(*machine);
            machine.tags.is_empty() != (machine.value == DeviceValue::Normal)
        };
        let half = (1..=8).find(is_half_done).expect("one that has its tag only");
        if is_away {
            world.service.list(half, false);
        } else {
            world.service.call(half, "other.example");
        }
        let before = world.service.machine(half);
        let said = world.apply(&rows, &Invocation::default()).await.exits(ExitStatus::RowsFailed);
        assert_eq!((world.service.machine(half), said.statuses()["failed"]), (before, 1), "{}", said.data);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_under_a_name_is_unknown_when_nobody_is_called_so_any_more() {
    for change in [",,Set,High", ",A,Add,"] {
        for is_away in [false, true] {
            let (world, rows) = named(change);
            let dying = Invocation { dies_after: Some(Duration::from_millis(450)), ..one_at_a_time() };
            assert!(world.apply_or_die(&rows, &dying).await.is_none());
            let known = world.store().await;
            known.sweep_dead_processes().await.expect("the store works");
            let account = known.account("tenant", "app").await.expect("an account");
            let run = known.unfinished_runs(account, "host").await.expect("the store works").remove(0).run.key;
            let known = known.known_operations(run, None, 8).await.expect("the store works");
            let in_flight = known.iter().find(|known| known.ambiguous).expect("a call in flight");
            let machine = (1..=8).find(|machine| id(*machine) == in_flight.operation.machine).expect("one of them");
            if is_away {
                world.service.list(machine, false);
            } else {
                world.service.call(machine, "other.example");
            }
            let said = world.apply(&rows, &Invocation::default()).await.exits(ExitStatus::RowsFailed);
            assert_eq!((said.statuses()["unknown"], said.statuses()["succeeded"]), (1, 7), "{}", said.data);
            let row = said.rows().into_iter().find(|row| row["status"] == "unknown").expect("a row");
            assert_eq!(row["error_code"], "machine_not_found");
            // Its slot is taken back under its id, and nothing under its name.
            let undone = world.undo(&said.run_id(), &Invocation::default()).await.exits(ExitStatus::Done);
            assert_eq!(undone.rows().len(), 8, "{}", undone.data);
            let is_back = |machine| world.service.machine(machine).value == DeviceValue::Normal;
            assert_eq!((world.service.tagged("A"), (1..=8).all(is_back)), (0, true));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_done_under_a_name_and_somebody_has_undone_is_not_done_again_under_another() {
    for is_away in [false, true] {
        let (world, rows) = named(",A,Add,");
        interrupted_after(450, &world, &rows).await;
        let done = (1..=8).find(|machine| !world.service.machine(*machine).tags.is_empty()).expect("one that is done");
        tokio::time::sleep(Duration::from_hours(1)).await;
        world.service.call(done, "other.example");
        world.service.change(done, |machine| machine.tags.clear());
        world.service.list(done, !is_away);
        let said = world.apply(&rows, &Invocation::default()).await;
        let status = if is_away { "succeeded" } else { "unknown" };
        assert_eq!(said.rows()[done as usize - 1]["status"], status, "{}", said.data);
        assert!(world.service.machine(done).tags.is_empty());
    }
}
