//! Hand-over files, encrypted with age for whoever is to open them, and the hook.

mod hook;

use std::io::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use untether_cutover::{Handover, Hook, Place, Way};
use untether_directory::Read as _;
use untether_ledger::StateDir;
use untether_model::digest::Digest;
use untether_model::{BatchId, Dn, EntityId, Side, SubjectId, WaveId};

use self::hook::Call;
use crate::config::{Config, Desk, parse_recipient};
use crate::wiring::stores::reader;

/// People whose names are asked for at a time.
const TOGETHER: usize = 64;

/// Encrypts hand-over files and starts the hook.
pub struct AgeHandover {
    dir: StateDir,
    config: Config,
}

impl AgeHandover {
    /// Writes below this state directory.
    pub fn new(dir: StateDir, config: Config) -> Self {
        Self { dir, config }
    }

    /// The names by which people know each other, as far as the independent directory tells them now.
    async fn names(&self, people: &[Handover]) -> Vec<Option<String>> {
        let attr = &self.config.audit.independent.attributes.name;
        let asked = std::slice::from_ref(attr);
        let accounts: Vec<Dn> = people.iter().map(|person| person.dn.clone()).collect();
        let mut names = Vec::with_capacity(people.len());
        // A name is a convenience: a store that does not answer keeps nobody from their credential, nor lets them wait for each.
        if let Ok(reader) = reader(&self.config, Side::Independent) {
            for together in accounts.chunks(TOGETHER) {
                let Ok(found) = reader.read_all(together, asked).await else { break };
                for (dn, entry) in together.iter().zip(found) {
                    // Whom this identity may read and not search for is found by name alone.
                    let entry = match entry {
                        None => reader.read(dn, asked).await.ok().flatten(),
                        found => found,
                    };
                    names.push(entry.and_then(|entry| entry.texts(attr.as_str()).next().map(str::to_owned)));
                }
            }
        }
        names.resize(people.len(), None);
        names
    }
}

/// Encrypts for these recipients.
pub fn encrypt(recipients: &[String], content: &[u8]) -> Result<Vec<u8>, String> {
    let recipients: Vec<age::x25519::Recipient> = recipients
        .iter()
        .map(|text| parse_recipient(text).map_err(|(what, fix)| format!("{what} is configured; {fix}")))
        .collect::<Result<_, _>>()?;
    let failed = |e: std::io::Error| format!("encrypting the hand-over file: {e}");
    let encryptor = age::Encryptor::with_recipients(recipients.iter().map(|r| r as &dyn age::Recipient));
    let encryptor = encryptor.map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    let mut writer = encryptor.wrap_output(&mut out).map_err(failed)?;
    writer.write_all(content).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

/// The name of the file of a batch, or of an order, for one desk. Entities and waves may have any name; files may not.
pub fn file_stem(unit: &BatchId, desk: Desk<'_>) -> String {
    let plain = |text: &str| -> String {
        let mut out = String::new();
        for byte in text.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => out.push(char::from(byte)),
                other => out.push_str(&format!("%{other:02x}")),
            }
        }
        out
    };
    let of_unit = unit.to_string().replace('/', "_");
    match desk {
        Desk::Entity(entity) => format!("{of_unit}_{}", plain(entity.as_str())),
        // The batch's own wave needs no mention.
        Desk::Wave(wave) if unit.wave.wave != wave => format!("{of_unit}_{}", plain(wave)),
        Desk::Wave(_) | Desk::Everybody => of_unit,
    }
}

/// The login by which the account's name calls its owner.
pub fn login_of(dn: &Dn) -> String {
    let rdn = dn.rdn().map(|rdn| rdn.to_string()).unwrap_or_default();
    rdn.split_once('=').map_or(rdn.clone(), |(_, value)| value.to_owned())
}

/// Says why nobody could get a credential of this entity and wave; `None`: somebody can.
pub fn unreachable(config: &Config, entity: &EntityId, wave: &WaveId) -> Option<String> {
    let (_, recipients) = config.handover.desk(entity, wave);
    (config.handover.hook.is_none() && recipients.is_empty()).then(|| {
        format!(
            "one-time credentials for people of '{entity}' would have nowhere to go: configure handover.recipients, \
             [handover.entities.{entity}] or handover.hook"
        )
    })
}

#[async_trait]
impl Hook for AgeHandover {
    fn way(&self) -> Way {
        match &self.config.handover.hook {
            Some(words) => {
                Way::Hook { name: words.first().cloned().unwrap_or_default(), repeatable: self.config.handover.repeatable }
            }
            None => Way::Files,
        }
    }

    fn file_of(&self, place: &Place<'_>) -> Result<String, String> {
        match unreachable(&self.config, place.entity, place.wave) {
            Some(why) => Err(format!("{why}; those that were made are sealed in the journal")),
            None => Ok(format!("{}.age", file_stem(place.unit, self.config.handover.desk(place.entity, place.wave).0))),
        }
    }

    async fn write_file(&self, name: &str, people: &[Handover]) -> Result<Digest, String> {
        let Some(first) = people.first() else { return Err(format!("nobody belongs in the hand-over file {name}")) };
        let (_, recipients) = self.config.handover.desk(&first.entity, &first.wave);
        let names = self.names(people).await;
        let mut content = zeroize::Zeroizing::new(Vec::new());
        for (person, known) in people.iter().zip(names) {
            let login = login_of(&person.dn);
            let line = zeroize::Zeroizing::new(
                serde_json::json!({
                    "subject": person.subject, "entity": person.entity, "account": person.dn, "name": known.as_ref().unwrap_or(&login),
                    "login": login, "secret": person.secret.as_str(),
                })
                .to_string(),
            );
            content.extend_from_slice(line.as_bytes());
            content.push(b'\n');
        }
        let encrypted = encrypt(recipients, &content)?;
        self.dir.write_handover(name, &encrypted).map_err(|e| crate::error::chain(&e))?;
        Ok(Digest::of(&encrypted))
    }

    fn keeps_file(&self, name: &str) -> bool {
        self.dir.has_handover(name)
    }

    async fn hand_over(&self, key: &str, unit: &BatchId, person: &Handover) -> Result<(), String> {
        let words = self.config.handover.hook.as_deref().unwrap_or_default();
        let environment = [
            ("UNTETHER_KEY", key.to_owned()),
            ("UNTETHER_SUBJECT", person.subject.to_string()),
            ("UNTETHER_ACCOUNT", person.dn.to_string()),
            ("UNTETHER_LOGIN", login_of(&person.dn)),
            ("UNTETHER_ENTITY", person.entity.to_string()),
            ("UNTETHER_BATCH", unit.to_string()),
        ];
        let bound = Duration::from_secs(self.config.handover.hook_seconds);
        Call { words, environment: &environment, secret: &person.secret, bound }.make().await
    }

    async fn deliver(&self, hook: &str, _key: &str, _subject: &SubjectId) -> Result<(), String> {
        Err(format!("no hook '{hook}' is configured"))
    }
}

#[cfg(test)]
mod tests {
    use untether_model::PlanId;

    use super::*;

    #[test]
    fn a_file_is_named_by_its_batch_and_the_desk_that_opens_it() {
        let batch = BatchId::new(WaveId::new(PlanId::new("p"), "move"), "b01");
        assert_eq!(file_stem(&batch, Desk::Everybody), "p_move_b01");
        assert_eq!(file_stem(&batch, Desk::Wave("move")), "p_move_b01");
        assert_eq!(file_stem(&batch, Desk::Wave("other")), "p_move_b01_other");
        assert_eq!(file_stem(&batch, Desk::Entity(&EntityId::new("a/b 社"))), "p_move_b01_a%2fb%20%e7%a4%be");
    }

    #[test]
    fn the_login_is_the_value_of_the_accounts_name() {
        assert_eq!(login_of(&Dn::parse("uid=taro,ou=people,dc=own").unwrap()), "taro");
    }
}
