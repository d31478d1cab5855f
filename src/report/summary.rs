//! The first and the last lines of a run: the page of the build, and its result.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::message::Kind;
use super::output::OutputOptions;
use super::text;

/// Characters printed of a reference or a URL.
const CHARACTERS: usize = 1000;

/// Where the image was delivered. Without any of these, it is only in the builder's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// To its registries.
    pub pushed: bool,
    /// To Depot's registry.
    pub saved: bool,
    /// To the step's Docker daemon.
    pub loaded: bool,
}

impl Delivery {
    /// `built, pushed and loaded`. `is_exported`: whether files were written into the clone.
    fn words(self, is_exported: bool) -> String {
        let done = [
            (true, "built"),
            (self.pushed, "pushed"),
            (self.saved, "saved"),
            (self.loaded, "loaded"),
            (is_exported, "exported"),
        ];
        let done: Vec<_> = done
            .into_iter()
            .filter_map(|(is_done, word)| is_done.then_some(word))
            .collect();
        match &done[..] {
            [words @ .., last] if !words.is_empty() => format!("{} and {last}", words.join(", ")),
            words => words.concat(),
        }
    }
}

/// The result of a successful build.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// Where the image was delivered.
    pub delivery: Delivery,
    /// The names of the image, each with registry and tag, and the digest of its manifest or index there.
    pub references: &'a [(String, Option<&'a str>)],
    /// The references in Depot's registry.
    pub saved: &'a [String],
    /// The exported directories and files, each with its amount, such as `12 files (3.4MB)`.
    pub exported: &'a [(String, String)],
    /// The digest of an image without names, if the builder returned one.
    pub digest: Option<&'a str>,
    /// Time since the start of the program.
    pub elapsed: Duration,
    /// The URL of the build's page at Depot; empty if it is unknown.
    pub url: &'a str,
}

/// The line with the URL of the build's page: the first and the last line of every run that created a build.
#[must_use]
pub fn page(url: &str, options: &OutputOptions) -> String {
    options.paint.message(
        Kind::Info,
        &format!(
            "build: {}",
            text::one_line(url, CHARACTERS, &options.masker)
        ),
    )
}

impl Summary<'_> {
    /// Renders the last lines. The page of the build comes last.
    #[must_use]
    pub fn render(&self, options: &OutputOptions) -> String {
        let done = self.delivery.words(!self.exported.is_empty());
        let line = |text: &str| text::one_line(text, CHARACTERS, &options.masker);
        let full = |(reference, digest): &(String, Option<&str>)| match digest {
            Some(digest) => format!("{}@{}", line(reference), line(digest)),
            None => line(reference),
        };
        let seconds = format!("{:.1}s", self.elapsed.as_secs_f64());
        let text = match (self.references, self.digest) {
            ([], None) => format!("{done} in {seconds}"),
            ([], Some(digest)) => format!("{done} {} in {seconds}", line(digest)),
            ([reference], _) => format!("{done} {} in {seconds}", full(reference)),
            (references, _) => references.iter().map(full).fold(
                format!(
                    "{done} one image as {} references{} in {seconds}:",
                    references.len(),
                    digests(references)
                ),
                |mut text, reference| {
                    // Writing to a string never fails.
                    let _infallible = write!(text, "\n  {reference}");
                    text
                },
            ),
        };
        let pull = self.pull(options);
        let page = match self.url {
            "" => String::new(),
            url => page(url, options),
        };
        options.paint.message(Kind::Success, &text) + &self.files(options) + &pull + &page
    }

    /// The exported directories and files, one on each line.
    fn files(&self, options: &OutputOptions) -> String {
        let line = |text: &str| text::one_line(text, CHARACTERS, &options.masker);
        let exported = self.exported.iter();
        let lines = exported.map(|(path, amount)| {
            let text = format!("exported to {}: {}", line(path), line(amount));
            options.paint.message(Kind::Info, &text)
        });
        lines.collect()
    }

    /// The commands that pull the image from Depot's registry.
    fn pull(&self, options: &OutputOptions) -> String {
        let Some(first) = self.saved.first() else {
            return String::new();
        };
        let host = first.split('/').next().unwrap_or_default();
        let mut text = format!(
            "to pull the image, log in with a Depot token:\n  \
             echo \"$DEPOT_TOKEN\" | docker login {} --username x-token --password-stdin",
            text::one_line(host, CHARACTERS, &options.masker)
        );
        for reference in self.saved {
            let reference = text::one_line(reference, CHARACTERS, &options.masker);
            let _infallible = write!(text, "\n  docker pull {reference}");
        }
        options.paint.message(Kind::Info, &text)
    }
}

/// The number of different digests, if there is more than one. A registry that gets another form of the image has another digest.
fn digests(references: &[(String, Option<&str>)]) -> String {
    let digests: BTreeSet<&str> = references
        .iter()
        .filter_map(|(_, digest)| *digest)
        .collect();
    match digests.len() {
        0 | 1 => String::new(),
        count => format!(" with {count} digests"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://depot.dev/orgs/o/projects/p/builds/b";
    const DIGEST: &str = "sha256:0123";
    const PUSHED: Delivery = Delivery {
        pushed: true,
        saved: false,
        loaded: false,
    };

    #[test]
    fn every_delivery_is_printed() {
        for (pushed, saved, loaded, exported, words) in [
            (false, false, false, false, "built"),
            (false, false, true, false, "built and loaded"),
            (false, false, false, true, "built and exported"),
            (true, false, true, false, "built, pushed and loaded"),
            (
                true,
                true,
                true,
                true,
                "built, pushed, saved, loaded and exported",
            ),
        ] {
            let delivery = Delivery {
                pushed,
                saved,
                loaded,
            };
            assert_eq!(delivery.words(exported), words);
        }
    }

    fn summary(delivery: Delivery, references: &[&str], digest: Option<&str>) -> String {
        let references: Vec<_> = references
            .iter()
            .map(|&reference| (reference.to_owned(), digest))
            .collect();
        let elapsed = Duration::from_millis(12_345);
        Summary {
            delivery,
            references: &references,
            saved: &[],
            exported: &[],
            digest,
            elapsed,
            url: URL,
        }
        .render(&OutputOptions::default())
    }

    #[test]
    fn a_pushed_image_is_named_with_its_digest() {
        insta::assert_snapshot!(summary(PUSHED, &["docker.io/org/app:1.0"], Some(DIGEST)), @"
        ✔ built and pushed docker.io/org/app:1.0@sha256:0123 in 12.3s
        INFO: build: https://depot.dev/orgs/o/projects/p/builds/b
        ");
        insta::assert_snapshot!(
            summary(PUSHED, &["docker.io/org/app:1.0", "ghcr.io/org/app:1.0"], Some(DIGEST)),
            @"
        ✔ built and pushed one image as 2 references in 12.3s:
          docker.io/org/app:1.0@sha256:0123
          ghcr.io/org/app:1.0@sha256:0123
        INFO: build: https://depot.dev/orgs/o/projects/p/builds/b
        "
        );
    }

    #[test]
    fn different_digests_are_counted() {
        let references = [
            ("docker.io/org/app:1.0".to_owned(), Some(DIGEST)),
            (
                "registry.heroku.com/app/web:latest".to_owned(),
                Some("sha256:4567"),
            ),
        ];
        let summary = Summary {
            delivery: PUSHED,
            references: &references,
            saved: &[],
            exported: &[],
            digest: Some(DIGEST),
            elapsed: Duration::from_millis(12_345),
            url: URL,
        };
        insta::assert_snapshot!(summary.render(&OutputOptions::default()), @"
        ✔ built and pushed one image as 2 references with 2 digests in 12.3s:
          docker.io/org/app:1.0@sha256:0123
          registry.heroku.com/app/web:latest@sha256:4567
        INFO: build: https://depot.dev/orgs/o/projects/p/builds/b
        ");
    }

    #[test]
    fn a_build_without_a_delivery_is_reported() {
        insta::assert_snapshot!(summary(Delivery::default(), &[], None), @"
        ✔ built in 12.3s
        INFO: build: https://depot.dev/orgs/o/projects/p/builds/b
        ");
        insta::assert_snapshot!(summary(Delivery::default(), &[], Some(DIGEST)), @"
        ✔ built sha256:0123 in 12.3s
        INFO: build: https://depot.dev/orgs/o/projects/p/builds/b
        ");
        insta::assert_snapshot!(summary(Delivery::default(), &["docker.io/org/app:1.0"], None), @"
        ✔ built docker.io/org/app:1.0 in 12.3s
        INFO: build: https://depot.dev/orgs/o/projects/p/builds/b
        ");
    }

    #[test]
    fn exported_files_are_listed() {
        let exported = [("dist", "12 files (3.4MB)"), ("image\n.tar", "1.0MB")]
            .map(|(path, amount)| (path.to_owned(), amount.to_owned()));
        let summary = Summary {
            delivery: Delivery::default(),
            references: &[],
            saved: &[],
            exported: &exported,
            digest: None,
            elapsed: Duration::from_millis(12_345),
            url: URL,
        };
        insta::assert_snapshot!(summary.render(&OutputOptions::default()), @"
        ✔ built and exported in 12.3s
        INFO: exported to dist: 12 files (3.4MB)
        INFO: exported to image .tar: 1.0MB
        INFO: build: https://depot.dev/orgs/o/projects/p/builds/b
        ");
    }

    #[test]
    fn the_url_of_the_build_cannot_control_the_terminal() {
        assert_eq!(
            page("https://depot.dev/\x1b[2Jx\ny", &OutputOptions::default()),
            "INFO: build: https://depot.dev/x y\n"
        );
    }
}
