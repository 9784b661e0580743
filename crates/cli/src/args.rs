//! The command line.

mod format;
mod handover;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::civil::Date;

pub use self::format::{Format, Lang, ReportFormat};
pub use self::handover::{DeliverArgs, HandoverCommand, PrintArgs, StateName, Whose};

/// Leave an identity store that is shared with another company, and prove it.
#[derive(Parser, Debug)]
#[command(name = "untether", version, about, max_term_width = 100)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, global = true, env = "UNTETHER_CONFIG", default_value = "untether.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// State directory, instead of the configured one.
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Write JSON to standard output: one object, or JSON Lines for lists.
    #[arg(long, global = true)]
    pub json: bool,
    /// Log more to standard error (-v information, -vv debug).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[expect(clippy::large_enum_variant, reason = "made once a process, from the command line")]
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Write a commented configuration, the state key and a state directory; overwrites nothing.
    Init,
    /// Check connections, TLS, rights, controls, clocks, policies, disk.
    Doctor {
        /// Write the rights that the configured plan needs, as LDIF for ldapmodify, instead.
        #[arg(long)]
        acl: bool,
        /// One store only.
        #[arg(long, value_name = "STORE", value_parser = ["shared", "independent"])]
        store: Option<String>,
    },
    /// Read both stores and the roster, and judge them.
    Audit {
        /// Judge the roster as of this day; such an audit makes no executable plan.
        #[arg(long, value_name = "DATE")]
        as_of: Option<Date>,
    },
    /// List, filter and explain findings of the last audit.
    Findings(FindingsArgs),
    /// One subject: accounts, track, timeline, what can be undone; or a person's decision on its track.
    #[command(subcommand)]
    Subject(SubjectCommand),
    /// Undecided matches with their candidates side by side; a person's decision on them.
    Correlate(CorrelateArgs),
    /// The audits of this state, and what changed between two of them.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Make a plan from the last audit, or look at one.
    Plan(PlanArgs),
    /// The whole plan against twins in memory: what would be done, what would be refused and why, how long it takes.
    Rehearse(RehearseArgs),
    /// Sign an order (a wave as PLAN/WAVE, or a rollback), or take an approval back.
    Approve(ApproveArgs),
    /// Gates with what was observed; a signed acceptance.
    #[command(subcommand)]
    Gate(GateCommand),
    /// Carry out a wave, stage by stage; resumes where it stopped.
    Run(RunArgs),
    /// Take parked subjects up again.
    Retry(RetryArgs),
    /// A person's decision on a conflict.
    Resolve(ResolveArgs),
    /// Where everything stands, whether a run lives or is dead.
    Status {
        /// Show it again whenever it changes.
        #[arg(long)]
        watch: bool,
    },
    /// Start nothing new in any run until `resume`.
    Pause {
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// End a pause, or lift the halt of a batch.
    Resume {
        /// The batch whose halt is lifted (PLAN/WAVE/BATCH).
        #[arg(long)]
        batch: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Set or lift an upper limit of operations in flight.
    Throttle {
        /// The limit; `off` lifts it.
        limit: String,
    },
    /// Give a wave up: its unfinished subjects are parked, its claims released.
    Abort {
        /// The wave (PLAN/WAVE).
        #[arg(long)]
        wave: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Do it.
        #[arg(long)]
        execute: bool,
    },
    /// Show what a rollback would do; with --execute, do it.
    Rollback(RollbackArgs),
    /// One-time credentials: who got and used theirs; hand over, print, issue again, expire.
    #[command(subcommand)]
    Handover(HandoverCommand),
    /// Progress report from the journal: figures, a page to print, tables, the text that a company publishes.
    Report(ReportArgs),
    /// What is odd in the roster files.
    #[command(subcommand)]
    Roster(RosterCommand),
    /// Check, rebuild, accept: the state directory.
    #[command(subcommand)]
    State(StateCommand),
    /// Destroy the key of an ended wave (two approvals).
    Forget {
        /// The wave (PLAN/WAVE).
        #[arg(long)]
        wave: String,
        /// Do it.
        #[arg(long)]
        execute: bool,
    },
}

/// `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Form.
    #[arg(long, value_enum, default_value = "md")]
    pub format: ReportFormat,
    /// Language.
    #[arg(long, value_enum, default_value = "en")]
    pub lang: Lang,
    /// Write files to this directory: html writes the page and every table as CSV beside it, csv every table. Without it one text
    /// goes to standard output, of csv the table of entities.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Which findings.
#[derive(Args, Debug, Default, Clone)]
pub struct FilterArgs {
    /// Rules, or families such as `residual`.
    #[arg(long)]
    pub rule: Vec<String>,
    /// At least this severity.
    #[arg(long)]
    pub severity: Option<String>,
    /// Entities.
    #[arg(long)]
    pub entity: Vec<String>,
    /// `shared`, `independent`, `roster`, `system`.
    #[arg(long)]
    pub store: Option<String>,
    /// A subject's id.
    #[arg(long)]
    pub subject: Option<String>,
}

impl FilterArgs {
    /// Nothing narrows the list.
    pub fn is_empty(&self) -> bool {
        self.rule.is_empty()
            && self.severity.is_none()
            && self.entity.is_empty()
            && self.store.is_none()
            && self.subject.is_none()
    }
}

/// `findings`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct FindingsArgs {
    /// What to do with findings.
    #[command(subcommand)]
    pub command: Option<FindingsCommand>,
    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Those whose waiver or decision ends within seven days, or has ended.
    #[arg(long)]
    pub expiring: bool,
    /// Exit 3 when a finding of at least this severity is open.
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<String>,
    /// Form.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Explain a rule instead: what it means, why, what to do, which standard it answers. `all` lists them.
    #[arg(long, value_name = "RULE")]
    pub explain: Option<String>,
}

/// `findings …`.
#[derive(Subcommand, Debug)]
pub enum FindingsCommand {
    /// Let findings stand until a day, by signature: they are shown and counted as waived, never as solved.
    Waive(WaiveArgs),
}

/// `findings waive`.
#[derive(Args, Debug)]
pub struct WaiveArgs {
    /// Ids of findings; or filters.
    pub ids: Vec<String>,
    /// Which ones.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Last day on which they may stand.
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,
    /// Take the waivers of these findings back.
    #[arg(long, conflicts_with = "until")]
    pub withdraw: bool,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who signs, and how.
    #[command(flatten)]
    pub sign: SignArgs,
}

/// `snapshot`.
#[derive(Subcommand, Debug)]
pub enum SnapshotCommand {
    /// The audits: when, whether they are complete, their numbers, whether their files are still there.
    List,
    /// What changed between two audits: suspicious jumps first, then people, accounts, groups, findings.
    Diff(SnapshotDiffArgs),
}

/// `snapshot diff`.
#[derive(Args, Debug)]
pub struct SnapshotDiffArgs {
    /// The earlier audit: `last`, `previous`, a record's number, a day (UTC) or the beginning of a snapshot's digest; `previous`
    /// where absent.
    pub before: Option<String>,
    /// The later audit; `last` where absent.
    pub after: Option<String>,
    /// Form.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// List findings that are still there too.
    #[arg(long)]
    pub still: bool,
    /// Show every change in the tree, as it comes, not only the first of each sort.
    #[arg(long)]
    pub all: bool,
}

/// `subject`.
#[derive(Subcommand, Debug)]
pub enum SubjectCommand {
    /// Accounts, track, timeline, what can be undone.
    Show {
        /// The subject's id, a DN, a login or an employee number.
        id: String,
    },
    /// Decide on a subject's track (an orphan, for instance), or take such a decision back; signed.
    Decide {
        /// The subject's id.
        id: String,
        /// `retire`, `keep` or `hold`.
        #[arg(long)]
        track: Option<String>,
        /// Last day of the decision.
        #[arg(long, value_name = "DATE")]
        until: Option<Date>,
        /// Take the decision on its track back.
        #[arg(long, conflicts_with_all = ["track", "until"])]
        withdraw: bool,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        /// Who signs, and how.
        #[command(flatten)]
        sign: SignArgs,
    },
}

/// `correlate`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CorrelateArgs {
    /// What to decide.
    #[command(subcommand)]
    pub command: Option<CorrelateCommand>,
    /// One case.
    #[arg(long, value_name = "CASE")]
    pub case: Option<String>,
    /// Cases of these entities.
    #[arg(long)]
    pub entity: Vec<String>,
    /// Decisions in force instead, with who made them, why, and what they come to.
    #[arg(long, conflicts_with_all = ["case", "entity"])]
    pub decided: bool,
}

/// Why, and who signs.
#[derive(Args, Debug, Clone)]
pub struct WhyArgs {
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who signs, and how.
    #[command(flatten)]
    pub sign: SignArgs,
}

/// `correlate …`.
#[derive(Subcommand, Debug)]
pub enum CorrelateCommand {
    /// The account belongs to this candidate.
    Confirm {
        /// A case, or an account's DN.
        account: String,
        /// The candidate's number in the case; or a person of the roster, a subject, an account's DN.
        #[arg(long, value_name = "WHOM")]
        with: String,
        /// Why, and who signs.
        #[command(flatten)]
        why: WhyArgs,
    },
    /// The account does not belong to these candidates.
    Deny {
        /// A case, or an account's DN.
        account: String,
        /// The candidates' numbers in the case; or people of the roster, subjects, accounts' DNs.
        #[arg(long, value_name = "WHOM", required = true)]
        with: Vec<String>,
        /// Why, and who signs.
        #[command(flatten)]
        why: WhyArgs,
    },
    /// These accounts do not belong to the subject that the rules put them into.
    Split {
        /// The accounts' DNs.
        #[arg(required = true)]
        accounts: Vec<String>,
        /// Why, and who signs.
        #[command(flatten)]
        why: WhyArgs,
    },
    /// These subjects are one.
    Merge {
        /// Subjects: ids, DNs, logins, employee numbers, people of the roster.
        #[arg(required = true, num_args = 2..)]
        subjects: Vec<String>,
        /// Why, and who signs.
        #[command(flatten)]
        why: WhyArgs,
    },
    /// Take decisions back; the next audit says again what the rules say.
    Withdraw {
        /// Decisions (RECORD, or RECORD.N), as `correlate --decided` shows them.
        #[arg(required = true)]
        decisions: Vec<String>,
        /// Why, and who signs.
        #[command(flatten)]
        why: WhyArgs,
    },
    /// Write the undecided matches into a CSV file, to be reviewed.
    Export {
        /// The file; it must not exist yet.
        file: PathBuf,
    },
    /// Show what a reviewed CSV file decides, and what is wrong with it; with a signature, record all of it or nothing.
    Import {
        /// The file.
        file: PathBuf,
        /// Take rows of an older audit too, where the last one shows the same facts.
        #[arg(long)]
        older: bool,
        /// The reason of rows that have none of their own, and who signs.
        #[command(flatten)]
        why: WhyArgs,
    },
}

/// Who signs and with what.
#[derive(Args, Debug, Clone)]
pub struct SignArgs {
    /// The configured approver who signs.
    #[arg(long = "as", value_name = "NAME")]
    pub approver: Option<String>,
    /// SSH private key, or a public key whose private half an agent holds.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A signature that was made elsewhere (`ssh-keygen -Y sign -n untether`); with --statement, the file that was signed.
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
    /// Write the statement that is to be signed elsewhere into this file, and end; with --signature, read it from there.
    #[arg(long, value_name = "FILE")]
    pub statement: Option<PathBuf>,
}

/// `plan`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PlanArgs {
    /// What to do with an existing plan.
    #[command(subcommand)]
    pub command: Option<PlanCommand>,
    /// Seed of what is chosen at random.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `plan …`.
#[derive(Subcommand, Debug)]
pub enum PlanCommand {
    /// A plan as a tree: waves, batches, counts, undo classes, points of no return, forecast, and who is not planned.
    Show {
        /// The plan; the last one where absent.
        #[arg(long)]
        plan: Option<String>,
        /// List every subject that is not planned, with its reason.
        #[arg(long)]
        not_planned: bool,
        /// List the operations of this wave.
        #[arg(long)]
        wave: Option<String>,
    },
    /// What is wrong or odd in a plan.
    Lint {
        /// The plan; the last one where absent.
        #[arg(long)]
        plan: Option<String>,
    },
    /// What changed between two plans: who moved where, what became possible or blocked and by what, deadlines, operations.
    Diff(PlanDiffArgs),
    /// Sign the waves of a plan; the same as `approve PLAN/WAVE` for each.
    Approve {
        /// The plan; the last one where absent.
        #[arg(long)]
        plan: Option<String>,
        /// These waves only.
        #[arg(long)]
        wave: Vec<String>,
        /// Highest stage that is covered.
        #[arg(long, default_value = "soak")]
        through: String,
        /// Until when (date or timestamp); seven days where absent.
        #[arg(long)]
        until: Option<String>,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
        /// Who signs, and how.
        #[command(flatten)]
        sign: SignArgs,
    },
}

/// `plan diff`.
#[derive(Args, Debug)]
pub struct PlanDiffArgs {
    /// The earlier plan: `last`, `previous` or the beginning of its id; `previous` where absent.
    pub before: Option<String>,
    /// The later plan; `last` where absent.
    pub after: Option<String>,
    /// Form.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Show everybody in the tree, not only the first of each sort.
    #[arg(long)]
    pub all: bool,
}

/// `rehearse`.
#[derive(Args, Debug)]
pub struct RehearseArgs {
    /// The plan; the last one where absent.
    #[arg(long)]
    pub plan: Option<String>,
    /// This wave only, with those that must end before it; does not count as a rehearsal of the plan.
    #[arg(long)]
    pub wave: Option<String>,
    /// Writes a second; that of the plan's forecast where absent.
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Ask the servers too what they would refuse, with the critical no-op control, where they have it; nothing is changed.
    #[arg(long)]
    pub against_servers: bool,
    /// Last stage of the wave that is named by --wave.
    #[arg(long, value_name = "STAGE", requires = "wave")]
    pub through: Option<String>,
    /// Rehearse it once more with the power going out after every N operations, and compare both ends.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub cut_every: Option<u64>,
    /// Roll this batch (WAVE/BATCH) back when all waves are through; can be given several times.
    #[arg(long, value_name = "BATCH")]
    pub roll_back: Vec<String>,
    /// With --roll-back: the state before this stage is restored.
    #[arg(long, value_name = "STAGE", default_value = "switch", requires = "roll_back")]
    pub to: String,
    /// Show the report as it would be afterwards, marked as a rehearsal's.
    #[arg(long, value_name = "LANGUAGE")]
    pub report: Option<Lang>,
}

/// `approve`.
#[derive(Args, Debug)]
pub struct ApproveArgs {
    /// A wave (PLAN/WAVE) or another order's id.
    pub id: String,
    /// Highest stage that is covered.
    #[arg(long, default_value = "soak")]
    pub through: String,
    /// Round; the present one where absent.
    #[arg(long)]
    pub round: Option<u32>,
    /// Until when (date or timestamp); seven days where absent.
    #[arg(long)]
    pub until: Option<String>,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Take back every approval of this order by the person.
    #[arg(long)]
    pub revoke: bool,
    /// Approve `forget` of the wave instead of running it.
    #[arg(long)]
    pub forget: bool,
    /// Who signs, and how.
    #[command(flatten)]
    pub sign: SignArgs,
}

/// `gate`.
#[expect(clippy::large_enum_variant, reason = "made once a process, from the command line")]
#[derive(Subcommand, Debug)]
pub enum GateCommand {
    /// Gates with what was observed.
    List {
        /// A wave (PLAN/WAVE).
        #[arg(long)]
        wave: Option<String>,
    },
    /// Answer, by signature, for passing a gate.
    Accept {
        /// `mfa`, `own-account` or `silence`.
        gate: String,
        /// The wave (PLAN/WAVE).
        #[arg(long)]
        wave: String,
        /// One batch of it.
        #[arg(long)]
        batch: Option<String>,
        /// One subject.
        #[arg(long)]
        subject: Option<String>,
        /// Until when.
        #[arg(long)]
        until: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Who signs, and how.
        #[command(flatten)]
        sign: SignArgs,
    },
}

/// `run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The plan; the last one where absent.
    #[arg(long)]
    pub plan: Option<String>,
    /// The wave's name.
    #[arg(long)]
    pub wave: String,
    /// Last stage.
    #[arg(long)]
    pub through: Option<String>,
    /// How long to wait for gates and times (30s, 15m, 2h).
    #[arg(long, default_value = "0s")]
    pub wait: String,
    /// Do it; without this the command shows what it would do.
    #[arg(long)]
    pub execute: bool,
}

/// `retry`.
#[derive(Args, Debug)]
pub struct RetryArgs {
    /// The wave (PLAN/WAVE).
    #[arg(long)]
    pub wave: String,
    /// These subjects only.
    #[arg(long)]
    pub subject: Vec<String>,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Do it; without this the command shows what it would do.
    #[arg(long)]
    pub execute: bool,
}

/// `resolve`.
#[derive(Args, Debug)]
pub struct ResolveArgs {
    /// The operation (PLAN/WAVE/BATCH/N).
    pub op: String,
    /// The subject, where the operation serves several.
    #[arg(long)]
    pub subject: Option<String>,
    /// Leave what was found.
    #[arg(long, group = "verb")]
    pub keep_theirs: bool,
    /// Overwrite what was found: two people approve, then --execute.
    #[arg(long, group = "verb")]
    pub force: bool,
    /// Leave the operation out.
    #[arg(long, group = "verb")]
    pub skip: bool,
    /// Why.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
}

/// `rollback`.
#[derive(Args, Debug)]
pub struct RollbackArgs {
    /// A batch (PLAN/WAVE/BATCH).
    #[arg(long, group = "scope")]
    pub batch: Option<String>,
    /// A wave (PLAN/WAVE).
    #[arg(long, group = "scope")]
    pub wave: Option<String>,
    /// A subject.
    #[arg(long, group = "scope")]
    pub subject: Option<String>,
    /// Restores the state before this stage.
    #[arg(long, default_value = "switch")]
    pub to: String,
    /// Deletes entries that untether made (two approvals).
    #[arg(long)]
    pub delete_provisioned: bool,
    /// Enables accounts of people whom the roster calls departed or ended (two approvals).
    #[arg(long)]
    pub enable_inactive: bool,
    /// Carry out the order that was shown and approved.
    #[arg(long)]
    pub execute: bool,
}

/// `roster`.
#[derive(Subcommand, Debug)]
pub enum RosterCommand {
    /// What is odd in the roster files, before anything uses them.
    Check,
}

/// `state`.
#[derive(Subcommand, Debug)]
pub enum StateCommand {
    /// The ledger's chain, and the database and files against it.
    Check,
    /// Makes the database again from the ledger.
    Rebuild {
        /// Accept that the tail of the ledger is lost.
        #[arg(long)]
        accept_loss: bool,
        /// Why.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Accept a clock that is behind the ledger.
    AcceptClock {
        /// Why.
        #[arg(long)]
        reason: String,
    },
}
