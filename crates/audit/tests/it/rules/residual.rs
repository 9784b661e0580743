use untether_audit::collect::AreaRead;
use untether_model::Side;
use untether_model::operation::Track;
use untether_model::policy::{AccountPattern, CopyArea, CopyKind, KeepRule};
use untether_model::snapshot::{CopyRecord, SubjectKind};

use super::world::{World, expect};

const LOCKED: &str = "pwdAccountLockedTime: 000001010000Z";
const STATUS: [&str; 4] = ["residual.departed", "residual.contract", "residual.already", "residual.orphan"];

#[test]
fn status_rules_follow_the_roster_and_the_state() {
    for (uid, number, more, expected) in [
        ("act", "1", "", None),
        ("soon", "5", "", None),
        ("gone", "2", "", Some("residual.departed critical")),
        ("gone", "2", LOCKED, Some("residual.departed high")),
        ("ended", "3", "", Some("residual.contract-ended critical")),
        ("ended", "3", LOCKED, Some("residual.contract-ended high")),
        ("who", "99", "", Some("residual.orphan high")),
        ("who", "99", LOCKED, Some("residual.orphan medium")),
        ("mbx-1", "", "", Some("residual.orphan high")),
        ("test-1", "", "", Some("residual.orphan high")),
        ("svc-1", "", "", None),
        ("glass", "", "", None),
        ("canary", "", "", None),
    ] {
        let found = World::new().shared(uid, number, more).of(&STATUS);
        let expected: Vec<String> = expected.map(|rule| format!("{rule} shared {uid}")).into_iter().collect();
        assert_eq!(found, expected, "{uid} {more}");
    }
    expect(&World::new().independent("gone", "2", "").of(&STATUS), &["residual.departed high independent gone"]);
    expect(&World::new().independent("gone", "2", LOCKED).of(&STATUS), &["residual.departed low independent gone"]);
}

#[test]
fn an_owner_who_is_there_excuses_an_account_without_a_row() {
    let world = |owner: &str| {
        let more = format!("owner: {owner}");
        World::new().shared("act", "1", "").shared("gone", "2", "").independent("leave", "4", "").shared("mbx-1", "", &more)
    };
    let orphans = |owner| world(owner).of(&["residual.orphan"]);
    expect(&orphans("UID=act, ou=People,dc=shared"), &[]);
    expect(&orphans("uid=leave,ou=people,dc=own"), &[]);
    for owner in ["uid=gone,ou=people,dc=shared", "uid=nobody,ou=people,dc=shared", "uid=mbx-1,ou=people,dc=shared", "junk"] {
        expect(&orphans(owner), &["residual.orphan high shared mbx-1"]);
    }
}

#[test]
fn already_separated_needs_an_enabled_account_of_its_own() {
    let both = |own: &str, shared: &str| World::new().shared("act", "1", shared).independent("act", "1", own).of(&STATUS);
    expect(&both("", ""), &["residual.already-separated high shared act"]);
    expect(&both("", LOCKED), &["residual.already-separated medium shared act"]);
    expect(&both(LOCKED, ""), &[]);
    let scrubbed =
        World::new().account(Side::Shared, "ou=people,dc=shared", "act", "1", LOCKED).independent("act", "1", "").of(&STATUS);
    expect(&scrubbed, &["residual.already-separated low shared act"]);
    let named = World::new().shared("act", "1", "").independent("act", "1", "").judge();
    assert_eq!(named.finding("residual.already-separated").evidence.facts["enabled-account"], ["uid=act,ou=people,dc=own"]);
}

#[test]
fn duplicates_are_all_but_the_main_account() {
    let world = World::new()
        .shared("b", "1", "")
        .shared("a", "1", "")
        .shared("adm-a", "1", "")
        .shared("gone", "2", "")
        .shared("gone2", "2", "");
    expect(&world.of(&["residual.duplicate"]), &["residual.duplicate medium shared b"]);
    let used = World::new().shared("a", "1", LOCKED).shared("b", "1", "pwdLastSuccess: 20260101000000Z");
    expect(&used.of(&["residual.duplicate"]), &["residual.duplicate medium shared a"]);
    let later = World::new().shared("a", "1", "pwdLastSuccess: 20260601000000Z").shared("b", "1", "");
    expect(&later.of(&["residual.duplicate"]), &["residual.duplicate medium shared a"]);
    assert_eq!(later.judge().finding("residual.duplicate").evidence.facts["main-account"], ["uid=b,ou=people,dc=shared"]);
}

#[test]
fn dormant_counts_logins_and_password_changes() {
    let dormant = |uid: &str, number: &str, more: &str| {
        World::new().shared(uid, number, more).shared("x", "", "").of(&["residual.dormant"])
    };
    let old = "pwdLastSuccess: 20260101000000Z";
    expect(&dormant("act", "1", old), &["residual.dormant low shared act"]);
    expect(&dormant("act", "1", &format!("{old}\npwdChangedTime: 20261101000000Z")), &[]);
    expect(&dormant("act", "1", &format!("{old}\n{LOCKED}")), &[]);
    expect(&dormant("leave", "4", old), &[]);
    expect(&dormant("gone", "2", old), &[]);
    let never = World::new()
        .account(Side::Shared, "ou=people,dc=shared", "act", "1", "userPassword: {SSHA}a\npwdLastSuccess: never")
        .shared("x", "", "");
    expect(&never.of(&["residual.dormant"]), &["residual.dormant low shared act"]);
    let nowhere = World::new().shared("act", "1", "pwdLastSuccess: never");
    expect(&nowhere.of(&["coverage.skipped"]), &["coverage.skipped low shared residual.dormant"]);
}

#[test]
fn leftovers_are_reported_on_accounts_with_a_status_finding_or_kept_by_policy() {
    let rules = ["residual.credential", "residual.attribute"];
    let personal = "telephoneNumber: 1\ncn;lang-ja: x\nsshPublicKey: ssh-ed25519 A\npwdHistory: 2020#1#2#{SSHA}old";
    expect(&World::new().shared("act", "1", personal).of(&rules), &[]);
    let gone = World::new().shared("gone", "2", personal).judge();
    expect(&gone.of(&rules), &["residual.attribute low shared gone", "residual.credential high shared gone"]);
    assert_eq!(gone.finding("residual.attribute").evidence.facts["attribute"], ["telephoneNumber"]);
    assert_eq!(gone.finding("residual.credential").evidence.facts["holds"].len(), 3);
    assert!(!format!("{:?}", gone.findings).contains("ed25519"), "evidence has no values");
    expect(&World::new().shared("gone", "2", LOCKED).of(&rules), &["residual.credential medium shared gone"]);
    expect(&World::new().independent("gone", "2", personal).of(&rules), &[]);
    let keep = |w: &mut World| {
        let accounts = AccountPattern { logins: vec!["act".into()], ..AccountPattern::default() };
        w.policy.keep.push(KeepRule { accounts, reason: "law".into(), until: None });
    };
    expect(&World::new().shared("act", "1", "").with(keep).of(&rules), &["residual.credential high shared act"]);
    let world = World::new().shared("act", "1", "");
    let id = world.judge().subjects[0].id.clone();
    let decided = world.with(|w| w.decisions.track(id, Track::Keep));
    expect(&decided.of(&rules), &["residual.credential high shared act"]);
    let unlisted = World::new().shared("gone", "2", "").with(|w| w.policy.retention = None);
    expect(&unlisted.of(&["residual.attribute", "coverage"]), &["coverage.skipped low shared residual.attribute"]);
}

#[test]
fn a_lock_that_lets_in_is_critical_and_one_that_cannot_be_judged_is_said() {
    let rule = ["residual.lock", "coverage"];
    let dangling = format!("{LOCKED}\npwdPolicySubentry: cn=gone,ou=groups,dc=shared");
    expect(&World::new().shared("act", "1", &dangling).of(&rule), &["residual.lock-ineffective critical shared act"]);
    expect(&World::new().shared("act", "1", LOCKED).of(&rule), &[]);
    let clear = format!("userPassword: secret\n{LOCKED}");
    let offered = |mechanisms: Option<Vec<String>>, told: Option<Vec<String>>| {
        World::new()
            .account(Side::Shared, "ou=people,dc=shared", "act", "1", &clear)
            .with(|w| {
                w.mechanisms = mechanisms;
                w.policy.shared.sasl_mechanisms = told;
            })
            .of(&rule)
    };
    expect(&offered(Some(vec!["DIGEST-MD5".into()]), None), &["residual.lock-ineffective critical shared act"]);
    expect(&offered(None, Some(vec!["PLAIN".into()])), &["residual.lock-ineffective critical shared act"]);
    expect(&offered(None, Some(vec![])), &[]);
    expect(&offered(None, None), &["coverage.skipped low shared residual.lock-ineffective"]);
    let untold = World::new().shared("act", "1", LOCKED).with(|w| w.policy.shared.default_policy = None);
    expect(&untold.of(&rule), &["coverage.skipped low shared residual.lock-ineffective"]);
}

#[test]
fn groups_that_name_leavers_or_nobody_are_reported_once() {
    let world = |members: &str| {
        let group = format!("cn=g,ou=groups,dc=shared\nobjectClass: groupOfNames\n{members}");
        World::new().shared("act", "1", "").shared("gone", "2", "").group(Side::Shared, &group)
    };
    let rule = ["residual.membership"];
    let raised = &["residual.membership medium shared g"];
    expect(&world("member: uid=act,ou=people,dc=shared").of(&rule), &[]);
    expect(&world("member: UID=Gone,OU=people,dc=shared\nmember: uid=nobody,ou=people,dc=shared").of(&rule), raised);
    expect(&world("uniqueMember: uid=gone,ou=people,dc=shared#'01'B").of(&rule), raised);
    expect(&world("roleOccupant: uid=gone,ou=people,dc=shared").of(&rule), raised);
    expect(&world("memberUid: gone").of(&rule), raised);
    expect(&world("memberUid: localuser").of(&rule), &[]);
    expect(&world("member: uid=theirs,ou=partner,dc=shared\nmember: uid=x,dc=elsewhere").of(&rule), &[]);
    let privileged = world("member: uid=gone,ou=people,dc=shared")
        .with(|w| w.policy.privileged_groups = vec!["cn=G,ou=groups,dc=shared".parse().unwrap()]);
    expect(&privileged.of(&rule), &["residual.membership high shared g"]);
    let dynamic = world("memberURL: ldap:///ou=people,dc=shared??sub");
    expect(&dynamic.of(&["coverage"]), &["coverage.skipped low shared residual.membership"]);
}

#[test]
fn references_and_access_rules_that_name_leavers_are_reported() {
    let rule = ["residual.reference"];
    let world =
        |attr: &str, dn: &str| World::new().shared("gone", "2", "").shared("act", "1", &format!("{attr}: {dn}")).of(&rule);
    for attr in ["manager", "secretary", "owner", "seeAlso"] {
        expect(&world(attr, "uid=gone,ou=people,dc=shared"), &["residual.reference low shared act"]);
    }
    expect(&world("manager", "uid=nobody,ou=people,dc=shared"), &["residual.reference low shared act"]);
    expect(&world("manager", "uid=act,ou=people,dc=shared"), &[]);
    expect(&world("manager", "uid=theirs,ou=partner,dc=shared"), &[]);
    let alias = "cn=alias,ou=groups,dc=shared\nobjectClass: alias\naliasedObjectName: uid=gone,ou=people,dc=shared";
    expect(&World::new().shared("gone", "2", "").group(Side::Shared, alias).of(&rule), &["residual.reference low shared alias"]);
    let access = r#"olcDatabase={1}mdb,cn=config
        olcDatabase: {1}mdb
        olcSuffix: dc=shared
        olcAccess: {0}to * by dn.exact="uid=gone,ou=people,dc=shared" write by * none"#;
    let acl = World::new().shared("gone", "2", "").config(Side::Shared, access);
    expect(&acl.of(&rule), &["residual.reference high shared {1}mdb"]);
}

#[test]
fn areas_of_copies_are_counted() {
    let copy = |about: &str, with_credentials: u64| {
        let record = CopyRecord {
            area: "cn=accesslog".parse().unwrap(),
            kind: CopyKind::AccessLog,
            about: about.parse().unwrap(),
            stable_id: None,
            records: 3,
            with_credentials,
            credential_attrs: vec![],
        };
        World::new().shared("act", "1", "").shared("gone", "2", "").with(|w| w.copies.push((Side::Shared, record))).judge()
    };
    let rule = ["residual.copy"];
    expect(&copy("uid=act,ou=people,dc=shared", 0).of(&rule), &[]);
    expect(&copy("cn=x,ou=partner,dc=shared", 0).of(&rule), &[]);
    expect(&copy("uid=act,ou=people,dc=shared", 1).of(&rule), &["residual.copy high shared accesslog"]);
    expect(&copy("uid=gone,ou=people,dc=shared", 0).of(&rule), &["residual.copy high shared accesslog"]);
    let erased = copy("uid=erased,ou=people,dc=shared", 0);
    assert_eq!(erased.finding("residual.copy").evidence.facts["records-of-accounts-that-no-longer-exist"], ["3"]);
    let log = "olcOverlay={0}accesslog,olcDatabase={1}mdb,cn=config\nolcOverlay: {0}accesslog\nolcAccessLogDB: cn=accesslog";
    let logged = World::new().config(Side::Shared, log);
    expect(&logged.of(&["coverage"]), &["coverage.skipped low shared residual.copy"]);
    let read = logged.with(|w| {
        let area = CopyArea { base: "cn=accesslog".parse().unwrap(), kind: CopyKind::AccessLog };
        w.areas.push(AreaRead { area, records: 0, complete: true });
    });
    expect(&read.of(&["coverage"]), &[]);
}

#[test]
fn subjects_have_all_of_their_accounts() {
    let verdict = World::new()
        .shared("act", "1", "")
        .shared("adm-act", "1", "")
        .independent("act", "1", "")
        .shared("svc-1", "", "")
        .judge();
    let person = verdict.subjects.iter().find(|s| s.kind == SubjectKind::Person).unwrap();
    assert_eq!((person.anchor.as_str(), person.accounts.len()), ("roster/id/p1", 3));
    assert_eq!(person.primary_in(Side::Shared).unwrap().dn.as_str(), "uid=act,ou=people,dc=shared");
    assert!(person.accounts.iter().any(|a| a.secondary && !a.primary));
    assert_eq!(person.primary_in(Side::Independent).unwrap().factor, Some(true));
    assert_eq!(person.entity.as_ref().unwrap().as_str(), "hq");
    assert_eq!(person.status_rule.as_deref(), Some("residual.already-separated"));
    let service = verdict.subjects.iter().find(|s| s.kind == SubjectKind::Service).unwrap();
    assert_eq!((service.anchor.as_str(), service.owned), ("shared/shared-svc-1", Some(false)));
    assert!(verdict.subjects.windows(2).all(|pair| pair[0].id < pair[1].id));
}
