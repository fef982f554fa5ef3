use super::*;

fn two_an_hour() -> SandboxSettings {
    let quotas = vec![SandboxQuota { calls: 2, window: Duration::from_hours(1) }];
    SandboxSettings { quotas, ..SandboxSettings::default() }
}

#[tokio::test]
async fn a_quota_lets_so_many_calls_in_per_bucket() {
    let tenant = Tenant::with_three(two_an_hour()).await;
    assert_eq!(tenant.add_tag("a", "x").await.status, 200);
    assert_eq!(tenant.add_tag_to_many(&["a", "b"], "y").await.status, 200);
    let refused = tenant.add_tag("b", "z").await;
    assert_eq!(refused.refusal(), (429, "429"));
    let text = "API calls quota exceeded! Maximum allowed 2 per 01:00:00 for the key Destination+TenantID+AppID.";
    assert_eq!(refused.message(), text);
    assert_eq!(tenant.tags("b"), ["y"], "a refused call changes nothing");
    assert_eq!(tenant.get("/api/machines/a").await.status, 200, "another bucket");
    let counters = tenant.sandbox.counters();
    assert_eq!((counters.tags, counters.bulk, counters.get, counters.refused_by_quota), (1, 1, 1, 1));
}

#[tokio::test]
async fn one_bucket_counts_everything() {
    let tenant = Tenant::with_three(SandboxSettings { one_bucket: true, ..two_an_hour() }).await;
    let statuses = [
        tenant.get("/api/machines").await.status,
        tenant.add_tag("a", "x").await.status,
        tenant.change("/api/machines/a/setDeviceValue", json!({"DeviceValue": "Low"})).await.status,
    ];
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test]
async fn a_429_tells_its_time_as_asked_for() {
    for retry_after in [RetryAfter::Seconds, RetryAfter::Date, RetryAfter::Text, RetryAfter::Absent] {
        let tenant = Tenant::with_three(SandboxSettings { retry_after, ..two_an_hour() }).await;
        for _ in 0..2 {
            assert_eq!(tenant.get("/api/machines/a").await.status, 200);
        }
        let response = tenant.request(Method::GET, "/api/machines/a").send().await.expect("an answer");
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let answer = Answer::read(response).await;
        assert_eq!(answer.status, 429);
        let seconds = header.as_deref().and_then(|header| header.parse::<u64>().ok());
        let date = header.as_deref().and_then(|header| httpdate::parse_http_date(header).ok());
        let told = answer.message().split_once("You can send requests again in ").map(|(_, rest)| rest);
        let told = told.and_then(|rest| rest.strip_suffix(" seconds.")?.parse::<u64>().ok());
        let near = |seconds: u64| (3500..=3600).contains(&seconds);
        let found = [seconds.is_some_and(near), date.is_some(), told.is_some_and(near)];
        let expected = match retry_after {
            RetryAfter::Seconds => [true, false, false],
            RetryAfter::Date => [false, true, false],
            RetryAfter::Text => [false, false, true],
            RetryAfter::Absent => [false, false, false],
        };
        assert_eq!(found, expected, "{retry_after:?} {header:?} {answer:?}");
    }
}

#[tokio::test]
async fn calls_that_arrive_together_are_counted_exactly() {
    let quotas = vec![SandboxQuota { calls: 7, window: Duration::from_hours(1) }];
    let tenant = Tenant::with_three(SandboxSettings { quotas, ..SandboxSettings::default() }).await;
    let calls: Vec<_> = (0..40).map(|_| tokio::spawn(tenant.request(Method::GET, "/api/machines/a").send())).collect();
    let mut admitted = 0;
    for call in calls {
        let status = call.await.expect("no panic").expect("an answer").status().as_u16();
        assert!(status == 200 || status == 429, "{status}");
        admitted += u32::from(status == 200);
    }
    assert_eq!(admitted, 7);
}

#[tokio::test]
async fn a_missing_permission_is_a_403() {
    let roles = vec!["Machine.Read.All".to_owned()];
    let tenant = Tenant::with_three(SandboxSettings { roles, ..SandboxSettings::default() }).await;
    assert_eq!(tenant.get("/api/machines/a").await.status, 200);
    let answer = tenant.add_tag("a", "x").await;
    assert_eq!(answer.refusal(), (403, "Forbidden"));
    assert!(answer.message().contains("Machine.ReadWrite.All"), "{answer:?}");
}
