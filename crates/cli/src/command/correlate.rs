//! `untether correlate`: undecided matches with their candidates side by side, and people's decisions on whose accounts they are.

mod decide;
mod import;
mod list;
mod sheet;
mod table;
mod target;

use crate::args::{CorrelateArgs, CorrelateCommand};
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// `correlate` and its subcommands.
pub async fn run(config: &Config, args: &CorrelateArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        None if args.decided => list::decided(config, output),
        None => list::undecided(config, args, output),
        Some(CorrelateCommand::Export { file }) => sheet::export(config, file, output),
        Some(CorrelateCommand::Import { file, older, why }) => import::run(config, (file, *older), why, output).await,
        Some(command) => decide::run(config, command, output).await,
    }
}
