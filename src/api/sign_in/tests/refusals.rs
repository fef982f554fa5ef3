//! Everything but a token: who refused, what may pass, and that nothing is repeated or followed.

use std::time::Duration;

use super::authority::{Answer, Authority};
use crate::api::sign_in::{SignInError, Trouble};

const WRONG_SECRET: &str = concat!(
    r#"{"error":"invalid_client","error_codes":[7000215],"error_description":"#,
    r#""AADSTS7000215: Invalid client secret provided: my-secret!\r\nTrace ID: 1"}"#,
);

async fn error_for(answer: Answer) -> (SignInError, Authority) {
    let authority = Authority::start([answer]).await;
    let error = authority.sign_in_with("my-secret!").token().await.expect_err("no token");
    (error, authority)
}

#[tokio::test]
async fn a_wrong_secret_is_refused_with_its_number_a_reason_and_a_hint() {
    let (error, _) = error_for(Answer::new(401, WRONG_SECRET)).await;
    assert_eq!(
        error.to_string(),
        "127.0.0.1 refused the sign-in with a client secret (AADSTS7000215): \
         Invalid client secret provided: ***"
    );
    assert_eq!(error.code(), Some(7_000_215));
    assert!(!error.is_transient());
    assert!(error.hint().expect("a hint").contains("AZURE_CLIENT_SECRET"));
}

#[tokio::test]
async fn statuses_that_pass_are_transient_and_the_others_are_final() {
    let cases = [
        (Answer::new(503, "down"), true),
        (Answer::new(500, WRONG_SECRET), true),
        (Answer::new(429, ""), true),
        (Answer::new(408, ""), true),
        (Answer::new(400, r#"{"error":"temporarily_unavailable"}"#), true),
        (Answer::new(400, r#"{"error":"invalid_scope"}"#), false),
        (Answer::new(403, "<html>blocked by a proxy</html>"), false),
        (Answer::new(407, ""), false),
    ];
    for (answer, transient) in cases {
        let shown = format!("{answer:?}");
        let (error, authority) = error_for(answer).await;
        assert_eq!(error.is_transient(), transient, "{shown}: {error}");
        assert!(!error.to_string().contains("html"), "{error}");
        assert_eq!(authority.asked().len(), 1, "{shown}: repeated behind the caller's back");
    }
}

#[tokio::test]
async fn the_wait_that_the_authority_asks_for_is_passed_on_within_reason() {
    let cases = [("7", Some(7)), ("999999", Some(3600)), ("soon", None)];
    for (asked, expected) in cases {
        let (error, _) = error_for(Answer::new(429, "").with_header("retry-after", asked)).await;
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{asked}");
    }
}

#[tokio::test]
async fn answers_that_are_no_token_are_no_success() {
    let large = format!(r#"{{"access_token":"{}"}}"#, "secret-".repeat(300_000));
    let cases = [
        ("<html>sign on here</html>", Trouble::Unreadable),
        ("", Trouble::Unreadable),
        (r#"{"token_type":"Bearer","expires_in":3599}"#, Trouble::Unreadable),
        (r#"{"access_token":"x","expires_in":9223372036854775807}"#, Trouble::Unreadable),
        (r#"{"access_token":"x","expires_in":"soon"}"#, Trouble::Unreadable),
        (&large, Trouble::TooLarge),
    ];
    for (body, expected) in cases {
        let (error, _) = error_for(Answer::new(200, body)).await;
        let SignInError::Unreachable { trouble, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*trouble, expected, "{error}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Authority::start([Answer::token("stolen")]).await;
    let redirect = Answer::new(307, "").with_header("location", elsewhere.address.clone());
    let (error, _) = error_for(redirect).await;
    assert!(error.to_string().contains("a redirect"), "{error}");
    assert!(!error.is_transient());
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn an_authority_that_is_not_there_is_transient() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", free.local_addr().expect("an address"));
    let mut authority = Authority::start([]).await;
    authority.address = address;
    drop(free);
    let error = authority.sign_in_with("my-secret!").token().await.expect_err("nobody there");
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(error.to_string(), "signing in with a client secret failed: 127.0.0.1 could not be reached");
    let cause = std::error::Error::source(&error).expect("the network's own error is kept");
    assert!(!format!("{cause} {cause:?}").contains("oauth2"), "{cause:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_transient() {
    let broken = Answer::new(200, "{").with_header("content-length", "100");
    let (error, _) = error_for(broken).await;
    let SignInError::Unreachable { trouble, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*trouble, Trouble::BrokenOff);
}
