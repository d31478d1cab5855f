//! The first and the last lines of a run: the page of the build, and its result.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::message::Kind;
use super::output::OutputOptions;
use super::progress::size;
use super::text;
use super::totals::row;
use crate::ordered::IntoOrdered;

/// Characters printed of a reference or a URL.
pub(super) const CHARACTERS: usize = 1000;

/// Where an image came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// This run built it.
    #[default]
    Built,
    /// This run copied it from a registry.
    Copied,
    /// It existed under all its names.
    Existing,
}

/// Where the image was delivered. Without any of these, it is only in the builder's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The origin of the image.
    pub origin: Origin,
    /// To its registries.
    pub pushed: bool,
    /// To Depot's registry.
    pub saved: bool,
    /// To the step's Docker daemon.
    pub loaded: bool,
}

impl Delivery {
    /// `built, pushed and loaded`. `is_exported`: whether files were written into the clone.
    pub(super) fn words(self, is_exported: bool) -> String {
        let is_built = self.origin == Origin::Built;
        let done = [
            (is_built, "built"),
            (self.pushed && is_built, "pushed"),
            (self.pushed && self.origin == Origin::Copied, "copied"),
            (self.origin == Origin::Existing, "found"),
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

/// The maximum number of lines of a summary, with the page of the build.
pub const MAX_LINES: usize = 20;

/// The result of a successful build.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// Where the image was delivered.
    pub delivery: Delivery,
    /// The names of the image, each with registry and tag, and the digest of its manifest or index there.
    pub references: &'a [(String, Option<&'a str>)],
    /// The size of the image for each platform as stored in a registry, in bytes, if it is known.
    pub platforms: &'a [(String, u64)],
    /// The references in Depot's registry.
    pub saved: &'a [String],
    /// The exported directories and files, each with its amount, such as `12 files (3.4MB)`.
    pub exported: &'a [(String, String)],
    /// The digest of an image without names, if the builder returned one.
    pub digest: Option<&'a str>,
    /// Time since the start of the program.
    pub elapsed: Duration,
    /// The figures of the run.
    pub totals: &'a [String],
    /// The URL of the build's page at Depot; empty if it is unknown.
    pub url: &'a str,
    /// The maximum number of lines, without `totals` and the URL. Longer lists are cut, and end with the number of further entries.
    pub max_lines: usize,
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

/// The numbers of lines for the lists of a summary.
struct Room {
    size: bool,
    references: usize,
    exported: usize,
    saved: usize,
}

impl Summary<'_> {
    /// Renders the last lines. The page of the build comes last.
    #[must_use]
    pub fn render(&self, options: &OutputOptions) -> String {
        let room = self.room();
        let page = match self.url {
            "" => String::new(),
            url => page(url, options),
        };
        let size = room.size.then(|| self.size(options)).into_iter();
        let plain = size.chain(self.totals.iter().cloned());
        let plain = plain.fold(String::new(), |text, line| text + &line + "\n");
        self.result(options, room.references)
            + &plain
            + &self.files(options, room.exported)
            + &pull(self.saved, options, room.saved)
            + &page
    }

    /// Divides the lines among the lists.
    fn room(&self) -> Room {
        let size = !self.platforms.is_empty() && self.max_lines > 1;
        let mut left = self.max_lines.saturating_sub(1 + usize::from(size));
        let has_pull = !self.saved.is_empty() && left > PULL_LINES;
        left = left.saturating_sub(if has_pull { PULL_LINES } else { 0 });
        let several = self.references.len();
        let lengths = [
            if several > 1 { several } else { 0 },
            self.exported.len(),
            if has_pull { self.saved.len() } else { 0 },
        ];
        let [references, exported, saved] = divided(left, lengths);
        Room {
            size,
            references,
            exported,
            saved,
        }
    }

    /// The names with their digests. At most `room` lines for several names.
    fn result(&self, options: &OutputOptions, room: usize) -> String {
        let line = |text: &str| text::one_line(text, CHARACTERS, &options.masker);
        let done = self.delivery.words(!self.exported.is_empty());
        let full = |(reference, digest): &(String, Option<&str>)| match digest {
            Some(digest) => format!("{}@{}", line(reference), line(digest)),
            None => line(reference),
        };
        let seconds = format!("{:.1}s", self.elapsed.as_secs_f64());
        let text = match (self.references, self.digest) {
            ([], None) => format!("{done} in {seconds}"),
            ([], Some(digest)) => format!("{done} {} in {seconds}", line(digest)),
            ([reference], _) => format!("{done} {} in {seconds}", full(reference)),
            (references, _) => {
                let title = format!(
                    "{done} one image as {} references{} in {seconds}:",
                    references.len(),
                    digests(references)
                );
                let listed = cut(references.iter().map(full), references.len(), room);
                listed.fold(title, |text, reference| text + "\n  " + &reference)
            }
        };
        options.paint.message(Kind::Success, &text)
    }

    /// The size for each platform.
    fn size(&self, options: &OutputOptions) -> String {
        let sizes = self.platforms.iter();
        let sizes: Vec<_> = sizes
            .map(|(platform, bytes)| format!("{platform} {}", size(*bytes)))
            .collect();
        let sizes = text::one_line(&sizes.join(", "), CHARACTERS, &options.masker);
        row("size", &sizes)
    }

    /// The exported directories and files, one on each line.
    fn files(&self, options: &OutputOptions, room: usize) -> String {
        let line = |text: &str| text::one_line(text, CHARACTERS, &options.masker);
        let exported = self.exported.iter();
        let lines =
            exported.map(|(path, amount)| format!("exported to {}: {}", line(path), line(amount)));
        let lines = cut(lines, self.exported.len(), room);
        lines
            .map(|text| options.paint.message(Kind::Info, &text))
            .collect()
    }
}

/// The lines of the advice for a pull without its commands.
pub(super) const PULL_LINES: usize = 2;

/// The commands that pull images from Depot's registry, in at most `room` lines after [`PULL_LINES`].
pub(super) fn pull(saved: &[String], options: &OutputOptions, room: usize) -> String {
    let Some(first) = saved.first().filter(|_| room > 0) else {
        return String::new();
    };
    let host = first.split('/').next().unwrap_or_default();
    let mut text = format!(
        "to pull the image, log in with a Depot token:\n  \
         echo \"$DEPOT_TOKEN\" | docker login {} --username x-token --password-stdin",
        text::one_line(host, CHARACTERS, &options.masker)
    );
    let commands = saved.iter().map(|reference| {
        let reference = text::one_line(reference, CHARACTERS, &options.masker);
        format!("docker pull {reference}")
    });
    for command in cut(commands, saved.len(), room) {
        // Writing to a string never fails.
        let _infallible = write!(text, "\n  {command}");
    }
    options.paint.message(Kind::Info, &text)
}

/// Divides `lines` among lists of these lengths: short lists are complete, and the others get the same part.
fn divided<const LISTS: usize>(lines: usize, lengths: [usize; LISTS]) -> [usize; LISTS] {
    let mut order: Vec<usize> = (0..LISTS).collect();
    order.sort_by_key(|&list| lengths.get(list));
    let mut left = lines;
    let mut parts = [0; LISTS];
    for (position, list) in order.into_iter().enumerate() {
        let (Some(part), Some(&length)) = (parts.get_mut(list), lengths.get(list)) else {
            continue;
        };
        *part = length.min(left / (LISTS - position));
        left -= *part;
    }
    parts
}

/// The first lines of a list of `count` entries, at most `room`. The last line has the number of further entries.
pub(super) fn cut(
    lines: impl Iterator<Item = String>,
    count: usize,
    room: usize,
) -> impl Iterator<Item = String> {
    let shown = if count > room {
        room.saturating_sub(1)
    } else {
        count
    };
    let more = (count > room && room > 0).then(|| format!("and {} more", count - shown));
    lines.take(shown).chain(more)
}

/// The number of different digests, if there is more than one. A registry that gets another form of the image has another digest.
fn digests(references: &[(String, Option<&str>)]) -> String {
    let digests: BTreeSet<&str> = references
        .iter()
        .filter_map(|(_, digest)| *digest)
        .into_ordered();
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
        origin: Origin::Built,
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
                origin: Origin::Built,
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
            platforms: &[],
            saved: &[],
            exported: &[],
            digest,
            elapsed,
            totals: &[],
            url: URL,
            max_lines: MAX_LINES,
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
            platforms: &[],
            saved: &[],
            exported: &[],
            digest: Some(DIGEST),
            elapsed: Duration::from_millis(12_345),
            totals: &[],
            url: URL,
            max_lines: MAX_LINES,
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
            platforms: &[],
            saved: &[],
            exported: &exported,
            digest: None,
            elapsed: Duration::from_millis(12_345),
            totals: &[],
            url: URL,
            max_lines: MAX_LINES,
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

    #[test]
    fn sizes_and_figures_follow_the_names() {
        let references = [("docker.io/org/app:1.0".to_owned(), Some(DIGEST))];
        let platforms = [("linux/amd64", 12_300_000), ("linux/arm64", 999)];
        let summary = Summary {
            delivery: PUSHED,
            references: &references,
            platforms: &platforms.map(|(platform, bytes)| (platform.to_owned(), bytes)),
            saved: &[],
            exported: &[],
            digest: Some(DIGEST),
            elapsed: Duration::from_millis(12_345),
            totals: &[row("steps", "2, 1 cached")],
            url: URL,
            max_lines: MAX_LINES,
        };
        insta::assert_snapshot!(summary.render(&OutputOptions::default()), @r"
        ✔ built and pushed docker.io/org/app:1.0@sha256:0123 in 12.3s
          size     linux/amd64 12.3MB, linux/arm64 999B
          steps    2, 1 cached
        INFO: build: https://depot.dev/orgs/o/projects/p/builds/b
");
    }

    #[test]
    fn long_lists_are_cut() {
        let names = |count: usize| (0..count).map(|number| format!("r.example/app:{number}"));
        let references: Vec<_> = names(30).map(|name| (name, None)).collect();
        let exported: Vec<_> = names(2).map(|name| (name, "1B".to_owned())).collect();
        let saved: Vec<_> = names(40).collect();
        for max_lines in 0..50 {
            let summary = Summary {
                delivery: PUSHED,
                references: &references,
                platforms: &[("linux/amd64".to_owned(), 7)],
                saved: &saved,
                exported: &exported,
                digest: None,
                elapsed: Duration::ZERO,
                totals: &[],
                url: "",
                max_lines,
            };
            let text = summary.render(&OutputOptions::default());
            assert!(
                text.lines().count() <= max_lines.max(1),
                "{max_lines}: {text}"
            );
            if max_lines == 12 {
                insta::assert_snapshot!(text, @r#"
        ✔ built, pushed and exported one image as 30 references in 0.0s:
          r.example/app:0
          r.example/app:1
          and 28 more
          size     linux/amd64 7B
        INFO: exported to r.example/app:0: 1B
        INFO: exported to r.example/app:1: 1B
        INFO: to pull the image, log in with a Depot token:
          echo "$DEPOT_TOKEN" | docker login r.example --username x-token --password-stdin
          docker pull r.example/app:0
          docker pull r.example/app:1
          and 38 more
"#);
            }
        }
    }

    #[test]
    fn lines_are_divided_among_lists() {
        assert_eq!(divided(10, [1, 20, 20]), [1, 4, 5]);
        assert_eq!(divided(10, [0, 3, 0]), [0, 3, 0]);
        assert_eq!(divided(0, [4, 4, 4]), [0, 0, 0]);
    }
}
