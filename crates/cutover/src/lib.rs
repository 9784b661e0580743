//! Dispatcher, executor and throttle of a staged cutover.
