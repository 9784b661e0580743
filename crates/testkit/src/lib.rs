//! Laboratory of real servers, a proxy that breaks connections, data generator and its ground truth; twins with crash points and a
//! seeded simulation.

pub mod generate;
pub mod lab;
pub mod populate;
pub mod proxy;
pub mod simulate;
pub mod truth;
pub mod twins;
