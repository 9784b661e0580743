//! Each rule on small stores in memory: what raises it, what does not, and with which severity.

mod access;
mod correlation;
mod links;
mod order;
mod residual;
mod world;
