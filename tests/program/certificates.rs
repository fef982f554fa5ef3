//! Certificates that are not accepted: known at once, no outage, and said with what to do; at the API and at the sign-in.

use std::sync::Arc;

use base64::Engine as _;
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;

use crate::machines::rows_adding;
use crate::process::at_once;
use crate::rehearsal::{Folder, Outcome, Rehearsal};
use crate::stand_in::{Reply, StandIn};
use crate::tenant::{Tenant, machine};

/// What is wrong with a certificate, and what is said about it.
struct Case {
    name: &'static str,
    host: &'static str,
    years: (i32, i32),
    is_root_known: bool,
    says: [&'static str; 2],
}

const CASES: [Case; 4] = [
    Case {
        name: "untrusted",
        host: "127.0.0.1",
        years: (2020, 2100),
        is_root_known: false,
        says: ["the certificate of 127.0.0.1 is not trusted: its issuer is unknown", "--ca-file"],
    },
    Case {
        name: "expired",
        host: "127.0.0.1",
        years: (2020, 2021),
        is_root_known: true,
        says: [
            "the certificate of 127.0.0.1 ended 2021-01-01 00:00 UTC, and this computer's clock says 2",
            "check this computer's clock",
        ],
    },
    Case {
        name: "not yet valid",
        host: "127.0.0.1",
        years: (2099, 2100),
        is_root_known: true,
        says: [
            "the certificate of 127.0.0.1 begins 2099-01-01 00:00 UTC, and this computer's clock says 2",
            "check this computer's clock",
        ],
    },
    Case {
        name: "another host's",
        host: "proxy.contoso.example",
        years: (2020, 2100),
        is_root_known: true,
        says: [
            "the certificate of 127.0.0.1 is for another name: proxy.contoso.example",
            "check the host's name (--base-url",
        ],
    },
];

/// A certificate for this host and these years, and the root behind it in PEM form.
pub(crate) fn certificate(host: &str, (from, until): (i32, i32)) -> (Arc<rustls::ServerConfig>, String) {
    let mut root = CertificateParams::new([]).expect("a root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().expect("a key")).expect("a root");
    let mut server = CertificateParams::new([host.to_owned()]).expect("a name");
    (server.not_before, server.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    let key = KeyPair::generate().expect("a key");
    let server = server.signed_by(&key, &root).expect("a certificate");
    let base64 = base64::engine::general_purpose::STANDARD.encode(root.der());
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII")).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    (serving(&server, &key), pem)
}

/// A server that shows this certificate.
fn serving(certificate: &Certificate, key: &KeyPair) -> Arc<rustls::ServerConfig> {
    let configuration =
        rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()));
    Arc::new(configuration.expect("a server"))
}

/// A run against a server with a certificate like this.
fn run_against(case: &Case, server: &StandIn, root: &str, signs_in: bool) -> Outcome {
    let folder = Folder::new();
    folder.write("root.pem", root);
    let mut rehearsal = Rehearsal::at_stand_in(server).in_folder(&folder).planned().rows(&rows_adding("A", 3));
    if case.is_root_known {
        rehearsal = rehearsal.with("--ca-file root.pem");
    }
    if signs_in {
        rehearsal = rehearsal
            .variable("TAGFLEET_TOKEN", "")
            .variable("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000001")
            .variable("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000002")
            .variable("AZURE_CLIENT_SECRET", "hunter2");
    }
    rehearsal.run()
}

#[test]
fn a_certificate_that_is_not_accepted_ends_the_run_at_once_with_the_cause_and_what_to_do() {
    at_once(CASES.iter().flat_map(|case| [(case, false), (case, true)]), |(case, signs_in)| {
        let (configuration, root) = certificate(case.host, case.years);
        let server = StandIn::encrypted(configuration, |_request| Reply::json(500, "{}"));
        let outcome = run_against(case, &server, &root, signs_in).exits(4);
        let text = format!("{}{}", outcome.output(), outcome.messages());
        for words in case.says {
            assert!(text.contains(words), "{} (sign-in: {signs_in}): {words:?} is not in: {text}", case.name);
        }
        assert_eq!(server.requests().len(), 0, "{}: nothing was sent", case.name);
        assert!(!text.contains("hunter2"), "{text}");
    });
}

#[test]
fn a_certificate_that_is_a_root_of_its_own_is_told_in_words() {
    let mut own = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let own = own.self_signed(&key).expect("a certificate");
    let server = StandIn::encrypted(serving(&own, &key), |_request| Reply::json(500, "{}"));
    let outcome = run_against(&CASES[0], &server, "", false);
    let outcome = outcome.exits(4);
    let text = format!("{}{}", outcome.output(), outcome.messages());
    let words = "the certificate of 127.0.0.1 is not one for a server: it is self-signed, or may sign others";
    assert!(text.contains(words), "{text}");
}

#[test]
fn the_root_that_ca_file_names_is_trusted() {
    let (configuration, root) = certificate("127.0.0.1", (2020, 2100));
    let tenant = Tenant::of((1..=3).map(machine));
    let answering = tenant.clone();
    let server = StandIn::encrypted(configuration, move |request| answering.answer(request));
    let case = Case { is_root_known: true, ..CASES[0] };
    let outcome = run_against(&case, &server, &root, false);
    assert_eq!(outcome.exits(0).statuses(), ["succeeded"; 3]);
    assert_eq!(tenant.holds(1).0, ["A"]);
    // As Windows writes texts.
    run_against(&case, &server, &format!("\u{feff}{root}"), false).exits(0);
}
