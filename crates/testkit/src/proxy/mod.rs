//! A TCP proxy that does to connections what networks and broken servers do to them: between the program and a real server, in
//! tests, in benches and by hand (`lab proxy`).
//!
//! It knows bytes, for [`Hostile`] where an LDAP message begins and ends, and for [`Pace`] which requests are writes; it knows nothing
//! of what is written, of TLS or directories.

mod carry;
mod fault;
mod hostile;
mod message;
mod pace;
mod rule;
mod serve;

pub use fault::{After, Fault, FaultError, Hostile, Sender};
pub use pace::{Pace, PaceError};
pub use serve::Proxy;
