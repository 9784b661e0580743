//! A TCP proxy that does to connections what networks and broken servers do to them: between the program and a real server, in
//! tests, in benches and by hand (`lab proxy`).
//!
//! It knows bytes, and for [`Hostile`] where an LDAP message begins and ends; it knows nothing of operations, TLS or directories.

mod carry;
mod fault;
mod hostile;
mod rule;
mod serve;

pub use fault::{After, Fault, FaultError, Hostile, Sender};
pub use serve::Proxy;
