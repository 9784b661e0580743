//! The plan's policy as a plan is made from it: the people whom files list are read, filters parse, and nothing contradicts.
//!
//! Asked by whoever makes a plan, and by `doctor`; no other command fails over it.

use std::collections::BTreeSet;

use untether_directory::filter::Filter;
use untether_model::policy::{PlanPolicy, WavePolicy};

use super::Config;
use crate::error::CliError;

impl Config {
    /// The whole policy, or what is wrong with it and what to do.
    pub fn checked_policy(&self) -> Result<PlanPolicy, CliError> {
        let mut policy = self.plan_policy()?.clone();
        policy
            .check(&self.audit)
            .map_err(|bad| CliError::usage(format!("the policy cannot be planned: {}", bad.what)).hint(bad.hint))?;
        parse_filters(&policy)?;
        for wave in &mut policy.waves {
            self.read_people(wave)?;
        }
        Ok(policy)
    }

    /// Reads the lines of a wave's list: one person each; blank lines and what follows a `#` do not count.
    fn read_people(&self, wave: &mut WavePolicy) -> Result<(), CliError> {
        let Some(file) = &wave.people_file else { return Ok(()) };
        let refused = |why: String| CliError::usage(format!("the list of wave {}, '{file}', {why}", wave.name));
        let text = std::fs::read_to_string(self.folder.join(file)).map_err(|e| {
            refused(format!("cannot be read: {e}")).hint("write one employee number or login on each line, in UTF-8")
        })?;
        let lines = text.trim_start_matches('\u{feff}').lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let people: BTreeSet<&str> = lines.filter(|line| !line.is_empty()).collect();
        if people.is_empty() {
            return Err(refused("lists nobody".to_owned()).hint("write one employee number or login on each line"));
        }
        if let Some(line) = people.iter().find(|line| line.contains([',', ';', '\t'])) {
            let what = format!("has the line '{line}', which is not one employee number or login");
            return Err(refused(what).hint("write one on each line, without other columns"));
        }
        wave.people = people.into_iter().map(str::to_owned).collect();
        Ok(())
    }
}

fn parse_filters(policy: &PlanPolicy) -> Result<(), CliError> {
    let at = |place: String, filter: &Option<String>| filter.clone().map(|filter| (place, filter));
    let entities = policy.entities.iter().map(|(id, said)| at(format!("plan.entities.{id}.mfa_filter"), &said.mfa_filter));
    let waves = policy.waves.iter().flat_map(|wave| {
        let place = |key: &str| format!("{key} of wave {}", wave.name);
        [at(place("filter"), &wave.filter), at(place("mfa_filter"), &wave.mfa_filter)]
    });
    let keep = policy.keep.iter().map(|keep| Some(("filter of [[plan.keep]]".to_owned(), keep.filter.clone())));
    let hold = policy.hold.iter().map(|hold| Some(("filter of [[plan.hold]]".to_owned(), hold.filter.clone())));
    let all = std::iter::once(at("plan.mfa_filter".to_owned(), &policy.mfa_filter));
    for (place, filter) in all.chain(entities).chain(waves).chain(keep).chain(hold).flatten() {
        Filter::parse(&filter).map_err(|e| {
            CliError::usage(format!("{place}: '{filter}' is no filter: {e}"))
                .hint("write it as RFC 4515 does: (employeeType=staff)")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documented example with one text in the place of another, in a folder with these files.
    fn example(from: &str, to: &str, files: &[(&str, &str)]) -> Result<PlanPolicy, CliError> {
        let text = include_str!("../../../../config/untether.toml");
        assert!(text.contains(from), "{from}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("untether.toml");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        Config::load(&path)?.checked_policy()
    }

    fn refused(from: &str, to: &str, files: &[(&str, &str)]) -> String {
        let error = example(from, to, files).unwrap_err();
        assert_eq!(error.exit, crate::error::Exit::Usage);
        format!("{} — {}", error.message, error.hint.unwrap_or_default())
    }

    #[test]
    fn unknown_keys_are_refused_with_a_suggestion_at_each_level() {
        for (from, to, suggestion) in [
            ("soak = \"14d\"", "soack = \"14d\"", "soak"),
            ("mfa_filter = \"(mfaFactor=webauthn)\"", "mfa_filtre = \"(mfaFactor=webauthn)\"", "mfa_filter"),
            ("constants = { pref", "constant = { pref", "constants"),
            ("credential = { length = 32 }", "credential = { lenght = 32 }", "length"),
            ("canary_wait = \"12h\"", "canary_weight = \"12h\"", "canary_wait"),
            ("{ max_disabled_percent = 40.0,", "{ max_disable_percent = 40.0,", "max_disabled_percent"),
            ("mfa_exempt = [{ kinds", "mfa_exempt = [{ kind", "kinds"),
        ] {
            let found = refused(from, to, &[]);
            assert!(found.contains("unknown field") && found.ends_with(&format!("did you mean `{suggestion}`?")), "{found}");
        }
        let found = refused("[plan.entities.contractor]", "[plan.entities.contractors]", &[]);
        assert!(
            found.contains("'contractors', which [audit.entities] lacks — it has: contractor, domestic, overseas, own"),
            "{found}"
        );
    }

    #[test]
    fn a_wave_takes_its_people_from_a_file_beside_the_configuration() {
        let (from, to) = ("# people_file = \"pilot.txt\"", "people_file = \"pilot.txt\"");
        let people = |content: &str| {
            let policy = example(from, to, &[("pilot.txt", content)])?;
            Ok::<_, CliError>(policy.waves.into_iter().find(|wave| wave.name == "migrate-pilot").unwrap().people)
        };
        let found = people("\u{feff}# the pilot\r\n100001\r\n\r\nsato.hanako  # leads it\r\n100001\r\n").unwrap();
        assert_eq!(found, ["100001", "sato.hanako"]);
        let refused = |content: &str| people(content).unwrap_err().message;
        assert!(refused("# nobody yet\n").ends_with("lists nobody"));
        assert!(refused("100001,Sato\n").contains("has the line '100001,Sato'"));
        let missing = example(from, to, &[]).unwrap_err();
        assert!(
            missing.message.starts_with("the list of wave migrate-pilot, 'pilot.txt', cannot be read"),
            "{}",
            missing.message
        );
    }

    #[test]
    fn filters_of_every_level_are_parsed_before_anything_is_planned() {
        for (from, to, place) in [
            ("mfa_filter = \"(mfaFactor=webauthn)\"", "mfa_filter = \"mfaFactor\"", "plan.entities.overseas.mfa_filter"),
            ("filter = \"(departmentNumber=4711)\"", "filter = \"(departmentNumber\"", "filter of wave migrate-pilot"),
            ("filter = \"(employeeType=board)\"", "filter = \"()\"", "filter of [[plan.keep]]"),
        ] {
            let found = refused(from, to, &[]);
            assert!(found.starts_with(place), "{found}");
        }
    }
}
