//! The people of a laboratory: they collect their one-time credential, change it, enroll a factor, log in.
//!
//! Each person binds as themselves; the factor is registered as an enrolment portal would, by the independent store's root.
//! Knows the tool's hand-over files and nothing else of the tool.

use super::identities::write_secret;
use super::process::find_program;
use super::tool::{IDENTITY_FILE, PEOPLE_DIRECTORY, STATE_DIRECTORY};
use super::{Description, Error, Role, StoreDescription};
use data_encoding::BASE64;
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// Subdirectory of the state with the hand-over files.
const HANDOVER_DIRECTORY: &str = "handover";
/// Passwords that people chose for themselves.
const OWN_PASSWORDS: &str = "own-passwords.json";
/// People who are at their desks at the same time.
const AT_ONCE: usize = 8;

/// What the people did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Played {
    /// Logged in with their one-time credential and changed it.
    pub collected: u32,
    /// Logged in with their own password.
    pub logged_in: u32,
    /// Have a factor now.
    pub enrolled: u32,
    /// Could do neither; the account and what the server said.
    pub refused: Vec<(String, String)>,
}

/// One line of a hand-over file.
#[derive(Debug, Deserialize)]
struct Handed {
    account: String,
    secret: String,
}

/// What one person did.
enum Did {
    Collected(String),
    LoggedIn,
    Refused(String),
}

/// Everybody to whom a credential was handed over collects it, changes it for a password of their own and enrolls a factor; whoever
/// has done so already logs in.
///
/// # Errors
/// No laboratory, hand-over files that cannot be opened, or programs of OpenLDAP that are missing.
pub fn play(directory: &Path) -> Result<Played, Error> {
    let description = Description::read(directory)?;
    let store = &description.independent;
    let people = directory.join(PEOPLE_DIRECTORY);
    let handed = handed_over(&directory.join(STATE_DIRECTORY).join(HANDOVER_DIRECTORY), &people.join(IDENTITY_FILE))?;
    let passwords = people.join(OWN_PASSWORDS);
    let mut own = read_passwords(&passwords)?;
    let desk = tempfile::tempdir().map_err(Error::file("make a directory in", std::env::temp_dir()))?;

    let waiting: Mutex<VecDeque<_>> = Mutex::new(handed.iter().collect());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for place in 0..AT_ONCE {
            let (waiting, done, own) = (&waiting, &done, &own);
            let desk = desk.path().join(place.to_string());
            scope.spawn(move || {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((account, secrets)) = next else { return };
                    let did = one_person(store, &desk, account, own.get(account), secrets);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((account.clone(), did));
                }
            });
        }
    });

    let mut played = Played::default();
    let mut present = Vec::new();
    for (account, did) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match did? {
            Did::Collected(password) => {
                played.collected += 1;
                own.insert(account.clone(), password);
                present.push(account);
            }
            Did::LoggedIn => {
                played.logged_in += 1;
                present.push(account);
            }
            Did::Refused(words) => played.refused.push((account, words)),
        }
    }
    played.refused.sort();
    write_secret(&passwords, &serde_json::to_string(&own).unwrap_or_default())?;
    played.enrolled = enroll(store, &present)?;
    Ok(played)
}

/// The secrets that were handed over for each account, the newest file's first.
fn handed_over(files: &Path, identity: &Path) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut handed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let Ok(listed) = std::fs::read_dir(files) else { return Ok(handed) };
    let mut found: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    for entry in listed {
        let path = entry.map_err(Error::file("list", files))?.path();
        if path.extension().is_some_and(|extension| extension == "age") {
            let written = path.metadata().and_then(|m| m.modified()).map_err(Error::file("look at", &path))?;
            found.push((written, path));
        }
    }
    found.sort();
    let text = std::fs::read_to_string(identity).map_err(Error::file("read", identity))?;
    let opens: age::x25519::Identity = text.trim().parse().map_err(|why: &str| unreadable(identity, why))?;
    for (_, path) in found.into_iter().rev() {
        let file = std::fs::File::open(&path).map_err(Error::file("open", &path))?;
        let mut lines = String::new();
        let opened = age::Decryptor::new(file)
            .and_then(|decryptor| decryptor.decrypt(std::iter::once(&opens as &dyn age::Identity)))
            .map_err(|error| unreadable(&path, &error.to_string()))?;
        let mut opened = opened;
        opened.read_to_string(&mut lines).map_err(Error::file("read", &path))?;
        for line in lines.lines() {
            let one: Handed = serde_json::from_str(line).map_err(|error| unreadable(&path, &error.to_string()))?;
            handed.entry(one.account).or_default().push(one.secret);
        }
    }
    Ok(handed)
}

fn unreadable(path: &Path, why: &str) -> Error {
    Error::file("understand", path)(std::io::Error::other(why.to_owned()))
}

fn read_passwords(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| unreadable(path, &error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Logs in with the own password where there is one that works; else changes a one-time secret for a new one.
fn one_person(
    store: &StoreDescription,
    desk: &Path,
    account: &str,
    own: Option<&String>,
    secrets: &[String],
) -> Result<Did, Error> {
    let (present, chosen) = (desk.with_extension("present"), desk.with_extension("chosen"));
    let mut said = String::new();
    if let Some(own) = own {
        write_secret(&present, own)?;
        let output = client(store, "ldapwhoami", account, &present, &[])?;
        if output.status.success() {
            return Ok(Did::LoggedIn);
        }
        said = last_line(&output);
    }
    let password = format!("own-{:032x}", rand::random::<u128>());
    write_secret(&chosen, &password)?;
    for secret in secrets {
        write_secret(&present, secret)?;
        let output = client(store, "ldappasswd", account, &present, &["-T".as_ref(), chosen.as_os_str()])?;
        if output.status.success() {
            return Ok(Did::Collected(password));
        }
        said = last_line(&output);
    }
    Ok(Did::Refused(said))
}

fn client(
    store: &StoreDescription,
    program: &'static str,
    account: &str,
    password: &Path,
    more: &[&std::ffi::OsStr],
) -> Result<Output, Error> {
    Command::new(find_program(program)?)
        .env("LDAPTLS_CACERT", &store.ca_file)
        .args(["-x", "-H", &store.ldaps_url, "-D", account, "-y"])
        .arg(password)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Spawn { program, source })
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.trim().lines().last().unwrap_or("no reason given").to_owned()
}

/// Registers a factor for those who have none yet; tells for how many.
fn enroll(store: &StoreDescription, accounts: &[String]) -> Result<u32, Error> {
    let Some(root) = store.identities.get(&Role::Root).filter(|_| !accounts.is_empty()) else { return Ok(0) };
    let ldif: String = accounts
        .iter()
        .map(|dn| {
            let dn = BASE64.encode(dn.as_bytes());
            format!("dn:: {dn}\nchangetype: modify\nadd: labFactor\nlabFactor: webauthn\n\n")
        })
        .collect();
    let file = tempfile::NamedTempFile::new().map_err(Error::file("make a file in", std::env::temp_dir()))?;
    std::fs::write(file.path(), ldif).map_err(Error::file("write", file.path()))?;
    // Continues after those who have a factor already (20, type or value exists).
    let more = ["-c".as_ref(), "-f".as_ref(), file.path().as_os_str()];
    let output = client(store, "ldapmodify", &root.dn, &root.password_file, &more)?;
    let there = String::from_utf8_lossy(&output.stderr).matches("(20)").count();
    match output.status.code() {
        Some(0 | 20) => Ok(u32::try_from(accounts.len().saturating_sub(there)).unwrap_or(u32::MAX)),
        _ => {
            Err(Error::Program { program: "ldapmodify", operation: "registered factors".to_owned(), message: last_line(&output) })
        }
    }
}
