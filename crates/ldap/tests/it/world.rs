//! What the cases share: a server of each flavour for the whole binary, clients per identity, a subtree per case, and the words
//! in which a case says what it expects.
//!
//! Identities: WR has the access right `write`, MGR `manage`, ROOT is the root DN.

use std::sync::OnceLock;
use std::time::Duration;

use untether_directory::{
    Condition, DirectoryError, Outcome, Probe as _, Read as _, Secret, Usability, Write as _, WriteOptions, Written,
};
use untether_ldap::{Bind, Client, Limits, Settings, Timeouts, TlsSettings};
use untether_model::change::{Change, Modification};
use untether_model::time::PERMANENT_LOCK;
use untether_model::{AttrMap, AttrName, Dn, Entry, Side, StableId, Value};
use untether_testkit::lab::{Flavour, Role, Server};

/// Password A and a hash of it.
pub const A: &str = "alpha-secret";
pub const HASH_A: &str = "{SSHA}LUMF5gas2H10pD+ITucCQISC+RK///qS";
/// Password B and a hash of it.
pub const B: &str = "beta-secret";
pub const HASH_B: &str = "{SSHA}IAOx/hD9ZFUnKLri+ewTwctzEzVX2OnG";
/// A pass-through value.
pub const SASL: &str = "{SASL}someone@SHARED.EXAMPLE";
/// An end in the past.
pub const PAST: &str = "20200101000000Z";
/// A time that does not come.
pub const FUTURE: &str = "20980101000000Z";
/// The lock without end.
pub const LOCK: &str = PERMANENT_LOCK;

/// What a case reads of an account.
const STATE: [&str; 10] = [
    "userPassword",
    "pwdAccountLockedTime",
    "pwdEndTime",
    "pwdStartTime",
    "pwdReset",
    "pwdHistory",
    "pwdChangedTime",
    "pwdLastSuccess",
    "pwdFailureTime",
    "pwdPolicySubentry",
];

/// The server of this flavour that all cases use, each in a subtree of its own. It ends with the process.
pub fn server(flavour: Flavour) -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    static INDEPENDENT: OnceLock<Server> = OnceLock::new();
    let server = match flavour {
        Flavour::Shared => &SHARED,
        Flavour::Independent => &INDEPENDENT,
    };
    server.get_or_init(|| Server::builder(flavour).entries(two_values(flavour)).start().unwrap())
}

/// Accounts with two password values, as an import leaves them: over the wire a password policy allows one only.
fn two_values(flavour: Flavour) -> String {
    let suffix = flavour.suffix();
    ["two-disable", "two-undo"]
        .map(|uid| {
            format!(
                "dn: uid={uid},{suffix}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\n\
                 userPassword: {SASL}\nuserPassword: {HASH_A}\n\n"
            )
        })
        .concat()
}

/// Settings for this role by LDAPS.
pub fn settings(server: &Server, role: Role) -> Settings {
    settings_as(server, &dn(&server.dn(role)), &server.password(role).unwrap())
}

/// Settings for this name and password by LDAPS.
pub fn settings_as(server: &Server, name: &Dn, password: &str) -> Settings {
    Settings {
        side: match server.flavour() {
            Flavour::Shared => Side::Shared,
            Flavour::Independent => Side::Independent,
        },
        url: server.ldaps_url().to_owned(),
        tls: TlsSettings { ca_files: vec![server.ca_file().to_owned()], ..TlsSettings::default() },
        bind: Bind::Simple { dn: name.clone(), secret: Secret::new(password).unwrap() },
        base: dn(server.suffix()),
        timeouts: Timeouts { connect: Duration::from_secs(10), operation: Duration::from_secs(30) },
        limits: Limits { page_size: 100, connections: 2, in_flight: 16, ..Limits::default() },
        allow_plain_loopback: false,
        transactions: false,
    }
}

pub fn client(server: &Server, role: Role) -> Client {
    Client::new(settings(server, role)).unwrap()
}

pub fn dn(text: &str) -> Dn {
    Dn::parse(text).unwrap()
}

pub fn names(attrs: &[&str]) -> Vec<AttrName> {
    attrs.iter().map(|a| AttrName::new(*a)).collect()
}

pub fn values(values: &[&str]) -> Vec<Value> {
    values.iter().map(|v| Value::from(*v)).collect()
}

pub fn add(attr: &str, list: &[&str]) -> Modification {
    Modification::add(attr.into(), values(list))
}

pub fn delete(attr: &str, list: &[&str]) -> Modification {
    Modification::delete(attr.into(), values(list))
}

pub fn replace(attr: &str, list: &[&str]) -> Modification {
    Modification::replace(attr.into(), values(list))
}

/// What disabling writes.
pub fn lock() -> [Modification; 2] {
    [replace("pwdAccountLockedTime", &[LOCK]), replace("pwdEndTime", &[PAST])]
}

/// The relax control.
pub fn relaxed() -> WriteOptions {
    WriteOptions { relax: true, ..WriteOptions::default() }
}

/// The no-op control.
pub fn no_op() -> WriteOptions {
    WriteOptions { no_op: true, ..WriteOptions::default() }
}

/// Under a condition on the stable id and these attributes.
pub fn given(id: &StableId, attrs: &[(&str, &[&str])]) -> WriteOptions {
    let attrs = attrs.iter().map(|(attr, list)| ((*attr).into(), values(list))).collect();
    let condition = Condition { stable_id: Some(id.clone()), attrs, change_marker: None };
    WriteOptions { condition: Some(condition), ..WriteOptions::default() }
}

/// The attributes of an entry, from pairs of name and values.
pub fn attributes(list: &[(&str, &[&str])]) -> AttrMap {
    list.iter().map(|(attr, list)| ((*attr).into(), values(list).into())).collect()
}

/// A result in one word: `0`, or the code and what it means.
pub fn said<T>(outcome: &Outcome<T>) -> String {
    match outcome {
        Ok(_) => "0".to_owned(),
        Err(DirectoryError { code: Some(code), failure, .. }) => format!("{code} {failure:?}"),
        Err(DirectoryError { failure, .. }) => format!("{failure:?}"),
    }
}

/// What a case found against what it expects, told all at once.
#[derive(Default)]
pub struct Facts {
    wrong: Vec<String>,
}

impl Facts {
    pub fn check(&mut self, what: &str, found: impl AsRef<str>, expected: &str) {
        let found = found.as_ref();
        if found != expected {
            self.wrong.push(format!("{what}\n     found: {found}\n  expected: {expected}"));
        }
    }

    pub fn done(self) {
        assert!(self.wrong.is_empty(), "\n{}", self.wrong.join("\n"));
    }
}

/// One case: its subtree and a client for each identity.
pub struct Case<'s> {
    pub server: &'s Server,
    pub base: Dn,
    pub reader: Client,
    pub wr: Client,
    pub mgr: Client,
    pub root: Client,
}

impl Case<'static> {
    /// A case in `ou=NAME` below the suffix of the server of all cases.
    pub async fn new(flavour: Flavour, name: &str) -> Self {
        Self::on(server(flavour), name).await
    }
}

impl<'s> Case<'s> {
    /// A case in `ou=NAME` below the suffix of this server.
    pub async fn on(server: &'s Server, name: &str) -> Self {
        let case = Self {
            server,
            base: dn(server.suffix()).child("ou", name),
            reader: client(server, Role::Reader),
            wr: client(server, Role::Writer),
            mgr: client(server, Role::Undo),
            root: client(server, Role::Root),
        };
        case.add_as(&case.root, &case.base.clone(), &[("objectClass", &["organizationalUnit"])], &WriteOptions::default())
            .await
            .unwrap();
        case
    }

    /// A policy that locks, keeps a history and records failed logins.
    pub async fn recording_policy(&self) -> String {
        let policy = self.base.child("cn", "recording");
        let attrs: &[(&str, &[&str])] = &[
            ("objectClass", &["device", "pwdPolicy"]),
            ("pwdAttribute", &["userPassword"]),
            ("pwdLockout", &["TRUE"]),
            ("pwdInHistory", &["5"]),
            ("pwdMaxRecordedFailure", &["5"]),
        ];
        self.add_as(&self.root, &policy, attrs, &WriteOptions::default()).await.unwrap();
        policy.to_string()
    }

    /// The name of a policy.
    pub fn policy(&self, name: &str) -> String {
        format!("cn={name},ou=policies,{}", self.server.suffix())
    }

    pub fn name(&self, uid: &str) -> Dn {
        self.base.child("uid", uid)
    }

    pub async fn add_as(&self, client: &Client, dn: &Dn, attrs: &[(&str, &[&str])], options: &WriteOptions) -> Outcome<Written> {
        client.apply(&Change::Add { dn: dn.clone(), attrs: attributes(attrs) }, options).await
    }

    /// An account with these attributes beside its names, made by ROOT.
    pub async fn account(&self, uid: &str, attrs: &[(&str, &[&str])]) -> Dn {
        let dn = self.name(uid);
        let person: &[(&str, &[&str])] = &[("objectClass", &["inetOrgPerson"]), ("uid", &[uid]), ("cn", &[uid]), ("sn", &[uid])];
        self.add_as(&self.root, &dn, &[person, attrs].concat(), &WriteOptions::default()).await.unwrap();
        dn
    }

    /// A group with these members, made by WR.
    pub async fn group(&self, cn: &str, members: &[&Dn]) -> Dn {
        let dn = self.base.child("cn", cn);
        let members: Vec<&str> = members.iter().map(|m| m.as_str()).collect();
        let attrs: &[(&str, &[&str])] = &[("objectClass", &["groupOfNames"]), ("member", &members)];
        self.add_as(&self.wr, &dn, attrs, &WriteOptions::default()).await.unwrap();
        dn
    }

    pub async fn modify(&self, client: &Client, dn: &Dn, mods: &[Modification]) -> String {
        self.modify_with(client, dn, mods, &WriteOptions::default()).await
    }

    pub async fn modify_with(&self, client: &Client, dn: &Dn, mods: &[Modification], options: &WriteOptions) -> String {
        said(&client.apply(&Change::Modify { dn: dn.clone(), mods: mods.to_vec() }, options).await)
    }

    pub async fn entry(&self, dn: &Dn, attrs: &[&str]) -> Entry {
        self.mgr.read(dn, &names(attrs)).await.unwrap().unwrap()
    }

    pub async fn id(&self, dn: &Dn) -> StableId {
        StableId::new(self.entry(dn, &["entryUUID"]).await.text("entryUUID").unwrap())
    }

    pub async fn marker(&self, dn: &Dn) -> String {
        self.entry(dn, &["entryCSN"]).await.text("entryCSN").unwrap().to_owned()
    }

    /// The account's state in words, what is absent left out: `password A, lock forever, end past, reset, history A`.
    pub async fn state(&self, dn: &Dn) -> String {
        let entry = self.entry(dn, &STATE).await;
        let mut parts = Vec::new();
        for value in entry.texts("userPassword") {
            parts.push(format!("password {}", credential(value)));
        }
        for (attr, word) in [("pwdAccountLockedTime", "lock"), ("pwdEndTime", "end"), ("pwdStartTime", "start")] {
            if let Some(time) = entry.text(attr) {
                let when = match time {
                    LOCK => "forever",
                    PAST => "past",
                    FUTURE => "future",
                    other => other,
                };
                parts.push(format!("{word} {when}"));
            }
        }
        if let Some(reset) = entry.text("pwdReset") {
            parts.push(if reset == "TRUE" { "reset".to_owned() } else { format!("reset {reset}") });
        }
        for value in entry.texts("pwdHistory") {
            // time#syntax#length#value
            parts.push(format!("history {}", credential(value.splitn(4, '#').nth(3).unwrap())));
        }
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }

    /// Which of these attributes the entry has.
    pub async fn has(&self, dn: &Dn, attrs: &[&str]) -> String {
        let entry = self.entry(dn, attrs).await;
        attrs.iter().filter(|a| entry.has(a)).copied().collect::<Vec<_>>().join(" ")
    }

    /// A bind as this account, and a read by it if the bind succeeds: `0`, `0 then 50`, `49`, `49 locked`.
    pub async fn bind(&self, dn: &Dn, password: &str) -> String {
        let answer = self.reader.bind(dn, password.as_bytes()).await.unwrap();
        if answer.code != 0 {
            return format!("{}{}", answer.code, if answer.locked { " locked" } else { "" });
        }
        let own = Client::new(settings_as(self.server, dn, password)).unwrap();
        match own.read(dn, &names(&["cn"])).await {
            Ok(_) => "0".to_owned(),
            Err(error) => format!("0 then {}", error.code.unwrap()),
        }
    }

    /// What the usability control answers to reader, WR, MGR: `A` available, `U` unavailable, `?` no answer.
    pub async fn usability(&self, dn: &Dn) -> String {
        let mut words = String::new();
        for client in [&self.reader, &self.wr, &self.mgr] {
            words.push(match client.usability(dn).await.unwrap() {
                Usability::Available => 'A',
                Usability::Unavailable => 'U',
                Usability::Unknown => '?',
            });
        }
        words
    }
}

fn credential(value: &str) -> &str {
    match value {
        HASH_A => "A",
        HASH_B => "B",
        SASL => "SASL",
        other => other,
    }
}
