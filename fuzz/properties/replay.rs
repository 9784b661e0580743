//! Replays a corpus as an ordinary test: every file that a fuzzer kept, or that once made a parser fail, without a fuzzer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Files of a corpus, at most: it is replayed in CI and lives in the repository.
const MOST_FILES: usize = 80;
/// Size of a file of a corpus, at most, in bytes.
const MOST_BYTES: usize = 8 << 10;

/// Checks each file of `fuzz/corpus/NAME`, and names the one that fails.
pub fn replay(name: &str, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!((10..=MOST_FILES).contains(&files.len()), "corpus {name} has {} files", files.len());
    for file in files {
        let data = std::fs::read(&file).unwrap();
        assert!(data.len() <= MOST_BYTES, "{} has {} bytes", file.display(), data.len());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&data))) {
            let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
            panic!("{}: {}", file.display(), words.unwrap_or("it panicked"));
        }
    }
}
