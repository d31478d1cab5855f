//! The processing of pipes in a pipeline's YAML: `$NAME` is replaced by the repository's variable, lists become numbered
//! variables, and omitted variables get their defaults of `pipe.yml`.

use std::collections::BTreeMap;

use serde::Deserialize;

const README: &str = include_str!("../../README.md");
const PIPE_YML: &str = include_str!("../../pipe.yml");

/// An example of the README.
#[derive(Debug)]
pub struct Example {
    /// Its heading.
    pub title: String,
    /// A whole `bitbucket-pipelines.yml`.
    pub file: String,
    /// The bake definition that it builds: the name of the file, and its content.
    pub definition: Option<(&'static str, String)>,
    /// All its steps.
    pub steps: Vec<Step>,
}

/// The fields of a step that concern a pipe.
#[derive(Debug, Deserialize)]
pub struct Step {
    #[serde(default)]
    pub oidc: bool,
    #[serde(default)]
    pub services: Vec<String>,
    pub script: Vec<Line>,
    /// Paths and patterns of files for later steps.
    #[serde(default)]
    pub artifacts: Vec<String>,
}

/// The structure of an example file.
#[derive(Deserialize)]
struct Pipelines {
    pipelines: BTreeMap<String, Trigger>,
}

/// The steps of one kind of build, or of each pattern of branches, tags or pull requests.
#[derive(Deserialize)]
#[serde(untagged)]
enum Trigger {
    Items(Vec<Item>),
    Patterns(BTreeMap<String, Vec<Item>>),
}

impl Trigger {
    fn items(self) -> Vec<Item> {
        match self {
            Self::Items(items) => items,
            Self::Patterns(patterns) => patterns.into_values().flatten().collect(),
        }
    }
}

/// A step or a group of parallel steps.
#[derive(Deserialize)]
struct Item {
    step: Option<Step>,
    #[serde(default)]
    parallel: Vec<Item>,
}

impl Item {
    fn steps(self) -> Vec<Step> {
        let parallel = self.parallel.into_iter().flat_map(Self::steps);
        self.step.into_iter().chain(parallel).collect()
    }
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
    pub variables: BTreeMap<String, Value>,
}

/// A text or a list of texts. Bitbucket accepts no numbers and booleans.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Value {
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

/// The complete file at the top, and the examples below "Examples". A single step becomes the only one of a file.
pub fn examples() -> Vec<Example> {
    let (top, _) = README.split_once("\n## ").unwrap();
    let (_, section) = README.split_once("\n## Examples\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let titled = std::iter::once(top).chain(section.split("\n### ").skip(1));
    let example = |part: &str| {
        let (title, text) = part.split_once('\n')?;
        let (_, block) = text.split_once("```yaml\n")?;
        let (yaml, rest) = block.split_once("```").unwrap();
        assert!(!rest.contains("```yaml"), "{title} has two");
        let file = if yaml.starts_with("pipelines:") {
            yaml.to_owned()
        } else {
            let lines = yaml.lines().map(|line| format!("          {line}\n"));
            let step: Vec<_> = lines.collect();
            format!("pipelines:\n  default:\n    - step:\n{}", step.concat())
        };
        Some(Example {
            title: title.trim_start_matches("# ").to_owned(),
            steps: steps(&file),
            definition: definition(text),
            file,
        })
    };
    titled.filter_map(example).collect()
}

/// The bake definition in the text of an example.
fn definition(text: &str) -> Option<(&'static str, String)> {
    let block = |start: &str| {
        let (_, block) = text.split_once(start)?;
        Some(block.split_once("```").unwrap().0.to_owned())
    };
    let hcl = block("```hcl\n").map(|text| ("docker-bake.hcl", text));
    let compose = || {
        Some((
            "compose.yml",
            block("```yml\n").filter(|text| text.starts_with("services:"))?,
        ))
    };
    hcl.or_else(compose)
}

/// The steps of a complete `bitbucket-pipelines.yml`.
pub fn steps(file: &str) -> Vec<Step> {
    let parsed: Pipelines =
        serde_yaml::from_str(file).unwrap_or_else(|error| panic!("{error} in\n{file}"));
    let items = parsed.pipelines.into_values().flat_map(Trigger::items);
    items.flat_map(Item::steps).collect()
}

/// Replaces the names of existing variables by their values. Other names are unchanged, as in Bitbucket.
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

/// The environment of the pipe for a call.
pub fn environment(call: &Call, repository: &BTreeMap<&str, String>) -> BTreeMap<String, String> {
    let pipe: PipeYml = serde_yaml::from_str(PIPE_YML).unwrap();
    let mut environment = BTreeMap::new();
    for variable in pipe.variables {
        match (call.variables.get(&variable.name), variable.default) {
            (Some(Value::Text(text)), _) => {
                environment.insert(variable.name, expanded(text, repository));
            }
            (Some(Value::List(entries)), _) => {
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
