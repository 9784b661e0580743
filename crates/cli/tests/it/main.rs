//! The built program against real servers.

#[cfg(test)]
mod doctor;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod operate;
#[cfg(test)]
#[expect(dead_code, reason = "what people do in all scenarios; each uses what it needs")]
mod story;
#[cfg(test)]
#[expect(dead_code, reason = "the laboratory of all scenarios; each uses what it needs")]
mod support;
