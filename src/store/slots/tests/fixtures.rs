//! A machine that starts again, and processes that die on it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::clock::{BootId, BootTime, SharedClock, VirtualClock};
use crate::model::{
    AnswerFacts, Bucket, Change, DeviceValue, Held, MachineId, OperationId, Slot, Tag, TagAction, TagNumber,
};
use crate::quota::Quota;
use crate::store::{
    AccountKey, Admission, AttemptEnd, AttemptKey, AttemptRequest, CarriedOperation, NewOperation, NewRun,
    OperationEffect, OperationState, RunKey, RunKind, RunSlot, RunState, SettledOperation, Settlement, SlotWrite,
    Store,
};

pub(super) const LAG: Duration = Duration::from_mins(15);

/// A state directory on one machine.
pub(super) struct Place {
    pub(super) directory: TempDir,
    pub(super) clock: SharedClock,
}

/// A process; it dies when this is dropped.
pub(super) struct Process {
    pub(super) store: Store,
    pub(super) account: AccountKey,
}

/// Sent, and not answered yet.
pub(super) struct Sent(pub(super) Vec<AttemptKey>);

impl Place {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, clock: clock("boot", "2026-05-01T00:00:00Z") }
    }

    /// The machine starts again, by a wall time that is right or not.
    pub(super) fn restart(&mut self, wall: &str) {
        self.clock = clock(wall, wall);
    }

    pub(super) async fn process(&self) -> Process {
        let store = Store::open(&self.directory.path().join("state"), self.clock.clone()).await.expect("a store");
        let account = store.account("tenant", "app").await.expect("an account");
        Process { store, account }
    }
}

pub(super) fn clock(boot: &str, wall: &str) -> SharedClock {
    let wall: Timestamp = wall.parse().expect("a time");
    Arc::new(VirtualClock::new(BootId::new(boot.into()), BootTime::from_microseconds(1_000_000_000), wall))
}

pub(super) fn machine(number: u32) -> MachineId {
    MachineId::from_service(&format!("{number:040x}"))
}

pub(super) fn change(words: &str) -> Change {
    let tag = |name: &str| Tag::new(name).expect("a tag");
    match words.split_at(1) {
        ("+", name) => Change::Tag(TagAction::Add, tag(name)),
        ("-", name) => Change::Tag(TagAction::Remove, tag(name)),
        _ => Change::DeviceValue(DeviceValue::parse(words).expect("a value")),
    }
}

impl Process {
    /// A run of these changes to machine 0, 1 and so on, with what held before each.
    pub(super) async fn run(&self, run_id: &str, changes: &[(&str, Held)]) -> RunKey {
        self.run_of(run_id, "input.csv", RunKind::Apply, changes).await
    }

    /// The same of this input.
    pub(super) async fn run_of(&self, run_id: &str, input: &str, kind: RunKind, changes: &[(&str, Held)]) -> RunKey {
        let run = NewRun {
            run_id: run_id.into(),
            kind,
            input_path: input.into(),
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
                swap: None,
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
    pub(super) async fn send(&self, run: RunKey, operations: &[u32]) -> Sent {
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

    pub(super) async fn settle(
        &self,
        attempt: AttemptKey,
        operation: u32,
        state: Option<OperationState>,
        ambiguous: bool,
    ) {
        self.settle_with(attempt, operation, state, ambiguous, None).await;
    }

    pub(super) async fn settle_with(
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
    pub(super) async fn done(&self, run: RunKey, operations: &[u32]) {
        for operation in operations {
            let sent = self.send(run, &[*operation]).await;
            self.settle(sent.0[0], *operation, Some(OperationState::Succeeded), false).await;
        }
    }

    pub(super) async fn slots(&self, run: RunKey) -> Vec<String> {
        let slots = self.store.run_slots(run).await.expect("the store works");
        slots.map(|slot| describe(&slot)).collect()
    }

    pub(super) async fn recent(&self) -> Vec<String> {
        let writes = self.store.recent_writes(self.account, "host", LAG).await.expect("the store works");
        writes.writes.map(|write| describe_write(&write)).collect()
    }

    /// Puts a new version of the input into the place of a run: what is done to each operation of the old one.
    pub(super) async fn join(&self, run: RunKey, changes: &[(&str, Held)], carried: &[CarriedOperation]) -> RunKey {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.store.take_over(run).await.expect("the store works");
        let new = self.run("new", changes).await;
        self.store.carry_over(run, new, carried.to_vec()).await.expect("the store works");
        self.store.succeed(run, new).await.expect("the store works");
        new
    }

    pub(super) async fn states(&self, run: RunKey) -> Vec<(OperationState, bool)> {
        let known = self.store.known_operations(run, None, 100).await.expect("the store works");
        known.iter().map(|known| (known.state, known.ambiguous)).collect()
    }
}

pub(super) fn describe_slot(slot: &Slot) -> String {
    let machine = slot.machine.to_string();
    format!("{}{}", machine.trim_start_matches('0'), slot.tag.as_ref().map_or("value", Tag::as_str))
}

pub(super) fn describe(slot: &RunSlot) -> String {
    let before = slot.before.as_str().unwrap_or("?");
    let later: Vec<String> = slot.later.iter().map(describe_write).collect();
    format!("{}: {before} -> {} {}", describe_slot(&slot.slot), slot.after.words(), later.join(", ")).trim().to_owned()
}

pub(super) fn describe_write(write: &SlotWrite) -> String {
    let doubt = if write.surely { "" } else { "?" };
    format!("{} {}{doubt}", describe_slot(&write.slot), write.wrote.as_str().unwrap_or_default())
}

pub(super) const LOW: Held = Held::Value(DeviceValue::Low);
pub(super) const NORMAL: Held = Held::Value(DeviceValue::Normal);
