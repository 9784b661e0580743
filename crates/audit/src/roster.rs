//! Roster files: opening, character encoding, CSV and JSON Lines, and what is odd in them. What their rows mean is
//! [`untether_model::roster`].
//!
//! A file is streamed: of its text only what is being read is in memory, whatever its size.

mod check;
mod file;
mod inspect;
mod json_lines;
mod quotes;
mod records;

pub use check::{Checked, Compared, check_roster};
pub use file::RosterSource;
pub use records::{FileRead, RosterRead, read_roster, read_roster_bytes};
