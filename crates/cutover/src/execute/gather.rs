//! Gathers questions that are asked at about the same time into one: whoever is about to ask takes along who comes before that. While one
//! is under way, those that come wait and go together in the next, at once when they are as many as go together. So nobody waits for
//! company longer than for an answer, and a store that is asked much is asked seldom.
//!
//! There is no task behind it: whoever asks first asks for the others as well, and hands that on when they are on their way.

use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use untether_directory::Outcome;

/// Most questions that go together: servers bound the size of a search, and of its answer.
pub(super) const TOGETHER: usize = 64;

/// How many of them may be under way at the same time, so that distance to the server does not add up.
const UNDER_WAY: u32 = 8;

/// What comes to somebody who waits.
enum Turn<A> {
    /// The answer.
    Answer(A),
    /// Nobody asks for the others any more: it is their turn to do that.
    Ask,
}

struct Waiting<Q, A> {
    question: Q,
    turn: oneshot::Sender<Turn<A>>,
}

struct Queue<Q, A> {
    waiting: VecDeque<Waiting<Q, A>>,
    under_way: u32,
    /// Somebody is about to ask, and takes those along who come before.
    gathering: bool,
}

/// Questions of one kind.
pub(super) struct Gathering<Q, A>(Mutex<Queue<Q, A>>);

impl<Q, A> Default for Gathering<Q, A> {
    fn default() -> Self {
        Self(Mutex::new(Queue { waiting: VecDeque::new(), under_way: 0, gathering: false }))
    }
}

impl<Q, A> Queue<Q, A> {
    /// Whether whoever comes now is to ask, and not to wait: nobody asks, or as many wait as go together.
    fn takes_turn(&mut self) -> bool {
        let enough = self.under_way == 0 || self.waiting.len() >= TOGETHER - 1;
        let free = enough && !self.gathering && self.under_way < UNDER_WAY;
        if free {
            self.under_way += 1;
            self.gathering = true;
        }
        free
    }

    /// Whoever waits longest asks next; whoever has given up is passed over.
    fn pass_on(&mut self) {
        while !self.waiting.is_empty() && self.takes_turn() {
            let taken = self.waiting.pop_front().is_some_and(|next| next.turn.send(Turn::Ask).is_ok());
            if taken {
                return;
            }
            self.under_way -= 1;
            self.gathering = false;
        }
    }
}

/// The turn to ask: counts as a question that is under way, also where its asker is dropped.
struct UnderWay<'a, Q, A> {
    of: &'a Gathering<Q, A>,
    gathers: bool,
}

impl<'a, Q, A> UnderWay<'a, Q, A> {
    fn begin(of: &'a Gathering<Q, A>) -> Self {
        Self { of, gathers: true }
    }

    /// Takes along who waits. From now on the next one may gather.
    fn take_along(&mut self) -> Vec<Waiting<Q, A>> {
        let mut queue = self.of.lock();
        let count = queue.waiting.len().min(TOGETHER - 1);
        let taken = queue.waiting.drain(..count).collect();
        self.gathers = false;
        queue.gathering = false;
        queue.pass_on();
        taken
    }
}

impl<Q, A> Drop for UnderWay<'_, Q, A> {
    fn drop(&mut self) {
        let mut queue = self.of.lock();
        queue.under_way = queue.under_way.saturating_sub(1);
        queue.gathering &= !self.gathers;
        queue.pass_on();
    }
}

/// The place of somebody who waits. Who is dropped when it is their turn to ask hands that on.
struct Place<'a, Q, A> {
    gathering: &'a Gathering<Q, A>,
    turn: oneshot::Receiver<Turn<A>>,
}

impl<Q, A> Drop for Place<'_, Q, A> {
    fn drop(&mut self) {
        if let Ok(Turn::Ask) = self.turn.try_recv() {
            drop(UnderWay::begin(self.gathering));
        }
    }
}

impl<Q: Clone, A> Gathering<Q, A> {
    /// Asks a question, together with others that are asked meanwhile. `ask` answers several in their order.
    pub(super) async fn ask<F>(&self, question: Q, ask: impl Fn(Vec<Q>) -> F) -> Option<A>
    where
        F: Future<Output = Vec<A>>,
    {
        let place = {
            let mut queue = self.lock();
            if queue.takes_turn() {
                None
            } else {
                let (turn, mine) = oneshot::channel();
                queue.waiting.push_back(Waiting { question: question.clone(), turn });
                Some(Place { gathering: self, turn: mine })
            }
        };
        if let Some(mut place) = place {
            match (&mut place.turn).await {
                Ok(Turn::Answer(answer)) => return Some(answer),
                Ok(Turn::Ask) => {}
                Err(_) => return None,
            }
        }
        let mut under_way = UnderWay::begin(self);
        // Whoever is ready to ask does so before this one goes on.
        tokio::task::yield_now().await;
        let (mut questions, mut turns) = (vec![question], Vec::new());
        for Waiting { question, turn } in under_way.take_along() {
            questions.push(question);
            turns.push(turn);
        }
        let mut answers = ask(questions).await.into_iter();
        let own = answers.next();
        for (turn, answer) in turns.into_iter().zip(answers) {
            // Somebody who no longer waits needs no answer.
            drop(turn.send(Turn::Answer(answer)));
        }
        drop(under_way);
        own
    }
}

impl<Q, A> Gathering<Q, A> {
    fn lock(&self) -> MutexGuard<'_, Queue<Q, A>> {
        // Nothing that runs under this lock panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gatherings by what is the same in all their questions.
pub(super) type Gatherings<K, Q, A> = Mutex<BTreeMap<K, Arc<Gathering<Q, A>>>>;

/// The gathering of questions that have this in common.
pub(super) fn among<K, B, Q, A>(all: &Gatherings<K, Q, A>, common: &B) -> Arc<Gathering<Q, A>>
where
    K: Borrow<B> + Ord,
    B: ToOwned<Owned = K> + Ord + ?Sized,
{
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    match all.get(common) {
        Some(gathering) => Arc::clone(gathering),
        None => Arc::clone(all.entry(common.to_owned()).or_default()),
    }
}

/// An answer to several as one for each: whoever asked together gets the same error.
pub(super) fn shared<T>(answer: Outcome<Vec<T>>, count: usize) -> Vec<Outcome<T>> {
    match answer {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) => vec![error; count].into_iter().map(Err).collect(),
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    /// Doubles numbers, and keeps how many it was asked for at once.
    async fn doubled(asked: &Mutex<Vec<usize>>, numbers: Vec<u32>) -> Vec<u32> {
        asked.lock().unwrap().push(numbers.len());
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        numbers.into_iter().map(|n| n * 2).collect()
    }

    #[tokio::test]
    async fn everybody_gets_the_own_answer_and_few_are_asked_for() {
        let (gathering, asked) = (Gathering::default(), Mutex::new(Vec::new()));
        let answers = join_all((0..500_u32).map(|n| gathering.ask(n, |numbers| doubled(&asked, numbers)))).await;
        assert_eq!(answers, (0..500).map(|n| Some(n * 2)).collect::<Vec<_>>());
        let asked = asked.lock().unwrap();
        assert_eq!(asked.iter().sum::<usize>(), 500);
        assert!(asked.len() <= 500 / TOGETHER + 4 && asked.iter().all(|n| *n <= TOGETHER), "{asked:?}");
    }

    #[tokio::test]
    async fn while_one_is_under_way_the_next_wait_until_they_are_many_or_it_is_answered() {
        let (gathering, asked) = (Gathering::default(), Mutex::new(Vec::new()));
        let ask = |n: u32| Box::pin(gathering.ask(n, |numbers| doubled(&asked, numbers)));
        let mut first = ask(0);
        for _ in 0..2 {
            assert!(futures::poll!(first.as_mut()).is_pending());
        }
        let mut few: Vec<_> = (1..10).map(ask).collect();
        for asker in &mut few {
            assert!(futures::poll!(asker.as_mut()).is_pending());
        }
        assert_eq!(*asked.lock().unwrap(), [1], "they wait for the answer");
        let mut many: Vec<_> = (10..100).map(ask).collect();
        for _ in 0..2 {
            for asker in &mut many {
                assert!(futures::poll!(asker.as_mut()).is_pending());
            }
        }
        assert_eq!(*asked.lock().unwrap(), [1, TOGETHER], "as many as go together do not");
        // Whoever waits may be the one who asks next: all of them go on together.
        assert_eq!(join_all(std::iter::once(first).chain(few).chain(many)).await.len(), 100);
        assert_eq!(asked.lock().unwrap().iter().sum::<usize>(), 100);
        assert_eq!(asked.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn who_is_alone_is_asked_for_at_once() {
        let (gathering, asked) = (Gathering::default(), Mutex::new(Vec::new()));
        for n in 0..3 {
            assert_eq!(gathering.ask(n, |numbers| doubled(&asked, numbers)).await, Some(n * 2));
        }
        assert_eq!(*asked.lock().unwrap(), [1, 1, 1]);
    }

    #[tokio::test]
    async fn an_asker_that_is_dropped_keeps_nobody_waiting() {
        let (gathering, asked) = (Gathering::default(), Mutex::new(Vec::new()));
        let mut dropped: Vec<_> = (0..20_u32).map(|n| Box::pin(gathering.ask(n, |numbers| doubled(&asked, numbers)))).collect();
        // All have begun: one would ask, the others wait.
        for asker in &mut dropped {
            assert!(futures::poll!(asker.as_mut()).is_pending());
        }
        drop(dropped);
        assert_eq!(gathering.ask(7, |numbers| doubled(&asked, numbers)).await, Some(14));
    }
}
