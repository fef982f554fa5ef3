//! Every wait looks at its time, at the deadline and at whoever interrupts.

use super::*;
use crate::store::{NewRun, RunState};

const MINUTE: Duration = Duration::from_mins(1);

/// A run of this tenant in another process, as far as this state.
async fn run_of_another(world: &World, state: RunState) -> Store {
    let store = world.store().await;
    let account = store.account("tenant", "app").await.expect("an account");
    let run = NewRun { run_id: "other".into(), input_path: "/other.csv".into(), ..NewRun::sample(account) };
    let run = store.create_run(run).await.expect("a run");
    if state != RunState::Preparing {
        store.set_run_state(run, state).await.expect("a state");
    }
    store
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_living_process_prepares_or_carries_out_is_waited_for_no_longer_than_asked() {
    for state in [RunState::Preparing, RunState::Running] {
        let world = World::of(1);
        let _other = run_of_another(&world, state).await;
        for (lock_wait, deadline, expected_seconds) in
            [(None, None, 0), (Some(3), None, 3), (Some(300), Some(5), 5), (Some(3), Some(300), 3)]
        {
            let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
            let (lock_wait, deadline) = (seconds(lock_wait), seconds(deadline));
            let how = Invocation { lock_wait, deadline, ..Invocation::default() };
            let began = world.clock.boot_time();
            let resuming = tokio::time::timeout(10 * MINUTE, world.resume(Some("other"), &how));
            let said = resuming.await.expect("it ends").exits(ExitStatus::AnotherRun);
            said.says("another run is in the way: run other");
            let waited = world.clock.boot_time().since(began).as_secs();
            assert_eq!(waited, expected_seconds, "{state:?} {lock_wait:?} {deadline:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_another_run_hears_interrupts() {
    for state in [RunState::Preparing, RunState::Running] {
        let world = World::of(1);
        let _other = run_of_another(&world, state).await;
        let interrupted_after = Some(Duration::from_millis(2500));
        let how = Invocation { lock_wait: Some(10 * MINUTE), interrupted_after, ..Invocation::default() };
        let began = world.clock.boot_time();
        let resuming = tokio::time::timeout(5 * MINUTE, world.resume(Some("other"), &how));
        resuming.await.expect("it ends").exits(ExitStatus::AnotherRun).says("the wait for it was interrupted");
        assert_eq!(world.clock.boot_time().since(began).as_secs(), 2, "{state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_hears_interrupts_and_ends_with_the_deadline() {
    let world = World::of(2);
    let asked = Invocation { answered_after: Some(9 * MINUTE), ..Invocation::default() };
    let interrupted = Invocation { interrupted_after: Some(MINUTE), ..asked.clone() };
    let said = world.apply(&adding("A", 2), &interrupted).await;
    said.exits(ExitStatus::InputRefused).says("cancelled; nothing was changed");
    let late = Invocation { deadline: Some(MINUTE), ..asked.clone() };
    let said = world.apply(&adding("A", 2), &late).await;
    said.exits(ExitStatus::StoppedEarly).says("no answer before the deadline; nothing was changed");
    assert_eq!(world.service.writes(), []);
    world.apply(&adding("A", 2), &asked).await.exits(ExitStatus::Done);
    assert_eq!(world.service.tagged("A"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_run_is_that_of_the_whole_command_and_says_who_was_waited_for() {
    let world = World::of(2);
    let reading_took = Duration::from_hours(2);
    let how = Invocation { answered_after: Some(9 * MINUTE), reading_took, ..Invocation::default() };
    let said = world.apply(&adding("A", 2), &how).await.exits(ExitStatus::Done);
    said.says("Time: 2 h 9 min (2 h 0 min reading the input, 9 min 0 s waiting for an answer to its question");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_its_deadline_ends_names_what_stood_in_its_way_and_waits_no_longer() {
    use super::service::Trouble;
    use crate::api::sign_in::{SignInMethod, Trouble as NoToken};
    use crate::api::{Answer, Loss, LossKind, Response};

    let lost = |kind| Trouble::Answer(Answer::Lost(Loss { kind, description: "lost".into() }));
    let status = |status, retry_after: Option<&str>| {
        let retry_after = retry_after.map(str::to_owned);
        Trouble::Answer(Answer::Response(Response { status, retry_after, ..Response::default() }))
    };
    let no_token = |trouble, retry_after| {
        let (method, party) = (SignInMethod::Secret, "login.example".to_owned());
        Trouble::NoToken(SignInError::Unreachable { method, party, trouble, retry_after, source: None })
    };
    let table = [
        (Trouble::Hangs, "at its deadline (no answer "),
        (lost(LossKind::ConnectionRefused), "at its deadline (connection refused"),
        (lost(LossKind::UnknownHost), "at its deadline (no host of that name found"),
        (lost(LossKind::NotTls), "at its deadline (the port does not speak TLS"),
        (status(503, None), "503"),
        (status(429, Some("600")), "at its deadline (429 from the service, next call "),
        (Trouble::SignInHangs, "at its deadline (no answer from the sign-in service since "),
        (no_token(NoToken::Status(503), None), "at its deadline (503 from the sign-in service, next call "),
        (no_token(NoToken::Status(429), Some(MINUTE)), "at its deadline (429 from the sign-in service, next call "),
        (
            no_token(NoToken::Unreadable, None),
            "at its deadline (the sign-in service answered with something that is not",
        ),
    ];
    for (trouble, words) in table {
        // What stands in the way of reading the machines, and of the run's own calls.
        for inventory in [true, false] {
            let world = World::of(2);
            world.service.is_in_trouble(trouble.clone());
            // Whoever is never reached for longer is given up.
            let deadline = Some(Duration::from_millis(5900));
            let how = Invocation { inventory, deadline, quota: "100/1m", ..Invocation::default() };
            let began = world.clock.boot_time();
            let said = world.apply(&adding("A", 2), &how).await.exits(ExitStatus::StoppedEarly);
            let took = world.clock.boot_time().since(began);
            assert!(took <= Duration::from_secs(61), "{words} {inventory}: {took:?}");
            said.says(words);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_answered_is_tried_for_no_longer_than_an_outage_may_last() {
    use super::service::Trouble;
    use crate::api::{Answer, Loss, LossKind};

    for (inventory, seconds) in [(true, 4), (false, 4), (true, 1)] {
        let world = World::of(2);
        let loss = Loss { kind: LossKind::ConnectionRefused, description: "lost".into() };
        world.service.is_in_trouble(Trouble::Answer(Answer::Lost(loss)));
        let max_outage = Duration::from_secs(seconds);
        let began = world.clock.boot_time();
        let said = world.apply(&adding("A", 2), &Invocation { inventory, max_outage, ..Invocation::default() }).await;
        said.exits(ExitStatus::StoppedEarly);
        let took = world.clock.boot_time().since(began);
        assert!((max_outage..max_outage + Duration::from_secs(1)).contains(&took), "{inventory} {seconds}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_a_run_to_end_when_its_last_calls_are_on_their_way_finds_it_finished() {
    // The list takes 100 ms, and then four calls at a time do.
    let during_the_first_four = Some(Duration::from_millis(150));
    let interrupted = Invocation { interrupted_after: during_the_first_four, ..Invocation::default() };
    let late = Invocation { deadline: during_the_first_four, ..Invocation::default() };
    for how in [interrupted, late] {
        let world = World::of(5);
        let said = world.apply(&adding("A", 4), &how).await.exits(ExitStatus::Done);
        assert!(!said.messages.contains("stopped early"), "{}", said.messages);
        world.apply(&adding("B", 5), &how).await.exits(ExitStatus::StoppedEarly).says("tagfleet resume");
        assert_eq!([world.service.tagged("A"), world.service.tagged("B")], [4, 4]);
    }
}
