//! Writes a data directory for the laboratory: `generate --out DIR [--people N] [--seed S] …`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program says what it did")]

use clap::Parser;
use std::error::Error as _;
use std::path::PathBuf;
use std::process::ExitCode;
use untether_testkit::generate::{Options, generate};

/// Generates two directory stores, a roster and the ground truth.
#[derive(Parser)]
struct Arguments {
    /// Directory to write; files of the same names in it are replaced.
    #[arg(long)]
    out: PathBuf,
    /// Number of people.
    #[arg(long, default_value_t = Options::default().people)]
    people: u32,
    /// Seed of the random draws.
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u64,
    /// Moment for which the ground truth holds (RFC 3339).
    #[arg(long, default_value_t = Options::default().now)]
    now: jiff::Timestamp,
    /// Members of one huge group in the shared store.
    #[arg(long)]
    big_group: Option<u32>,
    /// Leave out the entries of 200 KB.
    #[arg(long)]
    no_big_entry: bool,
    /// Plant links in cn=config and an access log.
    #[arg(long)]
    links: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        seed: arguments.seed,
        people: arguments.people,
        now: arguments.now,
        big_group: arguments.big_group,
        big_entry: !arguments.no_big_entry,
        links: arguments.links,
    };
    match generate(&options, &arguments.out) {
        Ok(summary) => {
            println!(
                "{}: {} shared entries, {} independent entries, {} roster rows, {} labels",
                arguments.out.display(),
                summary.shared_entries,
                summary.independent_entries,
                summary.roster_rows,
                summary.findings.values().sum::<u64>()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("generate: {error}");
            let mut cause = error.source();
            while let Some(source) = cause {
                eprintln!("  because: {source}");
                cause = source.source();
            }
            ExitCode::FAILURE
        }
    }
}
