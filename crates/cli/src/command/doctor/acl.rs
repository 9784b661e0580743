//! `doctor --acl`: the rights that the configured plan needs, as changes of `cn=config` that can be applied as they are.
//!
//! Our rules are put before those that are there, and end in `by * break`, so that nothing changes for anybody else. What was put
//! there by an earlier configuration, and is needed no more, is taken away. Where everything is there already, nothing is written.

use std::collections::BTreeMap;

use untether_directory::Read as _;
use untether_model::{Dn, Entry, Side};

use crate::columns;
use crate::command::doctor::layout::{Layout, is_root, without_index};
use crate::command::doctor::server::Clients;
use crate::config::Config;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::rights::{Database, Facts, Grant, Level, Role, grants, identity, is_ours, limit, text, unlimited};

/// Columns of a line; LDIF is folded there (RFC 2849).
const WIDTH: usize = 78;

/// Writes the changes of each store that is asked for.
pub async fn print(config: &Config, sides: &[Side], output: &Output) -> Result<Exit, CliError> {
    let mut complete = true;
    for side in sides {
        if config.store(*side).url.is_none() {
            output.say(format!("# The {side} store is read from exports; it needs no rights."));
            continue;
        }
        complete &= store(config, *side, output).await?;
    }
    Ok(if complete { Exit::Done } else { Exit::Failed })
}

/// One store's; `false`: not all of it could be told.
async fn store(config: &Config, side: Side, output: &Output) -> Result<bool, CliError> {
    let clients = Clients::open(config, side)?;
    let suffix = &config.audit.store(side).suffix;
    let layout = match clients.of(Role::Config) {
        Some(reader) => Layout::read(reader).await.map_err(Some),
        None => Err(None),
    };
    let schema = match [Role::Read, Role::Config, Role::Write].into_iter().find_map(|role| clients.of(role)) {
        Some(client) => client.schema().await.ok(),
        None => None,
    };
    let checks_added = layout.as_ref().is_ok_and(|layout| layout.checks_added(suffix));
    let databases = wanted(config, side, Facts { schema: schema.as_deref(), checks_added });
    let ours: Vec<String> = Role::ALL.into_iter().filter_map(|role| role.bind(config, side)).map(identity).collect();
    let told = Told { config, side, ours: &ours, output };
    told.head();
    let layout = match layout {
        Ok(layout) => layout,
        Err(why) => {
            told.without_layout(&databases);
            let next = match why {
                Some(why) => format!("{why}. Apply what was written, then run this again for the rest"),
                None => format!("[{side}.config] is not configured, so the names of the databases are not known"),
            };
            output.note(format!("{side}: cn=config was not read: {next}"));
            return Ok(false);
        }
    };
    let mut complete = true;
    for (database, wanted) in &databases {
        match layout.of(database, suffix) {
            Some(entry) => told.changes(&layout, entry, database, wanted),
            // Without it the clock and the count are not known, which the audit and doctor say.
            None if *database == Database::Monitor => output.say("\n# The server has no monitor database: nothing for it."),
            None => {
                output
                    .note(format!("the {side} store has no database {}; nothing was written for it", name_of(database, suffix)));
                complete = false;
            }
        }
    }
    Ok(complete)
}

/// What each database is to have.
fn wanted(config: &Config, side: Side, facts: Facts<'_>) -> BTreeMap<Database, Wanted> {
    let mut databases: BTreeMap<Database, Wanted> = BTreeMap::new();
    for grant in grants(config, side, facts) {
        let Some(bind) = grant.role.bind(config, side) else { continue };
        let rules = &mut databases.entry(grant.database.clone()).or_default().rules;
        let value = text(&grant, &identity(bind));
        if !rules.iter().any(|known| known.value == value) {
            rules.push(Value { value, purpose: purpose(&grant), role: Some(grant.role), stops: grant.stops });
        }
    }
    for (role, database) in unlimited(config, side) {
        if let Some(bind) = role.bind(config, side) {
            let (value, purpose) = (limit(&identity(bind)), format!("{role}: reads all entries"));
            let limits = &mut databases.entry(database).or_default().limits;
            limits.push(Value { value, purpose, role: Some(role), stops: vec!["audit"] });
        }
    }
    databases
}

fn name_of(database: &Database, suffix: &Dn) -> String {
    match database {
        Database::Main => format!("with olcSuffix {suffix}"),
        Database::Copies(base) => format!("with olcSuffix {base}"),
        Database::Config => "{0}config".to_owned(),
        Database::Monitor => "monitor".to_owned(),
    }
}

/// A value of `olcAccess` or `olcLimits`, without its index.
#[derive(Clone)]
struct Value {
    value: String,
    purpose: String,
    /// Whose it is; nobody's where it keeps what everybody has.
    role: Option<Role>,
    stops: Vec<&'static str>,
}

/// What a database is to have.
#[derive(Clone, Default)]
struct Wanted {
    rules: Vec<Value>,
    limits: Vec<Value>,
}

struct Told<'a> {
    config: &'a Config,
    side: Side,
    ours: &'a [String],
    output: &'a Output,
}

impl Told<'_> {
    fn head(&self) {
        let url = self.config.store(self.side).url.as_deref().unwrap_or_default();
        let side = self.side;
        self.output.say(format!(
            "# {side} store, {url}\n# The rights that the configured plan needs. On that server:\n\
             # untether doctor --acl --store {side} | ldapmodify -Q -Y EXTERNAL -H ldapi:///"
        ));
        if self.config.plan.is_none() {
            self.output.say("# There is no [plan]: nothing is written to the store.");
        }
    }

    /// The changes that bring a database from what it has to what it needs.
    fn changes(&self, layout: &Layout, entry: &Entry, database: &Database, wanted: &Wanted) {
        let mut wanted = wanted.clone();
        self.spare_administrators(layout, entry, &mut wanted);
        let held: Vec<&str> = entry.texts("olcAccess").collect();
        let is_ours = |value: &&&str| is_ours(without_index(value), self.ours.iter().map(String::as_str));
        let present: Vec<&str> = held.iter().filter(is_ours).copied().collect();
        let leads = held.iter().take(present.len()).all(|value| is_ours(&value));
        let agree = present.len() == wanted.rules.len() && present.iter().zip(&wanted.rules).all(|(has, rule)| rule.is(has));
        // Of limits too the first one that fits counts.
        let limits: Vec<&str> = entry.texts("olcLimits").collect();
        let is_wanted = |has: &&&str| wanted.limits.iter().any(|limit| limit.is(has));
        let set: Vec<&str> = limits.iter().filter(is_wanted).copied().collect();
        let limited = set.len() == wanted.limits.len() && limits.iter().take(set.len()).all(|has| is_wanted(&has));
        for (attr, values, has) in [("olcAccess", &wanted.rules, &present), ("olcLimits", &wanted.limits, &set)] {
            self.rows(Some(&entry.dn), attr, values, |value| Some(has.iter().any(|has| value.is(has))));
        }
        let mut rules_gone = present;
        if leads && agree {
            wanted.rules.clear();
            rules_gone.clear();
        } else if layout.lacks_rules(entry) && *database != Database::Config {
            wanted.rules.push(Value {
                value: "to * by * read".to_owned(),
                purpose: "everybody: what a database without rules grants".to_owned(),
                role: None,
                stops: Vec::new(),
            });
        }
        if limited {
            wanted.limits.clear();
        } else {
            let others = limits.iter().filter(|has| !is_wanted(has));
            let kept: Vec<Value> = others.map(|has| Value::of_others(has)).collect();
            wanted.limits.extend(kept);
        }
        if [&wanted.rules, &wanted.limits].iter().all(|values| values.is_empty()) && rules_gone.is_empty() {
            let name = name_of(database, &self.config.audit.store(self.side).suffix);
            return self.output.say(format!("\n# The database {name}: nothing is missing."));
        }
        self.record(entry.dn.as_str(), &rules_gone, &wanted);
    }

    /// Whoever administers the server must not lose that by a rule of ours: an identity that is root there, or one of the local socket
    /// that others were told to obey, gets no rules.
    fn spare_administrators(&self, layout: &Layout, entry: &Entry, wanted: &mut Wanted) {
        for role in Role::ALL {
            let Some(bind) = role.bind(self.config, self.side) else { continue };
            let why = match &bind.dn {
                Some(dn) if is_root(entry, dn) => "is the root of this database, whom no rule limits",
                None if layout.administers(entry, &identity(bind)) => "administers this database by SASL EXTERNAL",
                _ => continue,
            };
            let of_others = |value: &Value| value.role != Some(role) || value.value.contains(" by anonymous auth ");
            let before = wanted.rules.len();
            wanted.rules.retain(of_others);
            if wanted.rules.len() < before {
                self.output.say(format!("\n# {role}: {why}; use an identity of its own to limit it"));
            }
        }
    }

    fn record(&self, dn: &str, rules_gone: &[&str], wanted: &Wanted) {
        let mut lines = vec![String::new(), format!("dn: {dn}"), "changetype: modify".to_owned()];
        if !rules_gone.is_empty() {
            lines.push("delete: olcAccess".to_owned());
            lines.extend(rules_gone.iter().map(|value| folded("olcAccess", value)));
            lines.push("-".to_owned());
        }
        // slapd 2.5 uses a limit that is added behind those that it has, wherever its index puts it, until it is started again: the
        // list is replaced as a whole.
        for (verb, name, values) in [("add", "olcAccess", &wanted.rules), ("replace", "olcLimits", &wanted.limits)] {
            if !values.is_empty() {
                lines.push(format!("{verb}: {name}"));
                for (index, value) in values.iter().enumerate() {
                    lines.push(comment(&value.purpose));
                    lines.push(folded(name, &format!("{{{index}}}{}", value.value)));
                }
                lines.push("-".to_owned());
            }
        }
        self.output.say(lines.join("\n"));
    }

    /// What can be told where `cn=config` was not read: only its own database has the same name everywhere; the rest are comments.
    fn without_layout(&self, databases: &BTreeMap<Database, Wanted>) {
        let suffix = &self.config.audit.store(self.side).suffix;
        for (database, wanted) in databases {
            for (attr, values) in [("olcAccess", &wanted.rules), ("olcLimits", &wanted.limits)] {
                self.rows(None, attr, values, |_| None);
            }
            if *database == Database::Config {
                self.record("olcDatabase={0}config,cn=config", &[], wanted);
                continue;
            }
            let mut lines = vec![String::new(), comment(&format!("on the database {}:", name_of(database, suffix)))];
            for (attr, values) in [("olcAccess", &wanted.rules), ("olcLimits", &wanted.limits)] {
                for value in values {
                    lines.push(comment(&format!("- {}", value.purpose)));
                    lines.push(format!("#   {attr}: {}", value.value));
                }
            }
            self.output.say(lines.join("\n"));
        }
    }

    fn rows(&self, database: Option<&Dn>, attr: &str, values: &[Value], present: impl Fn(&Value) -> Option<bool>) {
        for value in values {
            self.output.row(&serde_json::json!({
                "schema": "untether.doctor-acl/1", "store": self.side, "role": value.role.map(Role::as_str), "database": database,
                "attribute": attr, "value": value.value, "stops": value.stops, "present": present(value),
            }));
        }
    }
}

impl Value {
    /// What somebody else has set, to stay as it is.
    fn of_others(has: &str) -> Self {
        Self { value: without_index(has).to_owned(), purpose: "of others, as it was".to_owned(), role: None, stops: Vec::new() }
    }

    /// Whether a value that the server has says the same: names and DNs are compared without case.
    fn is(&self, has: &str) -> bool {
        let words = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
        words(without_index(has)) == words(&self.value)
    }
}

fn purpose(grant: &Grant) -> String {
    let role = grant.role;
    match (grant.level, grant.stops.is_empty()) {
        (Level::Login, _) => format!("{role}: logs in"),
        (Level::None | Level::Read, true) => format!("{role}: protected, never written"),
        (Level::None, false) => format!("{role}: not needed, never shown"),
        (_, _) => format!("{role}: {}", grant.stops.join(", ")),
    }
}

/// Comment lines of LDIF.
fn comment(text: &str) -> String {
    columns::words(text, WIDTH, ("# ", "#   ")).join("\n")
}

/// A line of LDIF, folded before a word where that is possible. What is not ASCII is written in base64 (RFC 2849).
fn folded(name: &str, value: &str) -> String {
    if !value.is_ascii() {
        return format!("{name}:: {}", data_encoding::BASE64.encode(value.as_bytes()));
    }
    let mut out = String::new();
    let mut line = format!("{name}:");
    for word in value.split(' ') {
        if line.len() + 1 + word.len() > WIDTH && line.len() > name.len() + 1 {
            out.push_str(&line);
            // One blank says that the line goes on; the other one belongs to the value.
            out.push_str("\n ");
            line = String::new();
        }
        line.push(' ');
        line.push_str(word);
    }
    out + &line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded_so_that_they_read_back_as_they_were() {
        let value =
            format!("{{0}}to dn.subtree=\"{}\" attrs=entry by dn.exact=\"cn=w,dc=x\" write by * break", "ou=a,".repeat(20));
        let text = folded("olcAccess", &value);
        assert!(text.lines().count() > 1);
        let unfolded = text.replace("\n ", "");
        assert_eq!(unfolded, format!("olcAccess: {value}"));
    }
}
