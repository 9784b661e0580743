//! Hand-over files: one age file a batch for the configured recipients, and the hook.

use std::io::Write as _;
use std::process::Stdio;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;
use untether_cutover::{Handover, Hook};
use untether_ledger::StateDir;
use untether_model::digest::Digest;
use untether_model::{BatchId, SubjectId};

use crate::config::HandoverConfig;

/// Encrypts hand-over files and starts the hook.
pub struct AgeHandover {
    dir: StateDir,
    config: HandoverConfig,
}

impl AgeHandover {
    /// Writes below this state directory.
    pub fn new(dir: StateDir, config: HandoverConfig) -> Self {
        Self { dir, config }
    }

    fn encrypt(&self, people: &[Handover]) -> Result<Vec<u8>, String> {
        let recipients: Vec<Box<dyn age::Recipient>> = self
            .config
            .recipients
            .iter()
            .map(|text| {
                let parsed: Result<age::x25519::Recipient, _> = text.parse();
                parsed
                    .map(|r| Box::new(r) as Box<dyn age::Recipient>)
                    .map_err(|e| format!("handover.recipients: '{text}' is not an age recipient: {e}"))
            })
            .collect::<Result<_, _>>()?;
        let encryptor = age::Encryptor::with_recipients(recipients.iter().map(AsRef::as_ref)).map_err(|e| e.to_string())?;
        let mut out = Vec::new();
        let failed = |e: std::io::Error| format!("encrypting the hand-over file: {e}");
        let mut writer = encryptor.wrap_output(&mut out).map_err(failed)?;
        for person in people {
            let line = zeroize::Zeroizing::new(
                serde_json::json!({
                    "subject": person.subject, "account": person.dn, "name": person.name, "secret": person.secret.as_str(),
                })
                .to_string(),
            );
            writer.write_all(line.as_bytes()).and_then(|()| writer.write_all(b"\n")).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
        Ok(out)
    }

    /// Starts the hook with one person's secret on its standard input.
    async fn call(&self, words: &[String], key: &str, person: &Handover) -> Result<(), String> {
        let (program, arguments) = words.split_first().ok_or("handover.hook is empty")?;
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .env("UNTETHER_KEY", key)
            .env("UNTETHER_SUBJECT", person.subject.as_str())
            .env("UNTETHER_ACCOUNT", person.dn.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("'{program}' cannot be started: {e}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            let written = stdin.write_all(person.secret.as_bytes()).await;
            written.map_err(|e| format!("'{program}' does not read its standard input: {e}"))?;
        }
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), child.wait()).await;
        match ended {
            Err(_) => Err(format!("'{program}' did not end within 60 seconds")),
            Ok(Err(e)) => Err(format!("'{program}': {e}")),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("'{program}' said that it did not deliver ({status})")),
        }
    }
}

fn file_name(batch: &BatchId) -> String {
    format!("{}.age", batch.to_string().replace('/', "_"))
}

#[async_trait]
impl Hook for AgeHandover {
    async fn write_handover(&self, batch: &BatchId, people: &[Handover]) -> Result<(String, Digest), String> {
        if let Some(words) = &self.config.hook {
            let mut receipt = String::new();
            for person in people {
                self.call(words, &format!("{batch}/{}", person.subject), person).await?;
                receipt.push_str(person.subject.as_str());
                receipt.push('\n');
            }
            return Ok((format!("hook {}", words.first().map_or("", String::as_str)), Digest::of(receipt.as_bytes())));
        }
        if self.config.recipients.is_empty() {
            return Err("one-time credentials were made, but neither handover.recipients nor handover.hook is configured; \
                        they are sealed in the journal: configure one and run again"
                .to_owned());
        }
        let encrypted = self.encrypt(people)?;
        let name = file_name(batch);
        self.dir.write_handover(&name, &encrypted).map_err(|e| crate::error::chain(&e))?;
        Ok((name, Digest::of(&encrypted)))
    }

    fn keeps_handover(&self, batch: &BatchId) -> bool {
        self.config.hook.is_some() || self.dir.has_handover(&file_name(batch))
    }

    async fn deliver(&self, hook: &str, _key: &str, _subject: &SubjectId) -> Result<(), String> {
        Err(format!("no hook '{hook}' is configured"))
    }
}
