//! Servers that were made to do harm, beyond what can be done to the answers of a real one: they bind everybody, and then send what
//! they like.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use untether_directory::{Failure, Read as _, Scope, Search};
use untether_ldap::{Client, Settings};
use untether_testkit::lab::{Flavour, Role};

use crate::world::*;

/// Words that the error must hold, and what is sent in answer to a request with this message id.
type Lie = (&'static str, fn(&[u8]) -> Vec<u8>);

const BIND: u8 = 0x60;
const EXTENDED: u8 = 0x77;

/// One element of BER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut all = vec![tag, 0x84];
    all.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
    all.extend_from_slice(content);
    all
}

/// A message with this id around an operation.
fn message(id: &[u8], operation: &[u8]) -> Vec<u8> {
    element(0x30, &[&element(2, id)[..], operation].concat())
}

/// A result of this operation.
fn result(tag: u8, code: u8, text: &str) -> Vec<u8> {
    element(tag, &[element(0x0a, &[code]), element(4, b""), element(4, text.as_bytes())].concat())
}

/// An entry without attributes.
fn entry(dn: &str) -> Vec<u8> {
    element(0x64, &[element(4, dn.as_bytes()), element(0x30, b"")].concat())
}

/// The id and the operation of the next request; `None` at the end.
fn request(stream: &mut TcpStream) -> Option<(Vec<u8>, u8)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut length = usize::from(head[1]);
    if length >= 0x80 {
        let mut octets = vec![0; length & 0x7f];
        stream.read_exact(&mut octets).ok()?;
        length = octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content).ok()?;
    let id = content[2..2 + usize::from(content[1])].to_vec();
    let operation = content[2 + id.len()];
    Some((id, operation))
}

/// Serves for as long as the process lives: binds succeed, everything else is up to `answer`, which ends the connection with `None`.
fn liar(answer: impl Fn(&mut TcpStream, &[u8], u8) -> Option<()> + Clone + Send + 'static) -> Settings {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                while let Some((id, operation)) = request(&mut stream) {
                    let went_on = match operation {
                        BIND => stream.write_all(&message(&id, &result(0x61, 0, ""))).ok(),
                        other => answer(&mut stream, &id, other),
                    };
                    if went_on.is_none() {
                        return;
                    }
                }
            });
        }
    });
    let mut settings = Settings { url, allow_plain_loopback: true, ..settings(server(Flavour::Shared), Role::Reader) };
    settings.limits.connections = 1;
    settings
}

fn everything() -> Search {
    Search {
        base: dn("dc=x"),
        scope: Scope::Subtree,
        filter: "(objectClass=*)".to_owned(),
        attrs: Vec::new(),
        page_size: Some(100),
        manage_dsa_it: false,
    }
}

/// A search of one entry that is answered with entries without end stops at the limit instead of filling the memory.
#[tokio::test]
async fn an_endless_answer_to_a_small_search_is_refused_at_the_limit() {
    let mut settings = liar(|stream, id, _| {
        let entries = message(id, &entry("dc=x")).repeat(1000);
        while stream.write_all(&entries).is_ok() {}
        None
    });
    settings.limits.message_bytes = 1 << 20;
    let error = Client::new(settings).unwrap().read(&dn("dc=x"), &[]).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unknown);
    assert!(error.to_string().contains("a small search with more than 1048576 bytes"), "{error}");
}

/// Entries are read no faster than they are taken: a reader that pauses holds up the server, not the memory.
#[tokio::test]
async fn a_reader_that_pauses_holds_up_the_server() {
    let (tell, told) = mpsc::channel();
    let settings = liar(move |stream, id, _| {
        // More than the sockets' buffers hold; a write that nobody takes up for a second is held up.
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let piece = message(id, &entry("dc=x")).repeat(1000);
        let mut written = 0;
        while written < 256 << 20 {
            match stream.write(&piece) {
                Ok(count) => written += count,
                Err(_) => break,
            }
        }
        tell.send(written).unwrap();
        None
    });
    let client = Client::new(settings).unwrap();
    let pages = client.search(everything()).await.unwrap();
    let written = tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
    assert!(written < 64 << 20, "{written} bytes were read ahead");
    drop(pages);
}

/// The server says why it ends the connection, and that is told.
#[tokio::test]
async fn a_notice_of_disconnection_is_told() {
    let notice = |stream: &mut TcpStream, _: &[u8], _| {
        let name = element(0x8a, b"1.3.6.1.4.1.1466.20036");
        let parts = [element(0x0a, &[52]), element(4, b""), element(4, b"going down for maintenance"), name];
        stream.write_all(&message(&[0], &element(0x78, &parts.concat()))).ok()
    };
    let error = Client::new(liar(notice)).unwrap().who_am_i().await.unwrap_err();
    assert_eq!(error.failure, Failure::Unknown);
    assert!(error.to_string().contains("the server ended the connection: going down for maintenance"), "{error}");
}

/// Before TLS begins, nobody is believed.
#[tokio::test]
async fn an_answer_to_starttls_that_is_none_ends_the_attempt() {
    let ready = |id: &[u8]| message(id, &result(0x78, 0, ""));
    let cases: [Lie; 6] = [
        ("unprotected behind its answer", |id| [message(id, &result(0x78, 0, "")), message(id, &entry("dc=x"))].concat()),
        ("wrong kind of message", |id| message(id, &entry("dc=x"))),
        ("no LDAP message", |_| b"220 ready\r\n".to_vec()),
        ("malformed result", |id| message(id, &element(0x78, b""))),
        ("refused StartTLS", |id| message(id, &result(0x78, 53, "not here"))),
        ("announced a message of", |_| vec![0x30, 0x84, 0x7f, 0, 0, 0]),
    ];
    for (words, made) in cases {
        let mut settings = liar(move |stream, id, operation| {
            assert_eq!(operation, EXTENDED);
            stream.write_all(&made(id)).ok()
        });
        settings.tls.starttls = true;
        let error = Client::new(settings).unwrap().connect().await.unwrap_err();
        assert!(error.to_string().contains(words), "'{words}' is missing in: {error}");
    }
    // A right answer, and then no TLS.
    let mut settings = liar(move |stream, id, _| {
        stream.write_all(&ready(id)).ok()?;
        stream.write_all(b"and now for something else").ok().and(None)
    });
    settings.tls.starttls = true;
    assert_eq!(Client::new(settings).unwrap().connect().await.unwrap_err().failure, Failure::Unreachable);
}

/// Messages that belong to nothing, come twice, or are of another kind than what was asked.
#[tokio::test]
async fn answers_that_were_not_asked_for_end_the_connection() {
    let cases: [Lie; 5] = [
        ("a request that was not sent", |_| message(&[0x3f, 0, 0, 1], &result(0x65, 0, ""))),
        ("the message id 0", |_| message(&[0], &result(0x65, 0, ""))),
        ("wrong kind of message", |id| message(id, &result(0x67, 0, ""))),
        ("malformed entry", |id| [message(id, &element(0x64, b"")), message(id, &result(0x65, 0, ""))].concat()),
        ("malformed result", |id| message(id, &element(0x65, &element(0x0a, &[0])))),
    ];
    for (words, made) in cases {
        let client = Client::new(liar(move |stream, id, _| stream.write_all(&made(id)).ok())).unwrap();
        let error = client.read(&dn("dc=x"), &[]).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unknown, "{error}");
        assert!(error.to_string().contains(words), "'{words}' is missing in: {error}");
        let error = client.search(everything()).await.unwrap().next_page().await.unwrap_err();
        assert!(error.to_string().contains(words), "'{words}' is missing in: {error}");
    }
}
