//! Collectors: stream both stores into a snapshot and prove that nothing is missing. They are handed reading capabilities and so
//! cannot write.

mod area;
mod base;
mod convert;
mod credential;
mod error;
mod existence;
mod gap;
mod names;
mod progress;
mod sink;
mod store;

pub use convert::{Converter, stable_id};
pub use credential::{Credentials, Marker};
pub use error::CollectError;
pub use existence::Existence;
pub use gap::{Gap, GapKind};
pub use progress::{CollectEvent, CollectProgress, Part, Silent};
pub use sink::{EntrySink, StoreFailure};
pub use store::{AreaRead, Collected, Export, StoreInput, collect};
