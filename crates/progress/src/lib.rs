//! Terminal displays over the run state.
