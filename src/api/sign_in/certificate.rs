//! Signing in with a certificate: the file, and the assertion that is signed with its key.
//!
//! The form is Microsoft's page on certificate credentials: PS256, the certificate's SHA-256 thumbprint as `x5t#S256`, the
//! token endpoint as audience. Entra takes RSA keys only.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::error::SignInError;
use super::files::read_private_text;
use super::token::unguessable;
use crate::outside::shown;

/// The documentation asks for five to ten minutes at most; each assertion is used at once, and
/// once.
const ASSERTION_LIFE_SECONDS: u64 = 5 * 60;

/// A certificate's thumbprint and the private key that belongs to it.
#[derive(Clone)]
pub(super) struct CertificateKey {
    key: EncodingKey,
    thumbprint: String,
}

impl fmt::Debug for CertificateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CertificateKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

/// The assertion's payload (RFC 7523, section 3).
#[derive(Serialize)]
struct Claims<'c> {
    aud: &'c str,
    iss: &'c str,
    sub: &'c str,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// What is wrong with a certificate file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    NotPem,
    Encrypted,
    NoKey,
    NoCertificate,
    DamagedCertificate,
    NotRsa,
    UnusableKey,
    NotAPair,
}

impl Problem {
    fn text(self) -> (&'static str, &'static str) {
        let make_pem = "give a PEM file with the certificate and its unencrypted private key; a \
                        PFX file becomes one by `openssl pkcs12 -in app.pfx -out app.pem \
                        -nodes`";
        match self {
            Self::NotPem => ("is not a PEM file", make_pem),
            Self::Encrypted => {
                ("holds an encrypted private key", "decrypt it: `openssl pkey -in app.pem -out key.pem`")
            }
            Self::NoKey => ("holds no private key", make_pem),
            Self::NoCertificate => ("holds no certificate", make_pem),
            Self::DamagedCertificate => ("holds a damaged certificate", make_pem),
            Self::NotRsa => (
                "holds a private key that is not RSA",
                "Microsoft Entra takes RSA certificates only: make one, and upload it to the \
                 app registration",
            ),
            Self::UnusableKey => ("holds a private key that cannot sign", "use an RSA key of 2048 to 8192 bits"),
            Self::NotAPair => ("holds a private key that belongs to none of its certificates", make_pem),
        }
    }
}

impl CertificateKey {
    /// Reads a PEM file with a certificate (others may stand beside it) and an unencrypted RSA key,
    /// PKCS#8 or PKCS#1.
    pub(super) fn load(path: &Path) -> Result<Self, SignInError> {
        let described = |problem: Problem| {
            let (what, hint) = problem.text();
            SignInError::settings(format!("the certificate file {} {what}", shown(path)), hint)
        };
        match read_private_text(path) {
            Ok(text) => Self::from_pem(text.expose_secret()).map_err(described),
            // A PFX file is binary.
            Err(SignInError::File { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                Err(described(Problem::NotPem))
            }
            Err(other) => Err(other),
        }
    }

    fn from_pem(text: &str) -> Result<Self, Problem> {
        let blocks = pem_blocks(text);
        if blocks.is_empty() {
            return Err(Problem::NotPem);
        }
        let key = private_key(&blocks)?;
        let modulus = rsa_modulus(key.as_bytes()).ok_or(Problem::UnusableKey)?;
        let certificates = blocks
            .iter()
            .filter(|block| block.label == "CERTIFICATE")
            .map(|block| block.der().ok_or(Problem::DamagedCertificate))
            .collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() {
            return Err(Problem::NoCertificate);
        }
        // A chain may stand in any order; the certificate that counts is the one with our key in
        // it.
        let own = certificates
            .iter()
            .find(|der| der.windows(modulus.len()).any(|window| window == modulus))
            .ok_or(Problem::NotAPair)?;
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(own));
        let pair = Self { key, thumbprint };
        // The key is only looked at closely when it signs, and that should not be in the middle of
        // the night.
        pair.sign("", "", 0).map_err(|_| Problem::UnusableKey)?;
        Ok(pair)
    }

    /// A fresh assertion that `client_id` owns the certificate, for the token endpoint `audience`
    /// and no one else.
    pub(super) fn sign(&self, client_id: &str, audience: &str, now_unix_seconds: u64) -> Result<String, SignInError> {
        let mut header = Header::new(Algorithm::PS256);
        header.x5t_s256 = Some(self.thumbprint.clone());
        let claims = Claims {
            aud: audience,
            iss: client_id,
            sub: client_id,
            jti: unguessable()?,
            iat: now_unix_seconds,
            nbf: now_unix_seconds,
            exp: now_unix_seconds.saturating_add(ASSERTION_LIFE_SECONDS),
        };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(|_unusable| {
            SignInError::settings("the certificate's key cannot sign", "use an RSA key of 2048 to 8192 bits")
        })
    }
}

fn private_key(blocks: &[PemBlock<'_>]) -> Result<EncodingKey, Problem> {
    let block = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")).ok_or(Problem::NoKey)?;
    if block.label == "ENCRYPTED PRIVATE KEY" || block.whole.contains("ENCRYPTED") {
        return Err(Problem::Encrypted);
    }
    let pem = block.whole.as_bytes();
    EncodingKey::from_rsa_pem(pem).map_err(|_| {
        let other_kind = block.label == "EC PRIVATE KEY"
            || EncodingKey::from_ec_pem(pem).is_ok()
            || EncodingKey::from_ed_pem(pem).is_ok();
        if other_kind { Problem::NotRsa } else { Problem::UnusableKey }
    })
}

/// One `-----BEGIN label----- ... -----END label-----` (RFC 7468).
struct PemBlock<'t> {
    label: &'t str,
    body: &'t str,
    whole: &'t str,
}

impl PemBlock<'_> {
    fn der(&self) -> Option<Vec<u8>> {
        let compact: String = self.body.split_whitespace().collect();
        STANDARD.decode(compact).ok()
    }
}

fn pem_blocks(text: &str) -> Vec<PemBlock<'_>> {
    const BEGIN: &str = "-----BEGIN ";
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(block) = rest.find(BEGIN).and_then(|start| rest.get(start..)) {
        let Some(parsed) = pem_block(block, BEGIN) else {
            break;
        };
        rest = block.get(parsed.whole.len()..).unwrap_or_default();
        blocks.push(parsed);
    }
    blocks
}

fn pem_block<'t>(text: &'t str, begin: &str) -> Option<PemBlock<'t>> {
    let (label, after) = text.strip_prefix(begin)?.split_once("-----")?;
    let end = format!("-----END {label}-----");
    let (body, _) = after.split_once(&end)?;
    let length = begin.len() + label.len() + "-----".len() + body.len() + end.len();
    Some(PemBlock { label, body, whole: text.get(..length)? })
}

/// The modulus of a PKCS#1 private key (RFC 8017, appendix A.1.2): the second number in it. The
/// certificate holds the same bytes.
fn rsa_modulus(pkcs1: &[u8]) -> Option<&[u8]> {
    /// No RSA key in use is shorter, and shorter bytes could stand in a certificate by chance.
    const SHORTEST_MODULUS_BYTES: usize = 64;
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let (key, _) = der_value(pkcs1, SEQUENCE)?;
    let (_version, after_version) = der_value(key, INTEGER)?;
    let (modulus, _) = der_value(after_version, INTEGER)?;
    // A leading zero only keeps the number positive.
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    (modulus.len() >= SHORTEST_MODULUS_BYTES).then_some(modulus)
}

/// The content of a DER value with this tag, and what follows it (X.690, section 8.1).
fn der_value(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    const LONG_FORM: u8 = 0x80;
    let (&first, rest) = input.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    if length < LONG_FORM {
        return rest.split_at_checked(usize::from(length));
    }
    let (length_bytes, rest) = rest.split_at_checked(usize::from(length - LONG_FORM))?;
    if length_bytes.len() > size_of::<u32>() {
        return None;
    }
    let length = length_bytes.iter().fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests;
