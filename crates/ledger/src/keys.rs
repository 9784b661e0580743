//! The keys of a state directory: one state key, and a random key for each wave and each snapshot, wrapped to it.
//!
//! `keys/state.key` is an age identity file (X25519), mode 0600, made once and never overwritten. Each other key is 32 random
//! bytes in an age file of its own, `keys/<id>.age`, for the state key and, where configured, an escrow recipient; so destroying
//! that file destroys what the key sealed. The module does not know what is sealed with a key.

use std::fmt;
use std::path::PathBuf;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use untether_model::StateId;

use crate::error::{LedgerError, StorageError};
use crate::log::read_created;
use crate::mark::Marks;
use crate::seal::{Key, SealError};
use crate::state_dir::StateDir;
use crate::storage::Open;

/// The name of a wave's or a snapshot's key. Says nothing about the key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn random(sort: KeySort) -> Result<Self, KeyError> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(SealError::Random)?;
        Ok(Self(format!("{}-{}", sort.as_str(), HEXLOWER.encode(&bytes))))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl TryFrom<String> for KeyId {
    type Error = BadKeyId;

    /// An id becomes a file name: lower-case letters, digits and `-` only.
    fn try_from(text: String) -> Result<Self, BadKeyId> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 100 || text.starts_with('-') || !text.bytes().all(plain) {
            return Err(BadKeyId(text));
        }
        Ok(Self(text))
    }
}

/// A text that is not the id of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the id of a key")]
pub struct BadKeyId(String);

/// What a key is for; begins its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySort {
    /// A wave, or another order: its file, its blobs, its before-images and one-time secrets.
    Wave,
    /// An audit: its snapshot and findings.
    Snapshot,
}

impl KeySort {
    fn as_str(self) -> &'static str {
        match self {
            Self::Wave => "wave",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Who can open the keys without the state key: an age recipient (`age1…`).
#[derive(Clone)]
pub struct Escrow(x25519::Recipient);

impl std::str::FromStr for Escrow {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.trim()
            .parse()
            .map(Self)
            .map_err(|reason: &str| KeyError::Escrow { text: text.to_owned(), reason: reason.to_owned() })
    }
}

impl fmt::Debug for Escrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Escrow({})", self.0)
    }
}

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system refused a file operation.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The state directory does not allow it.
    #[error(transparent)]
    State(#[from] LedgerError),
    /// No random bytes.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// There is a state key already.
    #[error("'{}' exists already; nothing was overwritten", .0.display())]
    Exists(PathBuf),
    /// There is no state key.
    #[error("the state key '{}' is missing: without it nothing that is sealed can be opened; restore it from a backup", .0.display())]
    NoStateKey(PathBuf),
    /// The state key's file is not an identity file.
    #[error("'{}' is not an age identity file with one X25519 key ({reason}); restore it from a backup", path.display())]
    BadStateKey {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// The key is not there: it was destroyed, or its file is lost.
    #[error("the key {0} is not there: it was destroyed by `forget` or its retention, or its file is lost")]
    Gone(KeyId),
    /// The key's file does not open with the state key.
    #[error("the key file '{}' does not open with the state key: {reason}", path.display())]
    Unwrap {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key could not be wrapped.
    #[error("cannot wrap a new key to its recipients: {0}")]
    Wrap(String),
    /// The configured escrow recipient is none.
    #[error("the escrow recipient '{text}' is not an age X25519 recipient (age1…): {reason}")]
    Escrow {
        /// What is configured.
        text: String,
        /// Why.
        reason: String,
    },
}

/// The keys of a state directory.
pub struct KeyStore {
    state: StateDir,
    identity: x25519::Identity,
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("dir", &self.state.keys()).finish_non_exhaustive()
    }
}

impl KeyStore {
    /// Where the state key is.
    pub fn state_key_path(state: &StateDir) -> PathBuf {
        state.keys().join("state.key")
    }

    /// Makes the state key. Never overwrites one.
    pub fn create(state: &StateDir) -> Result<Self, KeyError> {
        let path = Self::state_key_path(state);
        if state.disk().exists(&path)? {
            return Err(KeyError::Exists(path));
        }
        let identity = x25519::Identity::generate();
        let secret = identity.to_string();
        let mut text = Zeroizing::new(format!("# public key: {}\n", identity.to_public()));
        text.push_str(secret.expose_secret());
        text.push('\n');
        state.disk().replace(&path, text.as_bytes())?;
        Ok(Self { state: state.clone(), identity })
    }

    /// Reads the state key; refuses one that others than its owner can read.
    pub fn open(state: &StateDir) -> Result<Self, KeyError> {
        let path = Self::state_key_path(state);
        let Some(content) = state.disk().read(&path)?.map(Zeroizing::new) else { return Err(KeyError::NoStateKey(path)) };
        state.refuse_exposed(&state.keys(), 0o700)?;
        state.refuse_exposed(&path, 0o600)?;
        let bad = |reason| KeyError::BadStateKey { path: path.clone(), reason };
        let text = std::str::from_utf8(&content).map_err(|_| bad("not UTF-8"))?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().ok_or_else(|| bad("no key in it"))?;
        if lines.next().is_some() {
            return Err(bad("more than one key in it"));
        }
        Ok(Self { state: state.clone(), identity: line.parse().map_err(bad)? })
    }

    /// The state key's public half (`age1…`).
    pub fn recipient(&self) -> String {
        self.identity.to_public().to_string()
    }

    /// A key for one purpose, derived from the state key: HKDF-SHA256 (RFC 5869) over the text of the identity
    /// (`AGE-SECRET-KEY-1…`), salt `untether`, info `untether/1/<purpose>`.
    pub fn derive(&self, purpose: &str) -> Key {
        let secret = self.identity.to_string();
        let mut bytes = [0u8; 32];
        let expanded = Hkdf::<Sha256>::new(Some(b"untether"), secret.expose_secret().as_bytes())
            .expand_multi_info(&[b"untether/1/", purpose.as_bytes()], &mut bytes);
        debug_assert!(expanded.is_ok(), "32 bytes are within the bound of RFC 5869, section 2.3");
        let key = Key::from_bytes(bytes);
        bytes.zeroize();
        key
    }

    /// Makes the marks of this state.
    pub fn marks(&self) -> Marks {
        Marks::new(&self.derive("marks"))
    }

    /// The mark by which a ledger says that it belongs to this key: over the state's UUID.
    pub fn mark_of(&self, state: &StateId) -> String {
        self.marks().value("untether:state", state.as_str().as_bytes())
    }

    /// Whether the ledger beside this key belongs to it. A ledger that was made without a mark cannot tell.
    ///
    /// # Errors
    /// [`LedgerError::Foreign`] where it belongs to another one.
    pub fn refuse_foreign(&self) -> Result<StateId, LedgerError> {
        let created = read_created(self.state.disk(), &self.state.ledger())?;
        match &created.mark {
            Some(mark) if *mark != self.mark_of(&created.state) => Err(LedgerError::Foreign {
                ledger: self.state.ledger(),
                state: created.state,
                key: Self::state_key_path(&self.state),
            }),
            Some(_) | None => Ok(created.state),
        }
    }

    /// Makes a random key and stores it, wrapped to the state key and the escrow recipient, durably.
    pub fn new_key(&self, sort: KeySort, escrow: Option<&Escrow>) -> Result<(KeyId, Key), KeyError> {
        let id = KeyId::random(sort)?;
        let key = Key::random()?;
        let own = self.identity.to_public();
        let recipients =
            std::iter::once(&own).chain(escrow.map(|escrow| &escrow.0)).map(|recipient| recipient as &dyn age::Recipient);
        let mut wrapped = Vec::new();
        let written = age::Encryptor::with_recipients(recipients).map_err(|error| KeyError::Wrap(error.to_string())).and_then(
            |encryptor| {
                let mut writer = encryptor.wrap_output(&mut wrapped).map_err(|error| KeyError::Wrap(error.to_string()))?;
                std::io::Write::write_all(&mut writer, key.as_bytes()).map_err(|error| KeyError::Wrap(error.to_string()))?;
                writer.finish().map_err(|error| KeyError::Wrap(error.to_string()))
            },
        );
        written?;
        let path = self.path(&id);
        let mut file = self.state.disk().open(&path, Open::Create)?;
        file.append(&wrapped)?;
        file.sync()?;
        self.state.disk().sync_dir(&self.state.keys())?;
        Ok((id, key))
    }

    /// The key with this id.
    pub fn key(&self, id: &KeyId) -> Result<Key, KeyError> {
        let path = self.path(id);
        let Some(wrapped) = self.state.disk().read(&path)? else { return Err(KeyError::Gone(id.clone())) };
        let unwrap = |reason: String| KeyError::Unwrap { path: path.clone(), reason };
        let plain = Zeroizing::new(age::decrypt(&self.identity, &wrapped).map_err(|error| unwrap(error.to_string()))?);
        let bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| unwrap("it does not hold 32 bytes".to_owned()))?;
        Ok(Key::from_bytes(bytes))
    }

    /// Whether the key is there.
    pub fn has(&self, id: &KeyId) -> Result<bool, KeyError> {
        Ok(self.state.disk().exists(&self.path(id))?)
    }

    /// Destroys a key: overwrites its file, removes it, and makes both durable. `false` where it was gone already. What backups,
    /// copy-on-write file systems and the medium itself still hold is outside its power.
    pub fn destroy(&self, id: &KeyId) -> Result<bool, KeyError> {
        let path = self.path(id);
        let disk = self.state.disk();
        if !disk.exists(&path)? {
            return Ok(false);
        }
        let mut file = disk.open(&path, Open::Overwrite)?;
        let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
        file.write_at(0, &vec![0; length])?;
        file.sync()?;
        disk.remove(&path)?;
        disk.sync_dir(&self.state.keys())?;
        Ok(true)
    }

    fn path(&self, id: &KeyId) -> PathBuf {
        self.state.keys().join(format!("{id}.age"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::storage::{Disk, MemoryStorage};

    fn state() -> (MemoryStorage, StateDir) {
        let storage = MemoryStorage::new();
        (storage.clone(), StateDir::create(Disk::new(storage), "/state").unwrap())
    }

    #[test]
    fn keys_come_back_until_they_are_destroyed() {
        let (storage, state) = state();
        let keys = KeyStore::create(&state).unwrap();
        let (id, key) = keys.new_key(KeySort::Wave, None).unwrap();
        let again = KeyStore::open(&state).unwrap();
        assert_eq!(again.key(&id).unwrap().as_bytes(), key.as_bytes());
        assert_eq!(again.derive("marks").as_bytes(), keys.derive("marks").as_bytes());
        assert_ne!(again.derive("marks").as_bytes(), keys.derive("pseudonyms").as_bytes());
        assert!(keys.destroy(&id).unwrap());
        assert!(!keys.destroy(&id).unwrap());
        assert!(matches!(keys.key(&id), Err(KeyError::Gone(gone)) if gone == id));
        assert!(storage.content(&Path::new("/state/keys").join(format!("{id}.age"))).is_none());
    }

    #[test]
    fn a_state_key_is_never_overwritten() {
        let (storage, state) = state();
        KeyStore::create(&state).unwrap();
        let before = storage.content(Path::new("/state/keys/state.key"));
        assert!(matches!(KeyStore::create(&state), Err(KeyError::Exists(_))));
        assert_eq!(storage.content(Path::new("/state/keys/state.key")), before);
    }

    #[test]
    fn a_missing_or_malformed_state_key_is_named() {
        let (storage, state) = state();
        assert!(matches!(KeyStore::open(&state), Err(KeyError::NoStateKey(_))));
        for content in ["", "# only a comment\n", "AGE-SECRET-KEY-1XYZ\n"] {
            storage.put(Path::new("/state/keys/state.key"), content.into());
            let error = KeyStore::open(&state).unwrap_err().to_string();
            assert!(error.starts_with("'/state/keys/state.key' is not an age identity file"), "{error}");
            assert!(!error.contains("XYZ"));
        }
    }

    #[test]
    fn escrow_opens_a_key_without_the_state_key() {
        let (storage, state) = state();
        let keys = KeyStore::create(&state).unwrap();
        let escrow = x25519::Identity::generate();
        let recipient: Escrow = escrow.to_public().to_string().parse().unwrap();
        let (id, key) = keys.new_key(KeySort::Snapshot, Some(&recipient)).unwrap();
        let wrapped = storage.content(&Path::new("/state/keys").join(format!("{id}.age"))).unwrap();
        assert_eq!(age::decrypt(&escrow, &wrapped).unwrap(), key.as_bytes());
        assert!("ssh-ed25519 AAAA".parse::<Escrow>().is_err());
    }

    #[test]
    fn ids_cannot_leave_the_directory() {
        for bad in ["", "../x", "a/b", "A", "-a", "a.b"] {
            assert!(KeyId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
