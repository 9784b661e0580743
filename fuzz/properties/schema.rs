//! Any text as a server's subschema, and any text as a value: nothing panics, lookups agree, and comparing is an equivalence.

use untether_model::Value;
use untether_model::schema::{Equality, Schema, normalize};
use untether_model::time::{parse_generalized, to_generalized};

/// Rules whose comparable form is text of the same rule.
const RULES: [Equality; 5] = [Equality::CaseIgnore, Equality::CaseExact, Equality::Numeric, Equality::Telephone, Equality::Token];

/// Checks lines as descriptions of attribute types and of object classes, as values, and as times.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let schema = Schema::from_descriptions(text.lines()).with_classes(text.lines());
    for line in text.lines().take(40) {
        let word = line.split(['\'', ' ', '(', ')']).find(|word| !word.is_empty()).unwrap_or_default();
        // Of two classes of one name the later one has it.
        if let Some(class) = schema.class(word).filter(|class| schema.class(&class.name) == Some(class)) {
            assert!(schema.is_class_within(word, &class.name), "a class is within itself: {word}");
        }
        let canonical = schema.canonical(word).into_owned();
        if schema.get(&canonical.as_str().into()) == schema.get(&word.into()) {
            assert_eq!(schema.canonical(&canonical), canonical, "{word}");
        }
        if let Some(at) = parse_generalized(line) {
            // Written in whole seconds.
            let whole = parse_generalized(&to_generalized(at));
            let lost = whole.map(|whole| at.duration_since(whole).as_millis());
            assert!(lost.is_some_and(|lost| (0..1000).contains(&lost)), "{line} is written {lost:?} ms earlier");
        }
        for rule in RULES {
            let once = normalize(rule, &Value::from(line));
            let twice = normalize(rule, &Value::new(once.clone()));
            assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once), "{rule:?} of {line:?}");
        }
    }
    let described = serde_json::to_string(&schema).unwrap_or_else(|error| panic!("{error}"));
    let back: Schema = serde_json::from_str(&described).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(back, schema, "a snapshot keeps the schema");
}
