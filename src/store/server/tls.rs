//! Whom to believe to be the server.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio_postgres_rustls_improved::MakeRustlsConnect;

use crate::outside::read_certificates;
use crate::store::engine::sql::SqlError;

/// What the server must prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// That somebody who is trusted has certified its name.
    Name,
    /// That somebody who is trusted has certified it, under any name.
    Issuer,
    /// Nothing; only whoever reads along is kept out.
    Nothing,
    /// Nothing is encrypted at all.
    NotEncrypted,
}

/// How connections are encrypted, if they are: with the system's trusted certificates, and those of a file.
pub(super) fn connector(proof: Proof, certificates: Option<&Path>) -> Result<Option<MakeRustlsConnect>, SqlError> {
    if proof == Proof::NotEncrypted {
        return Ok(None);
    }
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(SqlError::Tls)?;
    let trusted = match proof {
        Proof::Nothing | Proof::NotEncrypted => None,
        Proof::Name | Proof::Issuer => Some(verifier(&provider, certificates)?),
    };
    let verifier = Judge { proof, trusted, provider };
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn verifier(provider: &Arc<CryptoProvider>, certificates: Option<&Path>) -> Result<Verifier, SqlError> {
    let Some(path) = certificates else { return Verifier::new(Arc::clone(provider)).map_err(SqlError::Tls) };
    let unreadable = |source| SqlError::File { path: path.to_owned(), source };
    let pem = read_certificates(path).map_err(unreadable)?;
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(std::io::Error::other(error)))?;
    if roots.is_empty() {
        return Err(unreadable(std::io::Error::other("it holds no certificate in PEM form")));
    }
    Verifier::new_with_extra_roots(roots, Arc::clone(provider)).map_err(SqlError::Tls)
}

/// Looks at certificates as closely as was asked for.
#[derive(Debug)]
struct Judge {
    proof: Proof,
    trusted: Option<Verifier>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        match trusted.verify_server_cert(certificate, between, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.proof == Proof::Issuer => Ok(ServerCertVerified::assertion()),
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
