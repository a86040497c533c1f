//! The settings: as a file of variables for systemd, and as a page of the manual.

use std::fmt::Write;

use super::flags::Flag;

const WIDTH: usize = 98;

/// The file of settings: each with its default or an example, and none in force.
pub fn file(flags: &[Flag]) -> String {
    let mut out = String::new();
    for flag in flags.iter().filter(|flag| flag.has_variable) {
        let mut words = flag.manual[0].replace('`', "");
        if flag.repeatable {
            words.push_str(" A list with commas.");
        }
        let mut line = String::from("#");
        for word in words.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                writeln!(out, "{line}").unwrap();
                line.truncate(1);
            }
            line = line + " " + word;
        }
        let value = flag.default().or(flag.example.as_deref());
        let value = value.unwrap_or_else(|| panic!("--{} has no example", flag.name));
        writeln!(out, "{line}\n#{}={value}\n", flag.variable()).unwrap();
    }
    out
}

/// The page of the manual.
pub fn page(flags: &[Flag]) -> String {
    let mut out = String::new();
    for flag in flags {
        let value = flag
            .value
            .as_ref()
            .map(|value| format!(" {}", value.to_uppercase()));
        writeln!(out, "### `--{}{}`\n", flag.name, value.unwrap_or_default()).unwrap();
        let mut facts = Vec::new();
        facts.extend(
            flag.default()
                .map(|default| format!("Default `{default}`.")),
        );
        facts.extend(
            flag.has_variable
                .then(|| format!("Variable `{}`.", flag.variable())),
        );
        facts.extend(flag.repeatable.then(|| {
            "May be given several times; the variable is a list with commas.".to_string()
        }));
        facts.extend((!flag.always).then(|| "Not in the smallest build.".to_string()));
        if !facts.is_empty() {
            writeln!(out, "{}\n", facts.join(" ")).unwrap();
        }
        for (at, paragraph) in flag.manual.iter().enumerate() {
            let next = flag.manual.get(at + 1);
            let tight = |text: &String| text.starts_with("* ");
            let gap = match tight(paragraph) && next.is_some_and(tight) {
                true => "",
                false => "\n",
            };
            writeln!(out, "{paragraph}{gap}").unwrap();
        }
    }
    out
}
