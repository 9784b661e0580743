//! State directories from a crash, from another machine, half copied, of another state: recognized, explained, and either put right
//! without loss or refused (exit 6) with nothing changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, World};

/// A state with an audit, a plan, a wave in its soak and hand-over files, and a copy to come back to.
struct Copied {
    world: World,
    plan: String,
}

impl Copied {
    fn new() -> Self {
        let world = World::new(60);
        let plan = world.planned();
        world.approve(&format!("{plan}/retire"), "soak", 1);
        world.go("retire", &[]).expect(4);
        world.approve(&format!("{plan}/migrate"), "enroll", 1);
        world.go("migrate", &["--through", "enroll"]).expect(4);
        let copied = Self { world, plan };
        copy(&copied.world.state(), &copied.kept());
        copied
    }

    fn kept(&self) -> PathBuf {
        self.world.directory().join("kept")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.state().join(name)
    }

    /// Lets something happen to the state, looks at what comes of it, and takes the state back.
    fn after(&self, happens: impl FnOnce(&Self), look: impl FnOnce(&World)) {
        happens(self);
        look(&self.world);
        fs::remove_dir_all(self.world.state()).unwrap();
        copy(&self.kept(), &self.world.state());
    }

    /// Everything that writes or reads the state refuses, says so in these words, and changes nothing.
    fn refused(&self, happens: impl FnOnce(&Self), words: &[&str]) {
        self.after(happens, |world| {
            let before = bytes(&world.state());
            let commands: [&[&str]; 8] = [
                &["audit"],
                &["findings"],
                &["pause", "--reason", "x"],
                &["run", "--wave", "retire", "--execute"],
                &["state", "check"],
                &["state", "rebuild"],
                &["state", "rebuild", "--accept-loss", "--reason", "x"],
                &["state", "accept-clock", "--reason", "x"],
            ];
            for command in commands {
                let said = world.run(command).expect(6).said();
                assert!(words.iter().all(|word| said.contains(word)), "{command:?}: {words:?} in {said}");
            }
            assert_eq!(bytes(&world.state()), before, "something was changed");
        });
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

/// All files below a directory but the lock, whose content says who was there last.
fn bytes(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(bytes(&path));
        } else if path.file_name().is_some_and(|name| name != "state.lock") {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn files(dir: PathBuf) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn checked(world: &World, code: i32) -> serde_json::Value {
    world.run(&["--json", "state", "check"]).expect(code).rows().remove(0)
}

fn tells(list: &serde_json::Value, words: &str) -> bool {
    list.as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains(words))
}

fn goes_on(world: &World) -> Ran {
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("gate silence is unknown"), "{}", ran.said());
    ran
}

#[test]
fn what_a_crash_leaves_is_put_right_and_said() {
    let state = Copied::new();
    // A record was cut off in the middle of being written.
    let torn = |state: &Copied| {
        let mut ledger = fs::read(state.path("ledger/00000001.log")).unwrap();
        ledger.extend(&[200, 0, 0, 0, 1, 2, 3, 4, b'{', b'"']);
        fs::write(state.path("ledger/00000001.log"), ledger).unwrap();
    };
    state.after(torn, |world| {
        let found = checked(world, 0);
        assert!(tells(&found["repaired"], "as a crash leaves them: they have been cut off"), "{found}");
        assert_eq!(checked(world, 0)["repaired"], serde_json::json!([]));
        goes_on(world);
    });
    state.after(torn, |world| {
        let said = goes_on(world).stderr;
        assert!(said.contains("they have been cut off"), "{said}");
    });
    // Files that were never finished are nobody's.
    let unfinished = |state: &Copied| fs::write(state.path("plans/.unfinished"), b"x").unwrap();
    state.after(unfinished, |world| {
        assert_eq!(checked(world, 0)["problems"], serde_json::json!([]));
        goes_on(world);
    });
}

#[test]
fn a_state_of_another_machine_or_path_goes_on_and_says_where_it_was() {
    let state = Copied::new();
    let moved = |state: &Copied| fs::write(state.path("state.lock"), br#"{"pid":1,"since":null,"host":"elsewhere"}"#).unwrap();
    state.after(moved, |world| {
        let said = goes_on(world).stderr;
        assert!(said.contains("last used on machine 'elsewhere'") && said.contains("cannot be joined"), "{said}");
        assert!(!goes_on(world).stderr.contains("elsewhere"), "it is said once");
    });
    let elsewhere = state.world.directory().join("elsewhere");
    copy(&state.kept(), &elsewhere);
    let path = elsewhere.display().to_string();
    state.world.run(&["--state", &path, "state", "check"]).expect(0);
    state.world.run(&["--state", &path, "pause", "--reason", "moved"]).expect(0);

    // Copied without its permissions.
    let opened = |state: &Copied| {
        let done = Command::new("chmod").args(["-R", "go+rX"]).arg(state.world.state()).status().unwrap();
        assert!(done.success());
    };
    state.after(opened, |world| {
        let said = world.run(&["pause", "--reason", "x"]).expect(6).stderr;
        assert!(said.contains("chmod 0700"), "{said}");
    });
}

#[test]
fn what_can_be_made_again_is_made_again_when_it_is_missing() {
    let state = Copied::new();
    let gone = |name: &'static str| {
        move |state: &Copied| {
            remove(&state.path(name));
        }
    };
    for (name, words) in [
        ("sled", "there was no state database: it is made again from the ledger"),
        ("ledger/HEAD", "ledger/HEAD was missing: it has been written again"),
        ("handover", "has been made again, empty"),
        ("blobs", "has been made again, empty"),
    ] {
        state.after(gone(name), |world| {
            let said = goes_on(world).stderr;
            assert!(said.contains(words), "{name}: {said}");
            assert_eq!(checked(world, 0)["problems"], serde_json::json!([]), "{name}");
        });
        state.after(gone(name), |world| {
            assert!(tells(&checked(world, 0)["repaired"], words), "{name}");
            assert_eq!(checked(world, 0)["problems"], serde_json::json!([]), "{name}");
        });
    }
    // What a batch waits for is told by the run; the ledger has it only where somebody decided on it.
    let told = |world: &World| {
        let status = world.run(&["status"]).expect(0).stdout;
        status.lines().filter(|line| !line.starts_with("     ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = told(&state.world);
    for name in ["summary", "state.lock"] {
        state.after(gone(name), |world| {
            assert_eq!(told(world), before, "{name}");
            goes_on(world);
            assert_eq!(checked(world, 0)["problems"], serde_json::json!([]), "{name}");
        });
    }
    // People's credentials are written again with the next run of their wave.
    state.after(gone("handover"), |world| {
        world.go("migrate", &["--through", "enroll"]).expect(4);
        assert!(!world.handed_over(&format!("{}/migrate/b01", state.plan)).is_empty());
    });
}

#[test]
fn a_half_copied_state_is_told_by_what_lacks() {
    let state = Copied::new();
    state.refused(|state| fs::remove_dir_all(state.path("ledger")).unwrap(), &["no ledger", "restore `ledger/` from its backup"]);
    state.refused(|state| fs::remove_file(state.path("ledger/00000001.log")).unwrap(), &["no ledger"]);
    state.after(
        |state| fs::remove_dir_all(state.path("ledger")).unwrap(),
        |world| {
            world.run(&["init"]).expect(6);
            assert!(!world.state().join("ledger").exists(), "no new ledger is made among the remains of another");
            world.run(&["status"]).expect(6);
        },
    );
    state.refused(|state| fs::remove_dir_all(state.path("keys")).unwrap(), &["state.key' is missing"]);
    state.refused(|state| fs::remove_file(state.path("keys/state.key")).unwrap(), &["state.key' is missing"]);

    // Each single file that the ledger names is missed by its name.
    for area in ["snapshots", "findings", "plans", "keys"] {
        for file in files(state.path(area)).into_iter().filter(|file| !file.ends_with("state.key")) {
            state.after(
                |_| fs::remove_file(&file).unwrap(),
                |world| {
                    let found = checked(world, 6);
                    let named = file.file_name().unwrap().to_string_lossy().into_owned();
                    let told = tells(&found["problems"], &named) || tells(&found["problems"], "its key is not in keys/");
                    assert!(told, "{}: {found}", file.display());
                },
            );
        }
    }
    for area in ["snapshots", "findings"] {
        state.after(
            |state| fs::remove_dir_all(state.path(area)).unwrap(),
            |world| {
                assert_eq!(checked(world, 6)["database"], "agrees with the ledger");
                world.run(&["audit"]).expect(0);
                assert_eq!(checked(world, 0)["problems"], serde_json::json!([]), "an audit makes {area} again");
                goes_on(world);
            },
        );
    }
    state.after(
        |state| fs::remove_dir_all(state.path("plans")).unwrap(),
        |world| {
            checked(world, 6);
            let said = world.run(&["run", "--wave", "retire", "--execute"]).expect(6).said();
            assert!(said.contains("plans") && said.contains("is not there"), "{said}");
        },
    );
}

#[test]
fn a_ledger_that_is_older_than_what_lies_beside_it_has_lost_its_end() {
    let state = Copied::new();
    let older = state.world.directory().join("older");
    copy(&state.world.state(), &older);
    state.world.run(&["pause", "--reason", "x"]).expect(0);
    state.world.run(&["resume", "--reason", "y"]).expect(0);
    let newer = state.world.directory().join("newer");
    copy(&state.world.state(), &newer);
    let mixed = |parts: &'static [&'static str]| {
        let (older, newer) = (older.clone(), newer.clone());
        move |state: &Copied| {
            fs::remove_dir_all(state.world.state()).unwrap();
            copy(&older, &state.world.state());
            for part in parts {
                let at = state.path(part);
                remove(&at);
                copy(&newer.join(part), &at);
            }
        }
    };
    for (parts, who) in [
        (&["sled"][..], "the state database knows of record"),
        (&["ledger/HEAD"], "ledger/HEAD knows of record"),
        (&["summary"], "the summary knows of record"),
        (&["sled", "summary", "ledger/HEAD"], "its tail is lost"),
    ] {
        state.after(mixed(parts), |world| {
            let before = bytes(&world.state().join("ledger"));
            for command in [&["pause", "--reason", "x"][..], &["run", "--wave", "retire", "--execute"], &["state", "rebuild"]] {
                let said = world.run(command).expect(6).stderr;
                assert!(said.contains(who) && said.contains("--accept-loss"), "{parts:?}: {said}");
            }
            assert!(tells(&checked(world, 6)["problems"], "its tail is lost"));
            assert_eq!(bytes(&world.state().join("ledger")), before);
            world.run(&["state", "rebuild", "--accept-loss", "--reason", "there is no newer copy"]).expect(0);
            assert_eq!(checked(world, 0)["problems"], serde_json::json!([]), "{parts:?}");
            goes_on(world);
        });
    }
}

#[test]
fn parts_of_another_state_are_recognized() {
    let state = Copied::new();
    let other = state.world.directory().join("other");
    let path = other.display().to_string();
    state.world.run(&["--state", &path, "init"]).expect(0);
    state.world.run(&["--state", &path, "audit"]).expect(0);
    let take = |parts: &'static [&'static str]| {
        let other = other.clone();
        move |state: &Copied| {
            for part in parts {
                let at = state.path(part);
                remove(&at);
                copy(&other.join(part), &at);
            }
        }
    };
    state.refused(take(&["ledger"]), &["does not belong to the state key", "ledger/ was copied here from another one"]);
    state.refused(take(&["ledger", "sled"]), &["does not belong to the state key", "ledger/ was copied here from another one"]);
    state.refused(take(&["ledger", "sled", "summary"]), &["does not belong to the state key", "the key is the wrong one"]);
    state.refused(take(&["keys/state.key"]), &["does not belong to the state key", "the key is the wrong one"]);
    state.after(take(&["ledger"]), |world| {
        let said = world.run(&["status"]).expect(6).stderr;
        assert!(said.contains("one of them was copied from another state"), "{said}");
    });
    // A witness of another ledger is no witness: what it says does not fit.
    state.after(take(&["ledger/HEAD"]), |world| {
        let said = world.run(&["pause", "--reason", "x"]).expect(6).stderr;
        assert!(said.contains("the ledger was rewritten or replaced"), "{said}");
    });
    state.after(take(&["sled"]), |world| {
        let said = goes_on(world).stderr;
        assert!(said.contains("the state database belongs to another ledger: it is made again"), "{said}");
        assert_eq!(checked(world, 0)["problems"], serde_json::json!([]));
    });
    state.after(take(&["summary"]), |world| {
        world.run(&["status"]).expect(6);
        goes_on(world);
        world.run(&["status"]).expect(0);
    });
    state.after(take(&["plans"]), |world| {
        assert!(tells(&checked(world, 6)["problems"], "is not there"));
    });
}
