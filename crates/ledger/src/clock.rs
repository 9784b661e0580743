//! The one place where the workspace asks the system for the time. Everybody else is handed a [`Clock`].

use std::time::Duration;

use jiff::Timestamp;

/// Wall time, monotonic time and the boot that the latter belongs to.
pub trait Clock: Send + Sync {
    /// Wall time; may jump in both directions.
    fn wall(&self) -> Timestamp;

    /// Time since the boot; never goes back while [`Clock::boot`] stays the same.
    fn mono(&self) -> Duration;

    /// The boot's id; two monotonic times compare only within one boot.
    fn boot(&self) -> &str;
}

/// The system's clock.
#[derive(Debug, Clone)]
pub struct SystemClock {
    boot: String,
}

/// Where Linux names its boot (`proc_sys_kernel(5)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl SystemClock {
    /// Reads the boot's id once. Where the system has none it is `unknown`.
    pub fn new() -> Self {
        let boot = std::fs::read_to_string(BOOT_ID).map(|text| text.trim().to_owned()).ok();
        Self { boot: boot.filter(|id| !id.is_empty()).unwrap_or_else(|| "unknown".to_owned()) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the workspace's one clock module: others are handed this one")]
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn mono(&self) -> Duration {
        // CLOCK_BOOTTIME also counts the time in which the machine was suspended.
        let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(at.tv_sec).unwrap_or(0), u32::try_from(at.tv_nsec).unwrap_or(0))
    }

    fn boot(&self) -> &str {
        &self.boot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_names_its_boot_and_does_not_go_back() {
        let clock = SystemClock::new();
        let first = clock.mono();
        assert!(clock.mono() >= first);
        assert_eq!(clock.boot(), SystemClock::new().boot());
        assert!(!clock.boot().is_empty());
    }
}
