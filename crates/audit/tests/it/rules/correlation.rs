use untether_model::Side;
use untether_model::matching::{Agreement, Fact, compare};
use untether_model::run::MatchVerb::{Confirm, Deny, Merge, Split};
use untether_model::snapshot::{MatchKey, Subject};

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

/// The accounts of each subject, by login, and whether it is a person of the roster.
fn subjects(world: &World) -> Vec<String> {
    let verdict = world.judge();
    let of = |subject: &Subject| {
        let mut accounts: Vec<String> = subject.accounts.iter().map(|a| a.dn.rdn().unwrap().0[0].value.to_lossy()).collect();
        accounts.sort();
        let who = subject.roster_ref.as_deref().unwrap_or("-");
        let undecided = if subject.undecided.is_empty() { "" } else { " undecided" };
        format!("{who}: {}{undecided}", accounts.join(" "))
    };
    let mut found: Vec<String> = verdict.subjects.iter().map(of).collect();
    found.sort();
    found
}

#[test]
fn a_persons_decision_settles_a_match() {
    let conflicting = || account(World::new(), HQ, "a", "1", "mail: gone@x\nuserPassword: {SSHA}x");
    let confirmed = conflicting().says(Confirm, &["shared/shared-a"], &["roster/id/p2"]);
    expect(&confirmed.of(&["correlation", "residual.departed"]), &["residual.departed critical shared a"]);
    let denied = conflicting().says(Deny, &["shared/shared-a"], &["roster/id/p2"]);
    expect(&denied.of(&["correlation", "residual.departed"]), &[]);
    let pair = || World::new().shared("old", "", "").independent("x", "1", "");
    let joined = pair().says(Confirm, &["independent/independent-x"], &["shared/shared-old"]);
    expect(&joined.of(&["residual.orphan", "residual.already"]), &["residual.already-separated high shared old"]);
    let link = || World::new().shared("old", "", "").independent("x", "", "sourceId: shared-old");
    assert_eq!(link().judge().subjects.len(), 1);
    let split = link().says(Split, &["independent/independent-x"], &["shared/shared-old"]);
    assert_eq!(split.judge().subjects.len(), 2);
}

#[test]
fn of_two_accounts_that_claim_one_link_the_confirmed_one_is_settled_and_the_other_when_it_is_denied() {
    let link = |uid: &str| format!("sourceId: SHARED-{uid}");
    let twice = || World::new().shared("act", "1", "").independent("x", "", &link("act")).independent("y", "1", &link("act"));
    let confirmed = twice().says(Confirm, &["independent/independent-x"], &["shared/shared-act"]);
    expect(&subjects(&confirmed), &["-: y undecided", "p1: act x"]);
    let both = confirmed.says(Deny, &["independent/independent-y"], &["shared/shared-act", "roster/id/p1"]);
    expect(&subjects(&both), &["-: y", "p1: act x"]);
    let denied = twice().says(Deny, &["independent/independent-x"], &["shared/shared-act", "roster/id/p1"]);
    expect(&subjects(&denied), &["-: x", "p1: act y"]);
}

#[test]
fn what_was_denied_is_not_brought_back_by_another_key_or_another_account() {
    // By number, by mail, and by way of the account that the link leads to.
    let world = || World::new().shared("act", "1", "").independent("x", "1", "mail: act@x\nsourceId: shared-act");
    expect(&subjects(&world()), &["p1: act x"]);
    let split = world().says(Split, &["independent/independent-x"], &["shared/shared-act", "roster/id/p1"]);
    expect(&subjects(&split), &["-: x", "p1: act"]);
    // Nor by an account of the same person that nobody named.
    let later = split.independent("other", "1", "mail: m@y").shared("old", "", "mail: m@y");
    let kept = later.says(Deny, &["shared/shared-old"], &["roster/id/p1"]);
    expect(&subjects(&kept), &["-: old", "-: x", "p1: act other"]);
}

#[test]
fn merged_subjects_are_one_whatever_the_order_of_the_decisions() {
    let three = || World::new().shared("a", "", "").shared("b", "", "").independent("c", "", "");
    expect(&subjects(&three()), &["-: a", "-: b", "-: c"]);
    for pairs in [
        [("shared/shared-a", "shared/shared-b"), ("shared/shared-b", "independent/independent-c")],
        [("independent/independent-c", "shared/shared-b"), ("shared/shared-b", "shared/shared-a")],
    ] {
        let merged = pairs.iter().fold(three(), |w, (a, b)| w.says(Merge, &[a], &[b]));
        expect(&subjects(&merged), &["-: a b c"]);
        let known = merged.says(Confirm, &["shared/shared-b"], &["roster/id/p1"]);
        expect(&subjects(&known), &["p1: a b c"]);
    }
    // An account that its own number gives to somebody takes the other one along.
    let numbered = World::new().shared("a", "", "").shared("b", "1", "").says(Merge, &["shared/shared-a"], &["shared/shared-b"]);
    expect(&subjects(&numbered), &["p1: a b"]);
}

#[test]
fn people_who_were_merged_are_judged_as_one() {
    let moved = || {
        World::new().row("p6,6,six@x,six,sub,departed,regular,2019-01-01,2019-12-31,").shared("a", "6", "").shared("b", "1", "")
    };
    expect(&subjects(&moved()), &["p1: b", "p6: a"]);
    expect(&moved().of(&["residual.departed"]), &["residual.departed critical shared a"]);
    let merged = moved().says(Merge, &["roster/id/p6"], &["roster/id/p1"]);
    expect(&subjects(&merged), &["p1: a b"]);
    expect(&merged.of(&["residual.departed", "residual.duplicate"]), &["residual.duplicate medium shared b"]);
    // Either of their anchors still names them.
    let confirmed = merged.shared("c", "", "").says(Confirm, &["shared/shared-c"], &["roster/id/p6"]);
    expect(&subjects(&confirmed), &["p1: a b c"]);
}

#[test]
fn a_decision_that_the_rules_contradict_leaves_everybody_undecided() {
    let apart = World::new().shared("a", "1", "").shared("b", "2", "").says(Merge, &["shared/shared-a"], &["shared/shared-b"]);
    expect(&subjects(&apart), &["-: a undecided", "-: b undecided"]);
    expect(&apart.of(&["correlation"]), &["correlation.conflicting medium shared a", "correlation.conflicting medium shared b"]);
    let together = World::new().shared("a", "1", "").shared("b", "1", "").says(Deny, &["shared/shared-a"], &["shared/shared-b"]);
    expect(&subjects(&together), &["-: a undecided", "-: b undecided"]);
}

#[test]
fn a_decision_about_an_account_or_a_person_who_is_gone_changes_nothing() {
    let world = || World::new().shared("a", "1", "");
    let before = world().judge();
    let gone = world()
        .says(Confirm, &["shared/gone"], &["roster/id/p2"])
        .says(Confirm, &["shared/shared-a"], &["roster/id/gone"])
        .says(Deny, &["shared/shared-a"], &["roster/id/also-gone"]);
    assert_eq!(gone.judge(), before);
}

#[test]
fn an_undecided_match_is_written_with_its_candidates_side_by_side() {
    let twin = World::new().row("p6,1,other@x,other,hq,active,regular,2020-01-01,,");
    let world =
        account(twin, HQ, "a", "1", "mail: act@x\ncn;lang-ja: 山田 太郎\nsn: Yamada\ngivenName: Taro").shared("act", "", "");
    let verdict = world.judge();
    let [case] = verdict.cases.as_slice() else { panic!("{:?}", verdict.cases) };
    assert_eq!(case.rule, "correlation.ambiguous");
    assert_eq!(case.finding, verdict.finding("correlation.ambiguous").id);
    assert_eq!(verdict.finding("correlation.ambiguous").evidence.facts["case"], [case.id.as_str()]);
    assert_eq!(case.account.anchor, "shared/shared-a");
    let names: Vec<&str> = case.account.names.iter().map(|n| n.value.as_str()).collect();
    assert_eq!(names, ["a", "山田 太郎", "Yamada Taro"]);
    let candidates: Vec<&str> = case.candidates.iter().map(|c| c.card.anchor.as_str()).collect();
    assert_eq!(candidates, ["roster/id/p1", "roster/id/p6"]);
    let held: Vec<&str> = case.candidates[0].accounts.iter().map(|a| a.dn.as_str()).collect();
    assert_eq!(held, ["uid=act,ou=people,dc=shared"]);
    assert_eq!(case.candidates[0].by, [MatchKey::EntityNumber, MatchKey::Mail]);
    let compared = compare(&case.account, &case.candidates[1].card);
    let line = |fact| compared.lines.iter().find(|l| l.fact == fact).and_then(|l| l.agreement);
    assert_eq!(line(Fact::Number), Some(Agreement::Same));
    assert_eq!(line(Fact::Mail), Some(Agreement::Differs));

    // The same case in the next audit, with the same facts; a login later it is still the same, another mail address is not.
    let again = world.judge().cases.remove(0);
    assert_eq!((&again.id, again.shown()), (&case.id, case.shown()));
    let changed = |attr: &'static str, value: &'static str| {
        let world = account(
            World::new().row("p6,1,other@x,other,hq,active,regular,2020-01-01,,"),
            HQ,
            "a",
            "1",
            "mail: act@x\ncn;lang-ja: 山田 太郎\nsn: Yamada\ngivenName: Taro",
        )
        .shared("act", "", "")
        .with(|w| drop(w.shared[0].attrs.insert(attr.into(), vec![untether_model::Value::from(value)])));
        world.judge().cases.remove(0).shown()
    };
    assert_eq!(changed("pwdLastSuccess", "20261118000000Z"), case.shown());
    assert_ne!(changed("mail", "other@x"), case.shown());
}

#[test]
fn two_accounts_that_claim_one_link_see_each_other_and_whose_account_it_is() {
    let link = |uid: &str| format!("sourceId: SHARED-{uid}");
    let world = World::new().shared("act", "1", "").independent("x", "", &link("act")).independent("y", "1", &link("act"));
    let cases = world.judge().cases;
    assert_eq!(cases.len(), 2);
    for (case, rival) in cases.iter().zip(["uid=y,ou=people,dc=own", "uid=x,ou=people,dc=own"]) {
        let [candidate] = case.candidates.as_slice() else { panic!("{case:?}") };
        assert_eq!(candidate.card.anchor, "roster/id/p1");
        assert_eq!(candidate.accounts[0].dn.as_str(), "uid=act,ou=people,dc=shared");
        assert_eq!(case.rivals[0].1.as_str(), rival);
    }
    let strangers = World::new().shared("a", "", "mail: m@y").shared("b", "", "mail: m@y").independent("x", "", "mail: m@y");
    let cases = strangers.judge().cases;
    let anchors: Vec<&str> = cases[0].candidates.iter().map(|c| c.card.anchor.as_str()).collect();
    assert_eq!(anchors, ["shared/shared-a", "shared/shared-b"]);
}
