//! Plan files from any bytes that a fuzzer kept (`fuzz/corpus`).

#[path = "../../../../fuzz/properties/plan.rs"]
mod plan;
#[path = "../../../../fuzz/properties/replay.rs"]
mod replay;

#[test]
fn corpora_hold() {
    replay::replay("plan", plan::check);
}
