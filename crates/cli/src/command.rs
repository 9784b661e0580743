//! The commands. Each module does one thing for one reader; what several need is in `state` and `wiring`.

mod approve;
mod audit;
mod correlate;
mod decide;
mod doctor;
pub mod findings;
mod gate;
mod handover;
mod init;
mod operate;
mod plan;
mod rehearse;
mod report;
mod resolve;
mod rollback;
mod roster;
mod run;
mod snapshot;
mod state;
mod status;
mod subject;

use crate::args::{Cli, Command};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Runs the command that was asked for.
pub async fn dispatch(cli: &Cli, output: &Output) -> Result<Exit, CliError> {
    if let Command::Init = cli.command {
        return init::run(cli, output);
    }
    if let Command::Findings(args) = &cli.command
        && let Some(rule) = &args.explain
    {
        return findings::explain(rule, output);
    }
    let mut config = Config::load(&cli.config)?;
    if let Some(dir) = &cli.state {
        config.state.clone_from(dir);
    }
    let config = &config;
    match &cli.command {
        Command::Init => Ok(Exit::Done),
        Command::Doctor { acl, store } => doctor::run(config, *acl, store.as_deref(), output).await,
        Command::Audit { as_of } => audit::run(config, *as_of, output).await,
        Command::Findings(args) => findings::run(config, args, output).await,
        Command::Subject(args) => subject::run(config, args, output).await,
        Command::Correlate(args) => correlate::run(config, args, output).await,
        Command::Snapshot(args) => snapshot::run(config, args, output),
        Command::Plan(args) => plan::run(config, args, output).await,
        Command::Rehearse(args) => rehearse::run(config, args, output).await,
        Command::Approve(args) => approve::run(config, args, output).await,
        Command::Gate(args) => gate::run(config, args, output).await,
        Command::Run(args) => run::run(config, args, output).await,
        Command::Retry(args) => operate::retry(config, args, output).await,
        Command::Resolve(args) => resolve::run(config, args, output).await,
        Command::Status { watch } => status::run(config, *watch, output).await,
        Command::Pause { reason } => operate::pause(config, reason, output).await,
        Command::Resume { batch, reason } => operate::resume(config, batch.as_deref(), reason, output).await,
        Command::Throttle { limit } => operate::throttle(config, limit, output).await,
        Command::Abort { wave, reason, execute } => operate::abort(config, (wave, reason), *execute, output).await,
        Command::Rollback(args) => rollback::run(config, args, output).await,
        Command::Handover(args) => handover::run(config, args, output).await,
        Command::Report(args) => report::run(config, args, output),
        Command::Roster(_) => roster::check(config, output),
        Command::State(args) => state::run(config, args, output).await,
        Command::Forget { wave, execute } => operate::forget(config, wave, *execute, output).await,
    }
}
