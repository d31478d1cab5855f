//! The README's table of flags: every flag of the CLI has a variable, or a reason to have none.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::ground::{Ground, ground};

#[tokio::test]
async fn every_flag_of_the_cli_is_in_the_readme() {
    let Some(ground) = ground().await else { return };
    let flags = flags_of_command(ground, "build");
    assert!(flags.len() > 30, "{flags:?}");

    let readme = read("README.md");
    let table = rows(
        section(&readme, "### Coming from "),
        "| Flag | In the pipe |",
    );
    let needless = rows(section(&readme, "### Coming from "), "| Flag | Reason |");
    let in_readme: BTreeSet<String> = table.iter().chain(&needless).flat_map(flags_of).collect();
    assert_eq!(in_readme, flags);

    // A flag is either in the table or in the list, and each row names a variable of the pipe.
    let definition = read("pipe.yml");
    for (flag, variable) in &table {
        let is_variable =
            |word: &&str| definition.contains(&format!("  - name: {}\n", word.trim_matches(':')));
        let mut words = variable.split(|character: char| !is_of_name(character));
        assert!(words.any(|word| is_variable(&word)), "{flag}: {variable}");
        assert!(needless.iter().all(|(other, _)| other != flag), "{flag}");
    }
    assert!(needless.iter().all(|(_, reason)| reason.ends_with('.')));
}

#[tokio::test]
async fn every_flag_of_depot_bake_is_in_the_readme() {
    let Some(ground) = ground().await else { return };
    let flags = flags_of_command(ground, "bake");
    assert!(flags.len() > 15, "{flags:?}");

    let readme = read("README.md");
    let section = section(&readme, "### Coming from ");
    let table = rows(
        section,
        "| `depot bake` | docker/bake-action | In the pipe |",
    );
    let in_table: BTreeSet<String> = table.iter().flat_map(flags_of).collect();
    let needless = rows(section, "| Flag | Reason |");
    let needless = needless.iter().flat_map(flags_of);
    let needless: BTreeSet<String> = needless.filter(|flag| flags.contains(flag)).collect();
    assert!(in_table.is_disjoint(&needless), "{in_table:?}");
    assert_eq!(&in_table | &needless, flags);
}

/// The long flags of a command of the CLI.
fn flags_of_command(ground: &Ground, command: &str) -> BTreeSet<String> {
    let help = Command::new(&ground.cli)
        .args([command, "--help"])
        .output()
        .unwrap();
    flags_of_help(&String::from_utf8(help.stdout).unwrap())
}

/// The long flags of a help text, such as `--add-host`.
fn flags_of_help(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with('-'));
    let words = lines.filter_map(|line| line.split_whitespace().find(|word| is_flag(word)));
    words.map(str::to_owned).collect()
}

/// The long flags in the first column of a row.
fn flags_of((column, _): &(String, String)) -> Vec<String> {
    let words =
        column.split(|character: char| character.is_whitespace() || "`,".contains(character));
    words
        .filter(|word| is_flag(word))
        .map(str::to_owned)
        .collect()
}

fn is_flag(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| {
        !name.is_empty()
            && name
                .chars()
                .all(|character| character == '-' || character.is_ascii_lowercase())
    })
}

fn is_of_name(character: char) -> bool {
    character == '_' || character.is_ascii_uppercase()
}

/// The two columns of the rows below a header. At least one row.
fn rows(section: &str, header: &str) -> Vec<(String, String)> {
    let lines = section.lines().skip_while(|line| *line != header).skip(2);
    let lines = lines.take_while(|line| line.starts_with("| "));
    let rows: Vec<_> = lines
        .map(|line| {
            let (first, second) = line.trim_matches(['|', ' ']).split_once(" | ").unwrap();
            (first.to_owned(), second.to_owned())
        })
        .collect();
    assert!(!rows.is_empty(), "no table starts with {header}");
    rows
}

/// The text from a heading to the next `##`.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(heading).unwrap();
    rest.split_once("\n## ")
        .map_or(rest, |(section, _)| section)
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap()
}
