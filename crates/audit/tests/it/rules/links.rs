use untether_model::Side;

use super::world::{World, expect};

fn config(rest: &str) -> Vec<String> {
    let text = format!("olcDatabase={{2}}mdb,cn=config\nolcDatabase: {{2}}mdb\nolcSuffix: dc=two\n{rest}");
    World::new().config(Side::Independent, &text).of(&["link", "coverage"])
}

#[test]
fn pass_through_values_are_links_unless_the_realm_is_the_stores_own() {
    let world = |value: &str| {
        let lines = format!("userPassword: {value}");
        World::new().account(Side::Shared, "ou=people,dc=shared", "act", "1", &lines).of(&["link"])
    };
    let high = &["link.pass-through high shared act"];
    expect(&world("{SASL}act@SHARED"), &[]);
    expect(&world("{sasl}act@shared"), &[]);
    expect(&world("{SASL}act@OWN"), high);
    expect(&world("{SASL}act"), high);
    expect(&world("{KERBEROS}act@ELSE"), high);
    expect(&world("{RADIUS}act"), high);
    expect(&world("{UNIX}act"), &["link.pass-through medium shared act"]);
    expect(&world("{SSHA}act@OWN"), &[]);
}

#[test]
fn overlays_that_ask_foreign_servers_are_pass_through() {
    let overlay = |kind: &str, lines: &str| {
        let text = format!("olcOverlay={{0}}{kind},olcDatabase={{1}}mdb,cn=config\nolcOverlay: {{0}}{kind}\n{lines}");
        World::new().config(Side::Independent, &text).of(&["link"])
    };
    let high = |kind: &str| vec![format!("link.pass-through high independent {{0}}{kind}")];
    assert_eq!(overlay("pbind", "objectClass: olcPBindConfig\nolcDbURI: ldap://ldap.shared"), high("pbind"));
    assert_eq!(overlay("pbind", "objectClass: olcPBindConfig\nolcDbURI: ldap://LDAP.own"), Vec::<String>::new());
    let remote =
        |mapping: &str| overlay("remoteauth", &format!("objectClass: olcRemoteAuthCfg\nolcRemoteAuthMapping: {mapping}"));
    assert_eq!(remote("d ldap.shared"), high("remoteauth"));
    assert_eq!(remote("d file:///etc/list"), high("remoteauth"));
    assert_eq!(remote("d ldaps://ldap.own:636"), Vec::<String>::new());
    let low = overlay("pbind", "objectClass: olcPBindConfig\nolcDbURI: ldap://ldap.shared\nolcDisabled: TRUE");
    assert_eq!(low, ["link.pass-through low independent {0}pbind"]);
}

#[test]
fn a_pbind_overlay_over_the_store_makes_the_state_of_its_accounts_unknown() {
    let world = World::new()
        .account(Side::Shared, "ou=people,dc=shared", "gone", "2", "pwdAccountLockedTime: 000001010000Z")
        .config(Side::Shared, "olcDatabase={1}mdb,cn=config\nolcDatabase: {1}mdb\nolcSuffix: dc=shared")
        .config(
            Side::Shared,
            "olcOverlay={0}pbind,olcDatabase={1}mdb,cn=config\nobjectClass: olcPBindConfig\nolcOverlay: {0}pbind\nolcDbURI: ldap://ldap.own",
        );
    expect(
        &world.of(&["residual.departed", "coverage", "link"]),
        &[
            "coverage.skipped low shared residual.lock-ineffective",
            "link.pass-through high shared {0}pbind",
            "residual.departed critical shared gone",
        ],
    );
}

#[test]
fn equal_secrets_in_both_stores_are_found_on_the_shared_account() {
    let pair = |shared: &str, own: &str, number: &str| {
        World::new()
            .account(Side::Shared, "ou=people,dc=shared", "act", "1", shared)
            .account(Side::Independent, "ou=people,dc=own", "x", number, own)
            .of(&["link.shared-secret"])
    };
    let critical = &["link.shared-secret critical shared act"];
    let medium = &["link.shared-secret medium shared act"];
    let (salted, unsalted) = ("userPassword: {SSHA}c2FtZQ==", "userPassword: {SHA}c2FtZQ==");
    expect(&pair(salted, "userPassword: {ssha}c2FtZQ", "1"), critical);
    expect(&pair(salted, salted, "4"), critical);
    expect(&pair(unsalted, unsalted, "1"), critical);
    expect(&pair(unsalted, unsalted, "4"), &[]);
    expect(&pair("userPassword: secret", "userPassword: {CLEARTEXT}secret", "1"), critical);
    expect(&pair(salted, "pwdHistory: 2020#1.2#16#{SSHA}c2FtZQ==", "1"), medium);
    expect(&pair("userPassword: {SASL}act@OWN", "userPassword: {SASL}act@OWN", "1"), &[]);
    expect(&pair(salted, "userPassword: {SSHA}b3RoZXI=", "1"), &[]);
    let strangers = World::new()
        .account(Side::Shared, "ou=people,dc=shared", "act", "1", salted)
        .account(Side::Independent, "ou=people,dc=own", "x", "4", salted)
        .judge();
    let evidence = &strangers.finding("link.shared-secret").evidence.facts;
    assert_eq!(evidence["copied-to-or-from"], ["uid=x,ou=people,dc=own"]);
}

#[test]
fn replication_from_foreign_servers_is_graver_with_credentials() {
    let sync = |rest: &str| config(&format!("olcSyncrepl: {{0}}rid=1 provider=ldap://ldap.shared searchbase=\"dc=two\" {rest}"));
    assert_eq!(sync(""), ["link.replication critical independent {2}mdb"]);
    assert_eq!(sync("attrs=\"uid,cn\""), ["link.replication medium independent {2}mdb"]);
    let own = config("olcSyncrepl: rid=1 provider=ldap://ldap.own searchbase=\"dc=two\"");
    assert_eq!(own, Vec::<String>::new());
    let other = config("olcSyncrepl: rid=1 provider=ldap://ldap.own searchbase=\"ou=x,dc=shared\"");
    assert_eq!(other, ["link.replication critical independent {2}mdb"]);
    let unknown = config("olcSyncrepl: rid=1 provider=ldap://who.knows searchbase=\"dc=two\"\nolcDisabled: TRUE");
    assert_eq!(unknown, ["link.replication low independent {2}mdb"]);
}

#[test]
fn proxies_are_named_where_the_server_stands() {
    let uri = "olcDbURI: \"ldap://ldap.own ldap://ldap.shared\"";
    assert_eq!(config(uri), ["link.proxy high independent {2}mdb"]);
    assert_eq!(config("olcDbURI: ldap://ldap.own"), Vec::<String>::new());
    assert_eq!(config(&format!("{uri}\nolcDisabled: TRUE")), ["link.proxy low independent {2}mdb"]);
    let world = World::new()
        .config(Side::Independent, "olcDatabase={3}meta,cn=config\nolcDatabase: {3}meta\nolcSuffix: dc=far")
        .config(Side::Independent, &format!("olcMetaSub={{0}}uri,olcDatabase={{3}}meta,cn=config\nolcMetaSub: {{0}}uri\n{uri}"))
        .config(
            Side::Independent,
            "olcOverlay={0}pcache,olcDatabase={3}meta,cn=config\nolcOverlay: {0}pcache\nolcPcacheBind: (uid=) 0 3600 sub dc=far",
        )
        .config(Side::Independent, "olcDatabase={4}relay,cn=config\nolcDatabase: {4}relay\nolcSuffix: dc=veil\nolcRelay: dc=far")
        .config(Side::Independent, "olcDatabase={5}perl,cn=config\nolcDatabase: {5}perl\nolcSuffix: dc=code");
    let verdict = world.judge();
    expect(
        &verdict.of(&["link", "coverage"]),
        &[
            "coverage.skipped low independent link.proxy",
            "link.proxy high independent {0}uri",
            "link.proxy high independent {4}relay",
        ],
    );
    assert_eq!(verdict.finding("link.proxy").evidence.facts["cached"], ["entries and bind credentials (pcache)"]);
}

#[test]
fn referrals_and_mappings_of_the_other_side_are_links() {
    assert_eq!(config("olcUpdateRef: ldap://ldap.shared"), ["link.referral low independent {2}mdb"]);
    assert_eq!(config("olcReferral: ldap://ldap.own"), Vec::<String>::new());
    let mapping = |line: &str| config(line);
    let raised = ["link.mapping medium independent {2}mdb"];
    assert_eq!(mapping("olcAuthzRegexp: {0}uid=([^,]+),cn=SHARED,cn=gssapi,cn=auth uid=$1,dc=own"), raised);
    assert_eq!(mapping("olcAuthzRegexp: {0}uid=([^,]+),cn=else\\.where,cn=gssapi,cn=auth uid=$1,dc=own"), raised);
    assert_eq!(mapping("olcAuthzRegexp: {0}uid=([^,]+),cn=own,cn=gssapi,cn=auth uid=$1,dc=own"), Vec::<String>::new());
    assert_eq!(mapping("olcAuthzRegexp: {0}uid=([^,]+),cn=[^,]*,cn=auth uid=$1,dc=own"), Vec::<String>::new());
    assert_eq!(mapping("olcAuthzRegexp: {0}uid=([^,]+),cn=external,cn=auth uid=$1,dc=own"), Vec::<String>::new());
    assert_eq!(mapping("olcSaslRealm: SHARED"), raised);
    assert_eq!(mapping("olcSaslHost: ldap.own"), Vec::<String>::new());
    let authz = |rule: &str| World::new().shared("act", "1", &format!("authzTo: {rule}")).of(&["link"]);
    let raised = &["link.mapping medium shared act"];
    expect(&authz("dn.exact:uid=x,ou=people,dc=own"), raised);
    expect(&authz("ldap:///ou=people,dc=own??sub?(uid=*)"), raised);
    expect(&authz("dn.exact:uid=x,ou=people,dc=shared"), &[]);
    let referral = "ou=far,ou=groups,dc=shared\nobjectClass: referral\nref: ldap://else.where/dc=x,dc=y";
    expect(&World::new().group(Side::Shared, referral).of(&["link", "coverage"]), &["coverage.skipped low shared link.referral"]);
    let own = "ou=far,ou=groups,dc=shared\nobjectClass: referral\nref: ldap://ldap.shared/dc=x";
    expect(&World::new().group(Side::Shared, own).of(&["link", "coverage"]), &[]);
}
