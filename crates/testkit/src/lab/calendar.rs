//! A clock that a test sets, for servers and programs alike: weeks pass between two commands.
//!
//! Nothing in the product knows of it. The processes get the library of the package `faketime` loaded in front of the C library (ld.so(8),
//! `LD_PRELOAD`), which adds days to what the system's clock says (faketime(1)). A process that runs keeps its days: servers are
//! started again when days have passed. (The library can read the days from a file at every look; slapd does not survive that.)

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Where Debian puts the library, below the directory of the architecture; the one for programs with threads.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// Where such directories are.
const LIBRARIES: &str = "/usr/lib";

/// Days that have passed since a test began.
#[derive(Debug)]
pub struct Calendar {
    library: PathBuf,
    days: u32,
}

impl Calendar {
    /// A calendar that shows today. `None` where the library is not installed.
    #[must_use]
    pub fn begin() -> Option<Self> {
        let directories = std::fs::read_dir(LIBRARIES).ok()?;
        let mut libraries = directories.filter_map(Result::ok).map(|directory| directory.path().join(LIBRARY));
        Some(Self { library: libraries.find(|library| library.is_file())?, days: 0 })
    }

    /// So many days pass.
    pub fn pass(&mut self, days: u32) {
        self.days += days;
    }

    /// What it is now, for those who live by it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the calendar is the system's clock and some days")]
    pub fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_hours(24 * u64::from(self.days))
    }

    /// Environment of processes that live by it.
    #[must_use]
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        [
            ("LD_PRELOAD", self.library.clone().into_os_string()),
            ("FAKETIME", format!("+{}d", self.days).into()),
            // Waiting takes as long as it takes, and times of files are the file system's.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
        .map(|(name, value)| (OsString::from(name), value))
        .into()
    }
}
