use super::*;

#[tokio::test]
async fn a_tag_is_added_and_removed_and_the_machine_comes_back() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    let answer = tenant.add_tag("a", "x").await;
    assert_eq!(answer.status, 200);
    assert_eq!((answer.at("/id"), answer.at("/machineTags")), (&json!("a"), &json!(["x"])));
    let context = answer.at("/@odata.context").as_str().expect("a context");
    assert!(context.ends_with("/api/$metadata#Machines/$entity"), "{context}");
    assert_eq!(tenant.add_tag("a", "y").await.at("/machineTags"), &json!(["x", "y"]));
    let answer = tenant.change("/api/machines/a/tags", json!({"Value": "x", "Action": "Remove"})).await;
    assert_eq!(answer.at("/machineTags"), &json!(["y"]));
    assert_eq!(tenant.tags("a"), ["y"]);
    assert!(tenant.tags("b").is_empty());
}

#[tokio::test]
async fn a_device_value_is_set() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    let answer = tenant.change("/api/machines/b/setDeviceValue", json!({"DeviceValue": "High"})).await;
    assert_eq!((answer.status, answer.at("/deviceValue")), (200, &json!("High")));
    assert_eq!(tenant.sandbox.machine("b").expect("a machine").device_value, SandboxDeviceValue::High);
}

#[tokio::test]
async fn a_bulk_call_changes_all_of_its_machines() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    let answer = tenant.add_tag_to_many(&["c", "a", "c"], "x").await;
    assert_eq!((answer.status, answer.ids()), (200, vec!["c", "a"]));
    assert_eq!(answer.at("/value/0/machineTags"), &json!(["x"]));
    assert!(answer.at("/@odata.context").as_str().is_some_and(|context| context.ends_with("$metadata#Machines")));
    assert_eq!(["a", "b", "c"].map(|id| tenant.tags(id).len()), [1, 0, 1]);
    let body = json!({"Value": "x", "Action": "Remove", "MachineIds": ["a"]});
    assert_eq!(tenant.change(BULK, body).await.at("/value/0/machineTags"), &json!([]));
}

#[tokio::test]
async fn one_bad_id_spoils_a_bulk_call_and_is_named_as_asked_for() {
    let dead = SandboxMachine { dead: true, ..SandboxMachine::new("dead") };
    let machines = vec![SandboxMachine::new("a"), dead];
    for (dead_naming, bulk_refusal_status, names, status) in [
        (DeadNaming::All, BulkRefusalStatus::BadRequest, [true, true], (400, "InvalidInput")),
        (DeadNaming::One, BulkRefusalStatus::BadRequest, [true, false], (400, "InvalidInput")),
        (DeadNaming::Absent, BulkRefusalStatus::NotFound, [false, false], (404, "ResourceNotFound")),
    ] {
        let settings = SandboxSettings {
            machines: machines.clone(),
            dead_naming,
            bulk_refusal_status,
            ..SandboxSettings::default()
        };
        let tenant = Tenant::start(settings).await;
        let answer = tenant.add_tag_to_many(&["a", "dead", "unheard"], "x").await;
        assert_eq!(answer.refusal(), status);
        assert_eq!(["dead", "unheard"].map(|id| answer.message().contains(id)), names, "{answer:?}");
        assert!(tenant.tags("a").is_empty(), "nothing is applied");
    }
}

#[tokio::test]
async fn a_bulk_call_has_its_limits() {
    let tenant = Tenant::with_three(SandboxSettings { bulk_limit: 2, ..SandboxSettings::default() }).await;
    let answer = tenant.add_tag_to_many(&["a", "b", "c"], "x").await;
    assert_eq!(answer.refusal(), (400, "MaximumBatchSizeExceeded"));
    assert!(answer.message().contains("Received: 3, allowed: 2"), "{answer:?}");
    assert_eq!(tenant.add_tag_to_many(&["a", "b"], "x").await.status, 200);

    let tenant = Tenant::with_three(SandboxSettings { bulk_forbidden: true, ..SandboxSettings::default() }).await;
    assert_eq!(tenant.add_tag_to_many(&["a"], "x").await.refusal(), (403, "Forbidden"));
    assert_eq!(tenant.add_tag("a", "x").await.status, 200);
    assert_eq!(tenant.sandbox.counters().forbidden, 1);
}

#[tokio::test]
async fn the_answer_of_a_bulk_call_lists_as_many_as_asked_for() {
    for (bulk_answer, expected) in
        [(BulkAnswer::All, vec!["a", "b", "c"]), (BulkAnswer::Half, vec!["a", "b"]), (BulkAnswer::Absent, vec![])]
    {
        let tenant = Tenant::with_three(SandboxSettings { bulk_answer, ..SandboxSettings::default() }).await;
        let answer = tenant.add_tag_to_many(&["a", "b", "c"], "x").await;
        assert_eq!((answer.status, answer.ids()), (200, expected));
        assert!(answer.at("/value").is_array());
        assert_eq!(tenant.tags("c"), ["x"], "the change is made to all");
    }
}

#[tokio::test]
async fn unknown_and_dead_machines_are_not_found() {
    let dead = SandboxMachine { dead: true, ..SandboxMachine::new("dead") };
    let tenant = Tenant::start(SandboxSettings { machines: vec![dead], ..SandboxSettings::default() }).await;
    for id in ["dead", "unheard", "%ff"] {
        let answer = tenant.add_tag(id, "x").await;
        assert_eq!(answer.refusal(), (404, "ResourceNotFound"));
        let path = format!("/api/machines/{id}/setDeviceValue");
        assert_eq!(tenant.change(&path, json!({"DeviceValue": "Low"})).await.refusal(), (404, "ResourceNotFound"));
    }
    assert_eq!(tenant.add_tag("unheard", "x").await.message(), "Machine unheard was not found");
}

#[tokio::test]
async fn any_well_formed_id_can_be_tried() {
    let tenant = Tenant::start(SandboxSettings { any_machine: true, ..SandboxSettings::default() }).await;
    let id = "1E5BC9D7E413DDD7902C2932E418702B84D0CC07";
    let answer = tenant.add_tag(id, "x").await;
    assert_eq!((answer.status, answer.at("/id")), (200, &json!(id.to_lowercase())));
    assert_eq!(tenant.sandbox.machine_ids(), [id.to_lowercase()]);
    assert_eq!(tenant.get("/api/machines").await.ids(), [id.to_lowercase()]);
    assert_eq!(tenant.add_tag("name.contoso.example", "x").await.status, 404);
}

#[tokio::test]
async fn bodies_are_taken_by_the_letter() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    let (tags, value) = ("/api/machines/a/tags", "/api/machines/a/setDeviceValue");
    let long = "x".repeat(201);
    for (path, body, expected) in [
        (tags, json!({"value": "x", "Action": "Add"}), "InvalidRequestBody"),
        (tags, json!({"Value": "x", "Action": "Add", "More": 1}), "InvalidRequestBody"),
        (tags, json!({"Value": 5, "Action": "Add"}), "InvalidRequestBody"),
        (tags, json!("text"), "InvalidRequestBody"),
        (tags, json!({"Action": "Add"}), "MissingRequiredParameter"),
        (tags, json!({"Value": "x"}), "MissingRequiredParameter"),
        (tags, json!({"Value": null, "Action": "Add"}), "MissingRequiredParameter"),
        (tags, json!({"Value": "x", "Action": "add"}), "InvalidInput"),
        (tags, json!({"Value": " ", "Action": "Add"}), "InvalidInput"),
        (tags, json!({"Value": long, "Action": "Add"}), "InvalidInput"),
        (value, json!({"deviceValue": "Low"}), "InvalidRequestBody"),
        (value, json!({}), "MissingRequiredParameter"),
        (value, json!({"DeviceValue": "low"}), "InvalidInput"),
        (BULK, json!({"Value": "x", "Action": "Add"}), "MissingRequiredParameter"),
        (BULK, json!({"Value": "x", "Action": "Add", "MachineIds": []}), "InvalidInput"),
        (BULK, json!({"Value": "x", "Action": "Add", "MachineIDs": ["a"]}), "InvalidRequestBody"),
        (BULK, json!({"Value": "x", "Action": "Add", "MachineIds": [1]}), "InvalidRequestBody"),
    ] {
        assert_eq!(tenant.change(path, body.clone()).await.refusal(), (400, expected), "{body}");
    }
    assert!(tenant.tags("a").is_empty());
}

#[tokio::test]
async fn writes_need_their_content_type() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    let body = json!({"Value": "x", "Action": "Add"}).to_string();
    for (content_type, expected) in [
        (None, 415),
        (Some("text/plain"), 415),
        (Some("application/jsonp"), 415),
        (Some("application/json"), 200),
        (Some("Application/JSON; charset=utf-8"), 200),
    ] {
        let request = tenant.request(Method::POST, "/api/machines/a/tags").body(body.clone());
        let request = content_type.into_iter().fold(request, |request, name| request.header(CONTENT_TYPE, name));
        assert_eq!(Answer::of(request).await.status, expected, "{content_type:?}");
    }
}

#[tokio::test]
async fn asset_rules_hold_a_machine() {
    let held = SandboxMachine { held_by_rule: true, tags: vec!["rule".into()], ..SandboxMachine::new("held") };
    let tenant = Tenant::start(SandboxSettings { machines: vec![held], ..SandboxSettings::default() }).await;
    let answer = tenant.add_tag("held", "x").await;
    assert_eq!((answer.status, answer.at("/machineTags")), (200, &json!(["rule"])));
}

#[tokio::test]
async fn a_body_beyond_all_measure_is_refused() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    let request = tenant.post("/api/machines/a/tags", &json!("x".repeat(5 << 20)));
    // The server may close the connection while the client still sends; either way nothing happens.
    if let Ok(response) = request.send().await {
        assert_eq!(Answer::read(response).await.refusal(), (413, "InvalidRequestBody"));
    }
    assert_eq!(tenant.add_tag("a", "x").await.status, 200);
}
