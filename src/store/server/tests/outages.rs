//! A server that is away in the middle of work.

use std::time::{Duration, Instant};

use super::between::Line;
use super::cluster;
use super::{new_run, request, settlement, up_for};
use crate::clock::BootTime;
use crate::store::{AccountKey, Admission, AttemptTicket, RunKey, Store, StoreError};

/// A store on a line to a database of its own, with a run that makes calls.
async fn at_work(line: &Line, place: &cluster::Place) -> (Store, AccountKey, RunKey) {
    let store = Store::open_on(&line.address(place), up_for(1)).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let run = new_run(&store, account, "first").await;
    store.claim_run(run).await.expect("an answer");
    store.bear_absences(Duration::from_mins(1), None);
    (store, account, run)
}

async fn call(store: &Store, account: AccountKey, run: RunKey) -> AttemptTicket {
    let admission = store.admit(request(account, Some(run), "off")).await.expect("an answer");
    let Admission::Granted(ticket) = admission else { panic!("{admission:?}") };
    ticket
}

async fn until_away(store: &Store) {
    let mut absences = store.absences();
    absences.wait_for(Option::is_some).await.expect("the store is there");
}

fn number(place: &cluster::Place, sql: &str) -> i64 {
    cluster::tell(&place.address, sql).and_then(|text| text.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_while_the_server_is_away_is_stored_with_its_own_end_and_no_call_starts_before() {
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let (store, account, run) = at_work(&line, &place).await;
    let ticket = call(&store, account, run).await;
    line.cut();
    let (settling, asking) = (store.clone(), store.clone());
    let settled = tokio::spawn(async move { settling.settle(settlement(ticket)).await });
    let begun = tokio::spawn(async move { call(&asking, account, run).await });
    until_away(&store).await;
    let still_away = store.clock.boot_time();
    assert!(!settled.is_finished() && !begun.is_finished());
    line.mend();
    settled.await.expect("no panic").expect("an outcome");
    let later = begun.await.expect("no panic");
    assert!(later.started > still_away, "it starts when it is written down");
    let ended = number(&place, "SELECT ended FROM tagfleet.attempt WHERE verdict IS NOT NULL");
    assert!(BootTime::from_microseconds(ended) < still_away, "it ended when it was answered");
    assert_eq!(store.absence(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_is_given_up_with_the_number_of_answers_that_are_lost() {
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let (store, account, run) = at_work(&line, &place).await;
    let tickets = [call(&store, account, run).await, call(&store, account, run).await];
    line.cut();
    let settling = tickets.map(|ticket| {
        let store = store.clone();
        tokio::spawn(async move { store.settle(settlement(ticket)).await })
    });
    until_away(&store).await;
    while store.identity.patience().expect("a server").unstored_answers() < 2 {
        tokio::task::yield_now().await;
    }
    store.patience().shorten(Duration::ZERO);
    for settled in settling {
        let error = settled.await.expect("no panic").expect_err("nobody is there");
        assert!(matches!(error, StoreError::AnswersLost { answers: 2, .. }), "{error:?}");
        assert!(error.to_string().ends_with("cannot be reached, and 2 answers of the service could not be stored"));
        assert!(!error.is_setting() && error.hint().is_some());
    }
    let refused = store.admit(request(account, Some(run), "off")).await.expect_err("nobody is there");
    assert!(matches!(refused, StoreError::AnswersLost { answers: 2, .. }), "{refused:?}");
}

/// What is far less than a statement may take at the most, and far more than a wait that somebody has ended.
const SOON: Duration = Duration::from_secs(30);

/// Waits until the server has not answered for a while, of which nobody has been told yet.
async fn until_silent(store: &Store) {
    while store.silent_for().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.absence(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_run_can_be_told_when_its_server_stays_away() {
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let (store, account, run) = at_work(&line, &place).await;
    store.keep_a_copy(run).await;
    let settled = call(&store, account, run).await;
    line.cut();
    let settling = store.clone();
    let settling = tokio::spawn(async move { settling.settle(settlement(settled)).await });
    until_away(&store).await;
    store.patience().shorten(Duration::ZERO);
    settling.await.expect("no panic").expect_err("nobody is there");
    store.run_by_id("first").await.expect_err("nobody is there");
    let copy = store.copy_of_run().await.expect("a copy");
    assert_eq!(copy.run_by_id("first").await.expect("the run").key, run);
    assert_eq!(copy.open_operations(run).await.expect("no trouble"), 0);
    assert_eq!(copy.known_operations(run, None, 10).await.expect("no trouble").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_freezes_is_given_up_at_once_when_somebody_wants_to_go_and_asked_for_nothing_more() {
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let (store, account, run) = at_work(&line, &place).await;
    let ticket = call(&store, account, run).await;
    line.freeze();
    let settling = store.clone();
    let settled = tokio::spawn(async move { settling.settle(settlement(ticket)).await });
    until_silent(&store).await;
    let since = Instant::now();
    store.patience().shorten(Duration::ZERO);
    let error = settled.await.expect("no panic").expect_err("nobody answers");
    assert!(matches!(error, StoreError::AnswersLost { answers: 1, .. }), "{error:?}");
    assert!(store.absence().is_some());
    for _ in 0..3 {
        let refused = store.open_operations(run).await.expect_err("nobody answers");
        assert!(matches!(refused, StoreError::AnswersLost { answers: 1, .. }), "{refused:?}");
        store.admit(request(account, Some(run), "off")).await.expect_err("nobody answers");
    }
    store.put_in_order().await;
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_freezes_is_waited_for_as_long_as_one_that_is_gone_and_loses_nothing_if_it_goes_on() {
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let (store, account, run) = at_work(&line, &place).await;
    let tickets = [call(&store, account, run).await, call(&store, account, run).await];
    line.freeze();
    let [first, second] = tickets.map(|ticket| {
        let store = store.clone();
        tokio::spawn(async move { store.settle(settlement(ticket)).await })
    });
    until_silent(&store).await;
    line.mend();
    for settled in [first, second] {
        settled.await.expect("no panic").expect("an outcome");
    }
    let ticket = call(&store, account, run).await;
    let since = Instant::now();
    store.bear_absences(Duration::from_secs(1), None);
    line.freeze();
    store.settle(settlement(ticket)).await.expect_err("nobody answers");
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_waits_for_any_more_is_not_written_down_when_the_server_is_back() {
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let (store, account, run) = at_work(&line, &place).await;
    line.cut();
    let asking = store.clone();
    let unwanted = tokio::spawn(async move { call(&asking, account, run).await });
    until_away(&store).await;
    unwanted.abort();
    assert!(unwanted.await.is_err_and(|error| error.is_cancelled()));
    line.mend();
    assert_eq!(store.open_operations(run).await.expect("an answer"), 1);
    call(&store, account, run).await;
    assert_eq!(number(&place, "SELECT count(*) FROM tagfleet.attempt"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_taken_for_dead_by_whoever_has_missed_the_server_itself() {
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let (store, ..) = at_work(&line, &place).await;
    let silent = Store::open_on(&place.address, up_for(9)).await.expect("a store");
    silent.seem_dead();
    let long_unseen = || {
        let unseen = "UPDATE tagfleet.process SET seen_at = seen_at - 90000000000 WHERE process_key = 2";
        cluster::tell(&place.address, unseen);
    };
    long_unseen();
    let dead = || number(&place, "SELECT count(*) FROM tagfleet.process WHERE ended = 1");
    line.cut();
    let sweeping = store.clone();
    let swept = tokio::spawn(async move { sweeping.sweep_dead_processes().await });
    until_away(&store).await;
    line.mend();
    swept.await.expect("no panic").expect("an answer");
    store.sweep_dead_processes().await.expect("an answer");
    assert_eq!(dead(), 0);
    // A heartbeat may have been on its way when it fell silent.
    long_unseen();
    let fresh = Store::open_on(&place.address, up_for(2)).await.expect("a store");
    assert_eq!(dead(), 1, "whoever was never without it knows better");
    drop((silent, fresh));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_just_after_the_server_has_started_takes_nobody_for_dead_who_may_have_waited_for_it() {
    let Some(server) = cluster::Cluster::start_with(|_place| Vec::new()) else { return };
    let place = server.new_place();
    let living = Store::open_on(&place.address, up_for(1)).await.expect("a store");
    let account = living.account("tenant", "app").await.expect("an account");
    let run = new_run(&living, account, "run").await;
    living.claim_run(run).await.expect("an answer");
    living.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    for (last_seen, is_alive) in [("seen_at - 60000000", true), ("seen_at - 86500000000", false)] {
        cluster::tell(&place.address, &format!("UPDATE tagfleet.process SET seen_at = {last_seen}"));
        let fresh = Store::open_on(&place.address, up_for(70)).await.expect("a store");
        fresh.sweep_dead_processes().await.expect("an answer");
        let running = number(
            &place,
            "SELECT count(*) FROM tagfleet.process JOIN tagfleet.run USING (process_key) WHERE ended = 0",
        );
        assert_eq!(running == 1, is_alive, "{last_seen}");
    }
}
