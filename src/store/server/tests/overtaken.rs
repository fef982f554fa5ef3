//! A server that another one takes over from, which follows it and may be behind.

use std::time::{Duration, Instant};

use super::between::Line;
use super::cluster::{self, Cluster, Place};
use super::{new_run, request, settlement, up_for};
use crate::store::engine::absence::Patience;
use crate::store::trust::unknown_calls::Uncertainty;
use crate::store::{
    AccountKey, Admission, AttemptTicket, Reader, Refusal, RunKey, RunState, Settlement, Store, server,
};

/// Two servers and a line to whichever is the first one.
struct Pair {
    first: Option<Cluster>,
    of_first: Place,
    of_follower: Place,
    line: Line,
    _follower: Cluster,
}

impl Pair {
    fn start() -> Option<Self> {
        let (first, follower) = Cluster::start_two()?;
        let of_first = first.new_place();
        let of_follower = follower.place(of_first.database.clone());
        let line = Line::to(&of_first);
        Some(Self { first: Some(first), of_first, of_follower, line, _follower: follower })
    }

    fn on_first(&self, sql: &str) -> String {
        cluster::tell(&self.of_first.address, sql).expect("an answer")
    }

    /// Waits until the follower has all that the first one has, and lets it follow no longer.
    fn leave_behind(&self) {
        let is_there = "SELECT count(*) > 0 AND bool_and(replay_lsn >= pg_current_wal_lsn()) FROM pg_stat_replication";
        until("the follower has everything", || self.on_first(is_there) == "t");
        let on_follower = |sql: &str| cluster::tell_any(&self.of_follower, sql);
        on_follower("ALTER SYSTEM SET primary_conninfo TO ''");
        on_follower("SELECT pg_reload_conf()");
        until("it follows no longer", || self.on_first("SELECT count(*) FROM pg_stat_replication") == "0");
    }

    /// Takes the first one away and has the other take over, while nothing comes through.
    fn fail_over(&mut self) {
        self.line.cut();
        drop(self.first.take());
        cluster::tell_any(&self.of_follower, "SELECT pg_promote()");
        self.line.lead_to(&self.of_follower);
    }

    fn number(&self, sql: &str) -> i64 {
        cluster::tell(&self.of_follower.address, sql).and_then(|text| text.parse().ok()).expect("a number")
    }

    async fn store(&self, hours: u64) -> Store {
        let store = Store::open_on(&self.line.address(&self.of_first), up_for(hours)).await.expect("a store");
        store.bear_absences(Duration::from_mins(2), None);
        store
    }

    /// Has nobody wait any more for those whose very beginning may be lost.
    fn let_time_pass(&self) {
        let earlier = "UPDATE tagfleet.custody SET reign_seen_at = sign(reign_seen_at)";
        cluster::tell(&self.of_follower.address, earlier);
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_mins(2), "{what}: not within two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn call(store: &Store, account: AccountKey, run: Option<RunKey>) {
    let admission = store.admit(request(account, run, "9/1h")).await.expect("an answer");
    let Admission::Granted(ticket) = admission else { panic!("{admission:?}") };
    store.settle(settlement(ticket)).await.expect("an outcome");
}

/// A run whose calls have begun.
async fn running(store: &Store) -> (AccountKey, RunKey) {
    running_as(store, "first").await
}

async fn running_as(store: &Store, run_id: &str) -> (AccountKey, RunKey) {
    let account = store.account("tenant", "app").await.expect("an account");
    let run = new_run(store, account, run_id).await;
    store.claim_run(run).await.expect("an answer");
    store.set_run_state(run, RunState::Running).await.expect("a state");
    (account, run)
}

/// What the ledger says to a call, once it does not wait for others any more.
async fn asked_until_all_are_back(pair: &Pair, store: &Store, account: AccountKey) -> Admission {
    let began = Instant::now();
    loop {
        pair.let_time_pass();
        let admission = store.admit(request(account, None, "9/1h")).await.expect("an answer");
        if !matches!(admission, Admission::Refused(Refusal::AwaitsOthers)) {
            return admission;
        }
        assert!(began.elapsed() < Duration::from_mins(2), "others are waited for in vain");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_is_seen_also_where_the_very_first_process_is_lost() {
    let Some(mut pair) = Pair::start() else { return };
    let address = pair.line.address(&pair.of_first);
    let made = tokio::task::spawn_blocking(move || server::prepare(&address, &Patience::default()));
    made.await.expect("an answer").expect("tables");
    pair.leave_behind();
    let lost = pair.store(1).await;
    let account = lost.account("tenant", "app").await.expect("an account");
    call(&lost, account, None).await;
    drop(lost);
    pair.fail_over();
    pair.line.mend();
    let next = pair.store(1).await;
    let account = next.account("tenant", "app").await.expect("an account");
    let admission = next.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(admission, Admission::Refused(Refusal::AwaitsOthers)), "{admission:?}");
    pair.let_time_pass();
    let admission = next.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(admission, Admission::Refused(Refusal::Window { .. })), "the quota is used up: {admission:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_a_server_lacks_which_takes_over_fill_the_quota_for_everybody_until_they_have_aged() {
    let Some(mut pair) = Pair::start() else { return };
    let (losing, other) = (pair.store(1).await, pair.store(70).await);
    let (account, run) = running(&losing).await;
    // Only what this test does is to be lost.
    other.seem_dead();
    pair.leave_behind();
    let kept = losing.admit(request(account, Some(run), "9/1h")).await.expect("an answer");
    let Admission::Granted(ticket) = kept else { panic!("{kept:?}") };
    losing.settle(settlement(ticket)).await.expect("an outcome");
    // Nobody knows how to do that again.
    losing.account("tenant", "another").await.expect("an account");
    // Its next call is to find out, and no heartbeat before.
    losing.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    pair.fail_over();
    pair.line.mend();
    let refused = other.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(refused, Admission::Refused(Refusal::AwaitsOthers)), "others may miss calls: {refused:?}");
    pair.let_time_pass();
    let refused = other.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(refused, Admission::Refused(Refusal::AwaitsOthers)), "however long that takes: {refused:?}");
    let lost = losing.admit(request(account, Some(run), "9/1h")).await.expect_err("its last call is not there");
    assert!(lost.to_string().contains("has lost what was stored last"), "{lost}");
    assert_eq!(crate::exit::storage_status(&lost).code(), 7);
    losing.settle(settlement(ticket)).await.expect_err("nothing more is taken of it");
    let Admission::Refused(Refusal::Window { until, .. }) = asked_until_all_are_back(&pair, &other, account).await
    else {
        panic!("the quota is not full")
    };
    assert!(until.since(other.clock.boot_time()) > Duration::from_hours(1), "a window after all may have arrived");
    let unknown = other.unknown_calls().await.expect("an answer").expect("calls of which nobody knows");
    assert_eq!(unknown.why, Uncertainty::Lost);
    assert_eq!(unknown.ended_by_at_worst, None, "nobody is waited for");
    assert_eq!(pair.number("SELECT ambiguous FROM tagfleet.operation"), 1, "it may have been done");
    assert_eq!(pair.number("SELECT count(*) FROM tagfleet.custody WHERE lost_at IS NOT NULL"), 1);
    let chunk_reading = losing.open_operations(run).await.expect("what is there now can be read");
    assert_eq!(chunk_reading, 1);
}

/// What the ledger lets through before it is full.
async fn let_through(pair: &Pair, store: &Store, account: AccountKey) -> usize {
    let mut count = 0;
    loop {
        match asked_until_all_are_back(pair, store, account).await {
            Admission::Granted(_) => count += 1,
            Admission::Refused(_) => return count,
        }
    }
}

async fn granted(store: &Store, account: AccountKey, run: RunKey, quota: &str) -> AttemptTicket {
    let admission = store.admit(request(account, Some(run), quota)).await.expect("an answer");
    let Admission::Granted(ticket) = admission else { panic!("{admission:?}") };
    ticket
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_lacks_that_takes_over_is_stored_again_each_once_and_the_run_goes_on() {
    let Some(mut pair) = Pair::start() else { return };
    let (losing, other) = (pair.store(1).await, pair.store(70).await);
    let (account, run) = running(&losing).await;
    let (_, of_other) = running_as(&other, "second").await;
    for store in [&losing, &other] {
        store.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    }
    let kept = granted(&losing, account, run, "9/1h").await;
    pair.leave_behind();
    losing.settle(Settlement { effects: vec![], ..settlement(kept) }).await.expect("an outcome");
    // More than the numbers that a server passes over when it takes over.
    for _ in 0..40 {
        let struck_out = granted(&losing, account, run, "9/1h").await;
        losing.settle(Settlement::never_sent(struck_out.attempt)).await.expect("it is gone");
    }
    let settled = granted(&losing, account, run, "9/1h").await;
    losing.settle(settlement(settled)).await.expect("an outcome");
    let in_flight = granted(&losing, account, run, "9/1h").await;
    pair.fail_over();
    pair.line.mend();
    // Their numbers are given to others meanwhile.
    let theirs = [granted(&other, account, of_other, "off").await, granted(&other, account, of_other, "off").await];
    assert!(theirs.iter().any(|ticket| ticket.attempt <= in_flight.attempt), "{theirs:?}");
    let refused = losing.admit(request(account, Some(run), "9/1h")).await.expect("it goes on");
    assert!(matches!(refused, Admission::Refused(Refusal::AwaitsOthers)), "{refused:?}");
    let own = format!("process_key = {}", losing.identity.process_key);
    assert_eq!((*losing.restorations().borrow(), *other.restorations().borrow()), (1, 0), "one word for each");
    let count = |what: &str| pair.number(&format!("SELECT count(*) FROM tagfleet.attempt WHERE {own} AND {what}"));
    let has_first_number = format!("attempt_key BETWEEN {} AND {}", kept.attempt.0 + 1, in_flight.attempt.0);
    assert_eq!(count(&has_first_number), 0, "no number means two calls");
    assert_eq!((count("TRUE"), count("ended IS NULL")), (3, 1), "what was settled, and what is in flight");
    losing.settle(settlement(in_flight)).await.expect("its first number is known");
    assert_eq!((count("TRUE"), count("verdict IS NULL")), (3, 0));
    assert_eq!(pair.number("SELECT count(*) FROM tagfleet.attempt WHERE verdict IS NULL"), 2, "those of the other");
    let of_run = |what: &str| pair.number(&format!("SELECT {what} FROM tagfleet.operation WHERE run_key = {}", run.0));
    assert_eq!((of_run("state"), of_run("ambiguous"), of_run("attempts")), (1, 0, 2), "each outcome once");
    for ticket in theirs {
        other.settle(settlement(ticket)).await.expect("an outcome");
    }
    assert_eq!(let_through(&pair, &losing, account).await, 9 - 3 - 2, "what was called counts, and nothing else");
    assert_eq!(losing.unknown_calls().await.expect("an answer"), None);
    assert_eq!(pair.number("SELECT count(*) FROM tagfleet.custody WHERE lost_at IS NOT NULL"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_again_is_not_stored_twice_where_the_answer_to_that_is_lost_and_is_there_before_it_is_read() {
    let Some(mut pair) = Pair::start() else { return };
    let losing = pair.store(1).await;
    let (account, run) = running(&losing).await;
    losing.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    pair.leave_behind();
    let settled = granted(&losing, account, run, "9/1h").await;
    losing.settle(settlement(settled)).await.expect("an outcome");
    let in_flight = granted(&losing, account, run, "9/1h").await;
    pair.fail_over();
    pair.line.mend();
    pair.line.lose_an_answer_after(0);
    let writing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        losing.settle(settlement(in_flight)).await
    };
    let (open, settled) = tokio::join!(losing.open_operations(run), writing);
    assert_eq!(open.expect("it waits for what is missing"), 0);
    settled.expect("an outcome");
    assert_eq!(pair.line.lost(), 1);
    assert_eq!(pair.number("SELECT count(*) FROM tagfleet.attempt"), 2);
    assert_eq!(pair.number("SELECT attempts FROM tagfleet.operation"), 2);
    assert_eq!(let_through(&pair, &losing, account).await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_share_a_statement_are_stored_again_also_where_that_to_their_commit_was_lost() {
    let Some(mut pair) = Pair::start() else { return };
    let losing = pair.store(1).await;
    let (account, run) = running(&losing).await;
    losing.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    let early = granted(&losing, account, run, "9/1h").await;
    pair.leave_behind();
    // What is settled first is of a call that is there already; the others are noted and settled by one statement each.
    losing.settle(settlement(early)).await.expect("an outcome");
    let mut tickets = Vec::new();
    for _ in 0..7 {
        tickets.push(granted(&losing, account, run, "9/1h").await);
    }
    let settle_all = async |tickets: Vec<AttemptTicket>| {
        let settle = |(place, ticket)| {
            let (store, mut settlement) = (losing.clone(), settlement(ticket));
            settlement.effects.truncate(place % 2);
            tokio::spawn(async move { store.settle(settlement).await })
        };
        for settled in tickets.into_iter().enumerate().map(settle).collect::<Vec<_>>() {
            settled.await.expect("no panic").expect("an outcome");
        }
    };
    let in_flight = tickets.split_off(4);
    pair.line.lose_an_answer_after(0);
    settle_all(tickets).await;
    assert_eq!(pair.line.lost(), 1);
    pair.fail_over();
    pair.line.mend();
    settle_all(in_flight).await;
    assert_eq!(*losing.restorations().borrow(), 1);
    let stored = "SELECT count(*) FROM tagfleet.attempt WHERE verdict IS NOT NULL";
    assert_eq!((pair.number(stored), pair.number("SELECT count(*) FROM tagfleet.attempt")), (8, 8));
    assert_eq!(pair.number("SELECT attempts FROM tagfleet.operation"), 4);
    assert_eq!(let_through(&pair, &losing, account).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_as_before_once_everybody_is_back_where_nothing_is_missing() {
    let Some(mut pair) = Pair::start() else { return };
    let (one, other) = (pair.store(1).await, pair.store(70).await);
    let account = one.account("tenant", "app").await.expect("an account");
    call(&one, account, None).await;
    call(&other, account, None).await;
    one.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    // What is asked of the server now comes about on both.
    let unfinished = one.admit(request(account, None, "9/1h")).await.expect("an answer");
    let Admission::Granted(ticket) = unfinished else { panic!("{unfinished:?}") };
    other.seem_dead();
    pair.leave_behind();
    pair.fail_over();
    pair.line.mend();
    let refused = one.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(refused, Admission::Refused(Refusal::AwaitsOthers)), "the other was not back yet: {refused:?}");
    one.settle(settlement(ticket)).await.expect("an outcome");
    other.account("tenant", "app").await.expect("an account");
    let refused = one.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(refused, Admission::Refused(Refusal::AwaitsOthers)), "another may be on its way: {refused:?}");
    let admission = asked_until_all_are_back(&pair, &one, account).await;
    assert!(matches!(admission, Admission::Granted(_)), "{admission:?}");
    assert_eq!(one.unknown_calls().await.expect("an answer"), None);
    assert_eq!(pair.number("SELECT count(*) FROM tagfleet.attempt"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_died_before_it_was_back_may_have_called_and_may_have_done_what_is_open() {
    let Some(mut pair) = Pair::start() else { return };
    let (one, dying) = (pair.store(1).await, pair.store(70).await);
    let (account, _) = running(&dying).await;
    one.seem_dead();
    dying.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    pair.leave_behind();
    pair.fail_over();
    pair.line.mend();
    let refused = one.admit(request(account, None, "9/1h")).await.expect("an answer");
    assert!(matches!(refused, Admission::Refused(Refusal::AwaitsOthers)), "{refused:?}");
    let silent = format!("UPDATE tagfleet.process SET seen_at = 0 WHERE process_key = {}", dying.identity.process_key);
    cluster::tell(&pair.of_follower.address, &silent);
    // Whoever has just begun was never without the server.
    let fresh = pair.store(9).await;
    assert_eq!(pair.number("SELECT ambiguous FROM tagfleet.operation"), 0, "it may still be signing in");
    pair.let_time_pass();
    fresh.sweep_dead_processes().await.expect("an answer");
    assert_eq!(pair.number("SELECT ambiguous FROM tagfleet.operation"), 1, "it may have been done");
    let admission = asked_until_all_are_back(&pair, &fresh, account).await;
    assert!(matches!(admission, Admission::Refused(Refusal::Window { .. })), "{admission:?}");
    let unknown = fresh.unknown_calls().await.expect("an answer").expect("calls of which nobody knows");
    assert_eq!(unknown.why, Uncertainty::DiedAtTakeover);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_is_known_to_have_been_at_work_somebody_may_have_been_and_have_called() {
    let Some(mut pair) = Pair::start() else { return };
    let before = pair.store(1).await;
    before.account("tenant", "app").await.expect("an account");
    before.put_in_order().await;
    pair.leave_behind();
    let unheard = pair.store(2).await;
    let account = unheard.account("tenant", "app").await.expect("an account");
    call(&unheard, account, None).await;
    unheard.seem_dead();
    pair.fail_over();
    pair.line.mend();
    let fresh = pair.store(70).await;
    assert_eq!(pair.number("SELECT count(*) FROM tagfleet.attempt"), 0, "nothing of it is there");
    let admission = asked_until_all_are_back(&pair, &fresh, account).await;
    assert!(matches!(admission, Admission::Refused(Refusal::Window { .. })), "{admission:?}");
    let unknown = fresh.unknown_calls().await.expect("an answer").expect("calls of which nobody knows");
    assert_eq!(unknown.why, Uncertainty::DiedAtTakeover);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_died_at_a_takeover_is_not_forgotten_before_it_counts_what_may_be_missing_of_him() {
    let Some(mut pair) = Pair::start() else { return };
    let dead = pair.store(1).await;
    let account = dead.account("tenant", "app").await.expect("an account");
    pair.leave_behind();
    call(&dead, account, None).await;
    dead.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    pair.fail_over();
    pair.line.mend();
    pair.number("WITH silent AS (UPDATE tagfleet.process SET seen_at = 0 RETURNING 1) SELECT count(*) FROM silent");
    let fresh = pair.store(70).await;
    pair.let_time_pass();
    fresh.prune(Duration::from_hours(2400)).await.expect("the store works");
    let admission = asked_until_all_are_back(&pair, &fresh, account).await;
    assert!(matches!(admission, Admission::Refused(Refusal::Window { .. })), "{admission:?}");
    let unknown = fresh.unknown_calls().await.expect("an answer").expect("calls of which nobody knows");
    assert_eq!(unknown.why, Uncertainty::DiedAtTakeover);
    fresh.prune(Duration::from_hours(2400)).await.expect("the store works");
    assert_eq!(pair.number("SELECT count(*) FROM tagfleet.process"), 1, "then he is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_beginning_is_lost_finds_that_out_also_where_its_number_was_given_to_another() {
    let Some(mut pair) = Pair::start() else { return };
    let before = pair.store(1).await;
    let account = before.account("tenant", "app").await.expect("an account");
    before.seem_dead();
    pair.leave_behind();
    let lost = pair.store(2).await;
    call(&lost, account, None).await;
    lost.identity.heartbeats.iter().for_each(crate::store::access::heartbeats::Heartbeats::stop);
    pair.fail_over();
    let same_number = format!(
        "SELECT setval(pg_get_serial_sequence('tagfleet.process', 'process_key'), {}, false)",
        lost.identity.process_key
    );
    cluster::tell(&pair.of_follower.address, &same_number);
    pair.line.mend();
    let other = Store::open_on(&pair.of_follower.address, up_for(70)).await.expect("a store");
    assert_eq!(other.identity.process_key, lost.identity.process_key);
    let (_, run) = running(&other).await;
    let error = lost.open_operations(run).await.expect_err("it reads what it has not written");
    assert!(error.to_string().contains("has lost what was stored last"), "{error}");
    let error = lost.admit(request(account, None, "9/1h")).await.expect_err("it is not there");
    assert!(error.to_string().contains("has lost what was stored last"), "{error}");
    let unknown = other.unknown_calls().await.expect("an answer").expect("calls of which nobody knows");
    let at_worst = unknown.ended_by_at_worst.expect("one that was at work is not back");
    assert!(at_worst > unknown.ended_by, "{unknown:?}");
    assert_eq!(pair.number("SELECT count(*) FROM tagfleet.custody WHERE lost_at IS NOT NULL"), 1);
    assert_eq!(pair.number("SELECT ambiguous FROM tagfleet.operation"), 0, "the run of the other is no matter of its");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_only_reads_is_not_shown_an_older_state_after_a_newer_one() {
    let Some(mut pair) = Pair::start() else { return };
    let one = pair.store(1).await;
    one.account("tenant", "app").await.expect("an account");
    one.seem_dead();
    let reader = Reader::open_on(&pair.line.address(&pair.of_first)).await.expect("an answer").expect("a state");
    assert!(reader.runs().await.expect("the runs").is_empty());
    pair.leave_behind();
    running(&one).await;
    assert_eq!(reader.runs().await.expect("the runs").len(), 1);
    pair.fail_over();
    pair.line.mend();
    for time in ["first", "second"] {
        let error = reader.runs().await.expect_err("the run is not there");
        assert!(error.to_string().contains("has lost what was stored last"), "the {time} time: {error}");
    }
    let fresh = Reader::open_on(&pair.of_follower.address).await.expect("an answer").expect("a state");
    assert!(fresh.runs().await.expect("what is there now").is_empty());
}
