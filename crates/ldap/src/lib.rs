//! The LDAP client behind the capabilities of `untether-directory`; the only crate that names ldap3.
//!
//! It adds what ldap3 leaves out: bounds on time, memory and connections, reconnection, the difference between "refused" and
//! "outcome unknown", conditions that need no escaping, and errors that say what to do. The connection task and the parser of
//! frames are ldap3's: frames of a hostile server can end a connection (which then reads as "outcome unknown"), and deeply
//! nested ones can end the process; so a server is trusted only behind a configured certificate authority.

mod ber;
mod client;
mod connection;
mod controls;
mod decode;
mod facts;
mod outcome;
mod pool;
mod probe;
mod read;
mod search;
mod settings;
mod tls;
mod transaction;
mod write;

pub use client::Client;
pub use facts::SearchLimit;
pub use settings::{Bind, Limits, MAX_IN_FLIGHT, Settings, Timeouts, TlsSettings};
