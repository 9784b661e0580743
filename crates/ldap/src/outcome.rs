//! Result codes and transport errors, told by what they mean for the world.

use ldap3::LdapResult;
use untether_directory::{DirectoryError, Failure};
use untether_model::change::{Change, ModKind};
use untether_model::{Dn, Side};

/// Result of a no-op that would have succeeded (OpenLDAP's number for draft-zeilenga-ldap-noop).
pub(crate) const NO_OPERATION: u32 = 16654;
pub(crate) const COMPARE_FALSE: u32 = 5;
pub(crate) const COMPARE_TRUE: u32 = 6;
pub(crate) const REFERRAL: u32 = 10;
pub(crate) const NO_SUCH_ATTRIBUTE: u32 = 16;
pub(crate) const VALUE_EXISTS: u32 = 20;
pub(crate) const NO_SUCH_OBJECT: u32 = 32;
pub(crate) const INVALID_CREDENTIALS: u32 = 49;
pub(crate) const INSUFFICIENT_ACCESS: u32 = 50;
const UNAVAILABLE_CRITICAL_EXTENSION: u32 = 12;
const ADMIN_LIMIT: u32 = 11;
const ENTRY_EXISTS: u32 = 68;
const OTHER: u32 = 80;
const ASSERTION_FAILED: u32 = 122;

/// What is being done, for the errors that come of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) side: Side,
    pub(crate) operation: &'static str,
    pub(crate) dn: Option<&'a Dn>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(side: Side, operation: &'static str) -> Self {
        Self { side, operation, dn: None }
    }

    pub(crate) fn about(self, dn: &'a Dn) -> Self {
        Self { dn: Some(dn), ..self }
    }

    /// An error with this meaning about this subject.
    pub(crate) fn error(self, failure: Failure, message: impl Into<String>) -> DirectoryError {
        let error = DirectoryError::new(failure, self.side, self.operation, message);
        match self.dn {
            Some(dn) => error.about(dn),
            None => error,
        }
    }

    /// The meaning of a result code that is the same for each operation.
    pub(crate) fn refusal(self, result: &LdapResult) -> DirectoryError {
        let failure = match result.rc {
            3 | 4 | ADMIN_LIMIT | 51 | 52 => Failure::Busy,
            NO_SUCH_OBJECT => Failure::NoSuchObject,
            ASSERTION_FAILED => Failure::ConditionFailed,
            _ => Failure::Refused,
        };
        self.answered(failure, result)
    }

    /// What a result code means for this write.
    pub(crate) fn write_refusal(self, change: &Change, result: &LdapResult) -> DirectoryError {
        let by_value = |kinds: &[ModKind]| match change {
            Change::Modify { mods, .. } => mods.iter().any(|m| kinds.contains(&m.kind) && !m.values.is_empty()),
            _ => false,
        };
        match (result.rc, change) {
            (ENTRY_EXISTS, Change::Add { .. }) => self.answered(Failure::ConditionFailed, result),
            (NO_SUCH_OBJECT, Change::Add { .. }) => self
                .answered(Failure::Refused, result)
                .with_hint("the entry above it does not exist; create it first or correct the mapped name"),
            (VALUE_EXISTS, _) if by_value(&[ModKind::Add]) => self.answered(Failure::ConditionFailed, result),
            (NO_SUCH_ATTRIBUTE, _) if by_value(&[ModKind::Delete]) => self.answered(Failure::ConditionFailed, result),
            _ => self.refusal(result),
        }
    }

    /// A refused bind of ours.
    pub(crate) fn bind_refusal(self, result: &LdapResult) -> DirectoryError {
        match result.rc {
            7 | 8 | 13 | 48 | 49 | 53 => self.answered(Failure::Credentials, result),
            _ => self.refusal(result),
        }
    }

    fn answered(self, failure: Failure, result: &LdapResult) -> DirectoryError {
        let mut message = meaning(result.rc).to_owned();
        if !result.text.is_empty() {
            message.push_str(": ");
            message.push_str(&result.text);
        }
        if !result.refs.is_empty() {
            message.push_str(": ");
            message.push_str(&result.refs.join(" "));
        }
        if result.rc == NO_SUCH_OBJECT && !result.matched.is_empty() {
            message.push_str(&format!(" (the nearest entry that exists is '{}')", result.matched));
        }
        let error = self.error(failure, message).with_code(result.rc);
        match hint(result.rc) {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// The names of RFC 4511, appendix A.2, as words.
fn meaning(code: u32) -> &'static str {
    match code {
        1 => "operations error",
        2 => "protocol error",
        3 => "time limit exceeded",
        4 => "size limit exceeded",
        7 => "authentication method not supported",
        8 => "stronger authentication required",
        REFERRAL => "the server refers to another one",
        ADMIN_LIMIT => "administrative limit exceeded",
        UNAVAILABLE_CRITICAL_EXTENSION => "the server has no such control",
        13 => "confidentiality required",
        NO_SUCH_ATTRIBUTE => "no such attribute or value",
        17 => "undefined attribute type",
        18 => "inappropriate matching",
        19 => "constraint violation",
        VALUE_EXISTS => "attribute or value exists",
        21 => "invalid attribute syntax",
        NO_SUCH_OBJECT => "no such entry",
        34 => "invalid name",
        48 => "inappropriate authentication",
        49 => "invalid credentials",
        INSUFFICIENT_ACCESS => "insufficient access rights",
        51 => "busy",
        52 => "unavailable",
        53 => "the server is unwilling to do it",
        54 => "loop detected",
        64 => "naming violation",
        65 => "object class violation",
        66 => "not allowed on an entry that has children",
        67 => "not allowed on the naming attribute",
        ENTRY_EXISTS => "the entry exists",
        71 => "affects several servers",
        OTHER => "internal error of the server",
        ASSERTION_FAILED => "the entry is not as the condition says",
        _ => "refused",
    }
}

fn hint(code: u32) -> Option<&'static str> {
    match code {
        3 | 4 | ADMIN_LIMIT => Some("raise the limits of the binding identity (olcLimits: size=unlimited time=unlimited)"),
        7 => Some("the server does not offer this mechanism; bind with a name and a password, or enable it there"),
        8 | 13 => Some("use ldaps:// or StartTLS"),
        UNAVAILABLE_CRITICAL_EXTENSION => Some("run 'untether doctor' to see which controls the server offers"),
        49 => Some("check the bind name and its secret; a locked or expired account gets the same answer"),
        INSUFFICIENT_ACCESS => Some("run 'untether doctor --acl' for the rights that this identity needs"),
        OTHER => Some("see the server's log; OpenLDAP says this when the database is full (olcDbMaxSize)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use untether_model::change::Modification;

    fn result(rc: u32) -> LdapResult {
        LdapResult { rc, matched: String::new(), text: String::new(), refs: Vec::new(), ctrls: Vec::new() }
    }

    fn failure(change: &Change, rc: u32) -> Failure {
        Subject::new(Side::Shared, "test").write_refusal(change, &result(rc)).failure
    }

    #[test]
    fn codes_mean_what_they_mean_for_the_change() {
        let dn = Dn::parse("uid=a,dc=x").unwrap();
        let listed = Change::Modify { dn: dn.clone(), mods: vec![Modification::add("member".into(), vec!["uid=b,dc=x".into()])] };
        let whole = Change::Modify { dn: dn.clone(), mods: vec![Modification::replace("userPassword".into(), vec!["x".into()])] };
        let add = Change::Add { dn, attrs: Default::default() };
        assert_eq!(failure(&listed, 20), Failure::ConditionFailed);
        // A replaced password that is in the history already: nobody else's condition.
        assert_eq!(failure(&whole, 20), Failure::Refused);
        assert_eq!(failure(&whole, 16), Failure::Refused);
        assert_eq!(failure(&add, 68), Failure::ConditionFailed);
        assert_eq!(failure(&whole, 68), Failure::Refused);
        assert_eq!(failure(&add, 32), Failure::Refused);
        assert_eq!(failure(&listed, 32), Failure::NoSuchObject);
        for busy in [3, 4, 11, 51, 52] {
            assert_eq!(failure(&whole, busy), Failure::Busy);
        }
        assert_eq!(failure(&whole, 122), Failure::ConditionFailed);
        assert_eq!(failure(&whole, 10), Failure::Refused);
    }
}
