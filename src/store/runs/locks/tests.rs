use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::clock::{SharedClock, SystemClock};
use crate::model::{self, Bucket, DeviceValue, Held, MachineId, OperationId, Tag, TagAction, TagNumber};
use crate::store::{AccountKey, Admission, AttemptEnd, AttemptRequest, NewOperation, NewRun, RunCondition, Settlement};

/// A change to a machine: its number, and what to do.
#[derive(Clone, Copy)]
enum Change {
    Add(&'static str),
    Remove(&'static str),
    Value,
}

use Change::{Add, Remove, Value};

type Changes = &'static [(u32, Change)];

/// A call that no quota holds up.
fn call(account: AccountKey, run: Option<RunKey>) -> AttemptRequest {
    AttemptRequest {
        account,
        bucket: Bucket::Value,
        counted_buckets: vec![Bucket::Value],
        quota: "off".parse().expect("a quota"),
        run,
        call_kind: "value",
        operations: vec![],
        time_out: std::time::Duration::from_secs(10),
    }
}

/// A state directory for several processes.
struct Place {
    directory: TempDir,
    clock: SharedClock,
}

/// A process; it dies when this is dropped.
struct Process(Store);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, clock: Arc::new(SystemClock::new().expect("clocks")) }
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    async fn process(&self) -> Process {
        Process(Store::open(&self.state(), Arc::clone(&self.clock)).await.expect("a store"))
    }
}

impl Process {
    async fn prepare(&self, run_id: &str, changes: &[(u32, Change)]) -> RunKey {
        self.prepare_at("app", "host", run_id, changes).await
    }

    async fn prepare_at(&self, app: &str, host: &str, run_id: &str, changes: &[(u32, Change)]) -> RunKey {
        let run = NewRun {
            run_id: run_id.into(),
            host: host.into(),
            input_path: format!("{run_id}.csv"),
            note: Some("CHG-7".into()),
            ..NewRun::sample(self.0.account("tenant", app).await.expect("an account"))
        };
        let run = self.0.create_run(run).await.expect("the store works");
        let (mut tags, mut operations) = (Vec::new(), Vec::new());
        for (number, (machine, change)) in (0..).zip(changes) {
            let mut tag = |tag: &str| {
                tags.push(Tag::new(tag).expect("a tag"));
                u32::try_from(tags.len() - 1).expect("few")
            };
            operations.push(NewOperation {
                operation: OperationId(number),
                machine: MachineId::from_service(&format!("{machine:040x}")),
                change: match change {
                    Add(name) => model::Change::Tag(TagAction::Add, TagNumber(tag(name))),
                    Remove(name) => model::Change::Tag(TagAction::Remove, TagNumber(tag(name))),
                    Value => model::Change::DeviceValue(DeviceValue::High),
                },
                swap: None,
                unlisted: false,
                before: Held::Unknown,
                settled: None,
            });
        }
        self.0.add_tags(run, 0, tags).await.expect("the store works");
        self.0.add_operations(run, operations).await.expect("the store works");
        run
    }

    async fn claim(&self, run: RunKey) -> Claim {
        self.0.claim_run(run).await.expect("the store works")
    }

    async fn holders(&self, run: RunKey) -> Vec<Holder> {
        match self.claim(run).await {
            Claim::Granted(_) => panic!("granted"),
            Claim::Held(holders) => holders,
        }
    }

    async fn set_states(&self, run: RunKey, state: OperationState) {
        let sql = "UPDATE operation SET state = ?2 WHERE run_key = ?1";
        let set = self.0.writer.run(move |transaction| transaction.execute(sql, params![run.0, state.number()]));
        set.await.expect("the store works");
    }
}

#[tokio::test]
async fn runs_that_touch_the_same_are_in_each_others_way_and_others_are_not() {
    let table: [(Changes, Changes, bool); 9] = [
        (&[(1, Add("A"))], &[(1, Add("A"))], true),
        (&[(1, Add("A"))], &[(1, Remove("A"))], true),
        (&[(1, Value)], &[(2, Add("A")), (1, Value)], true),
        (&[(1, Add("B")), (2, Add("A"))], &[(2, Add("B")), (1, Add("A"))], false),
        (&[(1, Add("A"))], &[(2, Add("A"))], false),
        (&[(1, Add("A"))], &[(1, Value)], false),
        (&[(1, Value)], &[(2, Value)], false),
        (&[(1, Add("Zürich"))], &[(1, Add("ZÜRICH"))], true),
        (&[], &[], false),
    ];
    for (number, (first, second, in_the_way)) in table.into_iter().enumerate() {
        let place = Place::new();
        let (one, other) = (place.process().await, place.process().await);
        let (first, second) = (one.prepare("first", first).await, other.prepare("second", second).await);
        assert!(one.claim(first).await.is_granted(), "{number}");
        assert_eq!(!other.claim(second).await.is_granted(), in_the_way, "{number}");
    }
}

#[tokio::test]
async fn a_holder_is_named_with_what_both_change_until_it_ends_or_dies() {
    let place = Place::new();
    let (one, other) = (place.process().await, place.process().await);
    let first = one.prepare("first", &[(1, Add("A")), (2, Add("A")), (3, Add("A"))]).await;
    let second = other.prepare("second", &[(3, Add("A")), (2, Add("A")), (4, Value)]).await;
    assert!(one.claim(first).await.is_granted());
    let holders = other.holders(second).await;
    let [holder] = holders.as_slice() else { panic!("{holders:?}") };
    assert_eq!(
        (holder.run_id.as_str(), holder.input_path.as_str(), holder.note.as_deref()),
        ("first", "first.csv", Some("CHG-7"))
    );
    assert_eq!(holder.system_process_id, std::process::id());
    let overlap = Overlap { operations: 2, machine: format!("{:040x}", 2), tag: Some("A".into()) };
    assert_eq!(holder.overlap.as_ref(), Some(&overlap));
    assert!(other.0.still_holds(holder).await.expect("the store works"));
    one.0.set_run_state(first, RunState::Stopped).await.expect("the store works");
    assert!(!other.0.still_holds(holder).await.expect("the store works"));
    // Taken up again, it holds again; until its process dies.
    assert!(one.claim(first).await.is_granted());
    assert_eq!(other.holders(second).await.len(), 1);
    drop(one);
    assert!(!other.0.still_holds(holder).await.expect("the store works"));
    assert!(other.claim(second).await.is_granted());
}

#[tokio::test]
async fn only_what_is_to_be_sent_stands_against_what_may_be_or_was_sent() {
    use OperationState::{Failed, NotAttempted, Pending, Refused, Succeeded, Unchanged, Unknown};
    // What has failed is asked for again, as the run was left before its end.
    let held = |own: OperationState, others: OperationState| {
        (own.is_open() || own == Failed) && !matches!(others, Unchanged | NotAttempted)
    };
    let place = Place::new();
    let (one, other) = (place.process().await, place.process().await);
    let first = one.prepare("first", &[(1, Add("A"))]).await;
    assert!(one.claim(first).await.is_granted());
    let second = other.prepare("second", &[(1, Add("A"))]).await;
    for others in [Pending, Succeeded, Unchanged, Failed, Unknown, NotAttempted, Refused] {
        one.set_states(first, others).await;
        for own in [Pending, Succeeded, Unchanged, Failed, Unknown, NotAttempted, Refused] {
            other.set_states(second, own).await;
            assert_eq!(!other.claim(second).await.is_granted(), held(own, others), "{own:?} against {others:?}");
            other.0.set_run_state(second, RunState::Stopped).await.expect("the store works");
        }
    }
}

#[tokio::test]
async fn what_was_found_as_it_is_wanted_is_in_the_way_of_nobody_but_who_is_still_to_change_it() {
    use OperationState::{Failed, NotAttempted, Pending, Refused, Succeeded, Unchanged, Unknown};
    let place = Place::new();
    let (one, other) = (place.process().await, place.process().await);
    let first = one.prepare("first", &[(1, Remove("A")), (2, Remove("b"))]).await;
    assert!(one.claim(first).await.is_granted());
    for (number, (changes, is_opposite)) in
        [([(1, Add("a"))], true), ([(1, Remove("A"))], false), ([(2, Add("B"))], true), ([(1, Add("B"))], false)]
            .into_iter()
            .enumerate()
    {
        let second = other.prepare(&format!("second {number}"), &changes).await;
        other.set_states(second, Unchanged).await;
        for state in [Pending, Refused, Unknown, Succeeded, Failed, Unchanged, NotAttempted] {
            one.set_states(first, state).await;
            let is_held = !other.claim(second).await.is_granted();
            assert_eq!(is_held, is_opposite && state.is_open(), "{number} {state:?}");
            other.0.set_run_state(second, RunState::Stopped).await.expect("the store works");
        }
    }
}

#[tokio::test]
async fn accounts_and_hosts_are_apart_and_what_is_being_prepared_holds_nothing() {
    let place = Place::new();
    let (one, other) = (place.process().await, place.process().await);
    let changes = [(1, Add("A"))];
    let first = one.prepare("first", &changes).await;
    let second = other.prepare("second", &changes).await;
    assert!(other.claim(second).await.is_granted());
    assert_eq!(one.holders(first).await.len(), 1);
    for (app, host) in [("other", "host"), ("app", "other")] {
        let third = one.prepare_at(app, host, &format!("{app} at {host}"), &changes).await;
        assert!(one.claim(third).await.is_granted(), "{app} at {host}");
    }
}

#[tokio::test]
async fn of_runs_that_start_at_once_exactly_one_begins() {
    for _round in 0..10 {
        let place = Place::new();
        let processes = [place.process().await, place.process().await, place.process().await, place.process().await];
        let mut claims = tokio::task::JoinSet::new();
        for (number, process) in (0..).zip(processes) {
            let run = process.prepare(&number.to_string(), &[(1, Add("A")), (number + 2, Add("A"))]).await;
            claims.spawn(async move {
                let claim = process.claim(run).await;
                (process, claim)
            });
        }
        let claims = claims.join_all().await;
        let granted = claims.iter().filter(|(_, claim)| claim.is_granted()).count();
        assert_eq!(granted, 1, "{:?}", claims.iter().map(|(_, claim)| claim).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_run_goes_on_in_another_process_only_when_its_own_is_dead() {
    let place = Place::new();
    let (one, other) = (place.process().await, place.process().await);
    let run = one.prepare("run", &[(1, Add("A"))]).await;
    let unfinished = one.prepare("unfinished", &[(2, Add("A"))]).await;
    assert!(one.claim(run).await.is_granted());
    let holders = other.holders(run).await;
    assert_eq!(
        holders.iter().map(|holder| (holder.run_id.as_str(), &holder.overlap)).collect::<Vec<_>>(),
        [("run", &None)]
    );
    drop(one);
    assert!(other.claim(run).await.is_granted());
    let last = place.process().await;
    assert_eq!(last.holders(run).await.len(), 1);
    let never_began = last.0.claim_run(unfinished).await;
    assert!(matches!(&never_began, Err(StoreError::NeverBegan(run_id)) if run_id == "unfinished"), "{never_began:?}");
}

#[tokio::test]
async fn a_run_that_had_finished_is_held_by_whoever_looks_at_it_and_has_finished_again_when_that_dies() {
    let place = Place::new();
    let (one, other) = (place.process().await, place.process().await);
    let run = one.prepare("run", &[(1, Add("A"))]).await;
    let overlapping = other.prepare("overlapping", &[(1, Add("A"))]).await;
    one.0.set_run_state(run, RunState::Finished).await.expect("the store works");
    let condition = async || {
        let runs = other.0.runs().await.expect("the store works");
        runs.iter().find(|entry| entry.run_id == "run").map(|entry| entry.condition)
    };
    one.set_states(run, OperationState::Failed).await;
    for _once_and_again in 0..2 {
        assert_eq!(one.claim(run).await, Claim::Granted(RunState::Finished));
    }
    let holders = other.holders(run).await;
    assert_eq!(condition().await, Some(RunCondition::Running));
    assert_eq!(other.holders(overlapping).await.len(), 1);
    one.0.leave_run(run).await.expect("the store works");
    assert!(!other.0.still_holds(&holders[0]).await.expect("the store works"));
    assert_eq!(one.claim(run).await, Claim::Granted(RunState::Finished));
    assert!(other.0.still_holds(&holders[0]).await.expect("the store works"));
    drop(one);
    // What tells a server that it lives may be let go of a moment later.
    for _look in 0..500 {
        if condition().await == Some(RunCondition::Finished) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(condition().await, Some(RunCondition::Finished));
    assert!(other.claim(overlapping).await.is_granted());
    assert_eq!(other.claim(run).await, Claim::Granted(RunState::Finished));
    // Once something is sent, it is as any that was left.
    other.0.set_run_state(run, RunState::Running).await.expect("the store works");
    drop(other);
    assert_eq!(place.process().await.claim(run).await, Claim::Granted(RunState::Running));
}

#[tokio::test]
async fn what_has_failed_is_asked_for_again_and_in_the_way_where_a_run_was_left_before_its_end() {
    use RunState::{Finished, Preparing, Stopped};
    let place = Place::new();
    let (one, other) = (place.process().await, place.process().await);
    let living = other.prepare("living", &[(1, Value)]).await;
    assert!(other.claim(living).await.is_granted());
    for (state, is_granted) in [(Preparing, true), (Stopped, false), (Finished, true)] {
        let run = one.prepare(state.as_str(), &[(1, Value)]).await;
        one.set_states(run, OperationState::Failed).await;
        one.0.set_run_state(run, state).await.expect("the store works");
        let claim = one.claim(run).await;
        assert_eq!(claim == Claim::Granted(state), is_granted, "{claim:?}");
    }
}

#[tokio::test]
async fn whoever_was_taken_for_dead_sends_nothing_more_even_if_nobody_took_its_run() {
    for waits in [false, true] {
        let place = Place::new();
        let (one, other) = (place.process().await, place.process().await);
        let run = one.prepare("one", &[(1, Value), (2, Value)]).await;
        let opposite = other.prepare("opposite", &[(1, Value)]).await;
        let account = one.0.account("tenant", "app").await.expect("an account");
        assert!(one.claim(run).await.is_granted());
        let holders = other.holders(opposite).await;
        assert!(one.0.admit(call(account, Some(run))).await.is_ok());
        one.0.seem_dead();
        if waits {
            assert!(!other.0.still_holds(&holders[0]).await.expect("the store works"));
        } else {
            assert!(other.claim(opposite).await.is_granted());
        }
        for run in [Some(run), None] {
            let refused = one.0.admit(call(account, run)).await;
            assert!(matches!(refused, Err(StoreError::TakenOver)), "waits: {waits}, {run:?}: {refused:?}");
        }
        assert!(other.0.admit(call(account, Some(opposite))).await.is_ok());
    }
}

#[tokio::test]
async fn an_answer_to_whoever_was_taken_for_dead_comes_too_late() {
    let place = Place::new();
    let (one, other) = (place.process().await, place.process().await);
    let run = one.prepare("one", &[(1, Value)]).await;
    let account = one.0.account("tenant", "app").await.expect("an account");
    assert!(one.claim(run).await.is_granted());
    let Ok(Admission::Granted(ticket)) = one.0.admit(call(account, Some(run))).await else { panic!("refused") };
    one.0.seem_dead();
    assert_eq!(other.0.sweep_dead_processes().await.expect("the store works"), 1);
    let settlement = Settlement {
        attempt: ticket.attempt,
        end: AttemptEnd::Now,
        verdict: "done",
        http_status: Some(200),
        request_id: None,
        counts_as_attempt: true,
        effects: vec![],
        pause: None,
    };
    assert!(matches!(one.0.settle(settlement).await, Err(StoreError::TakenOver)));
    let next = NewRun { run_id: "next".into(), ..NewRun::sample(account) };
    assert!(matches!(one.0.create_run(next).await, Err(StoreError::TakenOver)), "nor does it begin anything");
}

#[tokio::test]
async fn a_tag_that_is_taken_off_wherever_it_is_waits_for_whoever_is_still_to_give_it_and_is_waited_for() {
    use OperationState::{Failed, Pending, Succeeded, Unknown};
    for (retag, other, state, expected) in [
        ("tags remove A", Add("a"), Pending, true),
        ("tags remove A", Add("A"), Unknown, true),
        ("tags remove A", Add("A"), Succeeded, false),
        ("tags remove A", Add("A"), Failed, false),
        ("tags remove A", Add("B"), Pending, false),
        ("tags remove A", Remove("A"), Pending, false),
        ("tags remove A --where \"true\"", Add("A"), Pending, false),
        ("x.csv", Add("A"), Pending, false),
    ] {
        for retag_is_later in [true, false] {
            let place = Place::new();
            let (one, two) = (place.process().await, place.process().await);
            let giving = one.prepare("giving", &[(1, other)]).await;
            one.set_states(giving, state).await;
            let taking = two.prepare("taking", &[(2, Remove("A"))]).await;
            let named = move |transaction: &Transaction<'_>| {
                let asked = i64::from(retag_is_later);
                transaction
                    .execute("UPDATE run SET asked_after = ?2 WHERE run_key = ?1", params![giving.0, 1 - asked])?;
                let sql = "UPDATE run SET input_path = ?2, asked_after = ?3 WHERE run_key = ?1";
                transaction.execute(sql, params![taking.0, retag, asked])
            };
            two.0.writer.run(named).await.expect("the store works");
            assert!(one.claim(giving).await.is_granted());
            assert_eq!(!two.claim(taking).await.is_granted(), expected, "{retag}, {state:?}");
            one.0.set_run_state(giving, RunState::Stopped).await.expect("the store works");
            // The other way round, whoever was asked for later gives the tag that was to be nowhere before.
            assert!(two.claim(taking).await.is_granted());
            let is_to_come = state.is_open() || state == Failed;
            let expected = expected || (state == Failed && other_is_banned(retag, other));
            let is_held = !one.claim(giving).await.is_granted();
            assert_eq!(is_held, expected && is_to_come && retag_is_later, "{retag}, {state:?}, {retag_is_later}");
        }
    }
}

/// Whether one gives what the other takes off wherever it is.
fn other_is_banned(retag: &str, other: Change) -> bool {
    retag == "tags remove A" && matches!(other, Add("A" | "a"))
}
