//! What `tagfleet check` says of the configuration: where each value is from, and what no run could begin with.

use serde_json::{Value, json};

use crate::checking::{Check, TENANT, lists_one_machine, port_of_nobody, with_token};

#[test]
fn options_that_make_no_sense_leave_the_state_to_be_looked_at() {
    let skipped = ["service", "sign-in service", "clock", "token", "call", "quota"];
    Check::at(&[]).with("--base-url ftp://x.example").finds(2, "configuration", "is not https", &skipped);
    let server = lists_one_machine();
    let check = Check::at(&server.variables()[..2]).with("--auth secret");
    check.finds(2, "configuration", "AZURE_TENANT_ID", &["clock", "token", "call", "quota"]);
    let network = ["service", "sign-in service", "clock", "token", "call", "quota"];
    let unread = with_token(&server, &json!({})).with("--ca-file missing.pem");
    unread.finds(2, "configuration", "missing.pem", &network);
    let unread = Check::at(&server.variables()).with("--token-file missing.jwt");
    unread.finds(2, "configuration", "missing.jwt", &["sign-in service", "clock", "token", "call", "quota"]);
    let proxy = Check::at(&[]).variable("HTTPS_PROXY", "::canary::");
    proxy.finds(2, "configuration", "HTTPS_PROXY", &skipped);
}

#[test]
fn a_quiet_check_says_only_what_is_wrong() {
    let server = lists_one_machine();
    let well = with_token(&server, &json!({})).run("-q");
    assert_eq!(
        (well.status, String::from_utf8_lossy(&well.output).as_ref(), well.messages.as_str()),
        (Some(0), "", "")
    );
    let wrong = with_token(&server, &json!({"roles": []})).run("-q");
    let text = String::from_utf8_lossy(&wrong.output).into_owned();
    let marks: Vec<Option<char>> = text.lines().map(|line| line.chars().next()).collect();
    assert_eq!((wrong.status, marks), (Some(4), vec![Some('×'), Some(' ')]), "{text}");
}

#[test]
fn beside_a_token_that_cannot_be_one_nothing_else_is_said_to_be_wrong() {
    let server = lists_one_machine();
    let check = Check::at(&server.variables()).variable("TAGFLEET_TOKEN", "\"in quotation marks\"");
    let check = check.variable("AZURE_AUTHORITY_HOST", &port_of_nobody());
    check.finds(2, "configuration", "TAGFLEET_TOKEN", &["sign-in service", "clock", "token", "call", "quota"]);
}

#[test]
fn settings_that_cannot_be_used_are_on_the_list_like_all_else() {
    let skipped = ["state", "service", "sign-in service", "clock", "token", "call", "quota"];
    for (text, options, says) in [
        ("[defaults]\nqota = \"off\"\n", "--config c.toml", "quota"),
        ("[defaults]\nquota = \"many\"\n", "--config c.toml", "c.toml:2"),
        ("[defaults]\nquota = \n", "--config c.toml", "c.toml:2"),
        ("[profile.a]\nquota = \"off\"\n", "--config c.toml --profile b", "there is no profile"),
        ("", "--config other.toml", "cannot read"),
    ] {
        let check = Check::at(&[]).with(options);
        check.folder.write("c.toml", text);
        let (results, object) = check.exits(2);
        let of = |wanted: &str| -> Vec<&str> {
            results.iter().filter(|(_, result)| result == wanted).map(|(name, _)| name.as_str()).collect()
        };
        assert_eq!((of("failed"), of("skipped")), (vec!["configuration"], skipped.to_vec()), "{object:#}");
        assert!(object["checks"][0].to_string().contains(says), "{object:#}");
        let ended = check.run("");
        let told = String::from_utf8_lossy(&ended.output).into_owned();
        assert!(told.starts_with("× configuration ") && told.lines().any(|line| line.starts_with("– quota")), "{told}");
        assert_eq!((ended.status, ended.messages.as_str()), (Some(2), ""), "{told}");
    }
}

#[test]
fn a_value_of_any_length_stands_in_the_list() {
    let long = "x".repeat(70_000);
    let secret = Check::at(&[]).variable("AZURE_TENANT_ID", "t").variable("AZURE_CLIENT_SECRET", "s");
    let check = secret.variable("AZURE_CLIENT_ID", &long);
    let told = String::from_utf8_lossy(&check.run("").output).into_owned();
    let others = told.lines().filter(|line| !line.contains(&long));
    assert!(told.contains(&long) && others.map(str::len).max() < Some(300), "{told}");
}

#[test]
fn each_value_has_the_line_of_the_file_that_it_stands_in() {
    let server = lists_one_machine();
    let check = with_token(&server, &json!({}));
    let root = server.variables()[0].1.clone();
    let check = Check { variables: check.variables.into_iter().skip(1).collect(), ..check };
    let text = format!("[defaults]\nquota = \"50/1m\"\n[profile.a]\nbase-url = \"{root}\"\nstate-dir = \"here\"\n");
    check.folder.write("c.toml", text);
    let check = check.with("--config c.toml --profile a");
    let (_, object) = check.exits(0);
    let origin = |name: &str| {
        let settings = object["checks"][0]["settings"].as_array().expect("a list");
        settings.iter().find(|setting| setting["name"] == name).expect("a setting")["origin"].clone()
    };
    assert_eq!((origin("quota"), origin("API")), ("c.toml:2".into(), "c.toml:4".into()), "{object:#}");
    assert_eq!((origin("tenant"), origin("app")), ("AZURE_TENANT_ID".into(), "not set".into()));
    assert_eq!(origin("sign-in at"), "AZURE_AUTHORITY_HOST");
}

#[test]
fn how_it_signs_in_and_whatever_else_decides_a_run_has_its_origin() {
    let server = lists_one_machine();
    let check =
        Check::at(&server.variables()[..2]).variable("AZURE_TENANT_ID", TENANT).variable("AZURE_CLIENT_ID", "a-1");
    let origins = |check: &Check| -> Vec<String> {
        let ended = check.run("--json");
        let object: Value = serde_json::from_slice(&ended.output).expect("an object");
        assert!(!object.to_string().contains("canary"), "{object:#}");
        let settings = object["checks"][0]["settings"].as_array().expect("a list").iter();
        let text = |setting: &Value, part: &str| setting[part].as_str().expect("a text").to_owned();
        settings.map(|it| ["name", "value", "origin"].map(|part| text(it, part)).join(" | ")).collect()
    };
    let by_variable = check.variable("AZURE_CLIENT_SECRET", "canary~secret").with("--quota-share 50 --quota-scope app");
    let lines = origins(&by_variable);
    for line in [
        "sign-in | secret | default",
        "client-secret-file | set | AZURE_CLIENT_SECRET",
        "quota-share | 50 | --quota-share",
        "quota-scope | app | --quota-scope",
        "concurrency | 16 | default",
        "max-outage | 2h | default",
    ] {
        assert!(lines.iter().any(|known| known == line), "{line} is not in {lines:#?}");
    }
    by_variable.folder.write("secret.txt", "canary~secret");
    by_variable.folder.write("c.toml", "[defaults]\nclient-secret-file = \"secret.txt\"\nguard-removals = \"5%,10\"\n");
    let by_file = Check { variables: by_variable.variables[..4].to_vec(), ..by_variable };
    let lines = origins(&by_file.with("--config c.toml --auth secret"));
    for line in ["sign-in | secret | --auth", "client-secret-file | ", "guard-removals | 5%,10 | c.toml:3"] {
        assert!(lines.iter().any(|known| known.starts_with(line)), "{line} is not in {lines:#?}");
    }
}

#[test]
fn what_would_end_every_run_at_its_beginning_is_found_and_named_with_its_place() {
    let server = lists_one_machine();
    let now = jiff::Zoned::now();
    let passed = now.checked_sub(jiff::SignedDuration::from_hours(1)).expect("a time").strftime("%H:%M").to_string();
    for (line, variable, status, says) in [
        ("ping-url-file = \"missing\"", None, 2, "cannot read"),
        ("ping-url-file = \"address\"", None, 2, "ping"),
        ("", Some(("TAGFLEET_PING_URL", "ftp://canary.example/x")), 2, "TAGFLEET_PING_URL"),
        ("metrics-file = \"mine.prom\"", None, 2, "mine.prom"),
        (&format!("deadline = \"{passed}\""), None, 2, "ago"),
        ("encoding = \"nosuch\"", None, 2, "nosuch"),
        ("output = \"mine.csv\"", None, 7, "mine.csv already exists"),
        ("output = \"nowhere/x.csv\"", None, 7, "nowhere"),
        ("deadline = \"0s\"", None, 5, "deadline"),
        ("output = \"x.csv\"\nlog-file = \"x.csv\"", None, 2, "the log"),
        ("output = \"x.csv\"\nlog-file = \"x.failed.csv\"", None, 2, "the log"),
        ("output = \"x.prom\"\nmetrics-file = \"x.prom\"", None, 2, "the results"),
        ("metrics-file = \"x.prom\"\nlog-file = \"x.prom\"", None, 2, "the log"),
    ] {
        let check = with_token(&server, &json!({})).with("--config c.toml");
        let check = variable.into_iter().fold(check, |check, (name, value)| check.variable(name, value));
        check.folder.write("c.toml", format!("[defaults]\n{line}\n"));
        check.folder.write("mine.prom", "# HELP mine x\nmine 1\n");
        check.folder.write("mine.csv", "my notes\n");
        check.folder.write_private("address", "ftp://canary.example/x\n");
        let (results, object) = check.exits(status);
        let told = object["checks"][0].to_string();
        let place = variable.map_or("c.toml:", |(name, _)| name);
        assert!(told.contains(says) && told.contains(place) && !told.contains("canary"), "{line}: {object:#}");
        let others = results.iter().filter(|(name, result)| name != "configuration" && result != "passed").count();
        assert_eq!(others, 2, "all else is looked at, but for what nobody can know: {object:#}");
        // A run ends so, and says so.
        check.folder.write("in.csv", "machineId,tag,action,value\n");
        let run = check.command("apply in.csv --yes --allow-empty");
        let told = run.messages.replace('\n', " ");
        assert_eq!(run.status, Some(status), "{line}: {told}");
        assert!(told.contains(says) && told.contains(place) && !told.contains("canary"), "{line}: {told}");
    }
    let check = with_token(&server, &json!({})).with("--config c.toml");
    let fine =
        "deadline = \"8h\"\nencoding = \"windows-1252\"\noutput = \"x.csv\"\nmetrics-file = \"nowhere/x.prom\"\n";
    check.folder.write("c.toml", format!("[defaults]\n{fine}"));
    check.exits(0);
}
