//! What an organization decided: entities, what is in scope, how subjects move, what may remain.
//!
//! Plain data that the configuration file is read into. Knows neither files nor secrets.

mod audit;
mod check;
mod credential;
mod difference;
mod entity;
mod mapping;
mod plan;
mod roster;
mod settings;
mod span;
mod thresholds;

pub use audit::*;
pub use check::*;
pub use credential::*;
pub use difference::{SettingChange, setting_changes};
pub use entity::*;
pub use mapping::*;
pub use plan::*;
pub use roster::*;
pub use settings::*;
pub use span::*;
pub use thresholds::*;
