use super::*;

/// What comes of adding a tag to one machine and to three, with this script.
async fn statuses(script: &[Mishap]) -> ([u16; 2], Tenant) {
    let tenant = Tenant::with_three(SandboxSettings { script: script.to_vec(), ..SandboxSettings::default() }).await;
    let single = tenant.add_tag("a", "x").await.status;
    let bulk = tenant.add_tag_to_many(&["a", "b", "c"], "y").await.status;
    ([single, bulk], tenant)
}

#[tokio::test]
async fn a_mishap_befalls_the_calls_that_it_fits_and_no_others() {
    let refused = || Mishap::refusing(418, "Teapot", "no");
    let ages = Duration::from_hours(1)..Duration::from_hours(2);
    let table = [
        ("all", refused(), [418, 418]),
        ("of a kind", refused().on(&[CallKind::Bulk]), [200, 418]),
        ("of another kind", refused().on(&[CallKind::Value, CallKind::List]), [200, 200]),
        ("at a machine", refused().at("a"), [418, 418]),
        ("at another machine", refused().at("b"), [200, 418]),
        ("with many machines", refused().from_machines(3), [200, 418]),
        ("with more machines", refused().from_machines(4), [200, 200]),
        ("that say so", refused().saying(r#""x""#), [418, 200]),
        ("once", refused().times(1), [418, 200]),
        ("at another time", refused().during(ages), [200, 200]),
        ("a fault", Mishap::of(Fault::Unavailable).times(1), [503, 200]),
    ];
    for (what, mishap, expected) in table {
        let (found, tenant) = statuses(&[mishap]).await;
        assert_eq!(found, expected, "{what}");
        let has = |tag: &str| tenant.tags("a").iter().any(|held| held == tag);
        assert_eq!(["x", "y"].map(has), expected.map(|status| status == 200), "{what}: what is refused is not done");
        assert_eq!(tenant.sandbox.counters().calls(), 2, "{what}: it counts like any other call");
    }
}

#[tokio::test]
async fn the_first_mishap_that_fits_decides_and_one_that_hides_the_answer_has_the_call_done() {
    let script = [Mishap::hiding(504, "{}").on(&[CallKind::Tags]), Mishap::answering(503, "{}")];
    let (found, tenant) = statuses(&script).await;
    assert_eq!((found, tenant.tags("a")), ([504, 503], vec!["x".to_owned()]));
    let answer = tenant.change("/api/machines/nobody/tags", json!({"Value": "x", "Action": "Add"})).await;
    assert_eq!(answer.refusal(), (404, "ResourceNotFound"), "a refusal hides behind nothing");
}

#[tokio::test]
async fn other_people_change_machines_and_the_list_lags_behind_that_too() {
    let tenant =
        Tenant::with_three(SandboxSettings { list_lag: Duration::from_hours(1), ..SandboxSettings::default() }).await;
    let tagged = SandboxMachine { tags: vec!["theirs".to_owned()], ..SandboxMachine::new("a") };
    let now = Arrival { uptime: Duration::ZERO, wall: jiff::Timestamp::now() };
    tenant.sandbox.service().put(tagged, now);
    tenant.sandbox.service().put(SandboxMachine::new("new"), now);
    assert_eq!(tenant.get("/api/machines/a").await.at("/machineTags"), &json!(["theirs"]));
    let list = tenant.get("/api/machines").await;
    assert_eq!((list.ids(), list.at("/value/0/machineTags")), (vec!["a", "b", "c", "new"], &json!([])));
    tenant.sandbox.service().set_list_lag(Duration::ZERO);
    assert_eq!(tenant.get("/api/machines").await.at("/value/0/machineTags"), &json!(["theirs"]));
}

#[tokio::test]
async fn tags_that_differ_in_case_are_one_only_where_asked_for() {
    for (ignores_case, expected) in [(true, vec!["b"]), (false, vec!["X", "b"])] {
        let tenant = Tenant::with_three(SandboxSettings { ignores_case, ..SandboxSettings::default() }).await;
        for (tag, action) in [("x", "Add"), ("X", "Add"), ("b", "Add"), ("x", "Remove")] {
            tenant.change("/api/machines/a/tags", json!({"Value": tag, "Action": action})).await;
        }
        assert_eq!(tenant.tags("a"), expected, "{ignores_case}");
    }
}
