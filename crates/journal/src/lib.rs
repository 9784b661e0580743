//! The journal: records become durable in the ledger by group commit, and the state that they lead to is kept in a database that
//! can always be made again from the ledger.
//!
//! The journal only stores. What a record means, and which parts of the state it changes, is its caller's business.

mod applier;
mod database;
mod entry;
mod error;
mod journal;
mod layout;
mod outbox;
mod recovery;
mod writer;

pub use database::MemoryDatabase;
pub use entry::{Entry, Put, Stored};
pub use error::{JournalError, ReplayError};
pub use journal::{Journal, Receipt};
pub use recovery::{OpenJournal, OpenReport, Opened, Rebuilt, Records};
