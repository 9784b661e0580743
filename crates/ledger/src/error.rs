//! What can go wrong with the files of a state directory. Knows no exit codes, but says whether the state or the machine is at
//! fault.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use untether_model::StateId;

/// A file operation that failed: which one, on which path. The system's own words are the source.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} '{}'{}", path.display(), self.hint())]
pub struct StorageError {
    /// What was tried, as a verb.
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

impl StorageError {
    /// What to do about it, where that is known; starts with `: `.
    fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::StorageFull => ": the disk is full; nothing that was acknowledged is lost: free space and run again",
            io::ErrorKind::QuotaExceeded => {
                ": the quota is used up; nothing that was acknowledged is lost: raise it and run again"
            }
            io::ErrorKind::PermissionDenied => ": run as the user that owns the state directory",
            io::ErrorKind::ReadOnlyFilesystem => {
                ": the file system is mounted read-only; look for disk errors in the system's log"
            }
            io::ErrorKind::InvalidData => ": this is damage, not a fault of the disk",
            _ => "",
        }
    }

    /// The disk or the quota is full.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// The file or directory does not exist.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// What is wrong with the bytes at some place of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends within a frame.
    #[error("the file ends within a frame")]
    Incomplete,
    /// A length that no frame can have.
    #[error("a frame cannot have a length of {0} bytes")]
    Length(u32),
    /// The checksum does not match.
    #[error("the checksum does not match the bytes")]
    Checksum,
    /// The checksum matches, but the bytes are no frame.
    #[error("the bytes are not a frame: {0}")]
    Json(String),
    /// A sequence number is missing or repeated.
    #[error("sequence number {found} follows where {expected} was expected")]
    Sequence {
        /// The number after the one before.
        expected: u64,
        /// The number in the frame.
        found: u64,
    },
    /// The frame does not name the hash of the frame before it.
    #[error("the hash chain is broken: the frame does not follow from the one before it")]
    Chain,
    /// A closed segment does not end with a seal, or the next one does not repeat it.
    #[error("the seal between two segments is wrong: {0}")]
    Seal(&'static str),
    /// The first frame is not the creation of the state.
    #[error("the ledger does not begin with the creation of the state")]
    Beginning,
    /// A segment file is missing.
    #[error("the segment file is missing")]
    MissingSegment,
    /// `HEAD` cannot be read.
    #[error("the witness of the ledger's head is not readable: {0}")]
    Witness(String),
    /// `HEAD` names another hash for a sequence number that exists.
    #[error("the witness names another frame with sequence number {0}: the ledger was rewritten or replaced")]
    Rewritten(u64),
}

/// Why the ledger, or the state directory around it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The system refused a file operation.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is a state already.
    #[error("'{}' already holds a state; nothing was overwritten", .0.display())]
    Exists(PathBuf),
    /// There is no state, or its creation was interrupted.
    #[error("'{}' holds no state; create one with `untether init`", .0.display())]
    Missing(PathBuf),
    /// The ledger is gone, and other parts of the state are there.
    #[error(
        "'{}' holds parts of a state ({}) and no ledger: it was copied or restored in part; nothing was changed: restore `ledger/` from its backup",
        dir.display(), found.join(", ")
    )]
    Headless {
        /// The state directory.
        dir: PathBuf,
        /// What is there.
        found: Vec<String>,
    },
    /// The ledger belongs to another state key.
    #[error(
        "the ledger '{}' (state {state}) does not belong to the state key '{}': one of them was copied from another state; nothing was changed",
        ledger.display(), key.display()
    )]
    Foreign {
        /// The ledger's directory.
        ledger: PathBuf,
        /// The state that it is of.
        state: StateId,
        /// The state key.
        key: PathBuf,
    },
    /// Somebody other than the owner can read it.
    #[error("'{}' has mode {mode:04o} and is open to others than its owner; correct it with `chmod {wanted:04o}` and look who could read it", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits that it must have.
        wanted: u32,
    },
    /// The ledger's bytes are not what was written.
    #[error("'{}' is damaged at byte {offset}: {damage}; nothing was changed: restore the file from a backup, or see `untether state check`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// A witness knows of records that the ledger does not have.
    #[error(
        "the ledger ends at record {head}, but {witness} knows of record {seq}: its tail is lost; restore it, or accept the loss with `untether state rebuild --accept-loss --reason TEXT`"
    )]
    LostTail {
        /// Who knows of it: `ledger/HEAD`, or the journal's database.
        witness: &'static str,
        /// The last sequence number that is known to have existed.
        seq: u64,
        /// The last one that there is.
        head: u64,
    },
    /// Written by a newer version.
    #[error(
        "the ledger was written by a newer version ({0}); it can be read, but this version appends nothing to it: use the newer version"
    )]
    Newer(String),
    /// The clock is behind the ledger.
    #[error(
        "the clock says {wall}, {behind_seconds} s before the last record ({head}); set the clock, or accept it with `untether state accept-clock --reason TEXT`"
    )]
    ClockBehind {
        /// What the clock says.
        wall: Timestamp,
        /// The last record's time.
        head: Timestamp,
        /// The difference.
        behind_seconds: i64,
    },
    /// Another process holds the state.
    #[error("the state is in use by process {} since {}", OrUnknown(pid), OrUnknown(since))]
    InUse {
        /// The process.
        pid: Option<u32>,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// A record is larger than a frame may be.
    #[error(
        "a record of kind '{kind}' has {bytes} bytes, more than the {} that a frame may have; nothing of it was written: let it be about \
         less at once (a wave about fewer subjects)",
        crate::frame::MAX_FRAME_BYTES
    )]
    TooLarge {
        /// The kind.
        kind: String,
        /// The size.
        bytes: usize,
    },
    /// A record's body is not JSON.
    #[error("a record of kind '{kind}' cannot be written as JSON")]
    Encode {
        /// The kind.
        kind: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An earlier append or sync failed, so that what is durable is not known; the log has to be opened again.
    #[error("nothing more is appended after a failed write to the ledger; run again once its cause is removed")]
    Poisoned,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes ({0})")]
    Random(getrandom::Error),
}

impl LedgerError {
    /// The state itself is in use, damaged, newer, or the clock is behind it: a person must decide, trying again does not help.
    pub fn is_state(&self) -> bool {
        match self {
            Self::Headless { .. }
            | Self::Foreign { .. }
            | Self::Exposed { .. }
            | Self::Damaged { .. }
            | Self::LostTail { .. }
            | Self::Newer(_)
            | Self::ClockBehind { .. }
            | Self::InUse { .. } => true,
            Self::Storage(_)
            | Self::Exists(_)
            | Self::Missing(_)
            | Self::TooLarge { .. }
            | Self::Encode { .. }
            | Self::Poisoned
            | Self::Random(_) => false,
        }
    }
}

struct OrUnknown<'a, T>(&'a Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for OrUnknown<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(known) => known.fmt(f),
            None => f.write_str("(unknown)"),
        }
    }
}
