//! Group commit and resumable state in sled.
