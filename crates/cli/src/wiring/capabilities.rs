//! What a store can do with our writing and undoing binds, asked without changing anything (critical no-op).

use untether_directory::{Control, Read, Write, WriteOptions};
use untether_model::change::{Change, Modification};
use untether_model::policy::Capabilities;
use untether_model::{AttrName, Dn, Side};

use crate::config::Config;
use crate::error::CliError;
use crate::wiring::stores::{client, reader};

/// Asks a store; `None` where it was read from an export.
pub async fn probe(config: &Config, side: Side) -> Result<Option<Capabilities>, CliError> {
    let store = config.store(side);
    if store.url.is_none() {
        return Ok(None);
    }
    let features = Read::features(&reader(config, side)?).await?;
    let mut found = Capabilities {
        assertion: features.has_control(Control::ASSERTION),
        read_entry: features.has_control(Control::PRE_READ) && features.has_control(Control::POST_READ),
        // OpenLDAP lists them, but a refused one can leave entries unreadable: the client does not carry them out.
        transactions: false,
        usability: features.has_control(Control::ACCOUNT_USABILITY),
        no_op: false,
        manage: false,
    };
    let audit = config.audit.store(side);
    let target = audit.canary.clone().unwrap_or_else(|| audit.suffix.clone());
    if let Some(bind) = &store.write {
        let writer = client(config, side, bind, &format!("[{side}.write]"))?;
        found.no_op = no_op(&writer, &target, false).await?;
    }
    if let Some(bind) = &store.undo {
        let undoer = client(config, side, bind, &format!("[{side}.undo]"))?;
        found.manage = no_op(&undoer, &target, true).await?;
    }
    Ok(Some(found))
}

/// Whether a modification of this entry would be let through; the server changes nothing. A removal is asked about: after a no-op that
/// writes an attribute for the first time slapd can lose entries.
pub async fn no_op(writer: &impl Write, dn: &Dn, relax: bool) -> Result<bool, CliError> {
    let change = Change::Modify { dn: dn.clone(), mods: vec![Modification::replace(AttrName::new("description"), Vec::new())] };
    let options = WriteOptions { no_op: true, relax, ..WriteOptions::default() };
    match writer.apply(&change, &options).await {
        Ok(_) => Ok(true),
        Err(error) if error.code.is_some() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
