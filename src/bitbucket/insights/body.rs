//! The bodies of the calls, within Bitbucket's limits.

use crate::ordered::IntoOrdered;
use serde_json::{Map, Value, json};

/// The maximum number of facts of a report.
const MAX_FACTS: usize = 10;

/// The maximum number of annotations in one call.
const MAX_ANNOTATIONS: usize = 100;

/// The maximum length of a title, of a summary, and of the text of a fact, in characters.
pub(crate) const MAX_LINE: usize = 450;

/// The maximum length of details, in characters.
pub(crate) const MAX_DETAILS: usize = 2000;

/// The name of the program that reports.
const REPORTER: &str = "depot-build";

/// A report on a commit. Texts that are too long are cut.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// The same for every report that replaces this one.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) details: String,
    pub(crate) has_passed: bool,
    /// The address of a page with more details.
    pub(crate) link: Option<String>,
    /// At most ten are sent.
    pub(crate) facts: Vec<(&'static str, Fact)>,
    /// At most a hundred are sent.
    pub(crate) annotations: Vec<Annotation>,
}

/// The value of a fact.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    Text(String),
    /// In milliseconds.
    Duration(u64),
    /// Text and address.
    Link(&'static str, String),
}

/// A remark about a line of a file, or about the whole commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Annotation {
    /// The path in the repository and the line, from 1.
    pub(crate) place: Option<(String, u32)>,
    pub(crate) severity: Severity,
    pub(crate) summary: String,
    pub(crate) details: String,
    pub(crate) link: Option<String>,
}

/// The weight of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// A warning.
    Low,
    /// The cause of a failure.
    High,
}

impl Report {
    /// The body of `PUT`.
    pub(super) fn body(&self) -> Value {
        let facts = self.facts.iter().take(MAX_FACTS);
        let facts: Vec<Value> = facts.map(|(title, fact)| fact.body(title)).collect();
        let result = if self.has_passed { "PASSED" } else { "FAILED" };
        object([
            ("title", Some(json!(cut(&self.title, MAX_LINE)))),
            ("details", Some(json!(cut(&self.details, MAX_DETAILS)))),
            ("external_id", Some(json!(self.id))),
            ("report_type", Some(json!("TEST"))),
            ("reporter", Some(json!(REPORTER))),
            ("result", Some(json!(result))),
            ("data", Some(json!(facts))),
            ("link", address(self.link.as_deref())),
        ])
    }

    /// The body of `POST` for the annotations.
    pub(super) fn annotations_body(&self) -> Value {
        let annotations = self.annotations.iter().take(MAX_ANNOTATIONS).enumerate();
        let annotations = annotations.map(|(index, annotation)| {
            let id = format!("{}-{}", self.id, index + 1);
            annotation.body(&id)
        });
        annotations.collect()
    }
}

impl Fact {
    fn body(&self, title: &str) -> Value {
        match self {
            Self::Text(text) => {
                json!({ "title": title, "type": "TEXT", "value": cut(text, MAX_LINE) })
            }
            Self::Duration(milliseconds) => {
                json!({ "title": title, "type": "DURATION", "value": milliseconds })
            }
            Self::Link(text, address) => json!({
                "title": title,
                "type": "LINK",
                "value": { "text": text, "href": address },
            }),
        }
    }
}

impl Annotation {
    fn body(&self, id: &str) -> Value {
        let (kind, severity) = match self.severity {
            Severity::Low => ("CODE_SMELL", "LOW"),
            Severity::High => ("BUG", "HIGH"),
        };
        // An empty summary is rejected.
        let summary = match cut(&self.summary, MAX_LINE) {
            summary if summary.trim().is_empty() => "warning".to_owned(),
            summary => summary,
        };
        let details = (!self.details.is_empty()).then(|| cut(&self.details, MAX_DETAILS));
        let place = self.place.as_ref();
        object([
            ("external_id", Some(json!(id))),
            ("annotation_type", Some(json!(kind))),
            ("severity", Some(json!(severity))),
            ("summary", Some(json!(summary))),
            ("details", details.map(|details| json!(details))),
            ("path", place.map(|(path, _)| json!(path))),
            ("line", place.map(|(_, line)| json!(line.max(&1)))),
            ("link", address(self.link.as_deref())),
        ])
    }
}

/// An object without the fields that have no value.
fn object<const FIELDS: usize>(fields: [(&str, Option<Value>); FIELDS]) -> Value {
    let fields = fields.into_iter();
    let fields: Map<String, Value> = fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .into_ordered();
    Value::Object(fields)
}

/// The address of a page; Bitbucket rejects other addresses.
fn address(link: Option<&str>) -> Option<Value> {
    let is_page = |link: &&str| link.starts_with("https://") || link.starts_with("http://");
    link.filter(is_page).map(|link| json!(link))
}

/// At most `limit` characters.
fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => {
            let kept = text.chars().take(limit.saturating_sub(1));
            kept.chain(['…']).collect()
        }
    }
}
