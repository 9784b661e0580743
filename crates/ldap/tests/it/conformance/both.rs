//! A case on a real server and on a twin that is filled from it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use untether_directory::twin::{Identity, Twin, TwinConfig, TwinHandle};
use untether_directory::{Condition, EntryStream, Outcome, Probe as _, Read, Scope, Search, Write as _, WriteOptions, Written};
use untether_ldap::Client;
use untether_model::change::{Change, Modification};
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, StableId, Value};
use untether_testkit::lab::{Flavour, Server};

use crate::world::*;

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Reader,
    Wr,
    Mgr,
    Root,
}

pub use Who::{Mgr, Reader, Root, Wr};

/// What is known of an entry of one side when a condition is made for it.
pub struct Known {
    pub id: StableId,
    pub marker: String,
}

/// Attributes of an entry, by name.
pub type Attrs<'a> = &'a [(&'a str, &'a [&'a str])];

/// The same case on both sides.
pub struct Both<'s> {
    case: Case<'s>,
    flavour: Flavour,
    schema: Arc<Schema>,
    twin: Twin,
    /// Change markers after the step before, by side and name.
    markers: [BTreeMap<Dn, String>; 2],
    steps: u32,
    operations: u32,
    wrong: Vec<String>,
}

/// Attributes whose values are the server's own clock.
const TIMES: [&str; 8] = [
    "createtimestamp",
    "modifytimestamp",
    "pwdchangedtime",
    "pwdlastsuccess",
    "pwdaccountlockedtime",
    "pwdendtime",
    "pwdstarttime",
    "pwdgraceusetime",
];

impl Both<'static> {
    pub async fn new(flavour: Flavour, name: &str) -> Self {
        Self::on(server(flavour), flavour, name).await
    }
}

impl<'s> Both<'s> {
    pub async fn on(server: &'s Server, flavour: Flavour, name: &str) -> Self {
        let case = Case::on(server, name).await;
        let schema = case.reader.schema().await.unwrap();
        let twin = twin_of(&case, flavour, &schema).await;
        let mut both =
            Self { case, flavour, schema, twin, markers: Default::default(), steps: 0, operations: 0, wrong: Vec::new() };
        both.markers = [markers(&both.real().await), markers(&both.twin())];
        both
    }

    /// The subtree of the case.
    pub fn base(&self) -> &Dn {
        &self.case.base
    }

    /// A name below the case's subtree, from `uid=a` or `uid=a,cn=b`; the subtree itself from nothing.
    pub fn at(&self, relative: &str) -> Dn {
        if relative.is_empty() { self.base().clone() } else { dn(&format!("{relative},{}", self.base())) }
    }

    /// The same as text.
    pub fn named(&self, relative: &str) -> String {
        self.at(relative).to_string()
    }

    fn client(&self, who: Who) -> &Client {
        match who {
            Reader => &self.case.reader,
            Wr => &self.case.wr,
            Mgr => &self.case.mgr,
            Root => &self.case.root,
        }
    }

    fn handle(&self, who: Who) -> TwinHandle {
        self.twin.handle(match who {
            Reader => Identity::Reader,
            Wr => Identity::Writer,
            Mgr => Identity::Manager,
            Root => Identity::Root,
        })
    }

    pub async fn add(&mut self, who: Who, relative: &str, attrs: &[(&str, &[&str])]) -> String {
        self.add_with(who, relative, attrs, &WriteOptions::default()).await
    }

    pub async fn add_with(&mut self, who: Who, relative: &str, attrs: &[(&str, &[&str])], options: &WriteOptions) -> String {
        let change = Change::Add { dn: self.at(relative), attrs: attributes(attrs) };
        self.write(who, &change, options).await
    }

    /// A person, made by ROOT.
    pub async fn person(&mut self, uid: &str, more: &[(&str, &[&str])]) {
        let person: &[(&str, &[&str])] = &[("objectClass", &["inetOrgPerson"]), ("cn", &[uid]), ("sn", &[uid])];
        let said = self.add(Root, &format!("uid={uid}"), &[person, more].concat()).await;
        assert_eq!(said, "0", "{uid}");
    }

    pub async fn modify(&mut self, who: Who, relative: &str, mods: &[Modification]) -> String {
        self.modify_with(who, relative, mods, &WriteOptions::default()).await
    }

    pub async fn modify_with(&mut self, who: Who, relative: &str, mods: &[Modification], options: &WriteOptions) -> String {
        let change = Change::Modify { dn: self.at(relative), mods: mods.to_vec() };
        self.write(who, &change, options).await
    }

    pub async fn delete(&mut self, who: Who, relative: &str) -> String {
        let change = Change::Delete { dn: self.at(relative) };
        self.write(who, &change, &WriteOptions::default()).await
    }

    /// One write on both sides; tells what the real server said.
    pub async fn write(&mut self, who: Who, change: &Change, options: &WriteOptions) -> String {
        let what = format!("{who:?} {} {options:?}", told(change));
        let real = self.client(who).apply(change, options).await;
        let twin = self.handle(who).apply(change, options).await;
        self.written(&what, &real, &twin).await
    }

    /// One write on both sides under a condition that is made for each side's own entry.
    pub async fn write_if(&mut self, who: Who, change: &Change, condition: impl Fn(&Known) -> Condition) -> String {
        let what = format!("{who:?} {} under a condition", told(change));
        let options = |known: &Known| WriteOptions { condition: Some(condition(known)), ..WriteOptions::default() };
        let (of_real, of_twin) = (options(&self.known(&self.case.mgr, change.dn()).await), {
            let handle = self.handle(Mgr);
            options(&self.known(&handle, change.dn()).await)
        });
        let real = self.client(who).apply(change, &of_real).await;
        let twin = self.handle(who).apply(change, &of_twin).await;
        self.written(&what, &real, &twin).await
    }

    async fn known(&self, reader: &impl Read, dn: &Dn) -> Known {
        let entry = reader.read(dn, &names(&["entryUUID", "entryCSN"])).await.unwrap();
        let text = |attr: &str| entry.as_ref().and_then(|e| e.text(attr)).unwrap_or("none").to_owned();
        Known { id: StableId::new(text("entryUUID")), marker: text("entryCSN") }
    }

    async fn written(&mut self, what: &str, real: &Outcome<Written>, twin: &Outcome<Written>) -> String {
        self.operations += 1;
        self.same(what, &said(real), &said(twin));
        if let (Ok(real), Ok(twin)) = (real, twin) {
            for (when, real, twin) in [("before", &real.before, &twin.before), ("after", &real.after, &twin.after)] {
                self.same(&format!("{what}: read {when}"), &read(real.as_ref()), &read(twin.as_ref()));
            }
        }
        self.compare(what).await;
        said(real)
    }

    /// On a server of the case's own: the end of a transaction beside another write can stop slapd for ever. It holds the database and
    /// waits for the access log, the other one has the access log and waits for the database.
    pub async fn transaction(&mut self, who: Who, changes: &[(&str, Vec<Modification>)]) -> String {
        self.operations += 1;
        let what = format!("{who:?} in one transaction {changes:?}");
        let changes: Vec<(Dn, Vec<Modification>)> =
            changes.iter().map(|(relative, mods)| (self.at(relative), mods.clone())).collect();
        let name = match who {
            Wr => untether_testkit::lab::Role::Writer,
            _ => untether_testkit::lab::Role::Undo,
        };
        let settings = untether_ldap::Settings { transactions: true, ..settings(self.case.server, name) };
        let real = Client::new(settings).unwrap().transaction(&changes, &WriteOptions::default()).await;
        let twin = self.handle(who).transaction(&changes, &WriteOptions::default()).await;
        self.same(&what, &said(&real), &said(&twin));
        self.compare(&what).await;
        said(&real)
    }

    /// A bind, and what it leaves behind.
    pub async fn bind(&mut self, relative: &str, secret: &str) -> String {
        self.operations += 1;
        let what = format!("bind as {relative} with {secret:?}");
        let name = self.at(relative);
        let real = self.case.reader.bind(&name, secret.as_bytes()).await.unwrap();
        let twin = self.handle(Reader).bind(&name, secret.as_bytes()).await.unwrap();
        let word = |code: u32, locked: bool| format!("{code}{}", if locked { " locked" } else { "" });
        let said = word(real.code, real.locked);
        self.same(&what, &said, &word(twin.code, twin.locked));
        self.compare(&what).await;
        said
    }

    /// Whether an account is usable, as each identity is told.
    pub async fn usability(&mut self, relative: &str) {
        self.operations += 1;
        let name = self.at(relative);
        for who in [Wr, Mgr] {
            let real = self.client(who).usability(&name).await;
            let twin = self.handle(who).usability(&name).await;
            let word = |answer: Outcome<_>| answer.map_or_else(|e| format!("{:?}", e.code), |u| format!("{u:?}"));
            self.same(&format!("{who:?} asks whether {relative} is usable"), &word(real), &word(twin));
        }
    }

    /// A compare, and the same asked as matched values.
    pub async fn value(&mut self, relative: &str, attr: &str, value: &str) {
        self.operations += 1;
        let name = self.at(relative);
        let (attr, value) = (AttrName::new(attr), Value::from(value));
        let real = self.case.reader.compare(&name, &attr, &value).await;
        let twin = self.handle(Reader).compare(&name, &attr, &value).await;
        let word = |answer: Outcome<Option<bool>>| answer.map_or_else(|e| format!("{:?}", e.code), |held| format!("{held:?}"));
        let what = format!("{relative} has {attr}={value:?}");
        self.same(&what, &word(real), &word(twin));
        let asked = [value];
        let real = self.case.reader.present(&name, &attr, &asked).await;
        let twin = self.handle(Reader).present(&name, &attr, &asked).await;
        let word = |answer: Outcome<Vec<Value>>| answer.map_or_else(|e| format!("{:?}", e.code), |held| format!("{held:?}"));
        self.same(&format!("{what}, listed"), &word(real), &word(twin));
    }

    /// The names that a filter finds in the case's subtree.
    pub async fn search(&mut self, scope: Scope, filter: &str) -> usize {
        self.operations += 1;
        let search = Search {
            base: self.base().clone(),
            scope,
            filter: filter.to_owned(),
            attrs: names(&["1.1"]),
            page_size: Some(50),
            manage_dsa_it: true,
        };
        let real = found(self.case.reader.search(search.clone()).await).await;
        let twin = found(self.handle(Reader).search(search).await).await;
        self.same(&format!("search {scope:?} {filter}"), &format!("{real:?}"), &format!("{twin:?}"));
        real.map_or(0, |names| names.len())
    }

    fn same(&mut self, what: &str, real: &str, twin: &str) {
        self.steps += 1;
        if real != twin {
            self.wrong.push(format!("{what}\n    slapd: {real}\n     twin: {twin}"));
        }
    }

    /// Compares all entries of the subtree; where they differ, the twin is filled again, so that one difference is told once.
    async fn compare(&mut self, what: &str) {
        let twin = self.twin();
        let of_twin = self.shown(&twin, 1);
        let mut real = self.real().await;
        // slapd's refint works in the background: what it does after a delete is waited for, within a bound.
        let until = Instant::now() + Duration::from_secs(5);
        while what.contains("delete") && self.shown(&real, 0) != of_twin && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
            real = self.real().await;
        }
        let shown = [self.shown(&real, 0), of_twin];
        self.markers = [markers(&real), markers(&twin)];
        let [of_real, of_twin] = shown;
        self.steps += 1;
        if of_real == of_twin {
            return;
        }
        for name in of_real.keys().chain(of_twin.keys().filter(|name| !of_real.contains_key(*name))) {
            let (left, right) = (of_real.get(name), of_twin.get(name));
            if left == right {
                continue;
            }
            let only = |these: Option<&Vec<String>>, those: Option<&Vec<String>>| match these {
                None => "no such entry".to_owned(),
                Some(lines) => {
                    let lines = lines.iter().filter(|line| those.is_none_or(|those| !those.contains(line)));
                    lines.cloned().collect::<Vec<_>>().join(" | ")
                }
            };
            let (left, right) = (only(left, right), only(right, left));
            self.wrong.push(format!("{what}\n  entry {name}\n    slapd: {left}\n     twin: {right}"));
        }
        self.twin = twin_of(&self.case, self.flavour, &self.schema).await;
        self.markers[1] = markers(&self.twin());
    }

    async fn real(&self) -> Vec<Entry> {
        let base = self.base().clone();
        entries(&self.case.mgr, &base).await
    }

    fn twin(&self) -> Vec<Entry> {
        let base = self.base().clone();
        let handle = self.handle(Mgr);
        futures::executor::block_on(entries(&handle, &base))
    }

    fn shown(&self, entries: &[Entry], side: usize) -> BTreeMap<Dn, Vec<String>> {
        entries.iter().map(|entry| (entry.dn.clone(), lines(entry, self.markers[side].get(&entry.dn)))).collect()
    }

    /// Fails with all differences, or where fewer operations were compared than the case says.
    pub fn done(self, at_least: u32) {
        let wrong = self.differences(at_least);
        assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
    }

    /// All differences; shows how much was compared (`--nocapture`).
    pub fn differences(self, at_least: u32) -> Vec<String> {
        let Self { operations, steps, wrong, .. } = self;
        let name = self.case.base.rdn().map(|rdn| rdn.to_string()).unwrap_or_default();
        let mut out = std::io::stderr();
        writeln!(out, "{name}: {operations} operations on both, {steps} comparisons, {} differences", wrong.len()).unwrap();
        assert!(operations >= at_least, "only {operations} operations");
        wrong
    }
}

/// A twin with the suffix, the policies, the tool's own entries and the case's subtree of the server.
async fn twin_of(case: &Case<'_>, flavour: Flavour, schema: &Arc<Schema>) -> Twin {
    let suffix = dn(flavour.suffix());
    let mut config = TwinConfig::openldap(case.reader.side(), suffix.clone());
    config.schema = Arc::clone(schema);
    if !config.references.is_empty() {
        config.references.push("labOwner".into());
    }
    #[expect(clippy::disallowed_methods, reason = "the server that it is compared with has this clock too")]
    let clock = Timestamp::now;
    let twin = Twin::new(config, Arc::new(clock));
    let top = case.mgr.read(&suffix, &names(&["*", "+"])).await.unwrap().unwrap();
    twin.load([top]);
    for place in ["policies", "system", "canaries"] {
        twin.load(entries(&case.mgr, &suffix.child("ou", place)).await);
    }
    twin.load(entries(&case.mgr, &case.base).await);
    twin
}

async fn entries(reader: &impl Read, base: &Dn) -> Vec<Entry> {
    let search = Search {
        base: base.clone(),
        scope: Scope::Subtree,
        filter: "(objectClass=*)".to_owned(),
        attrs: names(&["*", "+"]),
        page_size: None,
        manage_dsa_it: true,
    };
    let mut stream = reader.search(search).await.unwrap();
    let mut out = Vec::new();
    while let Some(page) = stream.next_page().await.unwrap() {
        out.extend(page.entries);
    }
    out
}

async fn found(stream: Outcome<Box<dyn EntryStream>>) -> Result<Vec<Dn>, Option<u32>> {
    let mut stream = stream.map_err(|e| e.code)?;
    let mut out = Vec::new();
    while let Some(page) = stream.next_page().await.map_err(|e| e.code)? {
        out.extend(page.entries.into_iter().map(|e| e.dn));
    }
    out.sort();
    Ok(out)
}

fn markers(entries: &[Entry]) -> BTreeMap<Dn, String> {
    entries.iter().filter_map(|e| Some((e.dn.clone(), e.text("entryCSN")?.to_owned()))).collect()
}

fn told(change: &Change) -> String {
    match change {
        Change::Add { dn, attrs } => format!("add {dn} {attrs:?}"),
        Change::Modify { dn, mods } => format!("modify {dn} {mods:?}"),
        Change::Delete { dn } => format!("delete {dn}"),
    }
}

fn read(entry: Option<&Entry>) -> String {
    entry.map_or_else(|| "nothing".to_owned(), |entry| lines(entry, None).join(" | "))
}

/// An entry in lines, with what no two servers share masked.
fn lines(entry: &Entry, marker: Option<&String>) -> Vec<String> {
    let mut out = Vec::new();
    for (attr, values) in &entry.attrs {
        let mut shown: Vec<String> = values.iter().map(|value| masked(attr, value, marker)).collect();
        shown.sort();
        out.push(format!("{}: {}", attr.as_str().to_ascii_lowercase(), shown.join(", ")));
    }
    out.sort();
    out
}

fn masked(attr: &AttrName, value: &Value, marker: Option<&String>) -> String {
    let text = value.to_lossy().to_string();
    match attr.base() {
        "entryuuid" => "(id)".to_owned(),
        "entrycsn" if marker == Some(&text) => "(as before)".to_owned(),
        "entrycsn" => "(new)".to_owned(),
        "pwdfailuretime" => "(time)".to_owned(),
        "userpassword" => password(&text),
        "pwdhistory" => {
            let parts: Vec<&str> = text.splitn(4, '#').collect();
            format!("(time)#{}#{}", parts.get(1).unwrap_or(&""), password(parts.get(3).unwrap_or(&"")))
        }
        base if TIMES.contains(&base) && ![LOCK, PAST, FUTURE].contains(&text.as_str()) => "(time)".to_owned(),
        "memberof" | "modifiersname" | "creatorsname" | "entrydn" | "subschemasubentry" => {
            Dn::parse(&text).map_or(text, |dn| dn.key().as_str().to_owned())
        }
        _ => text,
    }
}

/// Clear text is hashed by the lab's servers and kept by a twin.
fn password(text: &str) -> String {
    if [HASH_A, HASH_B, SASL].contains(&text) { text.to_owned() } else { "(clear text)".to_owned() }
}
