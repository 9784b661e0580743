//! Which configuration entries are planted in which server, and what they call for.

use super::super::truth::Label;
use super::super::world::Store;
use super::write::Names;

const FOREIGN_REALM_RULE: &str = "link.mapping";

/// One entry of `cn=config` without its operational attributes.
pub(super) struct ConfigEntry {
    pub dn: String,
    pub lines: Vec<String>,
}

/// Everything that is planted in one server.
pub(super) struct Planted {
    store: Store,
    next: u32,
    /// Values added to the entry `cn=config`, by attribute.
    pub global: Vec<(&'static str, String)>,
    pub entries: Vec<ConfigEntry>,
    pub labels: Vec<Label>,
}

impl Planted {
    /// Number of the first database that the laboratory's configuration leaves free.
    const fn first_database(store: Store) -> u32 {
        match store {
            Store::Shared => 4,
            Store::Independent => 3,
        }
    }

    fn new(store: Store) -> Self {
        let next = Self::first_database(store);
        Self { store, next, global: Vec::new(), entries: Vec::new(), labels: Vec::new() }
    }

    /// Adds a database; returns its DN.
    fn database(&mut self, backend: &str, class: &str, suffix: &str, lines: &[String]) -> String {
        let name = format!("{{{}}}{backend}", self.next);
        self.next += 1;
        let dn = format!("olcDatabase={name},cn=config");
        let mut all = vec![
            "objectClass: olcDatabaseConfig".to_owned(),
            format!("objectClass: {class}"),
            format!("olcDatabase: {name}"),
            format!("olcSuffix: {suffix}"),
        ];
        all.extend_from_slice(lines);
        self.entries.push(ConfigEntry { dn: dn.clone(), lines: all });
        dn
    }

    fn null(&mut self, suffix: &str, lines: &[String]) -> String {
        self.database("null", "olcNullConfig", suffix, lines)
    }

    /// Adds an entry below another one; returns its DN.
    fn below(&mut self, parent: &str, rdn: &str, lines: &[&str]) -> String {
        let dn = format!("{rdn},{parent}");
        let mut all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        if let Some((attribute, value)) = rdn.split_once('=') {
            all.push(format!("{attribute}: {value}"));
        }
        self.entries.push(ConfigEntry { dn: dn.clone(), lines: all });
        dn
    }

    fn label(&mut self, rule: &'static str, severity: &'static str, dn: &str, note: &'static str) {
        self.labels.push(Label {
            rule,
            severity,
            store: self.store.name(),
            dn: Some(dn.to_owned()),
            entity: None,
            person_id: None,
            note,
            about: None,
        });
    }

    /// A database whose access rule names `dn`.
    fn access(&mut self, suffix: &str, dn: &str) -> String {
        self.null(suffix, &[format!("olcAccess: {{0}}to * by dn.exact=\"{dn}\" read by * none")])
    }
}

/// Value of `olcSyncrepl` that pulls a copy of `suffix`.
fn syncrepl(number: u32, provider: &str, suffix: &str, further: &str) -> String {
    format!(
        "olcSyncrepl: {{0}}rid={number:03} provider=ldap://{provider} searchbase=\"{suffix}\" type=refreshOnly \
         interval=01:00:00:00 retry=\"3600 +\" bindmethod=simple binddn=\"cn=replicator,ou=system,{suffix}\" \
         credentials=lab-replicator{further}"
    )
}

/// What is planted in the shared store's server.
pub(super) fn shared(names: &Names) -> Planted {
    let mut planted = Planted::new(Store::Shared);
    planted.global.push((
        "olcAuthzRegexp",
        "{0}uid=([^,]+),cn=SHARED.EXAMPLE,cn=gssapi,cn=auth uid=$1,ou=own,ou=accounts,dc=shared,dc=example".to_owned(),
    ));
    planted.global.push((
        "olcAuthzRegexp",
        "{1}uid=([^,]+),cn=OWN.EXAMPLE,cn=gssapi,cn=auth uid=$1,ou=own,ou=accounts,dc=shared,dc=example".to_owned(),
    ));
    planted.label(FOREIGN_REALM_RULE, "medium", "cn=config", "olcAuthzRegexp maps the realm of the other store");

    let suffix = "dc=copy,dc=example";
    let dn = planted.null(suffix, &[format!("olcRootDN: cn=root,{suffix}"), syncrepl(201, "ldap.own.example", suffix, "")]);
    planted.label("link.replication", "critical", &dn, "pulls all attributes from the other store");

    let dn =
        planted.database("ldap", "olcLDAPConfig", "dc=partner,dc=example", &["olcDbURI: ldap://ldap.partner.example".to_owned()]);
    planted.label("link.proxy", "high", &dn, "towards a server that is nobody's own");

    if let Some(dn) = &names.departed_with_comma {
        let entry = planted.access("dc=attic,dc=example", dn);
        planted.label("residual.reference", "high", &entry, "an access rule names a leaver");
    }
    let entry = planted.access("dc=cellar,dc=example", "uid=long.gone,ou=domestic,ou=accounts,dc=shared,dc=example");
    planted.label("residual.reference", "high", &entry, "an access rule names nobody");
    if let Some(dn) = &names.present {
        planted.access("dc=hall,dc=example", dn);
    }
    planted
}

/// What is planted in the independent directory's server.
pub(super) fn independent(names: &Names) -> Planted {
    let mut planted = Planted::new(Store::Independent);
    planted.global.push(("olcReferral", "ldap://ldap.shared.example".to_owned()));
    planted.label("link.referral", "low", "cn=config", "olcReferral to the shared store");
    planted.global.push((
        "olcAuthzRegexp",
        "{0}uid=([^,]+),cn=SHARED.EXAMPLE,cn=gssapi,cn=auth uid=$1,ou=people,dc=own,dc=example".to_owned(),
    ));
    planted.label(FOREIGN_REALM_RULE, "medium", "cn=config", "olcAuthzRegexp maps the realm of the shared store");
    replication(&mut planted);
    proxies(&mut planted);
    authentication(&mut planted);
    if let Some(dn) = &names.departed_here {
        let entry = planted.access("dc=attic,dc=example", dn);
        planted.label("residual.reference", "high", &entry, "an access rule names a leaver");
    }
    planted
}

fn replication(planted: &mut Planted) {
    let shared = "ldap.shared.example";
    let pulled = |number: u32, suffix: &str, provider: &str, further: &str| {
        vec![format!("olcRootDN: cn=root,{suffix}"), syncrepl(number, provider, suffix, further)]
    };
    let suffix = "dc=mirror,dc=example";
    let mut lines = pulled(101, suffix, shared, "");
    lines.push(format!("olcUpdateRef: ldap://{shared}"));
    let dn = planted.null(suffix, &lines);
    planted.label("link.replication", "critical", &dn, "pulls all attributes");
    planted.label("link.referral", "low", &dn, "writes are referred to the shared store");

    let suffix = "dc=names,dc=example";
    let dn = planted.null(suffix, &pulled(102, suffix, shared, " attrs=\"uid,cn,sn,mail\""));
    planted.label("link.replication", "medium", &dn, "pulls no credential");

    let suffix = "dc=nearly,dc=example";
    let dn = planted.null(suffix, &pulled(103, suffix, shared, " exattrs=\"userPassword\""));
    planted.label("link.replication", "critical", &dn, "excludes one credential attribute of several");

    // Its own second server.
    let suffix = "dc=second,dc=example";
    planted.null(suffix, &pulled(104, suffix, "LDAP.own.example", ""));
}

fn proxies(planted: &mut Planted) {
    let uri = "olcDbURI: ldap://ldap.shared.example";
    let owned = |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| (*line).to_owned()).collect() };
    let proxied = "dc=shared,dc=example";
    let bind = "olcDbIDAssertBind: bindmethod=simple binddn=\"cn=proxy,ou=system,dc=shared,dc=example\" \
                credentials=lab-proxy mode=none";
    let dn = planted.database("ldap", "olcLDAPConfig", proxied, &owned(&[uri, bind]));
    planted.label("link.proxy", "high", &dn, "proxy with a stored bind credential");
    let dn = planted.database("ldap", "olcLDAPConfig", "dc=asleep,dc=example", &owned(&[uri, "olcDisabled: TRUE"]));
    planted.label("link.proxy", "low", &dn, "disabled proxy");
    planted.database("ldap", "olcLDAPConfig", "dc=near,dc=example", &owned(&["olcDbURI: ldap://ldap.own.example"]));

    let meta = planted.database("meta", "olcMetaConfig", "dc=union,dc=example", &[]);
    let dn = planted.below(
        &meta,
        "olcMetaSub={0}uri",
        &["objectClass: olcMetaTargetConfig", "olcDbURI: ldap://ldap.shared.example/dc=union,dc=example"],
    );
    planted.label("link.proxy", "high", &dn, "target of a meta database");

    let dn = planted.database("relay", "olcRelayConfig", "dc=veil,dc=example", &owned(&["olcRelay: dc=shared,dc=example"]));
    planted.label("link.proxy", "high", &dn, "relay to the proxy");
    planted.below(
        &dn,
        "olcOverlay={0}rwm",
        &[
            "objectClass: olcOverlayConfig",
            "objectClass: olcRwmConfig",
            "olcRwmRewrite: {0}rwm-suffixmassage \"dc=veil,dc=example\" \"dc=shared,dc=example\"",
        ],
    );

    let base = planted.null("dc=chained,dc=example", &[]);
    let overlay = planted.below(&base, "olcOverlay={0}chain", &["objectClass: olcOverlayConfig", "objectClass: olcChainConfig"]);
    let dn = planted.below(
        &overlay,
        "olcDatabase={0}ldap",
        &[
            "objectClass: olcLDAPConfig",
            "objectClass: olcChainDatabase",
            uri,
            "olcDbIDAssertBind: bindmethod=simple binddn=\"cn=chain,ou=system,dc=shared,dc=example\" \
         credentials=lab-chain mode=self",
        ],
    );
    planted.label("link.proxy", "high", &dn, "chaining");

    let base = planted.null("dc=glass,dc=example", &[]);
    let overlay = planted.below(
        &base,
        "olcOverlay={0}translucent",
        &["objectClass: olcOverlayConfig", "objectClass: olcTranslucentConfig"],
    );
    let dn = planted.below(
        &overlay,
        "olcDatabase={0}ldap",
        &["objectClass: olcLDAPConfig", "objectClass: olcTranslucentDatabase", uri],
    );
    planted.label("link.proxy", "high", &dn, "translucent overlay");

    planted.database("sock", "olcDbSocketConfig", "dc=script,dc=example", &owned(&["olcDbSocketPath: /nonexistent/lab.sock"]));
    planted.labels.push(Label {
        rule: "coverage.skipped",
        severity: "low",
        store: planted.store.name(),
        dn: None,
        entity: None,
        person_id: None,
        note: "a sock database answers from code that nobody sees",
        about: Some("link.proxy"),
    });
}

fn authentication(planted: &mut Planted) {
    let base = planted.null("dc=desk,dc=example", &[]);
    let dn = planted.below(
        &base,
        "olcOverlay={0}pbind",
        &["objectClass: olcOverlayConfig", "objectClass: olcPBindConfig", "olcDbURI: ldap://ldap.shared.example"],
    );
    planted.label("link.pass-through", "high", &dn, "binds are answered by the shared store");
    let base = planted.null("dc=field,dc=example", &[]);
    let dn = planted.below(
        &base,
        "olcOverlay={0}remoteauth",
        &[
            "objectClass: olcOverlayConfig",
            "objectClass: olcRemoteAuthCfg",
            "olcRemoteAuthDNAttribute: seeAlso",
            "olcRemoteAuthDomainAttribute: associatedDomain",
            "olcRemoteAuthDefaultDomain: shared",
            "olcRemoteAuthMapping: shared ldap.shared.example",
            "olcRemoteAuthTLS: starttls=no",
            "olcRemoteAuthStore: FALSE",
        ],
    );
    planted.label("link.pass-through", "high", &dn, "binds without a local password are answered by the shared store");
}
