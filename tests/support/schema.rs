//! The descriptions of the protocol (AsyncAPI, OpenAPI), and values checked by their schemas: as much of
//! JSON Schema as they use. Anything else in them is an error, and so is a key that is not described.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// What a schema may have besides `$ref`.
const KEYWORDS: [&str; 16] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "oneOf",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "description",
    "examples",
    "default",
];

/// The descriptions, by the names of their files.
pub struct Descriptions(BTreeMap<&'static str, Value>);

impl Descriptions {
    /// Those of the manual.
    pub fn read() -> Descriptions {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/manual");
        let read = |name: &'static str| {
            let text = fs::read_to_string(folder.join(name)).unwrap();
            let value = serde_json::from_str(&text);
            (
                name,
                value.unwrap_or_else(|error| panic!("{name}: {error}")),
            )
        };
        Descriptions(["asyncapi.json", "openapi.json"].map(read).into())
    }

    /// The value at a place such as `asyncapi.json#/channels`.
    #[track_caller]
    pub fn at(&self, place: &str) -> &Value {
        let (file, pointer) = place.split_once('#').expect("a file and a place in it");
        let found = self.0.get(file).and_then(|file| file.pointer(pointer));
        found.unwrap_or_else(|| panic!("there is no {place}"))
    }

    /// Follows a reference in a file, if the value is one. Returns the value's file, too.
    #[track_caller]
    pub fn follow<'a>(&'a self, file: &'a str, value: &'a Value) -> (&'a str, &'a Value) {
        let Some(place) = value.get("$ref").map(|place| place.as_str().unwrap()) else {
            return (file, value);
        };
        match place.split_once('#') {
            Some(("", _)) => self.follow(file, self.at(&format!("{file}{place}"))),
            Some((other, _)) => self.follow(other, self.at(place)),
            None => panic!("{place} is no reference"),
        }
    }

    /// Every reference leads somewhere, and every schema has only what is checked here.
    pub fn are_sound(&self) {
        for (file, value) in &self.0 {
            self.is_sound(file, value);
        }
    }

    fn is_sound(&self, file: &str, value: &Value) {
        self.follow(file, value);
        match value {
            Value::Object(keys) => {
                for (key, value) in keys {
                    match key.as_str() {
                        "schemas" => (value.as_object().unwrap().values()).for_each(known),
                        "schema" => known(value),
                        _ => {}
                    }
                    self.is_sound(file, value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.is_sound(file, item)),
            _ => {}
        }
    }

    /// Checks a value by the schema at a place.
    ///
    /// # Errors
    /// What is wrong.
    #[track_caller]
    pub fn check(&self, place: &str, value: &Value) -> Result<(), String> {
        let file = place.split_once('#').expect("a place").0;
        self.matches(file, self.at(place), value)
    }

    #[track_caller]
    fn matches(&self, file: &str, schema: &Value, value: &Value) -> Result<(), String> {
        let (file, schema) = self.follow(file, schema);
        let wrong = |what: &str| Err(format!("{value}: {what}"));
        let is = |kind: &Value| match kind.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            kind => panic!("type {kind}"),
        };
        if schema.get("type").is_some_and(|kind| !is(kind)) {
            return wrong(&format!("it is no {}", schema["type"]));
        }
        let has = |key: &str| schema.get(key).is_some();
        let allowed = schema.get("enum").and_then(Value::as_array);
        if allowed.is_some_and(|all| !all.contains(value))
            || has("const") && schema["const"] != *value
        {
            return wrong("it is another value");
        }
        if let Some(text) = value.as_str() {
            let length = text.chars().count() as u64;
            let least = schema["minLength"].as_u64().unwrap_or(0);
            let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
            let pattern = schema["pattern"].as_str();
            if !(least..=most).contains(&length) || pattern.is_some_and(|one| !fits(one, text)) {
                return wrong("it is another text");
            }
        }
        if let Some(number) = value.as_i64() {
            let least = schema["minimum"].as_i64().unwrap_or(i64::MIN);
            if !(least..=schema["maximum"].as_i64().unwrap_or(i64::MAX)).contains(&number) {
                return wrong("it is too small or too large");
            }
        }
        if has("oneOf") {
            let options = schema["oneOf"].as_array().unwrap().iter();
            let matching = options.filter(|option| self.matches(file, option, value).is_ok());
            if matching.count() != 1 {
                return wrong("not exactly one of the options");
            }
        }
        for item in value
            .as_array()
            .filter(|_| has("items"))
            .into_iter()
            .flatten()
        {
            self.matches(file, &schema["items"], item)?;
        }
        if !has("oneOf") && value.is_object() {
            self.keys_match(file, schema, value)?;
        }
        Ok(())
    }

    fn keys_match(&self, file: &str, schema: &Value, value: &Value) -> Result<(), String> {
        for key in schema["required"].as_array().into_iter().flatten() {
            if value.get(key.as_str().unwrap()).is_none() {
                return Err(format!("{value}: {key} is missing"));
            }
        }
        for (key, value) in value.as_object().unwrap() {
            let described = schema["properties"].get(key);
            match described.or(schema.get("additionalProperties")) {
                Some(schema) => self.matches(file, schema, value)?,
                None => return Err(format!("{key} is not described")),
            }
        }
        Ok(())
    }
}

/// Every keyword of a schema is one that is checked.
fn known(schema: &Value) {
    let Some(keys) = schema.as_object() else {
        panic!("{schema} is no schema");
    };
    for (key, value) in keys {
        match key.as_str() {
            "$ref" => {}
            "properties" => value.as_object().unwrap().values().for_each(known),
            "oneOf" => value.as_array().unwrap().iter().for_each(known),
            "items" | "additionalProperties" => known(value),
            "pattern" => drop(fits(value.as_str().unwrap(), "")),
            key => assert!(KEYWORDS.contains(&key), "{key} in {schema}"),
        }
    }
}

/// Whether a text fits a pattern, one of the two there are.
fn fits(pattern: &str, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match pattern {
        "^[0-9]+-[0-9]+$" => text
            .split_once('-')
            .is_some_and(|(epoch, n)| digits(epoch) && digits(n)),
        "^[0-9a-f]{64}$" => {
            text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        }
        pattern => panic!("no test knows the pattern {pattern}"),
    }
}
