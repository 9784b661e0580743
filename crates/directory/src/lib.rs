//! Reading, probing and writing capabilities over a directory, as traits; LDIF; the in-memory twin.
//!
//! Who is handed a [`Read`] cannot write by construction; a [`Probe`] binds and writes canaries only. The crate knows no network.

pub mod capability;
mod classes;
pub mod dump;
pub mod error;
pub mod filter;
pub mod ldif;
mod names;
pub mod offline;
pub mod secret;
mod selection;
pub mod twin;

pub use capability::{
    Condition, Control, EntryStream, Features, Outcome, Page, Probe, ProbeResult, Read, Scope, Search, Usability, Write,
    WriteOptions, Written,
};
pub use error::{DirectoryError, Failure};
pub use names::AttrNames;
pub use secret::{EmptySecret, Secret};
