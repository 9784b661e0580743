//! Casting: which roster rows and accounts make up each situation.

mod active;
mod left;
mod moved;
mod pairs;
mod rowless;
mod shared;

pub(super) use shared::{entity, make_lean, play, superior};
