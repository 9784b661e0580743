//! The invariants: checked with each record and each write, from what was recorded and from what the stores hold, and with none of
//! the engine's own judgements.

mod books;
mod closed;
mod credentials;
mod limits;
mod restored;
mod stages;
mod watch;

pub(super) use books::digest_of;
pub(super) use watch::Auditor;
