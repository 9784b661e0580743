//! Links between the stores that a server's configuration holds, and an access log with copies.
//!
//! `*-config.ldif` are change records for `ldapmodify` against the laboratory's servers;
//! `*-config-export.ldif` is what `slapcat -n0` would show afterwards, for reading offline. All
//! planted databases have suffixes of their own, so that the stores themselves go on as before.

mod access_log;
mod base;
mod planted;
mod write;

pub(super) use write::{FILES, Names, write};
