//! Injected faults: what the caller is told, and what really happened.

use untether_directory::twin::Identity::{Reader, Writer};
use untether_directory::twin::{Fault, Faults, ReadAttempt, ReadFault, WriteAttempt};
use untether_directory::{Condition, Failure, Read, WriteOptions};
use untether_model::change::Change;

use super::*;

fn sn(value: &str) -> Change {
    Change::Modify { dn: dn("uid=a,ou=people"), mods: vec![replace("sn", &[value])] }
}

fn world(fault: Fault) -> World {
    let world = World::new();
    world.person("a", &[]);
    // The person was the first write.
    world.twin.set_faults(move |write: &WriteAttempt<'_>| if write.number == 1 { fault } else { Fault::Proceed });
    world
}

fn told(world: &World) -> Failure {
    world.apply(Writer, &sn("new"), &WriteOptions::default()).unwrap_err().failure
}

#[test]
fn a_lost_request_changes_nothing_and_a_lost_reply_hides_a_change() {
    let lost = world(Fault::Fail(Failure::Unknown));
    assert_eq!((told(&lost), lost.text("uid=a,ou=people", "sn").as_deref()), (Failure::Unknown, Some("y")));
    let busy = world(Fault::Fail(Failure::Busy));
    assert_eq!((told(&busy), busy.text("uid=a,ou=people", "sn").as_deref()), (Failure::Busy, Some("y")));
    // As the client takes the same codes of a server: a referral, a limit, the schema.
    for (code, failure) in [(10, Failure::Refused), (11, Failure::Busy), (52, Failure::Busy), (65, Failure::Refused)] {
        let answered = world(Fault::Refuse(code));
        let error = answered.apply(Writer, &sn("new"), &WriteOptions::default()).unwrap_err();
        assert_eq!((error.failure, error.code), (failure, Some(code)));
        assert_eq!(answered.text("uid=a,ou=people", "sn").as_deref(), Some("y"));
    }
    let applied = world(Fault::LoseReply);
    assert_eq!((told(&applied), applied.text("uid=a,ou=people", "sn").as_deref()), (Failure::Unknown, Some("new")));
    applied.apply(Writer, &sn("newer"), &WriteOptions::default()).unwrap();
}

#[test]
fn a_late_write_lands_under_its_own_condition() {
    for (meanwhile, lands) in [(None, true), (Some("other"), false)] {
        let world = world(Fault::ApplyLater);
        let condition = Condition { attrs: vec![("sn".into(), vec!["y".into()])], ..Condition::default() };
        let options = WriteOptions { condition: Some(condition), ..WriteOptions::default() };
        assert_eq!(world.apply(Writer, &sn("late"), &options).unwrap_err().failure, Failure::Unknown);
        assert_eq!(world.text("uid=a,ou=people", "sn").as_deref(), Some("y"));
        if let Some(value) = meanwhile {
            world.apply(Writer, &sn(value), &WriteOptions::default()).unwrap();
        }
        let landed = world.twin.land_late_writes();
        assert_eq!(landed.len(), 1);
        assert_eq!(landed[0].is_ok(), lands);
        assert_eq!(world.text("uid=a,ou=people", "sn").as_deref(), Some(if lands { "late" } else { "other" }));
        assert!(world.twin.land_late_writes().is_empty());
    }
}

struct BlindTo(&'static str);

impl Faults for BlindTo {
    fn on_read(&self, read: &ReadAttempt<'_>) -> Option<ReadFault> {
        (read.operation == self.0).then_some(ReadFault::Fail(Failure::Unreachable))
    }
}

#[test]
fn reads_fail_one_kind_at_a_time() {
    let world = World::new();
    world.twin.set_faults(BlindTo("read"));
    let read = || block_on(world.handle(Reader).read(&dn(""), &[]));
    assert_eq!(read().unwrap_err().failure, Failure::Unreachable);
    assert!(block_on(world.handle(Reader).present(&dn(""), &"dc".into(), &["own".into()])).is_ok());
    world.twin.clear_faults();
    assert!(read().is_ok());
}
