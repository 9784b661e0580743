//! The LDAP client behind the capabilities of `untether-directory`; the only crate that names ldap3.
//!
//! It adds what ldap3 leaves out: bounds on time, memory and connections, reconnection, the difference between "refused" and
//! "outcome unknown", conditions that need no escaping, and errors that say what to do.
//!
//! Between ldap3 and the server stands a transport of our own: `wire` opens the bytes (TCP, TLS, StartTLS, sockets), and `guard` lets
//! nothing through that is not an answer to what was asked, in every detail, so that no server, trusted or not, can end the process,
//! hold it for ever or fill its memory. Searches go past ldap3 (`request`, `answers`, `search`): their entries are decoded straight from
//! the bytes that arrived (`decode`), by one decoder for a single entry and for a million.

mod answers;
mod ber;
mod client;
mod connection;
mod controls;
mod decode;
mod facts;
mod guard;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod many;
mod message;
mod outcome;
mod pool;
mod probe;
mod read;
mod request;
mod search;
mod settings;
mod tls;
mod transaction;
mod wire;
mod write;

pub use client::Client;
pub use facts::SearchLimit;
pub use settings::{Bind, Limits, MAX_IN_FLIGHT, Settings, Timeouts, TlsSettings};
