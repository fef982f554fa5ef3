//! Whose quota is used is known before anything is stored or sent.

use super::*;
use crate::api::sign_in::{SignInMethod, Trouble};

fn refused() -> SignInError {
    let (method, party, message) = (SignInMethod::Secret, "login.example".into(), "no such app".into());
    SignInError::Refused { method, party, code: None, message }
}

fn unreachable() -> SignInError {
    SignInError::Unreachable {
        method: SignInMethod::AzureCli,
        party: "login.example".into(),
        trouble: Trouble::NoConnection,
        retry_after: None,
        source: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_sign_in_makes_no_second_account_and_no_call_and_answers_every_row() {
    let world = World::of(3);
    let failing = |identity| Invocation { identity: Err(identity), ..Invocation::default() };
    for (error, status) in [(unreachable(), ExitStatus::StoppedEarly), (refused(), ExitStatus::ServiceRefused)] {
        let said = world.apply(&adding("A", 3), &failing(error.clone())).await.exits(status);
        assert_eq!(said.statuses(), [("not_attempted".to_owned(), 3)].into(), "{}", said.messages);
        assert!(!said.messages.contains("tagfleet resume"), "nothing is stored: {}", said.messages);
        world.undo("run", &failing(error.clone())).await.exits(status);
        world.resume(None, &failing(error)).await.exits(status);
    }
    let slow = Invocation { signing_in_takes: Duration::from_mins(10), ..Invocation::default() };
    let interrupted = Invocation { interrupted_after: Some(Duration::from_secs(5)), ..slow.clone() };
    let late = Invocation { deadline: Some(Duration::from_secs(5)), ..slow };
    for how in [interrupted, late] {
        let said = world.apply(&adding("A", 3), &how).await.exits(ExitStatus::StoppedEarly);
        assert_eq!(said.statuses(), [("not_attempted".to_owned(), 3)].into(), "{}", said.messages);
    }
    assert_eq!((world.service.reads(), world.service.writes().len()), (0, 0));

    world.apply(&adding("A", 3), &Invocation::default()).await.exits(ExitStatus::Done);
    let store = world.store().await;
    assert_eq!(store.runs().await.expect("runs").len(), 1, "only the run that had a tenant is stored");
    let account = store.account("tenant", "app").await.expect("an account");
    assert_eq!(format!("{account:?}"), "AccountKey(1)", "it is the only one");
    assert_eq!(format!("{:?}", store.account("other", "app").await.expect("an account")), "AccountKey(2)");
}

#[tokio::test(start_paused = true)]
async fn a_first_sign_in_is_told_as_such_whoever_waits_for_it() {
    let takes = Duration::from_secs(3);
    let of_the_list = Invocation::default();
    let of_a_call = Invocation { inventory: false, ..Invocation::default() };
    for how in [of_the_list, of_a_call] {
        let world = World::of(3);
        world.service.is_in_trouble(service::Trouble::SignInTakes(takes));
        let said = world.apply(&adding("A", 3), &how).await.exits(ExitStatus::Done);
        let inventory = how.inventory;
        assert!(said.messages.contains("3.0 s signing in"), "inventory {inventory}: {}", said.messages);
    }
    let of_nobody_known = Invocation { signing_in_takes: takes, ..Invocation::default() };
    World::of(3).apply(&adding("A", 3), &of_nobody_known).await.exits(ExitStatus::Done).says("3.0 s signing in");
    let world = World::of(3);
    world.service.is_in_trouble(service::Trouble::SignInHangs);
    let late = Invocation { deadline: Some(Duration::from_secs(3)), ..Invocation::default() };
    world.apply(&adding("A", 3), &late).await.exits(ExitStatus::StoppedEarly).says(" s signing in");
}
