//! This machine: state directory, disk, roster, approvers' keys, hand-over recipients.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use untether_ledger::KeyStore;

use crate::command::doctor::rows::Checks;
use crate::config::{Approver, Config};
use crate::error::CliError;
use crate::state;
use crate::wiring::roster;

/// Free space below which a long run may end in the middle.
const FREE_BYTES: u64 = 1 << 30;

/// All of it.
pub fn check(config: &Config) -> Checks {
    let mut checks = Checks::of("system");
    state_directory(config, &mut checks);
    disk(&config.state, &mut checks);
    read_roster(config, &mut checks);
    for approver in &config.approvers {
        let name = format!("approver {}", approver.name);
        match key_type(approver) {
            Ok(kind) => checks.ok(&name, kind),
            Err(why) => {
                checks.fail(&name, why, "give an SSH public key line (ssh-keygen -t ed25519 makes a pair; the .pub file)")
            }
        }
    }
    match config.approvers.len() {
        0 | 1 if config.plan.is_some() => checks.fail(
            "approvers",
            format!("{} configured; orders that cannot be taken back need two people", config.approvers.len()),
            "add [[approvers]] with their SSH public keys",
        ),
        number => checks.ok("approvers", format!("{number} configured")),
    }
    handover(config, &mut checks);
    if config.plan.is_some() {
        match config.checked_policy() {
            Ok(policy) => checks.ok("policy", format!("{} waves, without contradictions", policy.waves.len())),
            Err(e) => error("policy", e, &mut checks),
        }
    }
    checks
}

fn error(check: &str, error: CliError, checks: &mut Checks) {
    checks.fail(check, error.message, error.hint.unwrap_or_else(|| "see the message".to_owned()));
}

fn state_directory(config: &Config, checks: &mut Checks) {
    // Before it is opened, which refuses such a directory: here its fix is told.
    if config.state.exists() && !is_private(&config.state, checks) {
        return;
    }
    let dir = match state::directory(config) {
        Ok(dir) => dir,
        Err(e) => return error("state", e, checks),
    };
    if !is_private(&KeyStore::state_key_path(&dir), checks) {
        return;
    }
    match state::keys(&dir) {
        Ok(_) => checks.ok("state", format!("'{}' and its key are ours alone", config.state.display())),
        Err(e) => error("state", e, checks),
    }
}

fn is_private(path: &Path, checks: &mut Checks) -> bool {
    match std::fs::metadata(path) {
        Err(e) => {
            let fix = "restore it from its copy; without the state key nothing sealed can be opened";
            checks.fail("state", format!("'{}' cannot be read: {e}", path.display()), fix);
            false
        }
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            let fix = format!("chmod go= '{}', and look who could read it", path.display());
            checks.fail("state", format!("'{}' is open to others", path.display()), fix);
            false
        }
        Ok(_) => true,
    }
}

fn disk(state: &Path, checks: &mut Checks) {
    let there = state.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(there) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let told = format!("{} MiB free for the state", free >> 20);
            if free >= FREE_BYTES {
                checks.ok("disk", told);
            } else {
                checks.fail("disk", told, "make room: at least 1024 MiB; a full disk stops a run, though nothing is lost");
            }
        }
        Err(e) => checks.unknown(
            "disk",
            format!("free space below '{}' cannot be asked: {e}", there.display()),
            "check it by hand (df)",
        ),
    }
}

fn read_roster(config: &Config, checks: &mut Checks) {
    let read = match roster::read(config) {
        Ok(read) => read,
        Err(e) => return error("roster", e, checks),
    };
    let people = format!("{} rows, {} people", read.roster.row_count(), read.roster.person_count());
    checks.ok("roster", people);
    for file in &read.files {
        let check = format!("roster {}", file.name);
        let now = state::clock().wall();
        match (file.age_problem(now), file.written_at) {
            (Some(problem), _) => checks.fail(&check, problem.to_string(), problem.kind.remedy()),
            (None, Some(at)) => {
                checks.ok(&check, format!("{}, {} hours old", file.encoding, now.duration_since(at).as_hours()));
            }
            (None, None) => {
                checks.unknown(&check, "its age is not known", "keep it on a file system with times");
            }
        }
    }
}

/// The key's type, after its base64 part was found to name the same (RFC 4253, section 6.6).
fn key_type(approver: &Approver) -> Result<String, String> {
    let text = match (&approver.key, &approver.key_file) {
        (Some(key), _) => key.clone(),
        (None, Some(path)) => std::fs::read_to_string(path).map_err(|e| format!("'{}' cannot be read: {e}", path.display()))?,
        (None, None) => return Err("no key is configured".to_owned()),
    };
    let mut words = text.split_whitespace();
    let (Some(kind), Some(encoded)) = (words.next(), words.next()) else {
        return Err("not an SSH public key".to_owned());
    };
    let blob = data_encoding::BASE64
        .decode(encoded.as_bytes())
        .map_err(|_| "not an SSH public key: its second word is no base64".to_owned())?;
    let length = blob.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes)).and_then(|n| usize::try_from(n).ok());
    let named = length.and_then(|n| blob.get(4..4_usize.checked_add(n)?));
    if named == Some(kind.as_bytes()) {
        Ok(kind.to_owned())
    } else {
        Err("not an SSH public key: it is cut off or of another type than it says".to_owned())
    }
}

fn handover(config: &Config, checks: &mut Checks) {
    let check = "hand-over";
    let handover = &config.handover;
    for recipient in &handover.recipients {
        if let Err(why) = recipient.parse::<age::x25519::Recipient>() {
            return checks.fail(check, format!("'{recipient}' is not an age recipient: {why}"), "age-keygen prints one (age1…)");
        }
    }
    match (&handover.hook, handover.recipients.len()) {
        (Some(words), _) => match words.first() {
            Some(program) => checks.ok(check, format!("by '{program}'")),
            None => checks.fail(check, "handover.hook is empty", "name a program, or leave the key away"),
        },
        (None, 0) if !config.migrations().is_empty() => {
            checks.fail(check, "one-time credentials would have nowhere to go", "set handover.recipients or handover.hook")
        }
        (None, 0) => checks.skipped(check, "not configured, and no wave makes credentials"),
        (None, number) => checks.ok(check, format!("encrypted for {number} recipients")),
    }
}
