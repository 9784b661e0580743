//! `untether doctor`: whether everything that a run will need is there, one line a check, each with its fix. Changes nothing.

mod acl;
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

/// Checks everything, or prints the access rules that the identities need.
pub async fn run(config: &Config, acl: bool, output: &Output) -> Result<Exit, CliError> {
    if acl {
        acl::print(config, output);
        return Ok(Exit::Done);
    }
    // A configuration that cannot be used is refused before anything is asked.
    let shared = Clients::open(config, Side::Shared)?;
    let independent = Clients::open(config, Side::Independent)?;
    let (shared, independent) =
        futures::join!(store(config, Side::Shared, &shared), store(config, Side::Independent, &independent));
    let checks = [shared, independent, machine::check(config)];
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
    let reads = server::binds(config, side, clients, &mut checks).await;
    if reads.contains("read") {
        server::features(read, &mut checks).await;
        server::clock(read, clients.config.as_ref(), &mut checks).await;
        server::limit(read, &mut checks).await;
        server::bases(config, side, read, &mut checks).await;
        rights::reading(config, side, read, &mut checks).await;
        policies::check(config, side, clients, &mut checks).await;
    }
    rights::writing(config, side, clients, &reads, &mut checks).await;
    checks
}
