//! Frames from any bytes, and a ledger after any damage, as a fuzzer kept them (`fuzz/corpus`).

#[path = "../../../../fuzz/properties/ledger.rs"]
mod ledger;
#[path = "../../../../fuzz/properties/replay.rs"]
mod replay;

#[test]
fn corpora_hold() {
    replay::replay("ledger", ledger::check);
}

/// Each kind of edit at each place of each file.
#[test]
fn one_edit_anywhere_is_seen_or_does_no_harm() {
    for what in 0..9 {
        for file in 0..6 {
            for at in (0..1000_u16).step_by(37) {
                let [high, low] = at.to_be_bytes();
                ledger::check(&[2, what, file, high, low, 0x21]);
            }
        }
    }
}
