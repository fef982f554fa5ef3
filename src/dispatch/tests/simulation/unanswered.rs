//! Runs that stop while the service does not answer: how long is still waited, what is said meanwhile, and what is counted.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::api::sign_in::SignInError;
use crate::api::{Answer, CallKind, LossKind, TokenGeneration};
use crate::sandbox::Fault;

/// So long after the first request that has no answer the run is stopped.
const STOPPED_AFTER: Duration = Duration::from_secs(8);

/// What is never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    Of(CallKind),
    OfTheSignIn,
}

/// The service, where something is never answered.
struct Deaf {
    service: Arc<Service>,
    silence: Silence,
    /// When it was asked for in vain first.
    asked_at: Mutex<Option<BootTime>>,
    /// How often each write was sent.
    writes: Mutex<HashMap<String, u64>>,
}

impl Deaf {
    fn note_asked(&self) {
        self.asked_at.lock().expect("a moment").get_or_insert(self.service.clock.boot_time());
    }
}

#[async_trait]
impl Transport for Deaf {
    async fn prepare(&self) -> Result<(), SignInError> {
        if self.silence == Silence::OfTheSignIn {
            self.note_asked();
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        if !request.is_read() {
            *self.writes.lock().expect("counts").entry(format!("{request:?}")).or_default() += 1;
        }
        if self.silence == Silence::Of(request.kind()) {
            self.note_asked();
            tokio::time::sleep(request.time_out()).await;
            return Ok((Service::lost(LossKind::TimedOut), TokenGeneration(0)));
        }
        self.service.send(request).await
    }

    async fn renew(&self, refused: TokenGeneration) -> Result<(), SignInError> {
        self.service.renew(refused).await
    }
}

/// Remembers what is shown from the moment on at which the run stops.
#[derive(Default)]
struct Watch {
    is_stopping: bool,
    shown: Vec<Progress>,
}

impl Observer for Watch {
    fn observe(&mut self, event: &Event, progress: &Progress) -> io::Result<()> {
        self.is_stopping |= matches!(event, Event::Stopping(_));
        if self.is_stopping && !matches!(event, Event::Ended) {
            self.shown.push(progress.clone());
        }
        Ok(())
    }
}

/// What ends the run.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Interrupt,
    /// So long after the beginning.
    Deadline(Duration),
}

/// How a run ended.
struct Stopped {
    reason: EndReason,
    progress: Progress,
    /// What was shown from the moment on at which it stopped.
    shown: Vec<Progress>,
    /// When something was asked for in vain first.
    asked_after: Duration,
    /// Writes that were sent again.
    repeats: u64,
}

/// A run over machines which each get a value, or a tag, while something is never answered.
async fn stopped(silence: Silence, stop: Stop) -> Stopped {
    let value = Change::DeviceValue(DeviceValue::High);
    let (machines, change) = match silence {
        Silence::Of(CallKind::Tags | CallKind::Bulk) => (6, Change::Tag(TagAction::Add, TagNumber(2))),
        // So many are read back with the list.
        Silence::Of(CallKind::List) => (51, value),
        _ => (6, value),
    };
    let operations = (0..machines).map(|number| (machine(number), change)).collect();
    let simulation = Simulation::new(1, operations, "off", CALM, 20).await;
    simulation.service.script([Mishap::of(Fault::Truncated).on(&WRITES)]);
    let mut settings = simulation.settings(1, "off");
    (settings.bulk, settings.tick) = (silence == Silence::Of(CallKind::Bulk), Duration::from_secs(1));
    let began = simulation.clock.boot_time();
    let (asked_at, writes) = (Mutex::default(), Mutex::default());
    let deaf = Arc::new(Deaf { service: Arc::clone(&simulation.service), silence, asked_at, writes });
    let (sender, mut stop_requests) = mpsc::channel(1);
    match stop {
        Stop::Deadline(after) => settings.gate.deadline = Some(began.plus(after)),
        Stop::Interrupt => {
            let deaf = Arc::clone(&deaf);
            tokio::spawn(async move {
                while deaf.asked_at.lock().expect("a moment").is_none() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                tokio::time::sleep(STOPPED_AFTER).await;
                let _gone = sender.send(StopRequest::Drain).await;
                std::future::pending::<()>().await;
            });
        }
    }
    let mut watch = Watch::default();
    let (store, clock, run) = (&simulation.store, simulation.clock.clone(), simulation.run);
    let ended = dispatch(Arc::clone(&deaf), store, clock, run, settings, &mut watch, &mut stop_requests).await;
    let (reason, progress) = ended.expect("the engine works");
    let asked_after = deaf.asked_at.lock().expect("a moment").expect("it was asked").since(began);
    let repeats = deaf.writes.lock().expect("counts").values().map(|times| times - 1).sum();
    Stopped { reason, progress, shown: watch.shown, asked_after, repeats }
}

/// Until when after the first request in vain the run may last, and how many writes are awaited.
fn promised(silence: Silence) -> (Duration, u64) {
    match silence {
        Silence::Of(kind) if !kind.is_read() => (kind.time_out(), if kind == CallKind::Bulk { 1 } else { 4 }),
        _ => (STOPPED_AFTER, 0),
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_stops_awaits_writes_alone_and_says_and_counts_what_is_so() {
    for silence in CallKind::ALL.map(Silence::Of).into_iter().chain([Silence::OfTheSignIn]) {
        let interrupted = stopped(silence, Stop::Interrupt).await;
        assert!(matches!(interrupted.reason, EndReason::Interrupted), "{silence:?}: {:?}", interrupted.reason);
        let deadline = stopped(silence, Stop::Deadline(interrupted.asked_after + STOPPED_AFTER)).await;
        let is_read_back = matches!(silence, Silence::Of(kind) if kind.is_read());
        // By then every operation has its outcome.
        let is_as_expected = match deadline.reason {
            EndReason::Deadline => !is_read_back,
            EndReason::Finished => is_read_back,
            _ => false,
        };
        assert!(is_as_expected, "{silence:?}: {:?}", deadline.reason);
        for run in [interrupted, deadline] {
            let (longest, awaited) = promised(silence);
            let took = run.progress.elapsed.checked_sub(run.asked_after).expect("it was asked before the end");
            let latest = longest + Duration::from_millis(500);
            assert!(took >= STOPPED_AFTER && took <= latest, "{silence:?}: {took:?} of {latest:?}");
            assert_eq!(run.progress.retried, run.repeats, "{silence:?}");
            let first = run.shown.first().expect("it says that it stops");
            assert_eq!((first.awaited, first.awaited_until.is_some()), (awaited, awaited > 0), "{silence:?}");
            for shown in run.shown.iter().skip(1) {
                assert_eq!(shown.expected_end, None, "{silence:?}: nobody knows");
                let waits = shown.waiting.map(|(cause, _)| cause);
                assert!(matches!(waits, None | Some(WaitCause::Answer { .. })), "{silence:?}: {waits:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_had_no_answer_when_the_deadline_came_is_named() {
    let run = stopped(Silence::Of(CallKind::Value), Stop::Deadline(STOPPED_AFTER)).await;
    let named = run.progress.in_the_way.map(|(cause, _)| cause);
    assert!(matches!(named, Some(WaitCause::Answer { .. } | WaitCause::Retry(_))), "{named:?}");
}
