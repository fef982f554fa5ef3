//! The quota is kept: the sandbox counts exact sliding windows of its own, and has nothing to refuse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::machines::rows_adding;
use crate::process::wait_until;
use crate::rehearsal::{Folder, Rehearsal};
use crate::sandbox_server::Sandbox;
use crate::stand_in::Reply;
use crate::tenant::{Tenant, error, machine};

/// A sandbox that is as strict as the quota of these tests, and takes its time on the way.
fn strict_sandbox(window: &str, further: &str) -> Sandbox {
    Sandbox::start(&format!("--quota 20/{window} --latency 0ms..40ms {further}"))
}

/// Asks for a device value on each machine.
fn rows_setting_values(count: u32) -> String {
    (1..=count).map(|machine| format!("#{machine},,,High\n")).collect()
}

#[test]
fn one_process_is_never_refused_and_each_api_has_a_quota_of_its_own() {
    let sandbox = strict_sandbox("1s", "");
    let rows = rows_adding("A", 45) + &rows_setting_values(45);
    let rehearsal = Rehearsal::at(&sandbox).rows(&rows).quota("20/1s").with("--json");
    let outcome = rehearsal.run().exits(0);
    let summary = outcome.summary();
    assert_eq!((&summary["status"]["succeeded"], &summary["throttled"]), (&90.into(), &0.into()));
    // 45 calls at 20 in any second cannot be over before two seconds have passed; 90 in one bucket would take four.
    let seconds = summary["elapsed_seconds"].as_f64().expect("seconds");
    assert!(seconds >= 2.0, "{seconds}");
    let counters = sandbox.end();
    assert_eq!((counters.of("tags"), counters.of("value"), counters.of("refused_by_quota")), (45, 45, 0));
}

#[test]
fn two_processes_on_one_state_directory_share_the_quota() {
    let sandbox = strict_sandbox("1s", "");
    let state = Folder::new();
    let start = |tag| {
        let path = state.path("state").display().to_string();
        let rehearsal = Rehearsal::at(&sandbox).variable("TAGFLEET_STATE_DIR", &path).rows(&rows_adding(tag, 25));
        rehearsal.quota("20/1s").with("--json").start()
    };
    let (one, other) = (start("A"), start("B"));
    for running in [one, other] {
        let outcome = running.end().exits(0);
        assert_eq!((outcome.count("succeeded"), &outcome.summary()["throttled"]), (25, &0.into()));
    }
    let counters = sandbox.end();
    assert_eq!((counters.of("tags"), counters.of("refused_by_quota")), (50, 0));
}

#[test]
fn four_processes_of_two_tenants_share_two_quotas() {
    let tenants = ["11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"];
    let services = tenants.map(|tenant| (tenant, strict_sandbox("1s", "")));
    let state = Folder::new();
    let start = |(tenant, sandbox): &(&str, Sandbox), tag| {
        let path = state.path("state").display().to_string();
        let rehearsal = Rehearsal::at(sandbox).variable("TAGFLEET_STATE_DIR", &path);
        let rehearsal = rehearsal.variable("AZURE_TENANT_ID", tenant).rows(&rows_adding(tag, 15));
        rehearsal.quota("20/1s").with("--json").start()
    };
    // What another tenant's run changes is in nobody's way.
    let running: Vec<_> =
        ["A", "B"].into_iter().flat_map(|tag| services.each_ref().map(|service| start(service, tag))).collect();
    for running in running {
        let outcome = running.end().exits(0);
        assert_eq!((outcome.count("succeeded"), &outcome.summary()["throttled"]), (15, &0.into()));
    }
    for (_, sandbox) in services {
        let counters = sandbox.end();
        assert_eq!((counters.of("tags"), counters.of("refused_by_quota")), (30, 0));
    }
}

#[test]
fn a_run_counts_the_calls_of_the_run_before() {
    let sandbox = strict_sandbox("400ms", "");
    let folder = Folder::new();
    for _run in 0..3 {
        let outcome = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding("A", 12)).quota("20/400ms").run();
        assert_eq!(outcome.exits(0).count("succeeded"), 12);
    }
    let counters = sandbox.end();
    assert_eq!((counters.of("tags"), counters.of("refused_by_quota")), (36, 0));
}

#[test]
fn one_quota_for_all_calls_of_the_app_is_kept() {
    let sandbox = strict_sandbox("400ms", "--one-bucket");
    let rows = rows_adding("A", 20) + &rows_setting_values(20);
    let rehearsal = Rehearsal::at(&sandbox).rows(&rows).quota("20/400ms").with("--quota-scope app");
    assert_eq!(rehearsal.run().exits(0).count("succeeded"), 40);
    assert_eq!(sandbox.end().of("refused_by_quota"), 0);
}

/// A tag of its own for each machine.
fn rows_adding_a_tag_each(count: u32) -> String {
    (1..=count).map(|machine| format!("#{machine},Tag {machine},Add,\n")).collect()
}

#[test]
fn single_and_bulk_tag_calls_go_side_by_side_where_they_count_apart() {
    let sandbox = strict_sandbox("1s", "--bulk-apart");
    let rows = rows_adding_a_tag_each(80);
    let options = "--no-inventory --quota-scope auto --json";
    let plan = Rehearsal::at(&sandbox).only_plan().rows(&rows).quota("20/1s").with(options).run().exits(0).summary();
    assert_eq!((&plan["tags_side_by_side"], &plan["calls"]["bulk"]), (&true.into(), &40.into()));
    let outcome = Rehearsal::at(&sandbox).planned().rows(&rows).quota("20/1s").with(options).run().exits(0);
    assert_eq!((outcome.count("succeeded"), &outcome.summary()["throttled"]), (80, &0.into()));
    let counters = sandbox.end();
    assert_eq!((counters.of("tags") + counters.of("bulk"), counters.of("refused_by_quota")), (80, 0));
    assert!(counters.of("bulk") >= 20 && counters.of("tags") >= 20, "{counters:?}");
}

#[test]
fn an_app_whose_tag_calls_count_together_is_remembered() {
    let sandbox = strict_sandbox("1s", "");
    let folder = Folder::new();
    let start = |tags| {
        let rehearsal = Rehearsal::at(&sandbox).planned().in_folder(&folder).rows(&rows_adding_a_tag_each(tags));
        rehearsal.quota("20/1s").with("--no-inventory --quota-scope auto --json").run().exits(0)
    };
    let outcome = start(40).says(&["warning: the service refused a tag call for quota (429) although"]);
    let throttled = outcome.summary()["throttled"].as_u64();
    assert!(throttled.is_some_and(|throttled| (1..=5).contains(&throttled)), "{throttled:?}");
    let outcome = start(60).says(&["Single and bulk tag calls count together, as a refusal for quota has shown"]);
    assert_eq!((outcome.count("succeeded"), &outcome.summary()["throttled"]), (60, &0.into()));
    assert_eq!(Some(sandbox.end().of("refused_by_quota")), throttled);
}

#[test]
fn a_share_of_the_quota_leaves_the_rest_to_others() {
    let sandbox = strict_sandbox("400ms", "");
    let rehearsal = Rehearsal::at(&sandbox).rows(&rows_adding("A", 45)).quota("40/400ms").with("--quota-share 50");
    assert_eq!(rehearsal.run().exits(0).count("succeeded"), 45);
    assert_eq!(sandbox.end().of("refused_by_quota"), 0);
}

#[test]
fn attempts_that_are_made_again_count_as_well() {
    let sandbox = strict_sandbox("400ms", "--fault unavailable=10% --fault reset=5% --fault lost-answer=5% --seed 5");
    let outcome = Rehearsal::at(&sandbox).rows(&rows_adding("A", 30)).quota("20/400ms").run().exits(0);
    assert_eq!(outcome.count("succeeded"), 30);
    let counters = sandbox.end();
    assert!(counters.of("faults") >= 3, "{counters:?}");
    assert_eq!(counters.of("refused_by_quota"), 0);
}

#[test]
fn without_a_quota_that_fits_the_service_slows_the_run_down_and_no_row_is_lost() {
    // The service refuses until somebody has been told.
    let is_told = Arc::new(AtomicBool::new(false));
    let is_content = Arc::clone(&is_told);
    let refusal = || Reply::json(429, error("TooManyRequests", "You can send requests again in 1 seconds."));
    let server = Tenant::of((1..=8).map(machine))
        .serve_unless(move |_request| (!is_content.load(Ordering::SeqCst)).then(refusal));
    let running = Rehearsal::at_stand_in(&server).rows(&rows_adding("A", 8)).quota("100/300ms").with("--json").start();
    running.program().waits_until_it_says("warning: the service refused a call for quota (429) although");
    is_told.store(true, Ordering::SeqCst);
    let outcome = running.end().exits(0);
    assert_eq!((outcome.count("succeeded"), outcome.results().column("attempts")), (8, vec!["1"; 8]));
    assert!(outcome.summary()["throttled"].as_u64().is_some_and(|throttled| throttled >= 1));
}

#[cfg(unix)]
#[test]
fn runs_that_are_killed_and_started_again_never_burst() {
    const ROUNDS: u64 = 8;
    let sandbox = strict_sandbox("1s", "");
    let folder = Folder::new();
    let settled = || {
        let runs: Value = serde_json::from_slice(&folder.run(&["runs", "--json"]).output).expect("JSON");
        runs["runs"][0]["operations"]["succeeded"].as_u64().unwrap_or(0)
    };
    let start = |tag: &str| {
        let rehearsal = Rehearsal::at(&sandbox).in_folder(&folder).rows(&rows_adding(tag, 40));
        rehearsal.quota("20/1s").with("--concurrency 2 --json -v").start()
    };
    for round in 1..=ROUNDS {
        // Each is killed a few calls later than the one before, with calls in flight.
        let tag = format!("round {round}");
        let running = start(&tag);
        running.program().waits_until_it_says("calls begin");
        wait_until(|| settled() >= round);
        running.program().signal(rustix::process::Signal::KILL);
        assert_eq!(running.end().status(), None);
    }
    let outcome = start("last").end().exits(0);
    assert_eq!((outcome.count("succeeded"), &outcome.summary()["throttled"]), (40, &0.into()));
    assert_eq!(sandbox.end().of("refused_by_quota"), 0);
}
