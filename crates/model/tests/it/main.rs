//! The nouns as their users meet them: whatever bytes come in.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

mod fold;
mod hostile;
mod operations;
mod rollbacks;
mod standing;
mod transitions;
