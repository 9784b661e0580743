//! A store that is known only from files: an LDIF export read behind the reading capability.
//!
//! Each search reads the files again from the start, one page ahead of whoever takes them, so that memory does not grow with the
//! export. Nothing here can say what the server offers, whether an account can be used, or what was never exported.

mod export;
mod scan;
mod store;

pub use export::{ExportError, ExportFile};
pub use store::LdifStore;
