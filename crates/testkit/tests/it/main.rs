//! Tests of the laboratory against real servers.

mod lab;
