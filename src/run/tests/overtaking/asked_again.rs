//! Whoever gives a command again wants what it says, whatever other runs have made of it since.

use super::*;
use crate::input::{Accepted, Orders};

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_again_before_the_list_was_read_is_the_later_word() {
    let world = World::of(12);
    let run = world.apply(&setting("High", 1..=12), &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly);
    let run = run.run_id();
    let last = values(&world, DeviceValue::High, 12..=12);
    assert!((2..10).contains(&values(&world, DeviceValue::High, 1..=11)));
    // The last machine is nobody's but the first run's.
    let fresh = Invocation { joins: false, ..Invocation::default() };
    world.apply(&setting("Low", 1..=11), &fresh).await.exits(ExitStatus::Done);
    tokio::time::sleep(Duration::from_hours(1)).await;
    let again = world.apply(&setting("High", 1..=12), &interrupted_after(50)).await.exits(ExitStatus::StoppedEarly);
    assert_eq!(again.run_id(), run);
    assert_eq!(fates(&again)[&fate("not_attempted", "not_attempted")], 12 - last, "{}", again.data);
    world.resume(Some(&run), &Invocation::default()).await.exits(ExitStatus::Done);
    assert_eq!(values(&world, DeviceValue::High, 1..=12), 12);
}

#[tokio::test(start_paused = true)]
async fn what_was_found_so_at_first_is_wanted_again_by_whoever_asks_again_before_the_list_is_read() {
    for is_left_before in [false, true] {
        let world = World::of(12);
        let before = world.apply(&setting("High", 1..=1), &Invocation::default()).await.exits(ExitStatus::Done);
        let run = world.apply(&setting("High", 1..=12), &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly);
        assert_eq!((run.rows()[0]["status"].as_str(), run.run_id() == before.run_id()), ("unchanged", false));
        let fresh = Invocation { joins: false, ..Invocation::default() };
        world.apply(&setting("Low", 1..=1), &fresh).await.exits(ExitStatus::Done);
        tokio::time::sleep(Duration::from_hours(1)).await;
        if is_left_before {
            let left = world.resume(Some(&run.run_id()), &interrupted_after(250)).await.exits(ExitStatus::StoppedEarly);
            assert_eq!(left.rows()[0]["error_code"], "changed_since", "{}", left.data);
        }
        world.apply(&setting("High", 1..=12), &interrupted_after(50)).await.exits(ExitStatus::StoppedEarly);
        world.resume(Some(&run.run_id()), &Invocation::default()).await.exits(ExitStatus::Done);
        assert_eq!(values(&world, DeviceValue::High, 1..=12), 12, "{is_left_before}");
    }
}

/// Asks on the command line that the machines 1 to 12 get a tag.
async fn adding_to_all(world: &World, how: &Invocation) -> Said {
    let machines: String = (1..=12).flat_map(|machine| [id(machine).to_string(), "\n".to_owned()]).collect();
    let orders = Orders::new(&["A".to_owned()], &[], None, Accepted::default()).expect("a tag");
    let options = InputOptions { orders: Some(orders), ..InputOptions::default() };
    world.apply_input_or_die(format!("machineId\n{machines}"), options, how).await.expect("it lives")
}

#[tokio::test(start_paused = true)]
async fn whoever_types_the_same_again_wants_what_another_run_has_changed_since_too() {
    let world = World::of(12);
    let run = adding_to_all(&world, &interrupted_after(600)).await.exits(ExitStatus::StoppedEarly).run_id();
    let is_done = |machine: &u32| world.service.machine(*machine).tags.iter().any(|tag| tag == "A");
    let (done, pending): (Vec<u32>, Vec<u32>) = (1..=12).partition(is_done);
    let fresh = Invocation { joins: false, ..Invocation::default() };
    for machine in [done[0], pending[0]] {
        for action in ["Add", "Remove"] {
            world.apply(&row(machine, "A", action, ""), &fresh).await.exits(ExitStatus::Done);
        }
    }
    let said = world.resume(Some(&run), &interrupted_after(250)).await.exits(ExitStatus::StoppedEarly);
    assert_eq!(fates(&said)[&fate("not_attempted", "changed_since")], 2, "{}", said.data);
    let said = adding_to_all(&world, &Invocation::default()).await.exits(ExitStatus::Done);
    let said = said.says(&format!("Run {run} of the same command is unfinished"));
    assert_eq!((said.statuses(), world.service.tagged("A")), ([("succeeded".to_owned(), 12)].into(), 12));
}
