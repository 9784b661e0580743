//! The journal as its users meet it: killed, cut off, on full disks, with a database that is gone or broken.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on is to fail there")]

mod crashes;
mod groups;
mod kill;
mod recovery;
mod support;
