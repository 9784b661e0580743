//! The configuration file: TOML, every key documented in `config/untether.toml`, unknown keys refused with a suggestion.
//!
//! Secrets stand in it by reference only. Relative paths are relative to the file.

mod handover;
mod policy;
mod roster;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use untether_directory::Secret;
use untether_model::policy::{AuditPolicy, Mapping, PlanPolicy, Terms};
use untether_model::{Dn, EntityId, Side};

pub use self::handover::{Desk, HandoverConfig, parse_recipient};
pub use self::roster::RosterConfig;
use crate::error::CliError;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The state directory.
    pub state: PathBuf,
    /// Connections to the shared store.
    pub shared: StoreConfig,
    /// Connections to the independent directory.
    pub independent: StoreConfig,
    /// The roster.
    pub roster: RosterConfig,
    /// What the audit looks at and how it judges.
    pub audit: AuditPolicy,
    /// Waves, mapping, retention. Absent: audits only.
    #[serde(default)]
    pub plan: Option<PlanPolicy>,
    /// People who approve.
    #[serde(default)]
    pub approvers: Vec<Approver>,
    /// One-time credentials on their way to people.
    #[serde(default)]
    pub handover: HandoverConfig,
    /// How runs behave.
    #[serde(default)]
    pub run: RunConfig,
    /// The file's folder, to which its paths are relative.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// One store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// `ldaps://host:port`, `ldap://host:port` with `starttls`, or `ldapi://…`. Absent when the store is given as `ldif`.
    #[serde(default)]
    pub url: Option<String>,
    /// PEM files of the certification authorities that are trusted, and no others.
    #[serde(default)]
    pub ca_files: Vec<PathBuf>,
    /// StartTLS on an `ldap://` connection.
    #[serde(default)]
    pub starttls: bool,
    /// The name in the certificate, where it is not the host of the URL.
    #[serde(default)]
    pub server_name: Option<String>,
    /// Allows an unencrypted connection, to loopback only.
    #[serde(default)]
    pub allow_plain_loopback: bool,
    /// Seconds until a connection must stand.
    #[serde(default = "default_connect")]
    pub connect_seconds: u64,
    /// Seconds until an operation must be answered.
    #[serde(default = "default_operation")]
    pub operation_seconds: u64,
    /// MiB of the largest entry that is taken from the server.
    #[serde(default = "default_largest_entry")]
    pub largest_entry_mib: usize,
    /// LDIF exports of the store, where it is not read from a server.
    #[serde(default)]
    pub ldif: Vec<PathBuf>,
    /// LDIF export of `cn=config`.
    #[serde(default)]
    pub config_ldif: Vec<PathBuf>,
    /// The bind for reading.
    #[serde(default)]
    pub read: Option<BindConfig>,
    /// The bind for writing (right `write`).
    #[serde(default)]
    pub write: Option<BindConfig>,
    /// The bind for undoing (right `manage`).
    #[serde(default)]
    pub undo: Option<BindConfig>,
    /// The bind that reads `cn=config`.
    #[serde(default)]
    pub config: Option<BindConfig>,
    /// An account of ours with a known password, disabled with a wave to prove that the store refuses.
    #[serde(default)]
    pub probe: Option<BindConfig>,
    /// An account of ours that must go on working.
    #[serde(default)]
    pub control: Option<BindConfig>,
}

fn default_connect() -> u64 {
    10
}

fn default_operation() -> u64 {
    30
}

fn default_largest_entry() -> usize {
    64
}

/// One identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindConfig {
    /// Another URL than the store's (LDAPI for `cn=config`).
    #[serde(default)]
    pub url: Option<String>,
    /// The DN; absent with `external`.
    #[serde(default)]
    pub dn: Option<Dn>,
    /// Its password, by reference.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// SASL EXTERNAL (LDAPI: the process's user).
    #[serde(default)]
    pub external: bool,
}

/// Where a secret is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SecretRef {
    /// A file of mode 0600 (or 0400) that holds it; one trailing line feed is dropped.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// A command that prints it; the first word is the program.
    Command(Vec<String>),
    /// A systemd credential of this name (`$CREDENTIALS_DIRECTORY`).
    Credential(String),
}

/// A person who approves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Name, as it stands in the ledger.
    pub name: String,
    /// SSH public key (`ssh-ed25519 AAAA…`).
    #[serde(default)]
    pub key: Option<String>,
    /// File with the public key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

/// How runs behave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Most operations in flight in a store.
    pub in_flight: u32,
    /// LDAP connections for writing, per store.
    pub connections: usize,
    /// Minutes after which the roster is read again at a stage's start.
    pub roster_max_age_minutes: u64,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self { in_flight: 64, connections: 4, roster_max_age_minutes: 60 }
    }
}

impl Config {
    /// Reads and checks the file.
    pub fn load(path: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            CliError::usage(format!("the configuration '{}' cannot be read: {e}", path.display()))
                .hint("give another one with --config, or write a starter with `untether init`")
        })?;
        let mut config: Self = toml::from_str(&text).map_err(|e| explain(path, &text, &e))?;
        config.anchor(path.parent().unwrap_or(Path::new(".")));
        config.check(path)?;
        Ok(config)
    }

    /// One store's connections.
    pub fn store(&self, side: Side) -> &StoreConfig {
        match side {
            Side::Shared => &self.shared,
            Side::Independent => &self.independent,
        }
    }

    /// The plan's policy, or an error that says what to write.
    pub fn plan_policy(&self) -> Result<&PlanPolicy, CliError> {
        self.plan.as_ref().ok_or_else(|| {
            CliError::usage("the configuration has no section [plan]").hint("config/untether.toml shows one with comments")
        })
    }

    /// The mappings by which waves make accounts, with the terms that they are part of.
    pub fn migrations(&self) -> Vec<(Mapping, Terms)> {
        self.plan.as_ref().map(|plan| plan.migrations(&self.audit)).unwrap_or_default()
    }

    fn anchor(&mut self, base: &Path) {
        let fix = |path: &mut PathBuf| {
            if path.is_relative() {
                *path = base.join(&*path);
            }
        };
        fix(&mut self.state);
        self.folder = base.to_owned();
        self.roster.files.iter_mut().for_each(|file| fix(&mut file.path));
        self.handover.anchor(fix);
        for approver in &mut self.approvers {
            approver.key_file.iter_mut().for_each(fix);
        }
        for store in [&mut self.shared, &mut self.independent] {
            store.ca_files.iter_mut().for_each(fix);
            store.ldif.iter_mut().for_each(fix);
            store.config_ldif.iter_mut().for_each(fix);
            let binds =
                [&mut store.read, &mut store.write, &mut store.undo, &mut store.config, &mut store.probe, &mut store.control];
            for bind in binds.into_iter().flatten() {
                if let Some(SecretRef::File(path)) = &mut bind.password {
                    fix(path);
                }
            }
        }
    }

    fn check(&self, path: &Path) -> Result<(), CliError> {
        let bad = |what: String| CliError::usage(format!("the configuration '{}' {what}", path.display()));
        for (id, entity) in &self.audit.entities {
            if entity.zone().is_none() {
                return Err(bad(format!("names the time zone '{}' for entity '{id}', which does not exist", entity.time_zone))
                    .hint("write an IANA name such as Asia/Tokyo"));
            }
        }
        for side in Side::ALL {
            let store = self.store(side);
            match (&store.url, store.ldif.is_empty()) {
                (None, true) => return Err(bad(format!("gives neither url nor ldif for [{side}]"))),
                (Some(_), false) => return Err(bad(format!("gives both url and ldif for [{side}]; only one can be read"))),
                (Some(_), true) if store.read.is_none() => return Err(bad(format!("gives no [{side}.read] bind"))),
                _ => {}
            }
        }
        self.roster.check().map_err(bad)?;
        self.check_handover(&bad)?;
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for approver in &self.approvers {
            *names.entry(approver.name.as_str()).or_default() += 1;
            if approver.key.is_none() == approver.key_file.is_none() {
                return Err(bad(format!("must give either key or key_file for approver '{}'", approver.name)));
            }
        }
        match names.iter().find(|(_, n)| **n > 1) {
            Some((name, _)) => Err(bad(format!("names the approver '{name}' twice"))),
            None => Ok(()),
        }
    }

    /// A credential that nobody can open is worse than a configuration that is refused.
    fn check_handover(&self, bad: &dyn Fn(String) -> CliError) -> Result<(), CliError> {
        if let Some((what, fix)) = self.handover.trouble() {
            return Err(bad(what).hint(fix));
        }
        let entities = self.audit.entities.keys().map(EntityId::as_str);
        if let Some(id) = self.handover.entities.keys().find(|id| !self.audit.entities.contains_key(*id)) {
            return Err(bad(format!("has a section [handover.entities.{id}] for an entity that does not exist"))
                .hint(nearest(id.as_str(), entities)));
        }
        let waves = self.plan.iter().flat_map(|plan| plan.waves.iter()).map(|wave| wave.name.as_str());
        if let Some(name) = self.handover.waves.keys().find(|name| !waves.clone().any(|wave| wave == **name)) {
            return Err(
                bad(format!("has a section [handover.waves.{name}] for a wave that does not exist")).hint(nearest(name, waves))
            );
        }
        Ok(())
    }
}

/// The name that was probably meant, as a hint.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = names.clone().max_by(|a, b| strsim::jaro_winkler(a, wanted).total_cmp(&strsim::jaro_winkler(b, wanted)));
    match near.filter(|name| strsim::jaro_winkler(name, wanted) > 0.75) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("there are: {}", names.collect::<Vec<_>>().join(", ")),
    }
}

/// A TOML error with its line, and a suggestion for a misspelt key.
fn explain(path: &Path, text: &str, error: &toml::de::Error) -> CliError {
    let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
    let at = line.map(|l| format!(", line {l}")).unwrap_or_default();
    let words = error.message().to_owned();
    let refused = CliError::usage(format!("the configuration '{}'{at}: {words}", path.display()));
    let mut quoted = words.split('`').skip(1).step_by(2);
    let suggestion = words.starts_with("unknown field").then(|| quoted.next()).flatten().and_then(|unknown| {
        let nearest = quoted.max_by(|a, b| strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown)));
        nearest.filter(|name| strsim::jaro_winkler(name, unknown) > 0.75).map(str::to_owned)
    });
    match suggestion {
        Some(name) => refused.hint(format!("did you mean `{name}`?")),
        None => refused.hint("config/untether.toml documents every key"),
    }
}

impl StoreConfig {
    /// Time-outs for the client.
    pub fn timeouts(&self) -> (Duration, Duration) {
        (Duration::from_secs(self.connect_seconds), Duration::from_secs(self.operation_seconds))
    }
}

impl SecretRef {
    /// Fetches the secret. An empty one is refused: an empty password would be an anonymous bind.
    pub fn fetch(&self, of: &str) -> Result<Secret, CliError> {
        let (place, bytes) = match self {
            Self::File(path) => (format!("file '{}'", path.display()), read_private(path, of)?),
            Self::Env(name) => {
                let value = std::env::var(name).map_err(|_| {
                    CliError::usage(format!("the secret of {of} cannot be had: environment variable {name} is not set"))
                })?;
                (format!("environment variable {name}"), value.into_bytes())
            }
            Self::Command(words) => (format!("command '{}'", words.first().map_or("", String::as_str)), run_command(words, of)?),
            Self::Credential(name) => {
                let dir = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    CliError::usage(format!("the secret of {of} cannot be had: systemd gave no credentials to this process"))
                        .hint(format!("set LoadCredential={name}:… in the unit"))
                })?;
                let path = Path::new(&dir).join(name);
                let read = std::fs::read(&path).map_err(|e| {
                    CliError::usage(format!("the secret of {of} cannot be had: systemd credential '{name}': {e}"))
                })?;
                (format!("systemd credential '{name}'"), read)
            }
        };
        let mut bytes = bytes;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        Secret::new(bytes).map_err(|e| CliError::usage(format!("the secret of {of} from {place} is refused: {e}")))
    }
}

fn read_private(path: &Path, of: &str) -> Result<Vec<u8>, CliError> {
    use std::os::unix::fs::PermissionsExt;
    let refused = |why: String| CliError::usage(format!("the secret of {of} cannot be had: file '{}' {why}", path.display()));
    let metadata = std::fs::metadata(path).map_err(|e| refused(format!("cannot be read: {e}")))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(refused("can be read by others".to_owned()).hint(format!("chmod 600 '{}'", path.display())));
    }
    std::fs::read(path).map_err(|e| refused(format!("cannot be read: {e}")))
}

fn run_command(words: &[String], of: &str) -> Result<Vec<u8>, CliError> {
    let refused = |why: String| CliError::usage(format!("the secret of {of} cannot be had: {why}"));
    let (program, arguments) = words.split_first().ok_or_else(|| refused("the command is empty".to_owned()))?;
    let output = std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| refused(format!("'{program}' cannot be started: {e}")))?;
    if !output.status.success() {
        return Err(refused(format!("'{program}' ended with {}", output.status)));
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_accepted_and_uses_every_section() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/untether.toml"));
        let config = Config::load(path).unwrap();
        assert_eq!(config.audit.entities.len(), 4);
        assert!(config.plan_policy().unwrap().mapping.is_some());
        assert!(config.state.is_absolute() && config.approvers.len() == 2 && !config.handover.recipients.is_empty());
    }

    #[test]
    fn the_documented_example_of_several_roster_files_is_accepted() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/untether.toml")).unwrap();
        let (before, rest) = text.split_once("files = [\"roster.csv\"]\n").unwrap();
        let (example, after) = rest.split_once("\n\n").unwrap();
        let from = example.find("# [[roster.files]]").unwrap();
        let tables: String = example[from..].lines().map(|line| format!("{}\n", line.trim_start_matches(['#', ' ']))).collect();
        // Tables of an array come behind the keys of their section.
        let config: Config = toml::from_str(&format!("{before}{tables}\n{after}")).unwrap();
        let files = config.roster.files();
        assert_eq!(files.len(), 3);
        assert_eq!(files[2].policy.constants.entity.as_deref(), Some("contractor"));
        assert_eq!(files[2].policy.status.leave, ["leave", "休職"], "what a file does not say is what [roster.read] says");
    }
}
