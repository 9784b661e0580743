//! Exports and filters from any bytes that a fuzzer kept (`fuzz/corpus`), and from generated text that is nearly a filter.

use proptest::prelude::*;

#[path = "../../../../fuzz/properties/filter.rs"]
mod filter;
#[path = "../../../../fuzz/properties/ldif.rs"]
mod ldif;
#[path = "../../../../fuzz/properties/replay.rs"]
mod replay;

#[test]
fn corpora_hold() {
    replay::replay("ldif", ldif::check);
    replay::replay("filter", filter::check);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_accepted_as_a_filter_is_written_back_equal(text in "\\(([&|!]?(\\((cn|uid|member)[~<>]?=[a-z*\\\\28é ]{0,6}\\) ?){0,3}|[a-z;]{1,3}=[^()]{0,8})\\)") {
        filter::check(text.as_bytes());
    }

    #[test]
    fn what_is_accepted_as_an_export_is_written_back_equal(text in "(version: 1\n\n)?((dn|DN)::? ?(dc=x|ZGM9eA==)\n(([a-z;-]{1,5}::? ?[ -~]{0,9}\n( [ -~]{0,4}\n)?)|#.{0,5}\n){0,4}\n){0,3}") {
        ldif::check(text.as_bytes());
    }
}
