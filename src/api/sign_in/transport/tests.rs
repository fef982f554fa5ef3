use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).expect("an address")
}

#[test]
fn requests_go_to_the_one_origin_or_nowhere() {
    let loopback = Route::to_authority(&url("http://127.0.0.1:8080")).expect("a route");
    assert_eq!(loopback.shown.as_str(), "https://127.0.0.1:8080/");
    let cases = [
        ("https://127.0.0.1:8080/t/token?a=b", Some("http://127.0.0.1:8080/t/token?a=b")),
        ("http://127.0.0.1:8080/t/token", None),
        ("https://127.0.0.1:8081/t/token", None),
        ("https://127.0.0.2:8080/t/token", None),
        ("https://login.microsoftonline.com/t/token", None),
    ];
    for (asked, expected) in cases {
        assert_eq!(loopback.resolve(&url(asked)), expected.map(url), "{asked}");
    }
    let real = Route::to_authority(&url("https://login.microsoftonline.us")).expect("a route");
    let address = url("https://login.microsoftonline.us/t/token");
    assert_eq!(real.resolve(&address), Some(address));
    assert_eq!(real.resolve(&url("https://login.microsoftonline.com/t/token")), None);
}

#[test]
fn identity_endpoints_are_local() {
    let cases = [
        (None, true),
        (Some("http://127.0.0.1:41741/msi/token"), true),
        (Some("http://localhost:42356/msi/token"), true),
        (Some("http://169.254.129.3:8081/msi/token"), true),
        (Some("http://10.0.0.1/msi/token"), false),
        (Some("https://identity.example.org/"), false),
        (Some("nonsense"), false),
    ];
    for (endpoint, expected) in cases {
        assert_eq!(Route::to_identity_endpoint(endpoint).is_ok(), expected, "{endpoint:?}");
    }
}
