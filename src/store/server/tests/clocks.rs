//! What hosts know of each other's clocks: how young a write is, and when a pause ends.

use std::time::{Duration, Instant};

use super::{cluster, make_calls, new_run, request, settlement, up_for};
use crate::model::{Age, Bucket};
use crate::store::access::heartbeats::Heartbeats;
use crate::store::{Admission, Refusal, ServerAddress, Settlement, Store};

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_has_just_written_is_surely_young_by_the_servers_clock_where_wall_time_agrees() {
    let Some(address) = cluster::new_database() else { return };
    let other = Store::open_on(&address, up_for(5000)).await.expect("a store");
    other.identity.heartbeats.iter().for_each(Heartbeats::stop);
    let ages = async || {
        let account = other.account("tenant", "app").await.expect("an account");
        let recent = other.recent_writes(account, "host", Duration::from_mins(15)).await.expect("an answer");
        recent.writes.map(|write| write.age).collect::<Vec<_>>()
    };
    let own = other.identity.process_key;
    let long_ago = format!("SET seen_at = seen_at - 16 * 60000000 WHERE process_key <> {own}");
    for (is_adopted, change, expected) in [
        (false, "UPDATE tagfleet.process SET ended = ended", Age::Young),
        (true, "UPDATE tagfleet.process SET ended = ended", Age::Young),
        (false, &*format!("UPDATE tagfleet.process {long_ago}"), Age::LooksYoung),
        (true, &format!("UPDATE tagfleet.process {long_ago}"), Age::LooksYoung),
        (false, "UPDATE tagfleet.attempt SET started_at = started_at - 16 * 60000000", Age::LooksOld),
        (true, "UPDATE tagfleet.attempt SET started_at = started_at - 16 * 60000000", Age::LooksOld),
    ] {
        cluster::tell(
            &address,
            "DELETE FROM tagfleet.operation; DELETE FROM tagfleet.attempt; DELETE FROM tagfleet.run",
        );
        let one = Store::open_on(&address, up_for(1)).await.expect("a store");
        let account = one.account("tenant", "app").await.expect("an account");
        let run = new_run(&one, account, "first").await;
        assert!(one.claim_run(run).await.expect("an answer").is_granted());
        make_calls(&one, account, Some(run), 1, || ()).await;
        one.put_in_order().await;
        cluster::tell(&address, change);
        if is_adopted {
            other.sweep_dead_processes().await.expect("an answer");
            let adopted = "SELECT count(*) FROM tagfleet.attempt WHERE adopted > 0";
            assert_eq!(cluster::tell(&address, adopted).as_deref(), Some("1"));
        }
        assert_eq!(ages().await, [expected], "{change}, adopted: {is_adopted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_whose_process_was_killed() {
    let Some(address) = cluster::new_database() else { return };
    let one = Store::open_on(&address, up_for(1)).await.expect("a store");
    let account = one.account("tenant", "app").await.expect("an account");
    let Admission::Granted(ticket) = one.admit(request(account, None, "off")).await.expect("an answer") else {
        panic!("refused")
    };
    let until = one.clock.boot_time().plus(Duration::from_secs(1));
    let refused = Settlement { pause: Some((account, Bucket::Value, until)), ..settlement(ticket) };
    one.settle(refused).await.expect("an outcome");
    one.identity.heartbeats.iter().for_each(Heartbeats::stop);
    let other = Store::open_on(&address, up_for(5000)).await.expect("a store");
    let began = Instant::now();
    loop {
        match other.admit(request(account, None, "off")).await.expect("an answer") {
            Admission::Granted(_) => break,
            refused @ Admission::Refused(_) => {
                assert!(matches!(refused, Admission::Refused(Refusal::Paused { .. })), "{refused:?}");
            }
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it never ends");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_process_that_nobody_has_seen_since_are_older_by_the_smaller_of_two_clocks_less_five_minutes() {
    let is_granted = async |address: &ServerAddress, hours: u64| {
        let store = Store::open_on(address, up_for(hours)).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        let admission = store.admit(request(account, None, "1/1h")).await.expect("an answer");
        match admission {
            Admission::Granted(ticket) => store.settle(settlement(ticket)).await.map(drop).expect("an outcome"),
            Admission::Refused(Refusal::Window { .. }) => {}
            Admission::Refused(other) => panic!("{other:?}"),
        }
        store.put_in_order().await;
        matches!(admission, Admission::Granted(_))
    };
    let pass = |address: &ServerAddress, by_server: i64, by_wall: i64| {
        let passed = format!(
            "UPDATE tagfleet.process SET seen_at = seen_at - {by_server} * CAST(60000000 AS BIGINT);
             UPDATE tagfleet.attempt SET started_at = started_at - {by_wall} * CAST(60000000 AS BIGINT)"
        );
        cluster::tell(address, &passed);
    };
    for (minutes, expected) in [
        (&[(66, 66)][..], true),
        (&[(64, 64)], false),
        (&[(66, 300)], true),
        (&[(300, 66)], true),
        (&[(300, 0)], false),
        (&[(0, 300)], false),
        (&[(0, 17 * 60)], true),
        // In between somebody comes who is refused, and has seen nothing pass.
        (&[(40, 40), (32, 32)], true),
        (&[(40, 40), (28, 28)], false),
    ] {
        let Some(address) = cluster::new_database() else { return };
        assert!(is_granted(&address, 1).await);
        for (number, (by_server, by_wall)) in minutes.iter().enumerate() {
            pass(&address, *by_server, *by_wall);
            let expected = expected && number + 1 == minutes.len();
            assert_eq!(is_granted(&address, 5000 * (2 - number as u64)).await, expected, "{minutes:?}");
        }
    }
}
