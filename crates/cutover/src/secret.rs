//! One-time secrets and their hashes, made on our side so that equality is bytewise.

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::{BASE32_NOPAD, BASE64, BASE64_NOPAD};
use sha1::{Digest as _, Sha1};
use sha2::Sha512;
use untether_model::Value;
use untether_model::policy::HashScheme;
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

/// The value to store for this secret.
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
            // A random secret of 100 bits needs no stretching; the parameters are libsodium's interactive ones, cut to 8 MiB.
            let params = Params::new(8 * 1024, 1, 1, Some(32)).map_err(|e| failed(&e))?;
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let mut output = [0_u8; 32];
            argon.hash_password_into(secret.as_bytes(), &salt, &mut output).map_err(|e| failed(&e))?;
            format!("{{ARGON2}}$argon2id$v=19$m=8192,t=1,p=1${}${}", BASE64_NOPAD.encode(&salt), BASE64_NOPAD.encode(&output))
        }
    };
    Ok(Value::from(text))
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
