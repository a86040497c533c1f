//! The flags as `src/config.rs` describes them: the table that everything else is made from.

use crate::support::Program;

const SOURCE: &str = include_str!("../../src/config.rs");

/// One flag.
pub struct Flag {
    /// Its name, without the dashes.
    pub name: String,
    /// What stands for its value; a switch has none.
    pub value: Option<String>,
    pub repeatable: bool,
    /// What `--help` says.
    pub help: String,
    /// The manual's paragraphs and list items, in Markdown.
    pub manual: Vec<String>,
    pub example: Option<String>,
    /// The page of the manual that says more.
    pub see: Option<String>,
    /// All values, if they are few.
    pub values: Option<String>,
    pub has_variable: bool,
    /// Whether the smallest build has it, too.
    pub always: bool,
}

impl Flag {
    pub fn variable(&self) -> String {
        format!("NATTERJACK_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// The first sentence of the manual, without its full stop.
    pub fn phrase(&self) -> &str {
        let sentence = self.manual[0].split(". ").next().unwrap();
        let phrase = sentence.trim_end_matches('.');
        assert!(
            !phrase.contains(['\'', '[', ']', ':', '\\', '`']),
            "--{}: a shell would not take its first sentence: {phrase}",
            self.name
        );
        phrase
    }

    /// The default in so many words, such as `1000`.
    pub fn default(&self) -> Option<&str> {
        let (_, rest) = self.help.split_once("(default ")?;
        rest.split([')', ',']).next()
    }
}

/// All flags but `--help`, which argh adds, in their order.
pub fn all() -> Vec<Flag> {
    let (_, fields) = SOURCE.split_once("pub struct Config {\n").unwrap();
    let (fields, _) = fields.split_once("\n}").unwrap();
    let mut flags = Vec::new();
    let (mut help, mut manual, mut attributes) = (String::new(), Vec::new(), String::new());
    for line in fields.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            help += words;
        } else if let Some(words) = line.strip_prefix("//") {
            manual.push(words.strip_prefix(' ').unwrap_or(words));
        } else if !line.starts_with("pub ") {
            attributes += line;
        } else {
            let help = std::mem::take(&mut help).trim().to_string();
            let attributes = std::mem::take(&mut attributes);
            flags.push(flag(line, help, &attributes, &std::mem::take(&mut manual)));
        }
    }
    flags
}

fn flag(field: &str, help: String, attributes: &str, lines: &[&str]) -> Flag {
    let (name, kind) = field
        .strip_prefix("pub ")
        .unwrap()
        .split_once(": ")
        .unwrap();
    let quoted = |before: &str| {
        let (_, rest) = attributes.split_once(&format!("{before} = \""))?;
        rest.split('"').next().map(String::from)
    };
    let told = |word: &str| {
        let mut lines = lines.iter().filter_map(|line| line.strip_prefix(word));
        lines.next().map(|rest| rest.trim().to_string())
    };
    let mut manual = vec![String::new()];
    for line in lines {
        let words = ["Example:", "Values:", "See:", "No variable."];
        let item = line.starts_with("* ");
        if words.iter().any(|word| line.starts_with(word)) {
        } else if line.is_empty() {
            manual.push(String::new());
        } else if item && !manual[manual.len() - 1].is_empty() {
            manual.push(line.to_string());
        } else {
            let paragraph = manual.last_mut().unwrap();
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line.trim());
        }
    }
    manual.retain(|paragraph| !paragraph.is_empty());
    Flag {
        name: quoted("long").unwrap_or(name.replace('_', "-")),
        value: quoted("arg_name"),
        repeatable: kind.starts_with("Vec"),
        help,
        manual,
        example: told("Example:"),
        see: told("See:"),
        values: told("Values:"),
        has_variable: kind != "bool," && told("No variable.").is_none(),
        always: !attributes.contains("cfg("),
    }
}

/// `--help` has the same flags and says the same of them.
#[test]
fn the_table_is_what_help_says() {
    let help = Program::run(&["--help"], &[]).stdout;
    let help = String::from_utf8(help).unwrap();
    let (_, options) = help.split_once("Options:").unwrap();
    let options = options.split("\n  --").skip(1);
    let said = options.map(|option| option.split_whitespace().collect::<Vec<_>>().join(" "));
    let said: Vec<String> = said.collect();
    let flags = all();
    let table = flags
        .iter()
        .map(|flag| format!("{} {}", flag.name, flag.help));
    let mut table: Vec<String> = table.collect();
    table.push("help, help display usage information".into());
    assert_eq!(said, table);
}
