//! What two recorded configurations say differently.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

/// One setting that is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SettingChange {
    /// Its path (`audit.shared.suffix`).
    pub setting: String,
    /// As it was, in words; of a list what is not in the later one. `None`: it was not there.
    pub before: Option<String>,
    /// As it is, in words; of a list what is not in the earlier one. `None`: it is not there any more.
    pub after: Option<String>,
}

/// Settings that differ, in the order of their paths. Tables are walked, whatever else is compared whole.
pub fn setting_changes(before: &Value, after: &Value) -> Vec<SettingChange> {
    let mut found = Vec::new();
    walk(&mut Vec::new(), (Some(before), Some(after)), &mut found);
    found
}

fn walk<'v>(path: &mut Vec<&'v str>, (before, after): (Option<&'v Value>, Option<&'v Value>), found: &mut Vec<SettingChange>) {
    // A setting that is not set is null, or not written.
    let (before, after) = (before.filter(|v| !v.is_null()), after.filter(|v| !v.is_null()));
    if before == after {
        return;
    }
    if let (Some(Value::Object(was)), Some(Value::Object(is))) = (before, after) {
        let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        for name in names {
            path.push(name);
            walk(path, (was.get(name), is.get(name)), found);
            path.pop();
        }
        return;
    }
    if let (Some(was), Some(is)) = (before.and_then(named), after.and_then(named)) {
        let names: BTreeSet<&str> = was.keys().chain(is.keys()).copied().collect();
        for name in names {
            path.push(name);
            walk(path, (was.get(name).copied(), is.get(name).copied()), found);
            path.pop();
        }
        return;
    }
    let (before, after) = match (before, after) {
        (Some(Value::Array(was)), Some(Value::Array(is))) => (Some(only(was, is)), Some(only(is, was))),
        _ => (before.map(words), after.map(words)),
    };
    found.push(SettingChange { setting: path.join("."), before, after });
}

/// A list of tables that have names (waves) by these names.
fn named(list: &Value) -> Option<BTreeMap<&str, &Value>> {
    let tables = list.as_array().filter(|tables| !tables.is_empty())?;
    let named: BTreeMap<&str, &Value> = tables.iter().filter_map(|table| Some((table.get("name")?.as_str()?, table))).collect();
    (named.len() == tables.len()).then_some(named)
}

/// What the one list has and the other has not.
fn only(here: &[Value], there: &[Value]) -> String {
    let left: Vec<String> = here.iter().filter(|value| !there.contains(value)).map(words).collect();
    match left.is_empty() {
        false => left.join(", "),
        true if here.len() == there.len() => "the same in another order".to_owned(),
        true => "nothing else".to_owned(),
    }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "nothing".to_owned(),
        Value::Array(values) => format!("[{}]", values.iter().map(words).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !value.is_null());
            set.map(|(name, value)| format!("{name} {}", words(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_walked_and_of_lists_only_the_difference_is_told() {
        let before =
            json!({ "a": { "days": 180, "bases": [{ "base": "ou=a" }, { "base": "ou=b" }] }, "gone": "x", "unset": null });
        let after = json!({ "a": { "days": 90, "bases": [{ "base": "ou=b", "filter": "(uid=*)" }] }, "new": true });
        let told: Vec<(String, Option<String>, Option<String>)> =
            setting_changes(&before, &after).into_iter().map(|c| (c.setting, c.before, c.after)).collect();
        let some = |text: &str| Some(text.to_owned());
        let expected = [
            ("a.bases".to_owned(), some("base ou=a, base ou=b"), some("base ou=b, filter (uid=*)")),
            ("a.days".to_owned(), some("180"), some("90")),
            ("gone".to_owned(), some("x"), None),
            ("new".to_owned(), None, some("true")),
        ];
        assert_eq!(told, expected);
        assert_eq!(setting_changes(&before, &before), []);
        let wave = |soak: &str| json!({ "waves": [{ "name": "retire", "soak": soak }, { "name": "migrate" }] });
        let told = setting_changes(&wave("14d"), &wave("7d"));
        assert_eq!((told.len(), told[0].setting.as_str()), (1, "waves.retire.soak"));
    }
}
