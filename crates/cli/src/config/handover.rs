//! `[handover]`: who can open hand-over files, the hook, and what a printed sheet says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use untether_model::policy::Span;
use untether_model::{EntityId, WaveId};

/// One-time credentials on their way to people.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HandoverConfig {
    /// age recipients (`age1…`) that can open the hand-over files.
    pub recipients: Vec<String>,
    /// Recipients for the people of an entity, in the place of all others.
    pub entities: BTreeMap<EntityId, RecipientsConfig>,
    /// Recipients for the people of a wave, by its name, where their entity has none of its own.
    pub waves: BTreeMap<String, RecipientsConfig>,
    /// A program that is started for each person, with the secret on its standard input.
    pub hook: Option<Vec<String>>,
    /// Seconds until the hook must have ended.
    pub hook_seconds: u64,
    /// What the hook may have delivered when a run died is given to it again, with the same key; else a person decides.
    pub repeatable: bool,
    /// For how long an unused credential is meant to be valid: printed on sheets, and what `handover expire` takes by default.
    pub valid: Option<Span>,
    /// What a printed sheet says beside account and secret.
    pub sheet: SheetConfig,
}

impl Default for HandoverConfig {
    fn default() -> Self {
        Self {
            recipients: Vec::new(),
            entities: BTreeMap::new(),
            waves: BTreeMap::new(),
            hook: None,
            hook_seconds: 60,
            repeatable: false,
            valid: None,
            sheet: SheetConfig::default(),
        }
    }
}

/// Who can open some of the files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientsConfig {
    /// age recipients (`age1…`).
    pub recipients: Vec<String>,
}

/// What a printed sheet says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SheetConfig {
    /// Where people log in first.
    pub login_url: Option<String>,
    /// Files with the organization's own instructions, in plain text.
    pub instructions: Instructions,
}

/// Instructions by language.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Instructions {
    /// Japanese.
    pub ja: Option<PathBuf>,
    /// English.
    pub en: Option<PathBuf>,
}

/// Whose recipients somebody's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desk<'a> {
    /// The entity's.
    Entity(&'a EntityId),
    /// The wave's.
    Wave(&'a str),
    /// Everybody's.
    Everybody,
}

impl HandoverConfig {
    /// Whose recipients open the file of a person of this entity, whom this wave has in hand; and the recipients.
    pub fn desk<'a>(&'a self, entity: &'a EntityId, wave: &'a WaveId) -> (Desk<'a>, &'a [String]) {
        if let Some(own) = self.entities.get(entity) {
            return (Desk::Entity(entity), &own.recipients);
        }
        match self.waves.get(wave.wave.as_str()) {
            Some(own) => (Desk::Wave(&wave.wave), &own.recipients),
            None => (Desk::Everybody, &self.recipients),
        }
    }

    /// Every recipient with the key that it is configured under.
    fn each_recipient(&self) -> impl Iterator<Item = (String, &String)> {
        let global = self.recipients.iter().map(|text| ("handover.recipients".to_owned(), text));
        let entities = self
            .entities
            .iter()
            .flat_map(|(id, own)| own.recipients.iter().map(move |text| (format!("handover.entities.{id}.recipients"), text)));
        let waves = self
            .waves
            .iter()
            .flat_map(|(name, own)| own.recipients.iter().map(move |text| (format!("handover.waves.{name}.recipients"), text)));
        global.chain(entities).chain(waves)
    }

    /// What is wrong with the section by itself, and what to do; `None`: nothing.
    pub fn trouble(&self) -> Option<(String, String)> {
        for (key, text) in self.each_recipient() {
            if let Err((why, fix)) = parse_recipient(text) {
                return Some((format!("gives {why} as {key}"), fix));
            }
        }
        let lists = self.entities.iter().map(|(id, own)| (format!("handover.entities.{id}"), own));
        let mut lists = lists.chain(self.waves.iter().map(|(name, own)| (format!("handover.waves.{name}"), own)));
        if let Some((key, _)) = lists.find(|(_, own)| own.recipients.is_empty()) {
            let fix = "name a recipient, or leave the section away: then handover.recipients counts".to_owned();
            return Some((format!("gives no recipients in {key}: nobody could open those files"), fix));
        }
        if self.hook.as_ref().is_some_and(|words| words.first().is_none_or(String::is_empty)) {
            return Some(("gives an empty handover.hook".to_owned(), "name a program, or leave the key away".to_owned()));
        }
        if self.hook_seconds == 0 {
            return Some(("gives handover.hook_seconds = 0".to_owned(), "give the hook time to deliver".to_owned()));
        }
        None
    }

    /// Makes its paths relative to the configuration's directory.
    pub fn anchor(&mut self, mut fix: impl FnMut(&mut PathBuf)) {
        self.sheet.instructions.ja.iter_mut().for_each(&mut fix);
        self.sheet.instructions.en.iter_mut().for_each(&mut fix);
        // A program without a slash is looked for in PATH.
        if let Some(program) = self.hook.as_mut().and_then(|words| words.first_mut())
            && program.contains('/')
        {
            let mut path = Path::new(program.as_str()).to_path_buf();
            fix(&mut path);
            if let Some(text) = path.to_str() {
                text.clone_into(program);
            }
        }
    }
}

/// An age recipient; an error says what stands there instead, without repeating what may be secret, and what to write.
pub fn parse_recipient(text: &str) -> Result<age::x25519::Recipient, (String, String)> {
    let make = "`age-keygen -o key.txt` makes a pair; write the line that begins with age1".to_owned();
    if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
        let fix = format!("that key is no longer a secret: make another pair ({make})");
        return Err(("a secret age identity".to_owned(), fix));
    }
    if text.starts_with("ssh-") || text.starts_with("ecdsa-") {
        return Err(("an SSH key, which this version does not encrypt for,".to_owned(), make));
    }
    text.parse().map_err(|why| (format!("'{text}', which is no age recipient ({why}),"), make))
}

#[cfg(test)]
mod tests {
    use untether_model::PlanId;

    use super::*;

    const GOOD: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    fn config(text: &str) -> HandoverConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_entitys_desk_comes_before_the_waves_and_everybodys() {
        let config = config(&format!(
            "recipients = [\"{GOOD}\"]\n[entities.hr]\nrecipients = [\"{GOOD}\"]\n[waves.move]\nrecipients = [\"{GOOD}\"]"
        ));
        let wave = |name| WaveId::new(PlanId::new("p"), name);
        let (hr, other) = (EntityId::new("hr"), EntityId::new("other"));
        assert_eq!(config.desk(&hr, &wave("move")).0, Desk::Entity(&hr));
        assert_eq!(config.desk(&other, &wave("move")).0, Desk::Wave("move"));
        assert_eq!(config.desk(&other, &wave("retire")).0, Desk::Everybody);
        assert_eq!(config.trouble(), None);
    }

    #[test]
    fn what_is_no_recipient_is_refused_by_its_key_and_a_secret_is_not_repeated() {
        let trouble = |text: &str| config(text).trouble().unwrap();
        let (what, fix) = trouble("[entities.hr]\nrecipients = [\"age1nonsense\"]");
        assert!(what.contains("handover.entities.hr.recipients") && fix.contains("age-keygen"), "{what}; {fix}");
        let secret = "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ";
        let (what, fix) = trouble(&format!("recipients = [\"{secret}\"]"));
        assert!(!what.contains("QQQQ") && !fix.contains("QQQQ"), "{what}; {fix}");
        let (what, _) = trouble("recipients = [\"ssh-ed25519 AAAA\"]");
        assert!(what.contains("SSH"), "{what}");
        let (what, _) = trouble("[waves.move]\nrecipients = []");
        assert!(what.contains("handover.waves.move"), "{what}");
        let (what, _) = trouble("hook = []");
        assert!(what.contains("handover.hook"), "{what}");
    }
}
