//! Undecided matches as a person looks at them: accounts beside their candidates, what agrees, and how alike the names are.
//!
//! Pure. A likeness is a hint for a person and never decides anything: nothing in correlation asks for it.

mod case;
mod compare;
mod kanji;
mod name;
mod reading;

pub use case::{Candidate, Card, Fact, Held, MatchCase, Who};
pub use compare::{Agreement, Comparison, Line, compare};
pub use name::{Likeness, Name, likeness};
