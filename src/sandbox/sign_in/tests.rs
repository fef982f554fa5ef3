use super::*;

const APPLICANT: Applicant<'_> = Applicant {
    tenant: "contoso",
    client_id: "app",
    audience: "https://api.securitycenter.microsoft.com",
    is_person: false,
};

fn request() -> TokenRequest {
    TokenRequest {
        grant_type: Some("client_credentials".into()),
        client_id: Some("app".into()),
        client_secret: Some("secret".into()),
        client_assertion: None,
        client_assertion_type: None,
        scope: Some("https://api.securitycenter.microsoft.com/.default".into()),
        ..TokenRequest::default()
    }
}

#[test]
fn requests_are_checked() {
    type Spoil = fn(&mut TokenRequest);
    let asserted: Spoil = |request| {
        request.client_secret = None;
        request.client_assertion = Some("a.b.c".into());
        request.client_assertion_type = Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into());
    };
    let table: [(Spoil, Option<&str>, Result<(), u32>); 11] = [
        (|_| {}, None, Ok(())),
        (|_| {}, Some("secret"), Ok(())),
        (|_| {}, Some("other"), Err(7_000_215)),
        (asserted, None, Ok(())),
        (asserted, Some("secret"), Err(700_027)),
        (|request| request.client_secret = None, None, Err(7_000_216)),
        (|request| request.client_secret = Some(String::new()), None, Err(7_000_216)),
        (|request| request.grant_type = Some("password".into()), None, Err(70_003)),
        (|request| request.client_id = None, None, Err(900_144)),
        (|request| request.scope = None, None, Err(900_144)),
        (|request| request.scope = Some("Machine.Read".into()), None, Err(1_002_012)),
    ];
    for (number, (spoil, only_secret, expected)) in table.into_iter().enumerate() {
        let mut request = request();
        spoil(&mut request);
        let only_secret = only_secret.map(SandboxSecret::new);
        let found = check("contoso", &request, only_secret.as_ref()).map(|_| ()).map_err(|error| error.number);
        assert_eq!(found, expected, "line {number}");
    }
}

#[test]
fn a_token_shows_its_claims_and_is_never_the_same_twice() {
    let mut tokens = Tokens::new(Duration::from_mins(1), vec!["Machine.ReadWrite.All".into()]);
    let mut random = fastrand::Rng::with_seed(1);
    let now = Arrival { uptime: Duration::ZERO, wall: Timestamp::new(1000, 0).expect("a timestamp") };
    let [first, second] = [(); 2].map(|()| tokens.issue(APPLICANT, now, &mut random));
    assert_ne!(first, second);
    let parts: Vec<_> = first.split('.').collect();
    assert_eq!(parts.len(), 3);
    let payload = parts.get(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&payload).expect("claims");
    for (name, expected) in [
        ("tid", serde_json::json!("contoso")),
        ("appid", serde_json::json!("app")),
        ("aud", serde_json::json!("https://api.securitycenter.microsoft.com")),
        ("roles", serde_json::json!(["Machine.ReadWrite.All"])),
        ("iat", serde_json::json!(1000)),
        ("exp", serde_json::json!(1060)),
    ] {
        assert_eq!(claims.get(name), Some(&expected), "{name}");
    }
}

#[test]
fn a_token_lives_its_lifetime_and_not_longer() {
    let mut tokens = Tokens::new(Duration::from_mins(1), Vec::new());
    let mut random = fastrand::Rng::with_seed(1);
    let now = Arrival { uptime: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };
    let token = tokens.issue(APPLICANT, now, &mut random);
    for (seconds, expected) in [(0, true), (59, true), (60, false)] {
        assert_eq!(tokens.is_good(&token, now.uptime + Duration::from_secs(seconds)), expected, "{seconds} s");
    }
    assert!(!tokens.is_good("x.y.z", now.uptime));
    tokens.revoke_all();
    assert!(!tokens.is_good(&token, now.uptime));
}

#[test]
fn no_more_tokens_are_kept_than_the_limit() {
    let mut tokens = Tokens::new(Duration::from_mins(1), Vec::new());
    let mut random = fastrand::Rng::with_seed(1);
    let start = Duration::ZERO;
    let at = |place: usize| {
        let uptime = start + Duration::from_micros(u64::try_from(place).unwrap_or(0));
        Arrival { uptime, wall: Timestamp::UNIX_EPOCH }
    };
    tokens.ends =
        (0..MAXIMUM_TOKENS).map(|place| (place.to_string().into(), at(place).uptime + tokens.lifetime)).collect();
    let token = tokens.issue(APPLICANT, at(0), &mut random);
    assert_eq!(tokens.ends.len(), MAXIMUM_TOKENS);
    assert!(!tokens.is_good("0", start) && tokens.is_good("1", start) && tokens.is_good(&token, start));
}
