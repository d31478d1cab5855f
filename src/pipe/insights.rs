//! The report of a run on its commit, for Code Insights. It never fails the run.

use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;

use super::delivered::Finished;
use super::failure::Failure;
use super::results::{Results, loaded_bytes};
use crate::bitbucket::insights::{Annotation, Fact, MAX_DETAILS, MAX_LINE, Report, Severity};
use crate::cancel::Cancel;
use crate::config::Plan;
use crate::config::plan::{ContextPlan, DockerfilePlan};
use crate::depot::Build;
use crate::http::roots::client_config;
use crate::report::output::{Output, OutputOptions};
use crate::report::progress::{FailedStep, Finding, Progress, size};
use crate::report::summary::Origin;
use crate::report::text;
use crate::text::cause::one_line;
use crate::text::digest::sha256;

/// The digits of a report's id.
const ID_DIGITS: usize = 16;

/// A run that has ended.
pub(super) struct Ended<'a> {
    pub(super) plan: &'a Plan,
    /// The origin of the images.
    pub(super) origin: Origin,
    pub(super) started: Instant,
    /// `None` if no build was created.
    pub(super) build: Option<&'a Build>,
    /// The figures and the steps; `None` if no build was created.
    pub(super) steps: Option<(&'a Results<'a>, &'a Progress)>,
    pub(super) result: Result<&'a [Finished], &'a Failure>,
}

impl Ended<'_> {
    /// Publishes the report, if it is requested. Takes at most five seconds, and none after a stop.
    pub(super) async fn publish(&self, output: &Output, cancel: &Cancel) {
        let Some(insights) = &self.plan.insights else {
            return;
        };
        let report = self.report(output.options());
        let publishing = async {
            let tls = client_config(&self.plan.authorities).map_err(|error| one_line(&error))?;
            let published = insights.publish(tls, &report).await;
            published.map_err(|error| one_line(&error))
        };
        // Boxed, because the futures of HTTP calls are large.
        match cancel.unless_fired(Box::pin(publishing)).await {
            Ok(Ok(())) => tracing::debug!("the report {} was published", report.id),
            Ok(Err(why)) => tracing::debug!("no report was published: {why}"),
            Err(reason) => tracing::debug!("no report was published: {reason}"),
        }
    }

    fn report(&self, options: &OutputOptions) -> Report {
        let words = Words { options };
        let (details, annotations) = match self.result {
            Ok(images) => (delivered(self.origin, images), Vec::new()),
            Err(failure) => (failure.one_line(), self.failed_step(failure, words)),
        };
        let findings = self
            .steps
            .iter()
            .flat_map(|(_, progress)| progress.findings());
        let warnings = findings.map(|finding| self.warning(finding, words));
        Report {
            id: id(self.plan, words),
            title: words.line(&title(self.plan)),
            details: words.lines(&details),
            has_passed: self.result.is_ok(),
            link: self.url(words),
            facts: self.facts(words),
            annotations: annotations.into_iter().chain(warnings).collect(),
        }
    }

    fn url(&self, words: Words<'_>) -> Option<String> {
        let url = self.build?.url()?;
        Some(words.line(url))
    }

    fn facts(&self, words: Words<'_>) -> Vec<(&'static str, Fact)> {
        let text = |title, text: String| (title, Fact::Text(words.line(&text)));
        let mut facts = vec![(
            "Duration",
            Fact::Duration(milliseconds(self.started.elapsed())),
        )];
        let images = self.result.unwrap_or_default();
        let names: Vec<String> = images.iter().flat_map(Finished::names).collect();
        if !names.is_empty() {
            facts.push(text("Images", names.join(", ")));
        }
        let delivered = images.iter().flat_map(|image| &image.delivered);
        let mut digests: Vec<&str> = delivered
            .filter_map(|image| image.digest.as_deref())
            .collect();
        digests.dedup();
        if !digests.is_empty() {
            facts.push(text("Digest", digests.join(", ")));
        }
        let platforms = images.iter().flat_map(|image| &image.platforms);
        let platforms: Vec<String> = platforms
            .map(|image| match image.bytes {
                Some(bytes) => format!("{} ({})", image.platform, size(bytes)),
                None => image.platform.to_string(),
            })
            .collect();
        if !platforms.is_empty() {
            facts.push(text("Platforms", platforms.join(", ")));
        }
        if let Some((results, _)) = self.steps {
            let figures = &results.figures;
            if figures.steps > 0 {
                let steps = format!("{} of {}", figures.cached, figures.steps);
                facts.push(text("Cached steps", steps));
            }
            facts.push(text("Context sent", size(results.context.sent)));
            if let Some(bytes) = loaded_bytes(images) {
                facts.push(text("Loaded into Docker", size(bytes)));
            }
        }
        let url = self.url(words);
        facts.extend(url.map(|url| ("Depot", Fact::Link("Build", url))));
        facts
    }

    /// The failing instruction, with the last lines of its output.
    fn failed_step(&self, failure: &Failure, words: Words<'_>) -> Vec<Annotation> {
        let Failure::Solve { error, .. } = failure.cause() else {
            return Vec::new();
        };
        let step = self
            .steps
            .and_then(|(_, progress)| progress.failed_step_behind(&error.message));
        let source = error.sources.last();
        let place = source.and_then(|source| {
            let (line, _) = source.lines.first()?;
            self.place(&source.filename, *line)
        });
        if step.is_none() && place.is_none() {
            return Vec::new();
        }
        let output = step.map(|step| last_lines(step, words)).unwrap_or_default();
        vec![Annotation {
            place,
            severity: Severity::High,
            summary: words.line(&error.message),
            details: output,
            link: None,
        }]
    }

    fn warning(&self, finding: &Finding, words: Words<'_>) -> Annotation {
        let place = finding.place.as_ref();
        Annotation {
            place: place.and_then(|(file, line)| self.place(file, *line)),
            severity: Severity::Low,
            summary: words.line(&finding.text),
            details: words.lines(&finding.details),
            link: (!finding.url.is_empty()).then(|| words.line(&finding.url)),
        }
    }

    /// The path in the repository of a file that the frontend names, and the line. `None` for a file of another repository.
    fn place(&self, file: &str, line: u32) -> Option<(String, u32)> {
        let dockerfiles = self
            .plan
            .images
            .iter()
            .filter_map(|image| dockerfile(&image.build.context));
        let mut named = dockerfiles.filter(|dockerfile| dockerfile.name == file);
        let path = relative(self.plan, named.next()?.file()?)?;
        (line > 0).then_some((path, line))
    }
}

/// Texts for a report: without secrets and control characters, and within Bitbucket's limits.
#[derive(Clone, Copy)]
struct Words<'a> {
    options: &'a OutputOptions,
}

impl Words<'_> {
    fn line(self, text: &str) -> String {
        text::one_line(text, MAX_LINE - 1, &self.options.masker)
    }

    fn lines(self, text: &str) -> String {
        text::lines(text, MAX_DETAILS - 1, &self.options.masker)
    }
}

/// The names with their digests, one on each line.
fn delivered(origin: Origin, images: &[Finished]) -> String {
    let first = match origin {
        Origin::Built => "The image was built.",
        Origin::Copied => "The image was copied.",
        Origin::Existing => "The image exists already, so nothing was built.",
    };
    let mut lines = vec![first.to_owned()];
    for delivered in images.iter().flat_map(|image| &image.delivered) {
        let digest = delivered.digest.as_ref();
        let digest = digest
            .map(|digest| format!("@{digest}"))
            .unwrap_or_default();
        lines.extend(delivered.names.iter().map(|name| format!("{name}{digest}")));
    }
    lines.join("\n")
}

/// The last lines of a step's output that fit.
fn last_lines(step: &FailedStep, words: Words<'_>) -> String {
    let mut room = MAX_DETAILS - 1;
    let mut lines = Vec::new();
    for line in step.tail.iter().rev() {
        let line = words.line(line);
        let Some(rest) = room.checked_sub(line.chars().count() + 1) else {
            break;
        };
        room = rest;
        lines.push(line);
    }
    lines.reverse();
    lines.join("\n")
}

fn dockerfile(context: &ContextPlan) -> Option<&DockerfilePlan> {
    match context {
        ContextPlan::Directory(_, dockerfile) => Some(dockerfile),
        ContextPlan::Git(_) => None,
    }
}

/// The path in the repository.
fn relative(plan: &Plan, path: &Path) -> Option<String> {
    let path = path.strip_prefix(&plan.clone).ok()?;
    path.to_str().map(str::to_owned)
}

/// Names the image that is copied, or the Dockerfiles and targets.
fn title(plan: &Plan) -> String {
    if let Some(promotion) = &plan.promotion {
        return format!("Copy of {}", promotion.source);
    }
    let images = plan.images.iter().map(|image| {
        let build = &image.build;
        let file = match &build.context {
            ContextPlan::Directory(_, dockerfile) => {
                dockerfile.file().and_then(|file| relative(plan, file))
            }
            ContextPlan::Git(context) => Some(context.dockerfile.clone()),
        };
        let file = file.unwrap_or_else(|| "Dockerfile".to_owned());
        match &build.target {
            Some(target) => format!("{file} ({target})"),
            None => file,
        }
    });
    format!("Image of {}", images.collect::<Vec<_>>().join(", "))
}

/// The same for the same contexts, Dockerfiles and targets, or for the same copy.
fn id(plan: &Plan, words: Words<'_>) -> String {
    let mut parts = Vec::new();
    for image in &plan.images {
        let build = &image.build;
        let (context, file) = match &build.context {
            ContextPlan::Directory(context, dockerfile) => {
                let path = |path| relative(plan, path).unwrap_or_default();
                let file = dockerfile.file().map(path);
                (path(&context.path), file.unwrap_or_default())
            }
            ContextPlan::Git(context) => {
                // Without its login, which can change.
                let address = context.address.expose_secret().to_owned();
                let address = words.options.masker.mask(address);
                (address, context.dockerfile.clone())
            }
        };
        parts.extend([context, file, build.target.clone().unwrap_or_default()]);
    }
    if let Some(promotion) = &plan.promotion {
        let names = promotion.destinations.references.iter();
        parts.push("copy".to_owned());
        parts.extend(names.map(ToString::to_string));
    }
    let digest = sha256(parts.join("\0").as_bytes());
    let digits = digest.trim_start_matches("sha256:").chars().take(ID_DIGITS);
    format!("depot-build-{}", digits.collect::<String>())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
