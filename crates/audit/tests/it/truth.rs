//! Every labelled case is found and nothing else: on generated data over several seeds and sizes, and on data labelled by hand.

use std::path::Path;

use untether_model::policy::AuditPolicy;
use untether_testkit::generate::{Options, generate};
use untether_testkit::truth::{Label, differences, labels};

use crate::support::laboratory::{Audited, audit, audit_as_of, found, policy, with_manifest};

/// Rules that see nothing of a store whose `cn=config` is not handed over.
const WITHOUT_CONFIG: [&str; 7] = [
    "link.mapping",
    "link.pass-through",
    "link.proxy",
    "link.referral",
    "link.replication",
    "residual.copy",
    "residual.reference",
];

fn skipped(store: &str, rule: &str, note: &str) -> Label {
    Label {
        rule: "coverage.skipped".into(),
        severity: "low".into(),
        store: store.into(),
        dn: None,
        about: Some(rule.into()),
        entity: None,
        person_id: None,
        note: note.into(),
    }
}

/// Adds what the data cannot know: what this test does not hand over.
fn expect_skipped(labels: &mut Vec<Label>, store: &str, rules: &[&str], note: &str) {
    for rule in rules {
        let known = |l: &Label| l.rule == "coverage.skipped" && l.store == store && l.about.as_deref() == Some(rule);
        if !labels.iter().any(known) {
            labels.push(skipped(store, rule, note));
        }
    }
}

struct Generated {
    directory: tempfile::TempDir,
    policy: AuditPolicy,
    labels: Vec<Label>,
}

fn generated(options: &Options) -> Generated {
    let directory = tempfile::tempdir().unwrap();
    generate(options, directory.path()).unwrap();
    let mut policy = with_manifest(policy(true), directory.path());
    let mut labels = labels(directory.path()).unwrap();
    if !options.links {
        policy.shared.copies.clear();
        for store in ["shared", "independent"] {
            expect_skipped(&mut labels, store, &WITHOUT_CONFIG, "cn=config is not handed over");
        }
    }
    Generated { directory, policy, labels }
}

async fn check(options: Options) -> Audited {
    let world = generated(&options);
    let audited = audit(world.directory.path(), &world.policy).await;
    if let Some(difference) = differences(&found(&audited.findings), &world.labels) {
        panic!("seed {}, {} people: {difference}", options.seed, options.people);
    }
    audited
}

#[tokio::test]
async fn precision_and_recall_are_one_on_small_worlds_of_many_seeds() {
    for seed in 1..=40 {
        check(Options { seed, people: 200, ..Options::default() }).await;
    }
}

#[tokio::test]
async fn precision_and_recall_are_one_on_worlds_of_500_people_with_links() {
    for seed in 101..=112 {
        check(Options { seed, people: 500, links: true, ..Options::default() }).await;
    }
}

#[tokio::test]
async fn precision_and_recall_are_one_on_20000_people_and_a_group_of_50000() {
    let audited = check(Options { seed: 21, people: 20_000, big_group: Some(50_000), ..Options::default() }).await;
    assert_eq!(audited.outcome.finding_count, u64::try_from(audited.findings.len()).unwrap());
    let counted: u64 = audited.outcome.counts.iter().map(|c| c.findings).sum();
    assert_eq!(counted, audited.outcome.finding_count, "each finding is counted once");
    let subjects: u64 = audited.outcome.subjects.iter().map(|(_, _, count)| count).sum();
    assert_eq!(subjects, u64::try_from(audited.subjects.len()).unwrap());
}

#[tokio::test]
async fn precision_and_recall_are_one_on_the_stores_labelled_by_hand() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/fixtures/hand");
    let mut labels = labels(&directory).unwrap();
    expect_skipped(&mut labels, "independent", &WITHOUT_CONFIG, "cn=config is not handed over");
    let audited = audit(&directory, &policy(false)).await;
    if let Some(difference) = differences(&found(&audited.findings), &labels) {
        panic!("{difference}");
    }
}

#[tokio::test]
async fn two_audits_of_one_world_are_equal() {
    let world = generated(&Options { seed: 31, people: 200, links: true, ..Options::default() });
    let [first, second] =
        [audit(world.directory.path(), &world.policy).await, audit(world.directory.path(), &world.policy).await];
    assert_eq!(first.findings, second.findings);
    assert_eq!(first.subjects, second.subjects);
    assert_eq!(first.outcome.counts, second.outcome.counts);
    assert!(!first.outcome.header.executable, "an export makes no executable plan");
}

#[tokio::test]
async fn as_of_a_later_day_more_people_have_left_and_nothing_can_be_planned() {
    let world = generated(&Options { seed: 32, people: 200, ..Options::default() });
    let left = |audited: &Audited| {
        let gone = ["residual.departed", "residual.contract-ended"];
        audited.findings.iter().filter(|f| gone.contains(&f.rule.as_str())).count()
    };
    let now = audit(world.directory.path(), &world.policy).await;
    let later = audit_as_of(world.directory.path(), &world.policy, Some("2030-01-01".parse().unwrap())).await;
    assert!(left(&later) > left(&now), "{} and {}", left(&later), left(&now));
    assert!(later.outcome.header.not_executable.iter().any(|r| r.contains("as of 2030-01-01")));
}
