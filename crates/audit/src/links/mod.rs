//! Links between the stores as a server's configuration (`cn=config`) tells them.

mod access;
mod configuration;
mod servers;
mod syncrepl;
pub(crate) mod words;

pub use access::{AccessDns, dns_in_access, identities_in_access};
pub use configuration::{Configuration, Database, Overlay};
pub use servers::{Servers, uris};
pub use syncrepl::Syncrepl;
pub use words::{KeyValues, key_values, without_order};
