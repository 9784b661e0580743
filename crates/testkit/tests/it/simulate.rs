//! Seeds that once broke an invariant, each with what was wrong; they must hold for ever.

use untether_testkit::simulate::{run, run_without_desk};

#[test]
fn seeds_that_once_failed_hold() {
    let seeds = [
        (6136, "an approval of a round that was given before somebody came into it counted for them"),
        (6929, "who was rolled back alone was taken to stand with its batch"),
        (
            7243,
            "an undo that was carried out in part counted as not carried out: the account was open and the ledger said disabled",
        ),
        (7905, "a stage whose approval was taken back went on when the run was started again"),
        (9025, "who was left disabled by a rollback, and came back, lost the new account in the next one and had none"),
    ];
    for (seed, what) in seeds {
        if let Err(failure) = run_without_desk(seed) {
            panic!("{what}: {failure}");
        }
    }
    let with_desk = [
        (1079, "a credential that was issued between the two halves of a rollback stayed behind it"),
        (2265, "an account whose batch waits for another order was expected to be looked at before that had ended"),
        (2865, "who joined a stage under way was not asked for its gates, and lost the last working login"),
        (4426, "what was forced and went again in the same way could not be forced again"),
        (25_604, "who was behind when the whole batch was rolled back went on with it and left a stage out"),
        (21_338, "somebody was disabled by force while a rollback was under way, which then closed the own account"),
        (19_030, "whose own account had been closed meanwhile was disabled by force and had no login left"),
        (
            74_220,
            "within the second of its end, an account that was given its password back before its lock was taken for a login",
        ),
        (35_047, "what a rollback in part had left open of a later stage kept an earlier one from ending"),
        (67_630, "a group that an earlier rollback had emptied and could not delete was deleted without an intent"),
        (61_338, "what one rollback left disabled and the next gave back was taken for a change"),
        (7061, "a manager who is protected, given back with the record of whom a rollback restores, was taken for touched"),
        (44_659, "a lock that had been given up landed after the rollback that took it back, where all was as before it"),
        (
            104_642,
            "a lock that was given up landed after the next try had been refused, and a rollback left it as somebody else's",
        ),
        (77_452, "whoever was parked before a rollback, of which the store refused a part, was expected to be as before"),
        (41_212, "a manager's name that a rollback had given back, and that went with the entry of who left next, was missed"),
        (6898, "a rollback that took nothing back could not be asked for again within the same tick of the clock"),
    ];
    for (seed, what) in with_desk {
        if let Err(failure) = run(seed) {
            panic!("{what}: {failure}");
        }
    }
}
