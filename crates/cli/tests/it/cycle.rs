//! Waves forward and back again, disturbed meanwhile: afterwards both stores must be as after undisturbed ones.

use untether_model::Dn;

use crate::story::Dumps;
use crate::support::World;

/// A wave of the laboratory's plan, and how it is rolled back.
struct Course {
    wave: &'static str,
    forward: &'static str,
    back: &'static str,
    undone: &'static [&'static str],
}

const COURSES: [Course; 2] = [
    Course {
        wave: "retire",
        forward: "retire wave",
        back: "rollback of a retire wave",
        undone: &["--to", "disable", "--enable-inactive"],
    },
    Course {
        wave: "migrate",
        forward: "migrate wave",
        back: "rollback of a migrate wave",
        undone: &["--to", "provision", "--delete-provisioned"],
    },
];

/// A planned world, what undisturbed waves and rollbacks make of it, and who disturbs.
pub struct Cycles {
    pub world: World,
    plan: String,
    models: Vec<(Dumps, Dumps)>,
    /// Batches that wait for a person since their rollback.
    rolled_back: Vec<String>,
}

/// Disturbs a command (the second argument says in which phase) as often as it likes; afterwards it is run to its end.
pub type Disturb<'a> = dyn FnMut(&mut World, &'static str, &[&str]) + 'a;

impl Cycles {
    pub fn new(world: World) -> Self {
        let plan = world.planned();
        let mut cycles = Self { world, plan, models: Vec::new(), rolled_back: Vec::new() };
        // Twice: a clear-text password comes back hashed from the first time, and is then no longer severed.
        for _ in 0..2 {
            cycles.models = COURSES.iter().map(|course| cycles.cycle(course, &mut |_, _, _| {})).collect();
        }
        cycles
    }

    /// Each wave once, forward and back, disturbed.
    pub fn disturbed(&mut self, disturb: &mut Disturb<'_>) {
        for (course, (there, back)) in COURSES.iter().zip(std::mem::take(&mut self.models)) {
            let (now_there, now_back) = self.cycle(course, disturb);
            let rewritten = |from: &Dumps, to: &Dumps| -> Vec<Dn> { from.changed(to, "pwdLastSuccess") };
            // What is made anew has another id, other times and another one-time credential.
            let of_new = |difference: &String| {
                let ours = [" entryUUID:", " createTimestamp:", " pwdChangedTime:", " userPassword:"];
                let dn = difference.strip_prefix('\'').and_then(|rest| Some(rest.split_once("' ")?.0));
                dn.is_some_and(|dn| back.independent(dn).is_none() && dn.ends_with(",dc=own,dc=example"))
                    && ours.iter().any(|attr| difference.contains(attr))
            };
            let mut told = there.differences(&now_there, &rewritten(&there, &now_there));
            told.retain(|difference| !of_new(difference));
            assert_eq!(told, [""; 0], "{}", course.forward);
            assert_eq!(back.differences(&now_back, &rewritten(&back, &now_back)), [""; 0], "{}", course.back);
            self.models.push((there, back));
        }
    }

    /// Runs a command until it ends with this code, disturbed before.
    fn through(&mut self, phase: &'static str, words: &[&str], code: i32, disturb: &mut Disturb<'_>) {
        disturb(&mut self.world, phase, words);
        let ran = self.world.run(words).expect(code);
        assert!(!ran.stdout.contains("conflict"), "{phase}: {}", ran.said());
    }

    /// One wave forward and back; gives the dumps after each.
    fn cycle(&mut self, course: &Course, disturb: &mut Disturb<'_>) -> (Dumps, Dumps) {
        let wave = format!("{}/{}", self.plan, course.wave);
        self.world.approve(&wave, "soak", 1);
        // A batch that was rolled back goes on only when a person says so.
        let (mine, others): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.rolled_back).into_iter().partition(|batch| batch.starts_with(&wave));
        self.rolled_back = others;
        for batch in mine {
            self.world.run(&["resume", "--batch", &batch, "--reason", "again"]).expect(0);
        }
        self.through(course.forward, &["run", "--wave", course.wave, "--execute"], 4, disturb);
        let there = self.world.dumps();
        let what = [&["rollback", "--wave", &wave], course.undone].concat();
        let shown = self.world.run(&[&["--json"], &what[..]].concat()).expect(0);
        let row = shown.rows().remove(0);
        self.world.approve(row["order"].as_str().unwrap(), "provision", 2);
        self.through(course.back, &[&what[..], &["--execute"]].concat(), 0, disturb);
        let batches = row["concerns"].as_array().unwrap().iter().map(|concerned| concerned[0].as_str().unwrap().to_owned());
        self.rolled_back.extend(batches);
        (there, self.world.dumps())
    }
}
