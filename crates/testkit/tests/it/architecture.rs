//! Keeps the invariants of `docs/ARCHITECTURE.md`: who depends on whom, and what pure crates must not know.
//!
//! Looks at cargo's metadata and, for what metadata cannot tell, at the text of sources.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crates that each crate may name, beside what those need themselves.
const NEEDS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("directory", &["model"]),
    ("ledger", &["model"]),
    ("planner", &["model"]),
    ("progress", &["model"]),
    ("report", &["model"]),
    ("ldap", &["directory"]),
    ("journal", &["ledger"]),
    ("audit", &["directory", "ledger"]),
    ("cutover", &["directory", "ledger"]),
    ("testkit", &["planner", "cutover", "journal"]),
    ("cli", &["ldap", "audit", "planner", "journal", "cutover", "progress", "report"]),
];

/// Libraries that one crate fences off.
const FENCED: &[(&str, &str)] = &[("ldap3", "ldap"), ("sled", "journal"), ("indicatif", "progress")];

/// Crates that know no clock, no network, no environment and no file system.
const PURE: &[&str] = &["model", "planner", "report"];

/// Libraries through which a pure crate would learn of one of them.
const IMPURE: &[&str] = &["tokio", "reqwest", "rustix", "mio", "socket2", "ldap3", "sled", "rustls", "tempfile"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn metadata() -> Metadata {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        // Only what this build has downloaded anyway.
        .other_options(["--offline".to_owned(), "--filter-platform".to_owned(), platform])
        .exec()
        .unwrap()
}

fn short(name: &str) -> &str {
    name.strip_prefix("untether-").unwrap_or(name)
}

fn members(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    metadata.workspace_packages().into_iter().map(|package| (short(&package.name), package)).collect()
}

/// What a crate names itself, of the workspace (without prefix) or from elsewhere.
fn named<'a>(package: &'a Package, kinds: &[DependencyKind]) -> BTreeSet<&'a str> {
    package.dependencies.iter().filter(|d| kinds.contains(&d.kind)).map(|d| short(&d.name)).collect()
}

/// `NEEDS` of a crate with what those need.
fn allowed(name: &str) -> BTreeSet<&'static str> {
    let direct = NEEDS.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, needs)| *needs);
    direct.iter().flat_map(|need| allowed(need).into_iter().chain([*need])).collect()
}

/// Everything that is linked into a crate, without what only tests or build scripts use.
fn linked(metadata: &Metadata, package: &Package) -> BTreeSet<String> {
    let graph = metadata.resolve.as_ref().unwrap();
    let nodes: BTreeMap<&PackageId, _> = graph.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen = BTreeSet::new();
    let mut open = vec![&package.id];
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let normal = nodes[id].deps.iter().filter(|d| d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal));
            open.extend(normal.map(|dependency| &dependency.pkg));
        }
    }
    seen.into_iter().map(|id| short(&metadata[id].name).to_owned()).collect()
}

/// Rust files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn crates_depend_on_what_the_architecture_lets_them() {
    let metadata = metadata();
    let members = members(&metadata);
    let stated: BTreeSet<&str> = NEEDS.iter().map(|(name, _)| *name).collect();
    let present: BTreeSet<&str> = members.keys().copied().collect();
    assert_eq!(present, stated, "a new crate needs a line in NEEDS and in docs/ARCHITECTURE.md");
    for (name, package) in &members {
        let mut may = allowed(name);
        let normal: BTreeSet<&str> = named(package, &[DependencyKind::Normal, DependencyKind::Build]);
        let normal: BTreeSet<&str> = normal.intersection(&present).copied().collect();
        assert!(normal.is_subset(&may), "{name} may depend on {may:?}, but depends on {normal:?}");
        if !["planner", "cutover"].contains(name) {
            may.insert("testkit");
        }
        let tests: BTreeSet<&str> = named(package, &[DependencyKind::Development]);
        let tests: BTreeSet<&str> = tests.intersection(&present).copied().collect();
        assert!(tests.is_subset(&may), "tests of {name} may use {may:?}, but use {tests:?}");
    }
}

#[test]
fn heavy_libraries_are_named_by_one_crate() {
    let metadata = metadata();
    for (library, owner) in FENCED {
        let all = [DependencyKind::Normal, DependencyKind::Development, DependencyKind::Build];
        let users: BTreeSet<&str> = members(&metadata)
            .iter()
            .filter(|(_, package)| named(package, &all).contains(library))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(users, BTreeSet::from([*owner]), "only {owner} names {library}");
    }
}

#[test]
fn cutover_is_built_without_network_database_and_display() {
    let metadata = metadata();
    let linked = linked(&metadata, members(&metadata)["cutover"]);
    for foreign in ["ldap3", "rustls", "sled", "indicatif", "clap", "ldap", "journal", "progress", "report", "planner", "audit"] {
        assert!(!linked.contains(foreign), "cutover is linked with {foreign}");
    }
}

/// The argument why no model checker has anything to permute there: docs/ARCHITECTURE.md, "Concurrency".
#[test]
fn cutover_starts_no_task_and_no_thread() {
    let metadata = metadata();
    let directory = members(&metadata)["cutover"].manifest_path.parent().unwrap().join("src");
    let files = sources(directory.as_std_path());
    assert!(files.len() > 10, "cutover has sources");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let found = ["spawn", "thread::", "JoinSet", "block_on"].into_iter().find(|word| text.contains(word));
        assert!(found.is_none(), "{} names {}", file.display(), found.unwrap_or_default());
    }
}

#[test]
fn pure_crates_are_not_linked_with_what_is_impure() {
    let metadata = metadata();
    let members = members(&metadata);
    for name in PURE {
        let linked = linked(&metadata, members[name]);
        let impure: Vec<&&str> = IMPURE.iter().filter(|library| linked.contains(**library)).collect();
        assert!(impure.is_empty(), "{name} is linked with {impure:?}");
    }
}

#[test]
fn pure_crates_name_no_clock_network_environment_or_file_system() {
    let metadata = metadata();
    let members = members(&metadata);
    let forbidden = [
        "std::env::",
        "std::fs::",
        "std::net::",
        "std::process::",
        "std::thread::",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "TimeZone::system",
    ];
    for name in PURE {
        let directory = members[name].manifest_path.parent().unwrap().join("src");
        let files = sources(directory.as_std_path());
        assert!(!files.is_empty(), "{name} has sources");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let found = forbidden.iter().find(|word| line.contains(**word));
                assert!(found.is_none(), "{} names {}: {line}", file.display(), found.unwrap_or(&""));
            }
        }
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let metadata = metadata();
    for (name, package) in members(&metadata) {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} does not take the workspace's lints");
    }
}

#[test]
fn every_dependency_is_used_and_justified() {
    let metadata = metadata();
    let members = members(&metadata);
    let document = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let all = [DependencyKind::Normal, DependencyKind::Development, DependencyKind::Build];
    let used: BTreeSet<&str> =
        members.values().flat_map(|package| named(package, &all)).filter(|name| !members.contains_key(name)).collect();
    for name in &used {
        assert!(document.contains(&format!("| `{name}` |")), "docs/dependencies.md says nothing about {name}");
    }
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, section) = manifest.split_once("[workspace.dependencies]").unwrap();
    let section = section.split("\n[").next().unwrap();
    for name in section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| short(name.trim())) {
        assert!(used.contains(name) || members.contains_key(name), "no crate uses {name}: take it out of Cargo.toml");
    }
}
