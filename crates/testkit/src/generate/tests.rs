//! The generated data hold what they promise, and real servers agree.

use super::account::Access;
use super::person::{Fate, Person};
use super::secret::Scheme;
use super::situation::Situation;
use super::truth::status;
use super::world::{Store, World};
use super::{Options, generate};
use crate::lab::{Pair, Server};
use data_encoding::BASE64;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const EVERY_RULE: [&str; 25] = [
    "access.mfa-missing",
    "access.privileged",
    "access.service-account",
    "correlation.ambiguous",
    "correlation.conflicting",
    "correlation.entity",
    "coverage.skipped",
    "link.mapping",
    "link.pass-through",
    "link.proxy",
    "link.referral",
    "link.replication",
    "link.shared-secret",
    "residual.already-separated",
    "residual.attribute",
    "residual.contract-ended",
    "residual.copy",
    "residual.credential",
    "residual.departed",
    "residual.dormant",
    "residual.duplicate",
    "residual.lock-ineffective",
    "residual.membership",
    "residual.orphan",
    "residual.reference",
];

fn options(seed: u64, people: u32) -> Options {
    Options { seed, people, ..Options::default() }
}

fn written(options: &Options) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    generate(options, directory.path()).unwrap();
    directory
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn labels(directory: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join("truth.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// DNs of an LDIF file as they are written.
fn dns(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap().replace("\n ", "");
    text.lines()
        .filter_map(|line| match line.strip_prefix("dn:: ") {
            Some(encoded) => Some(String::from_utf8(BASE64.decode(encoded.as_bytes()).unwrap()).unwrap()),
            None => line.strip_prefix("dn: ").map(str::to_owned),
        })
        .collect()
}

#[test]
fn the_same_options_give_the_same_bytes_and_another_seed_others() {
    let with_links = Options { links: true, big_group: Some(300), ..options(7, 300) };
    let first = files(written(&with_links).path());
    assert_eq!(first, files(written(&with_links).path()));
    let other = files(written(&Options { seed: 8, ..with_links }).path());
    assert_eq!(first.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for name in ["shared.ldif", "independent.ldif", "roster.csv", "passwords.jsonl"] {
        assert_ne!(first[name], other[name], "{name}");
    }
}

#[test]
fn writing_over_older_data_leaves_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    generate(&Options { links: true, ..options(1, 400) }, directory.path()).unwrap();
    generate(&options(1, 200), directory.path()).unwrap();
    assert_eq!(files(directory.path()), files(written(&options(1, 200)).path()));
}

#[test]
fn each_situation_is_planted_once_in_two_hundred_people_and_twice_in_two_thousand() {
    let count = |people: u32| {
        let world = World::new(&options(3, people)).unwrap();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for index in 0..people {
            let situation: Situation = Person::make(&world, index).unwrap().situation;
            *counts.entry(format!("{situation:?}")).or_default() += 1;
        }
        counts
    };
    let (few, many) = (count(200), count(2_000));
    let all: BTreeSet<String> = super::situation::all().map(|situation| format!("{situation:?}")).collect();
    for situation in &all {
        assert!(few.get(situation).is_some_and(|count| *count >= 1), "{situation} with 200 people");
        assert!(many.get(situation).is_some_and(|count| *count >= 2), "{situation} with 2,000 people");
    }
}

#[test]
fn each_rule_has_labels_at_every_size() {
    for people in [200, 500, 2_000] {
        let directory = tempfile::tempdir().unwrap();
        let summary = generate(&Options { links: true, ..options(5, people) }, directory.path()).unwrap();
        for rule in EVERY_RULE {
            assert!(summary.findings.get(rule).is_some_and(|count| *count >= 1), "{rule} with {people} people");
        }
        assert_eq!(summary.findings.values().sum::<u64>(), labels(directory.path()).len() as u64);
    }
}

#[test]
fn labels_name_entries_that_exist_and_none_twice() {
    let directory = written(&Options { links: true, big_group: Some(1_500), ..options(11, 1_200) });
    let at = |name: &str| directory.path().join(name);
    let mut known: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    known.insert("shared", dns(&at("shared.ldif")));
    known.insert("independent", dns(&at("independent.ldif")));
    for (store, exports) in [
        ("shared", &["shared-config-export.ldif", "shared-accesslog.ldif"][..]),
        ("independent", &["independent-config-export.ldif"]),
    ] {
        for export in exports {
            known.get_mut(store).unwrap().extend(dns(&at(export)));
        }
    }
    let mut seen = BTreeSet::new();
    for label in labels(directory.path()) {
        let store = label["store"].as_str().unwrap();
        let dn = label["dn"].as_str();
        if let Some(dn) = dn {
            assert!(known[store].contains(dn), "{label}");
            assert!(!dn.contains("ou=partner"), "{label}");
        } else {
            assert_eq!(label["rule"], "coverage.skipped");
        }
        let rule = label["rule"].as_str().unwrap().to_owned();
        assert!(seen.insert((rule, store.to_owned(), dn.map(str::to_owned), label["about"].clone().to_string())), "{label}");
    }
}

#[test]
fn the_population_looks_like_an_organization() {
    let world = World::new(&options(2, 5_000)).unwrap();
    let mut fates: BTreeMap<&str, u32> = BTreeMap::new();
    let mut moved = 0;
    for index in 0..5_000 {
        let person = Person::make(&world, index).unwrap();
        let fate = match person.fate {
            Fate::Present => "present",
            Fate::OnLeave => "on leave",
            Fate::NotStarted => "not started",
            Fate::Departed => "departed",
            Fate::ContractOver => "contract over",
            Fate::Unlisted => "unlisted",
        };
        *fates.entry(fate).or_default() += 1;
        moved += u32::from(person.has_moved());
    }
    assert!((3_000..4_000).contains(&fates["present"]), "{fates:?}");
    assert!((400..1_000).contains(&fates["departed"]), "{fates:?}");
    assert!((100..500).contains(&fates["contract over"]), "{fates:?}");
    assert!((50..300).contains(&fates["unlisted"]), "{fates:?}");
    assert!((400..1_200).contains(&moved), "{moved}");
}

#[test]
fn passwords_are_readable_by_their_owner_only() {
    let directory = written(&options(1, 200));
    let mode = std::fs::metadata(directory.path().join("passwords.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn leavers_are_those_who_are_gone_where_they_work() {
    // 01:00 of the 20th in Tokyo, 17:00 of the 19th in Berlin.
    let now = "2026-11-19T16:00:00Z".parse().unwrap();
    let directory = written(&Options { now, ..options(1, 200) });
    let roster = std::fs::read_to_string(directory.path().join("roster.csv")).unwrap();
    let ends = |entity: &str, day: &str| {
        roster.lines().any(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            fields[7] == entity && fields[11] == day
        })
    };
    // Their last day is today where they are, and yesterday.
    assert!(ends("domestic", "2026-11-20") && ends("overseas", "2026-11-19"));
    assert!(ends("own", "2026-11-19") && ends("overseas", "2026-11-18"));
}

/// Binds as the account; whether the server accepted.
fn binds(server: &Server, dn: &str, password: &str) -> bool {
    let output = Command::new("ldapwhoami").args(["-x", "-H", server.ldapi_url(), "-D", dn, "-w", password]).output().unwrap();
    output.status.success()
}

#[test]
fn real_servers_load_the_data_and_let_in_exactly_the_open_accounts() {
    // The servers judge locks at their own clock.
    #[expect(clippy::disallowed_methods, reason = "real servers live in real time")]
    let now = jiff::Timestamp::now();
    let options = Options { now, big_group: Some(500), ..options(4, 200) };
    let directory = tempfile::tempdir().unwrap();
    let summary = generate(&options, directory.path()).unwrap();
    let pair = Pair::builder().data(directory.path()).start().unwrap();

    for (server, entries, name) in [
        (&pair.shared, summary.shared_entries, "shared.ldif"),
        (&pair.independent, summary.independent_entries, "independent.ldif"),
    ] {
        let ours = dns(&directory.path().join(name));
        assert_eq!(ours.len() as u64, entries);
        let dump = server.dump().unwrap().replace("\n ", "");
        // Beside ours there are the tool identities, the canary and their containers.
        let loaded = dump.lines().filter(|line| line.starts_with("dn:")).count() as u64;
        assert!((entries + 4..entries + 20).contains(&loaded), "{loaded} of {entries}");
        assert_eq!(dump.matches("labSourceId: ").count(), count_in(&directory.path().join(name), "\nlabSourceId: "));
    }

    let passwords: BTreeMap<(String, String), String> = std::fs::read_to_string(directory.path().join("passwords.jsonl"))
        .unwrap()
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| record[name].as_str().unwrap().to_owned();
            ((text("store"), text("dn")), text("password"))
        })
        .collect();
    let world = World::new(&options).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for index in 0..options.people {
        let person = Person::make(&world, index).unwrap();
        for account in &person.accounts {
            // Accounts that another server answers for have no password here, and an account that is locked for some
            // minutes is not disabled, yet refused. {CLEARTEXT}: see the scheme.
            let Some(password) = passwords.get(&(account.store.name().to_owned(), account.dn())) else { continue };
            let cleartext = account.secret.as_ref().is_some_and(|secret| secret.scheme == Scheme::Cleartext);
            if account.access == Access::RunningLock || cleartext {
                continue;
            }
            let server = if account.store == Store::Shared { &pair.shared } else { &pair.independent };
            let entered = binds(server, &account.dn(), password);
            assert_eq!(entered, account.is_open(), "{} {:?}", account.dn(), account.access);
            if entered { accepted += 1 } else { refused += 1 }
        }
    }
    assert!(accepted > 100 && refused > 15, "{accepted} accepted, {refused} refused");
}

fn count_in(file: &Path, text: &str) -> usize {
    std::fs::read_to_string(file).unwrap().replace("\n ", "").matches(text).count()
}

#[test]
fn real_servers_accept_the_planted_links_and_the_access_log() {
    let directory = written(&Options { links: true, ..options(4, 200) });
    // The laboratory applies the change records and loads the access log; it fails where a server refuses one.
    let pair = Pair::builder().data(directory.path()).start().unwrap();
    let log = pair.shared.slapcat("cn=accesslog").unwrap();
    assert!(log.contains("reqMod: userPassword:="));
    for (server, store) in [(&pair.shared, "shared"), (&pair.independent, "independent")] {
        // The numbers that the labels count on are those that the server gave.
        let config = server.slapcat("cn=config").unwrap().replace("\n ", "");
        for label in labels(directory.path()) {
            let dn = label["dn"].as_str().unwrap_or_default();
            if label["store"] == store && dn.ends_with("cn=config") {
                assert!(config.lines().any(|line| line == format!("dn: {dn}")), "{dn} in {store}");
            }
        }
    }
}

#[test]
fn tidy_teams_list_nobody_who_is_gone() {
    let world = World::new(&options(9, 1_000)).unwrap();
    for index in 0..1_000 {
        let person = Person::make(&world, index).unwrap();
        let Some(account) = person.account(Store::Shared) else { continue };
        let residual = status(&person, account).is_some();
        let untidy = (index / super::groups::TEAM).is_multiple_of(3);
        let listed = super::groups::team_member(&person);
        // Teams are tidy but for every third one.
        if residual && !untidy {
            assert!(listed.is_none(), "{}", account.dn());
        }
        assert_eq!(listed.is_some_and(|member| member.residual), residual && untidy && is_person(account));
    }
}

fn is_person(account: &super::account::Account) -> bool {
    account.kind == super::account::Kind::Person
}

#[test]
fn labels_given_by_hand_name_entries_that_exist() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hand");
    let mut known = BTreeSet::new();
    for name in ["shared.ldif", "shared-config.ldif", "shared-accesslog.ldif"] {
        known.extend(dns(&fixture.join(name)).into_iter().map(|dn| ("shared", dn)));
    }
    known.extend(dns(&fixture.join("independent.ldif")).into_iter().map(|dn| ("independent", dn)));
    let mut rules = BTreeSet::new();
    for label in labels(&fixture) {
        rules.insert(label["rule"].as_str().unwrap().to_owned());
        if let Some(dn) = label["dn"].as_str() {
            assert!(known.contains(&(label["store"].as_str().unwrap(), dn.to_owned())), "{label}");
        }
    }
    assert_eq!(rules, EVERY_RULE.into_iter().map(str::to_owned).collect());
}

/// The judgement of people is written twice, here as planted and in `model` as a rule; they must agree.
#[test]
fn the_roster_is_judged_as_it_was_planted() {
    use untether_model::policy::{Entity, RosterPolicy};
    use untether_model::roster::{Presence, RosterFile, RosterReader, When, Zones};

    for now in ["2026-11-20T00:00:00Z", "2026-11-19T16:00:00Z", "2026-12-31T23:30:00Z"] {
        let options = Options { now: now.parse().unwrap(), ..options(6, 2_000) };
        let directory = written(&options);
        let text = std::fs::read_to_string(directory.path().join("roster.csv")).unwrap();
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap().split(',').collect();
        let entities: BTreeMap<_, _> =
            [("own", "Asia/Tokyo"), ("domestic", "Asia/Tokyo"), ("overseas", "Europe/Berlin"), ("contractor", "Asia/Tokyo")]
                .into_iter()
                .map(|(id, zone)| {
                    let entity = Entity {
                        name: id.to_owned(),
                        name_ja: None,
                        time_zone: zone.to_owned(),
                        deadline: None,
                        shared_subtrees: Vec::new(),
                        independent_subtrees: Vec::new(),
                    };
                    (id.into(), entity)
                })
                .collect();
        let file = RosterFile { name: "roster.csv", policy: &RosterPolicy::default(), entities: &entities };
        let mut reader = RosterReader::new();
        assert!(reader.begin(&file, &header).unwrap());
        for (number, line) in lines.enumerate() {
            // No generated field holds a separator.
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields.len(), header.len(), "{line}");
            reader.record(number as u64 + 2, &fields).unwrap();
        }
        let roster = reader.finish().unwrap();
        let zones = Zones::of(&entities);
        let world = World::new(&options).unwrap();
        for index in 0..options.people {
            let planted = Person::make(&world, index).unwrap();
            let Some(id) = planted.person_id() else { continue };
            let found = roster.by_person_id(&untether_model::keys::fold(&id));
            let [person] = found.as_slice() else { panic!("{id}: {} people", found.len()) };
            let judged = roster.judge(*person, &zones, When::At(options.now)).unwrap();
            let expected = match planted.fate {
                Fate::Present => Presence::Active,
                Fate::OnLeave => Presence::OnLeave,
                Fate::NotStarted => Presence::NotYetStarted,
                Fate::Departed => Presence::Departed,
                Fate::ContractOver => Presence::ContractEnded,
                Fate::Unlisted => panic!("{id} has no rows"),
            };
            assert_eq!(judged.standing.presence, expected, "{id} {:?} at {now}", planted.situation);
            let entity = roster.row(judged.row).and_then(|row| row.entity().map(ToString::to_string));
            assert_eq!(entity.as_deref(), Some(planted.entity.id()), "{id} {:?}", planted.situation);
        }
    }
}
