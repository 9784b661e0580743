//! What the crash tests run: a wave, a rollback or an order about credentials of the small estate, and how a world stands in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use untether_cutover::{Carried, Rollback};
use untether_directory::dump::{Difference, Ignored, compare};
use untether_model::operation::Stage;
use untether_model::plan::{HandoverScope, OrderKind, RollbackScope};
use untether_model::run::{CellKey, CellStatus, RunState};
use untether_model::schema::Schema;
use untether_model::{BatchId, Entry, OpId, PlanId, Round, Side, WaveId};
use untether_planner::RollbackRequest;
use untether_testkit::twins::expect::{NOT_FORETOLD, foretellable};
use untether_testkit::twins::{Driven, Point, Session, Trouble, World};

use crate::twins::{approved, lines};

/// What is run, killed and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A wave, from nothing through its last stage.
    Forward(&'static str),
    /// The rollback of a wave that has ended a stage to before another one.
    Back(Back),
    /// One-time credentials issued again after enrolment, handed over in a file or by a hook.
    Issue {
        /// By a hook that may be given the same credential twice.
        hook: bool,
    },
    /// Unused ones made unusable.
    Expire,
}

impl Act {
    /// It is about one-time credentials alone.
    pub fn is_handover(self) -> bool {
        matches!(self, Self::Issue { .. } | Self::Expire)
    }

    /// Writes that it has at least.
    pub fn least_writes(self) -> u64 {
        if self.is_handover() { 3 } else { 11 }
    }
}

/// Which rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back {
    pub wave: &'static str,
    pub from: Stage,
    pub to: Stage,
    /// Entries of ours are deleted, not only locked.
    pub deletes: bool,
}

const fn back(wave: &'static str, from: Stage, to: Stage, deletes: bool) -> Act {
    Act::Back(Back { wave, from, to, deletes })
}

pub const LEAVE: Act = Act::Forward("leave");
pub const MOVE: Act = Act::Forward("move");
pub const LEAVE_BACK: Act = back("leave", Stage::Attest, Stage::Provision, true);
pub const MOVE_BACK: Act = back("move", Stage::Attest, Stage::Provision, true);
pub const ISSUE: Act = Act::Issue { hook: false };
pub const ISSUE_BY_HOOK: Act = Act::Issue { hook: true };
pub const EXPIRE: Act = Act::Expire;
/// Every stage undone by itself.
pub const STAGES_BACK: [Act; 6] = [
    back("move", Stage::Provision, Stage::Provision, false),
    back("move", Stage::Enroll, Stage::Enroll, false),
    back("move", Stage::Switch, Stage::Switch, false),
    back("leave", Stage::Disable, Stage::Disable, false),
    back("leave", Stage::Scrub, Stage::Scrub, false),
    back("leave", Stage::Remove, Stage::Remove, false),
];

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Forward(wave) => write!(f, "wave {wave}"),
            Self::Back(Back { wave, from, to, .. }) => write!(f, "{wave} back from {from} to before {to}"),
            Self::Issue { hook: false } => f.write_str("credentials issued again, in a file"),
            Self::Issue { hook: true } => f.write_str("credentials issued again, by a hook"),
            Self::Expire => f.write_str("credentials that expire"),
        }
    }
}

/// How a world stands in the end, without what nobody can foretell.
#[derive(PartialEq)]
pub struct Settled {
    pub dumps: [Vec<Entry>; 2],
    /// Each cell: done or not, ours or not, undone or not, has made its entry or not: what a rollback goes by.
    pub cells: BTreeMap<CellKey, [bool; 4]>,
    /// Each subject: last stage, parked, round.
    pub subjects: BTreeMap<String, (Option<Stage>, bool, Round)>,
    pub secrets: BTreeSet<String>,
}

pub fn settled(session: &Session) -> Settled {
    let world = session.world();
    let dumps = world.dumps();
    let state: &RunState = &session.state;
    let done = |status: CellStatus| matches!(status, CellStatus::Ended(kind) if kind.is_done());
    let people = world.estate.people.iter();
    let has_secret = |uid: &str, subject| {
        let dn = world.estate.own.child("ou", "people").child("uid", uid);
        let entry = world.independent.dump().into_iter().find(|e| e.dn == dn);
        // What people were handed opens what is stored.
        world.handed.secrets(&subject).iter().any(|secret| entry.as_ref().is_none_or(|e| opens(e, secret)))
    };
    Settled {
        dumps: [foretellable(&world.estate, &dumps[0], Side::Shared), foretellable(&world.estate, &dumps[1], Side::Independent)],
        cells: state
            .cells()
            .iter()
            .map(|(k, c)| (comparable(state, &k), [done(c.status), c.applied, c.undone, c.created.is_some()]))
            .collect(),
        subjects: state.subjects().iter().map(|(k, s)| (k.to_string(), (s.ended, s.parked.is_some(), s.round))).collect(),
        secrets: people.filter(|p| has_secret(&p.uid, p.subject())).map(|p| p.uid.clone()).collect(),
    }
}

/// The same in every run: an order that is made from progress is named by what chance went into it, such as salts.
fn comparable(state: &RunState, key: &CellKey) -> CellKey {
    let kind = state.orders().get(&key.op.batch.wave.plan).map(|order| &order.kind);
    if kind == Some(&OrderKind::Plan) {
        return key.clone();
    }
    let wave = WaveId::new(PlanId::new("order"), key.op.batch.wave.wave.as_str());
    CellKey { subject: key.subject.clone(), op: OpId::new(BatchId::new(wave, key.op.batch.batch.as_str()), key.op.n) }
}

/// Whether a secret opens an entry's `{SSHA}` password.
fn opens(entry: &Entry, secret: &str) -> bool {
    use sha1::Digest as _;
    entry.texts("userPassword").any(|text| {
        let Some(bytes) = text.strip_prefix("{SSHA}").and_then(|t| data_encoding::BASE64.decode(t.as_bytes()).ok()) else {
            return false;
        };
        let (digest, salt) = bytes.split_at(20);
        sha1::Sha1::new().chain_update(secret).chain_update(salt).finalize().as_slice() == digest
    })
}

/// What an interrupted run left otherwise than the uninterrupted one.
pub fn unlike(found: &Settled, wanted: &Settled) -> String {
    let mut words = String::new();
    let ignored = Ignored::nothing().everywhere(NOT_FORETOLD);
    for (found, wanted) in found.dumps.iter().zip(&wanted.dumps) {
        words += &lines(&compare(wanted, found, &Schema::standard(), &ignored));
    }
    let ids: Vec<Difference> = compare(
        &wanted.dumps[0],
        &found.dumps[0],
        &Schema::standard(),
        &Ignored::nothing().everywhere(NOT_FORETOLD.into_iter().filter(|a| !["entryUUID", "pwdEndTime"].contains(a))),
    );
    words += &lines(&ids);
    let keys: BTreeSet<&CellKey> = found.cells.keys().chain(wanted.cells.keys()).collect();
    for key in keys {
        if found.cells.get(key) != wanted.cells.get(key) {
            words += &format!("  cell {key:?}: {:?}, not {:?}\n", found.cells.get(key), wanted.cells.get(key));
        }
    }
    if found.subjects != wanted.subjects {
        words += &format!("  subjects {:?}, not {:?}\n", found.subjects, wanted.subjects);
    }
    if found.secrets != wanted.secrets {
        words += &format!("  secrets that open: {:?}, not {:?}\n", found.secrets, wanted.secrets);
    }
    words
}

/// What can be made again from nothing: the session before the act, and what the act is about.
pub struct Stand {
    pub session: Session,
    pub act: Act,
    pub wave: WaveId,
}

impl Stand {
    pub async fn new(act: Act) -> Self {
        Self::of(act, approved()).await
    }

    pub async fn of(act: Act, (mut session, waves): (Session, BTreeMap<&'static str, WaveId>)) -> Self {
        let wave = match act {
            Act::Forward(name) => waves[name].clone(),
            Act::Back(Back { wave, from, to, deletes }) => {
                let through = (from != Stage::Attest).then_some(from);
                let Driven::Ended(_) = session.drive(&waves[wave], through).await.unwrap() else { panic!("nothing was armed") };
                let order = session.rollback(&RollbackRequest {
                    scope: RollbackScope::Wave(waves[wave].clone()),
                    to,
                    delete_provisioned: deletes,
                    enable_inactive: true,
                });
                session.order(&order.unwrap()).unwrap()
            }
            Act::Issue { .. } | Act::Expire => {
                let enrolled = session.drive(&waves["move"], Some(Stage::Enroll)).await.unwrap();
                assert!(matches!(enrolled, Driven::Ended(ends) if ends.ended.complete), "nobody is enrolled");
                if act == ISSUE_BY_HOOK {
                    session.world().handed.use_hook(true);
                }
                let scope = HandoverScope { wave: Some(waves["move"].clone()), ..HandoverScope::default() };
                let kind = match act {
                    Act::Expire => OrderKind::Expire { scope, older_than: None },
                    _ => OrderKind::Reissue { scope, reset: false },
                };
                let order = session.handover(&kind).unwrap();
                session.order_handover(&order).unwrap()
            }
        };
        Self { session, act, wave }
    }

    pub fn world(&self) -> World {
        self.session.world().clone()
    }

    /// Goes on until it ends or is killed.
    pub async fn go(&mut self) -> Result<Driven<()>, Trouble> {
        match self.act {
            Act::Forward(_) => match self.session.drive(&self.wave, None).await? {
                Driven::Killed => Ok(Driven::Killed),
                Driven::Ended(ends) if ends.ended.complete && ends.ended.parked.is_empty() => Ok(Driven::Ended(())),
                Driven::Ended(ends) => Err(Trouble::new(format!("it did not come to its end: {:?}", ends.ended))),
            },
            Act::Back(_) => match self.session.roll_back(&self.wave).await? {
                Driven::Killed => Ok(Driven::Killed),
                Driven::Ended(Rollback::Done { conflicts, .. }) if conflicts.is_empty() => Ok(Driven::Ended(())),
                // Killed between its last record and its answer.
                Driven::Ended(Rollback::Refused(why)) if why.contains("done") => Ok(Driven::Ended(())),
                Driven::Ended(other) => Err(Trouble::new(format!("it did not come to its end: {other:?}"))),
            },
            Act::Issue { .. } | Act::Expire => match self.session.carry_out(&self.wave).await? {
                Driven::Killed => Ok(Driven::Killed),
                Driven::Ended(Carried::Done { left_out, undelivered, .. }) if left_out.is_empty() && undelivered.is_empty() => {
                    Ok(Driven::Ended(()))
                }
                Driven::Ended(Carried::Refused(why)) if why.contains("carried out already") => Ok(Driven::Ended(())),
                Driven::Ended(other) => Err(Trouble::new(format!("it did not come to its end: {other:?}"))),
            },
        }
    }

    /// Another process takes over.
    pub fn reopen(&mut self, world: &World) -> Result<(), Trouble> {
        self.session = Session::open(world)?;
        Ok(())
    }
}

/// The uninterrupted act, the boundaries that it passes, and what its records cost the disk.
pub async fn uninterrupted(act: Act) -> (Settled, Vec<Point>, Vec<(Point, Range<u64>)>) {
    let mut stand = Stand::new(act).await;
    stand.world().breaker.arm(None);
    assert!(matches!(stand.go().await.unwrap(), Driven::Ended(())), "{act}");
    (settled(&stand.session), stand.world().breaker.seen(), stand.world().breaker.committed())
}
