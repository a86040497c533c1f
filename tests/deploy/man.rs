//! The options in the man page, as mdoc(7).

use std::fmt::Write;

use super::flags::Flag;

const WIDTH: usize = 78;

/// The synopsis of a run as a server.
pub fn synopsis(flags: &[Flag]) -> String {
    let is_one_run = |flag: &&Flag| flag.has_variable || flag.value.is_none();
    let flags = flags.iter().filter(is_one_run);
    let mut out = String::new();
    for flag in flags.filter(|flag| !["mod", "version"].contains(&&*flag.name)) {
        writeln!(out, ".Op {}", head(flag)).unwrap();
    }
    out
}

/// What each option does.
pub fn options(flags: &[Flag]) -> String {
    let mut out = String::new();
    for flag in flags {
        writeln!(out, ".It {}", head(flag)).unwrap();
        let mut in_list = false;
        for (at, paragraph) in flag.manual.iter().enumerate() {
            let item = paragraph.strip_prefix("* ");
            match (item.is_some(), in_list) {
                (true, false) => out.push_str(".Bl -bullet -compact\n"),
                (false, true) => out.push_str(".El\n.Pp\n"),
                (false, false) if at > 0 => out.push_str(".Pp\n"),
                _ => {}
            }
            in_list = item.is_some();
            if in_list {
                out.push_str(".It\n");
            }
            text(item.unwrap_or(paragraph), &mut out);
            if at == 0 && flag.repeatable {
                out.push_str("May be given several times.\n");
            }
            if let Some(default) = flag.default().filter(|_| at == 0) {
                writeln!(out, "The default is {default}.").unwrap();
            }
        }
        if in_list {
            out.push_str(".El\n");
        }
    }
    out
}

fn head(flag: &Flag) -> String {
    match &flag.value {
        Some(value) => format!("Fl Fl {} Ar {value}", flag.name),
        None => format!("Fl Fl {}", flag.name),
    }
}

/// A paragraph: a line for each sentence, and for each piece of code a macro.
fn text(paragraph: &str, out: &mut String) {
    for sentence in paragraph.replace(". ", ".\n").lines() {
        let mut pieces = sentence.split('`');
        let mut before = pieces.next().unwrap().to_string();
        while let (Some(code), Some(after)) = (pieces.next(), pieces.next()) {
            let open = if before.ends_with('(') { "( " } else { "" };
            fill(before.trim_end_matches('('), out);
            let end = after.find(|c| !".,:;)".contains(c));
            let (closing, rest) = after.split_at(end.unwrap_or(after.len()));
            let closing: String = closing.chars().map(|c| format!(" {c}")).collect();
            writeln!(out, ".{}{closing}", semantic(code, open)).unwrap();
            before = rest.to_string();
        }
        fill(&before, out);
    }
}

/// The macro for a piece of code.
fn semantic(code: &str, open: &str) -> String {
    let capitals = |c: char| c.is_ascii_uppercase() || c == '_';
    match code.strip_prefix("--") {
        Some(flag) => format!("Fl {open}Fl {flag}"),
        None if code.starts_with("SIG") => format!("Dv {open}{code}"),
        None if code.starts_with('/') => format!("Pa {open}{code}"),
        None if code.chars().all(capitals) => format!("Ev {open}{code}"),
        None => format!("Li {open}{code}"),
    }
}

fn fill(text: &str, out: &mut String) {
    let mut width = 0;
    for word in text.split_whitespace() {
        if width > 0 && width + 1 + word.len() > WIDTH {
            out.push('\n');
            width = 0;
        }
        if width > 0 {
            out.push(' ');
        }
        out.push_str(word);
        width += 1 + word.len();
    }
    if width > 0 {
        out.push('\n');
    }
}
