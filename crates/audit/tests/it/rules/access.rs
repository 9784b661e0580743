use untether_model::Side;

use super::world::{World, expect};

const ADMINS: &str = "cn=admins,ou=groups,dc=shared";

fn nested(world: World) -> World {
    world
        .group(Side::Shared, &format!("{ADMINS}\nobjectClass: groupOfNames\nmember: cn=inner,ou=groups,dc=shared"))
        .group(
            Side::Shared,
            &format!("cn=inner,ou=groups,dc=shared\nmember: {ADMINS}\nmember: uid=act,ou=people,dc=shared\nmemberUid: leave"),
        )
        .with(|w| w.policy.privileged_groups = vec![ADMINS.parse().unwrap()])
}

#[test]
fn members_of_nested_groups_are_privileged_and_cycles_end() {
    let world = nested(World::new().shared("act", "1", "").shared("leave", "4", "").shared("soon", "5", ""));
    let rule = ["access.privileged", "coverage"];
    expect(&world.of(&rule), &["access.privileged medium shared act", "access.privileged medium shared leave"]);
    let moved = nested(World::new().shared("act", "1", "").independent("act", "1", ""));
    expect(&moved.of(&rule), &["access.privileged critical shared act"]);
    let missing = World::new().with(|w| w.policy.privileged_groups = vec![ADMINS.parse().unwrap()]);
    expect(&missing.of(&rule), &["coverage.skipped low shared access.privileged"]);
}

#[test]
fn members_of_protected_groups_are_marked_and_excused() {
    let guards = "cn=guards,ou=groups,dc=shared\nmember: uid=gone,ou=people,dc=shared\nmember: uid=who,ou=people,dc=shared";
    let verdict = World::new().shared("gone", "2", "").shared("who", "", "").group(Side::Shared, guards).judge();
    expect(&verdict.of(&["residual.departed", "residual.orphan"]), &["residual.departed critical shared gone"]);
    assert!(verdict.findings.iter().filter(|f| f.dn.is_some()).all(|f| f.protected));
    assert!(verdict.subjects.iter().all(|s| s.protected));
}

#[test]
fn identities_that_the_configuration_names_are_protected() {
    let database = r#"olcDatabase={1}mdb,cn=config
        olcDatabase: {1}mdb
        olcSuffix: dc=shared
        olcLimits: {0}dn.exact="uid=limited,ou=people,dc=shared" size=unlimited
        olcAccess: {0}to * by dn.exact="uid=writer,ou=people,dc=shared" write by dn.exact="uid=reader,ou=people,dc=shared" read"#;
    let world =
        World::new().shared("limited", "", "").shared("writer", "", "").shared("reader", "", "").config(Side::Shared, database);
    expect(&world.of(&["residual.orphan"]), &["residual.orphan high shared reader"]);
}

#[test]
fn services_need_an_owner_who_is_there() {
    let world = |more: &str| World::new().shared("act", "1", "").shared("gone", "2", "").shared("svc-1", "", more);
    let rules = ["access.service-account", "residual.orphan"];
    let raised = &["access.service-account high shared svc-1"];
    expect(&world("").of(&rules), raised);
    expect(&world("pwdAccountLockedTime: 000001010000Z").of(&rules), &["access.service-account medium shared svc-1"]);
    expect(&world("owner: uid=gone,ou=people,dc=shared").of(&rules), raised);
    expect(&world("owner: uid=gone,ou=people,dc=shared\nowner: uid=act,ou=people,dc=shared").of(&rules), &[]);
    let canary = World::new()
        .shared("svc-canary", "", "")
        .with(|w| w.policy.shared.canary = Some("uid=svc-canary,ou=people,dc=shared".parse().unwrap()));
    expect(&canary.of(&rules), &[]);
}

#[test]
fn people_in_the_independent_directory_need_a_factor() {
    let world = |uid: &str, number: &str, more: &str| {
        World::new()
            .account(Side::Independent, "ou=people,dc=own", uid, number, &format!("userPassword: {{SSHA}}x\n{more}"))
            .of(&["access.mfa"])
    };
    expect(&world("act", "1", ""), &["access.mfa-missing medium independent act"]);
    expect(&world("act", "1", "factor: key"), &[]);
    expect(&world("act", "1", "factor: sms"), &["access.mfa-missing medium independent act"]);
    expect(&world("act", "1", "pwdEndTime: 20260101000000Z"), &[]);
    expect(&world("svc-1", "", ""), &[]);
    expect(&world("mbx-1", "", ""), &[]);
    expect(&World::new().shared("act", "1", "").of(&["access.mfa"]), &[]);
    let privileged = World::new()
        .account(Side::Independent, "ou=people,dc=own", "act", "1", "userPassword: {SSHA}x")
        .group(Side::Independent, "cn=ops,ou=groups,dc=own\nmember: uid=act,ou=people,dc=own")
        .with(|w| w.policy.privileged_groups = vec!["cn=ops,ou=groups,dc=own".parse().unwrap()]);
    expect(&privileged.of(&["access.mfa"]), &["access.mfa-missing high independent act"]);
    let without = World::new().with(|w| w.policy.mfa_filter = None);
    expect(&without.of(&["coverage"]), &["coverage.skipped low independent access.mfa-missing"]);
}
