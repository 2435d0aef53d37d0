//! The certificate and the TLS side (truenas-api.md §1.7: self-signed for localhost, ALPN h2 and http/1.1).

use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// Lowercase SHA-256 of the certificate.
    pub fingerprint: String,
}

impl Tls {
    /// `self-signed` or `CERT,KEY`.
    pub fn new(source: &str) -> Result<Self, String> {
        let (chain, key) = if source == "self-signed" {
            self_signed()?
        } else {
            files(source)?
        };
        let first = chain.first().ok_or("the certificate file holds no certificate")?;
        let fingerprint = sha256(first);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|e| e.to_string())?;
        // nginx prefers h2 when a client offers it, and the upgrade to a WebSocket then fails.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            fingerprint,
        })
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

// truenas-api.md §1.7: CN=localhost, SAN DNS:localhost.
fn self_signed() -> Result<Identity, String> {
    let made = || {
        let mut params = CertificateParams::new(["localhost".to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        let key = KeyPair::generate()?;
        Ok::<_, rcgen::Error>((params.self_signed(&key)?.der().clone(), key.serialize_der()))
    };
    let (cert, key) = made().map_err(|e| e.to_string())?;
    Ok((vec![cert], PrivateKeyDer::try_from(key).map_err(str::to_owned)?))
}

fn files(source: &str) -> Result<Identity, String> {
    let (cert, key) = source
        .split_once(',')
        .ok_or("--tls takes self-signed or CERT,KEY")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert)
        .map_err(|e| format!("{cert}: {e}"))?
        .collect();
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{key}: {e}"))?;
    Ok((chain.map_err(|e| format!("{cert}: {e}"))?, key_der))
}

pub fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
