//! A laboratory that outlives the command that starts it: a pair of detached servers in a
//! directory, described by `lab.json`.
//!
//! It does not know how data are generated: the caller hands that in.

use super::pair::start_both;
use super::process::stop_marked;
use super::server::{Owner, Parts};
use super::tool::{CONFIGURATION_FILE, PEOPLE_DIRECTORY, STATE_DIRECTORY};
use super::{Authority, Error, Flavour, ProcessMark, Role, Server, StoreDescription};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the file that describes a laboratory.
pub const DESCRIPTION_FILE: &str = "lab.json";
/// Value of [`Description::schema`].
const SCHEMA: &str = "untether.lab/1";
/// Lock of the directory; it also marks the directory as a laboratory's.
const LOCK_FILE: &str = "lab.lock";
/// Subdirectory with the generated data.
const DATA_DIRECTORY: &str = "data";
/// Certificate of the laboratory's authority.
const CA_FILE: &str = "ca.pem";
/// People that are generated when nobody says how many.
const DEFAULT_PEOPLE: u32 = 2_000;
/// Seed that is used when nobody gives one.
const DEFAULT_SEED: u64 = 1;

/// Everything there is to know of a laboratory; the content of `lab.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// `untether.lab/1`.
    pub schema: String,
    /// What the data were generated from.
    pub data: DataSource,
    /// Directory with the generated data: the roster and the ground truth are there.
    pub data_directory: PathBuf,
    /// Certificate of the authority that issued both servers' certificates, in PEM.
    pub ca_file: PathBuf,
    /// The store being left.
    pub shared: StoreDescription,
    /// The store being moved to.
    pub independent: StoreDescription,
}

/// What the data of a laboratory are generated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Number of people.
    pub people: u32,
    /// Seed of everything drawn at random.
    pub seed: u64,
    /// Whether `cn=config` holds links between the stores, and the access log copies of passwords.
    pub links: bool,
}

impl std::fmt::Display for DataSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} people, seed {}", self.people, self.seed)?;
        if self.links {
            formatter.write_str(", links")?;
        }
        Ok(())
    }
}

impl Description {
    /// Reads the description of the laboratory in `directory`.
    ///
    /// # Errors
    /// [`Error::NoLaboratory`], [`Error::File`] or [`Error::Description`].
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(DESCRIPTION_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoLaboratory { directory: directory.to_owned() });
            }
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        serde_json::from_slice(&text).map_err(|source| Error::Description { path, source })
    }

    /// Both stores.
    #[must_use]
    pub fn stores(&self) -> [&StoreDescription; 2] {
        [&self.shared, &self.independent]
    }

    fn stores_mut(&mut self) -> [&mut StoreDescription; 2] {
        [&mut self.shared, &mut self.independent]
    }

    /// Replaces the file in one step, so that a reader never sees half of it.
    fn write(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(DESCRIPTION_FILE);
        let partial = directory.join("lab.json.new");
        let mut text = serde_json::to_vec_pretty(self).map_err(|source| Error::Description { path: path.clone(), source })?;
        text.push(b'\n');
        std::fs::write(&partial, text).map_err(Error::file("write", &partial))?;
        std::fs::rename(&partial, &path).map_err(Error::file("write", &path))
    }
}

/// What `up` is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpOptions {
    /// Number of people (default: those of the laboratory that is there, else 2,000).
    pub people: Option<u32>,
    /// Seed of the data (default: that of the laboratory that is there, else 1).
    pub seed: Option<u64>,
    /// Plants links in `cn=config` and copies in the access log (default: as in the laboratory that is
    /// there, else not).
    pub links: Option<bool>,
    /// Throws away what is there and begins anew.
    pub fresh: bool,
    /// Makes servers on which the tool's identities have no rights yet; see [`super::Builder::bare`].
    pub bare: bool,
}

/// What `up` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpOutcome {
    /// A new laboratory was made and started.
    Created(Description),
    /// A stopped laboratory was started again, with its data and ports.
    Resumed(Description),
    /// It was running already.
    Running(Description),
}

impl UpOutcome {
    /// The laboratory, whatever had to be done for it.
    #[must_use]
    pub const fn description(&self) -> &Description {
        match self {
            Self::Created(description) | Self::Resumed(description) | Self::Running(description) => description,
        }
    }
}

/// What one store of a laboratory is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreStatus {
    /// Its process lives; the count is the database's own.
    Running {
        /// Process id.
        pid: i32,
        /// Entries in the main database.
        entries: u64,
    },
    /// It has no process.
    Stopped,
}

/// Writes `shared.ldif`, `independent.ldif` and the rest of the data into a directory; the error
/// is a message.
pub type Generate<'a> = dyn Fn(DataSource, &Path) -> Result<(), String> + 'a;

/// A laboratory's directory.
#[derive(Debug, Clone)]
pub struct Laboratory {
    directory: PathBuf,
}

impl Laboratory {
    /// The laboratory in `directory`, which need not exist yet.
    #[must_use]
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Makes the laboratory, or starts what is there again; does nothing when it runs.
    ///
    /// # Errors
    /// A directory that is not a laboratory's, other data than asked for, failing generation, or
    /// whatever [`super::Builder::start`] says.
    pub fn up(&self, options: UpOptions, generate: &Generate<'_>) -> Result<UpOutcome, Error> {
        let directory = self.claim()?;
        let _lock = lock(&directory)?;
        match Description::read(&directory) {
            Ok(description) if !options.fresh => {
                self.check(&directory, description.data, options)?;
                return resume(&directory, description);
            }
            // Without a usable description the servers are found by their process id files.
            Ok(_) | Err(Error::NoLaboratory { .. } | Error::Description { .. }) => {}
            Err(error) => return Err(error),
        }
        clear(&directory)?;
        create(&directory, options, generate).map(UpOutcome::Created)
    }

    /// Stops exactly the servers of this laboratory and keeps its data. Returns the stores that
    /// were stopped; none when nothing ran.
    ///
    /// # Errors
    /// [`Error::NotStopped`], or a directory that cannot be read or written.
    pub fn down(&self) -> Result<Vec<Flavour>, Error> {
        let Ok(directory) = self.directory.canonicalize() else {
            return Ok(Vec::new());
        };
        if !directory.join(LOCK_FILE).exists() {
            return Ok(Vec::new());
        }
        let _lock = lock(&directory)?;
        let stopped = stop_servers(&directory)?;
        match Description::read(&directory) {
            Ok(mut description) => {
                for store in description.stores_mut() {
                    store.process = None;
                }
                description.write(&directory)?;
            }
            Err(Error::NoLaboratory { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(stopped)
    }

    /// Stops the servers and removes everything that belongs to the laboratory; files of others
    /// in the directory stay.
    ///
    /// # Errors
    /// As [`Laboratory::down`].
    pub fn purge(&self) -> Result<Vec<Flavour>, Error> {
        let Ok(directory) = self.directory.canonicalize() else {
            return Ok(Vec::new());
        };
        if !directory.join(LOCK_FILE).exists() {
            return Ok(Vec::new());
        }
        let _lock = lock(&directory)?;
        let stopped = stop_servers(&directory)?;
        clear(&directory)?;
        let lock_file = directory.join(LOCK_FILE);
        std::fs::remove_file(&lock_file).map_err(Error::file("remove", &lock_file))?;
        // Fails, as it should, when others have files there.
        let _ = std::fs::remove_dir(&directory);
        Ok(stopped)
    }

    /// What each store is doing.
    ///
    /// # Errors
    /// [`Error::NoLaboratory`], or [`Error::Answer`] from a server that runs but does not answer.
    pub fn status(&self) -> Result<Vec<(StoreDescription, StoreStatus)>, Error> {
        let description = Description::read(&self.directory)?;
        let mut rows = Vec::new();
        for store in description.stores() {
            let status = match store.process.filter(ProcessMark::is_alive) {
                Some(mark) => StoreStatus::Running { pid: mark.pid, entries: entry_count(store)? },
                None => StoreStatus::Stopped,
            };
            rows.push((store.clone(), status));
        }
        Ok(rows)
    }

    /// Makes the directory; refuses one that holds anything but a laboratory.
    fn claim(&self) -> Result<PathBuf, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).map_err(Error::file("make", &self.directory))?;
        let directory = self.directory.canonicalize().map_err(Error::file("find", &self.directory))?;
        let mut files = std::fs::read_dir(&directory).map_err(Error::file("read", &directory))?;
        if !directory.join(LOCK_FILE).exists() && files.next().is_some() {
            return Err(Error::ForeignDirectory { directory });
        }
        Ok(directory)
    }

    fn check(&self, directory: &Path, made: DataSource, options: UpOptions) -> Result<(), Error> {
        let asked = DataSource {
            people: options.people.unwrap_or(made.people),
            seed: options.seed.unwrap_or(made.seed),
            links: options.links.unwrap_or(made.links),
        };
        if asked == made {
            return Ok(());
        }
        Err(Error::OtherData { directory: directory.to_owned(), made: made.to_string(), asked: asked.to_string() })
    }
}

/// Holds the directory for one command.
fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK_FILE);
    let file = File::options().create(true).append(true).open(&path).map_err(Error::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Error::file("lock", path)(source)),
    }
}

fn create(directory: &Path, options: UpOptions, generate: &Generate<'_>) -> Result<Description, Error> {
    let data = DataSource {
        people: options.people.unwrap_or(DEFAULT_PEOPLE),
        seed: options.seed.unwrap_or(DEFAULT_SEED),
        links: options.links.unwrap_or(false),
    };
    let data_directory = directory.join(DATA_DIRECTORY);
    generate(data, &data_directory).map_err(|message| Error::Generate { directory: data_directory.clone(), message })?;
    let ca_file = directory.join(CA_FILE);
    let authority = Arc::new(Authority::create("Laboratory CA", &ca_file)?);
    let prepare = |flavour: Flavour| {
        let path = directory.join(flavour.name());
        let builder = Server::builder(flavour).authority(&authority).generated(&data_directory).directory(path).detached();
        if options.bare { builder.bare() } else { builder }
    };
    let (shared, independent) = start_both(prepare(Flavour::Shared), prepare(Flavour::Independent))?;
    let description = Description {
        schema: SCHEMA.to_owned(),
        data,
        data_directory,
        ca_file,
        shared: shared.description().clone(),
        independent: independent.description().clone(),
    };
    description.write(directory)?;
    Ok(description)
}

/// Starts those servers of a known laboratory that do not run.
fn resume(directory: &Path, mut description: Description) -> Result<UpOutcome, Error> {
    let mut started = false;
    for store in description.stores_mut() {
        if store.process.is_some_and(|mark| mark.is_alive()) {
            continue;
        }
        let mut server = Server::from_parts(Parts {
            description: store.clone(),
            temporary: None,
            authority: None,
            owner: Owner { detached: true, ..Owner::default() },
        });
        server.start()?;
        *store = server.description().clone();
        started = true;
    }
    if !started {
        return Ok(UpOutcome::Running(description));
    }
    description.write(directory)?;
    Ok(UpOutcome::Resumed(description))
}

/// Stops the servers whose configuration lies in this directory, also those of an `up` that was
/// interrupted before it could describe them.
fn stop_servers(directory: &Path) -> Result<Vec<Flavour>, Error> {
    let mut stopped = Vec::new();
    for flavour in Flavour::ALL {
        if let Some(mark) = super::server::running(&directory.join(flavour.name())) {
            stop_marked(mark, flavour.name())?;
            stopped.push(flavour);
        }
    }
    Ok(stopped)
}

/// Stops the servers and removes what belongs to the laboratory, except its lock.
fn clear(directory: &Path) -> Result<(), Error> {
    stop_servers(directory)?;
    if let Ok(description) = Description::read(directory) {
        for store in description.stores() {
            store.remove_socket_directory();
        }
    }
    let names = Flavour::ALL.map(Flavour::name);
    // What the tool knows of a laboratory that is gone would contradict the next one.
    for name in names.into_iter().chain([DATA_DIRECTORY, STATE_DIRECTORY, PEOPLE_DIRECTORY]) {
        let path = directory.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", path)(error));
            }
            _ => {}
        }
    }
    for name in [CA_FILE, DESCRIPTION_FILE, CONFIGURATION_FILE] {
        let path = directory.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The main database's own count of its entries (`olmMDBEntries` in `cn=Monitor`).
fn entry_count(store: &StoreDescription) -> Result<u64, Error> {
    let question = "the number of its entries";
    let unusable = |answer: String| Error::Answer { store: store.flavour.name().to_owned(), question, answer };
    let output = store
        .client("ldapsearch", Role::Reader)?
        .args(["-LLL", "-o", "nettimeout=10", "-b", "cn=Databases,cn=Monitor"])
        .arg(format!("(namingContexts={})", store.suffix))
        .arg("olmMDBEntries")
        .output()
        .map_err(|source| Error::Spawn { program: "ldapsearch", source })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(unusable(message.trim().to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("olmMDBEntries: "))
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| unusable(text.clone()))
}
