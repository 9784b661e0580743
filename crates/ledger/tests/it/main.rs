//! The ledger and the sealed files as their users meet them: after crashes, on full disks, with damaged bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on is to fail there")]

mod crashes;
mod damage;
mod files;
mod following;
mod hostile;
mod permissions;
mod support;
mod versions;
