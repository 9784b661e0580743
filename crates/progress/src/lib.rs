//! Terminal displays over a run: bars where a person sits at a terminal, plain lines elsewhere.
//!
//! A display is a small state machine over events; it decides nothing, and nothing waits for it. It writes to what it is handed.

mod bars;
mod lines;
mod view;

pub use bars::Bars;
pub use lines::Lines;
pub use view::{BatchLine, Speed, View, WaveLine};
