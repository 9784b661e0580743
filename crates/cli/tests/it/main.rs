//! The built program against real servers.

#[cfg(test)]
mod doctor;
#[cfg(test)]
#[expect(dead_code, reason = "the laboratory of all scenarios; each uses what it needs")]
mod support;
