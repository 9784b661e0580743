//! Making a server: directory, certificate, configuration, content, first start.

use super::authority::CertificateFiles;
use super::configuration::{Bends, Inputs, LOG_DATABASE, MAIN_DATABASE, config_ldif};
use super::identities::Credentials;
use super::process::run_tool;
use super::server::{Owner, Parts, StoreDescription};
use super::{Authority, CertificateKind, Error, Flavour, Role, Server, skeleton};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Where the packages of OpenLDAP put the schema, as LDIF.
const SCHEMA_DIRECTORY: &str = "/etc/ldap/schema";
/// Schema of the packages that the stores load, in the order of their dependencies.
const SCHEMAS: [&str; 4] = ["core", "cosine", "inetorgperson", "nis"];
/// The laboratory's own schema.
const LAB_SCHEMA: &str = include_str!("../../schema/lab.ldif");
/// Directory in memory that temporary databases prefer.
const MEMORY_DIRECTORY: &str = "/dev/shm";
/// Free space that makes the memory directory eligible.
const MEMORY_BYTES: u64 = 1 << 30;
/// Longest path of a socket: `sun_path` of unix(7) without its final zero byte.
const SOCKET_PATH_BYTES: usize = 107;
/// Numbers of a server's databases, as slapadd's `-n` takes them.
const CONFIG_DATABASE: &str = "0";
const MAIN_DATABASE_NUMBER: &str = "1";
const ACCESS_LOG_DATABASE: &str = "2";
/// How often the first start is tried with other ports.
const START_ATTEMPTS: u32 = 5;

/// A server in the making; see [`Server::builder`].
#[derive(Debug)]
pub struct Builder {
    flavour: Flavour,
    authority: Option<Arc<Authority>>,
    certificate: CertificateKind,
    directory: Option<PathBuf>,
    on_disk: bool,
    owner: Owner,
    data: Option<PathBuf>,
    access_log: Option<PathBuf>,
    changes: Option<PathBuf>,
    entries: Vec<String>,
    bends: Bends,
}

impl Builder {
    pub(super) fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            authority: None,
            certificate: CertificateKind::Valid,
            directory: None,
            on_disk: false,
            owner: Owner::default(),
            data: None,
            access_log: None,
            changes: None,
            entries: Vec::new(),
            bends: Bends::default(),
        }
    }

    /// Certificate authority that issues the server's certificate (default: one of its own).
    #[must_use]
    pub fn authority(mut self, authority: &Arc<Authority>) -> Self {
        self.authority = Some(Arc::clone(authority));
        self
    }

    /// What the server's certificate is like (default: valid).
    #[must_use]
    pub fn certificate(mut self, kind: CertificateKind) -> Self {
        self.certificate = kind;
        self
    }

    /// Directory for everything of the server; it stays when the server is dropped (default: a
    /// temporary one that goes).
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    pub(super) fn remove_with_owner(mut self, directory: &Path) -> Self {
        self.owner.remove = Some(directory.to_owned());
        self
    }

    pub(super) fn detached(mut self) -> Self {
        self.owner.detached = true;
        // Such a server lives on a disk of any speed; servers.md's cure for ext4 is a writable
        // map, which memory does not need.
        self.bends.write_map = true;
        self
    }

    /// Variables of the server's process, beside those of this one; see [`super::Calendar::environment`].
    #[must_use]
    pub fn environment(mut self, environment: Vec<(OsString, OsString)>) -> Self {
        self.owner.environment = environment;
        self
    }

    /// Puts the temporary directory on disk even where one in memory is to be had.
    #[must_use]
    pub fn on_disk(mut self) -> Self {
        self.on_disk = true;
        self
    }

    /// Syncs each write to disk (default: `nosync`).
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.bends.durable = true;
        self
    }

    /// LDIF file with the store's content, as the generator writes it: with the suffix entry,
    /// without `ou=system` and `ou=canaries`. Without it the store has its suffix, the
    /// organizational units, the policies and the admission group.
    #[must_use]
    pub fn data(mut self, file: impl Into<PathBuf>) -> Self {
        self.data = Some(file.into());
        self
    }

    /// Everything that the generator wrote for this store into `directory`: the content, and if
    /// links were asked for, the changes of `cn=config` and the content of the access log.
    #[must_use]
    pub fn generated(mut self, directory: &Path) -> Self {
        let name = self.flavour.name();
        let existing = |suffix: &str| Some(directory.join(format!("{name}-{suffix}.ldif"))).filter(|file| file.is_file());
        self.access_log = existing("accesslog");
        self.changes = existing("config");
        self.data(directory.join(format!("{name}.ldif")))
    }

    /// Further entries (LDIF) that are loaded offline, after everything else; operational
    /// attributes may be among them.
    #[must_use]
    pub fn entries(mut self, ldif: impl Into<String>) -> Self {
        self.entries.push(ldif.into());
        self
    }

    /// Further module of slapd, such as `back_ldap` or `remoteauth`.
    #[must_use]
    pub fn module(mut self, name: impl Into<String>) -> Self {
        self.bends.modules.push(name.into());
        self
    }

    /// Further line of the entry `cn=config`, such as `olcReferral: ldap://other.example`.
    #[must_use]
    pub fn global_attribute(mut self, line: impl Into<String>) -> Self {
        self.bends.global_attributes.push(line.into());
        self
    }

    /// Further line of the main database `olcDatabase={1}mdb,cn=config`, such as an
    /// `olcSyncrepl` or `olcLimits`.
    #[must_use]
    pub fn database_attribute(mut self, line: impl Into<String>) -> Self {
        self.bends.database_attributes.push(line.into());
        self
    }

    /// Further entries of `cn=config` (LDIF), such as an overlay of the main database or a proxy
    /// database; see [`Flavour::next_overlay`] and [`Flavour::next_database`] for their numbers.
    #[must_use]
    pub fn config_entry(mut self, ldif: impl Into<String>) -> Self {
        self.bends.config_entries.push(ldif.into());
        self
    }

    /// Takes all rights on `attributes` (comma separated, as in `attrs=` of an access rule) away
    /// from `role`.
    #[must_use]
    pub fn withhold(mut self, role: Role, attributes: impl Into<String>) -> Self {
        self.bends.withheld.push((role, attributes.into()));
        self
    }

    /// Gives the tool's identities no rights: they may log in, like everybody, and read themselves. For
    /// [`super::apply_asked_rights`], or a test that sees them refused.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bends.bare = true;
        self
    }

    /// Size limit for the reader, paged searches included (default: none).
    #[must_use]
    pub fn reader_size_limit(mut self, entries: u32) -> Self {
        self.bends.reader_size_limit = Some(entries);
        self
    }

    /// Size limit for everybody who has none of their own (default: slapd's 500).
    #[must_use]
    pub fn size_limit(mut self, entries: u32) -> Self {
        self.bends.size_limit = Some(entries);
        self
    }

    /// Does not tell a locked account that it is locked: `olcPPolicyUseLockout` FALSE.
    #[must_use]
    pub fn hide_lockout(mut self) -> Self {
        self.bends.hide_lockout = true;
        self
    }

    /// Records no `pwdLastSuccess`: `olcLastBind` stays FALSE.
    #[must_use]
    pub fn without_last_bind(mut self) -> Self {
        self.bends.without_last_bind = true;
        self
    }

    /// Makes the server, loads its content and starts it.
    ///
    /// # Errors
    /// Programs or schema of OpenLDAP missing, refused configuration or data, no free port, or a
    /// server that does not come up.
    pub fn start(self) -> Result<Server, Error> {
        let (directory, temporary) = match &self.directory {
            Some(directory) => (directory.clone(), None),
            None => {
                let temporary = temporary_directory(self.on_disk)?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        std::fs::create_dir_all(&directory).map_err(Error::file("make", &directory))?;
        let directory = directory.canonicalize().map_err(Error::file("find", &directory))?;
        let socket = socket_path(&directory)?;
        let authority = match &self.authority {
            Some(authority) => Arc::clone(authority),
            None => Arc::new(Authority::create("Laboratory CA", &directory.join("ca.pem"))?),
        };
        let certificate = authority.issue(self.certificate, self.flavour.host(), &directory)?;
        let suffix = self.flavour.suffix();
        let credentials = Credentials::create(suffix, &directory.join("secrets"))?;
        self.configure(&directory, authority.ca_file(), &certificate, &credentials)?;
        self.load(&directory, &credentials)?;
        if let Some(file) = &self.access_log {
            let log = File::open(file).map_err(Error::file("read", file))?;
            slapadd(&directory, ACCESS_LOG_DATABASE, log, "loaded the access log")?;
        }
        let changes = match &self.changes {
            Some(file) => Some(std::fs::read_to_string(file).map_err(Error::file("read", file))?),
            None => None,
        };
        let description = StoreDescription::new(self.flavour, &directory, authority.ca_file(), socket, credentials.identities);
        let mut owner = self.owner;
        owner.remove = owner.remove.or_else(|| temporary.as_ref().map(|temporary| temporary.path().into()));
        let mut server = Server::from_parts(Parts { description, temporary, authority: Some(authority), owner });
        server.first_start(START_ATTEMPTS)?;
        if let Some(changes) = changes
            && let Err(error) = server.configure(&changes)
        {
            // A detached server would otherwise stay behind.
            server.kill();
            return Err(error);
        }
        Ok(server)
    }

    fn configure(
        &self,
        directory: &Path,
        ca_file: &Path,
        certificate: &CertificateFiles,
        credentials: &Credentials,
    ) -> Result<(), Error> {
        for name in [super::server::CONFIG_DIRECTORY, MAIN_DATABASE, LOG_DATABASE] {
            let path = directory.join(name);
            std::fs::create_dir_all(&path).map_err(Error::file("make", &path))?;
        }
        let text = config_ldif(
            &Inputs {
                flavour: self.flavour,
                directory,
                ca_file,
                certificate,
                credentials,
                uid: rustix::process::getuid().as_raw(),
                gid: rustix::process::getgid().as_raw(),
                bends: &self.bends,
            },
            &schema()?,
        );
        slapadd(directory, CONFIG_DATABASE, Cursor::new(text), "loaded the configuration")
    }

    fn load(&self, directory: &Path, credentials: &Credentials) -> Result<(), Error> {
        let base: Box<dyn Read> = match &self.data {
            Some(file) => Box::new(File::open(file).map_err(Error::file("read", file))?),
            None => Box::new(Cursor::new(skeleton::empty_store(self.flavour))),
        };
        // The data come first, so that line numbers in messages are those of the file.
        let mut rest = String::from("\n\n");
        rest.push_str(&skeleton::tool_entries(self.flavour, credentials));
        for entries in &self.entries {
            rest.push_str(entries.trim_end());
            rest.push_str("\n\n");
        }
        slapadd(directory, MAIN_DATABASE_NUMBER, base.chain(Cursor::new(rest)), "loaded the content")
    }
}

/// Loads a database of the server in `directory`, offline. Nothing of it is synced to disk or checked
/// twice (`-q`): an interrupted load is thrown away whole.
fn slapadd(directory: &Path, database: &str, input: impl Read, operation: &str) -> Result<(), Error> {
    let config = directory.join(super::server::CONFIG_DIRECTORY);
    run_tool(
        "slapadd",
        &["-q", "-n", database, "-F", &config.to_string_lossy()],
        input,
        &directory.join("slapadd.log"),
        operation,
    )
}

/// Schema of the packages and of the laboratory as one LDIF text.
fn schema() -> Result<String, Error> {
    let mut text = String::new();
    for name in SCHEMAS {
        let path = Path::new(SCHEMA_DIRECTORY).join(format!("{name}.ldif"));
        if !path.is_file() {
            return Err(Error::PackageFileMissing { path });
        }
        let content = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        text.push_str(content.trim_end());
        text.push_str("\n\n");
    }
    text.push_str(LAB_SCHEMA);
    Ok(text)
}

/// Where the LDAPI socket goes: into the server's directory if its path is short enough for a
/// socket, else into a temporary one.
fn socket_path(directory: &Path) -> Result<PathBuf, Error> {
    let fits = |path: &Path| path.as_os_str().len() <= SOCKET_PATH_BYTES;
    let near = directory.join("ldapi");
    if fits(&near) {
        return Ok(near);
    }
    let far = temporary_directory(true)?.keep().join("ldapi");
    if fits(&far) {
        return Ok(far);
    }
    Err(Error::SocketPathTooLong { length: far.as_os_str().len(), path: far, limit: SOCKET_PATH_BYTES })
}

/// Temporary directory, in memory where there is room.
pub(super) fn temporary_directory(on_disk: bool) -> Result<TempDir, Error> {
    let memory = Path::new(MEMORY_DIRECTORY);
    let roomy =
        !on_disk && rustix::fs::statvfs(memory).is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) >= MEMORY_BYTES);
    let mut builder = tempfile::Builder::new();
    builder.prefix("untether-lab-");
    if roomy && let Ok(directory) = builder.tempdir_in(memory) {
        return Ok(directory);
    }
    builder.tempdir().map_err(Error::file("make a directory in", std::env::temp_dir()))
}
