//! The lists of variables in `README.md` and `pipe.yml`, generated from the table.
//!
//! `cargo variables` runs the ignored test below, which writes them. The other test fails if a list is stale.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bitbucket::variables::REQUESTED;

use super::table::{Fallback, Kind, Topic, Variable, all_variables};

/// Start and end of a generated part of the README. Markdown does not render these lines.
const BEGIN: &str = "[//]: # (Written by cargo variables: begin)\n\n";
const END: &str = "\n[//]: # (Written by cargo variables: end)\n";

/// The list in `pipe.yml` begins after this line and ends with the file.
const PIPE_YML_LIST: &str = "\nvariables:\n";

/// The proxies, which are not variables of the pipe alone: they have no entry in `pipe.yml` or in the snippet.
const PROXY_ROWS: &str = "\
| HTTPS_PROXY, HTTP_PROXY, ALL_PROXY | Address of the HTTP proxy; lower-case names are read too. See \
[Proxies](#markdown-header-proxies-firewalls-and-certificates). Default: none. |
| NO_PROXY | Hosts that are reached without the proxy, separated by commas. Default: none. |
";

const TOPICS: [Topic; 12] = [
    Topic::Depot,
    Topic::Image,
    Topic::Source,
    Topic::Bake,
    Topic::Secrets,
    Topic::Cache,
    Topic::Steps,
    Topic::Metadata,
    Topic::Registries,
    Topic::Amazon,
    Topic::Outputs,
    Topic::Rest,
];

impl Topic {
    fn title(self) -> &'static str {
        match self {
            Self::Depot => "Depot",
            Self::Image => "Image",
            Self::Source => "Source and build",
            Self::Bake => "Several images (bake)",
            Self::Secrets => "Secrets and keys",
            Self::Cache => "Cache",
            Self::Steps => "Steps of the Dockerfile",
            Self::Metadata => "Labels and attestations",
            Self::Registries => "Registries",
            Self::Amazon => "Amazon ECR",
            Self::Outputs => "Outputs",
            Self::Rest => "Network and the rest",
        }
    }

    fn variables(self) -> impl Iterator<Item = &'static Variable> {
        all_variables().filter(move |variable| variable.topic == self)
    }
}

impl Variable {
    /// The default in `pipe.yml`; `None` if it has none.
    fn pipe_default(&self) -> Option<String> {
        match self.fallback {
            Fallback::Value(value) => Some(value.to_owned()),
            Fallback::SameName => Some(format!("${}", self.name)),
            Fallback::None | Fallback::Described(_) => None,
        }
    }

    /// The default in the README.
    fn default_text(&self) -> String {
        match self.fallback {
            Fallback::None => "none".to_owned(),
            Fallback::Described(words) => words.to_owned(),
            Fallback::Value(_) | Fallback::SameName => {
                format!("`{}`", self.pipe_default().unwrap_or_default())
            }
        }
    }
}

/// The snippet of the README's "YAML Definition".
fn snippet() -> String {
    let mut text = format!(
        "```yaml\n- pipe: org/depot-build:{}\n  variables:\n",
        env!("CARGO_PKG_VERSION")
    );
    for topic in TOPICS {
        writeln!(text, "    # {}", topic.title()).unwrap();
        for variable in topic.variables() {
            let value = match variable.kind {
                Kind::Boolean => "'<boolean>'",
                Kind::Text | Kind::Words | Kind::Pairs | Kind::Lines | Kind::List => "'<string>'",
            };
            if variable.required {
                writeln!(text, "    {}: {value}", variable.name).unwrap();
            } else {
                writeln!(text, "    # {}: {value} # Optional.", variable.name).unwrap();
            }
        }
    }
    text.push_str("```\n");
    text
}

/// The tables of the README's "Variables", one for each topic.
fn tables() -> String {
    let tables = TOPICS.map(|topic| {
        let mut text = format!(
            "### {}\n\n| Variable | Usage |\n| --- | --- |\n",
            topic.title()
        );
        for variable in topic.variables() {
            let mark = if variable.required { " (*)" } else { "" };
            let (name, usage, default) = (variable.name, variable.usage, variable.default_text());
            writeln!(text, "| {name}{mark} | {usage} Default: {default}. |").unwrap();
        }
        if topic == Topic::Rest {
            text.push_str(PROXY_ROWS);
        }
        text
    });
    tables.join("\n")
}

/// The list of `pipe.yml`. It ends with variables of Bitbucket, which users do not set.
fn pipe_list() -> String {
    let mut text = String::new();
    for variable in all_variables() {
        writeln!(text, "  - name: {}", variable.name).unwrap();
        if let Some(default) = variable.pipe_default() {
            writeln!(text, "    default: \"{default}\"").unwrap();
        }
    }
    for name in REQUESTED {
        writeln!(text, "  - name: {name}\n    default: \"${name}\"").unwrap();
    }
    text
}

fn readme_of(old: &str) -> String {
    let mut parts = old.split(BEGIN);
    let mut new = parts.next().unwrap().to_owned();
    for generated in [snippet(), tables()] {
        let part = parts.next().unwrap();
        let (_, rest) = part.split_once(END).unwrap();
        new.extend([BEGIN, &generated, END, rest]);
    }
    assert_eq!(parts.next(), None, "a begin mark without a generated part");
    new
}

fn pipe_yml_of(old: &str) -> String {
    let (head, _) = old.split_once(PIPE_YML_LIST).unwrap();
    [head, PIPE_YML_LIST, &pipe_list()].concat()
}

/// Path, content and generated content of each file.
fn files() -> [(PathBuf, String, String); 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["README.md", "pipe.yml"].map(|name| {
        let path = root.join(name);
        let old = fs::read_to_string(&path).unwrap();
        let new = match name {
            "pipe.yml" => pipe_yml_of(&old),
            _ => readme_of(&old),
        };
        (path, old, new)
    })
}

#[test]
fn the_lists_in_the_readme_and_in_pipe_yml_are_up_to_date() {
    for (path, old, new) in files() {
        let difference = old.lines().zip(new.lines()).find(|(old, new)| old != new);
        assert!(
            old == new,
            "{} is stale; run `cargo variables` ({difference:?})",
            path.display()
        );
    }
}

#[test]
#[ignore = "`cargo variables` runs it: it writes README.md and pipe.yml"]
fn write() {
    for (path, old, new) in files() {
        if old != new {
            fs::write(path, new).unwrap();
        }
    }
}

#[test]
fn variables_are_in_the_order_of_their_topics_and_fit_into_a_table() {
    assert!(all_variables().is_sorted_by_key(|variable| variable.topic));
    for variable in all_variables() {
        let (name, usage) = (variable.name, variable.usage);
        assert!(
            usage.ends_with('.') && !usage.contains(['\n', '|']),
            "{name}"
        );
        assert_eq!(
            variable.kind == Kind::Boolean,
            variable.default_text() == "`false`",
            "{name}"
        );
    }
}

#[test]
fn defaults_of_pipe_yml_can_be_written_in_double_quotes() {
    let defaults = all_variables().filter_map(Variable::pipe_default);
    for default in defaults {
        assert!(!default.contains(['"', '\\', '\n']), "{default}");
    }
}
