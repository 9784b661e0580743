//! Any bytes as what a server sends: whatever they are, nothing panics or waits for ever, what is taken from them is what ldap3's parser
//! takes from them, it stays within its bounds, and in which pieces they arrive changes nothing.
//!
//! The first byte chooses the pieces; the others are sent to a whole connection on which four operations wait for their answer: a
//! deletion (message id 1), an extended operation (2), a search that is taken part by part (0x40000000) and one that is gathered whole
//! (0x40000001).

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ldap3::LdapResult;
use ldap3::asn1::{PL, StructureTag, Tag, parse_tag};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Runtime;
use untether_directory::{AttrNames, Scope};
use untether_model::{AttrMap, AttrName, Dn, Entry, Side, Value};

use crate::answers::FIRST_ID;
use crate::ber::{DEEPEST, Element, check_nesting};
use crate::connection::{Connection, Lost};
use crate::decode;
use crate::message::{Message, Messages, length, op};
use crate::outcome::Subject;
use crate::request::{Filter, SearchRequest};

/// The longest message and the longest gathered answer, small enough that short inputs pass it.
const LIMIT: usize = 512;
/// Longer than anything takes: what is still waited for then waits for ever.
const NEVER: Duration = Duration::from_secs(10);
/// More is never asked of the server at once, whatever it announced.
const MOST_ROOM: usize = 256 << 10;

/// Checks bytes as each part of an answer, as messages, and as all that a server sends on a connection.
pub fn check(data: &[u8]) {
    let Some((pieces, sent)) = data.split_first() else { return };
    parts(sent);
    for message in Messages::of(sent) {
        let Ok(message) = message else { break };
        read_alike(&message);
    }
    let whole = connection(sent, usize::MAX);
    let piece = 1 + usize::from(*pieces % 61);
    let in_pieces = connection(sent, piece);
    assert!(whole.is_like(&in_pieces), "in pieces of {piece} bytes: {in_pieces:?}\nwhole: {whole:?}");
    within_bounds(sent, &whole);
}

/// What the bytes are to each decoder on its own.
fn parts(bytes: &[u8]) {
    if let Ok(entry) = decode::entry(bytes, &mut AttrNames::default()) {
        let held: usize = entry.attrs.iter().flat_map(|(_, values)| values).map(|value| value.as_bytes().len()).sum();
        assert!(held <= bytes.len());
    }
    if let Ok(urls) = decode::references(bytes) {
        assert!(urls.iter().map(String::len).sum::<usize>() <= bytes.len());
    }
    assert_eq!(decode::read_entry(bytes).ok(), decoded(bytes));
    if let Ok(cookie) = decode::paged_cookie(bytes) {
        assert!(cookie.len() < bytes.len());
    }
    let _ = (decode::usable(bytes), decode::says_locked(bytes));
    if let Some(entry) = decoded(bytes) {
        assert_eq!(Some(entry), by_ldap3(bytes), "an entry");
    }
    if let Ok(Some(whole)) = length(bytes, LIMIT) {
        assert!(whole <= LIMIT.min(bytes.len()));
    }
    if check_nesting(bytes).is_ok() && !bytes.is_empty() {
        let (rest, tree) = parse_tag(bytes).unwrap_or_else(|error| panic!("ldap3 refuses what was let through: {error}"));
        assert!(depth(&tree) <= DEEPEST, "{} levels", depth(&tree));
        assert!(rest.is_empty() || check_nesting(rest).is_ok());
    }
}

/// A message that we can read is to ldap3's parser what it is to us.
fn read_alike(message: &Message<'_>) {
    let operation = element(message);
    match message.op {
        op::ENTRY => {
            if let Some(entry) = decoded(&operation) {
                assert_eq!(Some(entry), by_ldap3(&operation), "an entry");
            }
        }
        op::REFERENCE => {
            if let Ok(urls) = decode::references(message.content) {
                let (_, tree) = parse_tag(&operation).unwrap_or_else(|error| panic!("ldap3 refuses a reference: {error}"));
                let theirs: Option<Vec<_>> = inside(tree).and_then(|urls| urls.map(octets).collect());
                assert_eq!(Some(urls.into_iter().map(String::into_bytes).collect()), theirs);
            }
        }
        _ => {}
    }
    // Of others ldap3 follows what nests without end.
    if check_nesting(&operation).is_ok()
        && let Ok(ours) = message.result()
    {
        let (_, tree) = parse_tag(&operation).unwrap_or_else(|error| panic!("ldap3 refuses a result: {error}"));
        if matches!(tree.payload, PL::C(_)) {
            let theirs = LdapResult::from(Tag::StructureTag(tree));
            assert_eq!((ours.rc, ours.matched, ours.text, ours.refs), (theirs.rc, theirs.matched, theirs.text, theirs.refs));
        }
    }
}

fn element(message: &Message<'_>) -> Vec<u8> {
    crate::ber::element(message.op, message.content)
}

fn depth(tree: &StructureTag) -> usize {
    match &tree.payload {
        PL::C(children) => 1 + children.iter().map(depth).max().unwrap_or(0),
        PL::P(_) => 0,
    }
}

/// An entry with its tag, by our decoder.
pub fn decoded(bytes: &[u8]) -> Option<Entry> {
    let found = Element::only(bytes).filter(|found| found.tag == op::ENTRY)?;
    decode::entry(found.content, &mut AttrNames::default()).ok()
}

/// What ldap3's parser reads, as an entry of ours; `None` where its tree is no entry.
pub fn by_ldap3(bytes: &[u8]) -> Option<Entry> {
    let (_, tree) = parse_tag(bytes).ok().filter(|(rest, _)| rest.is_empty())?;
    let mut parts = inside(tree)?;
    let dn = Dn::parse(std::str::from_utf8(&octets(parts.next()?)?).ok()?).ok()?;
    let attributes = inside(parts.next()?)?.map(|attribute| {
        let mut parts = inside(attribute)?;
        let name = AttrName::new(String::from_utf8(octets(parts.next()?)?).ok()?);
        let values = inside(parts.next()?)?.map(|value| octets(value).map(Value::new));
        Some((name, values.collect::<Option<_>>()?))
    });
    Some(Entry { dn, attrs: AttrMap::from_parts(attributes.collect::<Option<_>>()?) })
}

fn inside(tag: StructureTag) -> Option<std::vec::IntoIter<StructureTag>> {
    match tag.payload {
        PL::C(children) => Some(children.into_iter()),
        PL::P(_) => None,
    }
}

fn octets(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(octets) => Some(octets),
        PL::C(_) => None,
    }
}

/// How the four operations ended.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) deleted: Result<Answer, Lost>,
    pub(super) extended: Result<Answer, Lost>,
    pub(super) gathered: Result<Vec<u8>, Lost>,
    /// The parts, one after the other, and how the connection had ended by then.
    pub(super) streamed: (Vec<u8>, Lost),
}

/// A result and what stood in its controls.
pub(super) type Answer = (u32, String, String, Vec<String>, Vec<(String, bool, Option<Vec<u8>>)>);

fn answer(result: LdapResult) -> Answer {
    let controls = result.ctrls.into_iter().map(|control| (control.1.ctype, control.1.crit, control.1.val)).collect();
    (result.rc, result.matched, result.text, result.refs, controls)
}

impl Ended {
    /// Whether it is the same to whoever asked. Of a search that was broken off, more or less may have been handed over.
    fn is_like(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.streamed.0, &other.streamed.0);
        let same = if is_complete(ours) || is_complete(theirs) {
            ours == theirs
        } else {
            ours.starts_with(theirs) || theirs.starts_with(ours)
        };
        let rest =
            |ended: &Self| (ended.deleted.clone(), ended.extended.clone(), ended.gathered.clone(), ended.streamed.1.clone());
        same && rest(self) == rest(other)
    }
}

/// Whether the search has ended.
pub(super) fn is_complete(messages: &[u8]) -> bool {
    Messages::of(messages).any(|message| message.is_ok_and(|message| message.op == op::SEARCH_DONE))
}

/// What was handed on stood in what was sent, whole and in its order, and is not longer than it may be.
fn within_bounds(sent: &[u8], ended: &Ended) {
    let of = |id: i32| Messages::of(sent).map_while(Result::ok).filter(move |message| message.id == id);
    for (id, (was, kind)) in [(1, (&ended.deleted, op::DELETED)), (2, (&ended.extended, op::EXTENDED_DONE))] {
        if let Ok(was) = was {
            let first = of(id).next().filter(|message| message.op == kind);
            let said = first.and_then(|message| message.result().ok()).map(answer);
            assert_eq!(said.as_ref(), Some(was), "message id {id}");
        }
    }
    let gathered = ended.gathered.as_deref().unwrap_or_default();
    assert!(gathered.len() <= LIMIT, "{} bytes were gathered", gathered.len());
    assert!(ended.gathered.is_err() || is_complete(gathered));
    for (id, handed_on) in [(FIRST_ID, ended.streamed.0.as_slice()), (FIRST_ID + 1, gathered)] {
        let mut stood = of(id).filter(|message| message.op != op::INTERMEDIATE);
        for message in Messages::of(handed_on) {
            let message = message.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(Some(message), stood.next());
            assert!(element(&message).len() <= LIMIT);
        }
    }
    let lost = [ended.deleted.as_ref().err(), ended.extended.as_ref().err(), ended.gathered.as_ref().err()];
    for lost in lost.into_iter().flatten().chain([&ended.streamed.1]) {
        assert!(!matches!(lost, Lost::TimedOut(_)), "{lost:?}");
    }
}

/// Sends the bytes, in pieces of at most this size, to a connection with four operations in flight, and closes it.
pub(super) fn connection(sent: &[u8], piece: usize) -> Ended {
    thread_local! {
        static RUNTIME: RefCell<Runtime> = RefCell::new(
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap_or_else(|error| panic!("{error}")),
        );
    }
    let most = Arc::new(AtomicUsize::new(0));
    let server = Server { sent: sent.to_vec(), at: 0, piece, rests: false, heard: Vec::new(), most: Arc::clone(&most) };
    let ended = RUNTIME.with_borrow(|runtime| runtime.block_on(answered(server)));
    assert!(most.load(Ordering::Relaxed) <= MOST_ROOM, "{most:?} bytes were asked for at once");
    ended
}

async fn answered(server: Server) -> Ended {
    let connection = Connection::over(Box::new(server), LIMIT, Arc::from("there")).await;
    let connection = connection.unwrap_or_else(|error| panic!("{error}"));
    let filter = Filter::parse(Subject::new(Side::Shared, "search"), "(cn=a)").unwrap_or_else(|error| panic!("{error}"));
    let search =
        SearchRequest { base: &Dn::root(), scope: Scope::Base, filter: &filter, attrs: &[], size_limit: 0, controls: &[] };
    let mut ldap = connection.ldap();
    let mut parts = connection.stream(&search).unwrap_or_else(|lost| panic!("{lost:?}"));
    let streamed = async {
        let mut taken = Vec::new();
        while let Some(part) = parts.recv().await {
            taken.extend(part);
        }
        taken
    };
    // ldap3 gives its numbers in this order.
    let (deleted, extended, gathered, streamed) = futures::join!(
        connection.within(NEVER, ldap.delete("cn=a")),
        connection.extended(NEVER, "1.2", None),
        connection.search(NEVER, &search),
        streamed
    );
    Ended {
        deleted: deleted.map(answer),
        extended: extended.map(|(result, _)| answer(result)),
        gathered,
        streamed: (streamed, connection.close().await),
    }
}

/// The server's end: says nothing before it was asked four times, then says all that it has to say, and closes.
struct Server {
    sent: Vec<u8>,
    at: usize,
    piece: usize,
    /// Whether it says nothing the next time.
    rests: bool,
    heard: Vec<u8>,
    /// How much was asked of it at once, at most.
    most: Arc<AtomicUsize>,
}

impl AsyncRead for Server {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if Messages::of(&self.heard).count() < 4 {
            return Poll::Pending;
        }
        self.rests = !self.rests && self.piece < usize::MAX;
        if self.rests {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.most.fetch_max(buffer.remaining(), Ordering::Relaxed);
        let rest = self.sent.get(self.at..).unwrap_or_default();
        let now = rest.get(..self.piece.min(buffer.remaining())).unwrap_or(rest);
        buffer.put_slice(now);
        let count = now.len();
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Server {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
