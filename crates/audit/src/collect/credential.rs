//! Credential values: which attributes hold them, and what is kept of them. The values themselves end here.

use std::collections::HashMap;

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use untether_model::auth::PasswordShape;
use untether_model::policy::CredentialAttributes;
use untether_model::snapshot::{CredentialKind, CredentialMark};
use untether_model::{AttrName, Value};

/// Makes keyed marks of values: equal for equal values of one name, and telling nothing else. Crate `ledger` has one.
pub trait Marker: Send + Sync {
    /// The mark of a value of this attribute.
    fn mark(&self, attribute: &str, value: &[u8]) -> String;
}

/// The name under which normalized credential values are marked, whatever attribute they stand in: so a history value compares with
/// a current one, and one store with the other.
const NORMALIZED: &str = "untether:credential";

/// Attributes that hold credential material, by type in lower case.
const BUILT_IN: [(&str, CredentialKind); 32] = [
    ("userpassword", CredentialKind::Password),
    ("authpassword", CredentialKind::Password),
    ("unixuserpassword", CredentialKind::Password),
    ("sambacleartextpassword", CredentialKind::Password),
    ("sambapreviouscleartextpassword", CredentialKind::Password),
    ("unicodepwd", CredentialKind::Password),
    ("shadowpassword", CredentialKind::Password),
    ("oathsecret", CredentialKind::Password),
    ("pwdhistory", CredentialKind::History),
    ("passwordhistory", CredentialKind::History),
    ("sambapasswordhistory", CredentialKind::History),
    ("krbprincipalkey", CredentialKind::KerberosKey),
    ("krb5key", CredentialKind::KerberosKey),
    ("krbextradata", CredentialKind::KerberosKey),
    ("krbpwdhistory", CredentialKind::KerberosKey),
    ("krbmkey", CredentialKind::KerberosKey),
    ("supplementalcredentials", CredentialKind::KerberosKey),
    ("sambantpassword", CredentialKind::NtHash),
    ("sambalmpassword", CredentialKind::NtHash),
    ("ntuserntpassword", CredentialKind::NtHash),
    ("ipanthash", CredentialKind::NtHash),
    ("dbcspwd", CredentialKind::NtHash),
    ("ntpwdhistory", CredentialKind::NtHash),
    ("sshpublickey", CredentialKind::SshKey),
    ("ipasshpubkey", CredentialKind::SshKey),
    ("usercertificate", CredentialKind::Certificate),
    ("usersmimecertificate", CredentialKind::Certificate),
    ("msds-keycredentiallink", CredentialKind::Certificate),
    ("altsecurityidentities", CredentialKind::Certificate),
    ("userpkcs12", CredentialKind::Pkcs12),
    ("ds-pta-cached-password", CredentialKind::CachedRemote),
    ("olcrootpw", CredentialKind::Password),
];

/// Password schemes that salt: equal values were copied.
const SALTED: [&str; 14] = [
    "SMD5",
    "SSHA",
    "SSHA1",
    "SSHA224",
    "SSHA256",
    "SSHA384",
    "SSHA512",
    "CRYPT",
    "BCRYPT",
    "SCRYPT",
    "ARGON2",
    "BSDMD5",
    "APR1",
    "NS-MTA-MD5",
];

/// Schemes whose payload is a digest in base64 (or, from other servers, in hexadecimal).
const DIGESTS: [&str; 16] = [
    "MD5", "SMD5", "SHA", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SSHA", "SSHA1", "SSHA224", "SSHA256", "SSHA384",
    "SSHA512", "NT", "LANMAN",
];

/// Which attributes hold credential material.
#[derive(Clone, Debug)]
pub struct Credentials(HashMap<String, CredentialKind>);

impl Credentials {
    /// The attributes, by type in lower case, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The built-in attributes and the configured ones.
    pub fn new(configured: &CredentialAttributes) -> Self {
        let mut kinds: HashMap<String, CredentialKind> =
            BUILT_IN.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        let lists = [
            (&configured.password, CredentialKind::Password),
            (&configured.history, CredentialKind::History),
            (&configured.kerberos_key, CredentialKind::KerberosKey),
            (&configured.nt_hash, CredentialKind::NtHash),
            (&configured.ssh_key, CredentialKind::SshKey),
            (&configured.certificate, CredentialKind::Certificate),
            (&configured.pkcs12, CredentialKind::Pkcs12),
            (&configured.cached_remote, CredentialKind::CachedRemote),
        ];
        for (names, kind) in lists {
            kinds.extend(names.iter().map(|name| (name.base().to_owned(), kind)));
        }
        Self(kinds)
    }

    /// What kind of credential material the attribute holds, options ignored; `None` for others.
    pub fn kind(&self, attr: &AttrName) -> Option<CredentialKind> {
        self.0.get(attr.base()).copied()
    }

    /// What is kept of a value.
    pub fn mark(&self, marker: &dyn Marker, attr: &AttrName, kind: CredentialKind, value: &Value) -> CredentialMark {
        let bytes = value.as_bytes();
        let material = if kind == CredentialKind::History { history_data(bytes) } else { bytes };
        let is_password = matches!(kind, CredentialKind::Password | CredentialKind::History);
        let none = PasswordShape { scheme: None, clear: false, pass_through: false, realm: None };
        let shape = if is_password { PasswordShape::of(material) } else { none };
        CredentialMark {
            attr: attr.clone(),
            kind,
            salted: shape.scheme.as_deref().is_some_and(is_salted),
            normalized: marker.mark(NORMALIZED, &normalize(kind, &shape, material)),
            exact: marker.mark(attr.folded(), bytes),
            scheme: shape.scheme,
            clear: shape.clear,
            realm: shape.realm,
            pass_through: shape.pass_through,
        }
    }
}

fn is_salted(scheme: &str) -> bool {
    SALTED.contains(&scheme) || scheme.starts_with("PBKDF2")
}

/// The stored value within a value of `pwdHistory`: `time#syntax#length#data` (draft-behera-ldap-password-policy, section 5.3.7).
/// Other forms are taken whole.
fn history_data(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    for _ in 0..3 {
        match rest.iter().position(|b| *b == b'#') {
            Some(at) => rest = rest.get(at + 1..).unwrap_or_default(),
            None => return bytes,
        }
    }
    rest
}

/// The form in which equal credentials are equal: scheme without case, hexadecimal without case, base64 decoded, `{CLEARTEXT}x` as
/// plain `x`. Each form begins with what it is, so that a clear text never equals another's digest.
fn normalize(kind: CredentialKind, shape: &PasswordShape, value: &[u8]) -> Vec<u8> {
    match kind {
        CredentialKind::Password | CredentialKind::History => {
            let payload = match shape.scheme {
                Some(_) => value.iter().position(|b| *b == b'}').and_then(|end| value.get(end + 1..)).unwrap_or_default(),
                None => value,
            };
            let scheme = shape.scheme.as_deref().filter(|_| !shape.clear).unwrap_or("clear");
            let decoded = if DIGESTS.contains(&scheme) { decode(payload) } else { payload.to_vec() };
            tagged(scheme, &decoded)
        }
        CredentialKind::NtHash => tagged("NT", &decode(value)),
        CredentialKind::KerberosKey => tagged("kerberos", value),
        CredentialKind::SshKey => tagged("ssh", &ssh_key(value)),
        CredentialKind::Certificate => tagged("certificate", value),
        CredentialKind::Pkcs12 => tagged("pkcs12", value),
        CredentialKind::CachedRemote => tagged("cached", value),
    }
}

fn tagged(tag: &str, value: &[u8]) -> Vec<u8> {
    let mut out = tag.as_bytes().to_vec();
    out.push(0);
    out.extend_from_slice(value);
    out
}

/// Hexadecimal of at least 16 bytes, else base64 with or without padding, else the bytes as they are.
fn decode(payload: &[u8]) -> Vec<u8> {
    let trimmed = payload.trim_ascii();
    if trimmed.len() >= 32
        && let Ok(bytes) = HEXLOWER_PERMISSIVE.decode(trimmed)
    {
        return bytes;
    }
    BASE64.decode(trimmed).or_else(|_| BASE64_NOPAD.decode(trimmed)).unwrap_or_else(|_| payload.to_vec())
}

/// The key itself: `type base64 comment`, without options before it and the comment after it.
fn ssh_key(value: &[u8]) -> Vec<u8> {
    let words = value.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty());
    words
        .filter(|w| w.starts_with(b"AAAA"))
        .find_map(|w| BASE64.decode(w).or_else(|_| BASE64_NOPAD.decode(w)).ok())
        .unwrap_or_else(|| value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks that can be read: what was marked, in hexadecimal.
    struct Plain;

    impl Marker for Plain {
        fn mark(&self, attribute: &str, value: &[u8]) -> String {
            format!("{attribute}:{}", data_encoding::HEXLOWER.encode(value))
        }
    }

    fn mark(attr: &str, value: &str) -> CredentialMark {
        let credentials = Credentials::new(&CredentialAttributes::default());
        let attr = AttrName::new(attr);
        let kind = credentials.kind(&attr).unwrap();
        credentials.mark(&Plain, &attr, kind, &Value::from(value))
    }

    #[test]
    fn equal_credentials_are_equal_whatever_their_spelling() {
        let same = |a: (&str, &str), b: (&str, &str)| mark(a.0, a.1).normalized == mark(b.0, b.1).normalized;
        let current = ("userPassword", "{SSHA}zKwuQgQx8u9zsZ8sYHqmcXNhbHQ=");
        assert!(same(current, ("userPassword", "{ssha}zKwuQgQx8u9zsZ8sYHqmcXNhbHQ")), "scheme without case, padding");
        assert!(same(
            current,
            ("pwdHistory", "20260101000000Z#1.3.6.1.4.1.1466.115.121.1.40#34#{SSHA}zKwuQgQx8u9zsZ8sYHqmcXNhbHQ=")
        ));
        assert!(!same(current, ("userPassword", "{SSHA}ZKwuQgQx8u9zsZ8sYHqmcXNhbHQ=")), "base64 has case");
        assert!(!same(current, ("userPassword", "{SHA}zKwuQgQx8u9zsZ8sYHqmcXNhbHQ=")), "another scheme");
        assert!(same(("userPassword", "{CLEARTEXT}Secret"), ("userPassword", "Secret")));
        assert!(!same(("userPassword", "secret"), ("userPassword", "Secret")));
        assert!(same(("sambaNTPassword", "0CB6948805F797BF2A82807973B89537"), ("ipaNTHash", "0cb6948805f797bf2a82807973b89537")));
        assert!(same(
            ("userPassword", "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
            ("userPassword", "{SHA}DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"),
        ));
        assert!(!same(("userPassword", "{CRYPT}$6$Ab$x"), ("userPassword", "{CRYPT}$6$ab$x")));
        assert!(same(("sshPublicKey", "ssh-ed25519 AAAAC3Nz me@a"), ("ipaSshPubKey", "ssh-ed25519 AAAAC3Nz")));
    }

    #[test]
    fn what_is_kept_tells_scheme_salt_and_realm_and_not_the_secret() {
        let salted = mark("userPassword", "{sSHa512}abcd");
        assert_eq!((salted.scheme.as_deref(), salted.salted, salted.clear), (Some("SSHA512"), true, false));
        assert!(!mark("userPassword", "{SHA}abcd").salted);
        assert!(mark("userPassword", "{PBKDF2-SHA256}1$a$b").salted);
        let passed = mark("userPassword", "{SASL}taro@SHARED.EXAMPLE");
        assert_eq!((passed.pass_through, passed.realm.as_deref()), (true, Some("SHARED.EXAMPLE")));
        let clear = mark("userPassword", "secret");
        assert_eq!((clear.clear, clear.scheme), (true, None));
        let history = mark("pwdHistory", "20260101000000Z#1.3.6.1.4.1.1466.115.121.1.40#6#secret");
        assert!(history.clear && history.kind == CredentialKind::History);
        assert_eq!(mark("userPassword", "x").exact, "userpassword:78");
        assert_eq!(mark("userCertificate;binary", "x").kind, CredentialKind::Certificate);
    }

    #[test]
    fn configured_attributes_are_added_to_the_built_in_ones() {
        let configured = CredentialAttributes { password: vec!["labSecret".into()], ..Default::default() };
        let credentials = Credentials::new(&configured);
        assert_eq!(credentials.kind(&"LABSECRET".into()), Some(CredentialKind::Password));
        assert_eq!(credentials.kind(&"userPassword".into()), Some(CredentialKind::Password));
        assert_eq!(credentials.kind(&"mail".into()), None);
    }
}
