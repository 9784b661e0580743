//! A running server: its addresses and identities, its life, and the programs of OpenLDAP bound
//! to it.

use super::process::{Launch, Process, ProcessMark, find_program, pause, tail};
use super::{Authority, Builder, Error, Flavour, Identity, Role};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Subdirectory with the server's configuration (`slapd -F`).
pub(super) const CONFIG_DIRECTORY: &str = "slapd.d";
/// File in the server's directory to which slapd writes its process id.
pub(super) const PID_FILE: &str = "slapd.pid";
/// How long a server may take to listen. A large database on a busy machine takes its time.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// What slapd's log says when a port is taken.
const PORT_TAKEN: &str = "errno=98";

/// Everything a client has to know of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreDescription {
    /// Which store it is.
    pub flavour: Flavour,
    /// Suffix of the main database.
    pub suffix: String,
    /// LDAP over TLS on loopback.
    pub ldaps_url: String,
    /// Plain LDAP on loopback, for StartTLS.
    pub ldap_url: String,
    /// LDAP over a local socket; SASL EXTERNAL there manages `cn=config`.
    pub ldapi_url: String,
    /// Certificate of the authority that issued the server's, in PEM.
    pub ca_file: PathBuf,
    /// Who may bind, by role.
    pub identities: BTreeMap<Role, Identity>,
    /// Entry that every complete read of the store contains.
    pub canary_dn: String,
    /// Suffix of the access log, if the store has one.
    pub access_log_suffix: Option<String>,
    /// Directory with everything of the server.
    pub directory: PathBuf,
    /// Configuration directory (`slapd -F`).
    pub config_directory: PathBuf,
    /// Local socket of [`StoreDescription::ldapi_url`].
    pub socket: PathBuf,
    /// Stats log.
    pub log_file: PathBuf,
    /// The server's process while it runs.
    pub process: Option<ProcessMark>,
}

impl StoreDescription {
    /// Description of a server that has no ports yet.
    pub(super) fn new(
        flavour: Flavour,
        directory: &Path,
        ca_file: &Path,
        socket: PathBuf,
        identities: BTreeMap<Role, Identity>,
    ) -> Self {
        let suffix = flavour.suffix().to_owned();
        Self {
            flavour,
            canary_dn: format!("uid=canary,ou=canaries,{suffix}"),
            suffix,
            ldaps_url: String::new(),
            ldap_url: String::new(),
            ldapi_url: socket_url(&socket),
            socket,
            ca_file: ca_file.to_owned(),
            identities,
            access_log_suffix: (flavour == Flavour::Shared).then(|| "cn=accesslog".to_owned()),
            config_directory: directory.join(CONFIG_DIRECTORY),
            log_file: directory.join("slapd.log"),
            directory: directory.to_owned(),
            process: None,
        }
    }

    /// Removes the directory of a socket that had to be elsewhere because of its path's length.
    pub(super) fn remove_socket_directory(&self) {
        if let Some(parent) = self.socket.parent()
            && parent != self.directory
        {
            // Nothing but the socket is in it, and the system clears it some day anyway.
            let _ = std::fs::remove_dir_all(parent);
        }
    }

    /// Starts slapd for this store and waits until it listens.
    fn launch(&self, owner: &Owner) -> Result<Process, StartFailure> {
        // A directory for temporary files does not survive every restart of the machine.
        if let Some(parent) = self.socket.parent() {
            std::fs::create_dir_all(parent).map_err(|source| StartFailure::Other(Error::file("make", parent)(source)))?;
        }
        // What a killed server left would be mistaken for a listening socket.
        let _ = std::fs::remove_file(&self.socket);
        let logged_before = std::fs::metadata(&self.log_file).map_or(0, |log| log.len());
        let launch = Launch {
            program: "slapd",
            arguments: vec![
                "-h".to_owned(),
                // Listeners open in this order: when the socket answers, the ports do too.
                format!("{} {} {}", self.ldap_url, self.ldaps_url, self.ldapi_url),
                "-F".to_owned(),
                self.config_directory.to_string_lossy().into_owned(),
                // Keeps slapd in the foreground and sends the stats log to standard error.
                "-d".to_owned(),
                "stats".to_owned(),
            ],
            log: &self.log_file,
            environment: &owner.environment,
            remove_with_owner: owner.remove.as_deref(),
        };
        let process =
            if owner.detached { Process::detached(&launch) } else { Process::guarded(&launch) }.map_err(StartFailure::Other)?;
        let begin = Instant::now();
        while UnixStream::connect(&self.socket).is_err() {
            if !process.mark.is_alive() {
                let log = std::fs::read(&self.log_file).unwrap_or_default();
                let begin = usize::try_from(logged_before).unwrap_or(usize::MAX);
                let text = String::from_utf8_lossy(log.get(begin..).unwrap_or_default());
                if text.contains(PORT_TAKEN) {
                    return Err(StartFailure::PortTaken);
                }
                return Err(StartFailure::Other(self.not_started(format!("it ended and said: {}", tail(&self.log_file)))));
            }
            if begin.elapsed() > START_TIMEOUT {
                process.kill();
                return Err(StartFailure::Other(
                    self.not_started(format!("it did not listen within {} seconds", START_TIMEOUT.as_secs())),
                ));
            }
            pause();
        }
        Ok(process)
    }

    fn not_started(&self, reason: String) -> Error {
        Error::NotStarted { store: self.flavour.name().to_owned(), reason, log: self.log_file.clone() }
    }

    /// A program of ldap-utils (`ldapsearch`, `ldapmodify`, ...) that connects by LDAPS and binds
    /// as `role`; the caller adds arguments.
    ///
    /// # Errors
    /// [`Error::ProgramMissing`], or [`Error::Answer`] when the store has no such identity.
    pub fn client(&self, program: &'static str, role: Role) -> Result<Command, Error> {
        let identity = self.identities.get(&role).ok_or_else(|| Error::Answer {
            store: self.flavour.name().to_owned(),
            question: "who may bind",
            answer: format!("no identity for the role {}", role.name()),
        })?;
        let mut command = self.anonymous(program)?;
        command.arg("-D").arg(&identity.dn).arg("-y").arg(&identity.password_file);
        Ok(command)
    }

    /// Changes the server's `cn=config` by change records (LDIF), as the local administrator does:
    /// `ldapmodify` with SASL EXTERNAL over the local socket.
    ///
    /// # Errors
    /// [`Error::Program`] with the server's message, or a program that is missing.
    pub fn configure(&self, ldif: &str) -> Result<(), Error> {
        let mut command = Command::new(find_program("ldapmodify")?);
        command.args(["-Q", "-Y", "EXTERNAL", "-H", &self.ldapi_url]);
        let output = feed("ldapmodify", command, ldif)?;
        succeed("ldapmodify", "changed the configuration", &output)
    }

    /// A program of ldap-utils that connects by LDAPS and binds as nobody.
    ///
    /// # Errors
    /// [`Error::ProgramMissing`].
    pub fn anonymous(&self, program: &'static str) -> Result<Command, Error> {
        let mut command = Command::new(find_program(program)?);
        command.env("LDAPTLS_CACERT", &self.ca_file).args(["-x", "-H", &self.ldaps_url]);
        Ok(command)
    }
}

/// Process of the server whose directory this is, found by slapd's own process id file and the
/// configuration directory among its arguments.
pub(super) fn running(directory: &Path) -> Option<ProcessMark> {
    let text = std::fs::read_to_string(directory.join(PID_FILE)).ok()?;
    ProcessMark::with_argument(text.trim().parse().ok()?, &directory.join(CONFIG_DIRECTORY))
}

/// Why a start did not succeed: a taken port is worth another try.
enum StartFailure {
    PortTaken,
    Other(Error),
}

/// URL of a local socket: the path is percent-encoded, slashes included.
fn socket_url(path: &Path) -> String {
    let mut url = String::from("ldapi://");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            url.push(char::from(*byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// What a server is put together from.
pub(super) struct Parts {
    pub(super) description: StoreDescription,
    pub(super) temporary: Option<TempDir>,
    pub(super) authority: Option<Arc<Authority>>,
    pub(super) owner: Owner,
}

/// What a server's process has to do with the one that starts it.
#[derive(Debug, Default)]
pub(super) struct Owner {
    /// It outlives it.
    pub(super) detached: bool,
    /// Directory to remove when the owner dies without stopping the process.
    pub(super) remove: Option<PathBuf>,
    /// Variables beside the owner's.
    pub(super) environment: Vec<(OsString, OsString)>,
}

/// A real slapd on loopback. Dropping it stops exactly its process; so does the end of the
/// process that owns it.
#[derive(Debug)]
pub struct Server {
    description: StoreDescription,
    // Declared before the directory: the process ends first.
    process: Option<Process>,
    authority: Option<Arc<Authority>>,
    owner: Owner,
    _temporary: Option<TempDir>,
}

impl Server {
    /// Begins a server of this flavour; [`Builder::start`] makes it.
    #[must_use]
    pub fn builder(flavour: Flavour) -> Builder {
        Builder::new(flavour)
    }

    pub(super) fn from_parts(parts: Parts) -> Self {
        Self {
            description: parts.description,
            process: None,
            authority: parts.authority,
            owner: parts.owner,
            _temporary: parts.temporary,
        }
    }

    /// Chooses free ports and starts; tries others when somebody took one in between.
    pub(super) fn first_start(&mut self, attempts: u32) -> Result<(), Error> {
        for _ in 0..attempts {
            // Both are held until both are known, so they differ.
            let plain = TcpListener::bind(("127.0.0.1", 0)).map_err(Error::Port)?;
            let tls = TcpListener::bind(("127.0.0.1", 0)).map_err(Error::Port)?;
            let plain_port = plain.local_addr().map_err(Error::Port)?.port();
            let tls_port = tls.local_addr().map_err(Error::Port)?.port();
            self.description.ldap_url = format!("ldap://127.0.0.1:{plain_port}");
            self.description.ldaps_url = format!("ldaps://127.0.0.1:{tls_port}");
            drop((plain, tls));
            match self.try_start() {
                Ok(()) => return Ok(()),
                Err(StartFailure::PortTaken) => {}
                Err(StartFailure::Other(error)) => return Err(error),
            }
        }
        Err(self.description.not_started(format!("its ports were taken {attempts} times")))
    }

    /// Variables of the server's process from its next start on; see [`super::Calendar::environment`].
    pub fn set_environment(&mut self, environment: Vec<(OsString, OsString)>) {
        self.owner.environment = environment;
    }

    fn try_start(&mut self) -> Result<(), StartFailure> {
        let process = self.description.launch(&self.owner)?;
        self.description.process = Some(process.mark);
        self.process = Some(process);
        Ok(())
    }

    /// Starts a stopped or killed server again, on the same ports and data. Does nothing when it
    /// runs.
    ///
    /// # Errors
    /// [`Error::NotStarted`].
    pub fn start(&mut self) -> Result<(), Error> {
        if self.is_running() {
            return Ok(());
        }
        self.process = None;
        let begin = Instant::now();
        loop {
            match self.try_start() {
                Ok(()) => return Ok(()),
                Err(StartFailure::Other(error)) => return Err(error),
                // An outgoing connection of anybody may hold the port for a moment.
                Err(StartFailure::PortTaken) if begin.elapsed() < START_TIMEOUT => pause(),
                Err(StartFailure::PortTaken) => {
                    return Err(self.description.not_started("somebody else holds one of its ports".to_owned()));
                }
            }
        }
    }

    /// Ends the server in good order; [`Server::start`] brings it back. Does nothing when it does
    /// not run.
    ///
    /// # Errors
    /// [`Error::NotStopped`].
    pub fn stop(&mut self) -> Result<(), Error> {
        self.description.process = None;
        match self.process.take() {
            Some(process) => process.stop(self.description.flavour.name()),
            None => Ok(()),
        }
    }

    /// Ends the server as `kill -9` does; [`Server::start`] brings it back.
    pub fn kill(&mut self) {
        self.description.process = None;
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Stops and starts again, on the same ports and data.
    ///
    /// # Errors
    /// [`Error::NotStopped`] or [`Error::NotStarted`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.start()
    }

    /// Freezes the server (SIGSTOP): connections stay open and nothing is answered.
    pub fn suspend(&self) {
        if let Some(process) = &self.process {
            process.mark.signal(Signal::STOP);
        }
    }

    /// Lets a frozen server go on (SIGCONT).
    pub fn resume(&self) {
        if let Some(process) = &self.process {
            process.mark.signal(Signal::CONT);
        }
    }

    /// Whether the server's process lives.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.mark.is_alive())
    }

    /// Addresses, identities and files of the server.
    #[must_use]
    pub fn description(&self) -> &StoreDescription {
        &self.description
    }

    /// Which store it is.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.description.flavour
    }

    /// Suffix of the main database.
    #[must_use]
    pub fn suffix(&self) -> &str {
        &self.description.suffix
    }

    /// `ldaps://127.0.0.1:PORT`.
    #[must_use]
    pub fn ldaps_url(&self) -> &str {
        &self.description.ldaps_url
    }

    /// `ldap://127.0.0.1:PORT`, for StartTLS.
    #[must_use]
    pub fn ldap_url(&self) -> &str {
        &self.description.ldap_url
    }

    /// `ldapi://` with the percent-encoded path of the socket.
    #[must_use]
    pub fn ldapi_url(&self) -> &str {
        &self.description.ldapi_url
    }

    /// Certificate of the authority to trust, in PEM.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.description.ca_file
    }

    /// Authority that issued the server's certificate.
    #[must_use]
    pub fn authority(&self) -> Option<&Arc<Authority>> {
        self.authority.as_ref()
    }

    /// DN of the role in this store.
    #[must_use]
    pub fn dn(&self, role: Role) -> String {
        role.dn(&self.description.suffix)
    }

    /// Password of the role in this store.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn password(&self, role: Role) -> Result<String, Error> {
        match self.description.identities.get(&role) {
            Some(identity) => identity.password(),
            None => Ok(String::new()),
        }
    }

    /// Stats log.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.description.log_file
    }

    /// Directory with everything of the server.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.description.directory
    }

    /// See [`StoreDescription::client`].
    ///
    /// # Errors
    /// [`Error::ProgramMissing`].
    pub fn client(&self, program: &'static str, role: Role) -> Result<Command, Error> {
        self.description.client(program, role)
    }

    /// Runs `ldapsearch -LLL` as `role` with further arguments.
    ///
    /// # Errors
    /// [`Error::ProgramMissing`] or [`Error::Spawn`]; the server's own refusals are in the output.
    pub fn search(&self, role: Role, arguments: &[&str]) -> Result<Output, Error> {
        self.client("ldapsearch", role)?
            .args(["-LLL", "-o", "ldif-wrap=no"])
            .args(arguments)
            .output()
            .map_err(|source| Error::Spawn { program: "ldapsearch", source })
    }

    /// Runs `ldapmodify` as `role` with further arguments on `ldif`, which may hold any change
    /// record; the exit code is the LDAP result code.
    ///
    /// # Errors
    /// [`Error::ProgramMissing`] or [`Error::Spawn`]; the server's own refusals are in the output.
    pub fn modify(&self, role: Role, arguments: &[&str], ldif: &str) -> Result<Output, Error> {
        let mut command = self.client("ldapmodify", role)?;
        command.args(arguments);
        feed("ldapmodify", command, ldif)
    }

    /// Loads entries (LDIF without change types) over the wire as the root DN.
    ///
    /// # Errors
    /// [`Error::Program`] with the server's message, or a program that is missing.
    pub fn add(&self, ldif: &str) -> Result<(), Error> {
        let output = self.modify(Role::Root, &["-a"], ldif)?;
        succeed("ldapmodify", "added entries", &output)
    }

    /// See [`StoreDescription::configure`].
    ///
    /// # Errors
    /// [`Error::Program`] with the server's message, or a program that is missing.
    pub fn configure(&self, ldif: &str) -> Result<(), Error> {
        self.description.configure(ldif)
    }

    /// Full dump of the main database, operational attributes included, by `slapcat`; it works
    /// while the server runs.
    ///
    /// # Errors
    /// [`Error::Program`], or a program that is missing.
    pub fn dump(&self) -> Result<String, Error> {
        self.slapcat(&self.description.suffix)
    }

    /// Full dump of the database with `suffix`, such as `cn=accesslog` or `cn=config`.
    ///
    /// # Errors
    /// [`Error::Program`], or a program that is missing.
    pub fn slapcat(&self, suffix: &str) -> Result<String, Error> {
        let output = Command::new(find_program("slapcat")?)
            .args(["-o", "ldif-wrap=no", "-b", suffix, "-F"])
            .arg(&self.description.config_directory)
            .output()
            .map_err(|source| Error::Spawn { program: "slapcat", source })?;
        if !output.status.success() {
            return Err(Error::Program {
                program: "slapcat",
                operation: format!("dumped {suffix}"),
                message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Runs a program to its end with `input` on standard input.
fn feed(program: &'static str, mut command: Command, input: &str) -> Result<Output, Error> {
    let failed = |source| Error::Spawn { program, source };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    std::thread::scope(|scope| {
        if let Some(mut pipe) = child.stdin.take() {
            // A thread of its own: the program may say much before it has read everything. A refused
            // bind closes the pipe early; the output says so.
            scope.spawn(move || {
                let _ = pipe.write_all(input.as_bytes());
            });
        }
        child.wait_with_output().map_err(failed)
    })
}

/// Turns a program's failure into an error with what it said.
fn succeed(program: &'static str, operation: &str, output: &Output) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program {
        program,
        operation: operation.to_owned(),
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
