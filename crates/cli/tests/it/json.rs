//! With `--json`, standard output carries JSON alone, whatever happens.

use crate::support::World;

#[test]
fn every_command_writes_json_lines_and_nothing_else() {
    let world = World::new(80);
    let plan = world.planned();
    let wave = format!("{plan}/retire");
    let signer = world.signer(0);
    let signed =
        |words: &[&str]| -> Vec<String> { words.iter().map(|w| (*w).to_owned()).chain(signer.iter().cloned()).collect() };
    let subject = world.planned_people("retire").remove(0).subject;
    let plain = |words: &[&str]| -> Vec<String> { words.iter().map(|w| (*w).to_owned()).collect() };
    let batch = format!("{wave}/b01");
    let commands = [
        // What is well.
        (plain(&["doctor"]), 0),
        (plain(&["audit"]), 0),
        (plain(&["findings"]), 0),
        (plain(&["findings", "--explain", "all"]), 0),
        (plain(&["roster", "check"]), 0),
        (plain(&["snapshot", "list"]), 0),
        (plain(&["snapshot", "diff"]), 0),
        (plain(&["plan", "show"]), 0),
        (plain(&["plan", "lint"]), 0),
        (plain(&["rehearse"]), 0),
        (signed(&["approve", &wave, "--through", "soak", "--reason", "x"]), 0),
        (plain(&["run", "--wave", "retire"]), 0),
        (plain(&["run", "--wave", "retire", "--execute"]), 4),
        (plain(&["gate", "list"]), 0),
        (plain(&["status"]), 0),
        (plain(&["subject", "show", &subject]), 0),
        (plain(&["rollback", "--batch", &batch]), 0),
        (plain(&["pause", "--reason", "x"]), 0),
        (plain(&["resume", "--reason", "x"]), 0),
        (plain(&["throttle", "8"]), 0),
        (plain(&["retry", "--wave", &wave]), 0),
        (plain(&["report", "--lang", "ja", "--format", "json"]), 0),
        (plain(&["state", "check"]), 0),
        // What is not.
        (plain(&["run", "--wave", "nobody", "--execute"]), 2),
        (plain(&["subject", "show", "nobody at all"]), 2),
        (plain(&["findings", "--rule", "no.such"]), 2),
        (plain(&["rollback", "--batch", "x/y/z"]), 2),
        (plain(&["approve", &wave, "--as", "nobody"]), 2),
        (plain(&["plan", "show", "--plan", "0000000000"]), 2),
        (plain(&["plan", "diff"]), 2),
        (plain(&["snapshot", "diff", "nobody"]), 2),
    ];
    for (words, code) in commands {
        let words: Vec<&str> = std::iter::once("--json").chain(words.iter().map(String::as_str)).collect();
        let ran = world.run(&words).expect(code);
        for row in ran.rows() {
            assert!(row.is_object(), "{words:?}: {row}");
        }
        assert!(code != 2 || !ran.stderr.is_empty(), "{words:?} says why");
        assert!(code != 0 || !ran.stdout.is_empty(), "{words:?} says nothing");
        assert!(!ran.said().contains('\u{1b}'), "{words:?}: colours without a terminal");
    }
}
