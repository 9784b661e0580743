//! Names, schemas and records from any bytes: generated ones, and those that a fuzzer kept (`fuzz/corpus`).

use proptest::prelude::*;

#[path = "../../../../fuzz/properties/dn.rs"]
mod dn;
#[path = "../../../../fuzz/properties/records.rs"]
mod records;
#[path = "../../../../fuzz/properties/replay.rs"]
mod replay;
#[path = "../../../../fuzz/properties/schema.rs"]
mod schema;

#[test]
fn corpora_hold() {
    replay::replay("dn", dn::check);
    replay::replay("schema", schema::check);
    replay::replay("records", records::check);
}

/// Text that is nearly a name.
fn nearly_names() -> impl Strategy<Value = String> {
    let value =
        prop_oneof!["[ -~]{0,8}", "\\PC{0,6}", "(\\\\[0-9a-f]{2}|\\\\[,+\"# ;<>=\\\\]|#[0-9a-f]{0,6}|\"[a,+ ]{0,4}\"){0,3}"];
    let ava = ("(cn|CN|2\\.5\\.4\\.3|commonName|uid|ou|dc|x-own;lang-ja)", " {0,2}", value)
        .prop_map(|(t, blank, v)| format!("{t}{blank}={v}"));
    let rdn = proptest::collection::vec(ava, 1..3).prop_map(|avas| avas.join("+"));
    let name = (proptest::collection::vec(rdn, 0..4), "(, ?| ;)").prop_map(|(rdns, separator)| rdns.join(&separator));
    proptest::collection::vec(name, 1..4).prop_map(|names| names.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn names_are_written_back_equal_and_equal_as_their_parts_are(text in nearly_names()) {
        dn::check(text.as_bytes());
    }

    #[test]
    fn any_bytes_are_a_value_of_a_name(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        dn::check(&bytes);
    }

    #[test]
    fn any_text_compares(text in "(\\PC{0,12}\n){0,3}") {
        schema::check(text.as_bytes());
    }
}
