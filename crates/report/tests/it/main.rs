//! Reports of journals that were made record by record: the figures, the records that they name, and what is written from them.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what went wrong")]

mod figures;
mod findings;
mod ledger;
mod markdown;
mod outlook;
mod page;
mod published;
mod tables;
