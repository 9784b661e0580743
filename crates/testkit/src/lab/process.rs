//! Processes of the laboratory: finding and running OpenLDAP's programs, starting a server that
//! cannot outlive its owner, and ending exactly that process.
//!
//! It knows nothing of directories' content or configuration.

use super::Error;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two looks at another process.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// How much of a log an error message quotes.
const TAIL_BYTES: usize = 2000;

/// Waits one poll interval for something that another process does.
pub(super) fn pause() {
    #[expect(clippy::disallowed_methods, reason = "bounded poll of another process; nothing signals its readiness")]
    std::thread::sleep(POLL_INTERVAL);
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub started_ticks: u64,
}

impl ProcessMark {
    /// Mark of a live process; `None` when there is none with this number.
    fn of(pid: i32) -> Option<Self> {
        let (state, started_ticks) = state_and_start(pid)?;
        (!matches!(state, 'Z' | 'X')).then_some(Self { pid, started_ticks })
    }

    /// Mark of the process `pid` if `argument` is among the arguments it was started with.
    pub(super) fn with_argument(pid: i32, argument: &Path) -> Option<Self> {
        let mark = Self::of(pid)?;
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let wanted = argument.as_os_str().as_encoded_bytes();
        (arguments.split(|byte| *byte == 0).any(|one| one == wanted) && mark.is_alive()).then_some(mark)
    }

    /// Whether exactly this process still runs. A zombie has ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Sends `signal` to exactly this process; does nothing when it has ended.
    pub(super) fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        // The descriptor is opened first and the mark checked after: from then on the number
        // cannot come to mean another process.
        if let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
            && self.is_alive()
        {
            // The only possible failure is that the process has ended meanwhile.
            let _ = pidfd_send_signal(descriptor, signal);
        }
    }

    /// Waits until this process has ended; `false` when it has not after `limit`.
    pub(super) fn wait_end(&self, limit: Duration) -> bool {
        let begin = Instant::now();
        while self.is_alive() {
            if begin.elapsed() > limit {
                return false;
            }
            pause();
        }
        true
    }
}

/// State letter and start time from `/proc/PID/stat` (proc(5)).
fn state_and_start(pid: i32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name in parentheses may itself hold blanks and parentheses.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

/// Shell program that owns a server: it kills the server when its standard input ends, which it
/// also does when the owner dies in whatever way, and then removes the owner's directory.
const GUARD: &str = r#"directory=$1; shift
"$@" >&2 &
echo $!
if read -r _; then remove=; else remove=$directory; fi
kill -9 $! 2>/dev/null
wait
if [ -n "$remove" ]; then rm -rf -- "$remove"; fi
"#;

/// What is to be started.
pub(super) struct Launch<'a> {
    pub(super) program: &'static str,
    pub(super) arguments: Vec<String>,
    pub(super) environment: &'a [(OsString, OsString)],
    pub(super) log: &'a Path,
    /// Directory to remove when the owner dies without stopping the process.
    pub(super) remove_with_owner: Option<&'a Path>,
}

/// A started process; dropping it kills the process unless it is detached.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) mark: ProcessMark,
    guard: Option<Child>,
}

impl Process {
    /// Starts a process that dies with this one.
    pub(super) fn guarded(launch: &Launch<'_>) -> Result<Self, Error> {
        let path = find_program(launch.program)?;
        let mut guard = Command::new("/bin/sh")
            .arg("-c")
            .arg(GUARD)
            .arg("guard")
            .arg(launch.remove_with_owner.unwrap_or(Path::new("")))
            .arg(path)
            .args(&launch.arguments)
            .envs(launch.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(open_log(launch.log)?)
            // A Ctrl-C at the terminal is for the owner, whose end the guard notices.
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Spawn { program: launch.program, source })?;
        let mut line = String::new();
        if let Some(output) = guard.stdout.take() {
            // An unreadable line is treated like an empty one, below.
            let _ = BufReader::new(output).read_line(&mut line);
        }
        let pid = line.trim().parse().unwrap_or(0);
        Ok(Self {
            // A process that has ended already is found out by the first look at it.
            mark: ProcessMark::of(pid).unwrap_or(ProcessMark { pid, started_ticks: 0 }),
            guard: Some(guard),
        })
    }

    /// Starts a process that outlives this one and its terminal.
    pub(super) fn detached(launch: &Launch<'_>) -> Result<Self, Error> {
        let log = open_log(launch.log)?;
        let child = Command::new(find_program(launch.program)?)
            .args(&launch.arguments)
            .envs(launch.environment.iter().cloned())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Spawn { program: launch.program, source })?;
        // A process number of Linux fits.
        let pid = i32::try_from(child.id()).unwrap_or(0);
        Ok(Self { mark: ProcessMark::of(pid).unwrap_or(ProcessMark { pid, started_ticks: 0 }), guard: None })
    }

    /// Asks the process to end and waits for it.
    pub(super) fn stop(self, store: &str) -> Result<(), Error> {
        stop_marked(self.mark, store)
    }

    /// Ends the process at once, as `kill -9` does.
    pub(super) fn kill(self) {
        self.mark.signal(Signal::KILL);
        self.mark.wait_end(STOP_TIMEOUT);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.take() {
            if let Some(mut input) = guard.stdin.take() {
                // The line says that the directory stays; the end of input would remove it.
                let _ = input.write_all(b"stop\n");
            }
            let _ = guard.wait();
        }
    }
}

/// Ends exactly the marked process; nothing happens when it has ended already.
pub(super) fn stop_marked(mark: ProcessMark, store: &str) -> Result<(), Error> {
    mark.signal(Signal::TERM);
    if mark.wait_end(STOP_TIMEOUT) {
        return Ok(());
    }
    Err(Error::NotStopped { store: store.to_owned(), pid: mark.pid, seconds: STOP_TIMEOUT.as_secs() })
}

fn open_log(path: &Path) -> Result<File, Error> {
    File::options().create(true).append(true).open(path).map_err(Error::file("open the log", path))
}

/// Path of a program: in `PATH`, or where Debian puts those of administrators.
pub(super) fn find_program(program: &'static str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or(Error::ProgramMissing { program })
}

/// Runs an offline tool (`slapadd`) to its end, with `input` as its standard input.
///
/// Standard error goes to `log` rather than a pipe, so that neither side can block the other.
pub(super) fn run_tool(
    program: &'static str,
    arguments: &[&str],
    input: impl Read,
    log: &Path,
    operation: &str,
) -> Result<(), Error> {
    let failed = |source| Error::Spawn { program, source };
    std::fs::write(log, "").map_err(Error::file("write", log))?;
    let mut child = Command::new(find_program(program)?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(open_log(log)?)
        .spawn()
        .map_err(failed)?;
    let mut input = input;
    let fed = child.stdin.take().map_or(Ok(0), |mut pipe| std::io::copy(&mut input, &mut pipe));
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(Error::Program { program, operation: operation.to_owned(), message: tail(log) });
    }
    fed.map_err(|source| Error::Program {
        program,
        operation: operation.to_owned(),
        message: format!("its input could not be read: {source}"),
    })?;
    Ok(())
}

/// End of a log for an error message.
pub(super) fn tail(log: &Path) -> String {
    let Ok(content) = std::fs::read(log) else {
        return "(no log)".to_owned();
    };
    let begin = content.len().saturating_sub(TAIL_BYTES);
    let text = String::from_utf8_lossy(content.get(begin..).unwrap_or_default());
    match text.trim() {
        "" => "(empty log)".to_owned(),
        text => text.to_owned(),
    }
}
