//! Text of a server's `cn=config`: modules, schema, overlays, limits and access rules.
//!
//! Pure: it knows neither files nor processes. Facts about the server are those of OpenLDAP 2.5
//! as packaged by Debian.

use super::Role;
use super::identities::Credentials;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::path::Path;

/// Which of the two stores a server plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// The store being left: mdb with accesslog, ppolicy, memberof and syncprov.
    Shared,
    /// The store being moved to: mdb with ppolicy, memberof and refint.
    Independent,
}

impl Flavour {
    /// Both flavours.
    pub const ALL: [Self; 2] = [Self::Shared, Self::Independent];

    /// Name as in `lab.json` and in file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Independent => "independent",
        }
    }

    /// Suffix of the store's main database.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Shared => "dc=shared,dc=example",
            Self::Independent => "dc=own,dc=example",
        }
    }

    /// Host name in the server's certificate beside 127.0.0.1 and localhost.
    #[must_use]
    pub const fn host(self) -> &'static str {
        match self {
            Self::Shared => "ldap.shared.example",
            Self::Independent => "ldap.own.example",
        }
    }

    /// Number of the next free overlay of the main database: `{n}` of `olcOverlay={n}NAME`.
    #[must_use]
    pub const fn next_overlay(self) -> usize {
        self.overlays().len()
    }

    /// Number of the next free database: `{n}` of `olcDatabase={n}NAME`.
    #[must_use]
    pub const fn next_database(self) -> usize {
        match self {
            Self::Shared => 4,
            Self::Independent => 3,
        }
    }

    /// Access rules of the store's main database, one `olcAccess` value each, without the index.
    ///
    /// They give each role what it needs and no more; anonymous reads nothing, and an ordinary account
    /// reads itself and writes its own password.
    #[must_use]
    pub fn access_rules(self) -> Vec<String> {
        access_rules(self.suffix(), &[])
    }

    /// Overlays of the main database, in the order in which they are configured.
    const fn overlays(self) -> &'static [Overlay] {
        match self {
            // Accesslog comes first, so that it sees a write as the client sent it.
            Self::Shared => &[Overlay::AccessLog, Overlay::Policy, Overlay::MemberOf, Overlay::SyncProvider],
            Self::Independent => &[Overlay::Policy, Overlay::MemberOf, Overlay::ReferentialIntegrity],
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Overlay {
    AccessLog,
    Policy,
    MemberOf,
    SyncProvider,
    ReferentialIntegrity,
}

impl Overlay {
    const fn module(self) -> &'static str {
        match self {
            Self::AccessLog => "accesslog",
            Self::Policy => "ppolicy",
            Self::MemberOf => "memberof",
            Self::SyncProvider => "syncprov",
            Self::ReferentialIntegrity => "refint",
        }
    }
}

/// What a test may bend; see [`super::Builder`] for the meanings.
#[derive(Debug, Clone, Default)]
pub(super) struct Bends {
    pub(super) modules: Vec<String>,
    pub(super) global_attributes: Vec<String>,
    pub(super) database_attributes: Vec<String>,
    pub(super) config_entries: Vec<String>,
    pub(super) withheld: Vec<(Role, String)>,
    pub(super) bare: bool,
    pub(super) reader_size_limit: Option<u32>,
    pub(super) size_limit: Option<u32>,
    pub(super) hide_lockout: bool,
    pub(super) without_last_bind: bool,
    pub(super) durable: bool,
    pub(super) write_map: bool,
}

/// Everything that the text depends on.
pub(super) struct Inputs<'a> {
    pub(super) flavour: Flavour,
    pub(super) directory: &'a Path,
    pub(super) ca_file: &'a Path,
    pub(super) certificate: &'a super::authority::CertificateFiles,
    pub(super) credentials: &'a Credentials,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) bends: &'a Bends,
}

impl Inputs<'_> {
    /// The clauses of a rule that give these roles something; none on a bare server.
    fn granted(&self, roles: &[(Role, &str)]) -> String {
        let suffix = self.flavour.suffix();
        let roles = roles.iter().filter(|_| !self.bends.bare);
        roles.map(|(role, level)| format!(" by dn.exact=\"{}\" {level}", role.dn(suffix))).collect()
    }
}

/// Subdirectory of the server's directory with the main database.
pub(super) const MAIN_DATABASE: &str = "database";
/// Subdirectory of the server's directory with the access log's database.
pub(super) const LOG_DATABASE: &str = "accesslog";

/// Size up to which a database may grow. The map is sparse; the default of 10 MB would end in
/// code 80 at the first large group.
const DATABASE_BYTES: u64 = 16 << 30;

/// Modules beyond those of the overlays (back_monitor is built in): the backend, and the password schemes that generated
/// accounts use.
const MODULES: [&str; 4] = ["back_mdb", "argon2", "pw-sha2", "pw-pbkdf2"];

/// Attributes with an equality index, those that correlation and the overlays search by.
const INDEXED: &str = "objectClass,entryUUID,entryCSN,uid,cn,mail,employeeNumber,member,memberOf,\
     memberUid,manager,secretary,seeAlso,owner,labOwner,labSourceId eq";

/// References that the referential integrity overlay keeps.
const REFERENCES: [&str; 6] = ["member", "manager", "secretary", "seeAlso", "owner", "labOwner"];

/// The whole `cn=config` as LDIF, to be loaded by `slapadd -n0`. `schema` is LDIF too.
pub(super) fn config_ldif(inputs: &Inputs<'_>, schema: &str) -> String {
    let mut text = global(inputs);
    text.push_str(&modules(inputs));
    text.push_str("dn: cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: schema\n\n");
    text.push_str(schema);
    text.push('\n');
    text.push_str(&frontend_and_config(inputs));
    text.push_str(&main_database(inputs));
    for (index, overlay) in inputs.flavour.overlays().iter().enumerate() {
        text.push_str(&overlay_entry(inputs, index, *overlay));
    }
    if inputs.flavour == Flavour::Shared {
        text.push_str(&access_log_database(inputs));
    }
    text.push_str(&monitor_database(inputs));
    for entry in &inputs.bends.config_entries {
        text.push_str(entry.trim_end());
        text.push_str("\n\n");
    }
    text
}

/// Writes to a string cannot fail; this keeps the call sites free of an impossible error.
macro_rules! put {
    ($text:expr, $($argument:tt)*) => {
        let _ = writeln!($text, $($argument)*);
    };
}

fn global(inputs: &Inputs<'_>) -> String {
    let run = inputs.directory.display();
    let mut text = String::new();
    put!(text, "dn: cn=config\nobjectClass: olcGlobal\ncn: config");
    put!(text, "olcPidFile: {run}/{}\nolcArgsFile: {run}/slapd.args", super::server::PID_FILE);
    put!(text, "olcTLSCACertificateFile: {}", inputs.ca_file.display());
    put!(text, "olcTLSCertificateFile: {}", inputs.certificate.certificate.display());
    put!(text, "olcTLSCertificateKeyFile: {}", inputs.certificate.key.display());
    put!(text, "olcTLSVerifyClient: never");
    // Needed for names like cn;lang-ja;phonetic.
    put!(text, "olcAttributeOptions: lang-\nolcAttributeOptions: phonetic");
    if let Some(limit) = inputs.bends.size_limit {
        put!(text, "olcSizeLimit: {limit}");
    }
    for line in &inputs.bends.global_attributes {
        put!(text, "{line}");
    }
    text.push('\n');
    text
}

fn modules(inputs: &Inputs<'_>) -> String {
    let mut text = String::from(
        "dn: cn=module{0},cn=config\nobjectClass: olcModuleList\ncn: module{0}\n\
         olcModulePath: /usr/lib/ldap\n",
    );
    for module in MODULES {
        put!(text, "olcModuleLoad: {module}");
    }
    for overlay in inputs.flavour.overlays() {
        put!(text, "olcModuleLoad: {}", overlay.module());
    }
    for module in &inputs.bends.modules {
        put!(text, "olcModuleLoad: {module}");
    }
    text.push('\n');
    text
}

fn frontend_and_config(inputs: &Inputs<'_>) -> String {
    let external = format!("gidNumber={}+uidNumber={},cn=peercred,cn=external,cn=auth", inputs.gid, inputs.uid);
    let mut text = String::new();
    put!(
        text,
        "dn: olcDatabase={{-1}}frontend,cn=config\nobjectClass: olcDatabaseConfig\n\
         objectClass: olcFrontendConfig\nolcDatabase: {{-1}}frontend\n\
         olcAccess: {{0}}to dn.base=\"\" by * read\n\
         olcAccess: {{1}}to dn.base=\"cn=subschema\" by * read\n\
         olcAccess: {{2}}to * by * none\n"
    );
    put!(
        text,
        "dn: olcDatabase={{0}}config,cn=config\nobjectClass: olcDatabaseConfig\n\
         olcDatabase: {{0}}config\n\
         olcAccess: {{0}}to * by dn.exact=\"{external}\" manage{} by * none\n",
        inputs.granted(&[(Role::Config, "read")])
    );
    text
}

/// What an ordinary directory lets everybody do, whoever the tool's identities are: log in, read oneself, set one's own password.
const BARE_RULES: [&str; 2] = ["to attrs=userPassword by self write by anonymous auth by * none", "to * by self read by * none"];

/// The access rules of a flavour, with those of a bent server before them.
fn access_rules(suffix: &str, withheld: &[(Role, String)]) -> Vec<String> {
    let reader = format!("by dn.exact=\"{}\"", Role::Reader.dn(suffix));
    let writer = format!("by dn.exact=\"{}\"", Role::Writer.dn(suffix));
    let undo = format!("by dn.exact=\"{}\"", Role::Undo.dn(suffix));
    let mut rules: Vec<String> = withheld
        .iter()
        .map(|(role, attributes)| format!("to attrs={attributes} by dn.exact=\"{}\" none by * break", role.dn(suffix)))
        .collect();
    rules.extend([
        format!(
            "to dn.subtree=\"ou=system,{suffix}\" attrs=userPassword \
             {undo} manage {reader} read by anonymous auth by * none"
        ),
        format!(
            "to dn.subtree=\"ou=system,{suffix}\" \
             {undo} manage {writer} read {reader} read by self read by * none"
        ),
        format!(
            "to dn.subtree=\"ou=policies,{suffix}\" \
             {undo} manage {writer} read {reader} read by * none"
        ),
        format!(
            "to attrs=userPassword \
             {undo} manage {writer} write {reader} read by self write by anonymous auth by * none"
        ),
        format!(
            "to attrs=pwdHistory \
             {undo} manage {writer} write {reader} read by * none"
        ),
        format!("to * {undo} manage {writer} write {reader} read by self read by * none"),
    ]);
    rules
}

fn put_access(text: &mut String, rules: &[String]) {
    for (index, rule) in rules.iter().enumerate() {
        put!(text, "olcAccess: {{{index}}}{rule}");
    }
}

fn put_limits(text: &mut String, inputs: &Inputs<'_>) {
    let suffix = inputs.flavour.suffix();
    if inputs.bends.bare {
        return;
    }
    for role in [Role::Reader, Role::Writer, Role::Undo] {
        let size = match (role, inputs.bends.reader_size_limit) {
            // Without size.prtotal the bound of paged searches would be another one.
            (Role::Reader, Some(limit)) => format!("size={limit} size.prtotal={limit}"),
            _ => "size=unlimited".to_owned(),
        };
        put!(text, "olcLimits: dn.exact=\"{}\" {size} time=unlimited", role.dn(suffix));
    }
}

fn put_storage(text: &mut String, inputs: &Inputs<'_>, subdirectory: &str) {
    put!(text, "olcDbDirectory: {}", inputs.directory.join(subdirectory).display());
    put!(text, "olcDbMaxSize: {DATABASE_BYTES}");
    if !inputs.bends.durable {
        put!(text, "olcDbEnvFlags: nosync");
    }
    if inputs.bends.write_map {
        put!(text, "olcDbEnvFlags: writemap");
    }
}

fn main_database(inputs: &Inputs<'_>) -> String {
    let suffix = inputs.flavour.suffix();
    let mut text = String::from(
        "dn: olcDatabase={1}mdb,cn=config\nobjectClass: olcDatabaseConfig\n\
         objectClass: olcMdbConfig\nolcDatabase: {1}mdb\n",
    );
    put!(text, "olcSuffix: {suffix}");
    put_storage(&mut text, inputs, MAIN_DATABASE);
    put!(text, "olcRootDN: {}", Role::Root.dn(suffix));
    if let Some(hash) = inputs.credentials.hashes.get(&Role::Root) {
        put!(text, "olcRootPW: {hash}");
    }
    put!(text, "olcDbIndex: {INDEXED}");
    if !inputs.bends.without_last_bind {
        put!(text, "olcLastBind: TRUE");
    }
    put_limits(&mut text, inputs);
    match inputs.bends.bare {
        true => put_access(&mut text, &BARE_RULES.map(str::to_owned)),
        false => put_access(&mut text, &access_rules(suffix, &inputs.bends.withheld)),
    }
    for line in &inputs.bends.database_attributes {
        put!(text, "{line}");
    }
    text.push('\n');
    text
}

fn overlay_entry(inputs: &Inputs<'_>, index: usize, overlay: Overlay) -> String {
    let name = overlay.module();
    let mut text = String::new();
    put!(
        text,
        "dn: olcOverlay={{{index}}}{name},olcDatabase={{1}}mdb,cn=config\n\
         objectClass: olcOverlayConfig\nolcOverlay: {{{index}}}{name}"
    );
    match overlay {
        Overlay::AccessLog => {
            put!(
                text,
                "objectClass: olcAccessLogConfig\nolcAccessLogDB: cn=accesslog\n\
                 olcAccessLogOps: writes\nolcAccessLogOld: (objectClass=*)"
            );
        }
        Overlay::Policy => {
            let lockout = if inputs.bends.hide_lockout { "FALSE" } else { "TRUE" };
            put!(
                text,
                "objectClass: olcPPolicyConfig\n\
                 olcPPolicyDefault: cn=default,ou=policies,{}\n\
                 olcPPolicyHashCleartext: TRUE\nolcPPolicyUseLockout: {lockout}",
                inputs.flavour.suffix()
            );
        }
        Overlay::MemberOf => {
            // Without its own referential integrity, as it is by default: in the shared store
            // references to a deleted entry stay.
            put!(text, "objectClass: olcMemberOfConfig");
        }
        Overlay::SyncProvider => {
            put!(text, "objectClass: olcSyncProvConfig");
        }
        Overlay::ReferentialIntegrity => {
            put!(text, "objectClass: olcRefintConfig");
            for attribute in REFERENCES {
                put!(text, "olcRefintAttribute: {attribute}");
            }
        }
    }
    text.push('\n');
    text
}

fn access_log_database(inputs: &Inputs<'_>) -> String {
    let suffix = inputs.flavour.suffix();
    let mut text = String::from(
        "dn: olcDatabase={2}mdb,cn=config\nobjectClass: olcDatabaseConfig\n\
         objectClass: olcMdbConfig\nolcDatabase: {2}mdb\nolcSuffix: cn=accesslog\n",
    );
    put_storage(&mut text, inputs, LOG_DATABASE);
    // Its password is in the main database: olcRootPW must be below the suffix.
    put!(text, "olcRootDN: {}", Role::Root.dn(suffix));
    put!(text, "olcDbIndex: objectClass,entryCSN,reqStart,reqEnd,reqResult,reqDN eq");
    put_limits(&mut text, inputs);
    put_access(&mut text, &[format!("to *{} by * none", inputs.granted(&[(Role::Undo, "manage"), (Role::Reader, "read")]))]);
    text.push('\n');
    text
}

fn monitor_database(inputs: &Inputs<'_>) -> String {
    let number = match inputs.flavour {
        Flavour::Shared => 3,
        Flavour::Independent => 2,
    };
    let mut text = String::new();
    put!(
        text,
        "dn: olcDatabase={{{number}}}monitor,cn=config\nobjectClass: olcDatabaseConfig\n\
         objectClass: olcMonitorConfig\nolcDatabase: {{{number}}}monitor\n\
         olcAccess: {{0}}to *{} by * none\n",
        inputs.granted(&[(Role::Reader, "read"), (Role::Config, "read")])
    );
    text
}
