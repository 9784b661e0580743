//! Behaviour of the directory crate as its users see it.

mod filter;
mod ldif;
mod twin;
