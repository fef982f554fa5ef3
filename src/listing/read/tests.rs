//! Reading under virtual time, from a service in memory that answers as its test says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::api::sign_in::SignInError;
use crate::api::{Answer, ApiRequest, Loss, LossKind, Response, TokenGeneration};
use crate::call::GateSettings;
use crate::clock::{BootId, VirtualClock};
use crate::inventory::{Inventory, InventoryBuilder};
use crate::model::{Bucket, MachineId, MachineRecord};
use crate::quota::QuotaScope;
use crate::store::Store;

/// How long the service may be in trouble.
const OUTAGE: Duration = Duration::from_hours(2);

/// Answers the request that came as this number, from 0.
type Answering = dyn Fn(usize, u32, u64) -> Answer + Send + Sync;

struct Service {
    answer: Box<Answering>,
    requests: Mutex<Vec<u64>>,
}

#[async_trait]
impl Transport for Service {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ApiRequest::ListMachines { top, skip } = request else { panic!("{request:?}") };
        let number = {
            let mut requests = self.requests.lock().expect("a list");
            requests.push(*skip);
            requests.len() - 1
        };
        Ok(((self.answer)(number, *top, *skip), TokenGeneration(0)))
    }

    async fn renew(&self, _refused: TokenGeneration) -> Result<(), SignInError> {
        Ok(())
    }
}

fn response(status: u16, body: String) -> Answer {
    Answer::Response(Response { status, body: body.into_bytes(), ..Response::default() })
}

/// The page of a tenant of so many machines that a correct service shows.
fn page(machines: u64, top: u32, skip: u64) -> Answer {
    if skip >= machines {
        return response(404, r#"{"error": {"code": "ResourceNotFound", "message": "none"}}"#.to_owned());
    }
    let end = machines.min(skip + u64::from(top));
    list_of(skip..end)
}

/// A page with these machines, and without a link to the next.
fn list_of(machines: impl Iterator<Item = u64>) -> Answer {
    let list: Vec<String> = machines.map(|number| format!(r#"{{"id": "{number:040x}"}}"#)).collect();
    response(200, format!(r#"{{"value": [{}]}}"#, list.join(",")))
}

#[derive(Default)]
struct Watcher(Vec<(ListingEvent, ReadProgress)>);

impl ListingObserver for Watcher {
    fn observe(&mut self, event: ListingEvent, progress: &ReadProgress) {
        self.0.push((event, progress.clone()));
    }
}

struct Outcome {
    read: Result<(Inventory, ReadProgress), ReadError>,
    watcher: Watcher,
    /// The `$skip` of every request.
    requests: Vec<u64>,
    calls_in_ledger: usize,
}

async fn reading(quota: &str, answer: impl Fn(usize, u32, u64) -> Answer + Send + Sync + 'static) -> Outcome {
    let clock: SharedClock =
        Arc::new(VirtualClock::new(BootId::new("boot".into()), BootTime::from_microseconds(0), Timestamp::UNIX_EPOCH));
    let store = Store::in_memory(clock.clone()).expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let service = Arc::new(Service { answer: Box::new(answer), requests: Mutex::default() });
    let quota = quota.parse().expect("a quota");
    let gate =
        GateSettings { account, quota, scope: QuotaScope::Api, concurrency: 4, deadline: None, maximum_outage: OUTAGE };
    let (_going_on, draining) = watch::channel(false);
    let caller = Caller::new(Arc::clone(&service), store.clone(), clock.clone(), gate, 1, draining);
    let mut watcher = Watcher::default();
    let began = clock.wall_time();
    let read = read(&caller, &clock, None, InventoryBuilder::new(), &mut watcher).await;
    let read = read.map(|(builder, progress)| (builder.finish(began, clock.wall_time()), progress));
    let ends = store.latest_ends(account, vec![Bucket::Machines], 1000).await.expect("the ledger");
    let requests = service.requests.lock().expect("a list").clone();
    Outcome { read, watcher, requests, calls_in_ledger: ends.len() }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_read_whole_however_large_it_is() {
    let outcome = reading("off", |_, top, skip| page(20_050, top, skip)).await;
    let (inventory, progress) = outcome.read.expect("an inventory");
    assert_eq!((inventory.len(), progress.machines, progress.pages, progress.calls), (20_050, 20_050, 3, 3));
    assert_eq!(progress.repeated, 20, "by which the pages are known to fit together");
    assert_eq!(outcome.requests, [0, 9_990, 19_980]);
    assert_eq!(outcome.calls_in_ledger, 3, "reads count like every call");
    let ids: BTreeSet<String> = inventory.machines().map(|machine| machine.id().to_string()).collect();
    assert_eq!(ids.len(), 20_050);
    assert!(inventory.find(&MachineId::from_service(&format!("{:040x}", 20_049))).is_some());
    assert_eq!(inventory.began(), Timestamp::UNIX_EPOCH);
    assert!(inventory.ended() > inventory.began());
    let events: Vec<ListingEvent> = outcome.watcher.0.iter().map(|(event, _)| *event).collect();
    assert_eq!((events.first(), events.last()), (Some(&ListingEvent::Started), Some(&ListingEvent::Ended)));
}

#[tokio::test(start_paused = true)]
async fn a_round_number_of_machines_costs_one_call_more() {
    let outcome = reading("off", |_, top, skip| page(10_000, top, skip)).await;
    let (inventory, progress) = outcome.read.expect("an inventory");
    assert_eq!((inventory.len(), progress.calls, progress.retried), (10_000, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_in_the_list_is_a_refusal_and_never_an_empty_tenant() {
    let empty_page = |_, _, _| response(200, r#"{"value": []}"#.into());
    let unreadable = |_, _, _| response(200, r#"{"value": [{"name": "no id"}]}"#.into());
    for outcome in [
        reading("off", |_, top, skip| page(0, top, skip)).await,
        reading("off", empty_page).await,
        reading("off", unreadable).await,
    ] {
        let error = outcome.read.expect_err("nobody");
        assert!(matches!(error, ReadError::Walk(WalkError::Nobody)) && error.is_refusal(), "{error}");
        assert_eq!(outcome.requests.len(), 3, "believed only when it repeats");
    }
}

#[tokio::test(start_paused = true)]
async fn a_404_behind_a_full_page_hides_nobody() {
    let outcome = reading("off", |number, top, skip| match number {
        1 | 3 => page(0, top, skip),
        _ => page(20_050, top, skip),
    })
    .await;
    let (inventory, progress) = outcome.read.expect("an inventory");
    assert_eq!((inventory.len(), progress.calls, progress.pages, progress.retried), (20_050, 5, 3, 2));
    let outcome = reading("off", |number, top, skip| page(if number == 0 { 20_050 } else { 0 }, top, skip)).await;
    let error = outcome.read.expect_err("a list that breaks off");
    assert_eq!(
        error.to_string(),
        "the list of machines does not hold together: no page follows its first 10000 machines"
    );
    assert!(!error.is_refusal() && outcome.requests.len() == 4);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_goes_between_two_pages_hides_nobody() {
    for (gone, retried) in [(1, 0), (9, 0), (10, 1), (300, 2), (8_000, 2)] {
        // The first machines go once the first page has come.
        let outcome = reading("off", move |number, top, skip| {
            let gone = if number == 0 { 0 } else { gone };
            list_of(skip + gone..(skip + gone + u64::from(top)).min(20_050))
        })
        .await;
        let (inventory, progress) = outcome.read.expect("an inventory");
        assert_eq!(inventory.len(), 20_050, "{gone} have gone");
        assert_eq!(progress.retried, retried, "{gone} have gone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_a_lasting_order_is_never_taken_for_whole() {
    // Every page is dealt anew: about half of the second one was on the first.
    for seed in 0..5 {
        let outcome = reading("off", move |call, top, skip| {
            let mut machines: Vec<u64> = (0..20_050).collect();
            fastrand::Rng::with_seed(seed * 1_000 + call as u64).shuffle(&mut machines);
            let page = machines.into_iter().skip(usize::try_from(skip).expect("small"));
            list_of(page.take(top as usize))
        })
        .await;
        let error = outcome.read.expect_err("some machines were never shown");
        assert!(matches!(error, ReadError::Walk(WalkError::Torn { .. })) && !error.is_refusal(), "{error}");
        assert_eq!(outcome.requests.len(), 4, "read again before it is believed");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_page_repeats_is_the_tail_of_the_one_before() {
    // What the second page begins with, and whether it follows the first, which holds the machines below 10,000.
    let table: [(&str, Vec<u64>, bool); 6] = [
        ("the tail", (9_990..10_000).collect(), true),
        ("a longer tail, since some have come", (9_900..10_000).collect(), true),
        ("a tail with gaps, since some have gone", (9_900..10_000).step_by(7).collect(), true),
        ("a tail with somebody new in it", [9_998, 77_777, 9_999].into(), true),
        ("a tail in another order", [9_999, 9_998].into(), false),
        ("known machines among many unknown ones", (9_960..10_000).flat_map(|id| [id, id + 50_000]).collect(), false),
    ];
    for (what, head, fits) in table {
        let outcome = reading("off", move |_, _, skip| match skip {
            0 => list_of(0..10_000),
            _ => list_of(head.iter().copied().chain(10_000..12_000)),
        })
        .await;
        assert_eq!((outcome.read.is_ok(), outcome.requests.len()), if fits { (true, 2) } else { (false, 4) }, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_shorter_than_asked_for_is_repeated_in_part_as_well() {
    let outcome = reading("off", |number, _, skip| {
        // The first machine goes once the first page has come.
        let machines: Vec<u64> = (u64::from(number > 0)..10).collect();
        let rest = machines.get(usize::try_from(skip).expect("small")..).unwrap_or_default();
        let Answer::Response(page) = list_of(rest.iter().copied().take(3)) else { panic!("a page") };
        let body = String::from_utf8(page.body).expect("text");
        response(200, if rest.len() > 3 { body.replacen('{', r#"{"@odata.nextLink": "x", "#, 1) } else { body })
    })
    .await;
    assert_eq!(outcome.read.expect("an inventory").0.len(), 10);
    assert_eq!(outcome.requests, [0, 2, 0, 2, 4, 6]);
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_is_told_until_when_the_quota_makes_it_wait() {
    let outcome = reading("2/60s", |_, top, skip| page(30_050, top, skip)).await;
    assert_eq!(outcome.read.expect("an inventory").0.len(), 30_050);
    let waits: Vec<&ReadProgress> = outcome.watcher.0.iter().map(|(_, progress)| progress).collect();
    let wait = waits.iter().find(|progress| matches!(progress.waiting, Some((WaitCause::Window(_), Some(_)))));
    let progress = wait.expect("a wait");
    assert_eq!((progress.pages, progress.machines), (2, 19_990));
    let until = progress.waiting.and_then(|(_, until)| until).expect("a moment").as_second();
    assert!((60..=75).contains(&until), "{until}");
    assert!(waits.len() > 60, "the reading is shown while it waits");
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_once_costs_only_another_call() {
    let outcome = reading("off", |number, top, skip| match number {
        0 => response(503, "busy".into()),
        1 => response(200, "<html>blocked</html>".into()),
        2 => response(200, r#"{"value": [{"id": "cut off"#.into()),
        3 => Answer::Lost(Loss { kind: LossKind::TimedOut, description: "late".into() }),
        5 => response(429, r#"{"error": {"code": "429", "message": "again in 9 seconds."}}"#.into()),
        6 => response(401, String::new()),
        _ => page(10_500, top, skip),
    })
    .await;
    let (inventory, progress) = outcome.read.expect("an inventory");
    assert_eq!(inventory.len(), 10_500);
    assert_eq!((progress.calls, progress.pages, progress.retried, progress.throttled), (8, 2, 5, 1));
    assert_eq!(outcome.requests, [0, 0, 0, 0, 0, 9_990, 9_990, 9_990]);
    let notices: Vec<_> =
        outcome.watcher.0.iter().filter(|(event, _)| matches!(event, ListingEvent::Notice(_))).collect();
    assert_eq!(notices.len(), 0, "without a quota a 429 needs no explanation");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_counted() {
    let outcome = reading("off", |_, _, skip| match skip {
        0 => response(200, r#"{"value": [{"id": "a"}, {}, {"id": "b"}], "@odata.nextLink": "x"}"#.into()),
        _ => response(200, r#"{"value": [{"id": "b"}, {"id": "c"}, 7]}"#.into()),
    })
    .await;
    let (inventory, progress) = outcome.read.expect("an inventory");
    assert_eq!((inventory.len(), progress.machines, progress.repeated, progress.skipped), (3, 3, 1, 2));
    assert_eq!(outcome.requests, [0, 2]);
}

/// Ends in an error, after so many calls.
async fn fails(status: u16, body: &'static str) -> (ReadError, usize) {
    let outcome = reading("off", move |_, _, _| response(status, body.into())).await;
    (outcome.read.expect_err("an error"), outcome.requests.len())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_ends_the_reading_with_the_reason() {
    let error = r#"{"error": {"code": "C", "message": "why"}}"#;
    let (forbidden, calls) = fails(403, error).await;
    assert_eq!(
        (forbidden.to_string().as_str(), calls, forbidden.is_refusal()),
        ("the service does not let this app read the list of machines (HTTP 403, C, why)", 1, true)
    );
    let (rejected, calls) = fails(400, error).await;
    assert_eq!(
        (rejected.to_string().as_str(), calls, rejected.is_refusal()),
        ("the list of machines cannot be read (HTTP 400, C, why)", 1, true)
    );
    let (failed, calls) = fails(425, error).await;
    assert!(matches!(failed, ReadError::Failed { .. }) && !failed.is_refusal(), "{failed}");
    assert_eq!(calls, 10);
    for status in [503, 408] {
        // An outage, which is waited out for two hours.
        let (stopped, calls) = fails(status, error).await;
        assert!(matches!(stopped, ReadError::Stopped(StopReason::Outage { .. })), "{status}: {stopped}");
        assert!((120..600).contains(&calls), "{status}: {calls}");
    }
    let machine = format!(r#"{{"value": [{{"id": "a", "machineTags": [{}]}}]}}"#, vec![r#""t""#; 100_001].join(","));
    let outcome = reading("off", move |_, _, _| response(200, machine.clone())).await;
    let too_much = outcome.read.expect_err("an error");
    assert!(!too_much.is_refusal() && too_much.to_string().contains("more than 100000 tags"), "{too_much}");
    let last = outcome.watcher.0.iter().rev().find_map(|(_, progress)| progress.waiting);
    let most = last.and_then(|(cause, _)| if let WaitCause::Retry(repeat) = cause { repeat.most } else { None });
    assert_eq!((outcome.requests.len(), most), (2, Some(2)), "it cannot get better");
    for status in [409, 460, 499] {
        let (trouble, calls) = fails(status, error).await;
        assert_eq!((calls, trouble.is_refusal()), (10, false), "{status}: {trouble}");
    }
    let (page_of_html, _) = fails(403, "<html>").await;
    assert!(!page_of_html.is_refusal(), "{page_of_html}");
    assert!(matches!(fails(307, "").await, (ReadError::Aborted(AbortCause::Refused(_)), 1)));
    assert!(matches!(fails(401, "").await, (ReadError::Aborted(AbortCause::TokenRefused), 3)));
}

#[tokio::test(start_paused = true)]
async fn a_list_without_an_end_is_given_up() {
    let outcome = reading("off", |number, _, _| {
        response(200, format!(r#"{{"value": [{{"id": "{number}"}}], "@odata.nextLink": "x"}}"#))
    })
    .await;
    assert!(matches!(outcome.read, Err(ReadError::Walk(WalkError::TooManyPages { .. }))));
    assert_eq!(outcome.requests.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_takes_no_more_ends_the_reading() {
    struct Full(io::ErrorKind);
    impl MachineSink for Full {
        fn take(&mut self, _machine: &MachineRecord) -> io::Result<bool> {
            Err(self.0.into())
        }
    }
    let clock: SharedClock =
        Arc::new(VirtualClock::new(BootId::new("boot".into()), BootTime::from_microseconds(0), Timestamp::UNIX_EPOCH));
    let store = Store::in_memory(clock.clone()).expect("a store");
    let account = store.account("tenant", "app").await.expect("an account");
    let service = Arc::new(Service { answer: Box::new(|_, top, skip| page(3, top, skip)), requests: Mutex::default() });
    let quota = "off".parse().expect("a quota");
    let gate =
        GateSettings { account, quota, scope: QuotaScope::Api, concurrency: 1, deadline: None, maximum_outage: OUTAGE };
    let (going_on, draining) = watch::channel(false);
    let caller = Caller::new(Arc::clone(&service), store, clock.clone(), gate, 1, draining);
    let read_into = async |full| read(&caller, &clock, None, Full(full), &mut Watcher::default()).await;
    assert!(matches!(read_into(io::ErrorKind::StorageFull).await, Err(ReadError::Sink(_))));
    let too_large = read_into(io::ErrorKind::OutOfMemory).await.err().expect("an error");
    assert!(matches!(too_large, ReadError::TooLarge { machines: 0 }), "{too_large}");
    assert!(too_large.hint().is_some_and(|hint| hint.contains("--no-inventory")) && !too_large.is_refusal());
    going_on.send_replace(true);
    assert!(matches!(read_into(io::ErrorKind::StorageFull).await, Err(ReadError::Stopped(StopReason::Draining))));
}
