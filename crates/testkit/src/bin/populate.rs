//! `populate`: writes a state directory in the middle of a large departure, to measure commands on: `populate --subjects 100000
//! --dir DIR`, then `untether --config DIR/untether.toml status`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program says what it did")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use untether_ledger::{Clock as _, SystemClock};
use untether_testkit::populate::{Options, populate};

/// Writes a state directory that a long migration could have left, and a configuration for it.
#[derive(Parser)]
struct Arguments {
    /// Directory to write; there must be no state in it.
    #[arg(long)]
    dir: PathBuf,
    /// People with an account in the shared store. A hundred thousand make about a million records.
    #[arg(long, default_value_t = 100_000)]
    subjects: u32,
    /// Subjects in a batch.
    #[arg(long, default_value_t = 100)]
    batch: u32,
    /// When the story ends (RFC 3339); now by default.
    #[arg(long)]
    now: Option<jiff::Timestamp>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let now = arguments.now.unwrap_or_else(|| SystemClock::new().wall());
    let options = Options { subjects: arguments.subjects, batch: arguments.batch, now };
    match populate(&options, &arguments.dir) {
        Ok(summary) => {
            println!(
                "{}: {} records, {} subjects in {} batches",
                arguments.dir.display(),
                summary.records,
                summary.subjects,
                summary.batches
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("populate: {error}");
            ExitCode::FAILURE
        }
    }
}
