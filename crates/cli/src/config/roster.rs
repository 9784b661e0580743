//! `[roster]`: the files, each with what it says otherwise than the others.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use untether_audit::roster::RosterSource;
use untether_model::EntityId;
use untether_model::policy::{DateOrder, RosterColumns, RosterConstants, RosterEncoding, RosterFormat, RosterPolicy};

/// The roster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterConfig {
    /// Its files: paths, or tables that say how each is read.
    pub files: Vec<RosterFileConfig>,
    /// How files are read that do not say otherwise.
    #[serde(default)]
    pub read: RosterPolicy,
}

impl RosterConfig {
    /// How each file is read.
    pub fn files(&self) -> Vec<ConfiguredFile> {
        let of = |file: &RosterFileConfig| ConfiguredFile {
            name: file.path.display().to_string(),
            path: file.path.clone(),
            policy: file.read.over(&self.read),
        };
        self.files.iter().map(of).collect()
    }

    /// What is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), String> {
        if self.files.is_empty() {
            return Err("names no file in roster.files".to_owned());
        }
        let mut paths: Vec<&PathBuf> = self.files.iter().map(|file| &file.path).collect();
        paths.sort();
        match paths.windows(2).find(|pair| pair.first() == pair.get(1)) {
            Some([path, _]) => Err(format!("names the roster file '{}' twice", path.display())),
            _ => Ok(()),
        }
    }
}

/// A file, and how it is read.
pub struct ConfiguredFile {
    name: String,
    path: PathBuf,
    /// How it is read.
    pub policy: RosterPolicy,
}

impl ConfiguredFile {
    /// For whoever reads it.
    pub fn source(&self) -> RosterSource<'_> {
        RosterSource { name: &self.name, path: &self.path, policy: &self.policy }
    }
}

/// A roster file.
#[derive(Clone, Debug)]
pub struct RosterFileConfig {
    /// Where it is.
    pub path: PathBuf,
    read: Overrides,
}

/// A table of `[[roster.files]]`. Keys that are not given are those of `[roster.read]`, column by column and list by list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    path: PathBuf,
    format: Option<RosterFormat>,
    encoding: Option<RosterEncoding>,
    delimiter: Option<char>,
    dates: Option<DateOrder>,
    no_date: Option<Vec<String>>,
    max_age_hours: Option<u32>,
    max_megabytes: Option<u32>,
    #[serde(default)]
    columns: RosterColumns,
    #[serde(default)]
    constants: RosterConstants,
    #[serde(default)]
    status: StatusOverrides,
    #[serde(default)]
    employment: EmploymentOverrides,
    #[serde(default)]
    entities: BTreeMap<String, EntityId>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StatusOverrides {
    active: Option<Vec<String>>,
    leave: Option<Vec<String>>,
    seconded: Option<Vec<String>>,
    departed: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EmploymentOverrides {
    regular: Option<Vec<String>>,
    contractor: Option<Vec<String>>,
}

/// What a file says otherwise than `[roster.read]`; nothing where it is only a path.
#[derive(Clone, Debug)]
struct Overrides(Option<Box<FileTable>>);

impl Overrides {
    fn over(&self, base: &RosterPolicy) -> RosterPolicy {
        let mut policy = base.clone();
        let Some(file) = &self.0 else { return policy };
        fn set<T: Clone>(slot: &mut T, given: &Option<T>) {
            if let Some(given) = given {
                slot.clone_from(given);
            }
        }
        fn or<T: Clone>(slot: &mut Option<T>, given: &Option<T>) {
            if given.is_some() {
                slot.clone_from(given);
            }
        }
        set(&mut policy.format, &file.format);
        set(&mut policy.encoding, &file.encoding);
        set(&mut policy.delimiter, &file.delimiter);
        set(&mut policy.dates, &file.dates);
        set(&mut policy.no_date, &file.no_date);
        set(&mut policy.max_age_hours, &file.max_age_hours);
        set(&mut policy.max_megabytes, &file.max_megabytes);
        let (columns, given) = (&mut policy.columns, &file.columns);
        or(&mut columns.person_id, &given.person_id);
        or(&mut columns.number, &given.number);
        or(&mut columns.previous_number, &given.previous_number);
        or(&mut columns.name, &given.name);
        or(&mut columns.name_kana, &given.name_kana);
        or(&mut columns.mail, &given.mail);
        or(&mut columns.login, &given.login);
        or(&mut columns.entity, &given.entity);
        or(&mut columns.status, &given.status);
        or(&mut columns.employment, &given.employment);
        or(&mut columns.start, &given.start);
        or(&mut columns.last_day, &given.last_day);
        or(&mut columns.contract_end, &given.contract_end);
        or(&mut columns.manager_number, &given.manager_number);
        or(&mut columns.department, &given.department);
        or(&mut policy.constants.entity, &file.constants.entity);
        or(&mut policy.constants.status, &file.constants.status);
        or(&mut policy.constants.employment, &file.constants.employment);
        set(&mut policy.status.active, &file.status.active);
        set(&mut policy.status.leave, &file.status.leave);
        set(&mut policy.status.seconded, &file.status.seconded);
        set(&mut policy.status.departed, &file.status.departed);
        set(&mut policy.employment.regular, &file.employment.regular);
        set(&mut policy.employment.contractor, &file.employment.contractor);
        policy.entities.extend(file.entities.clone());
        policy
    }
}

impl<'de> Deserialize<'de> for RosterFileConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathOrTable;

        impl<'de> Visitor<'de> for PathOrTable {
            type Value = RosterFileConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a roster file, or a table with its `path`")
            }

            fn visit_str<E>(self, path: &str) -> Result<RosterFileConfig, E> {
                Ok(RosterFileConfig { path: PathBuf::from(path), read: Overrides(None) })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RosterFileConfig, A::Error> {
                let table = FileTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RosterFileConfig { path: table.path.clone(), read: Overrides(Some(Box::new(table))) })
            }
        }

        deserializer.deserialize_any(PathOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<RosterConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn one_path_stays_valid_and_a_table_says_only_what_is_different() {
        let one = config("files = [\"a.csv\"]\n[read]\nmax_age_hours = 5").unwrap();
        assert_eq!(one.files().remove(0).policy.max_age_hours, 5);
        let several = config(
            "read.max_age_hours = 5\nread.columns.number = \"no\"\nread.status.active = [\"x\"]\n\
             [[files]]\npath = \"a.csv\"\n\
             [[files]]\npath = \"b.jsonl\"\nencoding = \"cp932\"\ndates = \"dmy\"\ncolumns = { mail = \"E-Mail\" }\n\
             constants = { entity = \"firm\" }\nstatus = { departed = [\"gone\"] }\n",
        )
        .unwrap();
        let files = several.files();
        let [a, b] = files.as_slice() else { panic!("two files") };
        assert_eq!(a.policy, several.read);
        assert_eq!(b.policy.encoding, RosterEncoding::ShiftJis);
        assert_eq!((b.policy.max_age_hours, b.policy.columns.number.as_deref()), (5, Some("no")));
        assert_eq!((b.policy.columns.mail.as_deref(), b.policy.constants.entity.as_deref()), (Some("E-Mail"), Some("firm")));
        assert_eq!((b.policy.status.active[0].as_str(), b.policy.status.departed[0].as_str()), ("x", "gone"));
    }

    #[test]
    fn unknown_keys_and_files_that_are_named_twice_are_refused() {
        let error = config("[[files]]\npath = \"a.csv\"\nencodng = \"utf-8\"").unwrap_err().to_string();
        assert!(error.contains("unknown field `encodng`") && error.contains("encoding"), "{error}");
        let error = config("[[files]]\npath = \"a.csv\"\ncolumns = { numbr = \"x\" }").unwrap_err().to_string();
        assert!(error.contains("unknown field `numbr`"), "{error}");
        assert!(config("files = []").unwrap().check().is_err());
        assert!(config("files = [\"a.csv\", { path = \"a.csv\" }]").unwrap().check().unwrap_err().contains("twice"));
    }
}
