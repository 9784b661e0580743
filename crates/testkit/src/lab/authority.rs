//! Certificate authority of a laboratory and the server certificates that it issues.
//!
//! Validity periods are constants, so no clock is needed.

use super::Error;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::path::{Path, PathBuf};

/// What a server certificate is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CertificateKind {
    /// Valid now, for 127.0.0.1, localhost and the store's host name.
    #[default]
    Valid,
    /// For the right names, but expired at the end of 2020.
    Expired,
    /// Valid now, but for `elsewhere.example` only.
    WrongName,
}

/// A certificate authority: a self-signed certificate in a file, its key in memory.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_file: PathBuf,
}

/// Where a server finds its certificate and key.
#[derive(Debug, Clone)]
pub(super) struct CertificateFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Authority {
    /// Makes a new authority named `name` and writes its certificate to `ca_file` (PEM).
    ///
    /// A second authority that has signed nothing is the wrong CA of a bad-input test.
    ///
    /// # Errors
    /// [`Error::Certificate`] or [`Error::File`].
    pub fn create(name: &str, ca_file: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Certificate { subject: name.to_owned(), source };
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2015, 1, 1);
        params.not_after = date_time_ymd(2099, 1, 1);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        std::fs::write(ca_file, certificate.pem()).map_err(Error::file("write", ca_file))?;
        Ok(Self { issuer: Issuer::new(params, key), ca_file: ca_file.to_owned() })
    }

    /// File with the authority's certificate, in PEM.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Issues a server certificate for loopback and `host` into `directory`.
    pub(super) fn issue(&self, kind: CertificateKind, host: &str, directory: &Path) -> Result<CertificateFiles, Error> {
        let failed = |source| Error::Certificate { subject: host.to_owned(), source };
        let names = match kind {
            CertificateKind::WrongName => vec!["elsewhere.example".to_owned()],
            CertificateKind::Valid | CertificateKind::Expired => {
                // A name that is an address becomes an IP subject alternative name.
                vec!["127.0.0.1".to_owned(), "localhost".to_owned(), host.to_owned()]
            }
        };
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match kind {
            CertificateKind::Expired => date_time_ymd(2020, 12, 31),
            CertificateKind::Valid | CertificateKind::WrongName => date_time_ymd(2099, 1, 1),
        };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let files = CertificateFiles { certificate: directory.join("server.crt"), key: directory.join("server.key") };
        std::fs::write(&files.certificate, certificate.pem()).map_err(Error::file("write", &files.certificate))?;
        super::identities::write_secret(&files.key, &key.serialize_pem())?;
        Ok(files)
    }
}
