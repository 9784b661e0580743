//! Laboratory of real servers, data generator and its ground truth; twins with crash points and a seeded simulation.

pub mod generate;
pub mod lab;
pub mod simulate;
pub mod truth;
pub mod twins;
