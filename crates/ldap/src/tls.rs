//! Whom to trust, and what a failed handshake means in words. One provider (ring) for the whole program.

use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use untether_directory::{DirectoryError, Failure};
use untether_model::Side;

use crate::outcome::Subject;
use crate::settings::TlsSettings;

/// The TLS configuration that trusts the configured authorities only, or the operating system's where none is configured.
pub(crate) fn client_config(side: Side, settings: &TlsSettings) -> Result<Arc<ClientConfig>, DirectoryError> {
    let subject = Subject::new(side, "configure TLS");
    let roots = if settings.ca_files.is_empty() { system_roots(subject)? } else { configured_roots(subject, settings)? };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| subject.error(Failure::Invalid, error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn system_roots(subject: Subject<'_>) -> Result<RootCertStore, DirectoryError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none are installed".to_owned(), ToString::to_string);
        return Err(subject
            .error(Failure::Invalid, format!("no certificate authorities of the operating system can be read: {why}"))
            .with_hint("install them or set ca_files"));
    }
    Ok(roots)
}

fn configured_roots(subject: Subject<'_>, settings: &TlsSettings) -> Result<RootCertStore, DirectoryError> {
    let mut roots = RootCertStore::empty();
    for file in &settings.ca_files {
        let unreadable = |why: String| {
            subject
                .error(Failure::Invalid, format!("cannot read certificate authorities from '{}': {why}", file.display()))
                .with_hint("give a PEM file with BEGIN CERTIFICATE blocks")
        };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(unreadable("it holds no certificate".to_owned()));
        }
    }
    Ok(roots)
}

/// A handshake that failed, explained: unknown authority, expired, wrong name.
pub(crate) fn explain(subject: Subject<'_>, server_name: &str, error: &io::Error) -> DirectoryError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        let hint = match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                "the server ended the handshake: check that this port speaks TLS (ldaps://) and not plain LDAP (ldap:// with starttls)"
            }
            _ => "check the address and the port",
        };
        return subject.error(Failure::Unreachable, format!("TLS handshake: {error}")).with_hint(hint);
    };
    let (message, hint) = match tls {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::UnknownIssuer => (
                "the server's certificate is from an authority that is not trusted".to_owned(),
                "set ca_files to the authority that issued it, after checking its fingerprint with the store's owner",
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                format!("the server's certificate has expired ({reason})"),
                "have the store's owner renew it, and check this machine's clock",
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                (format!("the server's certificate is not valid yet ({reason})"), "check this machine's clock")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
                format!("the server's certificate is not for '{server_name}' ({reason})"),
                "use the name that the certificate carries in the URL, or set server_name; a different machine may be answering",
            ),
            CertificateError::Revoked => ("the server's certificate is revoked".to_owned(), "ask the store's owner"),
            other => (format!("the server's certificate is refused: {other}"), "ask the store's owner for a valid certificate"),
        },
        rustls::Error::InvalidMessage(_) => (
            format!("what answers there does not speak TLS ({tls})"),
            "use ldap:// with starttls for this port, or the LDAPS port (636)",
        ),
        rustls::Error::AlertReceived(alert) => (
            format!("the server ended the handshake ({alert:?})"),
            "see the server's log; it may ask for a client certificate or an old protocol",
        ),
        other => (format!("TLS handshake: {other}"), "check that both sides have TLS 1.2 or 1.3"),
    };
    subject.error(Failure::Unreachable, message).with_hint(hint)
}
