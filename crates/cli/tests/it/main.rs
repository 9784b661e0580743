//! The built program against real servers.

mod doctor;
mod support;
