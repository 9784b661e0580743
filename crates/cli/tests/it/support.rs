//! A laboratory pair with generated data, its configuration and an initialized state directory; the built program runs against it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use untether_testkit::generate::{Options, generate};
use untether_testkit::lab::{
    APPROVERS, Calendar, IDENTITY_FILE, PEOPLE_DIRECTORY, Pair, PairBuilder, STATE_DIRECTORY, StoreDescription,
    ToolConfiguration, apply_asked_rights,
};

/// Two stores and everything that the program needs for them. Stops the servers when dropped.
pub struct World {
    /// The stores.
    pub pair: Pair,
    /// The configuration that `run` uses.
    pub config: PathBuf,
    /// Where runs are killed before they are repeated: filled with the stages in which that happened. `None`: they are left alone.
    pub kills: Option<RefCell<BTreeSet<String>>>,
    /// The clock that the program has, where it is not the system's.
    pub calendar: Option<Calendar>,
    directory: TempDir,
}

impl World {
    /// So many generated people, seed 1.
    pub fn new(people: u32) -> Self {
        Self::bent(people, |pair| pair)
    }

    /// The same with servers that are bent as a test needs them.
    pub fn bent(people: u32, bend: impl FnOnce(PairBuilder) -> PairBuilder) -> Self {
        let world = Self::without_state(people, bend);
        world.run(&["init"]).expect(0);
        world
    }

    /// The same before `init`.
    pub fn without_state(people: u32, bend: impl FnOnce(PairBuilder) -> PairBuilder) -> Self {
        Self::generated(&of(people), bend)
    }

    /// The same with servers and a program that live by a calendar. `None` where it needs something that is not installed.
    pub fn in_time(people: u32) -> Option<Self> {
        let calendar = Calendar::begin()?;
        let (for_shared, for_independent) = (calendar.environment(), calendar.environment());
        let bend = |pair: PairBuilder| {
            pair.shared(|server| server.environment(for_shared)).independent(|server| server.environment(for_independent))
        };
        let world = Self { calendar: Some(calendar), ..Self::without_state(people, bend) };
        world.run(&["init"]).expect(0);
        Some(world)
    }

    /// Any generated data, before `init`. The servers give the program's identities what `doctor --acl` asks for, and nothing else.
    pub fn generated(options: &Options, bend: impl FnOnce(PairBuilder) -> PairBuilder) -> Self {
        let world = Self::without_rights(options, bend);
        world.ask_for_rights(&[world.pair.shared.description(), world.pair.independent.description()]);
        world
    }

    /// The same with servers that give the program's identities nothing.
    pub fn without_rights(options: &Options, bend: impl FnOnce(PairBuilder) -> PairBuilder) -> Self {
        let directory = tempfile::Builder::new().prefix("untether-cli-").tempdir().unwrap();
        let data = directory.path().join("data");
        generate(options, &data).unwrap();
        let pair = bend(Pair::builder().data(&data).bare()).start().unwrap();
        let config = ToolConfiguration {
            directory: directory.path(),
            shared: pair.shared.description(),
            independent: pair.independent.description(),
            ca_file: pair.ca_file(),
            data: &data,
        }
        .write()
        .unwrap();
        Self { pair, config, kills: None, calendar: None, directory }
    }

    /// Applies to these servers what `doctor --acl` asks for.
    pub fn ask_for_rights(&self, stores: &[&StoreDescription]) {
        apply_asked_rights(Path::new(env!("CARGO_BIN_EXE_untether")), &self.config, stores).unwrap();
    }

    /// Directory with configuration, keys, data and state.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.directory().join(STATE_DIRECTORY)
    }

    /// Directory that the generator wrote: roster, ground truth, passwords.
    pub fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// `--as NAME --key FILE` of an approver, 0 or 1.
    pub fn signer(&self, which: usize) -> [String; 4] {
        let name = APPROVERS[which];
        let key = self.directory().join(PEOPLE_DIRECTORY).join(name);
        ["--as".to_owned(), name.to_owned(), "--key".to_owned(), key.display().to_string()]
    }

    /// The age identity that opens hand-over files.
    pub fn handover_identity(&self) -> PathBuf {
        self.directory().join(PEOPLE_DIRECTORY).join(IDENTITY_FILE)
    }

    /// Replaces a text in the configuration; it must be there.
    pub fn configure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "the configuration has no {from:?}");
        std::fs::write(&self.config, text.replace(from, to)).unwrap();
    }

    /// From now on both stores are exports: these lines stand for the connection of each in the configuration.
    pub fn offline(&self, shared: &str, independent: &str) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        let mut out = String::new();
        let mut skipped = false;
        for line in text.lines() {
            if let Some(section) = line.strip_prefix('[').map(|rest| rest.trim_end_matches(']')) {
                let side = [("shared", shared), ("independent", independent)].into_iter().find(|(side, _)| section == *side);
                skipped = section.starts_with("shared") || section.starts_with("independent");
                if let Some((side, lines)) = side {
                    out.push_str(&format!("[{side}]\n{lines}\n\n"));
                }
            }
            if !skipped {
                out.push_str(line);
                out.push('\n');
            }
        }
        std::fs::write(&self.config, out).unwrap();
    }

    /// Writes a file beside the configuration.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.directory().join(name), content).unwrap();
    }

    /// The program with this configuration and these arguments, not yet started.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_untether"));
        command.arg("--config").arg(&self.config).args(arguments).current_dir(self.directory()).stdin(Stdio::null());
        command.env_remove("UNTETHER_CONFIG").env_remove("UNTETHER_LOG");
        command.envs(self.calendar.iter().flat_map(Calendar::environment));
        command
    }

    /// Runs the program to its end.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let words: Vec<String> = arguments.iter().map(|a| a.as_ref().to_string_lossy().into_owned()).collect();
        Ran {
            what: words.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts the program and lets it run, with its output in pipes.
    pub fn spawn<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// What generates so many people, with the generator's first seed.
pub fn of(people: u32) -> Options {
    Options { people, big_entry: false, ..Options::default() }
}

/// How the program ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    what: String,
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Fails, with everything that was said, unless the program ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "untether {}\n--- stdout\n{}\n--- stderr\n{}", self.what, self.stdout, self.stderr);
        self
    }

    /// Standard output as one line, each of whose lines fits a terminal of 80 columns.
    #[track_caller]
    pub fn prose(&self) -> String {
        for line in self.stdout.lines() {
            let columns: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
            assert!(columns <= 80, "{columns} columns in untether {}: {line}", self.what);
        }
        self.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Standard output as JSON Lines.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?} of untether {}", self.what));
        self.stdout.lines().map(parse).collect()
    }

    /// Everything that was said.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// A text of a JSON row; it must be there.
#[track_caller]
pub fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("no {key} in {row}"))
}
