//! The sandbox over real loopback connections.

mod faults;
mod hostile;
mod quota;
mod reads;
mod scripts;
mod writes;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::*;

/// A running sandbox and a client that is signed in.
struct Tenant {
    sandbox: Sandbox,
    client: Client,
    token: SandboxSecret,
}

/// An answer as far as the tests look at it.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: Value,
}

impl Tenant {
    async fn start(settings: SandboxSettings) -> Self {
        let sandbox = Sandbox::start(settings, loopback()).await.expect("the sandbox starts");
        let token = sandbox.ready_token();
        let client = Client::builder()
            .no_proxy()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_mins(2))
            .build()
            .expect("a client");
        Self { sandbox, client, token }
    }

    /// With the machines `a`, `b`, `c`, which have no tags.
    async fn with_three(settings: SandboxSettings) -> Self {
        let machines = ["a", "b", "c"].map(SandboxMachine::new).to_vec();
        Self::start(SandboxSettings { machines, ..settings }).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.sandbox.base_url());
        self.client.request(method, url).header(AUTHORIZATION, format!("Bearer {}", self.token.expose()))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path).header(CONTENT_TYPE, "application/json").body(body.to_string())
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    async fn change(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.post(path, &body)).await
    }

    async fn add_tag(&self, id: &str, tag: &str) -> Answer {
        self.change(&format!("/api/machines/{id}/tags"), json!({"Value": tag, "Action": "Add"})).await
    }

    async fn add_tag_to_many(&self, ids: &[&str], tag: &str) -> Answer {
        self.change(BULK, json!({"Value": tag, "Action": "Add", "MachineIds": ids})).await
    }

    fn tags(&self, id: &str) -> Vec<String> {
        self.sandbox.machine(id).expect("a machine").tags
    }
}

impl Answer {
    async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.expect("an answer")).await
    }

    async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let bytes = response.bytes().await.expect("a whole body");
        Self { status, body: serde_json::from_slice(&bytes).expect("json") }
    }

    fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Status and code of a refusal; checks that the rest of it is there.
    fn refusal(&self) -> (u16, &str) {
        assert!(self.at("/error/message").as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        assert!(self.at("/error/target").as_str().is_some_and(|target| target.len() == 36), "{self:?}");
        (self.status, self.at("/error/code").as_str().unwrap_or_default())
    }

    fn message(&self) -> &str {
        self.at("/error/message").as_str().unwrap_or_default()
    }

    /// The ids of a collection.
    fn ids(&self) -> Vec<&str> {
        let machines = self.at("/value").as_array().map(Vec::as_slice).unwrap_or_default();
        machines.iter().filter_map(|machine| machine.get("id")?.as_str()).collect()
    }
}

const BULK: &str = "/api/machines/AddOrRemoveTagForMultipleMachines";

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test]
async fn nothing_but_loopback_is_served() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let address = address.parse().expect("an address");
        let started = Sandbox::start(SandboxSettings::default(), address).await;
        assert!(matches!(started, Err(SandboxError::NotLoopback { .. })), "{address}");
    }
}

#[tokio::test]
async fn a_taken_port_and_a_bad_setting_are_errors() {
    let sandbox = Sandbox::start(SandboxSettings::default(), loopback()).await.expect("the sandbox starts");
    let second = Sandbox::start(SandboxSettings::default(), sandbox.address()).await;
    assert!(matches!(second, Err(SandboxError::Listen { .. })));
    let settings = SandboxSettings { bulk_limit: 0, ..SandboxSettings::default() };
    let bad = Sandbox::start(settings, loopback()).await;
    assert!(matches!(bad, Err(SandboxError::Settings(SettingsError { setting: "bulk limit", .. }))));
}

#[tokio::test]
async fn after_a_stop_or_a_drop_nobody_answers() {
    for stops in [true, false] {
        let Tenant { sandbox, client, token: _ } = Tenant::with_three(SandboxSettings::default()).await;
        let url = format!("{}/api/machines", sandbox.base_url());
        assert_eq!(client.get(&url).send().await.expect("an answer").status(), 401);
        if stops {
            sandbox.stop().await;
            assert!(client.get(&url).send().await.is_err());
        } else {
            drop(sandbox);
            // The server ends on its own; each attempt gives it a turn.
            while client.get(&url).send().await.is_ok() {}
        }
    }
}

#[tokio::test]
async fn a_stop_ends_latency_and_hanging_calls() {
    let latency = Duration::from_hours(1)..=Duration::from_hours(1);
    let hang = Faults::always(Fault::Hang);
    for (settings, expected) in [
        (SandboxSettings { latency, ..SandboxSettings::default() }, 200),
        (SandboxSettings { faults: hang, ..SandboxSettings::default() }, 503),
    ] {
        let tenant = Tenant::with_three(settings).await;
        let call = tokio::spawn(tenant.request(Method::GET, "/api/machines/a").send());
        while tenant.sandbox.counters().get == 0 {
            tokio::task::yield_now().await;
        }
        tenant.sandbox.stop().await;
        let response = call.await.expect("no panic").expect("an answer");
        assert_eq!(response.status(), expected);
    }
}

/// Posts a form to the token endpoint.
async fn sign_in(tenant: &Tenant, form: &str) -> Answer {
    let url = format!("{}/contoso/oauth2/v2.0/token", tenant.sandbox.base_url());
    let form = form.to_owned();
    Answer::of(tenant.client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)).await
}

#[tokio::test]
async fn the_token_endpoint_gives_tokens_that_work() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    let scope = "scope=https%3A%2F%2Fapi.securitycenter.microsoft.com%2F.default";
    let form = format!("grant_type=client_credentials&client_id=app&client_secret=any&{scope}");
    let answer = sign_in(&tenant, &form).await;
    assert_eq!(
        (answer.status, answer.at("/token_type"), answer.at("/expires_in")),
        (200, &json!("Bearer"), &json!(3600))
    );
    let token = SandboxSecret::new(answer.at("/access_token").as_str().expect("a token"));
    assert_eq!(token.expose().split('.').count(), 3);
    let tenant = Tenant { token, ..tenant };
    assert_eq!(tenant.get("/api/machines/a").await.status, 200);

    let refused = sign_in(&tenant, &format!("grant_type=client_credentials&client_id=app&{scope}")).await;
    assert_eq!((refused.status, refused.at("/error")), (401, &json!("invalid_client")));
    assert_eq!(refused.at("/error_codes"), &json!([7_000_216]));
    assert_eq!(sign_in(&tenant, "").await.at("/error"), &json!("unsupported_grant_type"));
}

#[tokio::test]
async fn only_the_secret_that_was_set_signs_in() {
    let client_secret = Some(SandboxSecret::new("right"));
    let tenant = Tenant::with_three(SandboxSettings { client_secret, ..SandboxSettings::default() }).await;
    assert_eq!(tenant.sandbox.credential().client_secret.expose(), "right");
    for (secret, expected) in [("right", 200), ("wrong", 401)] {
        let form = format!("grant_type=client_credentials&client_id=a&scope=x/.default&client_secret={secret}");
        assert_eq!(sign_in(&tenant, &form).await.status, expected, "{secret}");
    }
}

#[tokio::test]
async fn calls_need_a_token_that_lives() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    for header in [None, Some("Bearer x.y.z"), Some("Basic x"), Some("Bearer")] {
        let request = tenant.client.get(format!("{}/api/machines/a", tenant.sandbox.base_url()));
        let request = header.into_iter().fold(request, |request, header| request.header(AUTHORIZATION, header));
        assert_eq!(Answer::of(request).await.refusal(), (401, "Unauthorized"), "{header:?}");
    }
    assert_eq!(tenant.get("/api/machines/a").await.status, 200);
    tenant.sandbox.revoke_tokens();
    assert_eq!(tenant.get("/api/machines/a").await.refusal(), (401, "Unauthorized"));
    assert_eq!(tenant.sandbox.counters().unauthorized, 5);

    let token_lifetime = Duration::from_millis(1);
    let tenant = Tenant::with_three(SandboxSettings { token_lifetime, ..SandboxSettings::default() }).await;
    tokio::time::sleep(token_lifetime).await;
    assert_eq!(tenant.get("/api/machines/a").await.refusal(), (401, "Unauthorized"));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_the_shape_of_the_api() {
    let tenant = Tenant::with_three(SandboxSettings::default()).await;
    for (method, path, expected) in [
        (Method::GET, "/", (404, "NotFound")),
        (Method::GET, "/api/alerts", (404, "NotFound")),
        (Method::PATCH, "/api/machines/a", (405, "MethodNotAllowed")),
        (Method::GET, "/api/machines/a/tags", (405, "MethodNotAllowed")),
        (Method::GET, BULK, (405, "MethodNotAllowed")),
        (Method::GET, "/contoso/oauth2/v2.0/token", (405, "MethodNotAllowed")),
    ] {
        assert_eq!(Answer::of(tenant.request(method, path)).await.refusal(), expected, "{path}");
    }
    assert_eq!(tenant.sandbox.counters().calls(), 0);
}
