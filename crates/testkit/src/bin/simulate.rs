//! `simulate`: seeded simulations of the engine on twins. Exits with 1 and prints the seed when an invariant is broken, and from
//! 2,000 seeds on also when a kind of fault or command was never met.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use untether_testkit::simulate::{Report, run, run_many};

/// Seeded simulations of planner, engine and journal on two directories in memory.
#[derive(Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed; alone, only this one is run.
    #[arg(long)]
    seed: Option<u64>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    let only = args.seed.filter(|_| !std::env::args().any(|a| a.starts_with("--seeds")));
    let done = AtomicU64::new(0);
    let progress = |_: u64| {
        let n = done.fetch_add(1, Ordering::Relaxed) + 1;
        if n.is_multiple_of(500) {
            let _ = writeln!(std::io::stderr(), "{n} seeds");
        }
    };
    let (count, ended) = match only {
        Some(seed) => (1, run(seed)),
        None => (args.seeds, run_many(args.seed.unwrap_or(0), args.seeds, args.threads, &progress)),
    };
    match ended {
        Ok(report) => {
            let _ = table(&mut out, count, &report);
            let missing = report.missing(count);
            for kind in &missing {
                let _ = writeln!(out, "        0  {kind}: never met, so nothing was proved of it");
            }
            if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            let _ = writeln!(out, "{failure}\nagain: cargo run -p untether-testkit --bin simulate -- --seed {}", failure.seed);
            ExitCode::FAILURE
        }
    }
}

/// What was met: seeds, kills and boundaries first, then faults and the rest, each by kind.
fn table(out: &mut impl std::io::Write, seeds: u64, report: &Report) -> std::io::Result<()> {
    let kills = report.counts.get("kills").copied().unwrap_or_default();
    writeln!(out, "{seeds:>9}  seeds without a broken invariant")?;
    writeln!(out, "{kills:>9}  kills")?;
    writeln!(
        out,
        "{:>9}  boundaries of the protocol, by stage and kind of operation, at which something was killed",
        report.points.len()
    )?;
    let is_fault = |what: &str| what.starts_with("fault: ") || what.starts_with("killed ");
    let (faults, others): (Vec<_>, Vec<_>) =
        report.counts.iter().filter(|(what, _)| *what != "kills").partition(|(what, _)| is_fault(what));
    for (what, count) in faults.into_iter().chain(others) {
        writeln!(out, "{count:>9}  {what}")?;
    }
    Ok(())
}
