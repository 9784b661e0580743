//! The hand-over hook: one process a person, with the secret on its standard input.
//!
//! It says by its exit status whether it delivered. Nothing of it is believed before it has ended, and nothing of what it says may
//! steer a terminal or repeat the secret.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, Command};

use untether_model::neutral;

/// Bytes of its standard error that are kept: the first line is told.
const KEPT: usize = 4_096;

/// Characters of the first line that are told.
const TOLD: usize = 200;

/// How long what it has said already may take to be read once it has ended. Whom it left behind may hold the pipe for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// One call.
pub struct Call<'a> {
    /// Program and arguments.
    pub words: &'a [String],
    /// Variables of its environment, beside ours.
    pub environment: &'a [(&'static str, String)],
    /// What it gets on standard input.
    pub secret: &'a str,
    /// Until when it must have ended.
    pub bound: Duration,
}

impl Call<'_> {
    /// Starts the program and waits for its end; an error says what it said.
    pub async fn make(&self) -> Result<(), String> {
        let (program, arguments) = self.words.split_first().ok_or("handover.hook is empty")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C is for us: what is in flight ends. And whatever it has started ends with it when it takes too long.
        command.process_group(0);
        for (name, value) in self.environment {
            command.env(name, value);
        }
        let mut child = command.spawn().map_err(|e| format!("'{program}' cannot be started: {e}"))?;
        match tokio::time::timeout(self.bound, self.attend(&mut child)).await {
            Ok(Ok((status, took, said))) => self.judge(program, status, took, &said),
            Ok(Err(e)) => Err(format!("'{program}': {e}")),
            Err(_) => {
                end_group(&child);
                Err(format!("'{program}' did not end within {} seconds, and was ended", self.bound.as_secs()))
            }
        }
    }

    /// Gives it the secret and reads what it says, until it ends. Tells whether it took the secret.
    async fn attend(&self, child: &mut Child) -> std::io::Result<(ExitStatus, bool, Vec<u8>)> {
        let mut took = true;
        if let Some(mut stdin) = child.stdin.take() {
            took = stdin.write_all(self.secret.as_bytes()).await.is_ok() && stdin.shutdown().await.is_ok();
        }
        let Some(mut stderr) = child.stderr.take() else { return Ok((child.wait().await?, took, Vec::new())) };
        let mut said = Vec::new();
        let mut open = true;
        let status = loop {
            tokio::select! {
                more = hear(&mut stderr, &mut said), if open => open = more,
                status = child.wait() => break status?,
            }
        };
        while open && tokio::time::timeout(LAST_WORDS, hear(&mut stderr, &mut said)).await == Ok(true) {}
        Ok((status, took, said))
    }

    fn judge(&self, program: &str, status: ExitStatus, took: bool, said: &[u8]) -> Result<(), String> {
        let words = self.first_line(said);
        let words = if words.is_empty() { words } else { format!(": {words}") };
        match (status.success(), took) {
            (true, true) => Ok(()),
            (true, false) => Err(format!("'{program}' ended with success without reading the credential{words}")),
            (false, _) => Err(format!("'{program}' did not deliver ({status}){words}")),
        }
    }

    /// The first line that it said, without what steers a terminal, and without the secret.
    fn first_line(&self, said: &[u8]) -> String {
        let text = String::from_utf8_lossy(said);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let bare: String = self.secret.chars().filter(|c| *c != '-').collect();
        let line = line.replace(self.secret, "(the credential)").replace(&bare, "(the credential)");
        let mut told: String = neutral::lines(&line).chars().take(TOLD).collect();
        if told.chars().count() < line.chars().count() {
            told.push('…');
        }
        told
    }
}

/// Reads a piece and keeps the beginning; `false`: there is no more.
async fn hear(stderr: &mut ChildStderr, said: &mut Vec<u8>) -> bool {
    let mut piece = [0_u8; 1_024];
    match stderr.read(&mut piece).await {
        Ok(0) | Err(_) => false,
        Ok(length) => {
            let left = KEPT.saturating_sub(said.len()).min(length);
            said.extend_from_slice(piece.get(..left).unwrap_or_default());
            true
        }
    }
}

fn end_group(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself meanwhile.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "abcde-fghij-klmno-pqrst";

    async fn call(script: &str, seconds: u64) -> Result<(), String> {
        let words: Vec<String> = ["sh", "-c", script].map(str::to_owned).to_vec();
        let environment = [("UNTETHER_KEY", "the key".to_owned())];
        Call { words: &words, environment: &environment, secret: SECRET, bound: Duration::from_secs(seconds) }.make().await
    }

    #[tokio::test]
    async fn it_gets_the_secret_on_standard_input_and_says_by_its_status_what_became_of_it() {
        let script = format!("test \"$(cat)\" = {SECRET} && test \"$UNTETHER_KEY\" = 'the key'");
        assert_eq!(call(&script, 60).await, Ok(()));
        let refused = call("cat >/dev/null; echo 'the mailbox is full' >&2; echo more >&2; exit 3", 60).await.unwrap_err();
        assert!(refused.contains("exit status: 3") && refused.ends_with(": the mailbox is full"), "{refused}");
    }

    #[tokio::test]
    async fn what_it_says_neither_steers_a_terminal_nor_repeats_the_secret() {
        let refused =
            call("read -r s; printf '\\033[31m%s %s\\n' \"$s\" abcdefghijklmnopqrst >&2; exit 1", 60).await.unwrap_err();
        assert!(!refused.contains('\u{1b}') && !refused.contains(SECRET) && !refused.contains("abcdefghij"), "{refused}");
        let refused = call("cat >/dev/null; yes x | tr -d '\\n' | head -c 100000 >&2; exit 1", 60).await.unwrap_err();
        assert!(refused.chars().count() < 300 && refused.ends_with('…'), "{refused}");
    }

    #[tokio::test]
    async fn success_without_reading_is_no_delivery_and_a_program_that_is_not_there_is_told() {
        // The pipe of a process that has ended refuses what is written into it, unless the write came first.
        let ended = call("exec 0<&-; exit 0", 60).await;
        assert!(ended.is_ok() || ended.as_ref().is_err_and(|words| words.contains("without reading")), "{ended:?}");
        let words = vec!["/no/such/program".to_owned()];
        let call = Call { words: &words, environment: &[], secret: SECRET, bound: Duration::from_secs(60) };
        assert!(call.make().await.unwrap_err().contains("cannot be started"));
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_ended_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        // The grandchild holds the FIFO open for writing until it is ended: then reading comes to its end.
        let script = format!("sleep 1000 >'{}' & cat >/dev/null; wait", fifo.display());
        let reader = std::thread::spawn(move || std::fs::read(&fifo).map(|bytes| bytes.len()));
        let refused = call(&script, 1).await.unwrap_err();
        assert!(refused.contains("did not end within 1 seconds"), "{refused}");
        assert_eq!(reader.join().unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn somebody_who_is_left_behind_with_the_pipe_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert_eq!(call(&format!("cat >/dev/null; cat '{}' & exit 0", fifo.display()), 60).await, Ok(()));
        // It waits until somebody writes, and ends.
        drop(std::fs::OpenOptions::new().write(true).open(&fifo).unwrap());
    }
}
