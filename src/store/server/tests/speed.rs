//! What is done at once, and what that must not change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::between::Line;
use super::cluster;
use super::{Claimed, claimed, make_calls, new_run, request, settlement, up_for};
use crate::clock::BootTime;
use crate::model::{Change, ChangeKind, DeviceValue, Held, MachineId, OperationId};
use crate::store::engine::sql::{Transaction, params};
use crate::store::server::{PasswordSource, ServerAddress};
use crate::store::{
    Admission, InputChunk, NewOperation, NewRun, OperationState, Refusal, SettledOperation, Store, WorkKind,
};

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_made_at_once_share_their_ways_to_the_server() {
    let Some(Claimed { place, line, store, account, run }) = claimed().await else { return };
    let (before, statements) = (line.flights(), line.statements());
    let callers = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { make_calls(&store, account, Some(run), 10, || ()).await })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
    let (flights, statements) = (line.flights() - before, line.statements() - statements);
    assert!(flights < 160 * 2, "{flights} ways to the server for 160 calls");
    assert!(statements < 160 * 3, "{statements} statements for 160 calls");
    let written = "SELECT count(*) || ' ' || count(ended) || ' ' || count(DISTINCT attempt_key) FROM tagfleet.attempt";
    assert_eq!(cluster::tell(&place.address, written).as_deref(), Some("160 160 160"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_alone_takes_five_ways_to_the_server_and_shows_that_its_process_lives() {
    let Some(Claimed { place, line, store, account, run }) = claimed().await else { return };
    // For the quota its calls are asked for once more, when it is known how many are in flight.
    for (quota, ways) in [("off", 4), ("1000/1m", 5)] {
        let never = "UPDATE tagfleet.process SET seen_at = 0";
        let before = line.flights();
        for _ in 0..20 {
            cluster::tell(&place.address, never);
            let admission = store.admit(request(account, Some(run), quota)).await.expect("an answer");
            let Admission::Granted(ticket) = admission else { panic!("{admission:?}") };
            let seen = cluster::tell(&place.address, "SELECT seen_at > 0 FROM tagfleet.process");
            assert_eq!(seen.as_deref(), Some("t"));
            cluster::tell(&place.address, never);
            store.settle(settlement(ticket)).await.expect("an outcome");
            let seen = cluster::tell(&place.address, "SELECT seen_at > 0 FROM tagfleet.process");
            assert_eq!(seen.as_deref(), Some("t"));
        }
        let flights = line.flights() - before;
        // A heartbeat may have come in between.
        assert!(flights < 20 * ways + 20, "{flights} ways to the server for 20 calls with the quota {quota}");
    }
    let written = "SELECT attempts || ' ' || state FROM tagfleet.operation";
    assert_eq!(cluster::tell(&place.address, written).as_deref(), Some("40 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_asked_for_after_what_is_settled_in_the_same_transaction() {
    let Some(Claimed { store, account, run, .. }) = claimed().await else { return };
    let Admission::Granted(first) = store.admit(request(account, Some(run), "1/1h")).await.expect("an answer") else {
        panic!("refused")
    };
    let (is_at_work, may_end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (writer, told, ends) = (store.writer.clone(), Arc::clone(&is_at_work), Arc::clone(&may_end));
    let busy = tokio::spawn(async move {
        let work = move |_transaction: &Transaction<'_>| {
            told.store(true, Ordering::SeqCst);
            while !ends.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(())
        };
        writer.run(work).await
    });
    while !is_at_work.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    let (settled, asked, ()) =
        tokio::join!(store.settle(settlement(first)), store.admit(request(account, Some(run), "1/1h")), async {
            may_end.store(true, Ordering::SeqCst);
        });
    settled.expect("an outcome");
    busy.await.expect("no panic").expect("an answer");
    // Before, the call in flight kept it from being made.
    let refused = asked.expect("an answer");
    assert!(matches!(refused, Admission::Refused(Refusal::Window { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_read_with_all_that_answers_them_at_once_and_nobody_is_kept_from_writing() {
    let Some(place) = cluster::new_place() else { return };
    let line = Line::to(&place);
    let store = Store::open_on(&line.address(&place), up_for(1)).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let run = new_run(&store, account, "first").await;
    let operation = |number| NewOperation {
        operation: OperationId(number),
        machine: MachineId::from_service(&format!("m{number}")),
        change: Change::DeviceValue(DeviceValue::High),
        swap: None,
        unlisted: false,
        before: Held::Unknown,
        settled: None,
    };
    store.add_operations(run, (1..300).map(operation).collect()).await.expect("operations");
    let operations = (0..300).map(|number| vec![OperationId(number), OperationId(7)]).collect();
    let input = InputChunk { first_row: 1, numbers: vec![], records: vec![], operations };
    store.add_chunks(run, vec![input]).await.expect("rows");
    let count = || cluster::tell(&place.address, "SELECT commits FROM tagfleet.custody");
    store.seem_dead();
    let (before, commits) = (line.flights(), count());
    let chunk = store.chunk(run, 1).await.expect("an answer").expect("rows");
    assert_eq!(chunk.operations.len(), 300);
    let kind = WorkKind { change: ChangeKind::DeviceValue, unlisted: false };
    assert_eq!(store.count_work(run, kind, 1).await.expect("a count").operations, 300);
    assert_eq!(store.next_work(run, kind, None, 1000).await.expect("work").len(), 300);
    let flights = line.flights() - before;
    assert!(flights < 30, "{flights} ways to the server");
    assert_eq!(count(), commits, "whoever looks writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_server_that_is_waited_for_and_not_what_is_done_here_with_its_answers() {
    let Some(address) = cluster::new_database() else { return };
    let store = Store::open_on(&address, up_for(1)).await.expect("a store");
    let writer = store.writer.clone();
    let while_at_work = writer.clone();
    let work = move |transaction: &Transaction<'_>| {
        std::thread::sleep(Duration::from_millis(20));
        let at_work = while_at_work.waiting_for();
        let waits = std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let began = Instant::now();
                while while_at_work.waiting_for().is_none() && began.elapsed() < Duration::from_secs(5) {
                    std::thread::yield_now();
                }
                while_at_work.waiting_for()
            });
            let slept = transaction.query_row("SELECT count(pg_sleep(0.3))", params![], |row| row.get::<i64>(0));
            slept.map(|_one| asked.join().expect("no panic"))
        })?;
        Ok((at_work, waits, while_at_work.waiting_for()))
    };
    let (at_work, waits, afterwards) = writer.run(work).await.expect("an answer");
    assert_eq!(at_work, None, "nobody else is at work");
    assert!(waits.is_some(), "the server is");
    assert_eq!(afterwards, None, "it has answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_without_waiting_fails_the_commit_if_it_fails() {
    let Some(address) = cluster::new_database() else { return };
    let store = Store::open_on(&address, up_for(1)).await.expect("a store");
    let twice = store.writer.run(|transaction| {
        for _ in 0..2 {
            let sql = "INSERT INTO account (account_key, tenant, app) VALUES (?1, 't', 'a')";
            transaction.send(sql, [77_i64])?;
        }
        Ok(())
    });
    twice.await.expect_err("one row with this key, not two");
    let accounts = "SELECT count(*) FROM tagfleet.account";
    assert_eq!(cluster::tell(&address, accounts).as_deref(), Some("0"));
    store.account("tenant", "app").await.expect("it goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_operations_are_stored_as_each_of_them_is() {
    let Some(address) = cluster::new_database() else { return };
    let store = Store::open_on(&address, up_for(1)).await.expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let run = store.create_run(NewRun::sample(account)).await.expect("a run");
    let operation = |number: u32| {
        let reason = ("a_code", format!("of {number}\0, '{{\\\"}}").into_boxed_str());
        let settled = SettledOperation { state: OperationState::Failed, reason: Some(reason) };
        NewOperation {
            operation: OperationId(number),
            machine: MachineId::from_service(&format!("m{number}")),
            change: Change::DeviceValue(DeviceValue::High),
            swap: number.is_multiple_of(3).then_some(number),
            unlisted: number % 2 == 1,
            before: Held::Unknown,
            settled: number.is_multiple_of(5).then_some(settled),
        }
    };
    store.add_operations(run, (0..2500).map(operation).collect()).await.expect("operations");
    let written =
        "SELECT count(*) || ' ' || count(guard) || ' ' || sum(unlisted) || ' ' || count(error_message) || ' ' ||
        count(before) || ' ' || max(error_message) FILTER (WHERE operation_number = 2495) || ' ' ||
        count(*) FILTER (WHERE machine = 'm' || operation_number) FROM tagfleet.operation";
    let expected = "2500 834 1250 500 0 of 2495, '{\\\"} 2500";
    assert_eq!(cluster::tell(&address, written).as_deref(), Some(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_host_that_has_fallen_silent_age_on_with_whoever_shows_himself() {
    let Some(address) = cluster::new_database() else { return };
    let one = Store::open_on(&address, up_for(1)).await.expect("a store");
    let other = Store::open_on(&address, up_for(5000)).await.expect("a store");
    let account = one.account("tenant", "app").await.expect("an account");
    let Admission::Granted(ticket) = one.admit(request(account, None, "9/1m")).await.expect("an answer") else {
        panic!("refused")
    };
    one.settle(settlement(ticket)).await.expect("an outcome");
    let settled = other.clock.boot_time();
    one.seem_dead();
    // The other makes no call, and yet sees how old this one is.
    let of_the_other =
        format!("SELECT ended FROM tagfleet.attempt WHERE timeline_key = {}", other.identity.timeline_key);
    let began = Instant::now();
    let ended = loop {
        if let Some(ended) = cluster::tell(&address, &of_the_other) {
            break BootTime::from_microseconds(ended.parse().expect("a time"));
        }
        assert!(began.elapsed() < Duration::from_secs(20), "nobody adopts it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(ended.since(settled) < Duration::from_secs(3), "it is taken for as young as it was when it was first seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_looks_at_operations_once_many_were_stored_where_this_role_may_ask_for_it() {
    let Some(place) = cluster::new_place() else { return };
    let known = "SELECT CAST(greatest(reltuples, 0) AS BIGINT) FROM pg_class WHERE oid = CAST('tagfleet.operation' AS REGCLASS)";
    let known = || cluster::tell(&place.address, known).and_then(|text| text.parse::<u32>().ok()).expect("a number");
    let owner = Store::open_on(&place.address, up_for(1)).await.expect("a store");
    let account = owner.account("tenant", "app").await.expect("an account");
    new_run(&owner, account, "run").await;
    let role = format!("role_{}", place.database);
    cluster::tell(
        &place.address,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA tagfleet TO {role};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tagfleet TO {role};
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA tagfleet TO {role}"
        ),
    );
    let text = format!("postgresql://{role}@/{}?host={}", place.database, place.socket.display());
    let address = ServerAddress::parse(&text, PasswordSource::None, None).expect("an address");
    let other = Store::open_on(&address, up_for(2)).await.expect("a store");
    other.weigh_operations().await.expect("no trouble");
    assert_eq!(known(), 0);
    owner.weigh_operations().await.expect("no trouble");
    assert_eq!(known(), 1);
}
