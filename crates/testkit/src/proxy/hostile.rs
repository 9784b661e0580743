//! What a server must not send, made from what it did send.

use super::fault::Hostile;
use super::message::{SEQUENCE, head, whole};

/// What [`Hostile::Endless`] announces; less than a client's limit, or it would not wait for the end.
const ENDLESS: u32 = 48 << 20;
/// Levels of [`Hostile::Bomb`]; a recursive reader needs tens of megabytes of stack for them.
const LEVELS: u32 = 60_000;
const LONG: u8 = 0x84;

/// Cuts the answers of a server apart and counts them.
#[derive(Debug, Default)]
pub(super) struct Answers {
    epoch: u64,
    held: Vec<u8>,
    passed: u64,
}

/// What passes instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instead {
    /// The answers before, and what begins the hostile one.
    pub(super) bytes: Vec<u8>,
    /// As many zero bytes follow.
    pub(super) zeros: usize,
    /// The hostile one is among them; nothing may follow.
    pub(super) struck: bool,
}

impl Answers {
    /// Takes what the server sent: whole answers pass until so many have, and then something else comes.
    pub(super) fn take(&mut self, epoch: u64, what: Hostile, after_answers: u64, bytes: &[u8]) -> Instead {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        self.held.extend_from_slice(bytes);
        let mut instead = Instead { bytes: Vec::new(), zeros: 0, struck: false };
        while let Some(length) = whole(&self.held) {
            let answer: Vec<u8> = self.held.drain(..length).collect();
            if self.passed < after_answers {
                self.passed += 1;
                instead.bytes.extend(answer);
                continue;
            }
            let (bytes, zeros) = made(what, &answer);
            instead.bytes.extend(bytes);
            instead.zeros = zeros;
            instead.struck = true;
            break;
        }
        instead
    }
}

fn long(tag: u8, length: u32) -> Vec<u8> {
    let mut head = vec![tag, LONG];
    head.extend(length.to_be_bytes());
    head
}

fn sequence(content: &[u8]) -> Vec<u8> {
    let mut all = long(SEQUENCE, u32::try_from(content.len()).unwrap_or(u32::MAX));
    all.extend_from_slice(content);
    all
}

/// The hostile message, and how many zero bytes go on from there.
fn made(what: Hostile, answer: &[u8]) -> (Vec<u8>, usize) {
    let (outer, _) = head(answer).unwrap_or_default();
    let content = answer.get(outer..).unwrap_or_default();
    let (id, operation) = content.split_at_checked(whole(content).unwrap_or_default()).unwrap_or_default();
    match what {
        Hostile::Corrupt => {
            let inverted: Vec<u8> = operation.iter().map(|byte| !byte).collect();
            (sequence(&[id, &inverted].concat()), 0)
        }
        Hostile::Endless => {
            let begun = [&long(SEQUENCE, ENDLESS)[..], id].concat();
            let missing = usize::try_from(ENDLESS).unwrap_or(usize::MAX).saturating_sub(id.len() + 1);
            (begun, missing)
        }
        Hostile::Bomb => {
            let nested = (0..LEVELS).rev().flat_map(|inside| long(SEQUENCE, inside * 6));
            let tag = operation.first().copied().unwrap_or(SEQUENCE);
            let body: Vec<u8> = long(tag, LEVELS * 6).into_iter().chain(nested).collect();
            (sequence(&[id, &body].concat()), 0)
        }
        Hostile::WrongId => (sequence(&[&[2, 4, 0x3f, 0xff, 0xff, 0xfe], operation].concat()), 0),
        Hostile::Indefinite => ([&[SEQUENCE, 0x80], content, &[0, 0]].concat(), 0),
        Hostile::Huge => ([&long(SEQUENCE, 3 << 30)[..], content].concat(), 0),
        Hostile::Lying => {
            let mut lying = operation.to_vec();
            // The first element inside the operation gets the length of everything and more.
            let (inside, _) = head(operation).unwrap_or_default();
            if let Some(length) = lying.get_mut(inside + 1) {
                *length = 0x7f;
            }
            (sequence(&[id, &lying].concat()), 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to request 7: `ModifyResponse`, success.
    const ANSWER: [u8; 14] = [0x30, 12, 2, 1, 7, 0x67, 7, 0x0a, 1, 0, 4, 0, 4, 0];

    #[test]
    fn answers_pass_until_their_number_is_reached_wherever_they_are_cut() {
        let stream = ANSWER.repeat(3);
        for cut in 0..stream.len() {
            let mut answers = Answers::default();
            let first = answers.take(1, Hostile::WrongId, 2, &stream[..cut]);
            let second = answers.take(1, Hostile::WrongId, 2, &stream[cut..]);
            let passed = [first.bytes, second.bytes].concat();
            assert_eq!(passed[..28], stream[..28]);
            assert_eq!(passed[28..36], [0x30, 0x84, 0, 0, 0, 15, 2, 4]);
            assert!(second.struck && !first.struck, "{cut}");
        }
    }

    #[test]
    fn hostile_messages_are_what_they_claim() {
        let (bomb, _) = made(Hostile::Bomb, &ANSWER);
        assert_eq!(whole(&bomb), Some(bomb.len()));
        assert!(bomb.len() > 60_000 * 6);
        let (endless, zeros) = made(Hostile::Endless, &ANSWER);
        assert_eq!(endless.len() + zeros + 1, 6 + (48 << 20));
        let (corrupt, _) = made(Hostile::Corrupt, &ANSWER);
        assert_eq!(corrupt[6..11], [2, 1, 7, !0x67, !7]);
        let (lying, _) = made(Hostile::Lying, &ANSWER);
        assert_eq!(lying[9..13], [0x67, 7, 0x0a, 0x7f]);
    }
}
