//! Deterministic generator of the laboratory's data.
