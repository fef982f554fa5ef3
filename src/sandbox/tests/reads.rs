use super::*;

#[tokio::test]
async fn a_machine_is_read_by_id_or_name() {
    let machine = SandboxMachine {
        computer_dns_name: Some("web1.contoso.example".into()),
        tags: vec!["x".into()],
        device_value: SandboxDeviceValue::Low,
        group: Some("Servers".into()),
        os_platform: Some("WindowsServer2022".into()),
        last_seen: "2024-03-02T12:00:00.25Z".parse().ok(),
        ..SandboxMachine::new("1e5bc9d7e413ddd7902c2932e418702b84d0cc07")
    };
    let tenant = Tenant::start(SandboxSettings { machines: vec![machine], ..SandboxSettings::default() }).await;
    for name in ["1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "WEB1.contoso.example"] {
        let answer = tenant.get(&format!("/api/machines/{name}")).await;
        assert_eq!(answer.status, 200);
        for (field, expected) in [
            ("/id", json!("1e5bc9d7e413ddd7902c2932e418702b84d0cc07")),
            ("/computerDnsName", json!("web1.contoso.example")),
            ("/machineTags", json!(["x"])),
            ("/deviceValue", json!("Low")),
            ("/rbacGroupName", json!("Servers")),
            ("/osPlatform", json!("WindowsServer2022")),
            ("/osBuild", json!(20348)),
            ("/lastSeen", json!("2024-03-02T12:00:00.2500000Z")),
            ("/healthStatus", json!("Inactive")),
        ] {
            assert_eq!(answer.at(field), &expected, "{field}");
        }
    }
    assert_eq!(tenant.get("/api/machines/web2").await.refusal(), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn the_list_is_walked_by_skip() {
    let settings = SandboxSettings { made_up_machines: 25, maximum_page: 10, ..SandboxSettings::default() };
    let tenant = Tenant::start(settings).await;
    let mut ids = Vec::new();
    for (skip, expected) in [(0, 10), (10, 10), (20, 5)] {
        let page = tenant.get(&format!("/api/machines?$top=10&$skip={skip}")).await;
        assert_eq!(page.ids().len(), expected);
        ids.extend(page.ids().into_iter().map(str::to_owned));
    }
    assert_eq!(ids, tenant.sandbox.machine_ids());
    assert_eq!(tenant.get("/api/machines?%24top=10&%24skip=25").await.refusal(), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn a_next_link_leads_on() {
    let settings = SandboxSettings { made_up_machines: 5, maximum_page: 2, ..SandboxSettings::default() };
    let tenant = Tenant::start(settings).await;
    let mut path = "/api/machines".to_owned();
    let mut lengths = Vec::new();
    loop {
        let page = tenant.get(&path).await;
        lengths.push(page.ids().len());
        let Some(link) = page.at("/@odata.nextLink").as_str() else { break };
        path = link.strip_prefix(&tenant.sandbox.base_url()).expect("a link to this server").to_owned();
    }
    assert_eq!(lengths, [2, 2, 1]);
}

#[tokio::test]
async fn unlisted_machines_are_read_one_by_one_only() {
    let unlisted = SandboxMachine { listed: false, ..SandboxMachine::new("hidden") };
    let gone = SandboxMachine { listed: false, dead: true, ..SandboxMachine::new("gone") };
    let machines = vec![SandboxMachine::new("a"), unlisted, gone];
    let tenant = Tenant::start(SandboxSettings { machines, ..SandboxSettings::default() }).await;
    assert_eq!(tenant.get("/api/machines").await.ids(), ["a"]);
    assert_eq!(tenant.get("/api/machines/hidden").await.status, 200);
    assert_eq!(tenant.get("/api/machines/gone").await.status, 404);
    assert_eq!(tenant.add_tag("hidden", "x").await.status, 200);
}

#[tokio::test]
async fn the_list_lags_behind() {
    let list_lag = Duration::from_hours(1);
    let tenant = Tenant::with_three(SandboxSettings { list_lag, ..SandboxSettings::default() }).await;
    tenant.add_tag("a", "x").await;
    assert_eq!(tenant.get("/api/machines").await.at("/value/0/machineTags"), &json!([]));
    assert_eq!(tenant.get("/api/machines/a").await.at("/machineTags"), &json!(["x"]));
}
