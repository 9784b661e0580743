//! What can go wrong while a laboratory is made, started or stopped.

use std::path::PathBuf;

/// Failure of a laboratory operation; each variant names the operation and its object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read, written or made.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A program of OpenLDAP is not installed.
    #[error(
        "the program {program} was not found in PATH, /usr/sbin or /usr/local/sbin; \
         install the packages slapd, ldap-utils and slapd-contrib (scripts/lab does it)"
    )]
    ProgramMissing {
        /// Name of the program.
        program: &'static str,
    },
    /// A file that comes with the packages of OpenLDAP is missing.
    #[error(
        "{} is missing; install the packages slapd and slapd-contrib (scripts/lab does it)",
        path.display()
    )]
    PackageFileMissing {
        /// The missing file.
        path: PathBuf,
    },
    /// A program could not be started at all.
    #[error("cannot start {program}")]
    Spawn {
        /// Name of the program.
        program: &'static str,
        /// The operating system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed while it {operation}: {message}")]
    Program {
        /// Name of the program.
        program: &'static str,
        /// What it was doing.
        operation: String,
        /// The end of what it said on standard error.
        message: String,
    },
    /// A server ended, or did not listen in time.
    #[error("the {store} server did not start: {reason}; its log is {}", log.display())]
    NotStarted {
        /// Name of the store.
        store: String,
        /// Why, with the end of the log.
        reason: String,
        /// Log file of the server.
        log: PathBuf,
    },
    /// A running server did not end in time.
    #[error("the {store} server (process {pid}) did not stop within {seconds} seconds")]
    NotStopped {
        /// Name of the store.
        store: String,
        /// Its process.
        pid: i32,
        /// How long was waited.
        seconds: u64,
    },
    /// An operation needs a running server.
    #[error("the {store} server is not running; start it again first")]
    NotRunning {
        /// Name of the store.
        store: String,
    },
    /// A certificate could not be made.
    #[error("cannot make the certificate for {subject}")]
    Certificate {
        /// Whom the certificate is for.
        subject: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// No free port could be reserved on loopback.
    #[error("cannot reserve a free port on 127.0.0.1")]
    Port(#[source] std::io::Error),
    /// The path of the LDAPI socket is longer than the operating system allows.
    #[error(
        "the path {} is too long for a socket ({length} of at most {limit} bytes); \
         set TMPDIR to a shorter directory", path.display()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest that is possible.
        limit: usize,
    },
    /// The description of a laboratory cannot be understood.
    #[error(
        "{} is not a description of a laboratory; stop its servers by hand and remove the \
         directory, or choose another one with --dir",
        path.display()
    )]
    Description {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest of the generated data cannot be understood.
    #[error("{} is not the manifest of generated data; generate the data again", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The laboratory runs with other data than was asked for.
    #[error(
        "the laboratory in {} was made with {made}, not with {asked}; \
         use --fresh to make a new one",
        directory.display()
    )]
    OtherData {
        /// Directory of the laboratory.
        directory: PathBuf,
        /// What it was made with.
        made: String,
        /// What was asked for.
        asked: String,
    },
    /// There is no laboratory in the directory.
    #[error("there is no laboratory in {}; start one with `scripts/lab up`", directory.display())]
    NoLaboratory {
        /// The directory.
        directory: PathBuf,
    },
    /// Another command works on the laboratory.
    #[error(
        "another command is working on the laboratory in {}; wait for it to end",
        directory.display()
    )]
    Busy {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory holds something else.
    #[error(
        "{} is not empty and holds no laboratory; choose another directory with --dir",
        directory.display()
    )]
    ForeignDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// The data could not be generated.
    #[error("cannot generate the data in {}: {message}", directory.display())]
    Generate {
        /// Where the data was to go.
        directory: PathBuf,
        /// The generator's message.
        message: String,
    },
    /// The server answered an administrative question in an unexpected way.
    #[error("the {store} server gave no usable answer to {question}: {answer}")]
    Answer {
        /// Name of the store.
        store: String,
        /// What was asked.
        question: &'static str,
        /// What came back.
        answer: String,
    },
}

impl Error {
    /// Closure that wraps an I/O error with the operation and the path, for `map_err`.
    pub(super) fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}
