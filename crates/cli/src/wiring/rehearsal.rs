//! What a rehearsal hands to the same engine that a run uses: twins filled from a snapshot, a journal in memory, a clock that jumps.
//!
//! Nothing here can reach a store or the state directory, but for [`asker`], which asks a server with the critical no-op control.

pub mod asker;
pub mod fuse;
pub mod lines;
pub mod scratch;
pub mod twins;
