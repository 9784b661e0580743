//! Connections: a few that many operations share, and some that each serve one search or transaction at a time.
//!
//! Everything here is bounded: connections, operations in flight on each, and the time for which a place is waited for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use untether_directory::{DirectoryError, Failure};

use crate::connection::{Connection, Connector};
use crate::outcome::Subject;

/// Connections that many operations share, each with at most `in_flight` of them.
pub(crate) struct Shared {
    places: Semaphore,
    slots: Vec<Slot>,
    used: Mutex<Vec<usize>>,
    wait: Duration,
}

#[derive(Default)]
struct Slot {
    state: tokio::sync::Mutex<SlotState>,
    attempts: std::sync::atomic::AtomicU64,
}

#[derive(Default)]
struct SlotState {
    connection: Option<Arc<Connection>>,
    failed: Option<DirectoryError>,
}

/// A place in a shared connection; given back when dropped.
pub(crate) struct Place<'a> {
    pool: &'a Shared,
    slot: usize,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

/// Nothing that panics runs under these locks, and their data is valid at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_place(subject: Subject<'_>, wait: Duration) -> DirectoryError {
    subject
        .error(Failure::Busy, format!("no connection was free within {} s; nothing was sent", wait.as_secs_f32()))
        .with_hint("the server answers slowly; lower the concurrency or raise the number of connections")
}

impl Shared {
    pub(crate) fn new(connections: usize, in_flight: usize, wait: Duration) -> Self {
        Self {
            places: Semaphore::new(connections.saturating_mul(in_flight)),
            slots: (0..connections).map(|_| Slot::default()).collect(),
            used: Mutex::new(vec![0; connections]),
            wait,
        }
    }

    /// Waits for a place, within the bound.
    pub(crate) async fn place(&self, subject: Subject<'_>) -> Result<Place<'_>, DirectoryError> {
        let permit = match timeout(self.wait, self.places.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(no_place(subject, self.wait)),
        };
        let mut used = lock(&self.used);
        let slot = used.iter().enumerate().min_by_key(|(_, count)| **count).map_or(0, |(slot, _)| slot);
        if let Some(count) = used.get_mut(slot) {
            *count += 1;
        }
        drop(used);
        Ok(Place { pool: self, slot, _permit: permit })
    }
}

impl Place<'_> {
    /// The connection of this place, opened (again) if need be.
    pub(crate) async fn connection(&self, connector: &Connector) -> Result<Arc<Connection>, DirectoryError> {
        use std::sync::atomic::Ordering::SeqCst;
        let Some(slot) = self.pool.slots.get(self.slot) else {
            return Err(no_place(Subject::new(connector.side, "connect"), self.pool.wait));
        };
        let seen = slot.attempts.load(SeqCst);
        let mut state = slot.state.lock().await;
        // Only the slot itself holds a connection that nothing is in flight on.
        if state.connection.as_ref().is_some_and(|connection| Arc::strong_count(connection) == 1) {
            // Lets the driving task see that the server has closed an idle connection, before something is sent into it.
            // The first turn wakes the task, the second lets it run.
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
            if state.connection.as_ref().is_some_and(|connection| !connection.is_fresh()) {
                state.connection = None;
            }
        }
        if let Some(connection) = state.connection.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(connection));
        }
        // Whoever waited while somebody else tried in vain shares that answer: a silent server costs one timeout, not one each.
        if slot.attempts.load(SeqCst) != seen
            && let Some(error) = &state.failed
        {
            return Err(error.clone());
        }
        let opened = connector.open().await;
        slot.attempts.fetch_add(1, SeqCst);
        match opened {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *state = SlotState { connection: Some(Arc::clone(&connection)), failed: None };
                Ok(connection)
            }
            Err(error) => {
                *state = SlotState { connection: None, failed: Some(error.clone()) };
                Err(error)
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(count) = lock(&self.pool.used).get_mut(self.slot) {
            *count = count.saturating_sub(1);
        }
    }
}

/// As whom a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenedAs {
    /// The client's identity.
    Own,
    /// Nobody.
    Nobody,
}

/// Connections that each serve one search, one transaction or one probe at a time.
pub(crate) struct Exclusive {
    opened_as: OpenedAs,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    wait: Duration,
}

/// A connection of one's own, kept for the next one if it is given back.
pub(crate) struct Own {
    pool: Arc<Exclusive>,
    connection: Option<Connection>,
    /// Whether it served somebody before: the server may have closed it meanwhile.
    pub(crate) used_before: bool,
    _permit: OwnedSemaphorePermit,
}

impl Exclusive {
    pub(crate) fn new(opened_as: OpenedAs, connections: usize, wait: Duration) -> Arc<Self> {
        Arc::new(Self { opened_as, permits: Arc::new(Semaphore::new(connections)), idle: Mutex::new(Vec::new()), wait })
    }

    /// An idle connection or a new one; waits for one to become free within the bound.
    pub(crate) async fn take(self: &Arc<Self>, connector: &Connector, subject: Subject<'_>) -> Result<Own, DirectoryError> {
        let permit = match timeout(self.wait, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(no_place(subject, self.wait)),
        };
        tokio::task::yield_now().await;
        let idle = {
            let mut idle = lock(&self.idle);
            idle.retain(|connection| connection.is_open() && connection.is_fresh());
            idle.pop()
        };
        let used_before = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open(connector).await?,
        };
        Ok(Own { pool: Arc::clone(self), connection: Some(connection), used_before, _permit: permit })
    }

    async fn open(&self, connector: &Connector) -> Result<Connection, DirectoryError> {
        match self.opened_as {
            OpenedAs::Own => connector.open().await,
            OpenedAs::Nobody => connector.open_unbound().await,
        }
    }
}

impl Own {
    /// The connection; `None` once it was given back.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Keeps the connection for the next one. Without this it is closed when dropped.
    pub(crate) fn give_back(mut self) {
        if let Some(connection) = self.connection.take().filter(Connection::is_open) {
            lock(&self.pool.idle).push(connection);
        }
    }

    /// Opens a new connection in place of the one held.
    pub(crate) async fn renew(&mut self, connector: &Connector) -> Result<(), DirectoryError> {
        self.connection = None;
        self.used_before = false;
        self.connection = Some(self.pool.open(connector).await?);
        Ok(())
    }
}
