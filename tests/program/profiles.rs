//! Files of settings: what holds, where it is from, whose tenant it is, and that no secret gets out of one.

use serde_json::Value;

use crate::process::Program;
use crate::rehearsal::{Folder, Outcome, Rehearsal, repository};
use crate::sandbox_server::Sandbox;
use crate::stand_in::{Reply, StandIn};

/// What a client secret or an address could look like.
const CANARY: &str = "canary~Tweety.1942_in-a-cage";

/// The value of a variable that leads to a sandbox.
pub(crate) fn variable<'s>(sandbox: &'s Sandbox, name: &str) -> &'s str {
    sandbox.variables().iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).expect("a variable")
}

/// The section of a profile that leads to a sandbox, whose client secret stands in a file of the folder.
pub(crate) fn profile(name: &str, sandbox: &Sandbox, tenant: &str, folder: &Folder) -> String {
    folder.write_private(&format!("{name}.secret"), variable(sandbox, "AZURE_CLIENT_SECRET"));
    format!(
        "[profile.{name}]\ntenant = \"{tenant}\"\napp = \"{}\"\nbase-url = \"{}\"\nauthority-host = \"{}\"\n\
         client-secret-file = \"{name}.secret\"\n",
        variable(sandbox, "AZURE_CLIENT_ID"),
        variable(sandbox, "TAGFLEET_BASE_URL"),
        variable(sandbox, "AZURE_AUTHORITY_HOST"),
    )
}

fn at_nobody(folder: &Folder) -> Rehearsal {
    Rehearsal::at_nobody().in_folder(folder).rows("#1,Tier 0,Add,")
}

#[test]
fn a_profile_leads_to_its_tenant_and_what_it_sets_holds() {
    let (sandbox, folder) = (Sandbox::start(""), Folder::new());
    let settings = profile("contoso", &sandbox, "contoso", &folder);
    std::fs::create_dir_all(folder.path(".config/tagfleet")).expect("our own folder");
    folder.write(".config/tagfleet/config.toml", settings.replace("\"contoso.secret\"", "\"../../contoso.secret\""));
    let outcome = at_nobody(&folder).with("--profile contoso").run().exits(0);
    assert_eq!(sandbox.machine(1).tags, ["Tier 0"]);
    assert_eq!(outcome.statuses(), ["succeeded"]);
    let outcome = at_nobody(&folder).rows("#2,Tier 0,Add,").variable("TAGFLEET_PROFILE", "contoso").run().exits(0);
    assert_eq!((sandbox.machine(2).tags.len(), outcome.count("succeeded")), (1, 1));
    at_nobody(&folder).run().exits(2).says(&["no credentials found"]);
    at_nobody(&folder).with("--profile conto").run().exits(2).says(&["there is no profile \"conto\"", "has contoso"]);
}

#[test]
fn what_makes_no_sense_in_a_file_is_named_by_its_line_also_for_scripts() {
    let folder = Folder::new();
    folder.write("c.toml", format!("[defaults]\nclient-secret = \"{CANARY}\"\n"));
    let outcome = at_nobody(&folder).with("--config c.toml --json -vv").run().exits(2);
    let object = outcome.summary();
    assert_eq!((&object["ended"], &object["exit_status"]), (&"usage".into(), &2.into()));
    assert_eq!(object["reason"], "c.toml:2: client-secret would be a secret, and no secret stands in this file");
    assert!(!outcome.messages().contains(CANARY) && !outcome.output().contains(CANARY), "{}", outcome.messages());
    folder.write("c.toml", "[profile.a]\nquota-shar = 5\n");
    at_nobody(&folder)
        .with("--config c.toml")
        .run()
        .exits(2)
        .says(&["error: c.toml:2: there is no setting \"quota-shar\"", "hint: the nearest is quota-share"]);
    #[cfg(unix)]
    {
        let everybodys = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(folder.path("c.toml"), everybodys).expect("our own file");
        at_nobody(&folder)
            .with("--config c.toml")
            .run()
            .exits(2)
            .says(&["all users of this computer can change c.toml"]);
    }
}

#[test]
fn a_variable_of_another_tenant_ends_the_command_before_any_call() {
    let (sandbox, folder) = (Sandbox::start(""), Folder::new());
    folder.write("c.toml", profile("a", &sandbox, "contoso", &folder));
    let other = |name: &str, value: &str| {
        at_nobody(&folder).with("--config c.toml --profile a").variable(name, value).run().exits(2)
    };
    other("AZURE_TENANT_ID", "fabrikam").says(&["c.toml:2: the profile's tenant is \"contoso\"", "is \"fabrikam\""]);
    other("TAGFLEET_TOKEN", "x.y.z").says(&["client-secret-file", "TAGFLEET_TOKEN is set"]);
    sandbox.end().are_all_nought();
}

/// A token for that tenant.
fn token_of(tenant: &str) -> String {
    let claims = format!(r#"{{"tid":"{tenant}","appid":"a","exp":9999999999}}"#);
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let encoded: String = claims
        .as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
            (0..=chunk.len()).map(move |place| char::from(digits[(bits >> (18 - 6 * place)) as usize & 63]))
        })
        .collect();
    format!("e30.{encoded}.c2lnbmF0dXJl")
}

#[test]
fn a_token_of_another_tenant_than_the_profiles_ends_the_command_before_the_first_call() {
    let (mine, other) = ("11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555");
    let server = StandIn::answering(|request| {
        if request.path.contains("/token") {
            let token = token_of("99999999-2222-3333-4444-555555555555");
            return Reply::json(200, format!(r#"{{"access_token":"{token}","expires_in":3600}}"#));
        }
        Reply::json(200, format!(r#"{{"value":[],"id":"{}"}}"#, crate::machines::id(1)))
    });
    let folder = Folder::new();
    folder.write_private("secret", CANARY);
    let address = server.variables().into_iter().find(|(name, _)| name == "TAGFLEET_BASE_URL").expect("an address").1;
    let settings = format!("[profile.a]\ntenant = \"{mine}\"\nbase-url = \"{address}\"\n");
    for way in [
        "token-file = \"token\"\n".to_owned(),
        format!(
            "app = \"66666666-7777-8888-9999-000000000000\"\nauthority-host = \"{address}\"\nclient-secret-file = \"secret\"\n"
        ),
    ] {
        folder.write_private("token", &token_of(other));
        folder.write("c.toml", format!("{settings}{way}"));
        let outcome = at_nobody(&folder).with("--config c.toml --profile a").run().exits(4);
        let said = "the token is of the tenant 99999999-2222-3333-4444-555555555555, and not of 11111111";
        assert!(outcome.output().contains(said), "{way}: {}", outcome.output());
        let mut check = folder.command();
        check.args(["check", "--config", "c.toml", "--profile", "a"]);
        let checked = Program::start(check, None, true).end();
        assert_eq!(checked.status, Some(4), "{way}: {}", checked.messages);
        let calls = server.requests().into_iter().filter(|request| request.path.contains("/api/")).count();
        assert_eq!(calls, 0, "{way}");
    }
    folder.write_private("token", &token_of(mine));
    folder.write("c.toml", format!("{settings}token-file = \"token\"\n"));
    at_nobody(&folder).with("--config c.toml --profile a").run();
    assert!(server.requests().iter().any(|request| request.path.contains("/api/")), "a token of the profile's is used");
}

fn config(folder: &Folder, options: &str, variables: &[(&str, &str)]) -> crate::process::Ended {
    let mut command = folder.command();
    command.arg("config").args(options.split_whitespace()).envs(variables.iter().copied());
    Program::start(command, None, true).end()
}

#[test]
fn each_setting_is_shown_with_its_origin_and_a_secret_only_as_set() {
    let folder = Folder::new();
    folder.write("c.toml", "[defaults]\nquota-share = 80\n[profile.a]\ntenant = \"t-a\"\n");
    let variables = [("AZURE_CLIENT_SECRET", CANARY), ("TAGFLEET_PING_URL", CANARY), ("AZURE_CLIENT_ID", "app-1")];
    let shown = config(&folder, "--config c.toml --profile a --concurrency 9", &variables);
    let text = String::from_utf8(shown.output).expect("UTF-8");
    let line = |key: &str| {
        let line =
            text.lines().find(|line| line.split(' ').next() == Some(key)).unwrap_or_else(|| panic!("{key}: {text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("tenant"), "tenant t-a c.toml:4");
    assert_eq!(line("app"), "app app-1 variable AZURE_CLIENT_ID");
    assert_eq!(line("concurrency"), "concurrency 9 option --concurrency");
    assert_eq!(line("quota-share"), "quota-share 80 c.toml:2");
    assert_eq!(line("quota"), "quota 100/1m,1500/1h default");
    assert_eq!(line("client-secret-file"), "client-secret-file set variable AZURE_CLIENT_SECRET");
    assert_eq!(line("ping-url-file"), "ping-url-file set variable TAGFLEET_PING_URL");
    assert_eq!(line("base-url"), "base-url https://api.security.microsoft.com default");
    assert_eq!(line("metrics-file"), "metrics-file - not set");
    for (variable, address) in [
        ("TAGFLEET_BASE_URL", format!("http://user:{CANARY}@127.0.0.1:1")),
        ("AZURE_AUTHORITY_HOST", format!("https://user:{CANARY}/x?y@login.example")),
    ] {
        for options in ["", "--json", "--base-url http://me:canary-of-mine@127.0.0.1:1"] {
            let shown = config(&folder, options, &[(variable, &address)]);
            let text = String::from_utf8_lossy(&shown.output).into_owned() + &shown.messages;
            assert!(!text.contains(CANARY) && !text.contains("canary-of-mine") && text.contains("***"), "{text}");
        }
    }
    let object = config(&folder, "--config c.toml --profile a --json", &variables);
    assert!(!String::from_utf8_lossy(&object.output).contains(CANARY) && !text.contains(CANARY));
    let object: Value = serde_json::from_slice(&object.output).expect("JSON");
    let settings = object["settings"].as_array().expect("a list");
    let share = settings.iter().find(|setting| setting["key"] == "quota-share").expect("a key");
    assert_eq!((&object["profile"], &share["value"]), (&"a".into(), &"80".into()));
    assert_eq!((&share["origin"]["kind"], &share["origin"]["line"]), (&"file".into(), &2.into()));
}

#[test]
fn of_what_says_where_the_state_is_one_is_in_force() {
    const SERVER: &str = "postgresql://u@db.example/d";
    let folder = Folder::new();
    let table = [
        (format!("--state {SERVER}"), ("TAGFLEET_STATE_DIR", "/typed/over"), "state", "state-dir"),
        (format!("--state {SERVER}"), ("TAGFLEET_STATE", "postgresql://u@other.example/d"), "state", "state-dir"),
        ("--state-dir here".to_owned(), ("TAGFLEET_STATE", SERVER), "state-dir", "state"),
    ];
    for (options, variable, in_force, other) in table {
        let mut command = folder.command();
        command.arg("config").arg("--json").args(options.split_whitespace());
        command.env_remove("TAGFLEET_STATE_DIR").env(variable.0, variable.1);
        let shown = Program::start(command, None, true).end();
        let object: Value = serde_json::from_slice(&shown.output).expect("JSON");
        let of = |key: &str| {
            let settings = object["settings"].as_array().expect("a list").iter();
            settings.clone().find(|setting| setting["key"] == key).expect("a key").clone()
        };
        assert_eq!(of(in_force)["origin"]["kind"], "option", "{options} {variable:?}");
        assert_eq!((&of(other)["value"], &of(other)["origin"]), (&Value::Null, &Value::Null), "{options} {variable:?}");
    }
}

#[test]
fn the_sample_is_a_file_of_settings_of_two_profiles() {
    let folder = Folder::new();
    folder.write("config.toml", std::fs::read(repository("samples/config.toml")).expect("a sample"));
    for (profile, method) in [("contoso", "auto"), ("fabrikam", "certificate")] {
        let shown = config(&folder, &format!("--config config.toml --profile {profile} --json"), &[]);
        assert_eq!(shown.status, Some(0), "{}", shown.messages);
        let object: Value = serde_json::from_slice(&shown.output).expect("JSON");
        let of = |key: &str| {
            let settings = object["settings"].as_array().expect("a list").iter();
            settings.clone().find(|setting| setting["key"] == key).expect("a key")["value"].clone()
        };
        assert_eq!((of("auth"), of("quota-share")), (method.into(), "80".into()));
    }
}

#[test]
fn a_secret_of_a_profile_is_found_nowhere() {
    let (sandbox, folder) = (Sandbox::start("--fault unauthorized=10% --fault-limit 3"), Folder::new());
    let settings = profile("a", &sandbox, "contoso", &folder);
    std::fs::remove_file(folder.path("a.secret")).expect("our own file");
    let elsewhere = Folder::new();
    elsewhere.write_private("a.secret", CANARY);
    let path = elsewhere.path("a.secret");
    folder.write("c.toml", settings.replace("\"a.secret\"", &format!("\"{}\"", path.display())));
    let outcome: Outcome = at_nobody(&folder).with("--config c.toml --profile a -vv").run().exits(0);
    assert!(outcome.messages().contains("signed in"), "{}", outcome.messages());
    assert_eq!(folder.files_holding(CANARY), Vec::<std::path::PathBuf>::new());
    assert!(!outcome.messages().contains(CANARY) && !outcome.output().contains(CANARY));
}
