//! `residual.*`: what is left of people and accounts in either store.

pub mod attribute;
pub mod copy;
pub mod credential;
pub mod dormant;
pub mod duplicate;
pub mod lock;
pub mod membership;
pub mod reference;
pub mod status;
