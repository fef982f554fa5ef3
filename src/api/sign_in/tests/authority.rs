//! A token endpoint on loopback that answers from a script and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Form, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{RequestExt, http};

use crate::api::sign_in::{SignIn, SignInSettings};

/// What the endpoint was asked.
#[derive(Debug, Clone)]
pub(in crate::api::sign_in) struct Asked {
    pub(in crate::api::sign_in) path: String,
    pub(in crate::api::sign_in) headers: HeaderMap,
    /// The form of a POST, or the query of a GET.
    pub(in crate::api::sign_in) fields: HashMap<String, String>,
}

/// One answer.
#[derive(Debug, Clone)]
pub(in crate::api::sign_in) struct Answer {
    pub(in crate::api::sign_in) status: u16,
    pub(in crate::api::sign_in) header: Option<(&'static str, String)>,
    pub(in crate::api::sign_in) body: String,
}

impl Answer {
    pub(in crate::api::sign_in) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, header: None, body: body.into() }
    }

    pub(in crate::api::sign_in) fn token(secret: &str) -> Self {
        let body = format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"{secret}"}}"#);
        Self::new(200, body)
    }

    pub(in crate::api::sign_in) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = http::Response::builder().status(self.status);
        if let Some((name, value)) = self.header {
            response = response.header(name, value);
        }
        response.body(self.body.into()).expect("a possible answer")
    }
}

#[derive(Debug, Default)]
struct Book {
    answers: VecDeque<Answer>,
    asked: Vec<Asked>,
}

/// The running endpoint.
#[derive(Debug, Clone)]
pub(in crate::api::sign_in) struct Authority {
    pub(in crate::api::sign_in) address: String,
    book: Arc<Mutex<Book>>,
}

impl Authority {
    /// Starts an endpoint that gives these answers, one a request, and 418 after the last.
    pub(in crate::api::sign_in) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let book = Arc::new(Mutex::new(Book { answers: answers.into_iter().collect(), asked: Vec::new() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&book));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, book }
    }

    pub(in crate::api::sign_in) fn asked(&self) -> Vec<Asked> {
        self.book.lock().expect("no panic").asked.clone()
    }

    /// Settings of an app whose authority this is.
    pub(in crate::api::sign_in) fn settings(&self) -> SignInSettings {
        let mut settings = SignInSettings::new(&self.address, "https://api.example/.default");
        settings.tenant_id = Some("tenant".into());
        settings.client_id = Some("client".into());
        settings.loopback_authority_allowed = true;
        settings
    }

    /// A sign-in with a client secret.
    pub(in crate::api::sign_in) fn sign_in_with(&self, secret: &str) -> SignIn {
        let mut settings = self.settings();
        settings.client_secret = Some(secret.into());
        SignIn::new(&settings, client()).expect("complete settings")
    }
}

async fn answer(State(book): State<Arc<Mutex<Book>>>, request: Request) -> Answer {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let fields = if request.method() == Method::GET {
        Query::try_from_uri(request.uri()).map_or_else(|_| HashMap::new(), |Query(fields)| fields)
    } else {
        let form: Result<Form<HashMap<String, String>>, _> = request.extract().await;
        form.map_or_else(|_| HashMap::new(), |Form(fields)| fields)
    };
    let mut book = book.lock().expect("no panic");
    book.asked.push(Asked { path, headers, fields });
    let unforeseen = Answer::new(StatusCode::IM_A_TEAPOT.as_u16(), "");
    book.answers.pop_front().unwrap_or(unforeseen)
}

/// The program's client, as far as the sign-in depends on it.
pub(in crate::api::sign_in) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
        .expect("a client")
}

/// The secret of a token, as the API would get it.
pub(in crate::api::sign_in) fn shown(token: &crate::api::sign_in::BearerToken) -> String {
    token.header_value().to_str().expect("text").replace("Bearer ", "")
}
