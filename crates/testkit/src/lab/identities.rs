//! Tool identities of a store: names, random passwords, password files.
//!
//! What each of them may do is the business of [`super::configuration`].

use super::Error;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Whom a test or the tool acts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads everything of the store, `userPassword` and operational attributes included;
    /// without a size limit; writes nothing.
    Reader,
    /// ACL `write` on everything except the tool identities and the policies.
    Writer,
    /// ACL `manage` on the whole store.
    Undo,
    /// Reads the server's own `cn=config` and `cn=Monitor`, and nothing of the store.
    Config,
    /// Probe account: ordinary account whose login is expected to end.
    Probe,
    /// Control account: ordinary account whose login must go on working.
    Control,
    /// Root DN of the store's databases; for the preparation of tests only.
    Root,
}

impl Role {
    /// All roles, in the order in which they are described.
    pub const ALL: [Self; 7] = [Self::Reader, Self::Writer, Self::Undo, Self::Config, Self::Probe, Self::Control, Self::Root];

    /// Name of the role as in `lab.json` and in the names of password files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Undo => "undo",
            Self::Config => "config",
            Self::Probe => "probe",
            Self::Control => "control",
            Self::Root => "root",
        }
    }

    /// DN of the identity in the store with `suffix`.
    #[must_use]
    pub fn dn(self, suffix: &str) -> String {
        match self {
            Self::Reader | Self::Writer | Self::Undo | Self::Config => {
                format!("cn=untether-{},ou=system,{suffix}", self.name())
            }
            Self::Probe | Self::Control => format!("uid={},ou=canaries,{suffix}", self.name()),
            Self::Root => format!("cn=root,{suffix}"),
        }
    }
}

/// One identity: its DN and the file (mode 0600) that holds its password and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// DN to bind as.
    pub dn: String,
    /// File with the password, without a line end (`ldapsearch -y` takes the whole file).
    pub password_file: PathBuf,
}

impl Identity {
    /// Reads the password from its file.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn password(&self) -> Result<String, Error> {
        std::fs::read_to_string(&self.password_file).map_err(Error::file("read", &self.password_file))
    }
}

/// Identities of one store and the salted hashes that the server is given.
pub(super) struct Credentials {
    pub(super) identities: BTreeMap<Role, Identity>,
    pub(super) hashes: BTreeMap<Role, String>,
}

impl Credentials {
    /// Draws a random password for each role and writes it below `directory`.
    pub(super) fn create(suffix: &str, directory: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(directory).map_err(Error::file("make", directory))?;
        let mut identities = BTreeMap::new();
        let mut hashes = BTreeMap::new();
        for role in Role::ALL {
            let password = BASE64URL_NOPAD.encode(&rand::random::<[u8; 18]>());
            let password_file = directory.join(role.name());
            write_secret(&password_file, &password)?;
            hashes.insert(role, salted_sha1(&password));
            identities.insert(role, Identity { dn: role.dn(suffix), password_file });
        }
        Ok(Self { identities, hashes })
    }
}

/// `{SSHA}` value (RFC 2307 with a salt): the one strong enough scheme that needs no module.
fn salted_sha1(password: &str) -> String {
    let salt = rand::random::<[u8; 8]>();
    let digest = Sha1::new().chain_update(password.as_bytes()).chain_update(salt).finalize();
    let mut value = digest.to_vec();
    value.extend_from_slice(&salt);
    format!("{{SSHA}}{}", BASE64.encode(&value))
}

/// Writes a file that only its owner can read.
pub(super) fn write_secret(path: &Path, content: &str) -> Result<(), Error> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::file("write", path))?;
    file.write_all(content.as_bytes()).map_err(Error::file("write", path))
}
