//! The durable side of a state directory: the synced, hash-chained ledger, sealing and keys, sealed files, layout and lock.
//!
//! Everything here is readable without the journal's database. The crate deliberately does not know what records mean: a frame
//! carries the name of its kind and a JSON body. The formats are documented for other readers in `docs/ledger-format.md`.

pub mod check;
pub mod clock;
pub mod error;
pub mod files;
pub mod frame;
pub mod head;
pub mod index;
pub mod init;
pub mod keys;
pub mod lock;
pub mod log;
pub mod mark;
pub mod reader;
pub mod records;
pub mod seal;
pub mod state_dir;
pub mod storage;

pub use check::{Check, check};
pub use clock::{Clock, SystemClock};
pub use error::{Damage, LedgerError, StorageError};
pub use files::{Published, SealedReader, SealedWriter, Shelf};
pub use frame::{Frame, Location, NewFrame};
pub use head::Head;
pub use index::Index;
pub use init::create_state;
pub use keys::{Escrow, KeyError, KeyId, KeyStore};
pub use lock::{Holder, StateLock};
pub use log::{Appended, Appender, Chain, ClockPolicy, Log, LogOpened, OpenLog, Piece, Torn};
pub use mark::Marks;
pub use reader::Reader;
pub use records::{JsonLinesReader, JsonLinesWriter, RawRecords, RecordReader, RecordWriter};
pub use seal::{Key, SealError, seal, seal_bytes, unseal, unseal_bytes};
pub use state_dir::{Area, StateDir};
pub use storage::{Disk, MemoryStorage, RealStorage, Storage};
