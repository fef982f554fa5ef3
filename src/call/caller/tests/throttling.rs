//! Refusals for quota whose promises are not kept.

use super::*;

/// A service that lets so many calls into each window and says, whatever is left of it, that one second is enough.
struct Liar {
    clock: SharedClock,
    window: Duration,
    calls: usize,
    /// Whether a refused call begins the window anew.
    is_strict: bool,
    arrivals: Mutex<Vec<BootTime>>,
}

#[async_trait]
impl Transport for Liar {
    async fn prepare(&self) -> Result<(), SignInError> {
        Ok(())
    }

    async fn send(&self, request: &ApiRequest) -> Result<(Answer, TokenGeneration), SignInError> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = self.clock.boot_time();
        let mut arrivals = self.arrivals.lock().expect("arrivals");
        arrivals.retain(|arrival| now.since(*arrival) < self.window);
        if arrivals.len() >= self.calls {
            if self.is_strict {
                arrivals.fill(now);
            }
            let text = "API calls quota exceeded! You can send requests again in 1 seconds.";
            let body = format!(r#"{{"error": {{"code": "429", "message": "{text}"}}}}"#);
            return Ok((response(429, &body), TokenGeneration(0)));
        }
        arrivals.push(now);
        let machine = request.machine().map(ToString::to_string).unwrap_or_default();
        let body = format!(r#"{{"id": "{machine}", "deviceValue": "High"}}"#);
        Ok((response(200, &body), TokenGeneration(0)))
    }

    async fn renew(&self, _refused: TokenGeneration) -> Result<(), SignInError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn promises_of_one_second_in_a_window_of_forty_end_in_success() {
    const MACHINES: u32 = 60;
    for is_strict in [false, true] {
        let clock = clock();
        let window = Duration::from_secs(40);
        let liar = Liar { clock: clock.clone(), window, calls: 10, is_strict, arrivals: Mutex::default() };
        let change = Change::DeviceValue(DeviceValue::High);
        let bench = Bench::new(Arc::new(liar), clock.clone(), change, MACHINES).await;
        let began = clock.boot_time();
        let calls = (0..MACHINES).map(|number| {
            let operation = CallOperation { id: OperationId(number), history: History::default() };
            bench.perform(set_value(&format!("machine {number}")), vec![operation])
        });
        // All at once, as in a run: they share the bucket's pauses.
        let mut calls: Vec<_> = calls.map(Box::pin).collect();
        std::future::poll_fn(|context| {
            calls.retain_mut(|call| call.as_mut().poll(context).is_pending());
            if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        let stored = bench.stored().await;
        assert!(stored.iter().all(|(state, _)| *state == OperationState::Succeeded), "strict: {is_strict}: {stored:?}");
        let elapsed = clock.boot_time().since(began);
        // Six windows, each of them met with waits that double.
        assert!(elapsed < window * 6 * 3, "strict: {is_strict}: {elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_that_never_end_stop_the_run_by_time_and_not_by_number() {
    let refused = |header: Option<&str>| {
        Answer::Response(Response { status: 429, retry_after: header.map(str::to_owned), ..Response::default() })
    };
    for header in [None, Some("1"), Some("60"), Some("1200")] {
        let clock = clock();
        let script = Arc::new(Script {
            answers: Mutex::new(VecDeque::from([refused(header)])),
            clock: clock.clone(),
            sent: Mutex::default(),
        });
        let change = Change::DeviceValue(DeviceValue::High);
        let bench = Bench::new(Arc::clone(&script), clock, change, 1).await;
        let operation = CallOperation { id: OperationId(0), history: History::default() };
        let (end, _) = bench.perform(set_value("aa"), vec![operation]).await;
        assert!(matches!(end, CallEnd::Aborted(AbortCause::ThrottledForGood, None)), "{header:?}: {end:?}");
        assert_eq!(bench.stored().await, [(OperationState::Pending, false)], "{header:?}: nothing is burnt");
        let sent = script.sent.lock().expect("moments");
        let lasted = sent.last().expect("a call").since(*sent.first().expect("a call"));
        // What the service names is waited for, and our own waits end with the run.
        let longest_wait = Duration::from_secs(if header == Some("1200") { 1210 } else { 65 });
        assert!(lasted >= MAXIMUM_OUTAGE && lasted < MAXIMUM_OUTAGE + longest_wait, "{header:?}: {lasted:?}");
        assert!(sent.len() < 130, "{header:?}: {} calls", sent.len());
    }
}
