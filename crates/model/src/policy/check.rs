//! What the plan's policy must not say: contradictions, and words that could never count. Asked before a plan is made from it; a run
//! reads no policy.
//!
//! Filters are not parsed here; whoever evaluates them does that.

use std::collections::BTreeSet;

use super::mapping::{Mapping, MappingPart, Piece, template_pieces};
use super::{Admission, AuditPolicy, PlanPolicy, Settings, ThresholdsPart, WavePolicy};
use crate::operation::{Stage, Track};
use crate::{Dn, EntityId, Side};

/// The policy contradicts itself or lacks something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct BadPolicy {
    /// What is wrong, and where.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

type Checked = Result<(), BadPolicy>;

fn bad(what: String, hint: impl Into<String>) -> BadPolicy {
    BadPolicy { what, hint: hint.into() }
}

/// Lengths of a one-time secret that can be made.
const SECRET_LENGTHS: std::ops::RangeInclusive<u8> = 12..=64;

impl PlanPolicy {
    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// The first contradiction, with what to do about it.
    pub fn check(&self, audit: &AuditPolicy) -> Checked {
        self.check_names(audit)?;
        let levels = std::iter::once(("[plan]".to_owned(), self.said()))
            .chain(self.entities.iter().map(|(id, settings)| (format!("[plan.entities.{id}]"), settings.clone())))
            .chain(self.waves.iter().map(|wave| (format!("wave {}", wave.name), wave.said())));
        levels.into_iter().try_for_each(|(at, settings)| check_level(&at, &settings))?;
        percentage("[plan]", "moved_percent", Some(self.moved_percent), 100.0)?;
        self.waves.iter().try_for_each(check_wave)?;
        self.waves.iter().try_for_each(|wave| self.check_pace(audit, wave))?;
        for (wave, entity, terms) in self.all_terms(audit) {
            let at = format!("wave {}, entity {entity}", wave.name);
            self.check_retention(audit, &at, (wave, entity))?;
            if wave.tracks.contains(&Track::Migrate) {
                let part = self.settings(audit, wave, entity).mapping.unwrap_or_default();
                let mapping = part.complete().map_err(|missing| {
                    bad(
                        format!("{at}: its mapping lacks `{missing}`, and the track migrate makes accounts"),
                        "give it in [plan.mapping], for the entity in [plan.entities.ID.mapping], or in the wave",
                    )
                })?;
                check_mapping(audit, &at, &mapping)?;
                if let Some(Admission::Group { dn }) = &terms.admission {
                    within(audit, Side::Independent, &at, ("admission", dn))?;
                }
            }
        }
        if let Some(dn) = &self.locking_policy {
            within(audit, Side::Shared, "[plan]", ("locking_policy", dn))?;
        }
        Ok(())
    }

    fn check_names(&self, audit: &AuditPolicy) -> Checked {
        let known = |at: &str, entities: &[EntityId]| match entities.iter().find(|id| !audit.entities.contains_key(id)) {
            Some(id) => {
                let names: Vec<&str> = audit.entities.keys().map(EntityId::as_str).collect();
                Err(bad(
                    format!("{at} names the entity '{id}', which [audit.entities] lacks"),
                    format!("it has: {}", names.join(", ")),
                ))
            }
            None => Ok(()),
        };
        for id in self.entities.keys() {
            known(&format!("[plan.entities.{id}]"), std::slice::from_ref(id))?;
        }
        self.keep.iter().try_for_each(|keep| known("[[plan.keep]]", &keep.entities))?;
        self.hold.iter().try_for_each(|hold| known("[[plan.hold]]", &hold.entities))?;
        let mut names = BTreeSet::new();
        for wave in &self.waves {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if wave.name.is_empty() || !wave.name.chars().all(plain) {
                return Err(bad(format!("'{}' is not a wave's name", wave.name), "use letters, digits, '-' and '_'"));
            }
            if let Some(missing) = wave.after.iter().find(|name| !names.contains(name.as_str())) {
                let what = format!("wave {} comes after {missing}, which is not an earlier wave", wave.name);
                return Err(bad(what, "waves are listed in the order in which they run"));
            }
            if !names.insert(wave.name.as_str()) {
                return Err(bad(format!("two waves are named {}", wave.name), "give each a name of its own"));
            }
            known(&format!("wave {}", wave.name), &wave.entities)?;
        }
        Ok(())
    }

    /// A wave runs at one pace: where it takes several entities whose settings differ, it must say its own.
    fn check_pace(&self, audit: &AuditPolicy, wave: &WavePolicy) -> Checked {
        let mut paces = Self::entities_of(audit, wave).map(|entity| (entity, self.pace_of(wave, entity)));
        let Some((first, pace)) = paces.next() else { return Ok(()) };
        for (entity, other) in paces {
            if let Some((key, here, there)) = pace.difference(&other) {
                return Err(bad(
                    format!("wave {} takes {first} and {entity}, whose {key} differ: {here} and {there}", wave.name),
                    format!("give {key} in the wave, or make a wave for each"),
                ));
            }
        }
        Ok(())
    }

    /// Somebody must have said what may stay: a scrub that knows no list would leave next to nothing.
    fn check_retention(&self, audit: &AuditPolicy, at: &str, (wave, entity): (&WavePolicy, &EntityId)) -> Checked {
        let scrubs = wave.tracks.iter().any(|track| track.has(Stage::Scrub));
        if scrubs && self.settings(audit, wave, entity).retention.is_none() {
            return Err(bad(
                format!("{at}: no retention list is given, so a scrub would not know what may stay"),
                "list the attributes in plan.retention or audit.retention; `retention = []` says that none may stay",
            ));
        }
        Ok(())
    }
}

/// What one level says, whatever the others do.
fn check_level(at: &str, settings: &Settings) -> Checked {
    for (key, size) in [("batch_size", settings.batch_size), ("canary_size", settings.canary_size)] {
        if size == Some(0) {
            return Err(bad(format!("{at}: {key} is 0"), "a batch has at least one subject"));
        }
    }
    percentage(at, "canary_share_percent", settings.canary_share_percent, 100.0)?;
    let ThresholdsPart { max_changed_percent, max_disabled_percent, max_removed_percent, .. } =
        settings.thresholds.clone().unwrap_or_default();
    percentage(at, "thresholds.max_changed_percent", max_changed_percent, f64::MAX)?;
    percentage(at, "thresholds.max_disabled_percent", max_disabled_percent, f64::MAX)?;
    percentage(at, "thresholds.max_removed_percent", max_removed_percent, f64::MAX)?;
    if let Some(length) = settings.credential.as_ref().and_then(|credential| credential.length)
        && !SECRET_LENGTHS.contains(&length)
    {
        let what = format!("{at}: credential.length is {length}");
        return Err(bad(
            what,
            format!("one-time secrets have {} to {} characters", SECRET_LENGTHS.start(), SECRET_LENGTHS.end()),
        ));
    }
    if settings.mfa_exempt.iter().flatten().any(|exemption| exemption.reason.trim().is_empty()) {
        let what = format!("{at}: leaving gate mfa out needs a reason");
        return Err(bad(what, "write it in mfa_exempt: it stands in the plan that people sign"));
    }
    settings.mapping.iter().try_for_each(|part| check_part(at, part))
}

fn percentage(at: &str, key: &str, value: Option<f64>, most: f64) -> Checked {
    match value {
        Some(value) if !(0.0..=most).contains(&value) => {
            let range = if most == 100.0 { "a number from 0 to 100" } else { "a number that is not negative" };
            Err(bad(format!("{at}: {key} is {value}"), format!("a percentage is {range}")))
        }
        _ => Ok(()),
    }
}

/// Templates and constants of one level.
fn check_part(at: &str, part: &MappingPart) -> Checked {
    let fixed = "the object classes stand in object_classes";
    if let Some(attr) = part.templates.keys().chain(part.constants.keys()).find(|attr| attr.is("objectclass")) {
        return Err(bad(format!("{at}: the mapping makes {attr}"), fixed));
    }
    if let Some(attr) = part.templates.keys().find(|attr| part.constants.contains_key(*attr)) {
        return Err(bad(format!("{at}: the mapping gives {attr} a template and a constant"), "only one can count"));
    }
    for (attr, template) in &part.templates {
        template_pieces(template).map_err(|what| bad(format!("{at}: {attr}: {what}"), "write {attribute} or {entity}"))?;
    }
    Ok(())
}

/// Words of a wave that could never count.
fn check_wave(wave: &WavePolicy) -> Checked {
    let at = format!("wave {}", wave.name);
    if wave.tracks.is_empty() {
        return Err(bad(format!("{at} takes no track"), "tracks = [\"retire\"], for instance"));
    }
    if wave.tracks.contains(&Track::Hold) {
        return Err(bad(format!("{at} takes the track hold, whose subjects wait and are in no wave"), "take it out"));
    }
    if wave.limit == Some(0) {
        return Err(bad(format!("{at} is limited to 0 subjects"), "leave limit away, or leave the wave away"));
    }
    let said = wave.said();
    if !wave.tracks.contains(&Track::Migrate) {
        let keys = [
            ("mapping", said.mapping.is_some()),
            ("credential", said.credential.is_some()),
            ("admission", said.admission.is_some()),
            ("mfa_filter", said.mfa_filter.is_some()),
            ("mfa_exempt", said.mfa_exempt.is_some()),
        ];
        if let Some((key, _)) = keys.iter().find(|(_, given)| *given) {
            return Err(bad(
                format!("{at} gives {key}, but none of its tracks makes or opens an account"),
                "it counts for the track migrate only; take it out, or into [plan] or [plan.entities.ID]",
            ));
        }
    }
    let asks_own_account = wave.tracks.iter().any(|track| matches!(track, Track::Migrate | Track::Finish | Track::Keep));
    if said.own_account_login_days.is_some() && !asks_own_account {
        return Err(bad(
            format!("{at} gives own_account_login_days, but none of its tracks is asked for an own account"),
            "take it out",
        ));
    }
    Ok(())
}

/// A whole mapping against what the audit looks at.
fn check_mapping(audit: &AuditPolicy, at: &str, mapping: &Mapping) -> Checked {
    within(audit, Side::Independent, at, ("mapping.base", &mapping.base))?;
    let scopes = &audit.independent.accounts;
    if !scopes.is_empty() && !scopes.iter().any(|scope| mapping.base.is_within(&scope.base)) {
        return Err(bad(
            format!("{at}: new accounts are made below '{}', where the audit looks for no accounts", mapping.base),
            "add the base to audit.independent.accounts, or the next audit will not know that these people have moved",
        ));
    }
    if let (Some(made), Some(read)) = (&mapping.link_attribute, &audit.independent.attributes.link)
        && made != read
    {
        return Err(bad(
            format!("{at}: mapping.link_attribute is {made}, but the audit reads the link from {read}"),
            "write the same attribute in audit.independent.attributes.link",
        ));
    }
    let mut taken = BTreeSet::new();
    for map in &mapping.groups {
        within(audit, Side::Shared, at, ("mapping.groups", &map.shared))?;
        within(audit, Side::Independent, at, ("mapping.groups", &map.independent))?;
        if !taken.insert((&map.shared, &map.independent)) {
            return Err(bad(format!("{at}: '{}' is mapped to '{}' twice", map.shared, map.independent), "leave one out"));
        }
    }
    let entity = mapping.templates.iter().find_map(|(attr, template)| {
        let pieces = template_pieces(template).unwrap_or_default();
        let is_only_text = !pieces.iter().any(|piece| matches!(piece, Piece::Name(_)));
        (is_only_text && *attr == mapping.rdn).then_some(attr)
    });
    match entity {
        Some(attr) => Err(bad(
            format!("{at}: the template of {attr}, which names the new entries, is the same text for everybody"),
            "write {attribute} into it",
        )),
        None if mapping.constants.contains_key(&mapping.rdn) => Err(bad(
            format!("{at}: {} names the new entries and is the same constant for everybody", mapping.rdn),
            "copy it, or make it from a template",
        )),
        None => Ok(()),
    }
}

fn within(audit: &AuditPolicy, side: Side, at: &str, (key, dn): (&str, &Dn)) -> Checked {
    let suffix = &audit.store(side).suffix;
    if dn.is_within(suffix) {
        return Ok(());
    }
    Err(bad(format!("{at}: {key} names '{dn}', which is outside the {side} store"), format!("its suffix is '{suffix}'")))
}

#[cfg(test)]
mod tests;
