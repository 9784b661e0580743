//! Findings do not depend on the order in which a server returns its entries.

use proptest::prelude::*;
use untether_model::Side;
use untether_model::finding::Finding;

use super::world::World;

/// A world in which most rules have something to say, ties included.
fn world() -> World {
    World::new()
        .shared("act", "1", "manager: uid=gone,ou=people,dc=shared")
        .shared("act2", "1", "")
        .shared("act3", "1", "")
        .shared("gone", "2", "mail: gone@x")
        .shared("adm-gone", "2", "")
        .shared("ended", "3", "pwdAccountLockedTime: 000001010000Z")
        .shared("stray", "1", "mail: gone@x")
        .shared("lost", "", "mail: private@y")
        .shared("found", "", "")
        .shared("svc-1", "", "owner: uid=gone,ou=people,dc=shared")
        .shared("mbx-1", "", "owner: uid=act,ou=people,dc=shared")
        .independent("x", "", "sourceId: shared-act")
        .independent("y", "", "sourceId: shared-gone")
        .independent("z", "4", "mail: private@y")
        .independent("twin", "", "sourceId: shared-found")
        .independent("twin2", "", "sourceId: shared-found")
        .independent("svc-1", "", "")
        .group(Side::Shared, "cn=a,ou=groups,dc=shared\nmember: cn=b,ou=groups,dc=shared\nmember: uid=gone,ou=people,dc=shared")
        .group(Side::Shared, "cn=b,ou=groups,dc=shared\nmember: cn=a,ou=groups,dc=shared\nmemberUid: act")
        .with(|w| w.policy.privileged_groups = vec!["cn=a,ou=groups,dc=shared".parse().unwrap()])
}

/// Findings by id, with their evidence as sets.
fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in &mut findings {
        finding.evidence.facts.values_mut().for_each(|values| values.sort());
    }
    findings.sort_by(|a, b| a.id.cmp(&b.id));
    findings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn findings_and_subjects_are_independent_of_the_order_of_entries(
        shared in Just((0..world().shared.len()).collect::<Vec<_>>()).prop_shuffle(),
        independent in Just((0..world().independent.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let straight = world();
        let expected = straight.judge();
        let mut mixed = world();
        mixed.shared = shared.iter().map(|n| straight.shared[*n].clone()).collect();
        mixed.independent = independent.iter().map(|n| straight.independent[*n].clone()).collect();
        let found = mixed.judge();
        prop_assert_eq!(sorted(found.findings), sorted(expected.findings));
        let subjects = |list: Vec<untether_model::snapshot::Subject>| {
            list.into_iter()
                .map(|mut s| {
                    s.accounts.sort_by(|a, b| (a.side, &a.dn).cmp(&(b.side, &b.dn)));
                    s
                })
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(subjects(found.subjects), subjects(expected.subjects));
    }
}

#[test]
fn each_rule_is_raised_once_on_an_entry_and_ids_are_unique() {
    let verdict = world().judge();
    let mut ids: Vec<_> = verdict.findings.iter().map(|f| f.id.clone()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert!(count > 20, "{:?}", verdict.of(&[""]));
}
