//! `untether doctor`: whether everything that a run will need is there, one line a check, each with its fix. Changes nothing.

mod acl;
mod layout;
mod machine;
mod policies;
mod rights;
mod rows;
mod server;

use untether_model::Side;

use crate::command::doctor::rows::{Checks, Verdict};
use crate::command::doctor::server::Clients;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::rights::Role;

/// Checks everything, or writes the rights that the identities need; of one store alone where it is named.
pub async fn run(config: &Config, acl: bool, only: Option<&str>, output: &Output) -> Result<Exit, CliError> {
    let named = |side: &Side| only.is_none_or(|name| side.as_str() == name);
    let sides: Vec<Side> = Side::ALL.into_iter().filter(named).collect();
    if acl {
        return acl::print(config, &sides, output).await;
    }
    // A configuration that cannot be used is refused before anything is asked.
    let clients = sides.iter().map(|side| Ok((*side, Clients::open(config, *side)?))).collect::<Result<Vec<_>, CliError>>()?;
    let mut checks = futures::future::join_all(clients.iter().map(|(side, clients)| store(config, *side, clients))).await;
    if only.is_none() {
        checks.push(machine::check(config));
    }
    let rows = || checks.iter().flat_map(Checks::rows);
    for row in rows() {
        output.row(row);
        output.say(row.to_string());
    }
    let count = |verdict: Verdict| rows().filter(|row| row.result == verdict).count();
    let (failed, unknown) = (count(Verdict::Fail), count(Verdict::Unknown));
    if failed + unknown == 0 {
        output.say("every check passed");
        return Ok(Exit::Done);
    }
    output.say(format!("{failed} checks failed, {unknown} could not be answered"));
    Ok(Exit::Failed)
}

/// All checks of one store; one that fails does not keep the others from being made.
async fn store(config: &Config, side: Side, clients: &Clients) -> Checks {
    let mut checks = Checks::of(side.as_str());
    let Some(read) = &clients.read else {
        server::exports(config, side, &mut checks);
        return checks;
    };
    if !server::connection(clients, read, &mut checks).await {
        return checks;
    }
    let able = server::binds(config, side, clients, &mut checks).await;
    if able.contains(&Role::Read) {
        server::features(read, &mut checks).await;
        server::clock(read, clients.config.as_ref(), &mut checks).await;
        server::limit(read, &mut checks).await;
        server::bases(config, side, read, &mut checks).await;
        rights::reading(config, side, read, &mut checks).await;
        policies::check(config, side, clients, &mut checks).await;
        rights::writing(config, side, (clients, read), &able, &mut checks).await;
    }
    checks
}
