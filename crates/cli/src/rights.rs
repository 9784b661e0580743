//! The rights that each configured identity needs for what is configured, and no others: what `doctor --acl` writes down, and what
//! `doctor` checks one by one.
//!
//! A grant is a place, attributes, a level, and what stops without it. How OpenLDAP writes it down is [`rule`]'s affair; what each
//! side of the work needs is in [`reading`] and [`writing`]. Nothing here asks a server.

mod facts;
mod grant;
mod reading;
mod role;
mod rule;
mod writing;

use untether_model::{Dn, Side};

pub use self::facts::Facts;
pub use self::grant::{Attrs, Database, Extent, Grant, Level, Place, is_pseudo};
pub use self::reading::asked_by;
pub use self::role::Role;
pub use self::rule::{identity, is_ours, limit, text};
use crate::config::Config;

/// Everything that the configured identities of a store need, in the order in which a server has to meet it: of two grants for one
/// identity that fit an entry and an attribute, the first one counts.
pub fn grants(config: &Config, side: Side, facts: Facts<'_>) -> Vec<Grant> {
    let mut grants = Vec::new();
    grants.extend(logins(config, side));
    // One identity may have several roles: what gives more comes first.
    grants.extend(writing::undo(config, side));
    grants.extend(writing::writer(config, side, facts));
    grants.extend(reading::reader(config, side));
    grants.extend(reading::configuration());
    grants.retain(|grant| grant.role.bind(config, side).is_some());
    for grant in &mut grants {
        // What only slapd itself has (cn=config, cn=Monitor) it always knows, and does not all publish.
        let own = matches!(grant.database, Database::Config | Database::Monitor);
        if let (Attrs::These(names), false) = (&mut grant.attrs, own) {
            names.retain(|name| is_pseudo(name) || facts.knows(name));
        }
    }
    grants.retain(|grant| !matches!(&grant.attrs, Attrs::These(names) if names.is_empty()));
    grants
}

/// The databases in which an identity reads more than the server's default limits let through.
pub fn unlimited(config: &Config, side: Side) -> Vec<(Role, Database)> {
    let audit = config.audit.store(side);
    let own = audit.copies.iter().filter(|area| !area.base.is_within(&audit.suffix));
    let copies = own.map(|area| (Role::Read, Database::Copies(area.base.clone())));
    let all = std::iter::once((Role::Read, Database::Main)).chain(copies);
    all.filter(|(role, _)| role.bind(config, side).is_some()).collect()
}

/// Whoever logs in with a password that the store itself holds.
fn logins(config: &Config, side: Side) -> Vec<Grant> {
    let suffix = &config.audit.store(side).suffix;
    let mut seen: Vec<&Dn> = Vec::new();
    let mut grants = Vec::new();
    for role in Role::ALL {
        let Some(dn) = role.bind(config, side).and_then(|bind| bind.dn.as_ref()) else { continue };
        if dn.is_within(suffix) && !seen.contains(&dn) {
            seen.push(dn);
            grants.push(Grant {
                role,
                database: Database::Main,
                place: Place::exact(dn),
                attrs: Attrs::of(["userPassword"]),
                level: Level::Login,
                stops: vec!["everything"],
            });
        }
    }
    grants
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use untether_model::AttrName;
    use untether_model::schema::Schema;

    use super::*;

    fn config() -> Config {
        Config::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/untether.toml"))).unwrap()
    }

    fn of(config: &Config, side: Side, role: Role) -> Vec<Grant> {
        grants(config, side, Facts::default()).into_iter().filter(|g| g.role == role && g.level != Level::Login).collect()
    }

    #[test]
    fn a_configuration_that_only_audits_grants_nothing_that_writes() {
        let config = Config { plan: None, ..config() };
        for side in Side::ALL {
            for role in [Role::Write, Role::Undo] {
                assert!(of(&config, side, role).is_empty(), "{side} {role:?}");
            }
            assert!(of(&config, side, Role::Read).iter().all(|g| g.level <= Level::Read));
        }
    }

    #[test]
    fn waves_that_only_retire_write_nothing_in_the_independent_directory_and_delete_only_where_they_remove() {
        let mut config = config();
        let plan = config.plan.as_mut().unwrap();
        for wave in &mut plan.waves {
            wave.tracks = vec![untether_model::operation::Track::Keep];
        }
        assert!(of(&config, Side::Independent, Role::Write).is_empty());
        let writer = of(&config, Side::Shared, Role::Write);
        let writes_entry =
            |g: &Grant| g.level >= Level::Write && matches!(&g.attrs, Attrs::These(n) if n.iter().any(|n| n.is("entry")));
        assert!(!writer.iter().any(writes_entry), "keeping a record deletes none");
        config.plan.as_mut().unwrap().waves[0].tracks = vec![untether_model::operation::Track::Retire];
        assert!(of(&config, Side::Shared, Role::Write).iter().any(writes_entry));
    }

    #[test]
    fn what_stays_on_a_record_is_read_and_not_written() {
        let config = config();
        let writer = of(&config, Side::Shared, Role::Write);
        let first = |attr: &str| {
            let attr = AttrName::new(attr);
            let people = Dn::parse("ou=accounts,dc=shared,dc=example").unwrap();
            writer.iter().find(|g| {
                g.place.dn == people && g.attrs.has(&attr) && g.place.filter.as_deref() != Some("(employeeType=emergency)")
            })
        };
        assert_eq!(first("employeeNumber").unwrap().level, Level::Read);
        assert_eq!(first("telephoneNumber").unwrap().level, Level::Write);
        assert_eq!(first("userPassword").unwrap().stops, ["disable"]);
    }

    #[test]
    fn protected_identities_come_before_what_would_let_them_be_written() {
        let config = config();
        let writer = of(&config, Side::Shared, Role::Write);
        let protected = Dn::parse("uid=breakglass1,ou=own,ou=accounts,dc=shared,dc=example").unwrap();
        let denied = writer.iter().position(|g| g.place.dn == protected && g.level == Level::None).unwrap();
        let granted = writer.iter().position(|g| g.level == Level::Write && g.place.extent == Extent::Subtree).unwrap();
        assert!(denied < granted, "{denied} {granted}");
    }

    #[test]
    fn passwords_are_read_on_our_accounts_and_nowhere_else() {
        let config = config();
        for side in Side::ALL {
            let bases: Vec<&Dn> = config.audit.store(side).accounts.iter().map(|scope| &scope.base).collect();
            let password = AttrName::new("userPassword");
            let grants = of(&config, side, Role::Read);
            let about = grants.iter().filter(|g| g.database == Database::Main && g.attrs.has(&password));
            let mut decided: Vec<&Place> = Vec::new();
            for grant in about {
                let first = !decided.contains(&&grant.place);
                assert!(!first || grant.level == Level::None || bases.contains(&&grant.place.dn), "{grant:?}");
                decided.push(&grant.place);
            }
        }
    }

    #[test]
    fn one_identity_for_writing_and_undoing_has_what_both_need() {
        let apart = config();
        let mut together = config();
        for store in [&mut together.shared, &mut together.independent] {
            store.undo = store.write.clone();
        }
        let own = "uid=a.sato,ou=own,ou=accounts,dc=shared,dc=example";
        let moved = "uid=a.sato,ou=people,dc=own,dc=example";
        let group = "cn=staff,ou=groups,dc=own,dc=example";
        let attrs = ["entry", "children", "entryUUID", "userPassword", "pwdHistory", "employeeNumber", "sn", "manager", "member"];
        for (side, dn) in [(Side::Shared, own), (Side::Independent, moved), (Side::Independent, group)] {
            let dn = Dn::parse(dn).unwrap();
            let level = |config: &Config, role: Role, attr: &str| {
                let who = role.bind(config, side).unwrap().dn.clone();
                let attr = AttrName::new(attr);
                let grants = grants(config, side, Facts::default());
                let mut fitting = grants.iter().filter(|g| {
                    let there = g.place.dn == dn || (g.place.extent == Extent::Subtree && dn.is_within(&g.place.dn));
                    let filtered = g.place.filter.as_deref() == Some("(employeeType=emergency)");
                    g.role.bind(config, side).unwrap().dn == who && there && !filtered && g.attrs.has(&attr)
                });
                fitting.find(|g| g.level != Level::Login).map_or(Level::None, |g| g.level)
            };
            for attr in attrs {
                let needed = level(&apart, Role::Write, attr).max(level(&apart, Role::Undo, attr));
                assert_eq!(level(&together, Role::Write, attr), needed, "{attr} of {dn}");
            }
        }
    }

    #[test]
    fn an_attribute_that_the_server_does_not_know_is_left_out() {
        let config = config();
        let schema = Schema::from_descriptions(["( 2.5.4.35 NAME 'userPassword' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )"]);
        let facts = Facts { schema: Some(&schema), checks_added: false };
        let named: Vec<AttrName> = grants(&config, Side::Shared, facts)
            .into_iter()
            .filter(|g| g.database == Database::Main)
            .filter_map(|g| if let Attrs::These(names) = g.attrs { Some(names) } else { None })
            .flatten()
            .filter(|name| !is_pseudo(name))
            .collect();
        assert!(named.iter().all(|name| name.is("userpassword")), "{named:?}");
    }
}
