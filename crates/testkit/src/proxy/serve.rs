//! The proxy itself: a port, a thread, and the rule that can be changed at any time.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::carry::carry;
use super::fault::Fault;
use super::pace::{Pace, Workers};
use super::rule::{Rule, Struck};

/// A proxy on a port of its own, in a thread of its own. When it is dropped, all its connections end.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    rule: watch::Sender<Rule>,
    struck: Arc<Struck>,
    workers: Arc<Workers>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts on a free port of the loopback interface, in front of this server, without any fault.
    ///
    /// # Errors
    /// No port or thread is to be had.
    pub fn start(server: SocketAddr) -> io::Result<Self> {
        Self::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), server)
    }

    /// The same on this address.
    ///
    /// # Errors
    /// The address is taken.
    pub fn listen(address: SocketAddr, server: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (rule, ruled) = watch::channel(Rule::default());
        let (stop, stopped) = oneshot::channel();
        let struck = Arc::new(Struck::default());
        let workers = Arc::new(Workers::default());
        let (counted, working) = (Arc::clone(&struck), Arc::clone(&workers));
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve((listener, server), ruled, counted, working) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(serve)?;
        Ok(Self { address, rule, struck, workers, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts in front of the server that a URL such as `ldaps://127.0.0.1:1636` names, and gives the URL of the way through the
    /// proxy.
    ///
    /// # Errors
    /// The URL names no address with a port, or as for [`Proxy::start`].
    pub fn before(url: &str) -> io::Result<(Self, String)> {
        let (scheme, place) = url.split_once("://").unwrap_or(("", url));
        let server = place.trim_end_matches('/').parse().map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("'{url}' does not name a server by its address and port: {error}"),
            )
        })?;
        let proxy = Self::start(server)?;
        let url = format!("{scheme}://{}", proxy.address);
        Ok((proxy, url))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the fault; each connection, open or new, counts anew from here.
    pub fn set(&self, fault: Fault) {
        self.change(Some(fault));
    }

    /// Lifts the fault. What a stall held back goes on; connections that ended stay ended.
    pub fn lift(&self) {
        self.change(None);
    }

    fn change(&self, fault: Option<Fault>) {
        self.rule.send_modify(|rule| {
            rule.epoch += 1;
            rule.fault = fault;
        });
    }

    /// From now on bytes are under way for so long, each way; throughput stays as it is.
    pub fn delay(&self, delay: Duration) {
        self.rule.send_modify(|rule| rule.delay = delay);
    }

    /// From now on the server does so many writes, those of all connections together, and everything else at once: a write waits
    /// for a worker and for as long as that takes, and what comes after it on its connection may overtake it. Only without TLS, and for
    /// connections that are opened after the first pace was set.
    pub fn pace(&self, pace: Pace) {
        self.workers.set(pace, Instant::now());
    }

    /// How many connections faults have struck, since the proxy was started.
    pub fn struck(&self) -> u64 {
        self.struck.count()
    }

    /// Waits until faults have struck so many connections; `false` if they have not within the bound.
    pub fn wait_struck(&self, count: u64, bound: Duration) -> bool {
        self.struck.wait(count, bound)
    }

    /// How many connections were opened through it.
    pub fn connections(&self) -> u64 {
        self.struck.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Accepts connections for ever. They end with the runtime.
async fn serve(
    (listener, server): (std::net::TcpListener, SocketAddr),
    rule: watch::Receiver<Rule>,
    struck: Arc<Struck>,
    workers: Arc<Workers>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        struck.connected();
        let (rule, struck, workers) = (rule.clone(), Arc::clone(&struck), Arc::clone(&workers));
        tokio::spawn(async move {
            // A server that is not there closes the client's connection.
            if let Ok(server) = TcpStream::connect(server).await {
                carry((client, server), rule, &struck, &workers).await;
            }
        });
    }
}
