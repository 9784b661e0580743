//! Forward plans.

use proptest::prelude::*;
use untether_model::approval::{Signed, Statement, Subject as About};
use untether_model::digest::Digest;
use untether_model::operation::{
    Action, Actor, Desired, Direction, Expects, Phase, PlannedValue, Stage, Target, Track, UndoClass,
};
use untether_model::plan::GateWhen;
use untether_model::policy::{Admission, Hold, Keep, ThresholdsPart};
use untether_model::roster::Presence::{Active, Departed, NotYetStarted};
use untether_model::run::{Decision, GateKind, ParkReason, Record, apply};
use untether_model::snapshot::{CredentialKind, EntryRole, SubjectKind};
use untether_model::time::PERMANENT_LOCK;
use untether_model::{AttrName, BatchId, Round, Side, StateId, Value, WaveId};
use untether_planner::report::Remark;
use untether_planner::{Level, PlanError, ReportLine};

use crate::world::*;

fn values(texts: &[&str]) -> Vec<PlannedValue> {
    texts.iter().map(|t| PlannedValue::Inline(Value::from(*t))).collect()
}

pub fn stages_of(kept: &Kept, wave: &str, uid: &str) -> Vec<Stage> {
    kept.batches(wave).iter().flat_map(|b| &b.subjects).find(|s| s.id == id(uid)).unwrap().stages.clone()
}

#[test]
fn a_leaver_is_disabled_soaked_scrubbed_removed_and_proved() {
    let mut world = World::new();
    world.person("taro", Some(Departed));
    let (planned, kept) = world.plan();
    assert!(planned.header.executable, "{:?}", planned.header.not_executable);
    assert!(planned.lint.iter().all(|n| n.level < Level::Error), "{:?}", planned.lint);
    let stages: Vec<Stage> = kept.operations("leave").iter().map(|o| o.stage).collect();
    assert_eq!(stages, [Stage::Disable, Stage::Scrub, Stage::Scrub, Stage::Remove, Stage::Attest]);
    assert_eq!(stages_of(&kept, "leave", "taro"), [Stage::Disable, Stage::Soak, Stage::Scrub, Stage::Remove, Stage::Attest]);

    let disable = &kept.of("leave", "taro", Stage::Disable)[0];
    let Action::Set { touches } = &disable.action else { panic!() };
    assert_eq!(set_touches(disable), ["pwdAccountLockedTime", "pwdEndTime"]);
    assert_eq!(touches[0].desired, Desired::Values(values(&[PERMANENT_LOCK])));
    assert_eq!(touches[0].expects, Expects::Any);
    assert_eq!(touches[1].desired, Desired::Values(values(&["20261120000000Z"])));
    assert_eq!(touches[1].expects, Expects::Absent);
    assert_eq!(disable.undo, UndoClass::Full);

    let gates: Vec<_> = kept.header("leave").gates.iter().map(|g| (g.gate, g.stage, g.when)).collect();
    assert_eq!(gates, [(GateKind::Silence, Stage::Soak, GateWhen::After)], "a leaver has no own account to prove");
}

#[test]
fn pass_through_and_clear_text_passwords_are_severed_by_their_mark_and_hashes_stay() {
    let mut world = World::new();
    world.person("taro", Some(Departed));
    let marks = &mut world.entry_of("taro").credentials;
    marks.push(mark("userPassword", CredentialKind::Password, Some("SASL"), "sasl"));
    marks.push(mark("userPassword", CredentialKind::Password, None, "clear"));
    let (_, kept) = world.plan();
    let Action::Set { touches } = &kept.of("leave", "taro", Stage::Disable)[0].action else { panic!() };
    let password = touches.iter().find(|t| t.attr.is("userpassword")).unwrap();
    assert_eq!(password.expects, Expects::Marks(vec!["clear".into(), "hash-taro".into(), "sasl".into()]));
    assert_eq!(password.desired, Desired::WithoutMarks(vec!["clear".into(), "sasl".into()]));

    world.capabilities.get_mut(&Side::Shared).unwrap().manage = false;
    let (_, kept) = world.plan();
    assert!(matches!(kept.of("leave", "taro", Stage::Disable)[0].undo, UndoClass::Partial(_)));
    assert!(!kept.operations("leave").iter().any(|o| o.actor == Actor::Undo), "nobody can empty the history");
}

#[test]
fn a_scrub_keeps_what_is_retained_named_required_or_the_servers() {
    let mut world = World::new();
    world.policy.retention = Some(vec![AttrName::new("uid")]);
    world.person("taro", Some(Departed));
    world.set("taro", "cn;lang-ja", &["太郎"]);
    world.set("taro", "manager", &["uid=x,dc=shared"]);
    world.entry_of("taro").credentials.push(mark("sshPublicKey", CredentialKind::SshKey, None, "key"));
    let (planned, kept) = world.plan();
    let scrub = kept.of("leave", "taro", Stage::Scrub);
    let mut touched = set_touches(&scrub[0]);
    touched.sort();
    assert_eq!(touched, ["cn;lang-ja", "mail", "manager", "sshPublicKey", "telephoneNumber", "userPassword"]);
    let Action::Set { touches } = &scrub[0].action else { panic!() };
    assert!(touches.iter().all(|t| t.desired == Desired::Absent));
    let expects = |attr: &str| touches.iter().find(|t| t.attr.is(attr)).unwrap().expects.clone();
    assert_eq!(expects("telephonenumber"), Expects::Values(values(&["1", "2"])));
    assert_eq!(expects("sshpublickey"), Expects::Marks(vec!["key".into()]));
    assert_eq!(planned.report.notes[&Remark::RequiredAttribute], 2, "cn and sn stay, and people are told");
    assert_eq!(
        (scrub[1].actor, scrub[1].phase, set_touches(&scrub[1])),
        (Actor::Undo, Phase::HISTORY, vec!["pwdHistory".to_owned()])
    );
}

#[test]
fn a_class_that_only_says_that_there_is_a_credential_goes_with_it() {
    let mut world = World::new();
    world.person("taro", Some(Departed));
    world.set("taro", "objectClass", &["inetOrgPerson", "simpleSecurityObject"]);
    let (_, kept) = world.plan();
    let Action::Set { touches } = &kept.of("leave", "taro", Stage::Scrub)[0].action else { panic!() };
    let classes = touches.iter().find(|t| t.attr.is("objectclass")).unwrap();
    assert_eq!(classes.desired, Desired::Values(values(&["inetOrgPerson"])));
}

#[test]
fn an_account_whose_policy_ignores_locks_is_pointed_at_the_locking_policy_first_or_not_planned() {
    let mut world = World::new();
    world.person("taro", Some(Departed)).accounts[0].state.policy_effective = Some(false);
    assert_eq!(world.reason("taro"), Some("policy-not-locking"));

    world.policy.locking_policy = Some(dn("cn=locking,dc=shared"));
    assert_eq!(world.reason("taro"), Some("policy-not-locking"), "the locking policy does not exist");

    world.shared.push(entry(
        "cn=locking,dc=shared",
        EntryRole::Other,
        &[("objectClass", &["pwdPolicy"]), ("pwdLockout", &["TRUE"])],
    ));
    let (_, kept) = world.plan();
    let disable = kept.of("leave", "taro", Stage::Disable);
    assert_eq!(disable.iter().map(|o| o.phase).collect::<Vec<_>>(), [Phase::POLICY, Phase::ENTRIES]);
    assert_eq!(set_touches(&disable[0]), ["pwdPolicySubentry"]);
}

#[test]
fn a_migrating_person_gets_a_locked_entry_then_a_credential_then_admission() {
    let mut world = World::new();
    world.person("hana", Some(Active));
    world.set("hana", "cn;lang-ja", &["花"]);
    world.set("hana", "jpegPhoto", &[&"x".repeat(5_000)]);
    let (planned, kept) = world.plan();
    assert!(planned.lint.iter().all(|n| n.level < Level::Error), "{:?}", planned.lint);
    assert_eq!(stages_of(&kept, "move", "hana"), Stage::ALL);

    let create = &kept.of("move", "hana", Stage::Provision)[0];
    assert_eq!(create.target, Target::New { dn: own("hana") });
    let Action::Create { attrs } = &create.action else { panic!() };
    let get = |name: &str| attrs.iter().find(|(a, _)| *a == AttrName::new(name)).map(|(_, v)| v.clone());
    assert_eq!(get("pwdAccountLockedTime"), Some(values(&[PERMANENT_LOCK])));
    assert_eq!(get("userPassword"), None);
    assert_eq!(get("cn;lang-ja"), Some(values(&["花"])));
    assert_eq!(get("displayName"), Some(values(&["hana (own)"])));
    assert_eq!(get("labSourceId"), Some(values(&["uuid-uid=hana,ou=own,dc=shared"])));
    assert_eq!(get("telephoneNumber"), None);
    let photo = Digest::of("x".repeat(5_000).as_bytes());
    assert_eq!(get("jpegPhoto"), Some(vec![PlannedValue::Blob(photo)]));
    assert!(kept.blobs.contains_key(&("move".to_owned(), photo)));
    assert_eq!(planned.header.waves[0].blobs, [photo]);

    let enroll = &kept.of("move", "hana", Stage::Enroll)[0];
    assert_eq!(enroll.target, Target::CreatedBy { n: create.n, dn: own("hana") });
    assert_eq!(set_touches(enroll), ["pwdAccountLockedTime", "pwdEndTime", "pwdReset", "userPassword"]);
    let switch = &kept.of("move", "hana", Stage::Switch)[0];
    assert!(matches!(&switch.target, Target::Existing { dn: at, .. } if *at == dn("cn=admitted,ou=groups,dc=own")));
    assert_eq!(ensured(switch).into_iter().collect::<Vec<_>>(), [own("hana").to_string()]);

    let gates: Vec<_> = kept.header("move").gates.iter().map(|g| g.gate).collect();
    assert_eq!(gates, [GateKind::Mfa, GateKind::OwnAccount, GateKind::Silence]);
}

#[test]
fn admission_by_attribute_is_a_change_of_each_account() {
    let mut world = World::new();
    world.policy.admission = Some(Admission::Attribute { name: "labAdmitted".into(), value: "yes".into() });
    world.person("hana", Some(Active));
    let (_, kept) = world.plan();
    let switch = &kept.of("move", "hana", Stage::Switch)[0];
    let Action::Set { touches } = &switch.action else { panic!() };
    assert_eq!((&touches[0].expects, &touches[0].desired), (&Expects::Absent, &Desired::Values(values(&["yes"]))));
}

#[test]
fn a_person_with_an_own_account_only_leaves_the_shared_store() {
    let mut world = World::new();
    world.person("ken", Some(Active));
    world.also_own("ken");
    let (_, kept) = world.plan();
    assert_eq!(stages_of(&kept, "move", "ken")[0], Stage::Disable);
    assert!(kept.operations("move").iter().all(|o| o.store == Side::Shared));
    assert!(kept.header("move").gates.iter().any(|g| g.gate == GateKind::OwnAccount));
}

#[test]
fn a_kept_record_is_scrubbed_and_stays_until_its_retention_ends() {
    let mut world = World::new();
    world.person("taro", Some(Departed));
    let keep =
        |until: &str| Keep { entities: vec![], filter: "(uid=taro)".into(), reason: "law".into(), until: until.parse().unwrap() };
    world.policy.keep = vec![keep("2030-01-01")];
    let (_, kept) = world.plan();
    assert_eq!(stages_of(&kept, "leave", "taro"), [Stage::Disable, Stage::Soak, Stage::Scrub]);
    assert!(!kept.operations("leave").iter().any(|o| o.action == Action::Delete));
    world.policy.keep = vec![keep("2026-11-19")];
    let (_, kept) = world.plan();
    assert!(kept.operations("leave").iter().any(|o| o.action == Action::Delete));
}

#[test]
fn who_is_not_planned_is_reported_with_the_reason() {
    let mut world = World::new();
    world.person("future", Some(NotYetStarted));
    world.person("orphan", None);
    world.person("torn", Some(Active)).undecided.push("correlation.ambiguous".into());
    world.person("nowhere", Some(Active)).entity = None;
    world.person("glass", Some(Active)).protected = true;
    world.person("listed", Some(Active));
    world.protected.insert(Side::Shared, vec![shared("listed")]);
    world.person("tool", None).kind = SubjectKind::Tool;
    let backup = world.person("backup", None);
    (backup.kind, backup.owned) = (SubjectKind::Service, Some(false));
    world.person("held", Some(Active));
    world.policy.hold.push(Hold {
        entities: vec!["own".into()],
        filter: "(uid=held)".into(),
        reason: "court".into(),
        until: "2027-01-01".parse().unwrap(),
    });
    world.person("bot", Some(Active)).kind = SubjectKind::Mailbox;
    let (planned, kept) = world.plan();
    for (uid, reason) in [
        ("future", "not-yet-started"),
        ("orphan", "orphan"),
        ("torn", "undecided"),
        ("nowhere", "unassigned"),
        ("glass", "protected"),
        ("listed", "protected"),
        ("tool", "tool"),
        ("backup", "unowned"),
        ("held", "policy-hold"),
        ("bot", "no-wave"),
    ] {
        let found = kept.report.iter().find_map(|l| match l {
            ReportLine::NotPlanned(n) if n.subject == id(uid) => Some(n),
            _ => None,
        });
        let found = found.unwrap_or_else(|| panic!("{uid} is planned"));
        assert_eq!(found.reason.as_str(), reason, "{uid}");
        assert!(!found.words.is_empty());
        assert_eq!(found.waits_for, found.reason.waits_for());
        if let "held" | "orphan" = uid {
            let waits = if uid == "held" { "the end of the hold" } else { "a decision (`untether subject decide`)" };
            assert_eq!(found.waits_for, waits);
        }
    }
    assert_eq!(planned.report.planned_subjects(), 0);
    assert_eq!(planned.report.notes[&Remark::EmptyWave], 2);
}

pub fn sign(kind: &str) -> Signed {
    Signed {
        statement: Statement {
            state: StateId::new("u"),
            subject: About::Object { kind: kind.into(), object: "x".into(), shown: Digest::of(b"") },
            reason: "decided in the meeting".into(),
            not_after: NOW.parse().unwrap(),
        },
        approver: "alice".into(),
        key: "SHA256:x".into(),
        signature: "sig".into(),
    }
}

pub fn record(world: &mut World, seq: u64, record: &Record) {
    let change = apply(&world.progress, seq, NOW.parse().unwrap(), record).unwrap();
    world.progress.commit(change);
}

pub fn decide(world: &mut World, seq: u64, uid: &str, track: Track, until: &str) {
    let decision = Decision::Track { subject: id(uid), track, until: until.parse().unwrap(), entity: None };
    record(world, seq, &Record::Decision { decision, signed: sign("track") });
}

#[test]
fn a_persons_decision_counts_until_its_day_and_not_against_the_roster() {
    let mut world = World::new();
    world.person("orphan", None);
    decide(&mut world, 1, "orphan", Track::Retire, "2026-11-20");
    assert_eq!(world.reason("orphan"), None);
    decide(&mut world, 2, "orphan", Track::Hold, "2026-11-20");
    assert_eq!(world.reason("orphan"), Some("decided-hold"));
    decide(&mut world, 3, "orphan", Track::Retire, "2026-11-19");
    assert_eq!(world.reason("orphan"), Some("orphan"), "the decision has run out");
    world.person("hana", Some(Active));
    decide(&mut world, 4, "hana", Track::Retire, "2027-01-01");
    assert_eq!(world.reason("hana"), Some("decision-against-roster"));
}

#[test]
fn names_that_are_taken_are_never_planned() {
    let mut world = World::new();
    world.person("a", Some(Active));
    world.person("b", Some(Active));
    world.person("c", Some(Active));
    world.person("d", Some(Active));
    world.person("e", Some(Active));
    world.independent.push(entry(own("A").as_str(), EntryRole::Account, &[]));
    world.independent.push(entry("cn=x,ou=services,dc=own", EntryRole::Account, &[("uid", &["B"])]));
    world.set("c", "mail", &["same@x.example"]);
    world.set("d", "mail", &["SAME@x.example"]);
    assert_eq!(world.reason("a"), Some("name-clash"));
    assert_eq!(world.reason("b"), Some("name-clash"));
    assert_eq!(world.reason("c"), None, "the first by id goes");
    assert_eq!(world.reason("d"), Some("name-clash"));
    assert_eq!(world.reason("e"), None);
}

#[test]
fn what_the_mapping_needs_and_the_entry_lacks_is_reported() {
    let mut world = World::new();
    world.person("a", Some(Active));
    world.entry_of("a").attrs.remove(&AttrName::new("sn"));
    assert_eq!(world.reason("a"), Some("mapping-incomplete"));
}

#[test]
fn memberships_are_one_operation_for_each_group_batch_and_direction() {
    let mut world = World::new();
    for uid in ["a", "b", "c", "d", "e"] {
        world.person(uid, Some(Active));
    }
    world.person("gone", Some(Departed));
    let members: Vec<String> = ["a", "b", "c", "d", "e", "gone"].iter().map(|u| shared(u).to_string()).collect();
    world.group("staff", "member", &members.iter().map(String::as_str).collect::<Vec<_>>());
    world.group("posix", "memberUid", &["gone", "nobody"]);
    let (planned, kept) = world.plan();
    assert!(planned.lint.iter().all(|n| n.level < Level::Error), "{:?}", planned.lint);
    let joins: Vec<_> =
        kept.operations("move").into_iter().filter(|o| o.stage == Stage::Provision && o.phase == Phase::MEMBERSHIPS).collect();
    assert_eq!(joins.iter().map(|o| (o.batch.as_str(), o.subjects.len())).collect::<Vec<_>>(), [("b01", 2), ("b02", 3)]);
    for join in &joins {
        let Action::Ensure { create, delete_when_empty, values, direction, .. } = &join.action else { panic!() };
        assert!(create.as_ref().unwrap().contains_key(&AttrName::new("cn")) && *delete_when_empty);
        assert_eq!(*direction, Direction::Present);
        for (subject, value) in join.subjects.iter().zip(values) {
            assert_eq!(value.to_lossy(), own(subject.as_str().strip_prefix("s-").unwrap()).to_string());
        }
    }
    let leaves: Vec<_> = kept.operations("leave").into_iter().filter(|o| o.phase == Phase::MEMBERSHIPS).collect();
    assert_eq!(leaves.len(), 2);
    let Action::Ensure { attr, placeholder, .. } = &leaves[0].action else { panic!() };
    assert!(attr.is("memberuid") && placeholder.is_none(), "a posixGroup may be empty");
    assert_eq!(ensured(&leaves[0]).into_iter().collect::<Vec<_>>(), ["gone"]);
    let Action::Ensure { placeholder, .. } = &leaves[1].action else { panic!() };
    assert!(placeholder.is_some());
    let delete = kept.operations("leave").into_iter().find(|o| o.action == Action::Delete).unwrap();
    assert!(leaves.iter().all(|o| o.n < delete.n && o.phase < delete.phase));
}

#[test]
fn a_group_that_does_not_exist_and_is_not_to_be_made_is_reported() {
    let mut world = World::new();
    world.person("a", Some(Active));
    world.group("staff", "member", &[shared("a").as_str()]);
    world.policy.mapping.as_mut().unwrap().groups.as_mut().unwrap()[0].create = false;
    let (planned, kept) = world.plan();
    assert_eq!(planned.report.notes[&Remark::GroupMissing], 1);
    let of_group = |o: &untether_model::operation::Operation| *o.target.dn() == dn("cn=staff,ou=groups,dc=own");
    assert!(!kept.operations("move").iter().any(of_group));
}

#[test]
fn references_follow_translated_and_belong_to_the_later_of_two_batches() {
    let mut world = World::new();
    for uid in ["a", "b", "c", "d", "e", "old", "far"] {
        world.person(uid, Some(Active));
    }
    world.also_own("old");
    world.subjects.iter_mut().find(|s| s.id == id("far")).unwrap().undecided.push("x".into());
    for (uid, manager) in [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "a")] {
        world.set(uid, "manager", &[shared(manager).as_str()]);
    }
    let (planned, kept) = world.plan();
    assert!(planned.lint.iter().all(|n| n.level < Level::Error), "{:?}", planned.lint);
    let batch_of =
        |uid: &str| kept.batches("move").into_iter().find(|b| b.subjects.iter().any(|s| s.id == id(uid))).unwrap().name;
    let refs: Vec<_> =
        kept.operations("move").into_iter().filter(|o| o.stage == Stage::Provision && o.phase == Phase::REFERENCES).collect();
    assert_eq!(refs.len(), 5);
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "a")] {
        let found = refs.iter().find(|o| *o.target.dn() == own(from)).unwrap();
        assert_eq!(ensured(found).into_iter().collect::<Vec<_>>(), [own(to).to_string()]);
        let later = if batch_of(to) > batch_of(from) { to } else { from };
        assert_eq!((found.batch.clone(), found.subjects.clone()), (batch_of(later), vec![id(later)]));
        assert_eq!(matches!(found.target, Target::CreatedBy { .. }), found.batch == batch_of(from));
    }
    world.set("a", "manager", &[shared("old").as_str()]);
    world.set("b", "manager", &[shared("far").as_str()]);
    let (planned, kept) = world.plan();
    let refs: Vec<_> =
        kept.operations("move").into_iter().filter(|o| o.phase == Phase::REFERENCES && o.stage == Stage::Provision).collect();
    assert!(refs.iter().any(|o| *o.target.dn() == own("a") && ensured(o).contains(own("old").as_str())));
    assert!(!refs.iter().any(|o| *o.target.dn() == own("b")));
    assert_eq!(planned.report.notes[&Remark::ReferenceLeftOut], 1);
}

#[test]
fn references_to_a_record_go_before_it_unless_a_scrub_takes_them_anyway() {
    let mut world = World::new();
    world.person("boss", Some(Departed));
    world.person("stays", Some(Active)).undecided.push("x".into());
    world.person("leaves", Some(Departed));
    world.set("stays", "manager", &[shared("boss").as_str()]);
    world.set("leaves", "manager", &[shared("boss").as_str()]);
    world.person("glass", Some(Active)).protected = true;
    world.set("glass", "manager", &[shared("boss").as_str()]);
    world.protected.insert(Side::Shared, vec![shared("glass")]);
    let mut config = entry("olcDatabase={1}mdb,cn=config", EntryRole::Config, &[]);
    let rule = format!("{{0}}to * by dn.exact=\"{}\" write by * none", shared("boss"));
    config.attrs.insert("olcAccess".into(), vec![Value::from(rule)]);
    world.shared.push(config);
    let (planned, kept) = world.plan();
    let refs: Vec<_> = kept.operations("leave").into_iter().filter(|o| o.phase == Phase::REFERENCES).collect();
    assert_eq!(refs.iter().map(|o| o.target.dn().clone()).collect::<Vec<_>>(), [shared("stays")]);
    assert_eq!(planned.report.notes[&Remark::ProtectedReference], 1);
    assert_eq!(planned.report.notes[&Remark::AclReference], 1);
}

#[test]
fn records_with_something_below_them_wait_and_children_go_first() {
    let mut world = World::new();
    world.person("top", Some(Departed));
    world.person_at("leaf", Some(Departed), &dn("uid=leaf,uid=top,ou=own,dc=shared"));
    let (_, kept) = world.plan();
    let deletes: Vec<_> = kept
        .operations("leave")
        .into_iter()
        .filter(|o| o.action == Action::Delete)
        .map(|o| (o.batch, o.phase, o.target.dn().clone()))
        .collect();
    assert_eq!(deletes.iter().map(|d| d.2.clone()).collect::<Vec<_>>(), [dn("uid=leaf,uid=top,ou=own,dc=shared"), shared("top")]);
    assert!((&deletes[0].0, deletes[0].1) < (&deletes[1].0, deletes[1].1));
    world.shared.push(entry("cn=device,uid=top,ou=own,dc=shared", EntryRole::Other, &[]));
    assert_eq!(world.reason("top"), Some("children"));
    assert_eq!(world.reason("leaf"), None);
}

#[test]
fn a_departed_member_is_taken_out_of_a_protected_group_and_nothing_else() {
    let mut world = World::new();
    world.person("root", Some(Departed)).protected = true;
    world.person("active", Some(Active)).protected = true;
    let members = [shared("root").to_string(), shared("active").to_string()];
    world.group("directory-admins", "member", &members.iter().map(String::as_str).collect::<Vec<_>>());
    world.group("staff", "member", &[members[0].as_str()]);
    let group = dn("cn=directory-admins,ou=groups,dc=shared");
    world.protected.insert(Side::Shared, vec![shared("root"), shared("active")]);
    assert_eq!(world.reason("root"), Some("protected"), "no protected group is configured");
    world.audit.protected.groups = vec![group.clone()];
    let (planned, kept) = world.plan();
    let operations = kept.operations("leave");
    assert_eq!(operations.len(), 1);
    assert!(operations[0].protected_group && *operations[0].target.dn() == group);
    assert_eq!(ensured(&operations[0]).into_iter().collect::<Vec<_>>(), [shared("root").to_string()]);
    assert_eq!(planned.report.notes[&Remark::ProtectedGroup], 1);
    assert!(planned.lint.iter().all(|n| n.level < Level::Error), "{:?}", planned.lint);
    world.audit.protected.dns = vec![shared("root")];
    assert_eq!(world.reason("root"), Some("protected"));
}

/// Records the plan's waves as run by the engine until they are claimed.
pub fn start(world: &mut World, planned: &untether_planner::Planned, kept: &Kept, wave: &str, seq: u64) -> WaveId {
    let plan = planned.id.clone();
    record(
        world,
        seq,
        &Record::PlanRecorded {
            plan: plan.clone(),
            digest: planned.digest,
            parent: None,
            snapshot: None,
            waves: planned.header.waves.clone(),
            report: None,
            executable: true,
            forecast: None,
        },
    );
    let id = WaveId::new(plan, wave);
    let digest = planned.header.waves.iter().find(|w| w.name == wave).unwrap().digest;
    let claims = kept
        .batches(wave)
        .into_iter()
        .map(|b| untether_model::run::WaveClaim {
            batch: b.name,
            canary: b.canary,
            subjects: b
                .subjects
                .into_iter()
                .map(|s| untether_model::run::ClaimedSubject { id: s.id, track: s.track, entity: s.entity, stages: s.stages })
                .collect(),
        })
        .collect();
    record(world, seq + 1, &Record::WaveStarted { wave: id.clone(), digest, claims, failure_tolerance: 0 });
    id
}

#[test]
fn subjects_in_hand_are_left_alone_and_parked_ones_pass_to_a_new_plan() {
    let mut world = World::new();
    world.person("a", Some(Departed));
    world.person("b", Some(Departed));
    let (planned, kept) = world.plan();
    let wave = start(&mut world, &planned, &kept, "leave", 1);
    assert_eq!(world.reason("a"), None, "nothing has begun: a new plan may take it");
    let batch = BatchId::new(wave, "b01");
    record(
        &mut world,
        10,
        &Record::StageStarted { batch: batch.clone(), stage: Stage::Disable, round: Round::FIRST, operations: 2 },
    );
    assert_eq!(world.reason("a"), Some("claimed"));
    record(
        &mut world,
        11,
        &Record::Parked {
            subject: id("a"),
            batch: batch.clone(),
            reason: ParkReason::Failed,
            stage: Stage::Disable,
            details: "x".into(),
            presence: None,
        },
    );
    assert_eq!(world.reason("a"), None);
    record(&mut world, 12, &Record::StageEnded { batch: batch.clone(), stage: Stage::Disable, round: Round::FIRST });
    for (n, stage) in [Stage::Soak, Stage::Scrub, Stage::Remove, Stage::Attest].into_iter().enumerate() {
        let seq = 20 + 2 * n as u64;
        record(&mut world, seq, &Record::StageStarted { batch: batch.clone(), stage, round: Round::FIRST, operations: 1 });
        record(&mut world, seq + 1, &Record::StageEnded { batch: batch.clone(), stage, round: Round::FIRST });
    }
    record(&mut world, 40, &Record::WaveEnded { wave: batch.wave.clone() });
    assert_eq!(world.reason("b"), Some("finished"));
}

#[test]
fn a_migration_that_stopped_goes_on_with_the_entry_that_it_made() {
    let mut world = World::new();
    world.person("hana", Some(Active));
    let (planned, kept) = world.plan();
    let wave = start(&mut world, &planned, &kept, "move", 1);
    let batch = BatchId::new(wave, "b01");
    record(
        &mut world,
        10,
        &Record::StageStarted { batch: batch.clone(), stage: Stage::Provision, round: Round::FIRST, operations: 1 },
    );
    record(&mut world, 11, &Record::StageEnded { batch: batch.clone(), stage: Stage::Provision, round: Round::FIRST });
    record(
        &mut world,
        12,
        &Record::Parked {
            subject: id("hana"),
            batch,
            reason: ParkReason::Held,
            stage: Stage::Enroll,
            details: "x".into(),
            presence: None,
        },
    );
    world.also_own("hana");
    let (_, kept) = world.plan();
    assert_eq!(stages_of(&kept, "move", "hana")[..2], [Stage::Enroll, Stage::Switch]);
    let enroll = &kept.of("move", "hana", Stage::Enroll)[0];
    assert!(matches!(&enroll.target, Target::Existing { dn, .. } if *dn == own("hana")));
    assert!(!kept.operations("move").iter().any(|o| matches!(o.action, Action::Create { .. })));
}

#[test]
fn the_canary_shows_what_differs_and_comes_first() {
    let mut world = World::new();
    for n in 0..20 {
        world.person(&format!("p{n:02}"), Some(Departed));
    }
    world.group("rare", "member", &[shared("p13").as_str()]);
    let (planned, kept) = world.plan();
    let batches = kept.batches("leave");
    assert!(batches[0].canary && batches[0].subjects.len() == 2);
    assert!(batches[0].subjects.iter().any(|s| s.id == id("p13")));
    assert_eq!(batches.iter().skip(1).map(|b| b.subjects.len()).collect::<Vec<_>>(), [3, 3, 3, 3, 3, 3]);
    assert_eq!(planned.header.waves[0].batches, 7);
    assert_eq!(planned.report.points_of_no_return.len(), 7);
    assert!(planned.report.points_of_no_return.iter().all(|p| p.stage == Stage::Scrub));
}

#[test]
fn a_full_wave_leaves_the_rest_to_a_later_plan() {
    let mut world = World::new();
    for n in 0..5 {
        world.person(&format!("p{n}"), Some(Departed));
    }
    world.policy.waves[0].limit = Some(3);
    let (planned, _) = world.plan();
    assert_eq!(planned.report.planned_subjects(), 3);
    assert_eq!(planned.report.not_planned[&untether_planner::Reason::WaveLimit], 2);
}

#[test]
fn a_forecast_behind_the_deadline_says_so() {
    let mut world = World::new();
    world.person("a", Some(Departed));
    let (planned, _) = world.plan();
    assert!(!planned.report.waves[0].late && !planned.report.entities[0].late);
    world.audit.entities.get_mut(&"own".into()).unwrap().deadline = Some("2026-11-30".parse().unwrap());
    let (planned, _) = world.plan();
    assert!(planned.report.waves[0].late && planned.report.entities[0].late, "fourteen days of soak do not fit");
}

#[test]
fn exceeded_thresholds_are_an_error_before_anything_runs() {
    let mut world = World::new();
    world.person("a", Some(Departed));
    world.person("b", Some(Departed));
    world.policy.waves[0].thresholds = Some(ThresholdsPart { max_disabled: Some(1), ..ThresholdsPart::default() });
    let (planned, _) = world.plan();
    assert!(planned.lint.iter().any(|n| n.level == Level::Error && n.rule == untether_planner::lint::Rule::Threshold));
}

#[test]
fn a_plan_from_an_unprobed_store_can_only_be_rehearsed() {
    let mut world = World::new();
    world.capabilities.remove(&Side::Shared);
    world.person("a", Some(Departed));
    let (planned, _) = world.plan();
    assert!(!planned.header.executable);
    assert!(planned.header.not_executable[0].contains("shared"), "{:?}", planned.header.not_executable);
}

#[test]
fn a_policy_that_contradicts_itself_or_a_bad_filter_is_refused() {
    let mut world = World::new();
    world.policy.waves[0].after = vec!["move".into()];
    assert!(matches!(world.try_plan(), Err(PlanError::Policy(_))));
    let mut world = World::new();
    world.person("a", Some(Active));
    world.policy.hold.push(Hold {
        entities: vec![],
        filter: "nonsense".into(),
        reason: "x".into(),
        until: "2027-01-01".parse().unwrap(),
    });
    assert!(matches!(world.try_plan(), Err(PlanError::Filter { .. })));
}

fn busy_world() -> World {
    let mut world = World::new();
    for n in 0..12 {
        let uid = format!("p{n:02}");
        world.person(&uid, Some(if n % 3 == 0 { Departed } else { Active }));
        world.set(&uid, "manager", &[shared(&format!("p{:02}", (n + 5) % 12)).as_str()]);
        if n % 4 == 1 {
            world.also_own(&uid);
        }
    }
    let members: Vec<String> = (0..12).map(|n| shared(&format!("p{n:02}")).to_string()).collect();
    world.group("staff", "member", &members.iter().map(String::as_str).collect::<Vec<_>>());
    world.group("few", "uniqueMember", &[members[0].as_str(), members[3].as_str()]);
    world
}

#[test]
fn the_seed_decides_and_nothing_else() {
    let world = busy_world();
    let (first, kept) = world.plan();
    let (again, kept_again) = world.plan();
    assert_eq!((first.digest, kept.lines.clone()), (again.digest, kept_again.lines));
    assert_eq!(first.digest, Digest::of(&first.bytes));
    for wave in &first.header.waves {
        assert_eq!(wave.digest, Digest::of(&kept.lines[&wave.name]));
        assert_eq!(wave.operations as usize, kept.operations(&wave.name).len());
    }
    let mut other = world.clone();
    other.seed = 8;
    assert_ne!(other.plan().0.digest, first.digest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_order_of_the_streams_does_not_matter(
        subjects in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(),
        shared in Just((0..14).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        let world = busy_world();
        let (expected, kept) = world.plan();
        let mut shuffled = world.clone();
        shuffled.subjects = subjects.iter().map(|n| world.subjects[*n].clone()).collect();
        shuffled.shared = shared.iter().map(|n| world.shared[*n].clone()).collect();
        shuffled.independent.reverse();
        let (planned, other) = shuffled.plan();
        prop_assert_eq!(planned.digest, expected.digest);
        prop_assert_eq!(other.lines, kept.lines);
        prop_assert_eq!(other.report, kept.report);
    }
}
