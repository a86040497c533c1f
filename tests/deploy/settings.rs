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

/// The page of the manual: a table of all flags, and then what each does.
pub fn page(flags: &[Flag]) -> String {
    let mut table = String::from("| flag | default | |\n|---|---|---|\n");
    let mut out = String::new();
    for flag in flags {
        let value = flag.value.as_ref().map(|value| value.to_uppercase());
        let head = format!("--{} {}", flag.name, value.unwrap_or_default());
        let anchor = head.trim().replace(' ', "-").to_lowercase();
        let head = head.trim();
        let default = flag.default().map(|default| format!("`{default}`"));
        let (default, phrase) = (default.unwrap_or_default(), flag.phrase());
        writeln!(table, "| [`{head}`](#{anchor}) | {default} | {phrase} |").unwrap();
        writeln!(out, "\n## `{head}`\n").unwrap();
        let mut facts = String::new();
        if !default.is_empty() {
            facts += &format!("Default {default}. ");
        }
        if flag.has_variable {
            facts += &format!("Variable `{}`. ", flag.variable());
        }
        if flag.repeatable {
            facts += "May be given several times. ";
        }
        if !flag.always {
            facts += "Not in the smallest build. ";
        }
        if let Some(see) = &flag.see {
            facts += &format!("[More]({see}).");
        }
        if !facts.is_empty() {
            writeln!(out, "{}\n", facts.trim()).unwrap();
        }
        for (at, paragraph) in flag.manual.iter().enumerate() {
            let item = |at: usize| flag.manual[at].starts_with("* ");
            if at > 0 && !(item(at) && item(at - 1)) {
                out.push('\n');
            }
            writeln!(out, "{paragraph}").unwrap();
        }
    }
    table + &out
}
