//! A roster file as the system holds it: a regular file, as old as it says, and the same from beginning to end.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use untether_model::policy::RosterPolicy;
use untether_model::roster::{Problem, ProblemKind};

/// Bytes.
const MEGABYTE: u64 = 1_000_000;

/// A file may be this much ahead of our clock before its time counts as wrong.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(5);

/// A roster file that is configured.
#[derive(Clone, Copy, Debug)]
pub struct RosterSource<'a> {
    /// As people know it.
    pub name: &'a str,
    /// Where it is.
    pub path: &'a Path,
    /// How it is read.
    pub policy: &'a RosterPolicy,
}

/// An open file, and what it was when it was opened.
pub(super) struct Opened {
    pub(super) file: File,
    before: Metadata,
}

impl Opened {
    pub(super) fn open(source: &RosterSource<'_>) -> Result<Self, Problem> {
        let refused = |why: String| Problem::of_file(ProblemKind::Unreadable, source.name, why);
        let cannot = |error: io::Error| refused(format!("it cannot be read: {error}"));
        // Before it is opened: opening a pipe would wait for its writer.
        let kind = std::fs::metadata(source.path).map_err(cannot)?.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() { "a directory" } else { "no regular file" };
            return Err(refused(format!("it is {what}")));
        }
        let file = File::open(source.path).map_err(cannot)?;
        let before = file.metadata().map_err(cannot)?;
        let (bytes, allowed) = (before.len(), source.policy.max_megabytes);
        if bytes > u64::from(allowed).saturating_mul(MEGABYTE) {
            let why = format!("it has {} MB, at most {allowed} MB are allowed", bytes.div_ceil(MEGABYTE));
            return Err(Problem::of_file(ProblemKind::TooLarge, source.name, why));
        }
        Ok(Self { file, before })
    }

    pub(super) fn length(&self) -> u64 {
        self.before.len()
    }

    pub(super) fn written_at(&self) -> Option<Timestamp> {
        self.before.modified().ok().and_then(|at| Timestamp::try_from(at).ok())
    }

    /// Whether the file that was read is the one that was opened, and still the one under its name.
    pub(super) fn unchanged(&self, source: &RosterSource<'_>) -> Result<(), Problem> {
        let same = |now: &Metadata| {
            let is = |of: &Metadata| (of.dev(), of.ino(), of.len(), of.mtime(), of.mtime_nsec());
            is(now) == is(&self.before)
        };
        let changed = |how: &str| Problem::of_file(ProblemKind::Changed, source.name, format!("it was {how} while it was read"));
        match (self.file.metadata(), std::fs::metadata(source.path)) {
            (Ok(open), _) if !same(&open) => Err(changed("written to")),
            (Ok(_), Ok(named)) if same(&named) => Ok(()),
            _ => Err(changed("replaced")),
        }
    }
}

/// Why a file's age does not let anybody rely on it; `None`: it does, or nothing is known of its age.
pub(super) fn age_problem(name: &str, written_at: Option<Timestamp>, max_age_hours: u32, now: Timestamp) -> Option<Problem> {
    let age = now.duration_since(written_at?);
    if age < -CLOCKS_DIFFER {
        let at = written_at.map_or_else(String::new, |at| format!("{at:.0}"));
        return Some(Problem::of_file(ProblemKind::FutureFile, name, format!("it claims to be written in the future, at {at}")));
    }
    let allowed = SignedDuration::from_hours(i64::from(max_age_hours));
    (age > allowed).then(|| {
        let hours = age.as_hours();
        Problem::of_file(ProblemKind::Stale, name, format!("it is {hours} hours old, at most {max_age_hours} are allowed"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_judged_by_the_file_and_a_time_in_the_future_is_none() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let kind = |at: &str| age_problem("x", Some(at.parse().unwrap()), 24, now).map(|problem| problem.kind);
        assert_eq!(kind("2026-11-19T12:00:00Z"), None);
        assert_eq!(kind("2026-11-19T11:59:59Z"), Some(ProblemKind::Stale));
        assert_eq!(kind("2026-11-20T12:04:00Z"), None);
        assert_eq!(kind("2099-01-01T00:00:00Z"), Some(ProblemKind::FutureFile));
        assert_eq!(age_problem("x", None, 24, now), None);
    }
}
