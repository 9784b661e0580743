//! Rights of the tool's identities, as the tool itself asks for them; and rules that a test puts before them.
//!
//! It knows how the tool is called, not what rights it needs: a server that is made bare and treated this way has exactly those.

use super::{Error, Server, StoreDescription};
use std::path::Path;
use std::process::Command;

/// How often the tool is asked: first for the right to read `cn=config`, then for the rest, which it finds by reading that.
const ROUNDS: usize = 2;

/// Configuration entry of a server's main database.
const MAIN: &str = "olcDatabase={1}mdb,cn=config";

/// Applies what `PROGRAM doctor --acl` writes for each of the stores to that store, as its administrator would.
///
/// # Errors
/// [`Error::Spawn`], or [`Error::Program`] with what the tool or the server said.
pub fn apply_asked_rights(program: &Path, configuration: &Path, stores: &[&StoreDescription]) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let all: Vec<_> = stores.iter().map(|store| scope.spawn(|| apply(program, configuration, store))).collect();
        all.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn apply(program: &Path, configuration: &Path, store: &StoreDescription) -> Result<(), Error> {
    let mut said = String::new();
    for _ in 0..ROUNDS {
        let output = Command::new(program)
            .arg("--config")
            .arg(configuration)
            .args(["doctor", "--acl", "--store", store.flavour.name()])
            .output()
            .map_err(|source| Error::Spawn { program: "untether", source })?;
        store.configure(&String::from_utf8_lossy(&output.stdout))?;
        if output.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    Err(Error::Program { program: "untether", operation: "asked for its rights".to_owned(), message: said })
}

impl Server {
    /// Puts an access rule before all others of the main database; it should end in `by * break`.
    ///
    /// # Errors
    /// As [`Server::configure`].
    pub fn rule_first(&self, rule: &str) -> Result<(), Error> {
        let value = data_encoding::BASE64.encode(format!("{{0}}{rule}").as_bytes());
        self.configure(&format!("dn: {MAIN}\nchangetype: modify\nadd: olcAccess\nolcAccess:: {value}\n"))
    }

    /// Gives this `who` of slapd.access(5) a size limit, paged searches included, and takes all other limits of the main database away.
    ///
    /// # Errors
    /// As [`Server::configure`].
    pub fn only_limit(&self, who: &str, entries: u32) -> Result<(), Error> {
        // Without size.prtotal the bound of paged searches would be another one.
        let limit = format!("{{0}}{who} size={entries} size.prtotal={entries}");
        self.configure(&format!("dn: {MAIN}\nchangetype: modify\nreplace: olcLimits\nolcLimits: {limit}\n"))
    }

    /// Takes the first access rule of the main database away.
    ///
    /// # Errors
    /// As [`Server::configure`].
    pub fn drop_first_rule(&self) -> Result<(), Error> {
        self.configure(&format!("dn: {MAIN}\nchangetype: modify\ndelete: olcAccess\nolcAccess: {{0}}\n"))
    }
}
