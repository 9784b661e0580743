//! What is handed to the journal.

use std::borrow::Cow;

/// A part of the state as it is from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The part's key.
    pub key: Vec<u8>,
    /// Its value; `None` removes the part.
    pub value: Option<Vec<u8>>,
}

impl Put {
    /// The part has this value.
    pub fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: Some(value.into()) }
    }

    /// There is no such part any more.
    pub fn remove(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), value: None }
    }
}

/// A record, and what it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The record's kind.
    pub kind: Cow<'static, str>,
    /// Its body as JSON.
    pub body_json: String,
    /// The parts of the state that it changes.
    pub puts: Vec<Put>,
}
