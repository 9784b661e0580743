use super::*;
use crate::policy::{
    CredentialPart, Entity, GroupMap, Hold, MfaExemption, ScopeBase, Settings, StoreAudit, ThresholdsPart, WavePolicy,
};

fn dn(text: &str) -> Dn {
    text.parse().unwrap()
}

fn audit() -> AuditPolicy {
    let mut policy = AuditPolicy::new(StoreAudit::new(dn("dc=shared")), StoreAudit::new(dn("dc=own")));
    for id in ["own", "sub"] {
        let entity = Entity {
            name: id.into(),
            name_ja: None,
            time_zone: "Asia/Tokyo".into(),
            deadline: None,
            shared_subtrees: vec![],
            independent_subtrees: vec![],
        };
        policy.entities.insert(id.into(), entity);
    }
    policy
}

fn mapping() -> MappingPart {
    MappingPart {
        base: Some(dn("ou=people,dc=own")),
        object_classes: Some(vec!["inetOrgPerson".into()]),
        copy: Some(vec!["uid".into(), "cn".into(), "sn".into()]),
        ..MappingPart::default()
    }
}

fn policy() -> PlanPolicy {
    PlanPolicy {
        retention: Some(vec!["uid".into()]),
        mapping: Some(mapping()),
        ..PlanPolicy::new(vec![WavePolicy::new("leave", &[Track::Retire]), WavePolicy::new("move", &[Track::Migrate])])
    }
}

/// What is refused of the policy after this change, with the hint.
fn refused(change: impl FnOnce(&mut PlanPolicy)) -> String {
    refused_with(&audit(), change)
}

fn refused_with(audit: &AuditPolicy, change: impl FnOnce(&mut PlanPolicy)) -> String {
    let mut policy = policy();
    assert_eq!(policy.check(audit), Ok(()));
    change(&mut policy);
    let bad = policy.check(audit).unwrap_err();
    format!("{} — {}", bad.what, bad.hint)
}

#[test]
fn what_is_said_at_a_level_that_does_not_exist_is_refused() {
    let found = refused(|p| drop(p.entities.insert("owm".into(), Settings::default())));
    assert_eq!(found, "[plan.entities.owm] names the entity 'owm', which [audit.entities] lacks — it has: own, sub");
    let found = refused(|p| p.waves[1].entities = vec!["subs".into()]);
    assert!(found.starts_with("wave move names the entity 'subs'"), "{found}");
    let until = "2027-01-01".parse().unwrap();
    let hold = Hold { entities: vec!["x".into()], filter: "(a=b)".into(), reason: "r".into(), until };
    assert!(refused(|p| p.hold.push(hold)).starts_with("[[plan.hold]] names the entity 'x'"));
    assert!(refused(|p| p.waves[0].name = "a b".into()).contains("is not a wave's name"));
    assert!(refused(|p| p.waves[1].name = "leave".into()).contains("two waves are named leave"));
    assert!(refused(|p| p.waves[0].after = vec!["move".into()]).contains("which is not an earlier wave"));
}

#[test]
fn numbers_that_could_never_work_are_refused_at_every_level() {
    assert!(refused(|p| p.batch_size = Some(0)).starts_with("[plan]: batch_size is 0"));
    let zero = Settings { canary_size: Some(0), ..Settings::default() };
    assert!(refused(|p| drop(p.entities.insert("sub".into(), zero))).starts_with("[plan.entities.sub]: canary_size is 0"));
    assert!(refused(|p| p.waves[0].canary_share_percent = Some(101.0)).starts_with("wave leave: canary_share_percent is 101"));
    assert!(refused(|p| p.waves[0].limit = Some(0)).contains("limited to 0 subjects"));
    let negative = ThresholdsPart { max_removed_percent: Some(-1.0), ..ThresholdsPart::default() };
    assert!(refused(|p| p.thresholds = Some(negative)).contains("thresholds.max_removed_percent is -1"));
    let short = CredentialPart { length: Some(8), ..CredentialPart::default() };
    assert!(refused(|p| p.credential = Some(short)).contains("one-time secrets have 12 to 64 characters"));
    let silent = MfaExemption { kinds: vec![], reason: " ".into() };
    assert!(refused(|p| p.mfa_exempt = Some(vec![silent])).contains("leaving gate mfa out needs a reason"));
}

#[test]
fn words_of_a_wave_that_could_never_count_are_refused() {
    assert!(
        refused(|p| p.waves[0].mapping = Some(MappingPart::default())).starts_with("wave leave gives mapping, but none of its")
    );
    assert!(refused(|p| p.waves[0].own_account_login_days = Some(3)).contains("none of its tracks is asked for an own account"));
    assert!(refused(|p| p.waves[0].tracks = vec![]).contains("takes no track"));
    assert!(refused(|p| p.waves[0].tracks = vec![Track::Hold]).contains("whose subjects wait"));
}

#[test]
fn entities_of_one_wave_agree_on_its_pace_or_the_wave_says_it() {
    let long = Settings { soak: Some(crate::policy::Span::from_seconds(86_400)), ..Settings::default() };
    let found = refused(|p| drop(p.entities.insert("sub".into(), long.clone())));
    assert!(found.starts_with("wave leave takes own and sub, whose soak differ: 14d and 1d"), "{found}");
    let mut settled = policy();
    settled.entities.insert("sub".into(), long);
    for wave in &mut settled.waves {
        wave.soak = Some(crate::policy::Span::from_seconds(7 * 86_400));
    }
    assert_eq!(settled.check(&audit()), Ok(()));
}

#[test]
fn a_scrub_without_a_retention_list_is_refused_unless_the_audit_has_one() {
    let found = refused(|p| p.retention = None);
    assert!(found.starts_with("wave leave, entity own: no retention list is given"), "{found}");
    let mut audit = audit();
    audit.retention = Some(vec!["cn".into()]);
    let policy = PlanPolicy { retention: None, ..policy() };
    assert_eq!(policy.check(&audit), Ok(()));
    let terms = policy.terms(&audit, &policy.waves[0], &EntityId::new("own"));
    assert!(terms.retains(&"cn;lang-ja".into()) && !terms.retains(&"uid".into()));
}

#[test]
fn a_mapping_is_whole_where_accounts_are_made() {
    let found = refused(|p| p.mapping = Some(MappingPart { copy: None, ..mapping() }));
    assert!(found.starts_with("wave move, entity own: its mapping lacks `copy`"), "{found}");
    let base = MappingPart { base: Some(dn("ou=people,dc=shared")), ..mapping() };
    assert!(refused(|p| p.mapping = Some(base)).contains("outside the independent store"));
    let map = GroupMap { shared: dn("cn=a,dc=shared"), independent: dn("cn=a,dc=own"), create: false };
    let twice = MappingPart { groups: Some(vec![map.clone(), GroupMap { create: true, ..map }]), ..mapping() };
    assert!(refused(|p| p.mapping = Some(twice)).contains("is mapped to 'cn=a,dc=own' twice"));
    let open = MappingPart { templates: [("mail".into(), "{uid@own".into())].into(), ..mapping() };
    assert!(refused(|p| p.mapping = Some(open)).contains("lacks a closing brace"));
    let same = MappingPart { templates: [("uid".into(), "guest".into())].into(), ..mapping() };
    assert!(refused(|p| p.mapping = Some(same)).contains("is the same text for everybody"));
    let admission = Admission::Group { dn: dn("cn=all,dc=shared") };
    assert!(refused(|p| p.admission = Some(admission)).contains("admission names 'cn=all,dc=shared'"));

    let mut elsewhere = audit();
    elsewhere.independent.accounts = vec![ScopeBase { base: dn("ou=staff,dc=own"), filter: "(objectClass=*)".into() }];
    let bad = policy().check(&elsewhere).unwrap_err();
    assert!(bad.what.contains("where the audit looks for no accounts"), "{bad}");
}

#[test]
fn what_one_level_says_of_an_attribute_stands_for_all_that_is_said_of_it_below() {
    let below = MappingPart {
        templates: [("mail".into(), "{uid}@own".into()), ("displayName".into(), "{cn}".into())].into(),
        constants: [("o".into(), vec!["Own".into()])].into(),
        ..mapping()
    };
    let here = MappingPart {
        rdn: Some("cn".into()),
        templates: [("o".into(), "{entity}".into()), ("displayName".into(), String::new())].into(),
        constants: [("mail".into(), vec!["shared@own".into()])].into(),
        ..MappingPart::default()
    };
    let made = here.over(below).complete().unwrap();
    assert_eq!(made.templates, [("o".into(), "{entity}".to_owned())].into(), "an empty text leaves the attribute out");
    assert_eq!(made.constants, [("mail".into(), vec!["shared@own".into()])].into());
    assert!(made.rdn.is("cn") && made.copy.len() == 3);
}
