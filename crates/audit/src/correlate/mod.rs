//! Deciding that accounts in two stores are one subject.
//!
//! Works on a compact index (a few machine words an account, keys as hashes): no entry is kept. Ambiguity is reported, never guessed.

mod decisions;
mod doubt;
mod groups;
mod index;
mod keys;
mod matching;
mod people;
mod row;
mod status;
mod subjects;
mod table;

pub use decisions::{Contradiction, Decisions, account_anchor, anchor_of, is_person};
pub use doubt::Doubt;
pub use groups::{GroupGraph, MEMBER_ATTRIBUTES, Membership, is_dynamic, members};
pub use index::{Candidate, Index, IndexBuilder, hash_dn, hash_text};
pub use keys::{AccountKeys, KeyReader};
pub use matching::Undecided;
pub use people::{Lead, People};
pub use row::{Flags, Row, RowIx};
pub use status::{OwnerState, StatusRule};
pub use subjects::{Anchor, SubjectIx, Subjects};
pub use table::KeyTable;
