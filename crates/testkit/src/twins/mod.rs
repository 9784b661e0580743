//! Runs of the real planner, engine and journal against two in-memory directories: what a whole organization's departure looks like
//! without a server.
//!
//! Everything that outlives a process (directories, ledger, database, plans, roster, hand-over) is in a [`World`]; everything that
//! dies with it is in a [`Session`]. Deliberately not here: what should have come out of a run. That is said by [`expect`], which
//! knows the people and the stages and none of the planner's operations.

mod breaker;
mod error;
mod estate;
pub mod expect;
mod handover;
mod line;
mod observer;
mod operator;
mod ports;
mod session;
mod snapshot;
mod world;

pub use breaker::{Boundary, Breaker, Point};
pub use error::Trouble;
pub use estate::{Estate, Password, Person, SOAK_SECONDS, Shape, WAVES};
pub use observer::Observer;
pub use operator::{APPROVERS, Driven, Ends, capabilities, touched};
pub use ports::{Given, Handed, Rows};
pub(crate) use session::PARTS_VERSION;
pub use session::Session;
pub use world::{Library, World};
