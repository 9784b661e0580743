//! What undoing an operation gives back, by what the store can do with our binds.
//!
//! The classes follow what OpenLDAP 2.5 was measured to do: with the right `manage` and the relax control an entry is created again
//! with its stable id, times and history; with mere `write` it is not.

use untether_model::operation::UndoClass;
use untether_model::policy::Capabilities;

const WITHOUT_MANAGE: &str = "without the right `manage`";

fn managed(capabilities: Option<&Capabilities>, lost: &str) -> UndoClass {
    match capabilities {
        Some(c) if c.manage => UndoClass::Full,
        Some(_) => UndoClass::Partial(format!("{WITHOUT_MANAGE}: {lost}")),
        None => UndoClass::Partial(format!("the store's capabilities are not known; {WITHOUT_MANAGE}: {lost}")),
    }
}

/// A write of a credential.
pub(crate) fn credential(capabilities: Option<&Capabilities>) -> UndoClass {
    managed(capabilities, "pwdChangedTime and the password history are not restored")
}

/// A change that severs a password in clear text.
pub(crate) fn clear_text(capabilities: Option<&Capabilities>) -> UndoClass {
    let hashed = "a clear-text password comes back as the server stores it: hashed, where the server hashes what it is given";
    UndoClass::Partial(match credential(capabilities) {
        UndoClass::Full => hashed.to_owned(),
        UndoClass::Partial(lost) | UndoClass::None(lost) => format!("{hashed}; {lost}"),
    })
}

/// A scrub.
pub(crate) fn scrub(capabilities: Option<&Capabilities>) -> UndoClass {
    managed(capabilities, "pwdChangedTime and the password history are not restored")
}

/// A deletion.
pub(crate) fn deletion(capabilities: Option<&Capabilities>) -> UndoClass {
    managed(
        capabilities,
        "the entry gets a new stable id and new creation attributes; pwdChangedTime and the password history are not restored",
    )
}

/// Recording a proof.
pub(crate) fn proof() -> UndoClass {
    UndoClass::None("a recorded proof stays; it changes nothing in a store".to_owned())
}
