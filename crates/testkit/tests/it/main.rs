//! Tests of the laboratory against real servers.

#[cfg(test)]
mod lab;
#[cfg(test)]
mod laboratory;
