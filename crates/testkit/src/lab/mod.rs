//! Real OpenLDAP servers on loopback, each with a configuration, certificates and databases of
//! its own.
//!
//! [`Pair::start`] gives a shared and an independent store with tool identities that hold
//! realistic rights; [`Server::builder`] gives one of them, bent as a test needs it. A server
//! stops when its value is dropped, and also when the process that owns it dies.
//!
//! The laboratory knows nothing of plans, stages or findings, and nothing of what the generated
//! data means.

mod authority;
mod builder;
mod calendar;
mod configuration;
mod error;
mod identities;
mod laboratory;
mod pair;
mod people;
mod process;
mod rights;
mod server;
mod skeleton;
mod tool;

pub use authority::{Authority, CertificateKind};
pub use builder::Builder;
pub use calendar::Calendar;
pub use configuration::Flavour;
pub use error::Error;
pub use identities::{Identity, Role};
pub use laboratory::{DESCRIPTION_FILE, DataSource, Description, Generate, Laboratory, StoreStatus, UpOptions, UpOutcome};
pub use pair::{Pair, PairBuilder};
pub use people::{Played, play};
pub use process::ProcessMark;
pub use rights::apply_asked_rights;
pub use server::{Server, StoreDescription};
pub use tool::{
    APPROVERS, CONFIGURATION_FILE, IDENTITY_FILE, PEOPLE_DIRECTORY, STATE_DIRECTORY, ToolConfiguration, configure_exports,
};
