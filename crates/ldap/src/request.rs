//! Requests that are encoded here: searches (RFC 4511, section 4.5.1) and writes (sections 4.6 to 4.8). All others are ldap3's.

use std::collections::HashSet;

use ldap3::asn1::{ASNTag as _, write};
use ldap3::controls::RawControl;
use untether_directory::{Failure, Outcome, Scope};
use untether_model::change::{Change, ModKind};
use untether_model::{AttrName, Dn, Value};
use zeroize::Zeroizing;

use crate::ber::{BOOLEAN, ENUMERATED, INTEGER, OCTET_STRING, SEQUENCE, SET, element, put, unsigned};
use crate::controls::attribute_list;
use crate::message::{op, request};
use crate::outcome::Subject;

/// Filters nested deeper than this are refused: parsing one recurses.
const DEEPEST_FILTER: usize = 64;

/// A filter (RFC 4515) in its encoded form.
#[derive(Clone, Debug)]
pub(crate) struct Filter(Vec<u8>);

impl Filter {
    /// Reads the written form; refuses what is no filter.
    pub(crate) fn parse(subject: Subject<'_>, text: &str) -> Outcome<Self> {
        let refused = || {
            subject
                .error(Failure::Invalid, format!("'{text}' is not a filter"))
                .with_hint("write it as RFC 4515 says, with \\28, \\29, \\2a and \\5c for ( ) * and \\ in values")
        };
        if depth(text) > DEEPEST_FILTER {
            return Err(refused());
        }
        let tag = ldap3::parse_filter(text).map_err(|()| refused())?;
        let mut encoded = Default::default();
        write::encode_into(&mut encoded, tag.into_structure()).map_err(|_| refused())?;
        Ok(Self(encoded.to_vec()))
    }
}

fn depth(filter: &str) -> usize {
    let mut depth = 0_usize;
    let mut deepest = 0_usize;
    for byte in filter.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// A search.
#[derive(Clone, Debug)]
pub(crate) struct SearchRequest<'a> {
    pub(crate) base: &'a Dn,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a Filter,
    pub(crate) attrs: &'a [AttrName],
    /// At most this many entries; 0 for as many as the server gives.
    pub(crate) size_limit: u32,
    pub(crate) controls: &'a [RawControl],
}

impl SearchRequest<'_> {
    /// The message with this id. Aliases are never followed, and the server sets the limit of time.
    pub(crate) fn encode(&self, id: i32) -> Vec<u8> {
        let scope = match self.scope {
            Scope::Base => 0,
            Scope::One => 1,
            Scope::Subtree => 2,
        };
        let mut parts = element(OCTET_STRING, self.base.as_str().as_bytes());
        put(&mut parts, ENUMERATED, &[scope]);
        put(&mut parts, ENUMERATED, &[0]);
        put(&mut parts, INTEGER, &unsigned(self.size_limit));
        put(&mut parts, INTEGER, &unsigned(0));
        put(&mut parts, BOOLEAN, &[0]);
        parts.extend_from_slice(&self.filter.0);
        parts.extend(attribute_list(self.attrs));
        request(id, &element(op::SEARCH, &parts), self.controls)
    }
}

/// The message with this id that asks for a write.
pub(crate) fn write(id: i32, change: &Change, controls: &[RawControl]) -> Zeroizing<Vec<u8>> {
    let mut parts = element(OCTET_STRING, change.dn().as_str().as_bytes());
    let operation = match change {
        Change::Delete { dn } => element(op::DELETE, dn.as_str().as_bytes()),
        Change::Add { attrs, .. } => {
            let mut list = Vec::new();
            for (attr, values) in attrs {
                put_attribute(&mut list, attr, values);
            }
            put(&mut parts, SEQUENCE, &list);
            element(op::ADD, &parts)
        }
        Change::Modify { mods, .. } => {
            let mut list = Vec::new();
            for modification in mods {
                let kind = match modification.kind {
                    ModKind::Add => 0,
                    ModKind::Delete => 1,
                    ModKind::Replace => 2,
                };
                let mut one = element(ENUMERATED, &[kind]);
                put_attribute(&mut one, &modification.attr, &modification.values);
                put(&mut list, SEQUENCE, &one);
            }
            put(&mut parts, SEQUENCE, &list);
            element(op::MODIFY, &parts)
        }
    };
    request(id, &operation, controls).into()
}

/// An attribute with its values, each once.
fn put_attribute(out: &mut Vec<u8>, attr: &AttrName, values: &[Value]) {
    let mut set = Vec::new();
    let mut seen = HashSet::with_capacity(values.len());
    for value in values.iter().filter(|value| seen.insert(value.as_bytes())) {
        put(&mut set, OCTET_STRING, value.as_bytes());
    }
    let mut parts = element(OCTET_STRING, attr.as_str().as_bytes());
    put(&mut parts, SET, &set);
    put(out, SEQUENCE, &parts);
}
