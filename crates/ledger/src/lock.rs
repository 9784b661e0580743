//! Who holds the state: an exclusive lock on `state.lock`, whose content says which process and since when.
//!
//! The lock is a `flock(2)`: it ends with its process, however that ends. The content is for people only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{LedgerError, StorageError};
use crate::state_dir::StateDir;

/// The process that holds the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its id; `None` where it has not said so yet.
    pub pid: Option<u32>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// On which machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// The exclusive hold on a state directory; ends when dropped.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    path: PathBuf,
    moved_from: Option<String>,
}

/// How often a lock is tried again that only somebody's look was in the way of.
const TRIES: u32 = 1000;

impl StateLock {
    /// Takes the lock, or says who has it.
    pub fn acquire(state: &StateDir, now: Timestamp) -> Result<Self, LedgerError> {
        let path = state.lock();
        let failed = |operation, source| StorageError { operation, path: path.clone(), source };
        let file = open(&path).map_err(|source| failed("open", source))?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => {
                    let host = this_host();
                    let before = read(&path)?.host;
                    let mut lock =
                        Self { file, path, moved_from: before.filter(|_| host.is_some()).filter(|h| Some(h) != host.as_ref()) };
                    lock.write(&Holder { pid: Some(std::process::id()), since: Some(now), host })?;
                    return Ok(lock);
                }
                Err(TryLockError::Error(source)) => return Err(failed("lock", source).into()),
                // Either a holder, or somebody who just looks: with the latter a shared lock is possible.
                Err(TryLockError::WouldBlock) => match file.try_lock_shared() {
                    Ok(()) => file.unlock().map_err(|source| failed("unlock", source))?,
                    Err(TryLockError::Error(source)) => return Err(failed("lock", source).into()),
                    Err(TryLockError::WouldBlock) => break,
                },
            }
            std::thread::yield_now();
        }
        let Holder { pid, since, .. } = read(&path)?;
        Err(LedgerError::InUse { pid, since })
    }

    /// Who holds the state now; `None` for nobody. Takes nothing away from anybody.
    pub fn holder(state: &StateDir) -> Result<Option<Holder>, LedgerError> {
        let path = state.lock();
        let failed = |operation, source| StorageError { operation, path: path.clone(), source };
        // For reading only: a look at a state on a read-only file system must be possible.
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("open", source).into()),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(read(&path)?)),
            Err(TryLockError::Error(source)) => Err(failed("lock", source).into()),
        }
    }

    /// The machine on which the state was held before, where that was another one.
    pub fn moved_from(&self) -> Option<&str> {
        self.moved_from.as_deref()
    }

    fn write(&mut self, holder: &Holder) -> Result<(), LedgerError> {
        let written = (|| {
            let line = serde_json::to_vec(holder)?;
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.file.write_all(&line)
        })();
        written.map_err(|source| StorageError { operation: "write", path: self.path.clone(), source }.into())
    }
}

impl Drop for StateLock {
    /// Lets go of the lock itself: closing the file would leave it with a child process that has a copy of it until it begins its own
    /// program (flock(2)).
    fn drop(&mut self) {
        // Where that fails the lock ends with the file.
        let _ = self.file.unlock();
    }
}

/// This machine's name; only for people, so that any failure is no name.
fn this_host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// What the holder wrote; its fields are empty while it is writing.
fn read(path: &Path) -> Result<Holder, LedgerError> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut content));
    read.map_err(|source| StorageError { operation: "read", path: path.to_path_buf(), source })?;
    Ok(serde_json::from_slice(&content).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Disk;

    #[test]
    fn one_holder_who_is_named_to_the_second() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::create(Disk::real(), dir.path().join("state")).unwrap();
        let now: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        assert_eq!(StateLock::holder(&state).unwrap(), None);
        let first = StateLock::acquire(&state, now).unwrap();
        let host = this_host();
        assert_eq!(StateLock::holder(&state).unwrap(), Some(Holder { pid: Some(std::process::id()), since: Some(now), host }));
        let refused = StateLock::acquire(&state, now).unwrap_err();
        let expected = format!("the state is in use by process {} since 2026-11-20T00:00:00Z", std::process::id());
        assert_eq!(refused.to_string(), expected);
        assert!(refused.is_state());
        drop(first);
        assert_eq!(StateLock::holder(&state).unwrap(), None);
        StateLock::acquire(&state, now).unwrap();
    }

    #[test]
    fn a_copy_that_a_child_process_has_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::create(Disk::real(), dir.path().join("state")).unwrap();
        let lock = StateLock::acquire(&state, Timestamp::UNIX_EPOCH).unwrap();
        let inherited = lock.file.try_clone().unwrap();
        drop(lock);
        StateLock::acquire(&state, Timestamp::UNIX_EPOCH).unwrap();
        drop(inherited);
    }

    #[test]
    fn a_state_that_comes_from_another_machine_is_known_once() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::create(Disk::real(), dir.path().join("state")).unwrap();
        std::fs::write(state.lock(), br#"{"pid":1,"since":null,"host":"elsewhere"}"#).unwrap();
        assert_eq!(StateLock::acquire(&state, Timestamp::UNIX_EPOCH).unwrap().moved_from(), Some("elsewhere"));
        assert_eq!(StateLock::acquire(&state, Timestamp::UNIX_EPOCH).unwrap().moved_from(), None);
    }

    #[test]
    fn somebody_who_looks_is_not_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::create(Disk::real(), dir.path().join("state")).unwrap();
        drop(StateLock::acquire(&state, Timestamp::UNIX_EPOCH).unwrap());
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    StateLock::holder(&state).unwrap();
                }
            });
            for _ in 0..200 {
                drop(StateLock::acquire(&state, Timestamp::UNIX_EPOCH).unwrap());
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
