//! Completions for three shells.

use std::fmt::Write;

use super::flags::Flag;

/// What a value is completed to.
enum Value<'a> {
    None,
    Any(&'a str),
    File(&'a str),
    Command(&'a str),
    OneOf(&'a str, &'a str),
}

fn value(flag: &Flag) -> Value<'_> {
    match (flag.value.as_deref(), &flag.values) {
        (None, _) => Value::None,
        (Some(name), Some(values)) => Value::OneOf(name, values),
        (Some("file"), _) => Value::File("file"),
        (Some("cmd"), _) => Value::Command("cmd"),
        (Some(name), _) => Value::Any(name),
    }
}

pub fn zsh(flags: &[Flag]) -> String {
    let mut out = String::from("_arguments -S \\\n");
    for flag in flags {
        let before = match (&*flag.name, flag.repeatable) {
            ("version", _) => "(- *)",
            (_, true) => "*",
            _ => "",
        };
        let after = match value(flag) {
            Value::None => String::new(),
            Value::Any(name) => format!(":{name}:"),
            Value::File(name) => format!(":{name}:_files"),
            Value::Command(name) => format!(":{name}:_cmdstring"),
            Value::OneOf(name, values) => format!(":{name}:({values})"),
        };
        let (name, phrase) = (&flag.name, flag.phrase());
        writeln!(out, "    '{before}--{name}[{phrase}]{after}' \\").unwrap();
    }
    out + "    '(- *)--help[print the options]'\n"
}

pub fn bash(flags: &[Flag]) -> String {
    let mut out = String::new();
    let mut case = |of: &dyn Fn(&Value<'_>) -> bool, then: &str| {
        let names = flags.iter().filter(|flag| of(&value(flag)));
        let names: Vec<String> = names.map(|flag| format!("--{}", flag.name)).collect();
        writeln!(
            out,
            "        {})\n            {then}\n            ;;",
            names.join(" | ")
        )
        .unwrap();
    };
    case(
        &|value| matches!(value, Value::File(_)),
        "compopt -o filenames\n            mapfile -t COMPREPLY < <(compgen -f -- \"$word\")",
    );
    for flag in flags {
        if let Value::OneOf(_, values) = value(flag) {
            let then = format!("mapfile -t COMPREPLY < <(compgen -W '{values}' -- \"$word\")");
            case(
                &|value| matches!(value, Value::OneOf(_, of) if *of == values),
                &then,
            );
        }
    }
    case(
        &|value| matches!(value, Value::Any(_) | Value::Command(_)),
        ":",
    );
    let names: Vec<String> = flags
        .iter()
        .map(|flag| format!("--{}", flag.name))
        .collect();
    let names = names.join(" ") + " --help";
    let then = format!("mapfile -t COMPREPLY < <(compgen -W '{names}' -- \"$word\")");
    writeln!(out, "        *)\n            {then}\n            ;;").unwrap();
    out
}

pub fn fish(flags: &[Flag]) -> String {
    let mut out = String::new();
    for flag in flags {
        let takes = match value(flag) {
            Value::None => String::new(),
            Value::Any(_) | Value::Command(_) => " -x".into(),
            Value::File(_) => " -r -F".into(),
            Value::OneOf(_, values) => format!(" -x -a '{values}'"),
        };
        let (name, phrase) = (&flag.name, flag.phrase());
        writeln!(out, "complete -c natterjack -l {name}{takes} -d '{phrase}'").unwrap();
    }
    out
}
