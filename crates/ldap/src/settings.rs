//! How to reach one store and who to be there. Deliberately knows no configuration file; `cli` fills this in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;
use untether_directory::{DirectoryError, Failure, Secret};
use untether_model::{Dn, Side};
use url::{Host, Url};

use crate::outcome::Subject;

/// At most this many operations are in flight on one connection: beyond it servers drop connections
/// (`olcConnMaxPendingAuth`), and nothing is gained.
pub const MAX_IN_FLIGHT: usize = 64;

/// One store, one identity.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which store this is.
    pub side: Side,
    /// `ldaps://host[:port]`, `ldap://host[:port]` (with StartTLS, unless on loopback and explicitly allowed) or
    /// `ldapi://%2Fpath%2Fto%2Fsocket`.
    pub url: String,
    /// How the server is authenticated.
    pub tls: TlsSettings,
    /// Who to bind as.
    pub bind: Bind,
    /// The suffix of the store.
    pub base: Dn,
    /// Bounds in time.
    pub timeouts: Timeouts,
    /// Bounds in number.
    pub limits: Limits,
    /// Carries out transactions (RFC 5805) on OpenLDAP. Leave it off: there a transaction that the server refuses can make entries
    /// unreadable for good (see the crate's cases on transactions), and one that is ended too fast crashes the server.
    pub transactions: bool,
    /// Allows `ldap://` without TLS, to a loopback address only. For laboratories: passwords cross the socket as they are.
    pub allow_plain_loopback: bool,
}

/// How the server is authenticated.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// PEM files with the certificate authorities to trust, and no others. Empty: those of the operating system.
    pub ca_files: Vec<PathBuf>,
    /// Upgrades `ldap://` by StartTLS before anything else is sent. Ignored for `ldaps://`.
    pub starttls: bool,
    /// The name that the certificate must carry, where it is not the URL's host (a tunnel, a load balancer, an IPv6 address).
    pub server_name: Option<String>,
}

/// Who to bind as.
#[derive(Clone, Debug)]
pub enum Bind {
    /// A name and a password.
    Simple {
        /// The name.
        dn: Dn,
        /// The password. (ldap3 copies it into the request that it sends; that copy is freed, not wiped. The guard's own copies are wiped.)
        secret: Secret,
    },
    /// SASL EXTERNAL: on `ldapi://` the server takes the identity of our process.
    External,
}

/// Bounds in time. Nothing waits longer.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the connection, its TLS handshake and its bind, each.
    pub connect: Duration,
    /// For an operation, from when it is sent to its answer; for a search, for each page; also for the wait for a free place in
    /// a connection.
    pub operation: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), operation: Duration::from_secs(60) }
    }
}

/// Bounds in number.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries a page where a search names no number itself.
    pub page_size: u32,
    /// Connections that writes share. Reads of single entries share as many, searches and transactions have up to as many of
    /// their own.
    pub connections: usize,
    /// Operations in flight on each of them, at most [`MAX_IN_FLIGHT`].
    pub in_flight: usize,
    /// The longest message that is taken from the server, in bytes: an entry with all that was asked of it. A longer one ends the
    /// connection.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // More than a group of half a million members.
        Self { page_size: 500, connections: 3, in_flight: 32, message_bytes: 64 << 20 }
    }
}

/// Where to connect to, after the URL was read and judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// TCP.
    Tcp {
        /// `host:port` as the resolver takes it.
        address: String,
        /// What the certificate must carry.
        server_name: String,
        /// How it is protected.
        protection: Protection,
    },
    /// A Unix domain socket.
    Socket(PathBuf),
}

/// How a TCP connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// TLS from the first byte.
    Tls,
    /// TLS after the StartTLS operation.
    StartTls,
    /// None, on loopback.
    None,
}

impl Settings {
    /// Reads the URL and refuses what would be unsafe or unbounded.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, DirectoryError> {
        let subject = Subject::new(self.side, "configure");
        let invalid = |message: String| subject.error(Failure::Invalid, message);
        self.check_limits(&invalid)?;
        let url = Url::parse(&self.url).map_err(|error| {
            invalid(format!("'{}' is not a URL: {error}", self.url)).with_hint("write it as ldaps://host or ldap://host:389")
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(subject
                .error(Failure::Invalid, "the URL carries a user name or a password")
                .with_hint("give the identity by its bind name and a reference to its secret"));
        }
        match url.scheme() {
            "ldapi" => self.socket(&url, &invalid),
            "ldap" | "ldaps" => self.tcp(&url, &invalid),
            other => Err(invalid(format!("'{other}://' is no LDAP scheme")).with_hint("use ldaps://, ldap:// or ldapi://")),
        }
    }

    fn check_limits(&self, invalid: &impl Fn(String) -> DirectoryError) -> Result<(), DirectoryError> {
        if !(1..=MAX_IN_FLIGHT).contains(&self.limits.in_flight) {
            return Err(invalid(format!(
                "{} operations in flight on a connection; between 1 and {MAX_IN_FLIGHT} are possible",
                self.limits.in_flight
            )));
        }
        if !(1..=64).contains(&self.limits.connections) {
            return Err(invalid(format!("{} connections; between 1 and 64 are possible", self.limits.connections)));
        }
        if !(1..=10_000).contains(&self.limits.page_size) {
            return Err(invalid(format!("{} entries a page; between 1 and 10000 are possible", self.limits.page_size)));
        }
        if !(1 << 16..=1 << 30).contains(&self.limits.message_bytes) {
            let bytes = self.limits.message_bytes;
            return Err(invalid(format!("entries of up to {bytes} bytes; between 64 KiB and 1 GiB are possible")));
        }
        if self.timeouts.connect.is_zero() || self.timeouts.operation.is_zero() {
            return Err(invalid("a timeout of zero lets nothing through".to_owned()));
        }
        Ok(())
    }

    fn socket(&self, url: &Url, invalid: &impl Fn(String) -> DirectoryError) -> Result<Endpoint, DirectoryError> {
        let path = percent_decoded(url.host_str().unwrap_or_default()).filter(|path| path.starts_with('/')).ok_or_else(|| {
            invalid(format!("'{}' names no socket", self.url))
                .with_hint("write the path with %2F for each slash: ldapi://%2Fvar%2Frun%2Fslapd%2Fldapi")
        })?;
        Ok(Endpoint::Socket(PathBuf::from(path)))
    }

    fn tcp(&self, url: &Url, invalid: &impl Fn(String) -> DirectoryError) -> Result<Endpoint, DirectoryError> {
        // Neither scheme is special to the URL standard, so a host in digits arrives as a name.
        let text = url.host_str().unwrap_or_default();
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err(invalid(format!("'{}' names no host", self.url)));
        }
        let ip: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            _ => bare.parse().ok(),
        };
        let secure = url.scheme() == "ldaps";
        let protection = match (secure, self.tls.starttls) {
            (true, _) => Protection::Tls,
            (false, true) => Protection::StartTls,
            (false, false) => {
                let loopback = ip.is_some_and(|ip| ip.is_loopback()) || bare.eq_ignore_ascii_case("localhost");
                if !loopback {
                    return Err(invalid(format!("'{}' would send passwords unprotected", self.url))
                        .with_hint("use ldaps:// or set starttls"));
                }
                if !self.allow_plain_loopback {
                    return Err(invalid(format!("'{}' is not protected", self.url))
                        .with_hint("use ldaps:// or set starttls; a laboratory on loopback may set allow_plain_loopback"));
                }
                Protection::None
            }
        };
        if matches!(self.bind, Bind::External) {
            return Err(invalid("SASL EXTERNAL needs an ldapi:// URL".to_owned())
                .with_hint("client certificates are not supported; bind with a name and a password"));
        }
        let server_name = match &self.tls.server_name {
            Some(name) => name.clone(),
            None => bare.to_owned(),
        };
        if protection != Protection::None && ServerName::try_from(server_name.as_str()).is_err() {
            return Err(invalid(format!("'{server_name}' is neither the name nor the address of a server"))
                .with_hint("set server_name to the name that the certificate carries"));
        }
        let port = url.port().unwrap_or(if secure { 636 } else { 389 });
        let address = if matches!(ip, Some(IpAddr::V6(_))) { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") };
        Ok(Endpoint::Tcp { address, server_name, protection })
    }
}

/// Decodes `%2F` and the like; `None` if that is malformed or no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Settings {
        Settings {
            side: Side::Shared,
            url: url.to_owned(),
            tls: TlsSettings::default(),
            bind: Bind::Simple { dn: Dn::root(), secret: Secret::new("x").unwrap() },
            base: Dn::root(),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            allow_plain_loopback: false,
            transactions: false,
        }
    }

    fn refusal(settings: &Settings) -> String {
        let error = settings.endpoint().unwrap_err();
        assert_eq!(error.failure, Failure::Invalid);
        error.to_string()
    }

    #[test]
    fn addresses_and_names_are_taken_from_the_url() {
        let tls = Protection::Tls;
        for (url, address, name) in [
            ("ldaps://ldap.example", "ldap.example:636", "ldap.example"),
            ("ldaps://127.0.0.1:1636/", "127.0.0.1:1636", "127.0.0.1"),
        ] {
            let expected = Endpoint::Tcp { address: address.to_owned(), server_name: name.to_owned(), protection: tls };
            assert_eq!(settings(url).endpoint().unwrap(), expected);
        }
        let socket = settings("ldapi://%2Fvar%2Frun%2Fldapi").endpoint().unwrap();
        assert_eq!(socket, Endpoint::Socket("/var/run/ldapi".into()));
        let mut v6 = settings("ldaps://[::1]:1636");
        let at = |name: &str| Endpoint::Tcp { address: "[::1]:1636".to_owned(), server_name: name.to_owned(), protection: tls };
        assert_eq!(v6.endpoint().unwrap(), at("::1"));
        v6.tls.server_name = Some("ldap.example".to_owned());
        assert_eq!(v6.endpoint().unwrap(), at("ldap.example"));
        v6.tls.server_name = Some("no name".to_owned());
        assert!(refusal(&v6).contains("server_name"));
    }

    #[test]
    fn unprotected_connections_need_loopback_and_a_word() {
        assert!(refusal(&settings("ldap://ldap.example")).contains("ldaps://"));
        assert!(refusal(&settings("ldap://127.0.0.1")).contains("allow_plain_loopback"));
        let mut allowed = settings("ldap://ldap.example");
        allowed.allow_plain_loopback = true;
        refusal(&allowed);
        allowed.url = "ldap://127.0.0.1:3890".to_owned();
        assert!(matches!(allowed.endpoint().unwrap(), Endpoint::Tcp { protection: Protection::None, .. }));
        let mut upgraded = settings("ldap://ldap.example");
        upgraded.tls.starttls = true;
        assert!(matches!(upgraded.endpoint().unwrap(), Endpoint::Tcp { protection: Protection::StartTls, .. }));
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_sent() {
        for url in
            ["", "ldap.example", "http://ldap.example", "ldaps://", "ldapi://", "ldapi:///tmp/x", "ldapi://%2", "ldaps://u:p@h"]
        {
            refusal(&settings(url));
        }
        let mut external = settings("ldaps://ldap.example");
        external.bind = Bind::External;
        refusal(&external);
        let mut many = settings("ldaps://ldap.example");
        many.limits.in_flight = 65;
        refusal(&many);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let mut settings = settings("ldaps://ldap.example");
        settings.bind = Bind::Simple { dn: Dn::root(), secret: Secret::new("battery staple").unwrap() };
        assert!(!format!("{settings:?}").contains("battery"));
    }
}
