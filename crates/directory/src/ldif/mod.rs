//! LDIF content records (RFC 2849): the export of a store as a file.
//!
//! Reads what `slapcat` and `ldapsearch` write, entry by entry within a bounded memory, and writes what `slapadd` and `ldapadd`
//! read. Deliberately knows no change records and follows no URLs: an export that holds them is refused.

mod draft;
mod error;
mod lines;
mod reader;
mod writer;

pub(crate) use draft::Draft;
pub use error::{LdifError, LdifProblem};
pub(crate) use reader::Met;
pub use reader::{LdifLimits, LdifReader, Record, Trailer};
pub use writer::{write_entry, write_version};
