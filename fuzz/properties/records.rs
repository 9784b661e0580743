//! Any lines as records of the ledger, `KIND BODY`: what is accepted is written back equal, and folding it never panics.

use jiff::Timestamp;
use untether_model::run::{Record, RunState, apply};

/// Folds lines as records.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut state = RunState::new();
    for (seq, line) in (1..).zip(text.lines()) {
        let Some((kind, body)) = line.split_once(' ') else { continue };
        let Ok(record) = Record::from_parts(kind, body) else { continue };
        let (kind, body) = record.to_parts().unwrap_or_else(|error| panic!("{error}"));
        assert!(Record::knows(&kind), "{kind}");
        let back = Record::from_parts(&kind, &body).unwrap_or_else(|error| panic!("{kind} {body}: {error}"));
        assert_eq!(back, record);
        match apply(&state, seq, Timestamp::UNIX_EPOCH, &record) {
            Ok(change) => state.commit(change),
            Err(illegal) => assert!(illegal.to_string().contains(&kind), "{illegal}"),
        }
    }
    // What a database keeps of the state is the state.
    let mut again = RunState::new();
    state.parts().into_iter().for_each(|part| again.put(part));
    assert_eq!(again, state);
}
