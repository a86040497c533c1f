//! One setting: its value, its source, and the error if the value is not allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// A value and its source.
pub struct Setting {
    /// The flag or variable, as it is written.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Setting {
    /// Returns an error that says what is allowed.
    ///
    /// # Errors
    /// Always.
    pub fn bad<T>(&self, allowed: impl Display) -> Result<T, String> {
        Err(format!(
            "{} \"{}\" is not allowed: {allowed}",
            self.name, self.value
        ))
    }
}

/// Looks up a variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The value of a flag, or else of its variable.
pub fn setting(flag: &str, given: Option<String>, env: Env<'_>) -> Option<Setting> {
    let variable = format!("NATTERJACK_{}", flag.replace('-', "_").to_ascii_uppercase());
    match given {
        Some(value) => Some(Setting {
            name: format!("--{flag}"),
            value,
        }),
        None => env(&variable).map(|value| Setting {
            name: variable,
            value,
        }),
    }
}

/// The values of a repeatable flag, or else of its variable, which is a list with commas.
pub fn repeated(flag: &str, given: Vec<String>, env: Env<'_>) -> Vec<Setting> {
    let setting_of = |value: &str| setting(flag, Some(value.to_string()), env);
    if !given.is_empty() {
        return given.iter().filter_map(|value| setting_of(value)).collect();
    }
    let Some(Setting { name, value }) = setting(flag, None, env) else {
        return Vec::new();
    };
    let one = |value: &str| Setting {
        name: name.clone(),
        value: value.trim().to_string(),
    };
    value.split(',').map(one).collect()
}

/// Reads a number, if the setting is set.
///
/// # Errors
/// Says what is allowed.
pub fn number(
    setting: Option<Setting>,
    range: RangeInclusive<usize>,
) -> Result<Option<usize>, String> {
    let Some(setting) = setting else {
        return Ok(None);
    };
    match setting.value.parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => setting.bad(format!(
            "a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// The values of a [repeated] flag or its variable, without their source.
pub fn list(flag: &str, given: Vec<String>, env: Env<'_>) -> Vec<String> {
    let settings = repeated(flag, given, env).into_iter();
    settings.map(|setting| setting.value).collect()
}
