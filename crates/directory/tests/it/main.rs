//! Behaviour of the directory crate as its users see it.

mod ldif;
