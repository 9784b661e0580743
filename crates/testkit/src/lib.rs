//! Laboratory of real servers, data generator, fault proxy.

pub mod generate;
pub mod lab;
