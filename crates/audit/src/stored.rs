//! The files of an audit in the state directory: sealed, compressed, named by their content. Entries and subjects are records in
//! postcard, findings JSON Lines, the header one JSON object.

mod ahead;
mod arranged;
mod behind;
mod read;
mod register;
mod relay;
mod results;
mod scratch;
mod temporary;
mod write;

pub use read::StoredAudit;
pub use register::Earlier;
pub use relay::{Relay, relayed};
pub use results::{Results, ResultsWritten};
pub use scratch::SealedScratch;
pub use temporary::{ScratchError, TemporaryScratch};
pub use write::{AuditFiles, CollectedFile, CollectedSource, EntryWriter};
