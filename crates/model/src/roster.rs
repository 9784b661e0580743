//! Reading and judging the roster: the authority on people. Pure; audit and cutover share it.
//!
//! A file is decoded and split into fields elsewhere; here its rows are read ([`RosterReader`]), grouped to people ([`Roster`]) and
//! judged at a point in time ([`Roster::judge`]).

mod error;
mod groups;
mod judge;
mod reader;
mod row;
mod standing;
mod table;
#[cfg(test)]
mod tests;

pub use error::{DateProblem, RosterError, WordProblem};
pub use judge::{Judgement, When, Zones};
pub use reader::RosterReader;
pub use row::{Row, Status};
pub use standing::{Presence, Standing};
pub use table::{PersonIx, Roster, RowIx, RowView};
