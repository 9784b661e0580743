//! What the tests share.

pub mod laboratory;
pub mod server;
pub mod sink;
