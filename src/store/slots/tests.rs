//! Slots across versions of a file, crashes and runs: what was first, what is last, and what may be.

use std::sync::Arc;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::clock::{BootId, BootTime, SharedClock, VirtualClock};
use crate::model::{AnswerFacts, Change, DeviceValue, MachineId, Slot, TagAction, TagNumber};
use crate::quota::Quota;
use crate::store::{
    Admission, AttemptEnd, AttemptRequest, CarriedOperation, NewOperation, NewRun, OperationEffect, OperationState,
    RunCondition, RunState, SettledOperation, Settlement, Store,
};

const LAG: Duration = Duration::from_mins(15);

/// A state directory on one machine.
struct Place {
    directory: TempDir,
    clock: SharedClock,
}

/// A process; it dies when this is dropped.
struct Process {
    store: Store,
    account: AccountKey,
}

/// Sent, and not answered yet.
struct Sent(Vec<AttemptKey>);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, clock: clock("boot", "2026-05-01T00:00:00Z") }
    }

    /// The machine starts again, by a wall time that is right or not.
    fn restart(&mut self, wall: &str) {
        self.clock = clock(wall, wall);
    }

    async fn process(&self) -> Process {
        let store = Store::open(&self.directory.path().join("state"), self.clock.clone()).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        Process { store, account }
    }
}

fn clock(boot: &str, wall: &str) -> SharedClock {
    let wall: Timestamp = wall.parse().expect("a time");
    Arc::new(VirtualClock::new(BootId::new(boot.into()), BootTime::from_microseconds(1_000_000_000), wall))
}

fn machine(number: u32) -> MachineId {
    MachineId::from_service(&format!("{number:040x}"))
}

fn change(words: &str) -> Change {
    let tag = |name: &str| Tag::new(name).expect("a tag");
    match words.split_at(1) {
        ("+", name) => Change::Tag(TagAction::Add, tag(name)),
        ("-", name) => Change::Tag(TagAction::Remove, tag(name)),
        _ => Change::DeviceValue(DeviceValue::parse(words).expect("a value")),
    }
}

impl Process {
    /// A run of these changes to machine 0, 1 and so on, with what held before each.
    async fn run(&self, run_id: &str, changes: &[(&str, Held)]) -> RunKey {
        let run = NewRun {
            run_id: run_id.into(),
            input_path: "input.csv".into(),
            header: vec!["machineId".into()],
            ..NewRun::sample(self.account)
        };
        let run = self.store.create_run(run).await.expect("the store works");
        let (mut tags, mut operations) = (Vec::new(), Vec::new());
        for (number, (words, before)) in (0_u32..).zip(changes) {
            let new_change = match change(words) {
                Change::Tag(action, tag) => {
                    tags.push(tag);
                    Change::Tag(action, TagNumber(u32::try_from(tags.len() - 1).expect("few")))
                }
                Change::DeviceValue(value) => Change::DeviceValue(value),
            };
            let is_so = *before == change(words).leaves();
            operations.push(NewOperation {
                operation: OperationId(number),
                machine: machine(number),
                change: new_change,
                guard: None,
                unlisted: false,
                before: *before,
                settled: is_so.then_some(SettledOperation { state: OperationState::Unchanged, reason: None }),
            });
        }
        self.store.add_tags(run, 0, tags).await.expect("the store works");
        self.store.add_operations(run, operations).await.expect("the store works");
        self.store.set_run_state(run, RunState::Running).await.expect("the store works");
        run
    }

    /// Sends these operations, each in a call of its own.
    async fn send(&self, run: RunKey, operations: &[u32]) -> Sent {
        let mut sent = Vec::new();
        for operation in operations {
            let request = AttemptRequest {
                account: self.account,
                bucket: Bucket::Tags,
                counted_buckets: vec![],
                quota: Quota::default(),
                run: Some(run),
                call_kind: "tags",
                operations: vec![OperationId(*operation)],
                time_out: Duration::from_mins(1),
            };
            match self.store.admit(request).await.expect("the store works") {
                Admission::Granted(ticket) => sent.push(ticket.attempt),
                Admission::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        Sent(sent)
    }

    async fn settle(&self, attempt: AttemptKey, operation: u32, state: Option<OperationState>, ambiguous: bool) {
        self.settle_with(attempt, operation, state, ambiguous, None).await;
    }

    async fn settle_with(
        &self,
        attempt: AttemptKey,
        operation: u32,
        state: Option<OperationState>,
        ambiguous: bool,
        code: Option<&str>,
    ) {
        let effect = OperationEffect {
            operation: OperationId(operation),
            state,
            ambiguous,
            answer: AnswerFacts { error_code: code.map(Into::into), ..AnswerFacts::default() },
            after: Held::Unknown,
        };
        let settlement =
            Settlement::of(attempt, if ambiguous { AttemptEnd::GivenUp } else { AttemptEnd::Now }, vec![effect]);
        self.store.settle(settlement).await.expect("the store works");
    }

    /// Carries these operations out.
    async fn done(&self, run: RunKey, operations: &[u32]) {
        for operation in operations {
            let sent = self.send(run, &[*operation]).await;
            self.settle(sent.0[0], *operation, Some(OperationState::Succeeded), false).await;
        }
    }

    async fn slots(&self, run: RunKey) -> Vec<String> {
        let slots = self.store.run_slots(run).await.expect("the store works");
        slots.iter().map(describe).collect()
    }

    async fn recent(&self) -> Vec<String> {
        let writes = self.store.recent_writes(self.account, "host", LAG).await.expect("the store works");
        writes.writes.iter().map(describe_write).collect()
    }

    /// Puts a new version of the input into the place of a run: what is done to each operation of the old one.
    async fn join(&self, run: RunKey, changes: &[(&str, Held)], carried: &[CarriedOperation]) -> RunKey {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.store.take_over(run).await.expect("the store works");
        let new = self.run("new", changes).await;
        self.store.carry_over(run, new, carried.to_vec()).await.expect("the store works");
        self.store.succeed(run, new).await.expect("the store works");
        new
    }

    async fn states(&self, run: RunKey) -> Vec<(OperationState, bool)> {
        let known = self.store.known_operations(run, None, 100).await.expect("the store works");
        known.iter().map(|known| (known.state, known.ambiguous)).collect()
    }
}

fn describe_slot(slot: &Slot) -> String {
    let machine = slot.machine.to_string();
    format!("{}{}", machine.trim_start_matches('0'), slot.tag.as_ref().map_or("value", Tag::as_str))
}

fn describe(slot: &RunSlot) -> String {
    let before = slot.before.as_str().unwrap_or("?");
    let later: Vec<String> = slot.later.iter().map(describe_write).collect();
    format!("{}: {before} -> {} {}", describe_slot(&slot.slot), slot.after.words(), later.join(", ")).trim().to_owned()
}

fn describe_write(write: &SlotWrite) -> String {
    let doubt = if write.surely { "" } else { "?" };
    format!("{} {}{doubt}", describe_slot(&write.slot), write.wrote.as_str().unwrap_or_default())
}

const LOW: Held = Held::Value(DeviceValue::Low);
const NORMAL: Held = Held::Value(DeviceValue::Normal);

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_when_a_process_died_may_hold_whoever_asks() {
    let place = Place::new();
    let first = place.process().await;
    let run = first.run("run", &[("+A", Held::Absent), ("High", LOW), ("+C", Held::Absent)]).await;
    let _in_flight = first.send(run, &[0, 1]).await;
    let expected = ["A present?", "1value High?"];
    assert_eq!(first.recent().await, expected, "in flight it may hold already");
    assert_eq!(first.states(run).await, [(OperationState::Pending, false); 3]);
    drop(first);
    let second = place.process().await;
    let states = [(OperationState::Pending, true), (OperationState::Pending, true), (OperationState::Pending, false)];
    assert_eq!(second.states(run).await, states, "swept when the next process came");
    assert_eq!(second.recent().await, expected);
    assert_eq!(second.slots(run).await, ["A: absent -> absent|present", "1value: Low -> Low|High"]);
    let listed = &second.store.runs().await.expect("the store works")[0];
    let counts = [(OperationState::Pending, 1), (OperationState::Unknown, 2)];
    assert_eq!((listed.operations.clone(), listed.condition), (counts.into(), RunCondition::Unfinished));
    // Whoever takes the run back leaves the doubt as it is.
    second.store.close_run(run).await.expect("the store works");
    let states = [
        (OperationState::NotAttempted, true),
        (OperationState::NotAttempted, true),
        (OperationState::NotAttempted, false),
    ];
    assert_eq!(second.states(run).await, states);
    let unknown = second.store.unknown_operations(run).await.expect("the store works");
    assert_eq!(unknown.operations.len(), 2, "reading may settle it");
    let listed = &second.store.runs().await.expect("the store works")[0];
    let counts = [(OperationState::Unknown, 2), (OperationState::NotAttempted, 1)];
    assert_eq!((listed.operations.clone(), listed.condition), (counts.into(), RunCondition::Finished));
}

#[tokio::test(start_paused = true)]
async fn who_only_reads_counts_what_a_dead_process_had_in_flight_as_unknown_too() {
    let place = Place::new();
    let first = place.process().await;
    let run = first.run("run", &[("+A", Held::Absent), ("+B", Held::Absent)]).await;
    let _in_flight = first.send(run, &[0]).await;
    let reader = Reader::open(&place.directory.path().join("state")).await.expect("a reader").expect("a state");
    let counts = async || reader.runs().await.expect("the state")[0].operations.clone();
    assert_eq!(counts().await, [(OperationState::Pending, 2)].into(), "it lives");
    drop(first);
    assert_eq!(counts().await, [(OperationState::Pending, 1), (OperationState::Unknown, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_answer_leaves_the_outcome_unknown_and_an_answer_settles_it() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("+A", Held::Absent)]).await;
    let sent = process.send(run, &[0]).await;
    process.settle(sent.0[0], 0, None, true).await;
    let sent = process.send(run, &[0]).await;
    process.settle(sent.0[0], 0, Some(OperationState::Failed), false).await;
    assert_eq!(process.recent().await, ["A present?"]);
    assert_eq!(process.slots(run).await, ["A: absent -> absent|present"]);
    let unknown = process.store.unknown_operations(run).await.expect("the store works");
    assert_eq!(unknown.operations.len(), 1);
    assert_eq!(process.store.open_operations(run).await.expect("the store works"), 0, "it is not sent for ever");
    // An answer that shows the machine without the change, and is believed, is the last word.
    let sent = process.send(run, &[0]).await;
    let failed = Some(OperationState::Failed);
    process.settle_with(sent.0[0], 0, failed, false, Some("not_applied")).await;
    assert_eq!(process.states(run).await, [(OperationState::Failed, false)]);
    assert_eq!(process.slots(run).await, [""; 0]);
    process.done(run, &[0]).await;
    assert_eq!(process.recent().await, ["A present"]);
    assert_eq!(process.slots(run).await, ["A: absent -> present"]);
}

#[tokio::test(start_paused = true)]
async fn writes_are_recent_by_the_clock_of_their_attempts_and_ordered_by_their_numbers() {
    let place = Place::new();
    let process = place.process().await;
    let one = process.run("one", &[("High", LOW)]).await;
    process.done(one, &[0]).await;
    process.store.set_run_state(one, RunState::Finished).await.expect("the store works");
    tokio::time::sleep(Duration::from_mins(10)).await;
    let other = process.run("other", &[("Low", LOW), ("+B", Held::Absent)]).await;
    process.store.send_again(other, vec![OperationId(0)]).await.expect("the store works");
    process.done(other, &[0]).await;
    assert_eq!(process.recent().await, ["value High", "value Low"]);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let _in_flight = process.send(other, &[1]).await;
    assert_eq!(process.recent().await, ["value Low", "1B present?"]);
    tokio::time::sleep(Duration::from_mins(10)).await;
    let _in_flight = process.send(other, &[1]).await;
    assert_eq!(process.recent().await, ["1B present?", "1B present?"], "what is in flight is never old");
}

#[tokio::test(start_paused = true)]
async fn before_and_after_belong_to_the_slot_whatever_rows_come_and_go() {
    let place = Place::new();
    let first = place.process().await;
    let run =
        first.run("run", &[("+A", Held::Absent), ("High", NORMAL), ("+C", Held::Absent), ("+D", Held::Absent)]).await;
    first.done(run, &[0, 1]).await;
    let _in_flight = first.send(run, &[2]).await;
    drop(first);
    let second = place.process().await;
    // A and the value are flipped, C is dropped.
    let carried = [
        CarriedOperation::History(OperationId(0), Some(OperationId(0))),
        CarriedOperation::History(OperationId(1), Some(OperationId(1))),
        CarriedOperation::History(OperationId(2), None),
    ];
    let run = second.join(run, &[("-A", Held::Present), ("Low", Held::Unknown)], &carried).await;
    let before: Vec<Held> = second
        .store
        .known_operations(run, None, 100)
        .await
        .expect("the store works")
        .into_iter()
        .map(|known| known.before)
        .collect();
    assert_eq!(before, [Held::Absent, NORMAL]);
    let in_history = ["A: absent -> present", "1value: Normal -> High", "2C: absent -> absent|present"];
    assert_eq!(second.slots(run).await, in_history);
    assert_eq!(second.recent().await, ["A present", "1value High", "2C absent?", "2C present?"]);
    second.done(run, &[0]).await;
    let _in_flight = second.send(run, &[1]).await;
    let expected = ["A: absent -> absent", "1value: Normal -> Low|High", "2C: absent -> absent|present"];
    assert_eq!(second.slots(run).await, expected);
    drop(second);
    // The next version wants A again, and nothing else: no outcome of the first version answers it.
    let third = place.process().await;
    let carried = [
        CarriedOperation::History(OperationId(0), Some(OperationId(0))),
        CarriedOperation::History(OperationId(1), None),
    ];
    let run = third.join(run, &[("+A", Held::Absent)], &carried).await;
    assert_eq!(third.states(run).await, [(OperationState::Pending, false)]);
    assert_eq!(third.slots(run).await, expected);
    third.done(run, &[0]).await;
    assert_eq!(third.slots(run).await[0], "A: absent -> present");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_keeps_what_was_before_and_what_was_done() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", NORMAL), ("+B", Held::Absent)]).await;
    process.done(run, &[0, 1]).await;
    let carried = [
        CarriedOperation::Facts(OperationId(0), OperationId(0)),
        CarriedOperation::Outcome(OperationId(1), OperationId(1)),
    ];
    let run = process.join(run, &[("High", LOW), ("+B", Held::Absent)], &carried).await;
    assert_eq!(process.states(run).await, [(OperationState::Pending, false), (OperationState::Succeeded, false)]);
    assert_eq!(process.slots(run).await, ["value: Normal -> High", "1B: absent -> present"]);
    process.store.send_again(run, vec![OperationId(1)]).await.expect("the store works");
    assert_eq!(process.states(run).await, [(OperationState::Pending, false); 2]);
    assert_eq!(process.slots(run).await, ["value: Normal -> High", "1B: absent -> present"]);
}

#[tokio::test(start_paused = true)]
async fn what_other_runs_changed_later_is_told_from_what_they_wrote_before_and_from_what_changed_nothing() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", NORMAL), ("+B", Held::Absent), ("+C", Held::Absent)]).await;
    let other = process.run("other", &[("Low", NORMAL), ("+X", Held::Absent)]).await;
    process.done(run, &[1]).await;
    process.done(other, &[0]).await;
    process.done(run, &[0, 2]).await;
    assert_eq!(process.slots(run).await[0], "value: Normal -> High", "that came before");
    let third = process.run("third", &[("Low", Held::Unknown), ("+B", Held::Absent), ("-C", Held::Present)]).await;
    process.done(third, &[0]).await;
    let _in_flight = process.send(third, &[2]).await;
    let expected = ["value: Normal -> High value Low", "1B: absent -> present", "2C: absent -> present 2C absent?"];
    assert_eq!(process.slots(run).await, expected);
    let same = process.run("same", &[("+Y", Held::Absent), ("+B", Held::Unknown)]).await;
    process.done(same, &[1]).await;
    assert_eq!(process.slots(run).await[1], "1B: absent -> present 1B present", "what was before is not known");
    let later = process.store.later_writes(run).await.expect("the store works");
    let later: Vec<String> = later.iter().map(describe_write).collect();
    assert_eq!(later, ["value Low", "value Low", "2C absent?", "1B present"]);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_goes_when_nothing_of_it_can_arrive_any_more_before_the_next_write() {
    let place = Place::new();
    let process = place.process().await;
    for (pause, expected) in [(0, "value: Normal -> Low|High"), (31, "value: Normal -> Low")] {
        let run = process.run("run", &[("High", NORMAL)]).await;
        let sent = process.send(run, &[0]).await;
        process.settle(sent.0[0], 0, None, true).await;
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let carried = [CarriedOperation::History(OperationId(0), Some(OperationId(0)))];
        let run = process.join(run, &[("Low", Held::Unknown)], &carried).await;
        process.done(run, &[0]).await;
        let slots = process.slots(run).await;
        assert_eq!(slots[0].replace("Low|Normal|High", "Low|High"), expected, "after {pause} s");
        process.store.set_run_state(run, RunState::Finished).await.expect("the store works");
        let rename = format!("UPDATE run SET run_id = run_id || '{:x}'", fastrand::u64(..));
        process
            .store
            .writer
            .run(move |transaction| transaction.execute(&rename, params![]))
            .await
            .expect("the store works");
    }
}

#[tokio::test(start_paused = true)]
async fn how_old_a_write_is_another_clock_cannot_tell() {
    let mut place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", NORMAL)]).await;
    process.done(run, &[0]).await;
    let ages = async |process: &Process| {
        let recent = process.store.recent_writes(process.account, "host", LAG).await.expect("the store works");
        recent.writes.iter().map(|write| write.age).collect::<Vec<_>>()
    };
    assert_eq!(ages(&process).await, [Age::Young]);
    drop(process);
    for (wall, expected) in [("2026-05-01T00:01:00Z", Age::LooksYoung), ("2026-05-01T10:00:00Z", Age::LooksOld)] {
        place.restart(wall);
        let process = place.process().await;
        process.store.sweep_dead_processes().await.expect("the store works");
        assert_eq!(ages(&process).await, [expected], "{wall}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_found_before_it_wrote_again_is_kept_with_the_write() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", LOW)]).await;
    process.done(run, &[0]).await;
    let run = process.join(run, &[("High", LOW)], &[CarriedOperation::Facts(OperationId(0), OperationId(0))]).await;
    process.store.note_found(run, vec![(OperationId(0), MayHold::only(NORMAL))]).await.expect("the store works");
    process.done(run, &[0]).await;
    let run = process.join(run, &[("High", LOW)], &[CarriedOperation::Outcome(OperationId(0), OperationId(0))]).await;
    let recent = process.store.recent_writes(process.account, "host", LAG).await.expect("the store works");
    let last = recent.writes.last().expect("a write");
    assert_eq!((last.before, last.found), (LOW, MayHold::only(NORMAL)));
    assert_eq!(process.slots(run).await, ["value: Low -> High"], "what was before the run stays that");
}

#[tokio::test(start_paused = true)]
async fn a_tag_in_another_form_may_have_gone_with_the_one_that_was_removed() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("-OLD", Held::Unknown), ("+NEW", Held::Unknown)]).await;
    let forms = |form: &str| vec![Tag::new(form).expect("a tag")];
    let noted = vec![(OperationId(0), forms("old")), (OperationId(1), forms("new"))];
    process.store.note_other_forms(run, noted).await.expect("the store works");
    assert_eq!(process.slots(run).await, Vec::<String>::new(), "nothing was sent");
    process.done(run, &[0, 1]).await;
    let expected = ["OLD: absent -> absent", "old: present -> absent|present"];
    assert_eq!(process.slots(run).await[..2], expected);
    assert_eq!(process.slots(run).await[2..], ["1NEW: ? -> present", "1new: present -> present"]);
    // So it is where the row is dropped.
    let run = process.join(run, &[], &[CarriedOperation::History(OperationId(0), None)]).await;
    assert_eq!(process.slots(run).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_gone_on_with_since_is_more_than_its_undo_knows() {
    let place = Place::new();
    let process = place.process().await;
    let run = process.run("run", &[("High", NORMAL), ("+A", Held::Absent)]).await;
    process.done(run, &[0]).await;
    let undo = process.run("undo", &[("Normal", Held::Value(DeviceValue::High))]).await;
    assert!(!process.store.has_called_since(run, undo).await.expect("the store works"));
    process.done(run, &[1]).await;
    assert!(process.store.has_called_since(run, undo).await.expect("the store works"));
}
