//! `untether init`: a commented configuration, the state directory and its key. Overwrites nothing.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use untether_ledger::{Disk, LedgerError, StateDir, SystemClock, create_state};

use crate::args::Cli;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// The documented example is the starter.
const STARTER: &str = include_str!("../../../../config/untether.toml");

/// Writes what is missing.
pub fn run(cli: &Cli, output: &Output) -> Result<Exit, CliError> {
    let wrote_config = write_new(&cli.config)?;
    let base = cli.config.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let state = match &cli.state {
        Some(dir) => dir.clone(),
        None => configured_state(&cli.config, base),
    };
    let made_state = match StateDir::open(Disk::real(), &state) {
        Ok(_) => false,
        // There is none, or its making was interrupted.
        Err(LedgerError::Missing(_)) => {
            create_state(&state, Arc::new(SystemClock::new()))?;
            true
        }
        Err(error) => return Err(error.into()),
    };
    let told = |made: bool| if made { "written" } else { "already there, left as it is" };
    output.say(format!("configuration {}: {}", cli.config.display(), told(wrote_config)));
    output.say(format!("state directory {} with its key: {}", state.display(), told(made_state)));
    if wrote_config {
        output.say("Next: edit the configuration (every key is explained in it), then `untether doctor`.");
        output.say(format!(
            "Keep a copy of {} in a safe place: without it nothing sealed can be opened.",
            state.join("keys/state.key").display()
        ));
    }
    output.object(
        "init",
        &serde_json::json!({
            "config": cli.config, "config_written": wrote_config, "state": state, "state_written": made_state,
        }),
    );
    Ok(Exit::Done)
}

fn write_new(path: &Path) -> Result<bool, CliError> {
    let failed = |e: std::io::Error| CliError::failed(format!("the configuration '{}' cannot be written: {e}", path.display()));
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match opened {
        Ok(mut file) => file.write_all(STARTER.as_bytes()).and_then(|()| file.sync_all()).map(|()| true).map_err(failed),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(failed(e)),
    }
}

/// The state directory that an existing configuration names, even where the rest of it is not finished yet.
fn configured_state(config: &Path, base: &Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(config).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let named = table.get("state").and_then(|v| v.as_str()).unwrap_or("state");
    base.join(named)
}
