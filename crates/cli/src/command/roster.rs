//! `untether roster check`: what the roster says before anything uses it.

use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// `roster check`.
pub fn check(config: &Config, output: &Output) -> Result<Exit, CliError> {
    let (table, modified) = crate::wiring::roster::read(config)?;
    let modified = modified.map(|at| at.to_string()).unwrap_or_else(|| "unknown".to_owned());
    output.say(format!(
        "{} rows, {} people; last written {modified}; digest {}",
        table.row_count(),
        table.person_count(),
        table.digest()
    ));
    output.object(
        "roster",
        &serde_json::json!({
            "rows": table.row_count(), "people": table.person_count(), "modified": modified, "digest": table.digest(),
        }),
    );
    Ok(Exit::Done)
}
