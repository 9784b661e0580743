//! Collectors, correlation and rules.
