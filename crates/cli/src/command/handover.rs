//! `untether handover`: one-time credentials on their way to people, and what became of them.

mod credentials;
mod deliver;
mod list;
mod orders;
mod print;
mod sheet;

use crate::args::HandoverCommand;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// `handover …`.
pub async fn run(config: &Config, command: &HandoverCommand, output: &Output) -> Result<Exit, CliError> {
    match command {
        HandoverCommand::List { whose, status } => list::list(config, (whose, status), output).await,
        HandoverCommand::Report { whose, format } => list::report(config, (whose, *format), output).await,
        HandoverCommand::Issue { whose, reset, execute } => orders::issue(config, (whose, *reset), *execute, output).await,
        HandoverCommand::Expire { whose, older_than, execute } => {
            orders::expire(config, (whose, older_than.as_deref()), *execute, output).await
        }
        HandoverCommand::Deliver(args) => deliver::run(config, args, output).await,
        HandoverCommand::Print(args) => print::run(config, args, output).await,
    }
}
