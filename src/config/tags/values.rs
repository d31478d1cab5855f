//! The values of placeholders in this pipeline.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::clean::clean;
use super::placeholder::Placeholder;
use super::semver::Version;
use super::template::{Part, Template};
use crate::config::pipeline::PipelineVariables;

/// The length of `{sha}`.
const SHA_CHARACTERS: usize = 7;

/// The part of a variable that is used. It limits the work for each entry.
const MAX_VALUE_CHARACTERS: usize = 4096;

/// The last time whose year has four digits, in seconds of Unix time.
const LAST_SECOND: u64 = 253_402_300_799;

/// The variables of the pipeline that placeholders are read from. Values that are not set are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) branch: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) pull_request: Option<String>,
    pub(crate) commit: Option<String>,
    pub(crate) build_number: Option<String>,
    /// `YYYYMMDD`, in UTC.
    pub(crate) date: Option<String>,
}

impl Values {
    /// `now`: the time of `{date}`.
    pub(in crate::config) fn new(pipeline: &PipelineVariables, now: SystemTime) -> Self {
        let value = |variable: &Option<String>| {
            let text = variable.as_deref()?.trim();
            Some(text.chars().take(MAX_VALUE_CHARACTERS).collect())
        };
        Self {
            branch: value(&pipeline.bitbucket_branch),
            tag: value(&pipeline.bitbucket_tag),
            pull_request: value(&pipeline.bitbucket_pr_id),
            commit: value(&pipeline.bitbucket_commit),
            build_number: value(&pipeline.bitbucket_build_number),
            date: date(now),
        }
    }

    /// The tag of an entry; `Err` with the first placeholder that has no value.
    pub(super) fn tag_of(&self, template: &Template<'_>) -> Result<String, Placeholder> {
        let parts = template.parts().iter().map(|part| match part {
            Part::Text(text) => Ok((*text).to_owned()),
            Part::Placeholder(placeholder) => self.value(*placeholder).ok_or(*placeholder),
        });
        let text: String = parts.collect::<Result<_, _>>()?;
        Ok(clean(&text))
    }

    fn value(&self, placeholder: Placeholder) -> Option<String> {
        let version = || self.tag.as_deref().and_then(Version::of_tag);
        let release = || version().filter(|version| !version.is_pre_release);
        match placeholder {
            Placeholder::Branch => self.branch.clone(),
            Placeholder::Tag => self.tag.clone(),
            Placeholder::Pr => self.pull_request.clone(),
            Placeholder::Sha => {
                let commit = self.commit.as_deref()?;
                Some(commit.chars().take(SHA_CHARACTERS).collect())
            }
            Placeholder::Commit => self.commit.clone(),
            Placeholder::Build => self.build_number.clone(),
            Placeholder::Date => self.date.clone(),
            Placeholder::Semver => version().map(|version| version.text.to_owned()),
            Placeholder::Major => release().map(|version| version.major.to_owned()),
            Placeholder::Minor => release().map(|version| version.major_and_minor()),
            Placeholder::Latest => release().map(|_| "latest".to_owned()),
        }
    }

    /// The template for a text that is not a tag: with a placeholder in place of the name of this pipeline's branch or Git tag, or the
    /// text itself if it has placeholders.
    pub(crate) fn template_of(&self, text: &str) -> Option<String> {
        let names = [
            (self.branch.as_deref(), Placeholder::Branch),
            (self.tag.as_deref(), Placeholder::Tag),
        ];
        let replaced = names.into_iter().filter_map(|(name, placeholder)| {
            let name = name.filter(|name| clean(name) != *name)?;
            let (before, after) = text.split_once(name)?;
            Some(format!("{before}{{{}}}{after}", placeholder.name()))
        });
        let mut candidates = replaced.chain([text.to_owned()]);
        candidates.find(|candidate| {
            let template = Template::parse(candidate);
            template.is_ok_and(|template| template.placeholders().next().is_some())
        })
    }

    /// A placeholder with a value in this pipeline.
    pub(super) fn example(&self) -> &'static str {
        match (&self.branch, &self.tag) {
            (Some(_), _) => "{branch}",
            (None, Some(_)) => "{tag}",
            (None, None) if self.commit.is_some() => "{sha}",
            (None, None) => "{date}",
        }
    }
}

/// `YYYYMMDD`, in UTC; `None` after the year 9999. A clock before 1970 is at its start.
fn date(now: SystemTime) -> Option<String> {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs();
    if seconds > LAST_SECOND {
        return None;
    }
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let day = text.split('T').next()?;
    Some(day.replace('-', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_utc() {
        let at = |time: &str| date(humantime::parse_rfc3339(time).unwrap());
        assert_eq!(at("2026-11-27T23:59:59Z").as_deref(), Some("20261127"));
        assert_eq!(at("2028-02-29T00:00:00Z").as_deref(), Some("20280229"));
        assert_eq!(at("9999-12-31T23:59:59Z").as_deref(), Some("99991231"));
        assert_eq!(date(UNIX_EPOCH).as_deref(), Some("19700101"));
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(date(before).as_deref(), Some("19700101"));
        let after = UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1);
        assert_eq!(date(after), None);
    }

    #[test]
    fn the_name_of_the_branch_is_found_in_a_text() {
        let values = Values {
            branch: Some("feature/x@v2".into()),
            tag: Some("libs/v1".into()),
            ..Values::default()
        };
        for (text, template) in [
            ("feature/x@v2", Some("{branch}")),
            ("v-feature/x@v2.1", Some("v-{branch}.1")),
            ("libs/v1", Some("{tag}")),
            ("{sha}", Some("{sha}")),
            ("feature/x@v2/y", None),
            ("feature/x", None),
            ("x", None),
            ("{shaa}", None),
        ] {
            assert_eq!(values.template_of(text).as_deref(), template, "{text}");
        }
        let plain = Values {
            branch: Some("main".into()),
            ..Values::default()
        };
        assert_eq!(plain.template_of("main:x"), None);
        assert_eq!(Values::default().template_of("feature/x"), None);
    }
}
