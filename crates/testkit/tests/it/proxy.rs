//! The proxy does what it says, in front of a server that sends back what it gets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use untether_testkit::proxy::{After, Fault, Pace, Proxy, Sender};

/// Long enough that nothing more comes.
const QUIET: Duration = Duration::from_millis(200);
/// How long faults are waited for at most.
const BOUND: Duration = Duration::from_secs(30);

/// An echo behind a proxy; the channel tells of each connection that the echo saw ending.
fn echo() -> (Proxy, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).unwrap();
    let (tell, ended) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell) = (stream.unwrap(), tell.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                let _ = tell.send(());
            });
        }
    });
    (proxy, ended)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    // It stands, both ways.
    exchange(&mut stream, b"hello");
    stream
}

fn exchange(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, bytes);
}

fn is_quiet(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let read = stream.read(&mut [0; 10]);
    stream.set_read_timeout(Some(BOUND)).unwrap();
    matches!(read, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

const fn after(bytes: u64, sender: Sender) -> After {
    After { bytes, sender }
}

#[test]
fn without_a_fault_everything_passes_in_order_however_late() {
    let (proxy, _ended) = echo();
    let mut stream = connect(&proxy);
    proxy.delay(Duration::from_millis(20));
    let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut writing = stream.try_clone().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || writing.write_all(&sent).unwrap());
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back == bytes);
    assert_eq!((proxy.connections(), proxy.struck()), (1, 0));
}

#[test]
fn a_cut_ends_both_ends_in_order_after_exactly_so_many_bytes() {
    let (proxy, ended) = echo();
    for sender in [Sender::Server, Sender::Client] {
        proxy.lift();
        let mut stream = connect(&proxy);
        proxy.set(Fault::Cut(after(3, sender)));
        stream.write_all(b"abcdef").unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        match sender {
            Sender::Server => assert_eq!(back, b"abc"),
            // The echo of what still passed may or may not have come back.
            Sender::Client => assert!(b"abc".starts_with(&back)),
        }
        ended.recv().unwrap();
    }
    // Without another byte, and for connections that are opened later as well.
    proxy.lift();
    let mut idle = connect(&proxy);
    proxy.set(Fault::Cut(after(0, Sender::Client)));
    assert_eq!(idle.read(&mut [0; 10]).unwrap(), 0);
    let mut later = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(later.read(&mut [0; 10]).unwrap(), 0);
    assert_eq!(proxy.struck(), 4);
}

#[test]
fn a_reset_is_no_orderly_end() {
    let (proxy, ended) = echo();
    let mut stream = connect(&proxy);
    proxy.set(Fault::Reset(after(3, Sender::Client)));
    stream.write_all(b"abcdef").unwrap();
    let mut back = Vec::new();
    assert_eq!(stream.read_to_end(&mut back).unwrap_err().kind(), ErrorKind::ConnectionReset);
    ended.recv().unwrap();
}

#[test]
fn what_a_stall_holds_back_goes_on_when_it_is_lifted() {
    let (proxy, _ended) = echo();
    let mut stream = connect(&proxy);
    proxy.set(Fault::Stall(after(4, Sender::Server)));
    stream.write_all(b"abcdef").unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert!(proxy.wait_struck(1, BOUND));
    stream.write_all(b"gh").unwrap();
    assert!(is_quiet(&mut stream));
    proxy.lift();
    let mut rest = [0; 4];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!((&back, &rest), (b"abcd", b"efgh"));
}

#[test]
fn a_half_open_connection_is_gone_on_one_side_only() {
    let (proxy, ended) = echo();
    let mut stream = connect(&proxy);
    proxy.set(Fault::HalfOpen(after(2, Sender::Client)));
    stream.write_all(b"abcdef").unwrap();
    ended.recv().unwrap();
    stream.write_all(b"anybody?").unwrap();
    proxy.lift();
    stream.write_all(b"still here?").unwrap();
    // The echo of what still passed may have come back before.
    stream.set_read_timeout(Some(QUIET)).unwrap();
    let mut back = Vec::new();
    assert!(stream.read_to_end(&mut back).is_err() && b"ab".starts_with(&back), "{back:?}");
    exchange(&mut connect(&proxy), b"a new one");
}

#[test]
fn a_trickle_is_complete_in_the_end() {
    let (proxy, _ended) = echo();
    let mut stream = connect(&proxy);
    proxy.set(Fault::Trickle(500));
    exchange(&mut stream, b"as slow as it is, it comes");
    assert_eq!(proxy.struck(), 1);
}

/// A request to modify (0x66) or to search (0x63), as far as the proxy looks into it.
const fn request(id: u8, operation: u8) -> [u8; 7] {
    [0x30, 5, 2, 1, id, operation, 0]
}

#[test]
fn a_paced_server_lets_writes_wait_and_reads_pass_them() {
    let (proxy, _ended) = echo();
    // Each write takes an hour.
    proxy.pace(Pace::new(1, 3600));
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    let sent = [request(1, 0x66), request(2, 0x63), request(3, 0x68)].concat();
    for piece in sent.chunks(4) {
        stream.write_all(piece).unwrap();
    }
    let mut back = [0; 7];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, request(2, 0x63));
    assert!(is_quiet(&mut stream));
    // A quicker one does what comes from then on.
    proxy.pace(Pace::new(1000, 4));
    exchange(&mut stream, &request(4, 0x66));
    assert!(is_quiet(&mut stream));
}

#[test]
fn everything_that_a_paced_server_was_sent_is_done_in_the_end() {
    let (proxy, _ended) = echo();
    proxy.pace(Pace::new(1000, 2));
    let mut streams: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(proxy.address()).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(&(0..40).map(|id| request(id, 0x66)).collect::<Vec<_>>().concat()).unwrap();
    }
    for stream in &mut streams {
        let mut back = [0; 40 * 7];
        stream.read_exact(&mut back).unwrap();
        let mut ids: Vec<u8> = back.chunks(7).map(|request| request[4]).collect();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..40));
    }
    // What is no LDAP ends the connection.
    let mut other = TcpStream::connect(proxy.address()).unwrap();
    other.write_all(&[0x16, 3, 1, 0, 2, 1, 0]).unwrap();
    assert_eq!(other.read(&mut [0; 10]).unwrap(), 0);
}

#[test]
fn a_server_that_is_not_there_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).unwrap();
    drop(listener);
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
}
