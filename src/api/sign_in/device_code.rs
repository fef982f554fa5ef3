//! Signing in with a code that the person enters on any device (RFC 8628).

use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::answer::{Grant, Reason, holds_token, number};
use super::endpoint::{Endpoint, Reply};
use super::error::SignInError;
use super::method::SignInMethod;
use super::person::{PublicClient, SharedPrompt, SignInInstructions};
use crate::outside::{Outside, secrets};

/// How long to wait between two questions, where nothing else is asked for.
const USUAL_INTERVAL_SECONDS: u64 = 5;
/// A longer wait is not believed, nor is none.
const INTERVAL_SECONDS: std::ops::RangeInclusive<u64> = 1..=60;
/// How much longer after each "slow down" (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// A code is not waited for longer.
const LONGEST_LIFE_SECONDS: u64 = 15 * 60;

/// Where codes are given.
#[derive(Debug)]
pub(super) struct DeviceCode {
    pub(super) codes: Endpoint,
}

/// A code, for the device and for the person.
#[derive(Deserialize)]
struct Given {
    device_code: String,
    user_code: String,
    #[serde(alias = "verification_url")]
    verification_uri: String,
    expires_in: Option<Value>,
    interval: Option<Value>,
}

/// What asking once has come to.
enum Progress {
    Granted(Grant),
    Pending,
    SlowDown,
    Expired,
}

impl DeviceCode {
    pub(super) async fn sign_in(
        &self,
        client: &PublicClient,
        shared_prompt: &SharedPrompt,
    ) -> Result<Grant, SignInError> {
        let fields = [("client_id", client.client_id.as_str()), ("scope", &client.scope)];
        let reply = self.codes.post(&fields).await?;
        if !reply.status.is_success() {
            return Err(self.codes.refusal(&reply));
        }
        let given: Given = serde_json::from_slice(&reply.body).map_err(|_other| self.codes.unreadable())?;
        let device_code = SecretString::from(given.device_code);
        secrets::learn(&device_code);
        let seen = |text: &str| Outside::new(text).kept(200).into();
        shared_prompt.show(&SignInInstructions::DeviceCode {
            address: seen(&given.verification_uri),
            code: seen(&given.user_code),
        })?;
        let (least, most) = INTERVAL_SECONDS.into_inner();
        // Some write numbers as texts.
        let seconds =
            |value: Option<Value>| value.as_ref().and_then(number).and_then(|number| u64::try_from(number).ok());
        let interval = seconds(given.interval).unwrap_or(USUAL_INTERVAL_SECONDS).clamp(least, most);
        let life = seconds(given.expires_in).unwrap_or(LONGEST_LIFE_SECONDS).min(LONGEST_LIFE_SECONDS);
        let (interval, life) = (Duration::from_secs(interval), Duration::from_secs(life));
        wait_for(interval, life, &mut Grants { client, device_code }).await
    }
}

/// Who knows whether the person has entered the code.
#[async_trait]
trait Authority: Send {
    async fn ask(&mut self) -> Result<Progress, SignInError>;
}

/// The sign-in service, asked for the token of a code.
struct Grants<'a> {
    client: &'a PublicClient,
    device_code: SecretString,
}

#[async_trait]
impl Authority for Grants<'_> {
    async fn ask(&mut self) -> Result<Progress, SignInError> {
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", &self.client.client_id),
            ("device_code", self.device_code.expose_secret()),
        ];
        understood(&self.client.tokens, self.client.tokens.post(&fields).await)
    }
}

/// Asks until there is an answer, or the code's life is over. A service that cannot be reached is asked again: the person may
/// be at it meanwhile.
async fn wait_for(
    mut interval: Duration,
    life: Duration,
    authority: &mut impl Authority,
) -> Result<Grant, SignInError> {
    let ends = Instant::now() + life;
    loop {
        if Instant::now() + interval > ends {
            return Err(SignInError::Abandoned { method: SignInMethod::DeviceCode });
        }
        sleep(interval).await;
        match authority.ask().await? {
            Progress::Granted(grant) => return Ok(grant),
            Progress::Pending => {}
            Progress::SlowDown => interval += SLOWER,
            Progress::Expired => return Err(SignInError::Abandoned { method: SignInMethod::DeviceCode }),
        }
    }
}

fn understood(tokens: &Endpoint, reply: Result<Reply, SignInError>) -> Result<Progress, SignInError> {
    let reply = match reply {
        Err(error) if error.is_transient() => return Ok(Progress::Pending),
        reply => reply?,
    };
    match Reason::read(&reply.body).error.as_deref() {
        Some("authorization_pending") => return Ok(Progress::Pending),
        Some("slow_down") => return Ok(Progress::SlowDown),
        Some("expired_token" | "code_expired") => return Ok(Progress::Expired),
        _ => {}
    }
    match tokens.understood(&reply) {
        // A token that cannot be used has spent the code.
        Err(error) if error.is_transient() && !holds_token(&reply.body) => Ok(Progress::Pending),
        granted => granted.map(Progress::Granted),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::super::cache::AcquiredToken;
    use super::*;

    fn granted() -> Progress {
        Progress::Granted(Grant { token: AcquiredToken { secret: "x".into(), life: None }, refresh_token: None })
    }

    /// These answers, and then none.
    struct Script(VecDeque<Progress>);

    #[async_trait]
    impl Authority for Script {
        async fn ask(&mut self) -> Result<Progress, SignInError> {
            Ok(self.0.pop_front().unwrap_or(Progress::Pending))
        }
    }

    /// What comes of these answers, and after how many seconds.
    async fn outcome(answers: impl IntoIterator<Item = Progress>) -> (bool, u64) {
        let mut script = Script(answers.into_iter().collect());
        let began = Instant::now();
        let (interval, life) = (Duration::from_secs(5), Duration::from_mins(1));
        let granted = wait_for(interval, life, &mut script).await;
        let seconds = began.elapsed().as_secs();
        assert!(granted.is_ok() || matches!(granted, Err(SignInError::Abandoned { .. })));
        (granted.is_ok(), seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_at_intervals_that_grow_when_asked_to_and_not_beyond_the_end() {
        assert_eq!(outcome([granted()]).await, (true, 5));
        assert_eq!(outcome([Progress::Pending, Progress::Pending, granted()]).await, (true, 15));
        assert_eq!(outcome([Progress::SlowDown, Progress::Pending, granted()]).await, (true, 25));
        assert_eq!(outcome([Progress::Expired, granted()]).await, (false, 5));
        assert_eq!(outcome([]).await, (false, 60));
    }

    #[test]
    fn each_answer_of_the_authority_is_understood() {
        let address = reqwest::Url::parse("https://login.example/token").expect("an address");
        let tokens = Endpoint::new(reqwest::Client::new(), address, SignInMethod::DeviceCode);
        let asked = |status: u16, body: &str| {
            let status = reqwest::StatusCode::from_u16(status).expect("a status");
            let reply = Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.into() };
            match understood(&tokens, Ok(reply)) {
                Ok(Progress::Granted(_)) => "granted".to_owned(),
                Ok(Progress::Pending) => "pending".to_owned(),
                Ok(Progress::SlowDown) => "slower".to_owned(),
                Ok(Progress::Expired) => "expired".to_owned(),
                Err(error) => error.to_string(),
            }
        };
        for (status, body, expected) in [
            (200, r#"{"access_token":"x"}"#, "granted"),
            (400, r#"{"error":"authorization_pending"}"#, "pending"),
            (400, r#"{"error":"slow_down"}"#, "slower"),
            (400, r#"{"error":"expired_token"}"#, "expired"),
            (503, "down", "pending"),
            (200, "<html>", "pending"),
        ] {
            assert_eq!(asked(status, body), expected, "{body}");
        }
        let denied = asked(400, r#"{"error":"authorization_declined"}"#);
        assert!(denied.ends_with("refused the sign-in with a device code: authorization_declined"), "{denied}");
        let blocked = asked(400, r#"{"error":"access_denied","error_description":"AADSTS53003: Blocked"}"#);
        assert!(blocked.contains("(AADSTS53003): Blocked"), "{blocked}");
    }
}
