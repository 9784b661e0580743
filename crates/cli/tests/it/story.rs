//! What people do around the program in a scenario: approve, collect their credential, enroll a factor; and what the stores hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use serde_json::Value as Json;
use untether_directory::dump::{Difference, Ignored, compare};
use untether_directory::ldif::{LdifReader, Record};
use untether_model::schema::Schema;
use untether_model::{Dn, Entry};
use untether_testkit::lab::{Role, Server};

use crate::support::{Ran, World};

/// A pair of full dumps.
pub struct Dumps {
    shared: Vec<Entry>,
    independent: Vec<Entry>,
}

/// An account that a plan disables.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Name of its batch.
    pub batch: String,
    /// Number of the operation.
    pub n: u64,
    /// The subject.
    pub subject: String,
    /// The account in the shared store.
    pub dn: String,
}

/// One person's line of a hand-over file.
#[derive(Clone, Debug)]
pub struct Handed {
    /// The account.
    pub account: String,
    /// The one-time secret.
    pub secret: String,
}

impl World {
    /// Audits and plans; tells the plan's id.
    pub fn planned(&self) -> String {
        self.run(&["audit"]).expect(0);
        let planned = self.run(&["--json", "plan"]).expect(0);
        planned.rows()[0]["plan"].as_str().unwrap().to_owned()
    }

    /// Approves a wave of the last plan, or another order, by the first `people` approvers.
    pub fn approve(&self, id: &str, through: &str, people: usize) {
        for which in 0..people {
            let signer = self.signer(which);
            let mut words = vec!["approve", id, "--through", through, "--reason", "reviewed"];
            words.extend(signer.iter().map(String::as_str));
            self.run(&words).expect(0);
        }
    }

    /// Runs a wave of the last plan.
    pub fn go(&self, wave: &str, more: &[&str]) -> Ran {
        self.to_the_end(&[&["run", "--wave", wave, "--execute"], more].concat())
    }

    /// Runs a command to its end; where the scenario kills, first as often as it can be killed in a stage that was not yet.
    pub fn to_the_end(&self, words: &[&str]) -> Ran {
        while let Some(kills) = &self.kills {
            let done = kills.borrow().clone();
            let Some(stage) = self.killed(words, &done) else { break };
            kills.borrow_mut().insert(stage);
            self.run(&["state", "check"]).expect(0);
        }
        self.run(words)
    }

    /// Runs a command and kills it (SIGKILL) after the first outcome in a stage that is not among these, while others are in
    /// flight; tells the stage. `None`: it ended before.
    fn killed(&self, words: &[&str], done: &BTreeSet<String>) -> Option<String> {
        let json: &[&str] = if words.contains(&"--json") { &[] } else { &["--json"] };
        let mut child = self.spawn(&[json, words].concat());
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let mut struck = None;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let row: Json = serde_json::from_str(&line.unwrap()).unwrap();
            let Some(outcome) = row["record"]["body"]["outcome"].as_object().or_else(|| row["record"]["outcome"].as_object())
            else {
                continue;
            };
            let stage = match words {
                ["rollback", ..] => "rollback",
                [.., "handover", "issue", _, _, "--execute"] => "handover issue",
                [.., "handover", "expire", _, _, "--execute"] => "handover expire",
                _ => outcome["stage"].as_str().unwrap(),
            };
            let count = seen.entry(stage.to_owned()).or_default();
            *count += 1;
            if *count == 1 && !done.contains(stage) {
                child.kill().unwrap();
                struck = Some(stage.to_owned());
                break;
            }
        }
        let ended = child.wait().unwrap();
        struck.filter(|_| ended.signal() == Some(9))
    }

    /// Both stores, whole.
    pub fn dumps(&self) -> Dumps {
        Dumps { shared: entries(&self.pair.shared), independent: entries(&self.pair.independent) }
    }

    /// The people in the hand-over file of a batch, opened as its recipient does.
    pub fn handed_over(&self, batch: &str) -> Vec<Handed> {
        let path = self.state().join("handover").join(format!("{}.age", batch.replace('/', "_")));
        let identity: age::x25519::Identity = std::fs::read_to_string(self.handover_identity()).unwrap().trim().parse().unwrap();
        let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut text = String::new();
        age::Decryptor::new(file)
            .unwrap()
            .decrypt(std::iter::once(&identity as &dyn age::Identity))
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text.lines()
            .map(|line| {
                let row: Json = serde_json::from_str(line).unwrap();
                Handed {
                    account: row["account"].as_str().unwrap().to_owned(),
                    secret: row["secret"].as_str().unwrap().to_owned(),
                }
            })
            .collect()
    }

    /// The person changes the one-time secret for a password of their own, as the server demands it.
    pub fn collects(&self, handed: &Handed) {
        let server = &self.pair.independent;
        let path = self.directory().join("one-time");
        std::fs::write(&path, &handed.secret).unwrap();
        let own = self.directory().join("own-password");
        std::fs::write(&own, format!("own password of {}", handed.account)).unwrap();
        let output = std::process::Command::new("ldappasswd")
            .env("LDAPTLS_CACERT", server.ca_file())
            .args(["-x", "-H", server.ldaps_url(), "-D", &handed.account, "-y"])
            .arg(&path)
            .arg("-T")
            .arg(&own)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}: {}", handed.account, String::from_utf8_lossy(&output.stderr));
    }

    /// The person logs in with their own password, in a later second than `since`: the server keeps no finer time.
    pub fn logs_in(&self, handed: &Handed, since: jiff::Timestamp) {
        let server = &self.pair.independent;
        let own = self.directory().join("own-password");
        std::fs::write(&own, format!("own password of {}", handed.account)).unwrap();
        loop {
            let output = std::process::Command::new("ldapwhoami")
                .env("LDAPTLS_CACERT", server.ca_file())
                .args(["-x", "-H", server.ldaps_url(), "-D", &handed.account, "-y"])
                .arg(&own)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}: {}", handed.account, String::from_utf8_lossy(&output.stderr));
            if clock().as_second() > since.as_second() + 1 {
                return;
            }
        }
    }

    /// Factors are enrolled for these accounts of the independent directory.
    pub fn enrolls_factor<'a>(&self, accounts: impl IntoIterator<Item = &'a str>) {
        let ldif: String = accounts
            .into_iter()
            .map(|dn| {
                let dn = data_encoding::BASE64.encode(dn.as_bytes());
                format!("dn:: {dn}\nchangetype: modify\nadd: labFactor\nlabFactor: webauthn\n\n")
            })
            .collect();
        modify(&self.pair.independent, &ldif);
    }

    /// Shows, approves (by so many people) and carries out a rollback; tells its order.
    #[track_caller]
    pub fn rolled_back(&self, what: &[&str], people: usize) -> String {
        let shown = self.run(&[&["--json", "rollback"], what].concat()).expect(0);
        let row = &shown.rows()[0];
        assert_eq!(row["approvals_needed"], people, "{row}");
        let order = row["order"].as_str().unwrap().to_owned();
        let execute = [&["rollback"], what, &["--execute"]].concat();
        let refused = self.run(&execute).expect(4);
        assert!(refused.said().contains(&format!("needs the approval of {people} people")), "{}", refused.said());
        self.approve(&order, "provision", people);
        self.to_the_end(&execute).expect(0);
        order
    }

    /// The people whose accounts a wave of the last plan disables, by batch.
    pub fn planned_people(&self, wave: &str) -> Vec<Planned> {
        let shown = self.run(&["--json", "plan", "show", "--wave", wave]).expect(0);
        let row = shown.rows().remove(0);
        let lines = row["wave"].as_array().unwrap();
        let operations = lines.iter().filter_map(|line| line.get("operation"));
        let disabling =
            operations.filter(|op| op["stage"] == "disable" && op["action"].to_string().contains("pwdAccountLockedTime"));
        disabling
            .map(|op| Planned {
                batch: op["batch"].as_str().unwrap().to_owned(),
                n: op["n"].as_u64().unwrap(),
                subject: op["subjects"][0].as_str().unwrap().to_owned(),
                dn: op["target"]["existing"]["dn"].as_str().unwrap().to_owned(),
            })
            .collect()
    }

    /// Findings of the last audit: rule and DN.
    pub fn findings(&self) -> Vec<(String, String)> {
        let rows = self.run(&["--json", "findings"]).expect(0).rows();
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        rows.iter().map(|row| (text(&row["rule"]), text(&row["dn"]))).collect()
    }

    /// Comes back when a run has said this on standard error.
    pub fn said_by(child: &mut std::process::Child, words: &str) {
        let stderr = child.stderr.take().unwrap();
        let mut lines = BufReader::new(stderr).lines();
        let found = lines.any(|line| line.unwrap().contains(words));
        assert!(found, "it ended without {words:?}");
        // What it says later is read by somebody, so that it never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
    }

    /// Accepts gate `silence` of a wave by a person's signature.
    pub fn accept(&self, gate: &str, scope: &[&str]) {
        let signer = self.signer(0);
        let mut words = vec!["gate", "accept", gate];
        words.extend(scope);
        words.extend(["--until", "2099-01-01", "--reason", "read by hand"]);
        words.extend(signer.iter().map(String::as_str));
        self.run(&words).expect(0);
    }
}

/// Now, as the servers' clock tells it.
#[expect(clippy::disallowed_methods, reason = "the servers of a scenario have the system's clock")]
pub fn clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The writing identity may no longer change this entry; what it says is the server's own refusal.
pub fn deny_writes(server: &Server, dn: &str) {
    server.rule_first(&format!("to dn.base=\"{dn}\" by dn.base=\"{}\" read by * break", server.dn(Role::Writer))).unwrap();
}

/// Takes the last [`deny_writes`] back.
pub fn allow_writes(server: &Server) {
    server.drop_first_rule().unwrap();
}

/// Changes entries as the server's root.
pub fn modify(server: &Server, ldif: &str) {
    let output = server.modify(Role::Root, &[], ldif).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whether the shared store lets somebody in with this password.
pub fn is_let_in(world: &World, dn: &str, password: &str) -> bool {
    let server = &world.pair.shared;
    let file = world.directory().join("their-password");
    std::fs::write(&file, password).unwrap();
    let mut command = std::process::Command::new("ldapwhoami");
    command.env("LDAPTLS_CACERT", server.ca_file()).args(["-x", "-H", server.ldaps_url(), "-D", dn, "-y"]).arg(&file);
    command.output().unwrap().status.success()
}

/// All entries of a server.
pub fn entries(server: &Server) -> Vec<Entry> {
    let text = server.dump().unwrap();
    LdifReader::new(BufReader::new(text.as_bytes()))
        .map(|record| match record.unwrap() {
            Record::Entry { entry, .. } => entry,
            other => panic!("{other:?} in a dump"),
        })
        .collect()
}

impl Dumps {
    /// What is not "as before" in either store, given the accounts whose password was written or that were created again.
    pub fn differences(&self, after: &Self, rewritten: &[Dn]) -> Vec<String> {
        let mut said = Vec::new();
        for (before, after) in [(&self.shared, &after.shared), (&self.independent, &after.independent)] {
            let suffix = before.iter().min_by_key(|e| e.dn.key().depth()).unwrap().dn.clone();
            let touched = touched(before, after);
            // Our own identities log in; that is no effect of an operation.
            let tools: Vec<Dn> =
                before.iter().map(|e| e.dn.clone()).filter(|dn| dn.as_str().starts_with("cn=untether-")).collect();
            let ignored = Ignored::openldap(&suffix, &touched, rewritten).on(&tools, ["pwdLastSuccess"]);
            said.extend(compare(before, after, &Schema::standard(), &ignored).iter().map(Difference::to_string));
        }
        said
    }

    /// Entries of the shared store whose values of an attribute are others in the later dump.
    pub fn changed(&self, later: &Self, attr: &str) -> Vec<Dn> {
        let same = |e: &Entry| find(&later.shared, e.dn.as_str()).is_some_and(|now| now.values(attr) == e.values(attr));
        self.shared.iter().filter(|e| !same(e)).map(|e| e.dn.clone()).collect()
    }

    /// Entries of the shared store that the later dump lacks.
    pub fn lost(&self, later: &Self) -> Vec<Dn> {
        self.shared.iter().filter(|e| find(&later.shared, e.dn.as_str()).is_none()).map(|e| e.dn.clone()).collect()
    }

    /// An entry of the shared store.
    pub fn shared(&self, dn: &str) -> Option<&Entry> {
        find(&self.shared, dn)
    }

    /// An entry of the shared store by its stable id.
    pub fn shared_by_id(&self, id: &str) -> Option<&Entry> {
        self.shared.iter().find(|e| e.text("entryUUID") == Some(id))
    }

    /// An entry of the independent directory.
    pub fn independent(&self, dn: &str) -> Option<&Entry> {
        find(&self.independent, dn)
    }
}

fn find<'a>(entries: &'a [Entry], dn: &str) -> Option<&'a Entry> {
    let dn = Dn::parse(dn).unwrap();
    entries.iter().find(|e| e.dn == dn)
}

/// Entries that somebody wrote to: their change marker moved.
fn touched(before: &[Entry], after: &[Entry]) -> Vec<Dn> {
    let marker = |e: &Entry| (e.text("entryCSN").map(str::to_owned), e.text("modifiersName").map(str::to_owned));
    let was: BTreeMap<_, _> = before.iter().map(|e| (e.dn.key().clone(), marker(e))).collect();
    after.iter().filter(|e| was.get(e.dn.key()).is_some_and(|m| *m != marker(e))).map(|e| e.dn.clone()).collect()
}
