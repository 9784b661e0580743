//! Request controls, encoded here: what is sent never goes through a textual filter, so no value needs escaping and none can
//! make ldap3 panic on a filter that it cannot parse.

use ldap3::controls::{Control as Answer, RawControl};
use untether_directory::{Condition, Control};
use untether_model::{AttrName, Value};

use crate::ber::{INTEGER, OCTET_STRING, SEQUENCE, element, put, unsigned};

/// The operational attribute that holds an entry's stable id (RFC 4530).
pub(crate) const STABLE_ID: &str = "entryUUID";
/// The operational attribute that changes with each write to the entry itself.
pub(crate) const CHANGE_MARKER: &str = "entryCSN";
/// ManageDsaIT (RFC 3296).
const MANAGE_DSA_IT: &str = "2.16.840.1.113730.3.4.2";
/// Transaction specification (RFC 5805): the control that puts an operation into a transaction.
const TRANSACTION: &str = "1.3.6.1.1.21.2";

const AND: u8 = 0xa0;
const NOT: u8 = 0xa2;
const EQUALITY: u8 = 0xa3;
const PRESENT: u8 = 0x87;

fn control(oid: &str, critical: bool, value: Option<Vec<u8>>) -> RawControl {
    RawControl { ctype: oid.to_owned(), crit: critical, val: value }
}

fn put_equality(out: &mut Vec<u8>, attr: &str, value: &[u8]) {
    let mut assertion = element(OCTET_STRING, attr.as_bytes());
    put(&mut assertion, OCTET_STRING, value);
    put(out, EQUALITY, &assertion);
}

/// The condition as a critical assertion: `(&(entryUUID=…)(entryCSN=…)(attr=value)…(!(attr=*)))`.
///
/// A filter cannot say "no further values": an attribute with more values than the listed ones satisfies it too.
pub(crate) fn assertion(condition: &Condition) -> RawControl {
    let mut parts = Vec::new();
    if let Some(id) = &condition.stable_id {
        put_equality(&mut parts, STABLE_ID, id.as_str().as_bytes());
    }
    if let Some(marker) = &condition.change_marker {
        put_equality(&mut parts, CHANGE_MARKER, marker.as_bytes());
    }
    for (attr, values) in &condition.attrs {
        if values.is_empty() {
            put(&mut parts, NOT, &element(PRESENT, attr.as_str().as_bytes()));
        }
        for value in values {
            put_equality(&mut parts, attr.as_str(), value.as_bytes());
        }
    }
    control(Control::ASSERTION, true, Some(element(AND, &parts)))
}

/// Asks the server to return, of this attribute, only the listed values.
pub(crate) fn matched_values(attr: &AttrName, values: &[Value]) -> RawControl {
    let mut items = Vec::new();
    for value in values {
        put_equality(&mut items, attr.as_str(), value.as_bytes());
    }
    control(Control::MATCHED_VALUES, true, Some(element(SEQUENCE, &items)))
}

/// An equality filter as text, for a search (`ldap3` takes searches' filters as text).
pub(crate) fn equality_filter(attr: &str, value: &str) -> String {
    format!("({attr}={})", ldap3::ldap_escape(value))
}

/// `AttributeSelection` (RFC 4511, section 4.5.1.8).
pub(crate) fn attribute_list(attrs: &[AttrName]) -> Vec<u8> {
    let mut list = Vec::new();
    for attr in attrs {
        put(&mut list, OCTET_STRING, attr.as_str().as_bytes());
    }
    element(SEQUENCE, &list)
}

/// The entry as it was before.
pub(crate) fn pre_read(attrs: &[AttrName]) -> RawControl {
    control(Control::PRE_READ, true, Some(attribute_list(attrs)))
}

/// The entry as it is afterwards.
pub(crate) fn post_read(attrs: &[AttrName]) -> RawControl {
    control(Control::POST_READ, true, Some(attribute_list(attrs)))
}

/// One page of a search.
pub(crate) fn paged(size: u32, cookie: &[u8]) -> RawControl {
    let mut parts = element(INTEGER, &unsigned(size));
    put(&mut parts, OCTET_STRING, cookie);
    control(Control::PAGED_RESULTS, true, Some(element(SEQUENCE, &parts)))
}

/// Referral objects are treated as entries.
pub(crate) fn manage_dsa_it() -> RawControl {
    control(MANAGE_DSA_IT, false, None)
}

/// Rules are relaxed: attributes that users may not modify are accepted.
pub(crate) fn relax() -> RawControl {
    control(Control::RELAX, true, None)
}

/// The server checks and changes nothing.
pub(crate) fn no_op() -> RawControl {
    control(Control::NO_OP, true, None)
}

/// Asks, for each entry of a search, whether its account can be used.
pub(crate) fn account_usability() -> RawControl {
    control(Control::ACCOUNT_USABILITY, false, None)
}

/// Asks for the password policy's reasons in the answer to a bind.
pub(crate) fn password_policy() -> RawControl {
    control(Control::PASSWORD_POLICY, false, None)
}

/// Puts an operation into the transaction with this identifier.
pub(crate) fn in_transaction(id: &[u8]) -> RawControl {
    control(TRANSACTION, true, Some(id.to_vec()))
}

/// The value of the answering control of this kind.
pub(crate) fn answer<'a>(controls: &'a [Answer], oid: &str) -> Option<&'a [u8]> {
    controls.iter().find(|c| c.1.ctype == oid).map(|c| c.1.val.as_deref().unwrap_or_default())
}

/// A filter that each entry satisfies, for searches of one entry.
pub(crate) const ANY_ENTRY: &str = "(objectClass=*)";

#[cfg(test)]
mod tests {
    use super::*;
    use untether_model::StableId;

    #[test]
    fn a_condition_holds_values_as_they_are_and_absence() {
        let condition = Condition {
            stable_id: Some(StableId::new("id")),
            attrs: vec![("cn".into(), vec!["a)(*\\".into()]), ("sn".into(), Vec::new())],
            change_marker: None,
        };
        let sent = assertion(&condition);
        let expected = [
            &b"\xa0\x27"[..],
            b"\xa3\x0f\x04\x09entryUUID\x04\x02id",
            b"\xa3\x0b\x04\x02cn\x04\x05a)(*\\",
            b"\xa2\x04\x87\x02sn",
        ]
        .concat();
        assert!(sent.crit);
        let value = sent.val.unwrap();
        assert_eq!(value[2..], expected[2..]);
        assert_eq!(usize::from(value[1]), value.len() - 2);
    }

    #[test]
    fn an_escaped_filter_is_one_that_ldap3_reads() {
        assert!(ldap3::parse_filter(equality_filter(STABLE_ID, "a)(b=*\\")).is_ok());
    }
}
