//! Laboratory of real servers, data generator; twins with crash points and a seeded simulation.

pub mod generate;
pub mod lab;
pub mod simulate;
pub mod twins;
