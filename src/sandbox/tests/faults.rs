use std::error::Error;

use super::*;

/// A tenant in which the first call of the API meets this fault and no later one does.
async fn first_call_meets(fault: Fault) -> Tenant {
    let faults = Faults::always(fault);
    Tenant::with_three(SandboxSettings { faults, fault_limit: Some(1), ..SandboxSettings::default() }).await
}

/// Whether the system reported a reset somewhere below this error.
fn is_reset(error: &(dyn Error + 'static)) -> bool {
    let reset = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
    reset || error.source().is_some_and(is_reset)
}

#[tokio::test]
async fn faults_that_answer_in_the_shape_of_the_api() {
    for (fault, expected) in [
        (Fault::Throttled, (429, "429")),
        (Fault::InternalError, (500, "InternalServerError")),
        (Fault::Unavailable, (503, "ServiceUnavailable")),
        (Fault::Unauthorized, (401, "Unauthorized")),
        (Fault::Redirect, (307, "Redirect")),
        (Fault::NotFound, (404, "ResourceNotFound")),
    ] {
        let tenant = first_call_meets(fault).await;
        assert_eq!(tenant.add_tag("a", "x").await.refusal(), expected);
        assert!(tenant.tags("a").is_empty(), "{fault:?} changes nothing");
        assert_eq!(tenant.add_tag("a", "x").await.status, 200, "{fault:?} has passed");
        assert_eq!(tenant.sandbox.counters().faults, 1);
    }
}

#[tokio::test]
async fn a_throttled_call_names_a_time_and_a_redirect_a_place() {
    for (fault, header) in [(Fault::Throttled, "retry-after"), (Fault::Redirect, "location")] {
        let tenant = first_call_meets(fault).await;
        let response = tenant.request(Method::GET, "/api/machines").send().await.expect("an answer");
        assert!(response.headers().contains_key(header), "{fault:?}");
    }
}

#[tokio::test]
async fn a_false_404_is_met_by_living_machines_only_and_never_twice() {
    let tenant =
        Tenant::with_three(SandboxSettings { faults: Faults::always(Fault::NotFound), ..SandboxSettings::default() })
            .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(tenant.get("/api/machines/a").await.status);
    }
    assert_eq!(statuses, [404, 200, 404, 200]);
    assert_eq!(tenant.get("/api/machines").await.status, 200);
    assert_eq!(tenant.add_tag_to_many(&["a"], "x").await.status, 200);
}

#[tokio::test]
async fn a_proxys_page_comes_under_200() {
    let tenant = first_call_meets(Fault::Html).await;
    let request = tenant.post("/api/machines/a/tags", &json!({"Value": "x", "Action": "Add"}));
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html")));
    assert!(response.text().await.expect("a body").starts_with("<!DOCTYPE html>"));
    assert!(tenant.tags("a").is_empty());
}

#[tokio::test]
async fn a_reset_is_a_reset_and_changes_nothing() {
    let tenant = first_call_meets(Fault::Reset).await;
    let request = tenant.post("/api/machines/a/tags", &json!({"Value": "x", "Action": "Add"}));
    let error = request.send().await.expect_err("a reset");
    assert!(is_reset(&error), "{error:?}");
    assert!(tenant.tags("a").is_empty());
    assert_eq!(tenant.add_tag("a", "x").await.status, 200);
}

#[tokio::test]
async fn a_lost_answer_has_taken_effect() {
    let tenant = first_call_meets(Fault::LostAnswer).await;
    let request = tenant.post("/api/machines/a/tags", &json!({"Value": "x", "Action": "Add"}));
    let error = request.send().await.expect_err("no answer");
    assert!(!is_reset(&error) && !error.is_timeout(), "{error:?}");
    assert_eq!(tenant.tags("a"), ["x"]);
}

#[tokio::test]
async fn a_truncated_answer_has_taken_effect_and_breaks_off() {
    for path in ["/api/machines", "/api/machines/a"] {
        let settings = SandboxSettings {
            made_up_machines: 2000,
            faults: Faults::always(Fault::Truncated),
            ..SandboxSettings::default()
        };
        let tenant = Tenant::with_three(settings).await;
        let mut response = tenant.request(Method::GET, path).send().await.expect("a head");
        assert_eq!(response.status(), 200);
        let promised = response.content_length().expect("a length");
        let mut received = 0;
        let error = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => received += u64::try_from(chunk.len()).expect("small"),
                Ok(None) => panic!("{path} came whole"),
                Err(error) => break error,
            }
        };
        assert!(error.is_body() || error.is_decode(), "{error:?}");
        assert_eq!(received, promised / 2, "{path}");
    }
    let tenant = first_call_meets(Fault::Truncated).await;
    let request = tenant.post("/api/machines/a/tags", &json!({"Value": "x", "Action": "Add"}));
    assert!(request.send().await.expect("a head").bytes().await.is_err());
    assert_eq!(tenant.tags("a"), ["x"]);
}

#[tokio::test]
async fn a_hanging_call_hangs_and_changes_nothing() {
    let tenant = first_call_meets(Fault::Hang).await;
    let request = tenant.post("/api/machines/a/tags", &json!({"Value": "x", "Action": "Add"}));
    let error = request.timeout(Duration::from_millis(100)).send().await.expect_err("no answer");
    assert!(error.is_timeout(), "{error:?}");
    assert!(tenant.tags("a").is_empty());
}

#[tokio::test]
async fn a_scope_spares_reads_or_writes_and_faults_can_end() {
    let settings = SandboxSettings {
        faults: Faults::always(Fault::Unavailable),
        fault_scope: FaultScope::Writes,
        ..SandboxSettings::default()
    };
    let tenant = Tenant::with_three(settings).await;
    assert_eq!(tenant.get("/api/machines").await.status, 200);
    assert_eq!(tenant.add_tag("a", "x").await.status, 503);
    tenant.sandbox.set_faults(Faults::default(), None).expect("no faults");
    assert_eq!(tenant.add_tag("a", "x").await.status, 200);
    let impossible = Faults::of(&[(Fault::Reset, 2.0)]);
    assert!(tenant.sandbox.set_faults(impossible, None).is_err());
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let latency = Duration::from_millis(60)..=Duration::from_millis(60);
    let tenant = Tenant::with_three(SandboxSettings { latency, ..SandboxSettings::default() }).await;
    let start = std::time::Instant::now();
    assert_eq!(tenant.get("/api/machines/a").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
}
