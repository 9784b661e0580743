//! The state directory on file systems of its own: one that fills up or turns read-only at any write, and one whose power goes out.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::World;

/// Runs a program of the system, which must succeed.
fn run(program: &str, arguments: &[&OsStr]) {
    if let Err(why) = tried(program, arguments) {
        panic!("{why}");
    }
}

fn tried(program: &str, arguments: &[&OsStr]) -> Result<(), String> {
    let ran = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    let said = || format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr).trim());
    if ran.status.success() { Ok(()) } else { Err(said()) }
}

/// A file system of the state's own that can be filled, until dropped.
pub struct Tmpfs<'a>(&'a World);

impl<'a> Tmpfs<'a> {
    /// Moves the state into one; `None`, said visibly, where nothing can be mounted.
    fn mount(world: &'a World, test: &str) -> Option<Self> {
        let (state, kept) = (world.state(), world.directory().join("kept"));
        fs::rename(&state, &kept).unwrap();
        fs::create_dir(&state).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs"];
        let mounted = Command::new("mount").args(options).arg(&state).output().is_ok_and(|output| output.status.success());
        if !mounted {
            fs::remove_dir(&state).unwrap();
            fs::rename(&kept, &state).unwrap();
            writeln!(std::io::stderr(), "SKIPPED {test}: a tmpfs can only be mounted as root").unwrap();
            return None;
        }
        run("cp", &[OsStr::new("-a"), kept.join(".").as_os_str(), state.as_os_str()]);
        Some(Self(world))
    }

    fn filler(&self) -> PathBuf {
        self.0.state().join("filler")
    }

    /// Leaves this many KiB.
    fn leave(&self, kib: u64) {
        let stat = rustix::fs::statvfs(self.0.state()).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let length = usize::try_from(free.saturating_sub(kib << 10)).unwrap();
        fs::write(self.filler(), vec![1; length]).unwrap();
    }

    fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.0.state()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.state()).status();
    }
}

/// An ext4 in an image on a loop device, with the state in it, until dropped.
pub struct LoopDisk {
    image: PathBuf,
    at: PathBuf,
}

impl LoopDisk {
    /// Bytes of the image: several times what a state of the tests takes.
    const BYTES: u64 = 128 << 20;

    /// Moves the world's state into one.
    ///
    /// # Errors
    /// What failed where nothing can be mounted.
    pub fn mount(world: &World) -> Result<Self, String> {
        let (image, at) = (world.directory().join("power.img"), world.directory().join("disk"));
        fs::File::create(&image).and_then(|file| file.set_len(Self::BYTES)).map_err(|error| error.to_string())?;
        tried("mkfs.ext4", &[OsStr::new("-q"), OsStr::new("-F"), image.as_os_str()])?;
        fs::create_dir(&at).map_err(|error| error.to_string())?;
        let disk = Self { image, at };
        disk.attach()?;
        run("cp", &[OsStr::new("-a"), world.state().as_os_str(), disk.at.as_os_str()]);
        run("sync", &[]);
        fs::remove_dir_all(world.state()).unwrap();
        std::os::unix::fs::symlink(disk.at.join("state"), world.state()).unwrap();
        Ok(disk)
    }

    fn attach(&self) -> Result<(), String> {
        tried("mount", &[OsStr::new("-o"), OsStr::new("loop"), self.image.as_os_str(), self.at.as_os_str()])
    }

    /// Where things are put that nobody syncs.
    pub fn directory(&self) -> &Path {
        &self.at
    }

    /// What has reached the disk by now, in a second image. Whoever writes must be stopped. Copied again where the system wrote
    /// something back meanwhile, so that the copy is of one moment.
    pub fn copy(&self) -> PathBuf {
        let copy = self.image.with_extension("copy");
        loop {
            run("cp", &[OsStr::new("--sparse=always"), self.image.as_os_str(), copy.as_os_str()]);
            if tried("cmp", &[OsStr::new("-s"), self.image.as_os_str(), copy.as_os_str()]).is_ok() {
                return copy;
            }
        }
    }

    /// The machine comes back with what the copy holds. Nobody may have a file open.
    pub fn come_back(&self, copy: &Path) {
        run("umount", &[self.at.as_os_str()]);
        fs::rename(copy, &self.image).unwrap();
        self.attach().unwrap();
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = tried("umount", &[OsStr::new("-l"), self.at.as_os_str()]);
    }
}

/// Wherever in the run the disk is full, it stops with a clear error, and goes on when there is room.
#[test]
fn a_disk_that_is_full_or_read_only_stops_the_run_and_nothing_is_lost() {
    let world = World::new(80);
    let plan = world.planned();
    let people = world.planned_people("retire");
    world.approve(&format!("{plan}/retire"), "soak", 1);
    let Some(disk) = Tmpfs::mount(&world, "a_disk_that_is_full_or_read_only_stops_the_run_and_nothing_is_lost") else { return };
    let mut stopped = 0;
    for room in [0, 4, 8, 16, 32, 64, 128, 256] {
        disk.leave(room);
        let ran = world.run(&["run", "--wave", "retire", "--execute"]);
        assert!(!ran.said().contains("panicked"), "{room} KiB: {}", ran.said());
        if ran.code == Some(1) {
            stopped += 1;
            assert!(ran.stderr.contains("error") && ran.stderr.contains("No space left"), "{room} KiB: {}", ran.stderr);
        } else {
            assert_eq!(ran.code, Some(4), "{room} KiB: {}", ran.said());
        }
        fs::remove_file(disk.filler()).unwrap();
        world.run(&["state", "check"]).expect(0);
    }
    assert!(stopped >= 2, "the disk was never full: {stopped}");

    disk.remount("ro");
    for command in [&["run", "--wave", "retire", "--execute"][..], &["audit"], &["pause", "--reason", "x"]] {
        let said = world.run(command).expect(1).stderr;
        assert!(said.contains("Read-only file system") && said.contains("state"), "{said}");
    }
    world.run(&["findings"]).expect(0);
    world.run(&["status"]).expect(0);
    // It is not damaged: what can be checked is checked, and what cannot is said.
    let checked = world.run(&["--json", "state", "check"]).expect(0).rows().remove(0);
    assert_eq!(checked["problems"], serde_json::json!([]));
    assert!(checked["database"].as_str().unwrap().contains("read-only file system"), "{checked}");
    assert!(checked["files"].as_u64() >= Some(5) && checked["ledger"]["frames"].as_u64() > Some(10), "{checked}");
    disk.remount("rw");
    let ran = world.go("retire", &[]).expect(4);
    assert!(ran.stdout.contains("gate silence is unknown") && !ran.stdout.contains("parked"), "{}", ran.said());
    let dumps = world.dumps();
    assert!(people.iter().all(|p| dumps.shared(&p.dn).unwrap().text("pwdAccountLockedTime") == Some("000001010000Z")));
}

/// Bytes that a directory takes.
fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() }).sum()
}

/// However far an audit or a plan got when the disk filled up: nothing half is taken for whole, and the same command goes on.
#[test]
fn wherever_a_snapshot_or_plan_fills_the_disk_the_same_command_goes_on() {
    let world = World::new(400);
    let Some(disk) = Tmpfs::mount(&world, "wherever_a_snapshot_or_plan_fills_the_disk_the_same_command_goes_on") else { return };
    for (command, area) in [("audit", "snapshots"), ("plan", "plans")] {
        let before = size(&world.state().join(area));
        world.run(&[command]).expect(0);
        let needed = (size(&world.state().join(area)) - before) >> 10;
        let whole = world.run(&["--json", "findings"]).expect(0).rows().len();
        let mut stopped = 0;
        for percent in [0, 5, 10, 25, 50, 75, 90, 99] {
            disk.leave(needed * percent / 100);
            let ran = world.run(&[command]);
            assert!(!ran.said().contains("panicked"), "{command} at {percent} %: {}", ran.said());
            if ran.code == Some(1) {
                stopped += 1;
                assert!(ran.stderr.contains("No space left"), "{command} at {percent} %: {}", ran.stderr);
            } else {
                assert_eq!(ran.code, Some(0), "{command} at {percent} %: {}", ran.said());
            }
            fs::remove_file(disk.filler()).unwrap();
            world.run(&["state", "check"]).expect(0);
            assert_eq!(world.run(&["--json", "findings"]).expect(0).rows().len(), whole, "{command} at {percent} %");
        }
        assert!(stopped >= 4, "{command}: the disk was full only {stopped} times");
        world.run(&[command]).expect(0);
    }
    world.run(&["plan", "show"]).expect(0);
}
