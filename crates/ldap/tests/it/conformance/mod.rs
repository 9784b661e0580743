//! The twin does what slapd does: the same operations go to both, and answers and entries are compared after each one.
//!
//! Masked are values that no two servers share: stable ids, change markers (that they move is compared), times of the server's own,
//! and what clear-text passwords are hashed to. Everything else must be equal, result codes and operational attributes included.

mod both;
mod overlays;
mod passwords;
mod random;
mod reads;
mod writes;
