//! Clients that send what no client should: each is refused or cut off, and the others are served as before.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// Sends these bytes, and then the end where no answer is to come; gives the status of the answer, or nothing where the connection was closed.
async fn status_of(tenant: &Tenant, bytes: &[u8], is_answered: bool) -> Option<u16> {
    let mut stream = TcpStream::connect(tenant.sandbox.address()).await.expect("a connection");
    let (mut reading, mut writing) = stream.split();
    // Whoever is refused before the end may not be able to send the rest.
    let sending = async {
        let _refused = writing.write_all(bytes).await;
        if !is_answered {
            let _refused = writing.shutdown().await;
        }
    };
    let mut answer = Vec::new();
    let ((), _cut) = tokio::join!(sending, reading.read_to_end(&mut answer));
    let text = String::from_utf8_lossy(&answer);
    text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok())
}

#[tokio::test]
async fn hostile_clients_are_refused_and_the_others_served() {
    let tenant = Tenant::with_three(SandboxSettings { quotas: Vec::new(), ..SandboxSettings::default() }).await;
    let token = tenant.token.expose().to_owned();
    let head = |first_line: &str| {
        format!("{first_line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n")
    };
    let json = "content-type: application/json\r\n";
    let post = |body: &str| {
        let head = head("POST /api/machines/a/tags");
        format!("{head}{json}content-length: {}\r\n\r\n{body}", body.len())
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let table: Vec<(&str, String, Option<u16>)> = vec![
        ("no HTTP", "\0\u{1}\u{2}garbage\r\n\r\n".to_owned(), Some(400)),
        ("half a head", head("GET /api/machines"), None),
        ("a huge header", format!("{}x: {}\r\n\r\n", head("GET /api/machines"), "y".repeat(1 << 20)), Some(431)),
        ("very many headers", format!("{}{}\r\n", head("GET /api/machines"), "x: y\r\n".repeat(10_000)), Some(431)),
        ("a huge address", head(&format!("GET /{}", "a".repeat(1 << 20))) + "\r\n", Some(431)),
        (
            "bad chunks",
            format!("{}{json}transfer-encoding: chunked\r\n\r\nzz\r\n", head("POST /api/machines/a/tags")),
            Some(413),
        ),
        (
            "a huge chunk",
            format!(
                "{}{json}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                head("POST /api/machines/a/tags")
            ),
            Some(413),
        ),
        (
            "two lengths",
            format!("{}content-length: 1\r\ncontent-length: 2\r\n\r\n", head("POST /api/machines/a/tags")),
            Some(400),
        ),
        ("a huge body", post(&" ".repeat(2 << 20)), Some(413)),
        ("a deep body", post(&deep), Some(400)),
        ("a huge tag", post(&format!(r#"{{"Value":"{}","Action":"Add"}}"#, "t".repeat(100_000))), Some(400)),
        ("another method", head("TRACE /api/machines") + "\r\n", Some(405)),
        ("PATCH", head("PATCH /api/machines/a") + "\r\n", Some(405)),
        ("CONNECT", head("CONNECT x:443") + "\r\n", Some(404)),
        ("a way upwards", head("GET /api/machines/../../etc/passwd") + "\r\n", Some(404)),
        ("an encoded way upwards", head("GET /api/machines/..%2f..%2fetc") + "\r\n", Some(404)),
        ("a nought", head("GET /api/machines/%00") + "\r\n", Some(404)),
        ("no UTF-8", head("GET /api/machines/%ff") + "\r\n", Some(404)),
        (
            "a page beyond all",
            head("GET /api/machines?$skip=18446744073709551615&$top=18446744073709551615") + "\r\n",
            Some(404),
        ),
        ("a number beyond all", head("GET /api/machines?$skip=99999999999999999999") + "\r\n", Some(400)),
        ("a filter", head(&format!("GET /api/machines?$filter={}", "(".repeat(30_000))) + "\r\n", Some(400)),
    ];
    let mut wrong = Vec::new();
    for (name, bytes, expected) in table {
        let status = status_of(&tenant, bytes.as_bytes(), expected.is_some()).await;
        if status != expected {
            wrong.push(format!("{name}: {status:?} and not {expected:?}"));
        }
        assert_eq!(tenant.get("/api/machines").await.ids(), ["a", "b", "c"], "after {name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(tenant.tags("a"), [""; 0]);
}

#[tokio::test]
async fn a_machine_holds_so_many_tags_and_no_more() {
    let tenant = Tenant::with_three(SandboxSettings { quotas: Vec::new(), ..SandboxSettings::default() }).await;
    for number in 0..1000 {
        assert_eq!(tenant.add_tag("a", &number.to_string()).await.status, 200);
    }
    assert_eq!(tenant.add_tag("a", "more").await.refusal(), (400, "InvalidInput"));
    assert_eq!(tenant.add_tag_to_many(&["b", "a"], "more").await.refusal(), (400, "InvalidInput"));
    assert_eq!((tenant.tags("a").len(), tenant.tags("b").len()), (1000, 0));
}
