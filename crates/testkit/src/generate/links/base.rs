//! The configuration that the planted entries are added to, as an export shows it: the databases
//! and overlays of the laboratory's servers under the same numbers, without schema definitions.

use super::super::world::Store;
use super::planted::ConfigEntry;

/// Entries of the server's configuration, `global` being added to `cn=config`.
pub(super) fn entries(store: Store, global: &[(&'static str, String)]) -> Vec<ConfigEntry> {
    let suffix = store.suffix();
    let mut all = Vec::new();
    let mut put = |dn: &str, lines: &[String]| all.push(ConfigEntry { dn: dn.to_owned(), lines: lines.to_vec() });
    let text = |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| (*line).to_owned()).collect() };

    let mut head = text(&[
        "objectClass: olcGlobal",
        "cn: config",
        "olcAttributeOptions: lang-",
        "olcAttributeOptions: phonetic",
        "olcTLSVerifyClient: never",
    ]);
    head.extend(global.iter().map(|(attribute, value)| format!("{attribute}: {value}")));
    put("cn=config", &head);
    put(
        "cn=module{0},cn=config",
        &text(&[
            "objectClass: olcModuleList",
            "cn: module{0}",
            "olcModulePath: /usr/lib/ldap",
            "olcModuleLoad: {0}back_mdb",
            "olcModuleLoad: {1}ppolicy",
            "olcModuleLoad: {2}memberof",
        ]),
    );
    put("cn=schema,cn=config", &text(&["objectClass: olcSchemaConfig", "cn: schema"]));
    put(
        "olcDatabase={-1}frontend,cn=config",
        &text(&[
            "objectClass: olcDatabaseConfig",
            "objectClass: olcFrontendConfig",
            "olcDatabase: {-1}frontend",
            "olcAccess: {0}to dn.base=\"\" by * read",
            "olcAccess: {1}to * by * none",
        ]),
    );
    put(
        "olcDatabase={0}config,cn=config",
        &[
            "objectClass: olcDatabaseConfig".to_owned(),
            "olcDatabase: {0}config".to_owned(),
            format!("olcAccess: {{0}}to * by dn.exact=\"cn=untether-config,ou=system,{suffix}\" read by * none"),
        ],
    );
    put(
        "olcDatabase={1}mdb,cn=config",
        &[
            "objectClass: olcDatabaseConfig".to_owned(),
            "objectClass: olcMdbConfig".to_owned(),
            "olcDatabase: {1}mdb".to_owned(),
            format!("olcSuffix: {suffix}"),
            "olcDbDirectory: /var/lib/ldap".to_owned(),
            "olcLastBind: TRUE".to_owned(),
            format!("olcRootDN: cn=root,{suffix}"),
            format!("olcLimits: {{0}}dn.exact=\"cn=untether-reader,ou=system,{suffix}\" size=unlimited"),
            format!(
                "olcAccess: {{0}}to * by dn.exact=\"cn=untether-writer,ou=system,{suffix}\" write \
             by dn.exact=\"cn=untether-reader,ou=system,{suffix}\" read by self read by anonymous auth by * none"
            ),
        ],
    );
    let overlays: &[&str] = match store {
        Store::Shared => &["accesslog", "ppolicy", "memberof", "syncprov"],
        Store::Independent => &["ppolicy", "memberof", "refint"],
    };
    for (number, name) in overlays.iter().enumerate() {
        let mut lines = text(&["objectClass: olcOverlayConfig"]);
        lines.push(format!("olcOverlay: {{{number}}}{name}"));
        match *name {
            "accesslog" => lines.extend(text(&[
                "objectClass: olcAccessLogConfig",
                "olcAccessLogDB: cn=accesslog",
                "olcAccessLogOps: writes",
                "olcAccessLogOld: (objectClass=*)",
            ])),
            "ppolicy" => {
                lines.push("objectClass: olcPPolicyConfig".to_owned());
                lines.push(format!("olcPPolicyDefault: cn=default,ou=policies,{suffix}"));
                lines.push("olcPPolicyUseLockout: TRUE".to_owned());
            }
            "memberof" => lines.push("objectClass: olcMemberOfConfig".to_owned()),
            "syncprov" => lines.push("objectClass: olcSyncProvConfig".to_owned()),
            _ => lines.extend(text(&["objectClass: olcRefintConfig", "olcRefintAttribute: member manager seeAlso owner"])),
        }
        put(&format!("olcOverlay={{{number}}}{name},olcDatabase={{1}}mdb,cn=config"), &lines);
    }
    let monitor = match store {
        Store::Shared => {
            put(
                "olcDatabase={2}mdb,cn=config",
                &text(&[
                    "objectClass: olcDatabaseConfig",
                    "objectClass: olcMdbConfig",
                    "olcDatabase: {2}mdb",
                    "olcSuffix: cn=accesslog",
                    "olcDbDirectory: /var/lib/ldap-accesslog",
                ]),
            );
            3
        }
        Store::Independent => 2,
    };
    put(
        &format!("olcDatabase={{{monitor}}}monitor,cn=config"),
        &[
            "objectClass: olcDatabaseConfig".to_owned(),
            "objectClass: olcMonitorConfig".to_owned(),
            format!("olcDatabase: {{{monitor}}}monitor"),
        ],
    );
    all
}
