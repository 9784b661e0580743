//! One-time secrets and their hashes, made on our side so that equality is bytewise.

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordVerifier as _, Version};
use data_encoding::{BASE32_NOPAD, BASE64, BASE64_NOPAD};
use sha1::{Digest as _, Sha1};
use sha2::{Sha256, Sha512};
use untether_model::Value;
use untether_model::auth::PasswordShape;
use untether_model::operation::HashScheme;
use zeroize::Zeroizing;

/// Why a secret could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a one-time secret could not be made: {0}")]
pub struct SecretError(String);

/// A random secret of `length` characters that are not mistaken for each other when read from paper, in groups of five.
pub fn generate(length: u8) -> Result<Zeroizing<String>, SecretError> {
    let length = usize::from(length.clamp(12, 64));
    let mut bytes = Zeroizing::new(vec![0_u8; length * 5 / 8 + 1]);
    getrandom::fill(&mut bytes).map_err(|e| SecretError(format!("the system's random source failed: {e}")))?;
    // Base32 in lower case: the digits 0, 1, 8 and 9 do not occur, so nothing looks like O, l or B.
    let encoded = Zeroizing::new(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase());
    let mut secret = Zeroizing::new(String::with_capacity(length + length / 5));
    for (i, c) in encoded.chars().take(length).enumerate() {
        if i > 0 && i % 5 == 0 {
            secret.push('-');
        }
        secret.push(c);
    }
    Ok(secret)
}

/// Random bits from which on a secret needs no stretching. Memory hardness slows down whoever tries likely passwords; here all are
/// equally likely, and 2^80 evaluations of any hash are out of reach. So such a secret gets the smallest parameters that libargon2,
/// and with it OpenLDAP's module `argon2`, accepts (8 KiB, one pass, one lane: `ARGON2_MIN_MEMORY`, RFC 9106, section 3.1). Neither
/// we nor the server, at each bind, spend megabytes and milliseconds on what protects nothing.
const UNGUESSABLE_BITS: usize = 80;

/// Bits that each character of a secret carries.
const BITS_A_CHARACTER: usize = 5;

/// Memory of an Argon2id hash, in KiB; a secret that was configured to be short gets 8 MiB.
fn memory_kib(secret: &str) -> u32 {
    let characters = secret.chars().filter(|c| *c != '-').count();
    if characters * BITS_A_CHARACTER >= UNGUESSABLE_BITS { Params::MIN_M_COST } else { 8 * 1024 }
}

/// The value to store for a secret of [`generate`].
pub fn hash(scheme: HashScheme, secret: &str) -> Result<Value, SecretError> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt).map_err(|e| SecretError(format!("the system's random source failed: {e}")))?;
    let text = match scheme {
        HashScheme::Ssha => {
            let digest = Sha1::new().chain_update(secret.as_bytes()).chain_update(salt).finalize();
            format!("{{SSHA}}{}", BASE64.encode(&[digest.as_slice(), salt.as_slice()].concat()))
        }
        HashScheme::Ssha512 => {
            let digest = Sha512::new().chain_update(secret.as_bytes()).chain_update(salt).finalize();
            format!("{{SSHA512}}{}", BASE64.encode(&[digest.as_slice(), salt.as_slice()].concat()))
        }
        HashScheme::Argon2id => {
            let failed = |e: &dyn std::fmt::Display| SecretError(format!("argon2: {e}"));
            let memory = memory_kib(secret);
            let params = Params::new(memory, 1, 1, Some(32)).map_err(|e| failed(&e))?;
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let mut output = [0_u8; 32];
            argon.hash_password_into(secret.as_bytes(), &salt, &mut output).map_err(|e| failed(&e))?;
            format!("{{ARGON2}}$argon2id$v=19$m={memory},t=1,p=1${}${}", BASE64_NOPAD.encode(&salt), BASE64_NOPAD.encode(&output))
        }
    };
    Ok(Value::from(text))
}

/// Whether a password that was given in clear text is what the server stores now: servers hash what they are given (OpenLDAP's
/// `olcPPolicyHashCleartext`), so the hash is checked against it on our side. A scheme that the server has no module for
/// (`{RADIUS}`, `{KERBEROS}`) is clear text to it, braces and all. Schemes that are not known here store nothing.
pub fn is_stored_as(clear: &Value, stored: &Value) -> bool {
    if clear == stored {
        return true;
    }
    let given = PasswordShape::of(clear.as_bytes());
    let Some(text) = stored.as_str() else { return false };
    let bytes = clear.as_bytes();
    let start =
        if given.clear && given.scheme.is_some() { bytes.iter().position(|b| *b == b'}').map_or(0, |end| end + 1) } else { 0 };
    let secret = bytes.get(start..).unwrap_or_default();
    let Some((scheme, encoded)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return false };
    let salted = |length: usize, digest: &dyn Fn(&[u8]) -> Vec<u8>| {
        let Ok(bytes) = BASE64.decode(encoded.as_bytes()) else { return false };
        bytes.split_at_checked(length).is_some_and(|(hash, salt)| digest(salt) == hash)
    };
    match scheme.to_ascii_uppercase().as_str() {
        "SHA" | "SSHA" => salted(20, &|salt| Sha1::new().chain_update(secret).chain_update(salt).finalize().to_vec()),
        "SHA256" | "SSHA256" => salted(32, &|salt| Sha256::new().chain_update(secret).chain_update(salt).finalize().to_vec()),
        "SHA512" | "SSHA512" => salted(64, &|salt| Sha512::new().chain_update(secret).chain_update(salt).finalize().to_vec()),
        "ARGON2" => PasswordHash::new(encoded).is_ok_and(|hash| Argon2::default().verify_password(secret, &hash).is_ok()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_hold_no_ambiguous_characters() {
        let a = generate(20).unwrap();
        assert_ne!(*a, *generate(20).unwrap());
        assert_eq!(a.chars().filter(|c| *c != '-').count(), 20);
        assert!(!a.chars().any(|c| matches!(c, '0' | '1' | '8' | '9')));
    }

    #[test]
    fn a_clear_password_is_found_in_what_the_server_made_of_it() {
        let clear = Value::from("花子の password");
        for scheme in [HashScheme::Ssha, HashScheme::Ssha512, HashScheme::Argon2id] {
            let stored = hash(scheme, "花子の password").unwrap();
            assert!(is_stored_as(&clear, &stored), "{scheme:?}");
            assert!(is_stored_as(&Value::from("{CLEARTEXT}花子の password"), &stored), "{scheme:?}");
            assert!(!is_stored_as(&Value::from("another"), &stored), "{scheme:?}");
            assert!(!is_stored_as(&stored, &hash(scheme, "花子の password").unwrap()), "two hashes are two values");
        }
        let foreign = "{RADIUS}taro.yamada";
        assert!(is_stored_as(&Value::from(foreign), &hash(HashScheme::Ssha, foreign).unwrap()), "no module: clear text");
        assert!(!is_stored_as(&Value::from(foreign), &hash(HashScheme::Ssha, "taro.yamada").unwrap()));
        assert!(!is_stored_as(&clear, &Value::from("{SSHA}not base64")));
        assert!(!is_stored_as(&clear, &Value::from("{SASL}花子の password")));
    }

    #[test]
    fn only_a_secret_that_could_be_guessed_is_stretched() {
        let parameters = |length| {
            let stored = hash(HashScheme::Argon2id, &generate(length).unwrap()).unwrap();
            stored.as_str().unwrap().split('$').nth(3).unwrap().to_owned()
        };
        assert_eq!(parameters(20), "m=8,t=1,p=1");
        assert_eq!(parameters(16), "m=8,t=1,p=1");
        assert_eq!(parameters(15), "m=8192,t=1,p=1");
    }

    #[test]
    fn hashes_are_salted_and_name_their_scheme() {
        for (scheme, prefix) in
            [(HashScheme::Ssha, "{SSHA}"), (HashScheme::Ssha512, "{SSHA512}"), (HashScheme::Argon2id, "{ARGON2}$argon2id$")]
        {
            let first = hash(scheme, "secret").unwrap();
            assert!(first.as_str().unwrap().starts_with(prefix));
            assert_ne!(first, hash(scheme, "secret").unwrap());
        }
    }
}
