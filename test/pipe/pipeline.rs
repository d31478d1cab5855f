//! What a pipeline does with the pipes in its YAML: `$NAME` is put in from the repository's variables, lists become
//! numbered variables, and what a step leaves out gets its default of `pipe.yml`.

use std::collections::BTreeMap;

use serde::Deserialize;

const README: &str = include_str!("../../README.md");
const PIPE_YML: &str = include_str!("../../pipe.yml");

/// A step, as far as the examples show one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    #[serde(default)]
    pub oidc: bool,
    #[serde(default)]
    pub services: Vec<String>,
    pub script: Vec<Line>,
}

/// One line of a script.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Line {
    Pipe(Call),
    /// A command for the step's shell.
    Command(String),
}

/// The call of a pipe.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub pipe: String,
    #[serde(default)]
    pub variables: BTreeMap<String, Given>,
}

/// One text or a list of them; numbers and booleans are none to Bitbucket.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Given {
    Text(String),
    List(Vec<String>),
}

#[derive(Deserialize)]
struct PipeYml {
    variables: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    default: Option<String>,
}

/// The examples below "Examples", each after the words that lead to it.
pub fn examples() -> Vec<(String, Step)> {
    let (_, section) = README.split_once("\n## Examples\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```yaml\n").skip(1);
    let words = section.split("```yaml\n").map(|part| {
        let words = part.rsplit("```\n").next().unwrap_or(part);
        words.trim().to_owned()
    });
    let parse = |block: &str| {
        let (yaml, _) = block.split_once("```").unwrap();
        serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error} in\n{yaml}"))
    };
    words.zip(blocks.map(parse)).collect()
}

/// Puts in the variables that there are; the names of others stay, as Bitbucket leaves them.
pub fn expanded(text: &str, variables: &BTreeMap<&str, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let end = after
            .find(|character| !is_name(character))
            .unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        result.push_str(before);
        match variables.get(name) {
            Some(value) => result.push_str(value),
            None => result.extend(["$", name]),
        }
        rest = behind;
    }
    result + rest
}

/// The environment of the pipe that a call gives.
pub fn environment(call: &Call, repository: &BTreeMap<&str, String>) -> BTreeMap<String, String> {
    let pipe: PipeYml = serde_yaml::from_str(PIPE_YML).unwrap();
    let mut environment = BTreeMap::new();
    for variable in pipe.variables {
        match (call.variables.get(&variable.name), variable.default) {
            (Some(Given::Text(text)), _) => {
                environment.insert(variable.name, expanded(text, repository));
            }
            (Some(Given::List(entries)), _) => {
                environment.insert(
                    format!("{}_COUNT", variable.name),
                    entries.len().to_string(),
                );
                for (index, entry) in entries.iter().enumerate() {
                    let name = format!("{}_{index}", variable.name);
                    environment.insert(name, expanded(entry, repository));
                }
            }
            (None, Some(default)) => {
                environment.insert(variable.name, expanded(&default, repository));
            }
            (None, None) => {}
        }
    }
    environment
}
