//! What must hold of any bytes that a server sends, for the tests of this crate and for the fuzzer (`scripts/fuzz`); not there in any
//! other build.

#[path = "../../../fuzz/properties/ldap.rs"]
mod property;

pub use property::check;
#[cfg(test)]
pub(crate) use property::{by_ldap3, decoded};
#[cfg(test)]
use property::{connection, is_complete};

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

    fn string(text: &str) -> Vec<u8> {
        element(OCTET_STRING, text.as_bytes())
    }

    fn result() -> Vec<u8> {
        [element(ENUMERATED, &[0]), string("dc=x"), string("said")].concat()
    }

    fn entry() -> Vec<u8> {
        let values = element(SET, &[string("a"), string("b")].concat());
        [string("cn=a,dc=x"), element(SEQUENCE, &element(SEQUENCE, &[string("cn"), values].concat()))].concat()
    }

    fn answer(id: u32, operation: u8, content: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &[element(INTEGER, &unsigned(id)), element(operation, content)].concat())
    }

    #[test]
    fn a_server_that_answers_everything_is_heard() {
        let first = FIRST_ID.unsigned_abs();
        let answers = [
            answer(1, op::DELETED, &result()),
            answer(first, op::ENTRY, &entry()),
            answer(2, op::EXTENDED_DONE, &result()),
            answer(first + 1, op::ENTRY, &entry()),
            answer(first + 1, op::SEARCH_DONE, &result()),
            answer(first, op::SEARCH_DONE, &result()),
        ];
        for piece in [1, 7, usize::MAX] {
            let ended = connection(&answers.concat(), piece);
            assert!(ended.deleted.is_ok() && ended.extended.is_ok(), "{ended:?}");
            assert_eq!(ended.gathered, Ok([&answers[3][..], &answers[4]].concat()));
            assert_eq!(ended.streamed.0, [&answers[1][..], &answers[5]].concat());
            assert!(is_complete(&ended.streamed.0));
        }
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let first = FIRST_ID.unsigned_abs();
        let id = prop_oneof![Just(1), Just(2), Just(first), Just(first + 1), Just(0), Just(3)];
        let operation = prop_oneof![
            Just((op::DELETED, result())),
            Just((op::EXTENDED_DONE, result())),
            Just((op::SEARCH_DONE, result())),
            Just((op::ENTRY, entry())),
            Just((op::REFERENCE, string("ldap://other.example"))),
            Just((op::INTERMEDIATE, Vec::new())),
        ];
        (id, operation).prop_map(|(id, (kind, content))| answer(id, kind, &content))
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
