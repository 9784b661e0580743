use untether_model::Side;
use untether_model::snapshot::MatchKey;

use super::world::{World, expect};

const RULES: [&str; 2] = ["correlation", "residual.orphan"];
const HQ: &str = "ou=hq,ou=people,dc=shared";
const SUB: &str = "ou=sub,ou=people,dc=shared";

fn account(world: World, parent: &str, uid: &str, number: &str, more: &str) -> World {
    world.account(Side::Shared, parent, uid, number, more)
}

fn key_of(world: &World, dn: &str) -> Option<MatchKey> {
    let verdict = world.judge();
    let accounts = verdict.subjects.iter().filter(|s| s.standing.is_some()).flat_map(|s| &s.accounts);
    accounts.filter(|a| a.dn.as_str() == dn).find_map(|a| a.matched_by)
}

#[test]
fn keys_are_tried_in_order_and_normalized() {
    let world = World::new();
    let world = account(world, HQ, "a", "００１", "");
    let world = account(world, "ou=people,dc=shared", "b", " 0 2 ", "");
    let world = account(world, "ou=people,dc=shared", "c", "", "mail: ENDED@X");
    let world = account(world, "ou=people,dc=shared", "LEAVE", "", "");
    expect(&world.of(&RULES), &[]);
    assert_eq!(key_of(&world, "uid=a,ou=hq,ou=people,dc=shared"), Some(MatchKey::EntityNumber));
    assert_eq!(key_of(&world, "uid=b,ou=people,dc=shared"), Some(MatchKey::Number));
    assert_eq!(key_of(&world, "uid=c,ou=people,dc=shared"), Some(MatchKey::Mail));
    assert_eq!(key_of(&world, "uid=LEAVE,ou=people,dc=shared"), Some(MatchKey::Login));
}

#[test]
fn a_number_of_two_people_is_ambiguous_where_the_entity_does_not_tell_them_apart() {
    let roster = || World::new().row("p6,1,other@x,other,sub,active,regular,2020-01-01,,");
    expect(&account(roster(), HQ, "a", "1", "").of(&RULES), &[]);
    expect(&account(roster(), "ou=people,dc=shared", "a", "1", "").of(&RULES), &["correlation.ambiguous medium shared a"]);
    let twice = World::new().row("p6,1,other@x,other,hq,active,regular,2020-01-01,,");
    expect(&account(twice, HQ, "a", "1", "mail: act@x").of(&RULES), &["correlation.ambiguous medium shared a"]);
}

#[test]
fn keys_that_contradict_each_other_leave_an_account_undecided() {
    let conflict = &["correlation.conflicting medium shared a"];
    expect(&account(World::new(), HQ, "a", "1", "mail: gone@x").of(&RULES), conflict);
    expect(&account(World::new(), HQ, "a", "", "mail: act@x\nmail: gone@x").of(&RULES), conflict);
    let newcomer = World::new().shared("act", "1", "mail: act@x").shared("a", "2", "mail: act@x");
    expect(&newcomer.of(&RULES), conflict);
    let verdict = account(World::new(), HQ, "a", "2", "mail: act@x\nuserPassword: {SSHA}x").judge();
    expect(&verdict.of(&["residual"]), &[]);
    assert_eq!(verdict.subjects[0].undecided, ["correlation.conflicting"]);
    assert!(verdict.subjects[0].standing.is_none());
}

#[test]
fn links_are_the_strongest_key_and_point_at_one_account_each() {
    let link = |uid: &str| format!("sourceId: SHARED-{uid}");
    let linked = World::new().shared("act", "1", "").independent("x", "", &link("act"));
    expect(&linked.of(&["correlation", "residual.already"]), &["residual.already-separated high shared act"]);
    assert_eq!(key_of(&linked, "uid=x,ou=people,dc=own"), Some(MatchKey::Link));
    let twice = World::new().shared("act", "1", "").independent("x", "", &link("act")).independent("y", "1", &link("act"));
    expect(
        &twice.of(&["correlation", "residual.already"]),
        &["correlation.ambiguous medium independent x", "correlation.ambiguous medium independent y"],
    );
    let against = World::new().shared("act", "1", "").independent("x", "2", &link("act"));
    expect(&against.of(&["correlation", "residual"]), &["correlation.conflicting medium independent x"]);
    let nowhere = World::new().independent("x", "1", &link("removed"));
    expect(&nowhere.of(&["correlation", "residual"]), &[]);
}

#[test]
fn an_account_that_only_the_other_store_explains_belongs_to_the_same_subject() {
    let by_link = World::new().shared("old", "", "").independent("x", "2", "sourceId: shared-old");
    expect(
        &by_link.of(&["correlation", "residual.departed", "residual.orphan"]),
        &["residual.departed critical shared old", "residual.departed high independent x"],
    );
    let by_mail = World::new().shared("old", "", "mail: private@y").independent("x", "1", "mail: Private@Y");
    expect(&by_mail.of(&["correlation", "residual.orphan", "residual.already"]), &["residual.already-separated high shared old"]);
    let strangers = World::new().shared("old", "", "mail: private@y").independent("x", "", "mail: private@y");
    let verdict = strangers.judge();
    assert_eq!(verdict.subjects.len(), 1);
    assert_eq!(verdict.subjects[0].anchor, "shared/shared-old");
    let two = World::new().shared("a", "", "mail: m@y").shared("b", "", "mail: m@y").independent("x", "", "mail: m@y");
    expect(&two.of(&["correlation"]), &["correlation.ambiguous medium independent x"]);
    let services = World::new().shared("svc-1", "", "mail: act@x").independent("svc-1", "", "").independent("act", "1", "");
    assert_eq!(
        services.judge().subjects.len(),
        2,
        "services are matched with services, not with the people whose mail they have"
    );
}

#[test]
fn the_roster_wins_over_subtree_and_attribute() {
    let moved = account(World::new(), SUB, "a", "1", "").judge();
    expect(&moved.of(&RULES), &["correlation.entity low shared a"]);
    let finding = moved.finding("correlation.entity");
    assert_eq!(finding.entity.as_ref().unwrap().as_str(), "hq");
    assert_eq!(finding.evidence.facts["subtree"], ["sub"]);
    let attribute = |w: &mut World| w.policy.shared.attributes.entity = Some("ou".into());
    expect(&account(World::new(), HQ, "a", "1", "ou: sub").with(attribute).of(&RULES), &["correlation.entity low shared a"]);
    expect(&account(World::new(), HQ, "a", "1", "ou: HQ").with(attribute).of(&RULES), &[]);
}

#[test]
fn a_persons_decision_settles_a_match() {
    let anchors = |list: &[&str]| list.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    let conflicting = || account(World::new(), HQ, "a", "1", "mail: gone@x\nuserPassword: {SSHA}x");
    let confirmed = conflicting().with(|w| w.decisions.confirm(&anchors(&["shared/shared-a", "roster/id/p2"])));
    expect(&confirmed.of(&["correlation", "residual.departed"]), &["residual.departed critical shared a"]);
    let denied = conflicting().with(|w| w.decisions.deny(&anchors(&["shared/shared-a", "roster/id/p2"])));
    expect(&denied.of(&["correlation", "residual.departed"]), &[]);
    let pair = || World::new().shared("old", "", "").independent("x", "1", "");
    let joined = pair().with(|w| w.decisions.confirm(&anchors(&["independent/independent-x", "shared/shared-old"])));
    expect(&joined.of(&["residual.orphan", "residual.already"]), &["residual.already-separated high shared old"]);
    let link = || World::new().shared("old", "", "").independent("x", "", "sourceId: shared-old");
    assert_eq!(link().judge().subjects.len(), 1);
    let split = link().with(|w| w.decisions.deny(&anchors(&["independent/independent-x", "shared/shared-old"])));
    assert_eq!(split.judge().subjects.len(), 2);
}
