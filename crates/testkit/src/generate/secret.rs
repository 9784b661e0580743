//! Values of `userPassword` in several schemes, made from a key, and their clear texts.
//!
//! Nothing here is a secret of anybody: all passwords are derived from the seed. `{CRYPT}` and
//! `{ARGON2}` values are constants, because their computation is slow on purpose.

use data_encoding::{BASE32_NOPAD, BASE64};
use sha1::{Digest, Sha1};
use sha2::Sha512;

/// `{CRYPT}` values (SHA-512, 1,000 rounds) with their clear texts.
const CRYPT: [(&str, &str); 3] = [
    (
        "$6$rounds=1000$lab8mxlINWm$qpYJWA7iNmFS4Qn.r4rKl94.j3YL8Fbc6x5yqkNPJUn1PFl9tgV5YaL5aBDQ..cw8Lqo5X12PZp5tojsRhX4L1",
        "lab-crypt-1",
    ),
    (
        "$6$rounds=1000$labJzXRFJ.Z$kzgcazzZ649q93BEFmycQ0IqdA2nyccgK7yQzqDWBK4H/ACNWP8T5s3Ecr0xxXVHTYOKPp37qp9vTYSjZ5hYU1",
        "lab-crypt-2",
    ),
    (
        "$6$rounds=1000$labtgntj2CJ$EOG7uInhX7/MDqEj0TZx4lpTxGxh0aYKeEUyd6i9rtRpQp/4eq1tmqcCSDFbLRsZJJ/L4Mnaee/qjqVWZM9m/0",
        "lab-crypt-3",
    ),
];

/// `{ARGON2}` values as the module argon2 of OpenLDAP makes them, with their clear texts.
const ARGON2: [(&str, &str); 3] = [
    ("$argon2i$v=19$m=4096,t=3,p=1$1DIonknfj7EYMO9z4R/EjA$dmJ9BD50Wk8U+wFYwbWlUARPEjPRq09+y5+s83n6gN8", "lab-argon2-1"),
    ("$argon2i$v=19$m=4096,t=3,p=1$DF2ZLXjTIR/F+obwr/q3Eg$7CMIpEV86yDQNXhqINBcKPlM4JB3ADG0Zg/H7/f8868", "lab-argon2-2"),
    ("$argon2i$v=19$m=4096,t=3,p=1$zILt2KwnhxF8ujxgmxUHyA$t4A6kC3XSbrAnUUA+BgJlStaYlwWVEfui4sW+8PnkQc", "lab-argon2-3"),
];

/// How a password value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Salted SHA-1.
    Ssha,
    /// Salted SHA-512 (module pw-sha2).
    Ssha512,
    /// SHA-1 without salt.
    Sha,
    /// crypt(3).
    Crypt,
    /// Argon2 (module argon2).
    Argon2,
    /// Clear text without a scheme.
    Plain,
    /// Clear text with the scheme `{CLEARTEXT}`. slapd 2.5 lets nobody in by a simple bind with it (its table of
    /// schemes has no check for this one), so no label may depend on whether such an account is open.
    Cleartext,
    /// `{SASL}name@realm`.
    Sasl(&'static str),
    /// The same with the scheme in small letters and another case of the realm.
    SaslMixedCase(&'static str),
    /// `{SASL}name` without a realm.
    SaslBare,
    /// `{KERBEROS}name@realm`.
    Kerberos(&'static str),
    /// `{RADIUS}name`.
    Radius,
    /// `{UNIX}name`.
    Unix,
}

/// A password value before it is written out: two equal values are written alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Secret {
    /// Scheme of the value.
    pub scheme: Scheme,
    /// What the password and the salt are derived from.
    pub key: u64,
    /// Login that pass-through schemes name.
    pub login: String,
}

impl Secret {
    /// Clear text of the password; `None` where another server knows it.
    pub(super) fn clear(&self) -> Option<String> {
        match self.scheme {
            Scheme::Crypt => Some(constant(&CRYPT, self.key).1.to_owned()),
            Scheme::Argon2 => Some(constant(&ARGON2, self.key).1.to_owned()),
            Scheme::Ssha | Scheme::Ssha512 | Scheme::Sha | Scheme::Plain | Scheme::Cleartext => Some(self.password()),
            Scheme::Sasl(_)
            | Scheme::SaslMixedCase(_)
            | Scheme::SaslBare
            | Scheme::Kerberos(_)
            | Scheme::Radius
            | Scheme::Unix => None,
        }
    }

    /// The value as `userPassword` holds it.
    pub(super) fn value(&self) -> String {
        let login = &self.login;
        match self.scheme {
            Scheme::Ssha => {
                let salt = self.salt();
                let mut digest = Sha1::new().chain_update(self.password()).chain_update(salt).finalize().to_vec();
                digest.extend_from_slice(&salt);
                format!("{{SSHA}}{}", BASE64.encode(&digest))
            }
            Scheme::Ssha512 => {
                let salt = self.salt();
                let mut digest = Sha512::new().chain_update(self.password()).chain_update(salt).finalize().to_vec();
                digest.extend_from_slice(&salt);
                format!("{{SSHA512}}{}", BASE64.encode(&digest))
            }
            Scheme::Sha => format!("{{SHA}}{}", BASE64.encode(&Sha1::digest(self.password()))),
            Scheme::Crypt => format!("{{CRYPT}}{}", constant(&CRYPT, self.key).0),
            Scheme::Argon2 => format!("{{ARGON2}}{}", constant(&ARGON2, self.key).0),
            Scheme::Plain => self.password(),
            Scheme::Cleartext => format!("{{CLEARTEXT}}{}", self.password()),
            Scheme::Sasl(realm) => format!("{{SASL}}{login}@{realm}"),
            Scheme::SaslMixedCase(realm) => format!("{{sasl}}{login}@{}", realm.to_lowercase()),
            Scheme::SaslBare => format!("{{SASL}}{login}"),
            Scheme::Kerberos(realm) => format!("{{KERBEROS}}{login}@{realm}"),
            Scheme::Radius => format!("{{RADIUS}}{login}"),
            Scheme::Unix => format!("{{UNIX}}{login}"),
        }
    }

    fn password(&self) -> String {
        let digest = Sha1::new().chain_update(b"password").chain_update(self.key.to_be_bytes()).finalize();
        format!("Lab-{}", BASE32_NOPAD.encode(&digest[..10]))
    }

    fn salt(&self) -> [u8; 8] {
        let digest = Sha1::new().chain_update(b"salt").chain_update(self.key.to_be_bytes()).finalize();
        let mut salt = [0; 8];
        salt.copy_from_slice(&digest[..8]);
        salt
    }
}

fn constant(table: &[(&'static str, &'static str); 3], key: u64) -> (&'static str, &'static str) {
    table[(key % 3) as usize]
}
