//! Behaviour of the directory crate as its users see it.

mod dump;
mod filter;
mod ldif;
mod offline;
mod twin;
