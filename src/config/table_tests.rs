//! Compares the table of variables with the structs, `pipe.yml`, the README and the changelog.

use std::collections::BTreeSet;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

use super::PipeVariables;
use super::amazon::{AmazonVariables, IdentityVariables};
use super::bake::BakeVariables;
use super::build::BuildVariables;
use super::caches::CacheVariables;
use super::compression::CompressionVariables;
use super::depot::DepotVariables;
use super::exports::ExportVariables;
use super::freshness::FreshnessVariables;
use super::images::ImageVariables;
use super::load::DockerVariables;
use super::logins::RegistryVariables;
use super::metadata::MetadataVariables;
use super::outputs::OutputVariables;
use super::pipeline::PipelineVariables;
use super::promotion::PromotionVariables;
use super::secrets::SecretVariables;
use super::ssh::SshVariables;
use super::steps::StepVariables;
use super::table::{DAEMON_VARIABLES, Fallback, IDENTITY_VARIABLES, all_variables};

use crate::bitbucket::variables::{CONTEXT, REQUESTED};

const PIPE_YML: &str = include_str!("../../pipe.yml");
const README: &str = include_str!("../../README.md");
const CHANGELOG: &str = include_str!("../../CHANGELOG.md");

/// Collects the names of a struct's fields from its `Deserialize`.
struct FieldNames<'a>(&'a mut Vec<String>);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0
            .extend(fields.iter().map(|field| field.to_uppercase()));
        Err(serde::de::Error::custom("only the names are read"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        panic!("not a struct")
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<'de, T: Deserialize<'de>>() -> Vec<String> {
    let mut names = Vec::new();
    assert!(T::deserialize(FieldNames(&mut names)).is_err());
    names
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let all: Vec<&str> = names.into_iter().collect();
    let unique: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(unique.len(), all.len(), "a name occurs twice in {all:?}");
    unique.into_iter().collect()
}

#[test]
fn the_structs_have_a_field_for_each_variable() {
    let structs = [
        fields::<DepotVariables>(),
        fields::<BakeVariables>(),
        fields::<BuildVariables>(),
        fields::<SecretVariables>(),
        fields::<SshVariables>(),
        fields::<FreshnessVariables>(),
        fields::<StepVariables>(),
        fields::<ImageVariables>(),
        fields::<PromotionVariables>(),
        fields::<CompressionVariables>(),
        fields::<CacheVariables>(),
        fields::<RegistryVariables>(),
        fields::<AmazonVariables>(),
        fields::<OutputVariables>(),
        fields::<MetadataVariables>(),
        fields::<ExportVariables>(),
        fields::<PipeVariables>(),
    ];
    let read = structs.iter().flatten().map(String::as_str);
    assert_eq!(
        sorted(read),
        sorted(all_variables().map(|variable| variable.name))
    );
    let read = fields::<PipelineVariables>();
    assert_eq!(sorted(read.iter().map(String::as_str)), sorted(CONTEXT));
    assert!(REQUESTED.iter().all(|name| CONTEXT.contains(name)));
    let read = fields::<IdentityVariables>();
    assert_eq!(
        sorted(read.iter().map(String::as_str)),
        sorted(IDENTITY_VARIABLES)
    );
    let read = fields::<DockerVariables>();
    assert_eq!(
        sorted(read.iter().map(String::as_str)),
        sorted(DAEMON_VARIABLES)
    );
}

#[test]
fn secrets_come_from_repository_variables() {
    for variable in all_variables() {
        assert!(
            !variable.secret || variable.fallback == Fallback::SameName,
            "{}",
            variable.name
        );
    }
    assert_eq!(
        all_variables()
            .filter(|variable| variable.required)
            .map(|variable| variable.name)
            .collect::<Vec<_>>(),
        ["DEPOT_TOKEN"]
    );
}

#[derive(Deserialize)]
struct PipeYml {
    name: String,
    image: String,
    description: String,
}

#[test]
fn pipe_yml_names_the_image_of_this_version() {
    let pipe: PipeYml = serde_yaml::from_str(PIPE_YML).unwrap();
    assert!(
        pipe.image
            .ends_with(concat!(":", env!("CARGO_PKG_VERSION"))),
        "{}",
        pipe.image
    );
    assert!(!pipe.name.is_empty() && !pipe.description.is_empty());
}

#[test]
fn the_readme_has_the_sections_of_a_pipe_in_order() {
    let headings: Vec<&str> = README
        .lines()
        .filter(|line| line.starts_with("# ") || line.starts_with("## "))
        .collect();
    let expected = [
        "# Bitbucket Pipelines Pipe: Depot build",
        "## YAML Definition",
        "## Variables",
        "## Details",
        "## Prerequisites",
        "## Examples",
        "## Support",
    ];
    let places: Vec<usize> = expected
        .iter()
        .map(|heading| {
            headings
                .iter()
                .position(|line| line == heading)
                .unwrap_or_else(|| panic!("no {heading}"))
        })
        .collect();
    assert!(
        places.is_sorted() && places.first() == Some(&0),
        "{headings:?}"
    );
}

/// The anchor of a heading on Bitbucket.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let is_kept = |character: &char| character.is_alphanumeric() || " -_".contains(*character);
    let words: String = words.chars().filter(is_kept).collect();
    let words: Vec<&str> = words.split_whitespace().collect();
    format!("markdown-header-{}", words.join("-"))
}

#[test]
fn every_link_within_the_readme_leads_to_one_heading() {
    let headings = README.lines().filter(|line| line.starts_with('#'));
    let anchors: Vec<String> = headings.map(anchor).collect();
    let links = README.split("](#").skip(1);
    let mut links = links.map(|rest| rest.split(')').next().unwrap());
    let wrong = links.find(|link| anchors.iter().filter(|anchor| anchor == link).count() != 1);
    assert_eq!(wrong, None);
}

#[test]
fn the_crate_the_pipe_the_examples_and_the_changelog_have_one_version() {
    const NAME: &str = "org/depot-build:";
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        version.split('.').all(|part| part.parse::<u32>().is_ok()),
        "{version}"
    );
    for text in [PIPE_YML, README] {
        let named: BTreeSet<&str> = text
            .split(NAME)
            .skip(1)
            .map(|rest| {
                let end = rest.find(|byte: char| !byte.is_ascii_digit() && byte != '.');
                rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
            })
            .filter(|version| !version.is_empty())
            .collect();
        assert_eq!(named, BTreeSet::from([version]));
    }
    // The top section is this version's, and each change has a level.
    let (_, sections) = CHANGELOG.split_once("\n## ").unwrap();
    let (title, section) = sections.split_once('\n').unwrap();
    assert_eq!(title, version);
    let section = section.split("\n## ").next().unwrap();
    let changes = section
        .lines()
        .filter(|line| !line.starts_with(' ') && !line.is_empty());
    for change in changes {
        let kind = change
            .strip_prefix("- ")
            .and_then(|rest| rest.split(':').next());
        assert!(
            matches!(kind, Some("major" | "minor" | "patch")),
            "{change}"
        );
    }
}

#[test]
fn the_messages_that_the_readme_explains_are_those_of_the_program() {
    let (_, support) = README.split_once("\n## Support\n").unwrap();
    let rows = support.lines().filter(|line| line.starts_with("| `"));
    let mut sources = String::new();
    read_sources(
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut sources,
    );
    // A text that continues on the next line is one text.
    let lines = sources.split("\\\n").map(str::trim_start);
    let sources = lines
        .collect::<String>()
        .replace("{method}", "CreateBuild")
        .replace("{code}", "unauthenticated");
    let mut explained = 0;
    for row in rows {
        let message = row.split('`').nth(1).unwrap();
        for part in message.split(" … ").flat_map(|part| part.split(" …")) {
            let part = part.strip_prefix("DEPOT_TOKEN: ").unwrap_or(part);
            assert!(sources.contains(part), "`{part}` of `{message}`");
        }
        explained += 1;
    }
    assert!(explained >= 9, "{explained}");
}

fn read_sources(folder: &std::path::Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.ends_with("table_tests.rs");
        if path.is_dir() {
            read_sources(&path, sources);
        } else if !is_test {
            sources.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}
