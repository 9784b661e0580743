//! What the policy says for single entities and waves, and what of it a plan holds.

use untether_model::digest::Digest;
use untether_model::operation::{Action, HashScheme, SecretShape, Stage, Track};
use untether_model::policy::{
    Admission, CredentialPart, GroupMap, MappingPart, MfaExemption, RetentionList, Settings, Span, ThresholdsPart,
};
use untether_model::roster::Presence::{Active, Departed};
use untether_model::snapshot::SubjectKind;
use untether_model::{AttrName, EntityId, Value};
use untether_planner::lint::Rule;
use untether_planner::report::Remark;
use untether_planner::{PlanError, Planned, Reason, ReportLine};

use crate::world::*;

/// A world with a second entity, `sub`.
fn two_entities() -> World {
    let mut world = World::new();
    let mut entity = world.audit.entities[&EntityId::new("own")].clone();
    entity.name = "Subsidiary".into();
    world.audit.entities.insert("sub".into(), entity);
    world
}

fn names(texts: &[&str]) -> Vec<AttrName> {
    texts.iter().map(AttrName::new).collect()
}

fn created(kept: &Kept, wave: &str, uid: &str) -> (String, Vec<(AttrName, String)>) {
    let op = kept.of(wave, uid, Stage::Provision).into_iter().find(|op| matches!(op.action, Action::Create { .. })).unwrap();
    let Action::Create { attrs } = &op.action else { panic!() };
    (op.target.dn().to_string(), attrs.iter().map(|(attr, values)| (attr.clone(), format!("{values:?}"))).collect())
}

fn said(planned: &Planned, rule: Rule) -> Vec<String> {
    planned.lint.iter().filter(|n| n.rule == rule).map(|n| format!("{}: {}", n.at, n.words)).collect()
}

#[test]
fn each_entity_is_treated_by_its_own_words_over_the_usual_ones() {
    let mut world = two_entities();
    world.person("taro", Some(Active));
    world.person("hans", Some(Active)).entity = Some("sub".into());
    world.group("berlin", "member", &[shared("taro").as_str(), shared("hans").as_str()]);
    let sub = Settings {
        mapping: Some(MappingPart {
            base: Some(dn("ou=berlin,dc=own")),
            constants: [(AttrName::new("preferredLanguage"), vec![Value::from("de")])].into(),
            groups: Some(vec![GroupMap {
                shared: dn("cn=berlin,ou=groups,dc=shared"),
                independent: dn("cn=berlin,ou=groups,dc=own"),
                create: true,
            }]),
            ..MappingPart::default()
        }),
        credential: Some(CredentialPart { length: Some(32), must_change: Some(false), ..CredentialPart::default() }),
        admission: Some(Admission::Attribute { name: "labAdmitted".into(), value: "yes".into() }),
        mfa_filter: Some("(labFactor=webauthn)".into()),
        own_account_login_days: Some(7),
        ..Settings::default()
    };
    world.policy.entities.insert("sub".into(), sub);
    world.policy.credential = Some(CredentialPart { scheme: Some(HashScheme::Ssha512), ..CredentialPart::default() });
    let (_, kept) = world.plan();

    let (own_dn, own_attrs) = created(&kept, "move", "taro");
    let (sub_dn, sub_attrs) = created(&kept, "move", "hans");
    assert_eq!((own_dn.as_str(), sub_dn.as_str()), ("uid=taro,ou=people,dc=own", "uid=hans,ou=berlin,dc=own"));
    let has = |attrs: &[(AttrName, String)], name: &str| attrs.iter().any(|(attr, _)| attr.is(name));
    assert!(has(&sub_attrs, "preferredlanguage") && !has(&own_attrs, "preferredlanguage"));
    assert!(has(&sub_attrs, "description") && has(&sub_attrs, "displayname"), "what the entity leaves out holds as for all");

    let followed =
        |uid| kept.of("move", uid, Stage::Provision).iter().any(|op| op.target.dn() == &dn("cn=berlin,ou=groups,dc=own"));
    assert!(followed("hans") && !followed("taro"), "a list of groups takes the place of the usual one");
    let enroll = |uid| kept.of("move", uid, Stage::Enroll).remove(0);
    assert_eq!(enroll("taro").secret, Some(SecretShape { scheme: HashScheme::Ssha512, length: 20 }));
    assert_eq!(enroll("hans").secret, Some(SecretShape { scheme: HashScheme::Ssha512, length: 32 }));
    assert!(set_touches(&enroll("taro")).contains(&"pwdReset".to_owned()));
    assert!(!set_touches(&enroll("hans")).contains(&"pwdReset".to_owned()));
    assert_eq!(kept.of("move", "taro", Stage::Switch)[0].target.dn(), &dn("cn=admitted,ou=groups,dc=own"));
    assert_eq!(kept.of("move", "hans", Stage::Switch)[0].target.dn(), &dn("uid=hans,ou=berlin,dc=own"));

    let header = kept.header("move");
    let terms = |entity: &str| header.terms[&EntityId::new(entity)].clone();
    assert_eq!(terms("own").mfa_filter.as_deref(), Some("(labFactor=totp)"));
    assert_eq!(terms("sub").mfa_filter.as_deref(), Some("(labFactor=webauthn)"));
    assert_eq!((terms("own").own_account_login_days, terms("sub").own_account_login_days), (30, 7));
}

#[test]
fn a_wave_is_heard_before_its_entity_and_runs_at_its_own_pace() {
    let mut world = two_entities();
    for n in 0..7 {
        world.person(&format!("p{n}"), Some(Departed)).entity = Some("sub".into());
    }
    world.policy.soak = Some(Span::from_seconds(3 * 86_400));
    world.policy.waves.truncate(1);
    world.policy.waves[0].entities = vec!["sub".into()];
    world.policy.waves[0].retention = Some(names(&["uid", "cn", "sn", "mail"]));
    world.policy.waves[0].batch_size = None;
    world.policy.waves[0].canary_size = Some(1);
    let sub = Settings { batch_size: Some(2), canary_size: Some(5), ..Settings::default() };
    let retention = Some(names(&["uid"]));
    world.policy.entities.insert("sub".into(), Settings { retention, failure_tolerance: Some(4), ..sub });
    let (planned, kept) = world.plan();
    let sizes: Vec<usize> = kept.batches("leave").iter().map(|b| b.subjects.len()).collect();
    assert_eq!(sizes, [1, 2, 2, 2], "the canary of the wave, the batches of the entity");
    let header = kept.header("leave");
    assert_eq!((header.soak.seconds, header.failure_tolerance), (3 * 86_400, 4));
    assert_eq!(planned.report.waves[0].soak_seconds, 3 * 86_400);

    let scrubbed = set_touches(&kept.of("leave", "p0", Stage::Scrub)[0]);
    assert!(scrubbed.contains(&"telephoneNumber".to_owned()) && !scrubbed.contains(&"mail".to_owned()), "{scrubbed:?}");
    let against = &header.terms[&EntityId::new("sub")].retained_against;
    assert_eq!(against[&RetentionList::Entity], names(&["cn", "sn", "mail"]));
    let notes = said(&planned, Rule::Retention);
    assert!(
        notes.iter().any(|n| n.starts_with("leave, sub: scrubbed records keep cn, sn, mail, which the list of [plan.entities]"))
    );
}

#[test]
fn a_wave_takes_whom_its_filter_and_its_list_name() {
    let mut world = World::new();
    for (uid, kind, number) in [("a", "staff", "1"), ("b", "staff", "02"), ("c", "guest", "3"), ("d", "staff", "4")] {
        world.person(uid, Some(Departed));
        world.set(uid, "employeeType", &[kind]);
        world.set(uid, "employeeNumber", &[number]);
    }
    let mut first = wave("first", &[Track::Retire]);
    first.filter = Some("(employeeType=staff)".into());
    first.people_file = Some("first.txt".into());
    first.people = ["00001", "2", "3", "nobody"].map(str::to_owned).to_vec();
    let mut second = wave("second", &[Track::Retire]);
    second.filter = Some("(employeeType=guest)".into());
    world.policy.waves = vec![first, second];
    let (planned, kept) = world.plan();
    let members = |wave: &str| kept.batches(wave).into_iter().flat_map(|b| b.subjects).map(|s| s.id).collect::<Vec<_>>();
    assert_eq!(members("first"), [id("a"), id("b")], "listed by number, however it is padded, and matching");
    assert_eq!(members("second"), [id("c")], "listed in the first, but its filter leaves it out");
    assert_eq!(planned.report.not_planned[&Reason::NoWave], 1);
    let left = kept.report.iter().find_map(|line| match line {
        ReportLine::NotPlanned(n) => Some((n.subject.clone(), n.words.clone())),
        _ => None,
    });
    let words = "the filter or the list of each wave that could take it leaves it out: first, second";
    assert_eq!(left, Some((id("d"), words.to_owned())));
    let unknown = kept.report.iter().find_map(|line| match line {
        ReportLine::Note(n) if n.remark == Remark::ListedUnknown => Some(n.words.clone()),
        _ => None,
    });
    let words = "1 of 4 lines of 'first.txt' (wave first) name no account of the shared store: nobody";
    assert_eq!(unknown.as_deref(), Some(words));
    assert_eq!(kept.header("first").selector.people_file.as_deref(), Some("first.txt"));
}

#[test]
fn who_need_not_pass_gate_mfa_stands_in_the_plan_and_in_its_lint() {
    let mut world = World::new();
    world.person("svc", None).kind = SubjectKind::Service;
    world.subjects[0].owned = Some(true);
    world.person("taro", Some(Active));
    world.policy.waves[1].kinds = vec![SubjectKind::Person, SubjectKind::Service];
    world.policy.mfa_exempt = Some(vec![MfaExemption { kinds: vec![SubjectKind::Service], reason: "no person to ask".into() }]);
    let (planned, kept) = world.plan();
    let header = kept.header("move");
    let terms = &header.terms[&EntityId::new("own")];
    assert_eq!(terms.exempt_from_mfa(SubjectKind::Service), Some("no person to ask"));
    assert_eq!(terms.exempt_from_mfa(SubjectKind::Person), None);
    assert_eq!(said(&planned, Rule::MfaExemption), ["move, own: 1 of the kind service need not pass gate mfa: no person to ask"]);
}

#[test]
fn records_that_stay_are_scrubbed_by_one_list() {
    let mut world = World::new();
    world.audit.retention = Some(names(&["uid", "cn", "sn", "telephoneNumber"]));
    for uid in ["a", "b"] {
        world.person(uid, Some(Departed));
        world.set(uid, "employeeType", &[uid]);
    }
    world.policy.keep = vec![untether_model::policy::Keep {
        entities: vec![],
        filter: "(cn=a)".into(),
        reason: "law".into(),
        until: "2030-01-01".parse().unwrap(),
    }];
    world.policy.keep.push(untether_model::policy::Keep { filter: "(cn=b)".into(), ..world.policy.keep[0].clone() });
    let mut first = wave("first", &[Track::Keep]);
    first.filter = Some("(employeeType=a)".into());
    first.retention = Some(names(&["uid", "cn", "sn", "mail"]));
    world.policy.waves = vec![first, wave("second", &[Track::Keep])];
    let (planned, _) = world.plan();
    let notes = said(&planned, Rule::Retention);
    for words in [
        "first, own: scrubbed records keep mail, which the list of [plan] would erase",
        "first, own: scrubbed records keep mail, which the list of [audit] would erase",
        "second, own: records that stay keep objectClass, which wave first erases",
        "second, own: records that stay lose mail, which wave first keeps",
    ] {
        assert!(notes.iter().any(|note| note == words), "{words}: {notes:?}");
    }
    world.policy.waves[0].retention = Some(names(&["uid", "cn", "sn", "objectClass", "mail"]));
    let notes = said(&world.plan().0, Rule::Retention);
    assert!(!notes.iter().any(|note| note.contains("records that stay keep")), "{notes:?}");
}

#[test]
fn waves_whose_entities_do_not_agree_on_their_pace_are_refused() {
    let mut world = two_entities();
    world.policy.entities.insert("sub".into(), Settings { batch_size: Some(7), ..Settings::default() });
    world.policy.waves[1].batch_size = None;
    let Err(PlanError::Policy(words)) = world.try_plan() else { panic!() };
    assert!(words.starts_with("wave move takes own and sub, whose batch_size differ: 100 and 7"), "{words}");
    world.policy.waves[1].batch_size = Some(10);
    world.policy.thresholds = Some(ThresholdsPart { max_removed: Some(10), ..world.policy.thresholds.clone().unwrap() });
    assert!(world.try_plan().is_ok(), "the wave's word settles it");
}

#[test]
fn a_plan_of_an_older_format_is_not_run() {
    let mut world = World::new();
    world.person("a", Some(Departed));
    let (planned, _) = world.plan();
    let older = untether_model::plan::PlanHeader { version: 1, ..planned.header };
    let notes = untether_planner::Linter::new(&older).finish();
    assert!(notes.iter().any(|n| n.rule == Rule::NotExecutable && n.words.contains("older plan format 1")), "{notes:?}");
    assert_ne!(Digest::of(b""), planned.digest);
}
