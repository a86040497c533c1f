//! The calculator of "How far it scales" prints what that page shows.

use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../deploy/manual/scaling.md");

/// What a command prints, run from the top of the project.
fn printed(command: &str) -> String {
    let mut shell = Command::new("sh");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = shell.args(["-c", command]).current_dir(root).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_on_scaling_shows_what_the_calculator_prints() {
    let examples: Vec<_> = PAGE.split("    $ ").skip(1).collect();
    assert!(examples.len() >= 4, "{examples:?}");
    for example in examples {
        let (command, rest) = example.split_once('\n').unwrap();
        assert!(command.starts_with("sh deploy/scale.sh "), "{command}");
        let shown = rest.lines().map_while(|line| line.strip_prefix("    "));
        let shown: String = shown.flat_map(|line| [line, "\n"]).collect();
        assert_eq!(printed(command), shown, "{command}");
    }
}
