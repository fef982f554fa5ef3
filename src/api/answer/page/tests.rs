use super::*;

fn parse(body: &[u8]) -> Option<MachinePage> {
    MachinePage::parse(body, ListBounds::PAGE).ok()
}

fn ids(page: &MachinePage) -> Vec<&str> {
    page.machines.iter().map(|machine| &*machine.id).collect()
}

#[test]
fn a_page_is_read_whatever_its_machines_lack() {
    let body = r#"{
        "@odata.context": "https://api.example/$metadata#Machines",
        "value": [
            {"id": "a", "computerDnsName": "one.example", "osBuild": 18209, "machineTags": ["x", "y"], "deviceValue": "High",
             "onboardingstatus": "Onboarded", "ipAddresses": [{"ipAddress": "10.0.0.1"}], "isAadJoined": true, "vmMetadata": null},
            {"id": "b", "computerDnsName": null, "machineTags": null, "deviceValue": "", "osPlatform": ["odd"], "lastSeen": {}},
            {"id": "c", "machineTags": "x", "version": true},
            {"id": "d", "machineTags": ["x", 7]},
            {"id": "e", "id": "f", "machineTags": []}
        ],
        "@odata.nextLink": "::not a link::"
    }"#;
    let page = parse(body.as_bytes()).expect("a page");
    assert_eq!(ids(&page), ["a", "b", "c", "d", "f"]);
    assert_eq!((page.skipped, page.item_count(), page.has_next_link), (0, 5, true));
    let [first, second, third, fourth, fifth] = page.machines.as_slice() else { panic!("five machines") };
    assert_eq!((first.computer_dns_name.as_deref(), first.os_build.as_deref()), (Some("one.example"), Some("18209")));
    assert_eq!((first.device_value.as_deref(), first.onboarding_status.as_deref()), (Some("High"), Some("Onboarded")));
    assert_eq!(first.machine_tags, Some(vec!["x".into(), "y".into()]));
    assert_eq!(*second, MachineRecord { id: "b".into(), ..MachineRecord::default() });
    assert_eq!((&third.machine_tags, third.version.as_deref()), (&None, Some("true")));
    assert_eq!((&fourth.machine_tags, &fifth.machine_tags), (&None, &Some(Vec::new())), "unknown is not none");
}

#[test]
fn a_page_that_speaks_of_an_error_is_none() {
    for (complaint, is_page) in [("null", true), (r#"{"code": "InternalServerError"}"#, false), (r#""down""#, false)] {
        let body = format!(r#"{{"value": [{{"id": "a"}}], "error": {complaint}}}"#);
        assert_eq!(parse(body.as_bytes()).is_some(), is_page, "{complaint}");
    }
}

#[test]
fn what_is_no_machine_is_left_out_and_counted() {
    let body = r#"{"value": [{}, {"id": ""}, {"id": null}, {"id": 7}, {"id": ["a"]}, {"id": ".."}, null, true, -1, 1, 0.5,
                              "a", [], [{"id": "a"}], {"id": "kept"}]}"#;
    let page = parse(body.as_bytes()).expect("a page");
    assert_eq!((ids(&page), page.skipped, page.item_count()), (vec!["kept"], 14, 15));
}

#[test]
fn only_a_list_under_value_is_a_page() {
    assert_eq!(parse(br#"{"value": []}"#), Some(MachinePage::default()));
    assert_eq!(parse(br#"{"value": [], "@odata.nextLink": null}"#), Some(MachinePage::default()));
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        r#"{"value": null}"#,
        r#"{"value": {"id": "a"}}"#,
        r#"{"value": "a"}"#,
        r#"{"value": [{"id": "a"}"#,
        r#"{"value": [{"id": "a"}]} and more"#,
        r#"{"id": "a"}"#,
        r#"{"error": {"code": "c", "message": "m"}}"#,
        "<html></html>",
    ] {
        assert_eq!(parse(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn a_text_that_was_cut_within_a_character_costs_nothing_else() {
    let page = |text: &str| {
        let body = format!(r#"{{"value": [{{"id": "a", "osPlatform": "{text}"}}]}}"#);
        parse(body.as_bytes()).map(|page| page.machines[0].os_platform.clone().unwrap_or_default().to_string())
    };
    assert_eq!(page(r"cut \ud83d").as_deref(), Some("cut \u{fffd}"));
    assert_eq!(page(r"\ude00 cut \ud83dx\\ud83d").as_deref(), Some("\u{fffd} cut \u{fffd}x\\ud83d"));
    assert_eq!(page(r"\ud83d\ud83d\ude00").as_deref(), Some("\u{fffd}\u{1f600}"));
    assert_eq!(page(r"\ud83d\ude00 whole").as_deref(), Some("\u{1f600} whole"));
    assert_eq!(page(r"\uZZZZ"), None);
    assert_eq!(page("\\"), None);

    let bytes = b"{\"value\": [{\"id\": \"a\", \"osPlatform\": \"\xF0\x9F\"}]}";
    let page = parse(bytes).expect("a page");
    assert_eq!(page.machines[0].os_platform.as_deref(), Some("\u{fffd}"));
}

/// Why a list of these elements, some of them many times over, is not read under these bounds.
fn unreadable(element: &str, count: usize, bounds: ListBounds) -> Option<UnreadableList> {
    let body = format!(r#"{{"value": [{}]}}"#, vec![element; count].join(","));
    MachinePage::parse(body.as_bytes(), bounds).err()
}

#[test]
fn more_than_a_true_answer_holds_is_not_read_and_named() {
    let bounds = ListBounds { machines: 10, memory_bytes: 10_000 };
    let machine = r#"{"id": "a"}"#;
    assert_eq!(unreadable(machine, 10, bounds), None);
    assert_eq!(unreadable(machine, 11, bounds), Some(UnreadableList::TooManyMachines { limit: 10 }));
    assert_eq!(unreadable("7", 1_000, bounds), None, "what is no machine takes no memory");
    let tagged = format!(r#"{{"id": "a", "machineTags": [{}]}}"#, vec![r#""t""#; 200].join(","));
    assert_eq!(unreadable(&tagged, 1, bounds), None);
    assert_eq!(unreadable(&tagged, 2, bounds), Some(UnreadableList::TooLarge { limit_bytes: 10_000 }));
    let deep = format!(r#"{{"value": [{}"#, "[".repeat(1_000_000));
    assert_eq!(MachinePage::parse(deep.as_bytes(), bounds), Err(UnreadableList::Other));
    let deep = format!(r#"{{"id": "a", "machineTags": {}"#, "[".repeat(1_000_000));
    assert_eq!(unreadable(&deep, 1, bounds), Some(UnreadableList::Other));
    let damaged = |count| [&br#"{"value": [], "@odata.nextLink": ""#[..], &vec![0xFF; count], &br#""}"#[..]].concat();
    assert!(parse(&damaged(MAXIMUM_DAMAGED_CHARACTERS)).is_some());
    assert_eq!(parse(&damaged(MAXIMUM_DAMAGED_CHARACTERS + 1)), None);
}

#[test]
fn what_is_too_much_of_one_machine_is_as_good_as_not_shown() {
    let long = "x".repeat(4_097);
    let body = format!(
        r#"{{"value": [
            {{"id": "a", "computerDnsName": "{long}", "machineTags": ["t"]}},
            {{"id": "b", "computerDnsName": "{}"}},
            {{"id": "{}"}}
        ], "@odata.nextLink": "{long}"}}"#,
        &long[1..],
        &long[..65],
    );
    let page = parse(body.as_bytes()).expect("a page");
    assert_eq!((ids(&page), page.skipped, page.has_next_link), (vec!["a", "b"], 1, true));
    let [first, second] = page.machines.as_slice() else { panic!("two machines") };
    assert_eq!((&first.computer_dns_name, first.machine_tags.as_ref().map(Vec::len)), (&None, Some(1)));
    assert_eq!(second.computer_dns_name.as_deref().map(str::len), Some(4_096));
}

#[test]
fn all_tags_of_a_machine_are_read_or_it_is_said_that_they_are_too_many() {
    let machine = |tag: &str, count: usize| {
        format!(r#"{{"id": "a", "machineTags": [{}]}}"#, vec![format!(r#""{tag}""#); count].join(","))
    };
    let page = format!(r#"{{"value": [{}]}}"#, machine("t", MAXIMUM_TAGS));
    let page = parse(page.as_bytes()).expect("a page");
    assert_eq!(page.machines[0].machine_tags.as_ref().map(Vec::len), Some(MAXIMUM_TAGS));
    let too_many = Some(UnreadableList::TooManyTags { limit: MAXIMUM_TAGS });
    assert_eq!(unreadable(&machine("t", MAXIMUM_TAGS + 1), 1, ListBounds::PAGE), too_many);
    assert_eq!(unreadable(&machine(&"x".repeat(4_097), 1), 1, ListBounds::PAGE), too_many);
}
