//! A secret held in memory: wiped when dropped, printed never.
//!
//! Deliberately knows nothing of where secrets come from; whoever resolves a reference hands the bytes in.

use std::fmt;

use zeroize::Zeroizing;

/// A bind password or another secret. It has no `Display`, no serialization, and its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

/// The secret is empty. A simple bind with an empty password is an *unauthenticated* bind (RFC 4513, section 5.1.2): servers
/// answer it with success without checking anything, so it is refused before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty; a server would take it for an anonymous login; check the file, variable or command it comes from")]
pub struct EmptySecret;

impl Secret {
    /// The secret with these bytes.
    ///
    /// # Errors
    /// [`EmptySecret`] if there are none.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, EmptySecret> {
        let bytes = Zeroizing::new(bytes.into());
        if bytes.is_empty() { Err(EmptySecret) } else { Ok(Self(bytes)) }
    }

    /// The bytes, for the one place that sends or compares them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_secret_is_refused_and_none_is_ever_printed() {
        assert_eq!(Secret::new("").unwrap_err(), EmptySecret);
        let secret = Secret::new("correct horse").unwrap();
        assert_eq!(secret.expose(), b"correct horse");
        assert!(!format!("{secret:?}").contains("horse"));
    }
}
