//! Rights, one by one: what the reader may see, and what the writing and undoing identities may change, each asked on an entry of the
//! place where it is needed. What is missing is named with what stops without it.

use std::collections::{BTreeMap, BTreeSet};

use untether_directory::{DirectoryError, Read};
use untether_ldap::Client;
use untether_model::schema::Schema;
use untether_model::{AttrName, Dn, Entry, Side};

use crate::command::doctor::rows::Checks;
use crate::command::doctor::server::Clients;
use crate::config::Config;
use crate::rights::{Attrs, Database, Extent, Facts, Grant, Level, Place, Role, asked_by, grants, identity, is_pseudo, text};
use crate::wiring::asking::{Answer, Hidden, Like, hidden, may_add, may_delete, may_delete_beside, may_write, sample};

/// What judging an account takes, whatever is configured.
const NEEDED: [&str; 14] = [
    "objectClass",
    "entryUUID",
    "entryCSN",
    "createTimestamp",
    "modifyTimestamp",
    "userPassword",
    "pwdHistory",
    "pwdChangedTime",
    "pwdAccountLockedTime",
    "pwdStartTime",
    "pwdEndTime",
    "pwdReset",
    "pwdPolicySubentry",
    "pwdLastSuccess",
];

/// Attributes of an account that stand for all of them where all may be written.
const ASKED_OF_ALL: usize = 5;

/// Entries that were looked up, one a place.
#[derive(Default)]
struct Samples {
    found: BTreeMap<String, Option<Entry>>,
}

impl Samples {
    async fn of(
        &mut self,
        (config, side): (&Config, Side),
        read: &Client,
        place: &Place,
    ) -> Result<Option<Entry>, DirectoryError> {
        let key = place.to_string();
        if let Some(known) = self.found.get(&key) {
            return Ok(known.clone());
        }
        let found = sample(config, side, read, place).await?;
        self.found.insert(key, found.clone());
        Ok(found)
    }
}

fn fix(config: &Config, side: Side, grant: &Grant) -> String {
    let who = grant.role.bind(config, side).map(identity).unwrap_or_default();
    format!("olcAccess: {} (`untether doctor --acl --store {side}` writes all of them)", text(grant, &who))
}

fn stops(grant: &Grant) -> String {
    format!("without it stops: {}", grant.stops.join(", "))
}

/// What the reader may see of an entry of each place that it reads. An attribute that is not shown may be absent or denied: a compare
/// tells.
pub async fn reading(config: &Config, side: Side, read: &Client, checks: &mut Checks) {
    let schema = Read::schema(read).await.ok();
    let facts = Facts { schema: schema.as_deref(), checks_added: false };
    let own: Vec<Grant> =
        grants(config, side, facts).into_iter().filter(|g| g.role == Role::Read && g.database != Database::Monitor).collect();
    let needed: Vec<&Grant> = own.iter().filter(|g| g.level == Level::Read).collect();
    let mut asked = 0;
    let (mut denied_any, mut undefined, mut samples) = (false, BTreeSet::new(), Samples::default());
    for grant in &needed {
        let entry = match samples.of((config, side), read, &looked_at(config, side, grant)).await {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                checks.unknown(
                    "read right",
                    format!("nothing is shown {}, so its attributes cannot be asked about; {}", grant.place, stops(grant)),
                    fix(config, side, grant),
                );
                denied_any = true;
                continue;
            }
            Err(error) => return checks.error("read right", error),
        };
        let (mut denied, mut unanswered) = (Vec::new(), Vec::new());
        // What a rule before it keeps from the reader is not asked about.
        let kept = |attr: &AttrName| {
            own.iter().any(|g| g.level == Level::None && g.place == grant.place && g.attrs.has(attr)) && grant.attrs == Attrs::All
        };
        let mut asked_about = attributes(config, side, grant);
        asked_about.retain(|attr| !kept(attr));
        asked += asked_about.len();
        for attr in asked_about.iter().filter(|attr| !entry.has(attr.as_str())) {
            match hidden(read, &entry.dn, attr).await {
                Hidden::Absent => {}
                Hidden::Denied => denied.push(attr.to_string()),
                Hidden::Undefined => drop(undefined.insert(attr.to_string())),
                Hidden::Unknown(why) => unanswered.push(format!("{attr} ({why})")),
            }
        }
        if !denied.is_empty() {
            let details = format!("denied {}: {}; {}", grant.place, denied.join(", "), stops(grant));
            checks.fail("read right", details, fix(config, side, grant));
            denied_any = true;
        } else if !unanswered.is_empty() {
            let details = format!("whether these are absent or denied is not known: {}; {}", unanswered.join(", "), stops(grant));
            checks.unknown("read right", details, fix(config, side, grant));
            denied_any = true;
        }
    }
    if !denied_any {
        checks.ok("read right", format!("{asked} attributes in {} places, none is denied", needed.len()));
    }
    tell_undefined(side, undefined, checks);
}

fn tell_undefined(side: Side, undefined: BTreeSet<String>, checks: &mut Checks) {
    let (configured, other): (Vec<String>, Vec<String>) =
        undefined.into_iter().partition(|name| !NEEDED.contains(&name.as_str()));
    if !configured.is_empty() {
        checks.fail(
            "schema",
            format!("configured, but not in the server's schema: {}", configured.join(", ")),
            format!("correct the names in [audit.{side}.attributes] and [plan]"),
        );
    }
    if !other.is_empty() {
        checks.skipped("schema", format!("not in the server's schema, so not judged: {}", other.join(", ")));
    }
}

/// Where an entry is looked for that stands for a place: groups for what is read below the whole suffix.
fn looked_at(config: &Config, side: Side, grant: &Grant) -> Place {
    let audit = config.audit.store(side);
    match (&grant.database, audit.others.first()) {
        (Database::Main, Some(scope)) if grant.place.dn == audit.suffix => Place::below(&scope.base),
        _ => grant.place.clone(),
    }
}

/// What is asked about in a place.
fn attributes(config: &Config, side: Side, grant: &Grant) -> Vec<AttrName> {
    match &grant.attrs {
        Attrs::These(names) => names.iter().filter(|name| !is_pseudo(name)).cloned().collect(),
        Attrs::All if grant.database != Database::Main => Vec::new(),
        Attrs::All => {
            let attributes = &config.audit.store(side).attributes;
            let single = [&attributes.entity, &attributes.number, &attributes.link];
            let configured = single
                .into_iter()
                .flatten()
                .chain(&attributes.mail)
                .chain(&attributes.owner)
                .chain([&attributes.login, &attributes.name])
                .cloned()
                .chain(NEEDED.map(AttrName::new));
            let migrations = config.migrations();
            let copied = migrations.iter().flat_map(|(m, _)| match side {
                Side::Shared => m.copy.iter().chain(&m.references).cloned().collect::<Vec<_>>(),
                Side::Independent => m.copy.iter().chain(m.link_attribute.as_ref()).cloned().collect(),
            });
            configured.chain(copied).collect::<BTreeSet<AttrName>>().into_iter().collect()
        }
    }
}

/// Asks by critical no-op what the writing and undoing identities may change, grant by grant.
pub async fn writing(
    config: &Config,
    side: Side,
    (clients, read): (&Clients, &Client),
    able: &BTreeSet<Role>,
    checks: &mut Checks,
) {
    let schema = match Read::schema(read).await {
        Ok(schema) => schema,
        Err(error) => return checks.error("write right", error),
    };
    let all = grants(config, side, Facts { schema: Some(&schema), checks_added: false });
    let mut samples = Samples::default();
    for role in [Role::Write, Role::Undo] {
        let Some(client) = clients.of(role).filter(|_| able.contains(&role)) else { continue };
        let own: Vec<&Grant> = all.iter().filter(|g| g.role == role).collect();
        let asking = Asking { config, side, role, client, read, schema: &schema, own: &own };
        asking.ask(&mut samples, checks).await;
    }
}

fn makes_entries(grant: &Grant) -> bool {
    matches!(&grant.attrs, Attrs::These(names) if names.iter().any(|name| name.is("entry")))
}

struct Asking<'a> {
    config: &'a Config,
    side: Side,
    role: Role,
    client: &'a Client,
    read: &'a Client,
    schema: &'a Schema,
    own: &'a [&'a Grant],
}

impl Asking<'_> {
    async fn ask(&self, samples: &mut Samples, checks: &mut Checks) {
        let check = format!("{} right", self.role);
        // What only these identities read comes with their writes (pre-read and post-read), and cannot be asked about by itself.
        let mut needed: Vec<&Grant> = self.own.iter().copied().filter(|g| g.level >= Level::Write).collect();
        // Entries come last: by then a no-op has been seen to be one.
        needed.sort_by_key(|grant| makes_entries(grant));
        if needed.is_empty() {
            return checks.skipped(&check, "nothing that is configured needs it in this store");
        }
        let (mut asked, mut all_there, mut honoured) = (0, true, false);
        for grant in needed {
            let entry = match samples.of((self.config, self.side), self.read, &self.looked_at(grant)).await {
                Ok(Some(entry)) => entry,
                // What is made where it does not exist yet is asked about when it does.
                Ok(None) if grant.place.extent == Extent::Exact => continue,
                Ok(None) => {
                    let details = format!("there is no account {} to ask about; {}", grant.place, stops(grant));
                    checks.unknown(
                        &check,
                        details,
                        format!("compare the server's rules: {}", fix(self.config, self.side, grant)),
                    );
                    all_there = false;
                    continue;
                }
                Err(error) => return checks.error(&check, error),
            };
            let answers = self.answers(grant, &entry, &mut honoured).await;
            asked += answers.len();
            all_there &= self.tell(&check, grant, &answers, checks);
        }
        if all_there {
            checks.ok(&check, format!("{asked} rights asked about, none is missing"));
        }
    }

    /// A place's children are asked about beside one of them.
    fn looked_at(&self, grant: &Grant) -> Place {
        let children = matches!(&grant.attrs, Attrs::These(names) if names.iter().any(|name| name.is("children")));
        match (children, grant.place.extent) {
            (true, Extent::Exact) => Place::below(&grant.place.dn),
            (true, _) => self.accounts_of(&grant.place.dn).unwrap_or_else(|| grant.place.clone()),
            (false, _) => grant.place.clone(),
        }
    }

    fn accounts_of(&self, base: &Dn) -> Option<Place> {
        self.own.iter().find(|g| g.place.dn == *base && g.place.filter.is_some()).map(|g| g.place.clone())
    }

    async fn answers(&self, grant: &Grant, entry: &Entry, honoured: &mut bool) -> Vec<(String, Answer)> {
        let relax = grant.level == Level::Manage;
        let mut answers = Vec::new();
        for name in self.asked(grant, entry) {
            let answer = if name.is("children") {
                may_delete_beside(self.client, &entry.dn).await
            } else if name.is("entry") {
                // Only where a no-op was seen to be one: an entry must not be made by asking.
                match *honoured {
                    true => self.may_make(grant, entry, relax).await,
                    false => continue,
                }
            } else {
                may_write(self.client, entry, &name, relax).await
            };
            *honoured |= answer == Answer::Allowed && !is_pseudo(&name);
            answers.push((name.to_string(), answer));
        }
        answers
    }

    /// Whether entries may be made and deleted: where there is none yet, and under relax, by making one like it, else by deleting.
    async fn may_make(&self, grant: &Grant, entry: &Entry, relax: bool) -> Answer {
        let own = entry.dn == grant.place.dn && grant.place.extent != Extent::Exact;
        let (true, Some(parent)) = (own || relax, entry.dn.parent()) else { return may_delete(self.client, entry).await };
        let also: Vec<AttrName> = grant.place.filter.iter().flat_map(|filter| asked_by(filter)).map(AttrName::new).collect();
        let parent = if own { &entry.dn } else { &parent };
        may_add(self.client, &Like { entry, parent, also: &also }, self.schema, relax).await
    }

    /// What of a grant is asked about: where it is on all attributes, some that no grant before it decides on.
    fn asked(&self, grant: &Grant, entry: &Entry) -> Vec<AttrName> {
        let Attrs::All = &grant.attrs else {
            let Attrs::These(names) = &grant.attrs else { return Vec::new() };
            // The entry as such comes last: by then a no-op has been seen to be one.
            let (last, first): (Vec<AttrName>, Vec<AttrName>) = names.iter().cloned().partition(|name| name.is("entry"));
            return first.into_iter().chain(last).collect();
        };
        let before: Vec<&&Grant> =
            self.own.iter().take_while(|g| **g != grant).filter(|g| g.place.dn == grant.place.dn).collect();
        let decided = |attr: &AttrName| before.iter().any(|g| g.attrs.has(attr));
        let operational = |attr: &AttrName| self.schema.get(attr).is_none_or(|kind| kind.operational || kind.read_only);
        entry.attrs.keys().filter(|attr| !decided(attr) && !operational(attr)).take(ASKED_OF_ALL).cloned().collect()
    }

    /// One line for what is missing of a grant. `true`: nothing is.
    fn tell(&self, check: &str, grant: &Grant, answers: &[(String, Answer)], checks: &mut Checks) -> bool {
        let of = |wanted: fn(&Answer) -> bool| -> Vec<&str> {
            answers.iter().filter(|(_, answer)| wanted(answer)).map(|(name, _)| name.as_str()).collect()
        };
        if answers.iter().any(|(_, answer)| *answer == Answer::NoControl) {
            let details = "the server has no no-op control, so rights cannot be asked about without changing something";
            checks.unknown(check, details, "compare the server's rules with `untether doctor --acl`");
            return false;
        }
        let denied = of(|answer| *answer == Answer::Denied);
        if !denied.is_empty() {
            let (level, place) = (grant.level.as_str(), &grant.place);
            let details = format!("no right to {level} {place}: {}; {}", denied.join(", "), stops(grant));
            checks.fail(check, details, fix(self.config, self.side, grant));
            return false;
        }
        let missing = of(|answer| *answer == Answer::Undefined);
        if !missing.is_empty() {
            let details = format!("not in the server's schema: {}", missing.join(", "));
            checks.fail(check, details, "load the password policy overlay (ppolicy)");
            return false;
        }
        let other = answers.iter().find_map(|(name, answer)| match answer {
            Answer::Other(why) => Some(format!("{name} {}: {why}", grant.place)),
            _ => None,
        });
        match other {
            Some(why) => checks.unknown(check, why, "see the server's log"),
            None => return true,
        }
        false
    }
}
