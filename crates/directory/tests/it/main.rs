//! Behaviour of the directory crate as its users see it.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

mod dump;
mod filter;
mod hostile;
mod ldif;
mod offline;
mod twin;
