//! What a store can do with our writing and undoing binds, asked without changing anything (critical no-op).

use untether_directory::{Control, Read};
use untether_model::policy::Capabilities;
use untether_model::{AttrName, Side};

use crate::config::Config;
use crate::error::CliError;
use crate::rights::{Facts, Grant, Level, Role, grants};
use crate::wiring::asking::{Answer, may_write, sample};
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
    let needed = grants(config, side, Facts::default());
    found.no_op = allowed(config, side, (Role::Write, Level::Write), &needed).await?;
    found.manage = allowed(config, side, (Role::Undo, Level::Manage), &needed).await?;
    Ok(Some(found))
}

/// Whether an identity has what it needs at this level, on some account where it needs it. Where nobody is there to ask about, it
/// counts as lacking, and plans promise no more than that.
async fn allowed(config: &Config, side: Side, (role, level): (Role, Level), needed: &[Grant]) -> Result<bool, CliError> {
    let Some(bind) = role.bind(config, side) else { return Ok(false) };
    let read = reader(config, side)?;
    let identity = client(config, side, bind, &format!("[{side}.{role}]"))?;
    // An attribute of the password policy is where the rights differ most.
    let attr = AttrName::new(if level == Level::Manage { "pwdHistory" } else { "pwdEndTime" });
    for grant in needed.iter().filter(|g| g.role == role && g.level == level && g.attrs.has(&attr)) {
        let Some(entry) = sample(config, side, &read, &grant.place).await? else { continue };
        return Ok(match may_write(&identity, &entry, &attr, level == Level::Manage).await {
            Answer::Allowed => true,
            Answer::Denied | Answer::Undefined | Answer::NoControl => false,
            Answer::Other(why) => {
                tracing::info!("what {role} may do in the {side} store is not known: {why}");
                false
            }
        });
    }
    Ok(false)
}
