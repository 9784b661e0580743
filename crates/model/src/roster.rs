//! Reading and judging the roster: the authority on people. Pure; audit and cutover share it.
//!
//! A file is decoded and split into fields elsewhere; here its rows are read ([`RosterReader`]), grouped to people ([`Roster`]) and
//! judged at a point in time ([`Roster::judge`]).

mod columns;
mod dates;
mod error;
mod groups;
mod index;
mod judge;
mod people;
mod problem;
mod reader;
mod row;
mod rows;
mod standing;
mod table;
#[cfg(test)]
mod tests;

pub use columns::RosterColumn;
pub use error::RosterError;
pub use judge::{Judgement, When, Zones};
pub use people::PersonIx;
pub use problem::{LINES_KEPT, Problem, ProblemKind, Problems, Seen, Weight};
pub use reader::{RosterFile, RosterReader, SeenRecord, Watch};
pub use row::{Row, Status};
pub use rows::{RowIx, RowView};
pub use standing::{Presence, Standing};
pub use table::Roster;
