//! When an account was created and used last, as its entry tells.

use jiff::Timestamp;
use untether_model::snapshot::SnapshotEntry;
use untether_model::time::generalized;

use crate::source::values;

/// Attributes that say when somebody last logged in, on the servers that have them; in lower case.
const LOGIN_TIMES: [&str; 5] =
    ["pwdlastsuccess", "authtimestamp", "lastlogintime", "krblastsuccessfulauth", "ds-pwp-last-login-time"];

fn time(entry: &SnapshotEntry, folded: &str) -> Option<Timestamp> {
    values(entry, folded).iter().filter_map(generalized).max()
}

/// When the entry was created.
pub(crate) fn created(entry: &SnapshotEntry) -> Option<Timestamp> {
    time(entry, "createtimestamp")
}

/// The latest sign of use: all login times, and the last password change, which deletes `pwdLastSuccess`. Second: whether there is
/// any login time.
pub(crate) fn last_use(entry: &SnapshotEntry) -> (Option<Timestamp>, bool) {
    let logins = LOGIN_TIMES.iter().filter_map(|name| time(entry, name)).max();
    (logins.max(time(entry, "pwdchangedtime")), logins.is_some())
}
