//! Stores over the LDAP client, with one connection pool an identity.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use untether_cutover::{Refusal, Store};
use untether_directory::{Outcome, Probe, Read, Secret, Usability, Write};
use untether_ldap::{Bind, Client, Limits, Settings, Timeouts, TlsSettings};
use untether_model::{Dn, Side};

use crate::config::{BindConfig, Config, StoreConfig};
use crate::error::CliError;

/// Accounts that are tried at a time, each on a connection of its own.
const PROBES: usize = 4;

/// One server with the identities that a command needs.
pub struct LiveStore {
    side: Side,
    suffix: Dn,
    read: Client,
    write: Option<Client>,
    undo: Option<Client>,
    /// The shared store: some servers tell account usability only to an identity with more rights than reading.
    prober: Client,
}

/// A client for one bind of a store.
pub fn client(config: &Config, side: Side, bind: &BindConfig, of: &str) -> Result<Client, CliError> {
    let store = config.store(side);
    let settings = settings(config, store, side, bind, of)?;
    Client::new(settings).map_err(|e| CliError::usage(e.to_string()))
}

/// The client for reading, which every command that looks at a server needs.
pub fn reader(config: &Config, side: Side) -> Result<Client, CliError> {
    let store = config.store(side);
    if store.url.is_none() && !store.ldif.is_empty() {
        let what =
            format!("the {side} store is configured as an export (ldif), which can be audited and planned for, but not changed");
        return Err(CliError::usage(what).hint(format!("give the url and the binds of [{side}] instead")));
    }
    let bind = store.read.as_ref();
    let bind = bind.ok_or_else(|| CliError::usage(format!("the configuration gives no [{side}.read] bind")))?;
    client(config, side, bind, &format!("[{side}.read]"))
}

fn settings(config: &Config, store: &StoreConfig, side: Side, bind: &BindConfig, of: &str) -> Result<Settings, CliError> {
    let url = bind.url.clone().or_else(|| store.url.clone());
    let url = url.ok_or_else(|| CliError::usage(format!("the configuration gives no url for {of}")))?;
    let who = match (&bind.dn, &bind.password, bind.external) {
        (None, None, true) => Bind::External,
        (Some(dn), Some(password), false) => Bind::Simple { dn: dn.clone(), secret: password.fetch(of)? },
        _ => {
            return Err(CliError::usage(format!("{of} must give either dn and password, or external = true")));
        }
    };
    let (connect, operation) = store.timeouts();
    Ok(Settings {
        side,
        url,
        tls: TlsSettings { ca_files: store.ca_files.clone(), starttls: store.starttls, server_name: store.server_name.clone() },
        bind: who,
        base: config.audit.store(side).suffix.clone(),
        timeouts: Timeouts { connect, operation },
        limits: Limits {
            page_size: config.audit.page_size,
            connections: config.run.connections,
            message_bytes: store.largest_entry_mib.saturating_mul(1 << 20),
            ..Limits::default()
        },
        allow_plain_loopback: store.allow_plain_loopback,
        transactions: false,
    })
}

impl LiveStore {
    /// Connects nothing yet; a bind that is not configured is missing only where it is needed.
    pub fn open(config: &Config, side: Side) -> Result<Self, CliError> {
        let store = config.store(side);
        let optional = |bind: &Option<BindConfig>, name: &str| {
            bind.as_ref().map(|b| client(config, side, b, &format!("[{side}.{name}]"))).transpose()
        };
        let read = reader(config, side)?;
        let write = optional(&store.write, "write")?;
        let undo = optional(&store.undo, "undo")?;
        let prober = write.clone().unwrap_or_else(|| read.clone());
        Ok(Self { side, suffix: config.audit.store(side).suffix.clone(), read, write, undo, prober })
    }

    /// As cutover takes it; refuses where no writing bind is configured.
    pub fn for_writing(self) -> Result<Arc<dyn Store>, CliError> {
        let side = self.side;
        if self.write.is_none() {
            return Err(CliError::usage(format!("the configuration gives no [{side}.write] bind, which a run needs")));
        }
        Ok(Arc::new(self))
    }
}

/// What account usability says of a refusal, where it says anything.
fn told(usability: Usability) -> Option<Refusal> {
    match usability {
        Usability::Unavailable => Some(Refusal::Refused("account usability: not available".to_owned())),
        Usability::Available => Some(Refusal::LetIn("account usability: available".to_owned())),
        Usability::Unknown => None,
    }
}

impl LiveStore {
    /// Tries to bind: never with a person's password, but with a random wrong one, which tells something only where the server says
    /// "locked".
    async fn wrong_password(&self, dn: &Dn) -> Outcome<Refusal> {
        let mut random = [0_u8; 24];
        if getrandom::fill(&mut random).is_err() {
            return Ok(Refusal::Unknown("the system gives no random bytes for a wrong password".to_owned()));
        }
        let wrong = data_encoding::BASE32_NOPAD.encode(&random);
        let answer = match Secret::new(wrong.into_bytes()) {
            Ok(secret) => Probe::bind(&self.prober, dn, secret.expose()).await?,
            Err(_) => return Ok(Refusal::Unknown("no wrong password could be made".to_owned())),
        };
        Ok(match (answer.locked, answer.code) {
            (true, _) => Refusal::Refused("bind: the server says that the account is locked".to_owned()),
            (false, 0) => Refusal::LetIn("bind: a random password was let in".to_owned()),
            (false, code) => Refusal::Unknown(format!("bind: result {code}, which alone tells nothing")),
        })
    }
}

#[async_trait]
impl Store for LiveStore {
    fn reader(&self) -> &dyn Read {
        &self.read
    }

    fn writer(&self) -> &dyn Write {
        self.write.as_ref().unwrap_or(&self.read)
    }

    fn undoer(&self) -> Option<&dyn Write> {
        self.undo.as_ref().map(|client| client as &dyn Write)
    }

    fn suffix(&self) -> &Dn {
        &self.suffix
    }

    async fn refuses(&self, dn: &Dn) -> Outcome<Refusal> {
        match told(Read::usability(&self.prober, dn).await?) {
            Some(refusal) => Ok(refusal),
            None => self.wrong_password(dn).await,
        }
    }

    async fn refuses_all(&self, names: &[Dn]) -> Outcome<Vec<Refusal>> {
        let usability = self.prober.usability_all(names).await?;
        let ask = |(dn, said)| match told(said) {
            Some(refusal) => futures::future::ready(Ok(refusal)).boxed(),
            None => self.wrong_password(dn).boxed(),
        };
        let asked: Vec<_> = names.iter().zip(usability).map(ask).collect();
        // As many at a time as there are connections for it.
        futures::stream::iter(asked).buffered(PROBES).try_collect().await
    }
}
