//! The tool's configuration for a pair of laboratory stores: `untether.toml`, keys of two approvers, and an age identity that
//! opens hand-over files.
//!
//! Its audit section says exactly what the labels of the generated data assume (see [`crate::generate`]). It knows what the
//! configuration file looks like, not the crate that reads it.

use super::{Error, Flavour, Role, StoreDescription};
use age::secrecy::ExposeSecret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Writes to a string cannot fail; this keeps the call sites free of an impossible error.
macro_rules! put {
    ($text:expr, $($argument:tt)*) => {
        let _ = writeln!($text, $($argument)*);
    };
}

/// Name of the configuration in the directory.
pub const CONFIGURATION_FILE: &str = "untether.toml";
/// Name of the state directory that the configuration names. Nothing makes it here: `untether init` does.
pub const STATE_DIRECTORY: &str = "state";
/// Subdirectory with what people would keep to themselves: approvers' keys, and the identity that opens hand-over files.
pub const PEOPLE_DIRECTORY: &str = "people";
/// The people who approve; each has a key `people/NAME` without a passphrase, and `people/NAME.pub`.
pub const APPROVERS: [&str; 2] = ["approver-a", "approver-b"];
/// The age identity in [`PEOPLE_DIRECTORY`] for which hand-over files are encrypted.
pub const IDENTITY_FILE: &str = "handover-identity.txt";

/// Files of the generated data that together are the export of a store.
fn export_files(side: &str) -> [String; 2] {
    [format!("{side}.ldif"), format!("{side}-canary.ldif")]
}

/// Writes the configuration for the generator's exports, without any server: what they hold can be audited, planned and rehearsed.
///
/// # Errors
/// As [`ToolConfiguration::write`].
pub fn configure_exports(directory: &Path, data: &Path) -> Result<PathBuf, Error> {
    let store = |flavour| {
        let none = Path::new("");
        StoreDescription::new(flavour, directory, none, none.to_owned(), BTreeMap::new())
    };
    let (shared, independent) = (store(Flavour::Shared), store(Flavour::Independent));
    // The configuration names its files from where it stands.
    let data = &data.canonicalize().map_err(Error::file("find", data))?;
    ToolConfiguration { directory, shared: &shared, independent: &independent, ca_file: Path::new(""), data }.write()
}

/// What the configuration is made from.
#[derive(Debug, Clone, Copy)]
pub struct ToolConfiguration<'a> {
    /// Where the files go. Must exist.
    pub directory: &'a Path,
    /// The store being left.
    pub shared: &'a StoreDescription,
    /// The store being moved to.
    pub independent: &'a StoreDescription,
    /// Certificate of the authority that issued both servers' certificates.
    pub ca_file: &'a Path,
    /// Directory that the generator wrote.
    pub data: &'a Path,
}

impl ToolConfiguration<'_> {
    /// Makes the keys and writes the configuration; what is there of an earlier laboratory is replaced. Returns the
    /// configuration's path.
    ///
    /// # Errors
    /// A directory that cannot be written, generated data without a manifest, or `ssh-keygen` missing.
    pub fn write(&self) -> Result<PathBuf, Error> {
        let directory = self.directory.canonicalize().map_err(Error::file("find", self.directory))?;
        let people = directory.join(PEOPLE_DIRECTORY);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&people).map_err(Error::file("make", &people))?;
        for name in APPROVERS {
            make_key(&people.join(name), name)?;
        }
        let identity = age::x25519::Identity::generate();
        super::identities::write_secret(&people.join(IDENTITY_FILE), &format!("{}\n", identity.to_string().expose_secret()))?;
        let text = self.text(&directory, &identity.to_public().to_string())?;
        let path = directory.join(CONFIGURATION_FILE);
        super::identities::write_secret(&path, &text)?;
        Ok(path)
    }

    fn text(&self, directory: &Path, recipient: &str) -> Result<String, Error> {
        let manifest = self.manifest()?;
        let path = |path: &Path| quoted(&path.strip_prefix(directory).unwrap_or(path).to_string_lossy());
        let mut text = format!(
            "# Configuration of this laboratory. Paths are relative to this file.\n\
             # config/untether.toml explains every key.\n\nstate = {}\n\n",
            quoted(STATE_DIRECTORY)
        );
        for store in [self.shared, self.independent] {
            if store.ldaps_url.is_empty() {
                let side = store.flavour.name();
                let files = export_files(side).map(|file| path(&self.data.join(file)));
                put!(text, "[{side}]\nldif = [{}]\n", files.join(", "));
            } else {
                put_connection(&mut text, store, self.ca_file, &path);
            }
        }
        put!(text, "[roster]\nfiles = [{}]\n", path(&self.data.join("roster.csv")));
        // The generated file is as old as the laboratory.
        put!(text, "[roster.read]\nmax_age_hours = 8760\n");
        put_audit(&mut text, &manifest);
        for store in [self.shared, self.independent] {
            put_store_audit(&mut text, store, &manifest);
        }
        text.push_str(ENTITIES);
        text.push_str(PLAN);
        for name in APPROVERS {
            let key = format!("{PEOPLE_DIRECTORY}/{name}.pub");
            put!(text, "[[approvers]]\nname = {}\nkey_file = {}\n", quoted(name), quoted(&key));
        }
        put!(
            text,
            "[handover]\n# Opened with: age -d -i {PEOPLE_DIRECTORY}/{IDENTITY_FILE} FILE\nrecipients = [{}]",
            quoted(recipient)
        );
        Ok(text)
    }

    fn manifest(&self) -> Result<Value, Error> {
        let path = self.data.join("manifest.json");
        let text = std::fs::read(&path).map_err(Error::file("read", &path))?;
        serde_json::from_slice(&text).map_err(|source| Error::Manifest { path, source })
    }
}

/// A TOML basic string: JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn put_connection(text: &mut String, store: &StoreDescription, ca_file: &Path, path: &impl Fn(&Path) -> String) {
    let side = store.flavour.name();
    put!(text, "[{side}]\nurl = {}\nca_files = [{}]\n", quoted(&store.ldaps_url), path(ca_file));
    let binds = [
        ("read", Role::Reader),
        ("write", Role::Writer),
        ("undo", Role::Undo),
        ("config", Role::Config),
        ("probe", Role::Probe),
        ("control", Role::Control),
    ];
    for (name, role) in binds {
        if let Some(identity) = store.identities.get(&role) {
            let file = path(&identity.password_file);
            put!(text, "[{side}.{name}]\ndn = {}\npassword = {{ file = {file} }}\n", quoted(&identity.dn));
        }
    }
}

/// The lists of both stores under one name in the manifest, one after the other.
fn of_both(manifest: &Value, key: &str) -> String {
    let all = ["shared", "independent"].iter().flat_map(|side| manifest["stores"][side][key].as_array().into_iter().flatten());
    list(all)
}

fn list<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    let quoted: Vec<String> = values.into_iter().map(Value::to_string).collect();
    format!("[{}]", quoted.join(", "))
}

fn put_audit(text: &mut String, manifest: &Value) {
    put!(text, "[audit]\nprivileged_groups = {}", of_both(manifest, "privileged_groups"));
    put!(text, "mfa_filter = {}", manifest["factor_filter"]);
    put!(text, "retention = {}", list(manifest["retained"].as_array().into_iter().flatten()));
    put!(text, "dormant_days = {}\nmax_shrink_percent = 20\n", manifest["dormant_days"]);
    put!(
        text,
        "[audit.services]\nlogins = [\"svc-*\"]\nsubtrees = [\"ou=services,dc=shared,dc=example\", \"ou=services,dc=own,dc=example\"]\n\n\
         [audit.mailboxes]\nlogins = [\"mbx-*\"]\n\n[audit.tests]\nlogins = [\"test-*\"]\n\n\
         # Accounts that people rightly have beside their main one.\n[audit.secondary]\nlogins = [\"adm-*\"]\n"
    );
    let (dns, groups) = (of_both(manifest, "protected"), of_both(manifest, "admin_groups"));
    let units = |unit: &str| format!("\"ou={unit},dc=shared,dc=example\", \"ou={unit},dc=own,dc=example\"");
    put!(text, "[audit.protected]\ndns = {dns}\nsubtrees = [{}, {}]\ngroups = {groups}\n", units("system"), units("canaries"));
}

fn put_store_audit(text: &mut String, store: &StoreDescription, manifest: &Value) {
    let side = store.flavour.name();
    let suffix = &store.suffix;
    let facts = &manifest["stores"][side];
    let people = match store.flavour {
        Flavour::Shared => "ou=accounts",
        Flavour::Independent => "ou=people",
    };
    put!(
        text,
        "[audit.{side}]\nsuffix = {}\naccounts = [\n  {{ base = \"{people},{suffix}\", filter = \"(objectClass=inetOrgPerson)\" }},\n  \
         {{ base = \"ou=services,{suffix}\", filter = \"(uid=*)\" }},\n]\nothers = [{{ base = \"ou=groups,{suffix}\" }}]",
        quoted(suffix)
    );
    // An export has no access log.
    if let Some(base) = store.access_log_suffix.as_ref().filter(|_| !store.ldaps_url.is_empty()) {
        put!(text, "copies = [{{ base = {}, kind = \"access-log\" }}]", quoted(base));
    }
    let servers: Vec<Value> = facts["own_servers"]
        .as_array()
        .into_iter()
        .flatten()
        .cloned()
        .chain(
            [&store.ldaps_url, &store.ldap_url]
                .into_iter()
                .filter(|url| !url.is_empty())
                .map(|url| Value::from(url.split_once("://").map_or(url.as_str(), |(_, host)| host))),
        )
        .collect();
    put!(text, "canary = {}\nown_servers = {}", quoted(&store.canary_dn), list(&servers));
    put!(text, "own_realms = {}", list(facts["own_realms"].as_array().into_iter().flatten()));
    put!(text, "sasl_mechanisms = {}\n", list(manifest["sasl_mechanisms"].as_array().into_iter().flatten()));
    put!(text, "[audit.{side}.default_policy]\nentry = {}\n", facts["default_policy"]);
    put!(text, "[audit.{side}.attributes]\nentity = \"labEntity\"\nowner = [\"labOwner\"]");
    if store.flavour == Flavour::Independent {
        put!(text, "# Holds the entryUUID of the account in the shared store.\nlink = \"labSourceId\"");
    }
    text.push('\n');
}

/// The entities of the generated people, with the deadlines of a plausible separation.
const ENTITIES: &str = r#"[audit.entities.own]
name = "Own company"
name_ja = "自社"
time_zone = "Asia/Tokyo"
deadline = "2027-03-31"
shared_subtrees = ["ou=own,ou=accounts,dc=shared,dc=example"]

[audit.entities.domestic]
name = "Domestic subsidiaries"
name_ja = "国内子会社"
time_zone = "Asia/Tokyo"
deadline = "2027-09-30"
shared_subtrees = ["ou=domestic,ou=accounts,dc=shared,dc=example"]

[audit.entities.overseas]
name = "Overseas subsidiaries"
name_ja = "海外子会社"
time_zone = "Europe/Berlin"
deadline = "2027-12-31"
shared_subtrees = ["ou=overseas,ou=accounts,dc=shared,dc=example"]

[audit.entities.contractor]
name = "Contractors"
name_ja = "業務委託先"
time_zone = "Asia/Tokyo"
deadline = "2027-03-31"
shared_subtrees = ["ou=contractors,ou=accounts,dc=shared,dc=example"]

"#;

/// Waves and mapping.
const PLAN: &str = r#"[plan]
retention = ["uid", "cn", "sn", "employeeNumber", "mail", "objectClass"]
mfa_filter = "(|(labFactor=webauthn)(labFactor=totp))"
locking_policy = "cn=locking,ou=policies,dc=shared,dc=example"
group_placeholder = "cn=placeholder,ou=system,dc=shared,dc=example"
admission = { group = { dn = "cn=admitted,ou=groups,dc=own,dc=example" } }

[plan.credential]
scheme = "argon2id"
length = 20
must_change = true

# People who have left, and contractors whose contract is over.
[[plan.waves]]
name = "retire"
tracks = ["retire"]
kinds = ["person"]
entities = ["own", "contractor"]
batch_size = 50
canary_size = 10
soak = "14d"
failure_tolerance = 5
thresholds = { max_changed_percent = 80.0, max_disabled_percent = 50.0, max_removed_percent = 50.0 }

# People who have their own account already and are still open in the shared store.
[[plan.waves]]
name = "finish"
tracks = ["finish"]
kinds = ["person"]
batch_size = 50
canary_size = 10
soak = "14d"
failure_tolerance = 5
thresholds = { max_changed_percent = 80.0, max_disabled_percent = 50.0, max_removed_percent = 50.0 }

# The first of our own people.
[[plan.waves]]
name = "migrate"
tracks = ["migrate"]
kinds = ["person"]
entities = ["own"]
limit = 200
batch_size = 50
canary_size = 10
soak = "14d"
failure_tolerance = 5
thresholds = { max_changed_percent = 80.0, max_disabled_percent = 50.0, max_removed_percent = 50.0 }

[plan.mapping]
base = "ou=people,dc=own,dc=example"
rdn = "uid"
object_classes = ["inetOrgPerson", "labAccount"]
copy = ["uid", "cn", "sn", "givenName", "displayName", "mail", "employeeNumber", "departmentNumber", "telephoneNumber", "jpegPhoto", "labEntity"]
link_attribute = "labSourceId"
references = ["manager"]
groups = [
  { shared = "cn=team-00000,ou=groups,dc=shared,dc=example", independent = "cn=team-00000,ou=groups,dc=own,dc=example", create = true },
  { shared = "cn=team-00001,ou=groups,dc=shared,dc=example", independent = "cn=team-00001,ou=groups,dc=own,dc=example", create = true },
  { shared = "cn=team-00002,ou=groups,dc=shared,dc=example", independent = "cn=team-00002,ou=groups,dc=own,dc=example", create = true },
]

"#;

fn make_key(path: &Path, comment: &str) -> Result<(), Error> {
    for old in [path.to_owned(), path.with_extension("pub")] {
        // ssh-keygen would ask before it replaces one.
        match std::fs::remove_file(&old) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::file("remove", old)(error)),
            _ => {}
        }
    }
    let program = "ssh-keygen";
    let output = Command::new(program)
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Spawn { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program, operation: format!("made the key {}", path.display()), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_toml_reads_it() {
        assert_eq!(quoted("cn=a\\,b \"c\""), r#""cn=a\\,b \"c\"""#);
    }
}
