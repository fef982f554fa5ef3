use clap::Parser;

use super::values::{Problem, duration, duration_range, fault, machines, percent, quotas};
use super::*;
use crate::sandbox::settings::SandboxMachine;
use crate::sandbox::settings::SandboxQuota;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    sandbox: SandboxArguments,
}

fn parse(arguments: &[&str]) -> Result<SandboxArguments, String> {
    let program = std::iter::once("sandbox").chain(arguments.iter().copied());
    Program::try_parse_from(program).map(|program| program.sandbox).map_err(|error| error.to_string())
}

#[test]
fn without_options_it_is_the_default_tenant_with_a_thousand_machines() {
    let arguments = parse(&[]).expect("no options");
    assert_eq!(arguments.listen.to_string(), "127.0.0.1:0");
    let expected = SandboxSettings { made_up_machines: 1000, ..SandboxSettings::default() };
    assert_eq!(arguments.settings().expect("settings"), expected);
}

#[test]
fn every_option_reaches_its_setting() {
    let arguments = parse(&[
        "--machines=5",
        "--any-machine",
        "--dead-percent=25%",
        "--dead-unlisted",
        "--list-lag=2m",
        "--next-link=endless",
        "--maximum-page=7",
        "--quota=3/10s,9/1h",
        "--one-bucket",
        "--retry-after=none",
        "--early-calls-prolong",
        "--name-dead=one",
        "--bulk-refusal=404",
        "--bulk-forbidden",
        "--bulk-limit=9",
        "--bulk-answer=half",
        "--fault=429=0.25",
        "--fault=lost-answer=1%",
        "--fault-scope=writes",
        "--fault-limit=4",
        "--latency=20ms..80ms",
        "--token-lifetime=90s",
        "--seed=77",
    ])
    .expect("good options");
    let seconds = Duration::from_secs;
    let expected = SandboxSettings {
        quotas: vec![SandboxQuota { calls: 3, window: seconds(10) }, SandboxQuota { calls: 9, window: seconds(3600) }],
        one_bucket: true,
        early_calls_prolong: true,
        retry_after: RetryAfter::Absent,
        faults: Faults::of(&[(Fault::Throttled, 0.25), (Fault::LostAnswer, 0.01)]),
        fault_scope: FaultScope::Writes,
        fault_limit: Some(4),
        latency: Duration::from_millis(20)..=Duration::from_millis(80),
        machines: Vec::new(),
        made_up_machines: 5,
        any_machine: true,
        dead: DeadMachines::Share(0.25),
        dead_listed: false,
        dead_naming: DeadNaming::One,
        bulk_refusal_status: BulkRefusalStatus::NotFound,
        bulk_forbidden: true,
        bulk_limit: 9,
        bulk_answer: BulkAnswer::Half,
        maximum_page: 7,
        next_link: NextLink::Endless,
        list_lag: seconds(120),
        token_lifetime: seconds(90),
        seed: 77,
        ..SandboxSettings::default()
    };
    assert_eq!(arguments.settings().expect("settings"), expected);
    let dead = parse(&["--dead=12"]).expect("good options").settings().expect("settings").dead;
    assert_eq!(dead, DeadMachines::Count(12));
}

#[test]
fn options_that_exclude_each_other_or_make_no_sense_are_refused() {
    for (arguments, expected) in [
        (&["--dead=1", "--dead-percent=1"][..], "cannot be used with"),
        (&["--machines=1", "--machines-file=x"], "cannot be used with"),
        (&["--fault=earthquake=1"], "there are throttled, internal-error"),
        (&["--name-dead=two"], "possible values: all, one, none"),
        (&["--quota=100"], "is not a quota"),
        (&["--listen=localhost"], "invalid value"),
    ] {
        let error = parse(arguments).expect_err("bad options");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn durations_are_read() {
    for (text, milliseconds) in
        [("0ms", 0), ("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("2d", 172_800_000)]
    {
        assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in ["", "5", "s", "-5s", "1.5s", "5 s", "5w", "99999999999999999999s", "999999999999999999d"] {
        assert!(duration(text).is_err(), "{text}");
    }
    assert_eq!(duration_range("1s..2s"), Ok(Duration::from_secs(1)..=Duration::from_secs(2)));
    assert_eq!(duration_range("1s"), Ok(Duration::from_secs(1)..=Duration::from_secs(1)));
    for text in ["2s..1s", "1s..", "..1s", "1..2s"] {
        assert!(duration_range(text).is_err(), "{text}");
    }
}

#[test]
fn quotas_are_read() {
    let quota = |calls, seconds| SandboxQuota { calls, window: Duration::from_secs(seconds) };
    assert_eq!(quotas("100/1m, 1500/1h"), Ok(Quotas(vec![quota(100, 60), quota(1500, 3600)])));
    assert_eq!(quotas("off"), Ok(Quotas(Vec::new())));
    for text in ["", "100", "100/", "/1m", "0/1m", "5/0s", "5/1m,", "-5/1m"] {
        assert!(quotas(text).is_err(), "{text}");
    }
}

#[test]
fn probabilities_and_shares_are_read() {
    assert_eq!(fault("503=0.5"), Ok((Fault::Unavailable, 0.5)));
    assert_eq!(fault("reset=50%"), Ok((Fault::Reset, 0.5)));
    for text in ["reset", "reset=", "reset=2", "reset=-1", "reset=NaN", "reset=101%", "=1"] {
        assert!(fault(text).is_err(), "{text}");
    }
    assert_eq!(percent("2.5"), Ok(2.5));
    assert_eq!(percent("100%"), Ok(100.0));
    for text in ["", "101", "-1", "NaN", "%"] {
        assert!(percent(text).is_err(), "{text}");
    }
}

#[test]
fn a_machines_file_is_read_and_its_bad_lines_are_named() {
    let good = "\u{feff}Id,Name\r\na,one.contoso.example\r\n\r\n b \n c , three \n";
    let expected: Vec<_> = [("a", Some("one.contoso.example")), ("b", None), ("c", Some("three"))]
        .map(|(id, name)| SandboxMachine { computer_dns_name: name.map(str::to_owned), ..SandboxMachine::new(id) })
        .to_vec();
    assert_eq!(machines(good.as_bytes()).expect("good lines"), expected);
    let long = format!("a\n{}\n", "b".repeat(5000));
    let table: [(&[u8], usize, &str); 5] = [
        (b"a\n,b\n", 2, "no id"),
        (b"a,b,c\n", 1, "further columns"),
        (b"a\nb\n\"c\",d\n", 3, "quotes"),
        (b"a\n\xff\n", 2, "UTF-8"),
        (long.as_bytes(), 2, "longer"),
    ];
    for (input, line, part) in table {
        match machines(input) {
            Err(Problem::Line(found, problem)) => {
                assert!(found == line && problem.contains(part), "{found}: {problem}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_missing_machines_file_is_named() {
    let arguments = parse(&["--machines-file=does/not/exist.csv"]).expect("good options");
    let error = arguments.settings().expect_err("no such file");
    assert_eq!(error.to_string(), "cannot read the machines file does/not/exist.csv");
    assert!(std::error::Error::source(&error).is_some());
}
