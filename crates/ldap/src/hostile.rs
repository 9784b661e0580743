//! What must hold of any bytes that a server sends, for the tests of this crate and for the fuzzer (`scripts/fuzz`); not there in any
//! other build.

#[path = "../../../fuzz/properties/ldap.rs"]
mod property;

pub use property::check;
#[cfg(test)]
pub(crate) use property::{by_ldap3, decoded};

#[cfg(test)]
#[path = "../../../fuzz/properties/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::answers::FIRST_ID;
    use crate::ber::{ENUMERATED, INTEGER, OCTET_STRING, SEQUENCE, SET, element, unsigned};
    use crate::message::op;

    #[test]
    fn corpora_hold() {
        replay::replay("ldap", check);
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let string = |text: &'static str| element(OCTET_STRING, text.as_bytes());
        let result = [element(ENUMERATED, &[0]), string("dc=x"), string("said")].concat();
        let values = element(SET, &[string("a"), string("b")].concat());
        let attributes = element(SEQUENCE, &element(SEQUENCE, &[string("cn"), values].concat()));
        let entry = [string("cn=a,dc=x"), attributes].concat();
        let first = FIRST_ID.unsigned_abs();
        let id = prop_oneof![Just(1), Just(2), Just(first), Just(first + 1), Just(0), Just(3)];
        let operation = prop_oneof![
            Just((op::DELETED, result.clone())),
            Just((op::EXTENDED_DONE, result.clone())),
            Just((op::SEARCH_DONE, result)),
            Just((op::ENTRY, entry)),
            Just((op::REFERENCE, string("ldap://other.example"))),
            Just((op::INTERMEDIATE, Vec::new())),
        ];
        (id, operation).prop_map(|(id, (kind, content))| {
            element(SEQUENCE, &[element(INTEGER, &unsigned(id)), element(kind, &content)].concat())
        })
    }

    proptest! {
        #[test]
        fn whatever_answers_come_in_whatever_pieces(
            pieces in any::<u8>(),
            messages in proptest::collection::vec(message(), 0..8),
            changed in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            missing in 0..40_usize,
        ) {
            let mut bytes = [vec![pieces], messages.concat()].concat();
            if let Some((at, by)) = changed {
                let at = at.index(bytes.len());
                bytes[at] = by;
            }
            bytes.truncate(bytes.len().saturating_sub(missing.saturating_sub(20)));
            check(&bytes);
        }
    }
}
