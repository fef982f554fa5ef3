use clap::ValueEnum;

use super::*;

/// An environment variable and its value.
type Variable<'v> = (&'v str, &'v str);
/// Takes one thing away from the settings.
type TakeAway = fn(&mut SignInSettings);

fn settings() -> SignInSettings {
    SignInSettings::new("https://login.microsoftonline.com", "scope")
}

#[test]
fn auto_takes_the_first_method_that_something_was_set_for() {
    let mut everything = settings();
    everything.token_file = Some("token".into());
    everything.ready_token = Some("token".into());
    everything.client_secret = Some("secret".into());
    everything.certificate_path = Some("pem".into());
    everything.federated_token_file = Some("jwt".into());
    let identity = IdentityPlatform::AppService { endpoint: "http://127.0.0.1/".into(), header: "x".into() };
    everything.offers = PlatformOffers { identity, azure_cli: true };
    let steps: [(SignInMethod, TakeAway); 7] = [
        (SignInMethod::Token, |s| s.token_file = Some("".into())),
        (SignInMethod::Token, |s| s.ready_token = Some(" ".into())),
        (SignInMethod::Secret, |s| s.client_secret = Some("".into())),
        (SignInMethod::Certificate, |s| {
            s.certificate_path = Some("".into());
        }),
        (SignInMethod::Workload, |s| s.federated_token_file = None),
        (SignInMethod::ManagedIdentity, |s| {
            s.offers.identity = IdentityPlatform::Unsupported("Cloud Shell");
        }),
        (SignInMethod::AzureCli, |s| s.offers.azure_cli = false),
    ];
    for (expected, take_away) in steps {
        assert_eq!(everything.choose_method().expect("a method"), expected);
        take_away(&mut everything);
    }
    let error = everything.choose_method().expect_err("nothing is left");
    let hint = error.hint().expect("a hint");
    for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "--client-secret-file"] {
        assert!(hint.contains(name), "{name}");
    }
    for name in ["CERTIFICATE_PATH", "FEDERATED_TOKEN_FILE", "TAGFLEET_TOKEN", "--token-file", "az login"] {
        assert!(hint.contains(name), "{name}");
    }
}

#[test]
fn a_named_method_is_taken_whatever_else_is_set() {
    for method in AuthMethod::value_variants().iter().filter(|m| **m != AuthMethod::Auto) {
        let mut settings = settings();
        settings.ready_token = Some("token".into());
        settings.method = *method;
        let typed = method.to_possible_value().expect("every method can be typed");
        assert_eq!(settings.choose_method().expect("a method").name(), typed.get_name());
    }
}

#[test]
fn the_platforms_offers_are_read_from_the_variables_it_sets() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = if cfg!(windows) { "az.cmd" } else { "az" };
    std::fs::write(directory.path().join(program), "").expect("writable");
    let with_azure_cli = directory.path().to_str().expect("text");
    let endpoint = ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token");
    let header = ("IDENTITY_HEADER", "x");
    let (arc, machine_learning) = (("IMDS_ENDPOINT", "http://127.0.0.1:1/"), ("MSI_SECRET", "x"));
    let msi = ("MSI_ENDPOINT", "http://127.0.0.1:1/");
    let cases: [(&[Variable], &str, bool); 9] = [
        (&[], "VirtualMachine", false),
        (&[endpoint, header], "AppService {", false),
        (&[endpoint], "VirtualMachine", false),
        (&[endpoint, arc], "Arc {", false),
        (&[endpoint, header, ("IDENTITY_SERVER_THUMBPRINT", "x")], "Unsupported(\"Service Fabric\")", false),
        (&[msi], "Unsupported(\"Cloud Shell\")", false),
        (&[msi, machine_learning], "Unsupported(\"Azure Machine Learning\")", false),
        (&[("PATH", with_azure_cli)], "VirtualMachine", true),
        (&[("PATH", "/nonexistent")], "VirtualMachine", false),
    ];
    for (variables, identity, azure_cli) in cases {
        let read = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let offers = PlatformOffers::detect(&read);
        assert!(format!("{:?}", offers.identity).starts_with(identity), "{variables:?}: {:?}", offers.identity);
        assert_eq!(offers.azure_cli, azure_cli, "{variables:?}");
    }
}

#[test]
fn what_an_application_lacks_is_named() {
    let cases = [
        (None, None, "AZURE_TENANT_ID and AZURE_CLIENT_ID"),
        (Some("t"), None, "needs AZURE_CLIENT_ID"),
        (Some(" "), Some("c"), "needs AZURE_TENANT_ID"),
        (Some("t/../x"), Some("c"), "AZURE_TENANT_ID is not"),
        (Some("t"), Some("c; ls"), "AZURE_CLIENT_ID is not"),
    ];
    for (tenant, client, expected) in cases {
        let mut settings = settings();
        settings.tenant_id = tenant.map(str::to_owned);
        settings.client_id = client.map(str::to_owned);
        let error = settings.application(SignInMethod::Secret).expect_err("incomplete");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut settings = settings();
    settings.tenant_id = Some(" contoso.onmicrosoft.com ".into());
    settings.client_id = Some("11111111-2222-3333-4444-555555555555".into());
    let application = settings.application(SignInMethod::Secret).expect("complete");
    assert_eq!(application.tenant_id, "contoso.onmicrosoft.com");
}

#[test]
fn the_authority_is_https_or_an_allowed_loopback() {
    let cases = [
        ("https://login.microsoftonline.com", false, Ok("https://login.microsoftonline.com/")),
        ("https://login.microsoftonline.us/", false, Ok("https://login.microsoftonline.us/")),
        ("login.microsoftonline.com", false, Ok("https://login.microsoftonline.com/")),
        ("http://127.0.0.1:8080", true, Ok("http://127.0.0.1:8080/")),
        ("http://[::1]:8080/", true, Ok("http://[::1]:8080/")),
        ("http://127.0.0.1:8080", false, Err("loopback only")),
        ("http://login.microsoftonline.com", true, Err("must be https")),
        ("http://127.0.0.1.example.org", true, Err("must be https")),
        ("ftp://127.0.0.1", true, Err("must be https")),
        ("https://user:hunter2@login.microsoftonline.com", false, Err("user name")),
        ("https://login.microsoftonline.com/tenant", false, Err("host alone")),
        ("https://login.microsoftonline.com/?a=b", false, Err("host alone")),
        ("https://", false, Err("cannot be read")),
        ("", false, Err("cannot be read")),
    ];
    for (typed, allowed, expected) in cases {
        let mut settings = settings();
        settings.authority_host = typed.to_owned();
        settings.loopback_authority_allowed = allowed;
        match (settings.authority(), expected) {
            (Ok(url), Ok(address)) => assert_eq!(url.as_str(), address, "{typed}"),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{typed}: {error}");
                assert!(!error.to_string().contains("hunter2"), "{typed}: {error}");
            }
            (outcome, _) => panic!("{typed}: {outcome:?}"),
        }
    }
}
