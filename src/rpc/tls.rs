//! TLS with the trust that the storage configured; a refusal remembers what it saw.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::config::{Fingerprint, Trust};
use crate::error::{Error, Kind, Result};

/// A certificate that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub fingerprint: Fingerprint,
    pub reason: String,
}

pub struct Client {
    pub connection: ClientConnection,
    refused: Arc<Mutex<Option<Refusal>>>,
}

impl Client {
    pub fn new(host: &str, trust: &Trust) -> Result<Self> {
        let internal = |cause: rustls::Error| Error::new(Kind::Internal, format!("TLS set-up: {cause}"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let refused = Arc::new(Mutex::new(None));
        let verifier = Verifier {
            provider: provider.clone(),
            rule: rule(trust, &provider)?,
            refused: refused.clone(),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // TrueNAS' nginx offers h2 too; the WebSocket upgrade needs HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let literal = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(literal).map_err(|_| {
            Error::invalid(format!(
                "api_host: '{host}' is neither a host name nor an address"
            ))
        })?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(internal)?;
        Ok(Self { connection, refused })
    }

    pub fn refusal(&self) -> Option<Refusal> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[derive(Debug)]
enum Rule {
    Roots(Arc<WebPkiServerVerifier>),
    Fingerprints(Vec<Fingerprint>),
    Anyone,
}

fn rule(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Rule> {
    let roots = match trust {
        Trust::Anyone => return Ok(Rule::Anyone),
        Trust::Fingerprints(list) => return Ok(Rule::Fingerprints(list.clone())),
        Trust::SystemRoots => system_roots(),
        Trust::CaFile(path) => file_roots(path)?,
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map(Rule::Roots)
        .map_err(|cause| {
            Error::new(
                Kind::Unreachable,
                format!("no certificate authorities to check the server with: {cause}"),
            )
            .advice("install the package ca-certificates, or set tn_tls_fingerprint")
        })
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn file_roots(path: &Path) -> Result<RootCertStore> {
    let refused = |why: String| {
        Error::invalid(format!("tn_tls_ca_file: {} {why}", path.display())).advice(
            "give a PEM file with the certificate of the authority that signed the server's certificate",
        )
    };
    let pem = fs::read(path).map_err(|cause| refused(format!("cannot be read: {cause}")))?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(std::result::Result::ok);
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(refused("has no usable certificate".into())),
        _ => Ok(roots),
    }
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    rule: Rule,
    refused: Arc<Mutex<Option<Refusal>>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let fingerprint = fingerprint(certificate);
        let verdict = match &self.rule {
            Rule::Roots(webpki) => webpki.verify_server_cert(certificate, intermediates, name, ocsp, now),
            Rule::Fingerprints(list) if !list.contains(&fingerprint) => Err(
                rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure),
            ),
            Rule::Fingerprints(_) | Rule::Anyone => Ok(ServerCertVerified::assertion()),
        };
        verdict.inspect_err(|error| {
            let refusal = Refusal {
                fingerprint,
                reason: reason(error),
            };
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    Fingerprint(bytes)
}

fn reason(error: &rustls::Error) -> String {
    use CertificateError as Why;
    let rustls::Error::InvalidCertificate(why) = error else {
        return error.to_string();
    };
    match why {
        // The last three: a trusted authority has the name of the issuer, but another key, or another kind of key.
        Why::UnknownIssuer
        | Why::BadSignature
        | Why::Other(_)
        | Why::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed by an authority that this node does not trust (or by itself)".into()
        }
        Why::Expired | Why::ExpiredContext { .. } => "it has expired".into(),
        Why::NotValidYet | Why::NotValidYetContext { .. } => "it is not valid yet; check the clocks".into(),
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "it is for another host name".into(),
        Why::ApplicationVerificationFailure => {
            "its fingerprint is none of those in tn_tls_fingerprint".into()
        }
        // webpki's own names for algorithms and encodings that it does not take.
        other => format!("it cannot be verified ({other})"),
    }
}
