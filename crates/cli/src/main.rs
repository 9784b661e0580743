//! The command `untether`: arguments, configuration, wiring, exit codes. The only crate that prints.

mod args;
mod columns;
mod command;
mod config;
mod error;
mod output;
mod rights;
mod state;
mod wiring;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Builder;

use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::output::Output;

/// Entries, attributes and operations are small, many, and handed from thread to thread.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and version to standard output, refusals to standard error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    log_to_stderr(cli.verbose);
    let output = Output::new(cli.json);
    let runtime = match runtime_for(&cli.command).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            output.error(&CliError::failed(format!("the runtime cannot start: {e}")));
            return ExitCode::from(1);
        }
    };
    let exit = match runtime.block_on(command::dispatch(&cli, &output)) {
        Ok(exit) => exit,
        Err(error) => {
            output.error(&error);
            error.exit
        }
    };
    // Connections that a server holds open must not keep the process.
    runtime.shutdown_background();
    ExitCode::from(exit as u8)
}

/// An audit decodes what both stores send, at the same time. Everything else is one task that waits for servers and for the ledger's
/// thread: on a thread together with its connections, no answer has to wake another thread.
fn runtime_for(command: &Command) -> Builder {
    match command {
        Command::Audit { .. } => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("UNTETHER_LOG")
        // What sled meets comes back as an error, which is told in full.
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("untether={level},sled=off,warn")));
    let colors = std::io::stderr().is_terminal();
    // A second subscriber cannot exist: this is the first thing that the process does.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colors).with_writer(std::io::stderr).try_init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert_eq!(error::Exit::State as u8, 6);
    }
}
