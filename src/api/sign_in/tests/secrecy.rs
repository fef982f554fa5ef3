//! Secrets appear nowhere: not in logs at any level, not in errors with all their causes, not in
//! debug forms.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::authority::{Answer, Authority, client};
use crate::api::sign_in::test_keys::{CERTIFICATE, RSA_KEY};
use crate::api::sign_in::{SignIn, SignInError, SignInSettings};

const SECRET: &str = "canary~secret";
const TOKEN: &str = "canarytoken1";
const READY: &str = "canaryready1";
const FEDERATED: &str = "canary.federated.1";

/// Sets one method up, with files from a directory.
type SetUp = fn(&mut SignInSettings, &Path);

/// Everything that was written, by whomever.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Written {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }

    fn error(&self, error: &SignInError) {
        let mut shown = format!("{error} {error:?} {:?}", error.hint());
        let mut cause = error.source();
        while let Some(current) = cause {
            write!(shown, " {current} {current:?}").expect("a string");
            cause = current.source();
        }
        io::Write::write_all(&mut self.clone(), shown.as_bytes()).expect("a buffer");
    }
}

/// One round with each of the outcomes that may tempt somebody to show what was sent.
async fn round(settings: &SignInSettings, written: &Written) {
    let sign_in = match SignIn::new(settings, client()) {
        Ok(sign_in) => sign_in,
        Err(error) => return written.error(&error),
    };
    io::Write::write_all(&mut written.clone(), format!("{settings:?} {sign_in:?}").as_bytes()).expect("a buffer");
    for _ in 0..3 {
        match sign_in.token().await {
            Ok(token) => {
                io::Write::write_all(&mut written.clone(), format!("{token:?}").as_bytes()).expect("a buffer");
                if let Err(error) = sign_in.renew(&token).await {
                    written.error(&error);
                }
            }
            Err(error) => written.error(&error),
        }
    }
}

/// A refusal that repeats what it was sent, and one time the token it gave.
fn echo(status: u16, sent: &str) -> Answer {
    let said = format!("AADSTS1: you said {sent}");
    Answer::new(status, format!(r#"{{"error":"invalid_client","error_description":"{said}"}}"#))
}

/// A refusal that repeats the token which it brings all the same.
fn carrying(status: u16, token: &str) -> Answer {
    Answer::new(status, format!(r#"{{"error_description":"AADSTS1: you said {token}","access_token":"{token}"}}"#))
}

#[tokio::test]
async fn a_canary_in_every_secret_is_never_seen() {
    let written = Written::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(written.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let directory = tempfile::tempdir().expect("a directory");
    let pem = directory.path().join("app.pem");
    let federated = directory.path().join("federated");
    let ready = directory.path().join("ready");
    std::fs::write(&pem, [CERTIFICATE, RSA_KEY].concat()).expect("writable");
    std::fs::write(&federated, FEDERATED).expect("writable");
    std::fs::write(&ready, READY).expect("writable");

    let set_up: [(SetUp, &str); 5] = [
        (|settings, _| settings.client_secret = Some(SECRET.into()), "canary~secret or canary%7Esecret"),
        (|settings, path| settings.certificate_path = Some(path.join("app.pem")), "nothing"),
        (|settings, path| settings.federated_token_file = Some(path.join("federated")), FEDERATED),
        (|settings, path| settings.token_file = Some(path.join("ready")), READY),
        (|settings, _| settings.ready_token = Some(READY.into()), READY),
    ];
    for (set_up, sent) in set_up {
        let both = format!("{sent} for {TOKEN}");
        let scripts = [
            vec![Answer::token(TOKEN), echo(401, &both)],
            vec![echo(401, sent), echo(503, sent)],
            vec![Answer::new(200, format!("{TOKEN}{sent}"))],
            vec![Answer::token("canary in two parts"), echo(400, sent)],
            vec![carrying(400, "canary-in-a-refusal")],
        ];
        for script in scripts {
            let authority = Authority::start(script).await;
            let mut settings = authority.settings();
            set_up(&mut settings, directory.path());
            round(&settings, &written).await;
        }
    }

    let text = written.text();
    assert!(text.contains("oauth2/v2.0/token"), "the crates' own logs are in it: {text}");
    assert!(text.contains("you said"), "the refusals are in it");
    for line in text.lines() {
        assert!(!line.to_lowercase().contains("canary"), "{line}");
    }
    let key_line = RSA_KEY.lines().nth(1).expect("a line of the key");
    assert!(!text.contains(key_line), "the private key");
    assert!(!text.contains("eyJ"), "an assertion");
}
