//! A plan's policy in words: what holds for most of it, said once, and what a wave or an entity does otherwise.

use std::collections::{BTreeMap, BTreeSet};

use untether_model::EntityId;
use untether_model::operation::{Stage, Track};
use untether_model::plan::WaveHeader;
use untether_model::policy::{Admission, Mapping, Selector, Terms, Thresholds};

/// Groups of a mapping that are named one by one.
const SHOWN_GROUPS: usize = 3;

/// One thing that the policy says: what about, and in words. Two that read the same are the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    about: &'static str,
    text: String,
}

/// What a wave says, and what it says of each entity.
struct Said {
    wave: Vec<Word>,
    entities: BTreeMap<EntityId, Vec<Word>>,
}

/// The policy of a plan's waves.
pub struct Policy {
    usual: BTreeMap<&'static str, String>,
    said: BTreeMap<String, Said>,
}

impl Policy {
    /// From the heads of all waves.
    pub fn of(waves: &[WaveHeader]) -> Self {
        let said: BTreeMap<String, Said> = waves.iter().map(|wave| (wave.name.clone(), said(wave))).collect();
        let mut counts: BTreeMap<&Word, usize> = BTreeMap::new();
        for of_wave in said.values() {
            // A wave counts once for each of its entities, so that its own words and theirs weigh the same.
            let entities = of_wave.entities.len().max(1);
            of_wave.wave.iter().for_each(|word| *counts.entry(word).or_default() += entities);
            of_wave.entities.values().flatten().for_each(|word| *counts.entry(word).or_default() += 1);
        }
        let mut usual: BTreeMap<&'static str, (String, usize)> = BTreeMap::new();
        for (word, count) in counts {
            let best = usual.entry(word.about).or_default();
            if count > best.1 {
                *best = (word.text.clone(), count);
            }
        }
        Self { usual: usual.into_iter().map(|(about, (text, _))| (about, text)).collect(), said }
    }

    /// What holds where nothing else is shown.
    pub fn usual(&self) -> Vec<String> {
        self.usual.iter().map(|(about, text)| line(about, text)).collect()
    }

    /// What a wave and its entities do otherwise; all that holds for them where `whole`.
    pub fn of_wave(&self, name: &str, whole: bool) -> Vec<String> {
        let Some(said) = self.said.get(name) else { return Vec::new() };
        let shown = |word: &&Word| whole || self.usual.get(word.about) != Some(&word.text);
        let mut lines: Vec<String> = said.wave.iter().filter(shown).map(|word| line(word.about, &word.text)).collect();
        let mut by_word: BTreeMap<&Word, Vec<&str>> = BTreeMap::new();
        for (entity, words) in &said.entities {
            for word in words.iter().filter(shown) {
                by_word.entry(word).or_default().push(entity.as_str());
            }
        }
        for (word, entities) in by_word {
            let of_all = entities.len() == said.entities.len();
            let of = if of_all { String::new() } else { format!(" (only {})", entities.join(", ")) };
            lines.push(format!("{}{of}", line(word.about, &word.text)));
        }
        lines
    }
}

fn line(about: &str, text: &str) -> String {
    format!("{about:<12} {text}")
}

/// Whom a wave was told to take, in words.
pub fn selection(selector: &Selector) -> String {
    let names = |names: Vec<String>| names.join(", ");
    let mut words = vec![format!(
        "takes {} ({}) of {}",
        names(selector.tracks.iter().map(ToString::to_string).collect()),
        names(selector.kinds.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect()),
        match selector.entities.as_slice() {
            [] => "every entity".to_owned(),
            entities => names(entities.iter().map(ToString::to_string).collect()),
        }
    )];
    words.extend(selector.filter.as_ref().map(|filter| format!("matching {filter}")));
    words.extend(selector.people_file.as_ref().map(|file| format!("listed in '{file}'")));
    words.extend(selector.limit.map(|limit| format!("at most {limit}")));
    words.join(", ")
}

fn said(wave: &WaveHeader) -> Said {
    let tracks: BTreeSet<Track> = wave.selector.tracks.iter().copied().collect();
    Said {
        wave: pace(wave),
        entities: wave.terms.iter().map(|(entity, terms)| (entity.clone(), treatment(terms, &tracks))).collect(),
    }
}

fn pace(wave: &WaveHeader) -> Vec<Word> {
    let word = |about, text| Word { about, text };
    vec![
        word("canary", format!("{} % of it in order, then {} before the others", wave.canary_share_percent, wave.canary_wait)),
        word("soak", wave.soak.to_string()),
        word("failures", format!("a batch tolerates {}", wave.failure_tolerance)),
        word("gates", format!("a subject waits at most {}", wave.hold_bound)),
        word("limits", limits(&wave.thresholds)),
    ]
}

fn limits(thresholds: &Thresholds) -> String {
    let Thresholds { max_changed, max_changed_percent, max_disabled, max_disabled_percent, max_removed, max_removed_percent } =
        thresholds;
    let limit = |what: &str, count: &Option<u64>, percent: &f64| {
        let count = count.map(|count| format!("{count} and ")).unwrap_or_default();
        format!("{what} {count}{percent} %")
    };
    [
        limit("changed", max_changed, max_changed_percent),
        limit("disabled", max_disabled, max_disabled_percent),
        limit("removed", max_removed, max_removed_percent),
    ]
    .join(", ")
}

fn treatment(terms: &Terms, tracks: &BTreeSet<Track>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut say = |about, text| words.push(Word { about, text });
    if tracks.contains(&Track::Migrate) {
        if let Some(mapping) = &terms.mapping {
            say("accounts", accounts(mapping));
            say("copied", join(&mapping.copy));
            say("made", made(mapping));
            say("groups", groups(mapping));
        }
        say("admission", admission(terms.admission.as_ref()));
        let credential = &terms.credential;
        let change = if credential.must_change { ", to be changed" } else { "" };
        let scheme = format!("{:?}", credential.scheme).to_lowercase();
        say("credential", format!("{} characters, {scheme}{change}", credential.length));
        say("gate mfa", mfa(terms));
    }
    // Where there is a switch, a login counts from then on.
    let asked = |track: &&Track| matches!(track, Track::Finish | Track::Keep);
    if tracks.iter().any(|track| asked(&track)) || (tracks.contains(&Track::Migrate) && terms.admission.is_none()) {
        say("own account", format!("proved by a login within {} days", terms.own_account_login_days));
    }
    if tracks.iter().any(|track| track.has(Stage::Scrub)) {
        let kept = if terms.retention.is_empty() { "nothing".to_owned() } else { join(&terms.retention) };
        say("retention", kept);
    }
    words
}

fn join<T: ToString>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn accounts(mapping: &Mapping) -> String {
    format!("below {}, named by {}, of {}", mapping.base, mapping.rdn, mapping.object_classes.join(" "))
}

/// What is not copied as it is.
fn made(mapping: &Mapping) -> String {
    let templates = mapping.templates.iter().map(|(attr, template)| format!("{attr}={template}"));
    let constants = mapping.constants.iter().map(|(attr, values)| {
        let values: Vec<_> = values.iter().map(untether_model::Value::to_lossy).collect();
        format!("{attr}={}", values.join("|"))
    });
    let link = mapping.link_attribute.iter().map(|attr| format!("{attr}=the shared account's id"));
    let references = mapping.references.iter().map(|attr| format!("{attr} translated"));
    let all: Vec<String> = link.chain(templates).chain(constants).chain(references).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn groups(mapping: &Mapping) -> String {
    let named = mapping.groups.iter().take(SHOWN_GROUPS).map(|map| {
        let made = if map.create { " (made)" } else { "" };
        format!("{} → {}{made}", map.shared, map.independent)
    });
    let more = mapping.groups.len().saturating_sub(SHOWN_GROUPS);
    let more = (more > 0).then(|| format!("and {more} more"));
    let all: Vec<String> = named.chain(more).collect();
    if all.is_empty() { "none follow".to_owned() } else { all.join("; ") }
}

fn admission(admission: Option<&Admission>) -> String {
    match admission {
        Some(Admission::Group { dn }) => format!("member of {dn}"),
        Some(Admission::Attribute { name, value }) => format!("{name}={value}"),
        Some(Admission::None) | None => "nothing tells relying systems".to_owned(),
    }
}

fn mfa(terms: &Terms) -> String {
    let filter = terms.mfa_filter.clone().unwrap_or_else(|| "no filter: unknown until it is accepted".to_owned());
    let exempt = terms.mfa_exempt.iter().map(|exemption| {
        let kinds: Vec<String> = exemption.kinds.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        let who = if kinds.is_empty() { "anybody".to_owned() } else { kinds.join(", ") };
        format!("not asked of {who}: {}", exemption.reason)
    });
    std::iter::once(filter).chain(exempt).collect::<Vec<_>>().join("; ")
}
