//! What an organization decided: entities, what is in scope, how subjects move, what may remain.
//!
//! Plain data that the configuration file is read into. Knows neither files nor secrets.

mod audit;
mod difference;
mod entity;
mod plan;
mod roster;

pub use audit::*;
pub use difference::{SettingChange, setting_changes};
pub use entity::*;
pub use plan::*;
pub use roster::*;
