//! What is done to a connection, and how people write it.

use std::fmt;
use std::str::FromStr;

/// Who sends the bytes that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The program: requests.
    Client,
    /// The server: answers.
    Server,
}

/// When a fault strikes a connection: after so many bytes of this sender, counted for each connection from when it was opened or
/// the fault was set, whichever came later. 0: at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// How many bytes still pass.
    pub bytes: u64,
    /// Whose.
    pub sender: Sender,
}

/// What happens to each connection, open or new, until the fault is lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Both ends are closed in order (FIN).
    Cut(After),
    /// Both ends are reset (RST).
    Reset(After),
    /// Nothing passes any more, either way; what was held back goes on when the fault is lifted.
    Stall(After),
    /// The server's end is closed and the client is not told: what it sends is swallowed, for good.
    HalfOpen(After),
    /// So many bytes a second pass, each way.
    Trickle(u32),
    /// The server seems to send something hostile in place of an answer, and nothing after it. Only without TLS, and to be set
    /// while no answer is on its way.
    Hostile {
        /// What it sends.
        what: Hostile,
        /// How many answers pass before.
        after_answers: u64,
    },
}

/// Something that a server must not send in place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hostile {
    /// The answer with all bytes inverted behind its message id.
    Corrupt,
    /// A message of 48 MiB whose last byte never comes.
    Endless,
    /// A message of as many elements, each inside the one before.
    Bomb,
    /// The answer to a request that nobody has sent.
    WrongId,
    /// The answer with a length that is not told beforehand (`0x80`), which LDAP forbids (RFC 4511, section 5.1).
    Indefinite,
    /// A message that says that it is 3 GiB long.
    Huge,
    /// The answer with an inner length that leads out of it.
    Lying,
}

impl Hostile {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("corrupt", Self::Corrupt),
        ("endless", Self::Endless),
        ("bomb", Self::Bomb),
        ("wrong-id", Self::WrongId),
        ("indefinite", Self::Indefinite),
        ("huge", Self::Huge),
        ("lying", Self::Lying),
    ];
}

/// A text that names no fault.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is no fault; write 'cut|reset|stall|half-open BYTES client|server', 'trickle BYTES_PER_SECOND', or \
     'corrupt|endless|bomb|wrong-id|indefinite|huge|lying ANSWERS' (the last without TLS)"
)]
pub struct FaultError(String);

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let fault = match words[..] {
            [name, bytes, sender] => {
                let sender = match sender {
                    "client" => Some(Sender::Client),
                    "server" => Some(Sender::Server),
                    _ => None,
                };
                sender.zip(bytes.parse().ok()).and_then(|(sender, bytes)| {
                    let after = After { bytes, sender };
                    match name {
                        "cut" => Some(Self::Cut(after)),
                        "reset" => Some(Self::Reset(after)),
                        "stall" => Some(Self::Stall(after)),
                        "half-open" => Some(Self::HalfOpen(after)),
                        _ => None,
                    }
                })
            }
            ["trickle", rate] => rate.parse().ok().filter(|rate| *rate > 0).map(Self::Trickle),
            [name, answers] => {
                let what = Hostile::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, what)| what);
                what.zip(answers.parse().ok()).map(|(what, after_answers)| Self::Hostile { what, after_answers })
            }
            _ => None,
        };
        fault.ok_or_else(|| FaultError(text.to_owned()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, after) = match self {
            Self::Cut(after) => ("cut", after),
            Self::Reset(after) => ("reset", after),
            Self::Stall(after) => ("stall", after),
            Self::HalfOpen(after) => ("half-open", after),
            Self::Trickle(rate) => return write!(f, "trickle {rate}"),
            Self::Hostile { what, after_answers } => {
                let name = Hostile::ALL.iter().find(|(_, known)| known == what).map_or("", |(name, _)| name);
                return write!(f, "{name} {after_answers}");
            }
        };
        let sender = match after.sender {
            Sender::Client => "client",
            Sender::Server => "server",
        };
        write!(f, "{name} {} {sender}", after.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_back_as_they_are_written() {
        let after = After { bytes: 1000, sender: Sender::Server };
        let hostile = Hostile::ALL.map(|(_, what)| Fault::Hostile { what, after_answers: 3 });
        let others = [Fault::Cut(after), Fault::Reset(after), Fault::Stall(after), Fault::HalfOpen(after), Fault::Trickle(10)];
        for fault in hostile.into_iter().chain(others) {
            assert_eq!(fault.to_string().parse::<Fault>().unwrap(), fault);
        }
        for text in ["", "cut", "cut 5", "cut x client", "cut 5 nobody", "trickle 0", "bomb", "bomb -1", "cut 5 client now"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
