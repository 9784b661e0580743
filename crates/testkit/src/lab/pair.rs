//! The two stores of a separation, with one certificate authority.

use super::builder::temporary_directory;
use super::{Authority, Builder, Error, Flavour, Server};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Shared and independent store, both running.
#[derive(Debug)]
pub struct Pair {
    /// The store being left.
    pub shared: Server,
    /// The store being moved to.
    pub independent: Server,
    authority: Arc<Authority>,
    directory: TempDir,
}

impl Pair {
    /// Starts both stores without generated data.
    ///
    /// # Errors
    /// See [`Builder::start`].
    pub fn start() -> Result<Self, Error> {
        Self::builder().start()
    }

    /// Begins a pair; [`PairBuilder::start`] makes it.
    #[must_use]
    pub fn builder() -> PairBuilder {
        PairBuilder { data: None, bare: false, shared: None, independent: None }
    }

    /// Certificate of the authority that issued both servers' certificates, in PEM.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        self.authority.ca_file()
    }

    /// Temporary directory of the pair, where a test may put its own files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

type Bend = Box<dyn FnOnce(Builder) -> Builder + Send>;

/// A pair in the making.
pub struct PairBuilder {
    data: Option<PathBuf>,
    bare: bool,
    shared: Option<Bend>,
    independent: Option<Bend>,
}

impl PairBuilder {
    /// Directory written by the generator; see [`Builder::generated`].
    #[must_use]
    pub fn data(mut self, directory: impl Into<PathBuf>) -> Self {
        self.data = Some(directory.into());
        self
    }

    /// See [`Builder::bare`], of both.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Changes what the shared store is like.
    #[must_use]
    pub fn shared(mut self, bend: impl FnOnce(Builder) -> Builder + Send + 'static) -> Self {
        self.shared = Some(Box::new(bend));
        self
    }

    /// Changes what the independent store is like.
    #[must_use]
    pub fn independent(mut self, bend: impl FnOnce(Builder) -> Builder + Send + 'static) -> Self {
        self.independent = Some(Box::new(bend));
        self
    }

    /// Makes and starts both stores, at the same time.
    ///
    /// # Errors
    /// See [`Builder::start`].
    pub fn start(self) -> Result<Pair, Error> {
        let directory = temporary_directory(false)?;
        let authority = Arc::new(Authority::create("Laboratory CA", &directory.path().join("ca.pem"))?);
        let prepare = |flavour: Flavour, bend: Option<Bend>| {
            let mut builder = Server::builder(flavour)
                .authority(&authority)
                .directory(directory.path().join(flavour.name()))
                .remove_with_owner(directory.path());
            if let Some(data) = &self.data {
                builder = builder.generated(data);
            }
            if self.bare {
                builder = builder.bare();
            }
            match bend {
                Some(bend) => bend(builder),
                None => builder,
            }
        };
        let shared = prepare(Flavour::Shared, self.shared);
        let independent = prepare(Flavour::Independent, self.independent);
        let (shared, independent) = start_both(shared, independent)?;
        Ok(Pair { shared, independent, authority, directory })
    }
}

/// Starts two servers side by side: most of the time goes into loading their content.
pub(super) fn start_both(shared: Builder, independent: Builder) -> Result<(Server, Server), Error> {
    let (shared, independent) = std::thread::scope(|scope| {
        let other = scope.spawn(move || independent.start());
        (shared.start(), other.join())
    });
    let independent = independent.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (shared, independent) {
        (Ok(shared), Ok(independent)) => Ok((shared, independent)),
        // Half a pair is of no use, and a detached half would stay.
        (Ok(mut half), Err(error)) | (Err(error), Ok(mut half)) => {
            half.kill();
            Err(error)
        }
        (Err(error), Err(_)) => Err(error),
    }
}
