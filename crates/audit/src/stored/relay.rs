//! Taking results in a thread of its own: writing, sorting and sealing them go on while the rules look at the next account.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use untether_model::finding::Finding;
use untether_model::matching::MatchCase;
use untether_model::snapshot::Subject;

use crate::collect::StoreFailure;
use crate::rules::Sink;

/// Results that are handed over at once.
const BATCH: usize = 128;

/// Bytes after which a batch is handed over, however few results it has: what is wrong with a large group can be long.
const BATCH_BYTES: usize = 256 << 10;

/// Batches that may wait: whoever makes results is never far ahead of whoever takes them.
const WAITING: usize = 2;

/// One result.
enum Made {
    Finding(Box<Finding>),
    Subject(Box<Subject>),
    Case(Box<MatchCase>),
}

impl Made {
    /// About how many bytes it takes; exact only for what can be many.
    fn bytes(&self) -> usize {
        match self {
            Self::Finding(finding) => {
                finding.evidence.facts.values().flatten().map(|value| value.len() + size_of::<String>()).sum()
            }
            Self::Subject(subject) => subject.accounts.len() * 512,
            Self::Case(case) => (1 + case.candidates.len()) * 4096,
        }
    }
}

/// Takes results for a sink that another thread feeds, in the order in which they were made.
pub struct Relay {
    batch: Vec<Made>,
    bytes: usize,
    sender: SyncSender<Vec<Made>>,
}

/// Runs `make` with a sink whose results come to `sink` in a thread of its own, and waits until all of them are there.
///
/// # Errors
/// What the sink says; it is then given nothing more, and `make` is told that nobody listens. Else what `make` says.
pub fn relayed<K, T, E>(sink: &mut K, make: impl FnOnce(&mut Relay) -> Result<T, E>) -> Result<Result<T, E>, StoreFailure>
where
    K: Sink<Error = StoreFailure> + Send,
{
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        let taking = std::thread::Builder::new().name("results".to_owned()).spawn_scoped(scope, move || take(sink, &receiver));
        let taking = taking.map_err(StoreFailure::writing)?;
        let mut relay = Relay { batch: Vec::with_capacity(BATCH), bytes: 0, sender };
        let made = make(&mut relay).map(|made| (made, relay.send()));
        drop(relay);
        taking.join().unwrap_or_else(|_| Err(nobody_listens()))?;
        match made {
            Ok((made, Ok(()))) => Ok(Ok(made)),
            Ok((_, Err(failure))) => Err(failure),
            Err(error) => Ok(Err(error)),
        }
    })
}

fn take(sink: &mut impl Sink<Error = StoreFailure>, made: &Receiver<Vec<Made>>) -> Result<(), StoreFailure> {
    made.iter().flatten().try_for_each(|made| match made {
        Made::Finding(finding) => sink.finding(*finding),
        Made::Subject(subject) => sink.subject(*subject),
        Made::Case(case) => sink.case(*case),
    })
}

fn nobody_listens() -> StoreFailure {
    StoreFailure::writing("the thread that takes the results ended early")
}

impl Relay {
    fn put(&mut self, made: Made) -> Result<(), StoreFailure> {
        self.bytes += made.bytes();
        self.batch.push(made);
        if self.batch.len() < BATCH && self.bytes < BATCH_BYTES { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<(), StoreFailure> {
        self.bytes = 0;
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.sender.send(batch).map_err(|_| nobody_listens())
    }
}

impl Sink for Relay {
    type Error = StoreFailure;

    fn finding(&mut self, finding: Finding) -> Result<(), StoreFailure> {
        self.put(Made::Finding(Box::new(finding)))
    }

    fn subject(&mut self, subject: Subject) -> Result<(), StoreFailure> {
        self.put(Made::Subject(Box::new(subject)))
    }

    fn case(&mut self, case: MatchCase) -> Result<(), StoreFailure> {
        self.put(Made::Case(Box::new(case)))
    }
}

#[cfg(test)]
mod tests {
    use untether_model::FindingId;
    use untether_model::finding::{Evidence, Place, Severity};

    use super::*;

    fn finding(number: u32) -> Finding {
        Finding {
            id: FindingId::new(number.to_string()),
            rule: "residual.orphan".to_owned(),
            severity: Severity::Low,
            store: Place::Shared,
            dn: None,
            stable_id: None,
            subject: None,
            entity: None,
            protected: false,
            evidence: Evidence::new(),
            remedy: String::new(),
        }
    }

    /// Keeps ids, and fails at the finding with this id.
    struct Kept(Vec<FindingId>, &'static str);

    impl Sink for Kept {
        type Error = StoreFailure;

        fn finding(&mut self, finding: Finding) -> Result<(), StoreFailure> {
            if finding.id.as_str() == self.1 {
                return Err(StoreFailure::writing("the disk is full"));
            }
            self.0.push(finding.id);
            Ok(())
        }

        fn subject(&mut self, _: Subject) -> Result<(), StoreFailure> {
            Ok(())
        }

        fn case(&mut self, _: MatchCase) -> Result<(), StoreFailure> {
            Ok(())
        }
    }

    fn make(relay: &mut Relay) -> Result<u32, StoreFailure> {
        (0..5000).try_for_each(|number| relay.finding(finding(number)))?;
        Ok(7)
    }

    #[test]
    fn results_come_in_order_and_all_of_them() {
        let mut kept = Kept(Vec::new(), "");
        assert_eq!(relayed(&mut kept, make).unwrap().unwrap(), 7);
        assert!(kept.0.iter().map(|id| id.as_str().parse::<u32>().unwrap()).eq(0..5000));
    }

    #[test]
    fn what_the_sink_says_is_the_error_wherever_it_fails() {
        for at in ["0", "130", "4999"] {
            let failed = relayed(&mut Kept(Vec::new(), at), make).unwrap_err();
            assert!(failed.source.to_string().contains("the disk is full"), "at {at}: {failed:?}");
        }
    }

    #[test]
    fn what_was_made_before_an_error_is_taken() {
        let mut kept = Kept(Vec::new(), "");
        let made = relayed(&mut kept, |relay| -> Result<(), &str> {
            (0..BATCH as u32 * 2).try_for_each(|number| relay.finding(finding(number))).unwrap();
            Err("the rules failed")
        });
        assert_eq!((made.unwrap(), kept.0.len()), (Err("the rules failed"), BATCH * 2));
    }
}
