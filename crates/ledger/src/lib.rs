//! Synced, hash-chained log, sealing, files of the state directory.
