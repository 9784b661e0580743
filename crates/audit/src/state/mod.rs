//! The state of each account, from what a store's snapshot holds: effective password policy, mechanisms, overlays.
//!
//! The judgement itself is [`untether_model::auth::judge`]; here is what it needs to be told.

mod store;

pub use store::{StateInputs, StoreState};
