use std::ffi::OsString;

use crate::cli::{Cli, Command as OurCommand, Refusal};

/// A computer with a file of settings for everybody and one for a user, and variables.
struct Computer {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Computer {
    fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(folder.path().join("tagfleet")).expect("a directory");
        std::fs::write(folder.path().join("tagfleet/config.toml"), settings).expect("a file");
        let home = folder.path().to_string_lossy().into_owned();
        Self { folder, variables: vec![("XDG_CONFIG_HOME".to_owned(), home)] }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn read(&self, line: &str) -> Result<Cli, String> {
        let typed: Vec<OsString> = std::iter::once("tagfleet").chain(line.split(' ')).map(OsString::from).collect();
        let environment = |name: &str| {
            let known = self.variables.iter().rev().find(|(known, _)| known == name);
            known.map(|(_, value)| OsString::from(value))
        };
        Cli::with_settings(&typed, &environment).map_err(|refusal| match refusal {
            Refusal::Typed(error) => error.to_string(),
            Refusal::Settings(error) => format!("{error}; {}", error.hint().unwrap_or_default()),
        })
    }

    /// What the command line comes to: the value of a key, and where it is from.
    #[track_caller]
    fn origin(&self, line: &str, key: &str) -> (String, String) {
        let cli = self.read(line).expect("a command");
        let setting = cli.general.in_force.into_iter().find(|setting| setting.key == key).expect("a key");
        let home = self.folder.path().to_string_lossy().into_owned();
        let origin = match setting.origin {
            crate::cli::Origin::File(place) => place.to_string().replace(&home, ""),
            other => format!("{other:?}"),
        };
        (setting.value.unwrap_or_default(), origin)
    }
}

const SETTINGS: &str = "[defaults]\nconcurrency = 3\nquota = \"off\"\nmax-errors = 20\nstate-dir = \"state\"\n\
                        no-bulk = true\n[profile.a]\nconcurrency = 4\nping-success = [0, 5]\n[profile.b]\ncloud = \"eu\"\n";

#[test]
fn a_setting_of_some_commands_only_is_told_of_all() {
    let computer = Computer::new("[defaults]\njob = \"nightly\"\n[profile.a]\noutput = \"o.csv\"\n");
    assert_eq!(computer.origin("config", "job"), ("nightly".into(), "/tagfleet/config.toml:2".into()));
    let (value, origin) = computer.origin("config --profile a", "output");
    assert!(value.ends_with("o.csv"), "{value}");
    assert_eq!(origin, "/tagfleet/config.toml:4");
}

#[test]
fn an_option_goes_before_a_variable_before_the_profile_before_what_holds_for_all() {
    let computer = Computer::new(SETTINGS);
    for (line, key, value, origin) in [
        ("config", "concurrency", "3", "/tagfleet/config.toml:2"),
        ("config --profile a", "concurrency", "4", "/tagfleet/config.toml:8"),
        ("config --profile a --concurrency 5", "concurrency", "5", "Option"),
        ("config --profile b", "concurrency", "3", "/tagfleet/config.toml:2"),
        ("config --profile a", "ping-success", "0,5", "/tagfleet/config.toml:9"),
        ("config --profile b", "ping-success", "0", "Default"),
        ("config", "no-bulk", "true", "/tagfleet/config.toml:6"),
    ] {
        assert_eq!(computer.origin(line, key), (value.to_owned(), origin.to_owned()), "{line} {key}");
    }
    let computer = computer.with("TAGFLEET_STATE_DIR", "/s").with("TAGFLEET_PROFILE", "a");
    assert_eq!(computer.origin("config", "state-dir").1, r#"Variable("TAGFLEET_STATE_DIR")"#);
    assert_eq!(computer.origin("config --state-dir /t", "state-dir"), ("/t".to_owned(), "Option".to_owned()));
    assert_eq!(computer.origin("config", "concurrency").0, "4", "of the profile that a variable names");
}

#[test]
fn what_is_set_is_what_the_command_gets_and_a_path_begins_at_its_file() {
    let computer = Computer::new(SETTINGS);
    let cli = computer.read("apply x.csv --profile a").expect("a command");
    assert_eq!(cli.general.state_dir, Some(computer.folder.path().join("tagfleet/state")));
    let OurCommand::Apply(options) = cli.command else { panic!("another command") };
    assert_eq!((options.changing.quota.concurrency, options.planning.no_bulk), (4, true));
    assert_eq!(options.changing.monitoring.ping_success, [0, 5]);
    assert_eq!(options.changing.limits.max_errors, crate::dispatch::MaximumErrors::Count(20));
}

#[test]
fn a_nearer_setting_takes_its_like_along() {
    let far = "[defaults]\nauth = \"token\"\ntoken-file = \"t\"\nbase-url = \"https://x\"\n";
    let near = "[profile.a]\nclient-secret-file = \"s\"\ncloud = \"uk\"\n[profile.b]\nbase-url = \"https://y\"\n";
    let computer = Computer::new(&format!("{far}{near}"));
    for (line, key, value) in [
        ("config", "auth", "token"),
        ("config --profile a", "auth", "auto"),
        ("config --profile a", "token-file", ""),
        ("config --profile a", "base-url", ""),
        ("config --profile b", "base-url", "https://y"),
        ("config --client-secret-file f", "token-file", ""),
        ("config --profile b --cloud us", "base-url", ""),
    ] {
        assert_eq!(computer.origin(line, key).0, value, "{line} {key}");
    }
}

#[test]
fn a_nearer_place_of_the_state_leaves_a_farther_one_without_a_meaning() {
    const SERVER: &str = "postgresql://u@h/d";
    let of_file = |key: &str, value: &str| Computer::new(&format!("[defaults]\n{key} = \"{value}\"\n"));
    let state = |computer: &Computer, line: &str| {
        let general = computer.read(line).expect("a command").general;
        (general.state, general.state_dir)
    };
    assert_eq!(state(&of_file("state", SERVER), "runs"), (Some(SERVER.to_owned()), None));
    assert_eq!(state(&of_file("state", SERVER), "runs --state-dir /t"), (None, Some("/t".into())));
    assert_eq!(state(&of_file("state-dir", "/s"), "runs --state postgresql://u@h/d"), (Some(SERVER.to_owned()), None));
    for (key, value, variable) in [("state", SERVER, "TAGFLEET_STATE_DIR"), ("state-dir", "/s", "TAGFLEET_STATE")] {
        assert_eq!(state(&of_file(key, value).with(variable, "x"), "runs"), (None, None), "{variable}");
    }
}

#[test]
fn a_profile_and_a_variable_that_are_for_different_tenants_end_the_command() {
    let settings = "[profile.a]\ntenant = \"t-a\"\napp = \"app-a\"\ncloud = \"eu\"\nclient-secret-file = \"s\"\n\
                    [profile.c]\nauth = \"certificate\"\n[defaults]\ntenant = \"t-far\"\n";
    for (variable, value, said) in [
        ("AZURE_TENANT_ID", "t-b", "config.toml:2: the profile's tenant is \"t-a\", but AZURE_TENANT_ID is \"t-b\""),
        ("AZURE_CLIENT_ID", "app-b", "config.toml:3: the profile's app is \"app-a\", but AZURE_CLIENT_ID is \"app-b\""),
        ("TAGFLEET_BASE_URL", "https://uk.api.security.microsoft.com", "config.toml:4: the profile's cloud is \"eu\""),
        ("AZURE_AUTHORITY_HOST", "login.microsoftonline.us", "config.toml:4: the profile's cloud is \"eu\""),
        ("TAGFLEET_TOKEN", "x", "TAGFLEET_TOKEN is set, which means auth \"token\""),
        ("AZURE_TENANT_ID", "T-A", ""),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com", ""),
        ("TAGFLEET_BASE_URL", "https://eu.api.security.microsoft.com/", ""),
    ] {
        let computer = Computer::new(settings).with(variable, value);
        let outcome = computer.read("apply x.csv --profile a").err().unwrap_or_default();
        assert!(outcome.contains(said) && outcome.is_empty() == said.is_empty(), "{variable}={value}: {outcome}");
        assert!(computer.read("apply x.csv --profile a --sandbox").is_ok(), "a rehearsal is nobody's");
        assert!(computer.read("runs --profile a").is_ok(), "the state is not signed in to");
    }
    let computer = Computer::new(settings).with("AZURE_CLIENT_SECRET", "x");
    let outcome = computer.read("apply x.csv --profile c").expect_err("another method");
    assert!(outcome.contains("the profile's auth is \"certificate\", but AZURE_CLIENT_SECRET is set"), "{outcome}");
    let computer = Computer::new(settings).with("AZURE_TENANT_ID", "t-b");
    assert!(computer.read("apply x.csv").is_ok(), "what holds for all gives way");
}

#[test]
fn a_profile_and_a_variable_that_sign_in_with_different_files_end_the_command() {
    let settings = "[profile.secret]\nclient-secret-file = \"s\"\n[profile.named]\nauth = \"secret\"\n\
                    client-secret-file = \"s\"\n[profile.token]\ntoken-file = \"t\"\n\
                    [profile.certificate]\nclient-certificate-file = \"/c\"\n\
                    [profile.federated]\nfederated-token-file = \"/f\"\n[profile.bare]\nauth = \"secret\"\n";
    for (profile, variable, value, said) in [
        ("secret", "AZURE_CLIENT_SECRET", "hunter2hunter2", "s\", but AZURE_CLIENT_SECRET is set, too; unset AZURE_CL"),
        ("named", "AZURE_CLIENT_SECRET", "hunter2hunter2", "s\", but AZURE_CLIENT_SECRET is set, too; unset AZURE_CL"),
        ("token", "TAGFLEET_TOKEN", "hunter2hunter2", "t\", but TAGFLEET_TOKEN is set, too; unset TAGFLEET_TOKEN"),
        (
            "certificate",
            "AZURE_CLIENT_CERTIFICATE_PATH",
            "/d",
            "the profile's client-certificate-file is \"/c\", but A",
        ),
        ("federated", "AZURE_FEDERATED_TOKEN_FILE", "/d", "/f\", but AZURE_FEDERATED_TOKEN_FILE is \"/d\""),
        ("certificate", "AZURE_CLIENT_CERTIFICATE_PATH", "/c", ""),
        ("federated", "AZURE_FEDERATED_TOKEN_FILE", "/f", ""),
        ("bare", "AZURE_CLIENT_SECRET", "hunter2hunter2", ""),
    ] {
        let computer = Computer::new(settings).with(variable, value);
        let read = |line: &str| computer.read(&format!("{line} --profile {profile}")).err().unwrap_or_default();
        for line in ["apply x.csv", "check", "config"] {
            let outcome = read(line);
            let is_as_said = outcome.contains(said) && outcome.is_empty() == said.is_empty();
            assert!(is_as_said && !outcome.contains("hunter2"), "{line} {profile} {variable}: {outcome}");
        }
        assert_eq!(read("runs"), "", "the state is not signed in to");
    }
    let computer = Computer::new(settings).with("AZURE_CLIENT_SECRET", "x");
    assert!(computer.read("apply x.csv --profile secret --client-secret-file f").is_ok(), "an option goes before both");
    let computer = Computer::new("[defaults]\nclient-secret-file = \"s\"\n").with("AZURE_CLIENT_SECRET", "x");
    let shown = computer.origin("config", "client-secret-file");
    assert_eq!(shown.1, "Variable(\"AZURE_CLIENT_SECRET\")", "what holds for all gives way");
}

#[test]
fn a_profile_takes_back_a_switch_that_holds_for_all() {
    let computer = Computer::new("[defaults]\nno-bulk = true\n[profile.bulk]\nno-bulk = false\n");
    for (line, expected) in [("", "true"), ("--profile bulk", "false"), ("--profile bulk --no-bulk", "true")] {
        assert_eq!(computer.origin(format!("config {line}").trim(), "no-bulk").0, expected, "{line}");
        let command = computer.read(format!("apply x.csv {line}").trim()).expect("a command").command;
        let OurCommand::Apply(options) = command else { panic!("apply") };
        assert_eq!(options.planning.no_bulk.to_string(), expected, "{line}");
    }
}

#[test]
fn what_is_set_for_files_of_orders_holds_for_no_file_of_rules() {
    let settings = "[defaults]\nskip-invalid = true\naccept = \"odd-tags\"\nencoding = \"windows-1252\"\nno-bulk = true\n\
                    tag-separator = \";\"\nallow-empty = true\nguard-removals = \"10%,10\"\nguard-changes = \"30%,100\"\n";
    let computer = Computer::new(settings);
    for (line, skips, encoding, guards) in [
        ("plan x.csv", true, Some("windows-1252"), true),
        ("plan x.toml", false, None, false),
        ("plan x.TOML --skip-invalid", true, None, false),
        ("plan x.toml --inventory list.csv", false, Some("windows-1252"), false),
    ] {
        let OurCommand::Plan(options) = computer.read(line).expect("a command").command else { panic!("plan") };
        let input = &options.input;
        assert_eq!((input.skip_invalid, input.encoding.as_deref()), (skips, encoding), "{line}");
        let guard = (options.guard.guard_removals.is_some(), options.guard.guard_changes.is_some());
        assert_eq!((guard, options.planning.no_bulk), ((guards, guards), true), "{line}");
        assert_eq!((input.accept.is_empty(), input.allow_empty), (encoding.is_none(), guards), "{line}");
    }
}

#[test]
fn what_no_setting_can_be_is_named_with_its_line_and_what_is_meant() {
    for (line, said) in [
        ("concurency = 4", "config.toml:2: there is no setting \"concurency\"; the nearest is concurrency"),
        ("AZURE_TENANT_ID = \"t\"", "the nearest is tenant"),
        ("client_secret_file = \"s\"", "there is no setting \"client_secret_file\"; the nearest is client-secret-file"),
        ("client_id = \"t\"", "the nearest is app"),
        (
            "client-secret = \"hunter2hunter2\"",
            "client-secret would be a secret, and no secret stands in this file; write it",
        ),
        ("TAGFLEET_TOKEN = \"hunter2hunter2\"", "name that file with token-file"),
        ("ping-url = \"https://hunter2hunter2\"", "name that file with ping-url-file"),
        ("ping-url-file = \"https://h/hunter2hunter2\"", "an address to ping is a secret"),
        (
            "state = \"postgresql://u:hunter2hunter2@h/d\"",
            "the address of the state holds a password, and no secret stands in this file; write it",
        ),
        ("base-url = \"https://u:hunter2hunter2@h\"", "base-url holds a password, and no secret stands in this file"),
        ("yes = true", "yes cannot be set here: consent is given"),
        ("concurrency = \"4\"", "config.toml:2: concurrency is a whole number, without quotation marks"),
        ("concurrency = 0", "config.toml:2: invalid value '0' for concurrency: 0 is not in 1..=256"),
        ("quota = 5", "quota is a text in quotation marks"),
        ("quota = \"5\"", "config.toml:2: invalid value '5' for quota"),
        ("cloud = \"mars\"", "possible values: commercial"),
        ("no-bulk = \"yes\"", "no-bulk is either true or false"),
        ("auth = [\"token\"]", "auth is a text in quotation marks"),
        ("tenant = 5", "tenant is a text in quotation marks"),
        ("ca-file = \"\"", "ca-file is empty"),
        ("metrics-file = \"x.txt\"", "does not end in .prom"),
        ("deadline = 06:00:00", "deadline is a text in quotation marks"),
    ] {
        let outcome = Computer::new(&format!("[profile.other]\n{line}\n")).read("runs").expect_err(line);
        assert!(outcome.contains(said) && !outcome.contains("hunter2"), "{line}: {outcome}");
    }
    let computer = Computer::new("[defaults]\nclient-secret = \"x\"\n");
    for line in ["help", "completions bash", "man", "sandbox"] {
        assert!(computer.read(line).is_ok(), "{line} needs no settings");
    }
}

#[test]
fn profiles_that_run_together_write_into_files_of_their_own() {
    let computer = Computer::new(
        "[profile.a]\noutput = \"x.csv\"\nlog-file = \"l\"\n[profile.b]\noutput = \"../tagfleet/x.csv\"\nlog-file = \"l\"\n\
         [profile.c]\nmetrics-file = \"x.prom\"\n[profile.d]\nmetrics-file = \"x.prom\"\n\
         [profile.e]\noutput = \"/dev/null\"\n[profile.f]\noutput = \"/dev/null\"\n",
    );
    for (line, is_refused) in [
        ("apply x.csv --profile a,b", true),
        ("apply x.csv --profile a,c", false),
        ("apply x.csv --profile e,f", cfg!(not(unix))),
        ("apply x.csv --all-profiles", true),
        ("apply x.csv --profile a,b -o y.csv", false),
        ("check --profile a,b", true),
        ("config --profile a,b", false),
        ("config --profile c,d", false),
        ("runs --all-profiles", false),
        ("apply x.csv --profile a", false),
        ("undo 20261126-220000-k3x9q2 --profile c,d", true),
    ] {
        assert_eq!(computer.read(line).is_err(), is_refused, "{line}");
    }
    let refused = computer.read("apply x.csv --profile c,d").expect_err("one file");
    assert!(refused.contains("x.prom: ") && refused.contains("config.toml:8 and "), "{refused}");
    assert!(refused.ends_with("config.toml:10; give each profile a file of its own"), "{refused}");
}

#[test]
fn profiles_are_named_chosen_and_counted() {
    let computer = Computer::new(SETTINGS);
    let several = |line: &str| computer.read(line).expect("a command").several;
    assert_eq!(several("runs --profile a"), [""; 0]);
    assert_eq!(several("runs --profile b --profile a,b"), ["b", "a"]);
    assert_eq!(several("runs --all-profiles"), ["a", "b"]);
    assert_eq!(several("--only-profile=b runs --all-profiles"), [""; 0]);
    let one = computer.read("--only-profile=b runs --all-profiles").expect("a command").general.settings;
    assert_eq!((one.name.as_deref(), one.is_one_of_several), (Some("b"), true));
    assert_eq!((one.own_tenant, one.other_tenants), (vec!["b".to_owned()], vec!["a".to_owned()]));
    let unknown = computer.read("runs --profile c").expect_err("no such profile");
    assert!(
        unknown.starts_with("there is no profile \"c\"; ") && unknown.ends_with("config.toml has a, b"),
        "{unknown}"
    );
    let none = computer.read("runs --config /nowhere.toml").expect_err("no such file");
    assert!(none.starts_with("cannot read /nowhere.toml; "), "{none}");
    let nothing = Computer::new("").read("runs --all-profiles").expect_err("no profile");
    assert!(nothing.contains("--all-profiles finds no profile"), "{nothing}");
}

#[test]
fn profiles_whose_names_could_send_a_row_to_two_tenants_are_refused() {
    for (settings, expected) in [
        ("[profile.A]\n[profile.b]\n[profile.a]\n", "two profiles are called A and a"),
        (
            "[profile.a]\ntenant = \"B\"\n[profile.b]\ntenant = \"c\"\n",
            "the profile b is called as the tenant of the profile a",
        ),
        ("[profile.a]\ntenant = \"b\"\n[profile.b]\n", "the profile b is called as the tenant of the profile a"),
        (
            "[profile.a]\ntenant = \"5a5a0000-0000-4000-8000-00000000000b\"\n[profile.5A5A000000004000800000000000000b]\n",
            "the profile 5A5A000000004000800000000000000b is called as the tenant of the profile a",
        ),
        ("[profile.a]\ntenant = \"A\"\n[profile.b]\ntenant = \"a\"\n", ""),
    ] {
        match Computer::new(settings).read("runs --profile a") {
            Ok(_) => assert_eq!(expected, "", "{settings}"),
            Err(error) => assert!(!expected.is_empty() && error.starts_with(expected), "{settings}: {error}"),
        }
    }
}

#[test]
fn names_of_files_that_one_command_writes_hold_for_that_one_only() {
    let computer = Computer::new("[defaults]\noutput = \"o.csv\"\njob = \"j\"\n");
    let OurCommand::Apply(options) = computer.read("apply x.csv").expect("a command").command else { panic!("apply") };
    assert_eq!(options.output, Some(computer.folder.path().join("tagfleet/o.csv")));
    assert_eq!(options.changing.monitoring.job, None, "nobody looks at it without metrics");
    let OurCommand::Verify(options) = computer.read("verify x.csv").expect("a command").command else {
        panic!("verify")
    };
    assert_eq!(options.output, None);
    let OurCommand::Verify(options) = computer.read("verify x.csv --metrics-file m.prom").expect("a command").command
    else {
        panic!("verify")
    };
    assert_eq!(options.monitoring.job.as_deref(), Some("j"));
}

#[test]
fn secrets_are_shown_only_as_set() {
    let computer = Computer::new(SETTINGS).with("AZURE_CLIENT_SECRET", "hunter2hunter2").with("TAGFLEET_PING_URL", "u");
    for (key, variable) in [("client-secret-file", "AZURE_CLIENT_SECRET"), ("ping-url-file", "TAGFLEET_PING_URL")] {
        assert_eq!(computer.origin("config", key), ("set".to_owned(), format!("Variable({variable:?})")), "{key}");
    }
}
