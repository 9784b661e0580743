//! Command `lab`: starts, shows and stops a laboratory of two real OpenLDAP servers; writes exports alone, and reads some; a proxy that
//! breaks connections.

use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use untether_directory::ldif::{LdifReader, Record};
use untether_directory::offline::LdifStore;
use untether_model::Side;
use untether_testkit::generate;
use untether_testkit::lab::{
    CONFIGURATION_FILE, DESCRIPTION_FILE, DataSource, Description, Laboratory, StoreDescription, StoreStatus, ToolConfiguration,
    UpOptions, UpOutcome, apply_asked_rights, configure_exports, play,
};
use untether_testkit::proxy::{Fault, Pace, Proxy};

/// Bytes that are read from an export at once, as an audit does.
const READ_AT_ONCE: usize = 1 << 18;

/// Two real OpenLDAP servers on loopback, with generated data
#[derive(Parser)]
#[command(name = "lab")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make and start the laboratory; start it again after `down`
    Up(Up),
    /// Stop the servers; the data stay for the next `up`
    Down {
        #[command(flatten)]
        place: Place,
        /// Remove the laboratory's files too
        #[arg(long)]
        purge: bool,
    },
    /// Play the people: whoever got a one-time credential collects it, changes it, enrolls a factor; the others log in
    People {
        #[command(flatten)]
        place: Place,
    },
    /// Write generated exports, a roster and a configuration for them; no server is needed or started
    Exports {
        #[command(flatten)]
        place: Place,
        /// Number of people to generate
        #[arg(long, default_value_t = 2000)]
        people: u32,
        /// Seed of the generated data
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Show one line a server; exit 1 when one does not run
    Status {
        #[command(flatten)]
        place: Place,
    },
    /// Stand between a client and a server, and delay or break their connections. Reads commands from standard input, one a line:
    /// a fault as --fault takes it, `lift`, `delay MILLISECONDS`, `pace WRITES_PER_SECOND/AT_A_TIME`, `status`. Runs until it is ended.
    Proxy(Between),
    /// Read exports with the reader of an audit, make every entry, and say what they hold
    Read {
        /// LDIF files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Make no entries: lines, names and values alone, as an audit reads what no search of its own asks for
        #[arg(long)]
        values: bool,
    },
}

#[derive(Args)]
struct Between {
    /// Address and port of the server
    #[arg(long)]
    to: SocketAddr,
    /// Where to listen [default: a free port of 127.0.0.1, which is printed]
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Milliseconds that bytes are under way, each way
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// What to do to each connection: `cut|reset|stall|half-open BYTES client|server` (after so many bytes of that sender),
    /// `trickle BYTES_PER_SECOND`; without TLS also `corrupt|endless|bomb|wrong-id|indefinite|huge|lying ANSWERS` (in place of
    /// the next answer after so many)
    #[arg(long)]
    fault: Option<Fault>,
    /// How many writes a second the server does at most, and how many at a time, for all connections together (without TLS)
    #[arg(long, value_name = "WRITES_PER_SECOND/AT_A_TIME")]
    pace: Option<Pace>,
}

#[derive(Args)]
struct Place {
    /// Directory of the laboratory
    #[arg(long, default_value = ".lab")]
    dir: PathBuf,
}

#[derive(Args)]
struct Up {
    #[command(flatten)]
    place: Place,
    /// Number of people to generate [default: 2000]
    #[arg(long)]
    people: Option<u32>,
    /// Seed of the generated data [default: 1]
    #[arg(long)]
    seed: Option<u64>,
    /// Plant links in cn=config and password copies in the access log
    #[arg(long)]
    links: bool,
    /// Throw away what is there and begin anew
    #[arg(long)]
    fresh: bool,
    /// Give the tool's identities the rights that this program asks for (doctor --acl), and no others
    #[arg(long, value_name = "PROGRAM")]
    acl_from: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    match run(arguments.command, &mut out) {
        Ok(code) => code,
        Err(error) => {
            // Nothing can be done about a standard error that cannot be written to.
            let _ = writeln!(std::io::stderr(), "lab: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

fn run(command: Command, out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Up(up) => {
            let laboratory = Laboratory::at(&up.place.dir);
            let (links, bare) = (up.links.then_some(true), up.acl_from.is_some());
            let options = UpOptions { people: up.people, seed: up.seed, links, fresh: up.fresh, bare };
            let outcome = laboratory.up(options, &generate_data)?;
            let data = outcome.description().data;
            let done = match &outcome {
                UpOutcome::Created(_) => "new laboratory",
                UpOutcome::Resumed(_) => "laboratory started again",
                UpOutcome::Running(_) => "laboratory is running already",
            };
            writeln!(out, "{done}: {data}")?;
            let configuration = configure(&up.place.dir, &outcome)?;
            if let (Some(program), UpOutcome::Created(made)) = (&up.acl_from, &outcome) {
                apply_asked_rights(program, &configuration, &made.stores())?;
            }
            print_status(&laboratory, out)?;
            writeln!(out, "configuration of the tool: {}", configuration.display())?;
            writeln!(out, "addresses, identities, files: {}", up.place.dir.join(DESCRIPTION_FILE).display())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Down { place, purge } => {
            let laboratory = Laboratory::at(&place.dir);
            let stopped = if purge { laboratory.purge()? } else { laboratory.down()? };
            for flavour in &stopped {
                writeln!(out, "{:<12} stopped", flavour.name())?;
            }
            if stopped.is_empty() {
                writeln!(out, "no server runs in {}", place.dir.display())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::People { place } => {
            let played = play(&place.dir)?;
            writeln!(
                out,
                "people: {} collected and changed their one-time credential, {} logged in, {} enrolled a factor",
                played.collected, played.logged_in, played.enrolled
            )?;
            for (account, words) in &played.refused {
                writeln!(out, "refused: {account}: {words}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Exports { place, people, seed } => {
            let data = place.dir.join("data");
            std::fs::create_dir_all(&data)?;
            generate_data(DataSource { people, seed, links: false }, &data)?;
            let configuration = configure_exports(&place.dir, &data)?;
            writeln!(out, "exports of two stores and a roster, {people} people: {}", data.display())?;
            writeln!(out, "configuration of the tool: {}", configuration.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Status { place } => {
            let all_run = print_status(&Laboratory::at(&place.dir), out)?;
            Ok(if all_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Proxy(between) => stand_between(&between, out),
        Command::Read { files, values } => {
            let entries = if values { read_values(&files)? } else { read_entries(&files)? };
            writeln!(out, "{entries} entries")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// How many entries there are, each of which was made.
fn read_entries(files: &[PathBuf]) -> Result<u64, Box<dyn Error>> {
    let mut entries = 0;
    for file in files {
        let refused = |error: &dyn Error| format!("'{}': {error}", file.display());
        let input = File::open(file).map_err(|error| refused(&error))?;
        for record in LdifReader::new(BufReader::with_capacity(READ_AT_ONCE, input)) {
            let record = record.map_err(|error| refused(&error))?;
            entries += u64::from(matches!(std::hint::black_box(&record), Record::Entry { .. }));
        }
    }
    Ok(entries)
}

/// How many entries there are, of which everything was read and nothing made.
fn read_values(files: &[PathBuf]) -> Result<u64, Box<dyn Error>> {
    let store = LdifStore::open(Side::Shared, files)?;
    Ok(store.files().iter().map(|file| file.trailer.entries_read).sum())
}

/// Serves until the process is ended; what is typed changes what is done.
fn stand_between(between: &Between, out: &mut impl Write) -> Result<ExitCode, Box<dyn Error>> {
    let proxy = match between.listen {
        Some(address) => Proxy::listen(address, between.to)?,
        None => Proxy::start(between.to)?,
    };
    proxy.delay(Duration::from_millis(between.delay));
    if let Some(fault) = between.fault {
        proxy.set(fault);
    }
    if let Some(pace) = between.pace {
        proxy.pace(pace);
    }
    writeln!(out, "{} leads to {}", proxy.address(), between.to)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [] => {}
            ["status"] => writeln!(out, "{} connections, {} struck", proxy.connections(), proxy.struck())?,
            ["lift"] => proxy.lift(),
            ["delay", milliseconds] => match milliseconds.parse() {
                Ok(milliseconds) => proxy.delay(Duration::from_millis(milliseconds)),
                Err(error) => writeln!(out, "'{milliseconds}' is no number of milliseconds: {error}")?,
            },
            ["pace", pace] => match pace.parse() {
                Ok(pace) => proxy.pace(pace),
                Err(error) => writeln!(out, "{error}")?,
            },
            _ => match line.parse() {
                Ok(fault) => proxy.set(fault),
                Err(error) => writeln!(out, "{error}")?,
            },
        }
    }
    // Nothing more will be typed.
    loop {
        std::thread::park();
    }
}

/// Writes the tool's configuration; one that is there and still fits stays, with the changes that somebody made to it.
fn configure(directory: &Path, outcome: &UpOutcome) -> Result<PathBuf, Box<dyn Error>> {
    let path = directory.join(CONFIGURATION_FILE);
    if !matches!(outcome, UpOutcome::Created(_)) && path.exists() {
        return Ok(path);
    }
    let Description { shared, independent, ca_file, data_directory, .. } = outcome.description();
    ToolConfiguration { directory, shared, independent, ca_file, data: data_directory }.write()?;
    Ok(path)
}

fn generate_data(data: DataSource, directory: &Path) -> Result<(), String> {
    let options = generate::Options { seed: data.seed, people: data.people, links: data.links, ..generate::Options::default() };
    generate::generate(&options, directory).map(|_| ()).map_err(|error| chain(&error))
}

/// Prints one line a server; `false` when one does not run.
fn print_status(laboratory: &Laboratory, out: &mut impl Write) -> Result<bool, Box<dyn Error>> {
    let mut all_run = true;
    for (store, status) in laboratory.status()? {
        all_run &= status != StoreStatus::Stopped;
        writeln!(out, "{}", status_line(&store, &status))?;
    }
    Ok(all_run)
}

fn status_line(store: &StoreDescription, status: &StoreStatus) -> String {
    let name = store.flavour.name();
    match status {
        StoreStatus::Running { pid, entries } => {
            format!("{name:<12} running  {}  {}  {entries} entries  process {pid}", store.ldaps_url, store.suffix)
        }
        StoreStatus::Stopped => format!("{name:<12} stopped  {}", store.suffix),
    }
}
