//! Carries out approved orders: the operation protocol, batches, barriers, gates, throttle.
//!
//! Decides nothing that the plan could have decided. What it cannot know itself it asks through [`ports`]; it imports neither the
//! LDAP client nor the journal nor any display, so its tests build without TLS and without a database.

pub mod act;
pub mod engine;
pub mod error;
pub mod execute;
pub mod gates;
pub mod handover;
pub mod image;
pub mod order;
mod pace;
pub mod ports;
pub mod recorder;
pub mod secret;
pub mod throttle;

pub use engine::{DEFAULT_CEILING, Deliveries, Ended, Engine, PROTECTED_GROUP, RunOptions, Standstill, Stop, Undelivered};
pub use error::CutoverError;
pub use execute::Executor;
pub use handover::{Carried, Held, LeftOut};
pub use order::{Forced, Rollback};
pub use ports::{
    Handover, Hook, Journal, Keyring, LedgerView, PersonNow, Place, Ports, Receipt, Refusal, Roster, RosterNow, RosterTrouble,
    Store, Stores, Time, Way,
};
pub use recorder::{Listener, Recorder};
pub use throttle::Throttle;
