//! Plans, reports, lint and rollback over small worlds that a reader can keep in mind.

mod lint;
mod plan;
mod rollback;
mod world;
