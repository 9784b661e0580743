//! Appending to the ledger: chained frames in segment files, durable after [`Log::sync`].
//!
//! The log does not know who calls it, does not lock (see [`crate::lock`]) and never writes over what it wrote. It has two halves,
//! [`Chain`] and [`Appender`], for who makes frames in one place and writes them in another.

mod appender;
mod chain;
mod create;
pub(crate) mod open;
pub(crate) mod segment;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use untether_model::StateId;

use crate::error::LedgerError;
use crate::frame::{Location, NewFrame};
use crate::head::Head;
use crate::storage::Disk;

pub use appender::Appender;
pub use chain::{Chain, Piece};
pub use create::CreateLog;
pub use open::{LogOpened, Loss, OpenLog, Torn, Witness, read_created};

/// Version of the state directory's format.
pub const FORMAT_VERSION: u32 = 1;

/// A segment is closed once it has this many bytes.
pub const SEGMENT_BYTES: u64 = 256 << 20;

/// How far the clock may be behind the last record; then that record's time is used.
pub const TOLERATED_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What happens when the clock is behind the last record by more than [`TOLERATED_SKEW`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockPolicy {
    /// Nothing is appended.
    #[default]
    Refuse,
    /// The last record's time is used, however far behind the clock is: a rollback never waits for the clock.
    HoldHead,
    /// The clock's time is used for the next append, and the policy then becomes `Refuse`: a person accepted the clock.
    Accept,
}

/// What was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where each record is, in the order given.
    pub locations: Vec<Location>,
    /// The clock was behind the last record by this much, and that record's time was used.
    pub skew: Option<SignedDuration>,
}

/// An open ledger.
#[derive(Debug)]
pub struct Log {
    state: StateId,
    chain: Chain,
    appender: Appender,
}

impl Log {
    /// The state's identity.
    pub fn state(&self) -> &StateId {
        &self.state
    }

    /// The last frame.
    pub fn head(&self) -> Head {
        self.chain.head()
    }

    /// Where the last frame is.
    pub fn head_location(&self) -> Location {
        self.chain.head_location()
    }

    /// The last frame's wall time.
    pub fn head_wall(&self) -> Timestamp {
        self.chain.head_wall()
    }

    /// The ledger's directory.
    pub fn dir(&self) -> &Path {
        self.appender.dir()
    }

    /// The storage that it lies on.
    pub fn disk(&self) -> &Disk {
        self.appender.disk()
    }

    /// Decides what a clock that is behind means.
    pub fn set_clock_policy(&mut self, policy: ClockPolicy) {
        self.chain.set_clock_policy(policy);
    }

    /// Appends records. They are durable only after [`Log::sync`].
    ///
    /// # Errors
    /// After [`LedgerError::ClockBehind`], [`LedgerError::TooLarge`] and [`LedgerError::Encode`] nothing was appended and the log
    /// can go on; after any other error nothing more is appended.
    pub fn append(&mut self, records: &[NewFrame]) -> Result<Appended, LedgerError> {
        let mut pieces = Vec::new();
        let appended = self.chain.add(records, &mut pieces)?;
        self.appender.write(&pieces)?;
        Ok(appended)
    }

    /// Makes everything durable that was appended.
    pub fn sync(&mut self) -> Result<(), LedgerError> {
        self.appender.sync()
    }

    /// Makes everything durable and replaces the second witness by the present head.
    pub fn write_head(&mut self) -> Result<Head, LedgerError> {
        self.appender.sync()?;
        let head = self.chain.head();
        self.appender.write_head(&head)?;
        Ok(head)
    }

    /// The two halves.
    pub fn into_parts(self) -> (Chain, Appender) {
        (self.chain, self.appender)
    }
}
