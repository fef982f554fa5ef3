use std::io::Write as _;

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use super::*;
use crate::api::sign_in::test_keys::{
    CERTIFICATE, EC_KEY, EC_KEY_SEC1, ENCRYPTED_KEY, OTHER_CERTIFICATE, RSA_KEY, RSA_KEY_PKCS1, RSA_PUBLIC_KEY,
    SMALL_CERTIFICATE, SMALL_KEY, THUMBPRINT,
};

const ENDPOINT: &str = "https://login.example/tenant/oauth2/v2.0/token";

fn load(parts: &[&str]) -> Result<CertificateKey, SignInError> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(parts.concat().as_bytes()).expect("writable");
    CertificateKey::load(file.path())
}

fn verified_claims(assertion: &str) -> Value {
    let mut expected = Validation::new(Algorithm::PS256);
    expected.set_audience(&[ENDPOINT]);
    expected.validate_exp = false;
    let key = DecodingKey::from_rsa_pem(RSA_PUBLIC_KEY.as_bytes()).expect("a public key");
    decode::<Value>(assertion, &key, &expected).expect("a true signature").claims
}

#[test]
fn the_assertion_is_signed_by_the_key_and_names_the_certificate() {
    let chains: [&[&str]; 4] = [
        &[CERTIFICATE, RSA_KEY],
        &[RSA_KEY_PKCS1, CERTIFICATE],
        &["Bag Attributes\n", OTHER_CERTIFICATE, CERTIFICATE, RSA_KEY],
        &[&CERTIFICATE.replace('\n', "\r\n"), RSA_KEY],
    ];
    for chain in chains {
        let key = load(chain).expect("a pair");
        let assertion = key.sign("client", ENDPOINT, 1_700_000_000).expect("signed");
        let header = decode_header(&assertion).expect("a header");
        assert_eq!(header.alg, Algorithm::PS256);
        assert_eq!(header.x5t_s256.as_deref(), Some(THUMBPRINT));
        let claims = verified_claims(&assertion);
        assert_eq!(claims["iss"], "client");
        assert_eq!(claims["sub"], "client");
        assert_eq!(claims["nbf"], 1_700_000_000_u64);
        assert_eq!(claims["exp"], 1_700_000_300_u64);
    }
}

#[test]
fn no_two_assertions_have_the_same_id() {
    let key = load(&[CERTIFICATE, RSA_KEY]).expect("a pair");
    let ids = [(); 2].map(|()| {
        let assertion = key.sign("client", ENDPOINT, 1_700_000_000).expect("signed");
        verified_claims(&assertion)["jti"].to_string()
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_file_that_is_no_usable_pair_says_what_is_wrong_with_it() {
    let half_a_block = &RSA_KEY[..200];
    let damaged = CERTIFICATE.replace("MII", "*II");
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \
                  AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let cases: [(&[&str], &str); 14] = [
        (&[""], "is not a PEM file"),
        (&["no pem at all"], "is not a PEM file"),
        (&[half_a_block], "is not a PEM file"),
        (&["\u{0}\u{1}"], "is not a PEM file"),
        (&[CERTIFICATE, ENCRYPTED_KEY], "encrypted private key"),
        (&[CERTIFICATE, legacy], "encrypted private key"),
        (&[CERTIFICATE], "no private key"),
        (&[RSA_KEY], "no certificate"),
        (&[&damaged, RSA_KEY], "damaged certificate"),
        (&[CERTIFICATE, EC_KEY], "not RSA"),
        (&[CERTIFICATE, EC_KEY_SEC1], "not RSA"),
        (&[SMALL_CERTIFICATE, SMALL_KEY], "cannot sign"),
        (&[CERTIFICATE, garbage], "cannot sign"),
        (&[OTHER_CERTIFICATE, RSA_KEY], "belongs to none"),
    ];
    for (parts, expected) in cases {
        let error = load(parts).expect_err("not usable");
        assert!(matches!(error, SignInError::Settings { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn a_pfx_file_is_not_a_pem_file() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), [0x30, 0x82, 0xff, 0xfe]).expect("writable");
    let error = CertificateKey::load(file.path()).expect_err("not usable");
    assert!(error.to_string().contains("not a PEM file"), "{error}");
    assert!(error.hint().expect("a hint").contains("pkcs12"));
}

#[test]
fn nothing_shows_the_key() {
    let key = load(&[CERTIFICATE, RSA_KEY]).expect("a pair");
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("CertificateKey {{ thumbprint: {THUMBPRINT:?}, .. }}"));
}

#[test]
fn der_lengths_that_lie_are_refused() {
    let cases: [&[u8]; 6] = [
        &[],
        &[0x30],
        &[0x30, 0x05, 0x01],
        &[0x30, 0x85, 1, 1, 1, 1, 1, 0],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x31, 0x01, 0x00],
    ];
    for der in cases {
        assert_eq!(der_value(der, 0x30), None, "{der:?}");
    }
    assert_eq!(der_value(&[0x30, 0x81, 1, 7, 9], 0x30), Some((&[7][..], &[9][..])));
}
