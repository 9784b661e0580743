//! Arguments of `untether handover`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::format::{Format, Lang};

/// `handover`.
#[derive(Subcommand, Debug)]
pub enum HandoverCommand {
    /// Who got which one-time credential when, and what became of it, as the independent directory tells it now.
    List {
        /// Whose.
        #[command(flatten)]
        whose: Whose,
        /// Only credentials that are so.
        #[arg(long, value_enum, value_name = "STATUS")]
        status: Vec<StateName>,
    },
    /// Counts by batch and entity, and who has not used theirs yet: for reminding.
    Report {
        /// Whose.
        #[command(flatten)]
        whose: Whose,
        /// Form: table, or csv of those who have not used theirs.
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// Issue one-time credentials again; the ones before no longer work. Shows the order; with --execute, carries it out.
    Issue {
        /// Whose.
        #[command(flatten)]
        whose: Whose,
        /// Also for people who have set a password of their own: a password reset (two approvals).
        #[arg(long)]
        reset: bool,
        /// Carry out the order that was shown and approved.
        #[arg(long)]
        execute: bool,
    },
    /// Make unused one-time credentials unusable until they are issued again. Shows the order; with --execute, carries it out.
    Expire {
        /// Whose.
        #[command(flatten)]
        whose: Whose,
        /// Only those that were issued longer ago than this (12h, 14d); handover.valid where absent.
        #[arg(long, value_name = "DURATION")]
        older_than: Option<String>,
        /// Carry out the order that was shown and approved.
        #[arg(long)]
        execute: bool,
    },
    /// Hand over what did not arrive yet, without a run. Shows whom it concerns; with --execute, does it.
    Deliver(DeliverArgs),
    /// A sheet a person for printing, in a file that only the recipients can open.
    Print(PrintArgs),
}

/// Whose credentials are meant.
#[derive(Args, Debug, Clone, Default)]
pub struct Whose {
    /// People whom this wave has, or had, in hand (PLAN/WAVE).
    #[arg(long)]
    pub wave: Option<String>,
    /// People whom this batch has, or had, in hand (PLAN/WAVE/BATCH).
    #[arg(long)]
    pub batch: Option<String>,
    /// People of this entity.
    #[arg(long)]
    pub entity: Option<String>,
    /// These people, each by subject id, login or account.
    #[arg(long)]
    pub subject: Vec<String>,
}

/// What became of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum StateName {
    /// It was not handed over.
    Undelivered,
    /// Nobody has logged in with it.
    Unused,
    /// Its owner has logged in and has not set a password of their own yet.
    Opened,
    /// Its owner has set a password of their own.
    Used,
    /// Somebody else has set another one.
    Replaced,
    /// It was made unusable.
    Expired,
    /// The account is locked.
    Locked,
    /// Another one was issued after it.
    Superseded,
    /// The account does not exist any more.
    Gone,
    /// The independent directory does not tell.
    Unknown,
}

/// `handover deliver`.
#[derive(Args, Debug)]
pub struct DeliverArgs {
    /// Whose.
    #[command(flatten)]
    pub whose: Whose,
    /// Also to people of whom nobody knows whether it has arrived.
    #[arg(long, conflicts_with = "arrived")]
    pub again: bool,
    /// It has arrived: nothing is sent, and this is recorded (needs --subject and --reason).
    #[arg(long, requires = "reason", requires = "subject")]
    pub arrived: bool,
    /// How one knows.
    #[arg(long)]
    pub reason: Option<String>,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
}

/// `handover print`.
#[derive(Args, Debug)]
pub struct PrintArgs {
    /// Whose.
    #[command(flatten)]
    pub whose: Whose,
    /// Language of the sheets.
    #[arg(long, value_enum, default_value = "en")]
    pub lang: Lang,
    /// Where the encrypted file goes, a directory for one file a desk, or `-` for standard output where that is no terminal; below
    /// the state directory where absent.
    #[arg(long, value_name = "PATH")]
    pub output: Option<PathBuf>,
}
