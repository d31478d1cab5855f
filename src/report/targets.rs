//! The last lines of a run with several images: a table with a row for each.

use std::time::Duration;

use super::message::Kind;
use super::output::OutputOptions;
use super::progress::size;
use super::summary::{CHARACTERS, Delivery, MAX_LINES, Origin, PULL_LINES, cut, page, pull};
use super::text;

/// The widest column of names, in characters.
const NAME_CHARACTERS: usize = 40;

/// The most commands that pull saved images.
const PULLS: usize = 3;

/// The row of an image.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// The name of the target.
    pub name: &'a str,
    /// Where the image was delivered.
    pub delivery: Delivery,
    /// The names of the image, each with registry and tag, and the digest of its manifest or index there.
    pub references: Vec<(String, Option<&'a str>)>,
    /// The exported directories and files.
    pub exported: Vec<&'a str>,
    /// The digest of an image without names, if the builder returned one.
    pub digest: Option<&'a str>,
    /// The size of all platforms as stored in a registry, in bytes, if it is known.
    pub bytes: Option<u64>,
}

impl Row<'_> {
    fn words(&self) -> String {
        self.delivery.words(!self.exported.is_empty())
    }

    /// The first place of the image, and the number of further ones.
    fn place(&self) -> String {
        let references = self.references.iter();
        let references = references.map(|(reference, digest)| match digest {
            Some(digest) => format!("{reference}@{digest}"),
            None => reference.clone(),
        });
        let exported = self.exported.iter().map(|label| format!("`{label}`"));
        let mut places = references.chain(exported);
        let first = places.next();
        match (first, places.count(), self.digest) {
            (Some(first), 0, _) => first,
            (Some(first), more, _) => format!("{first} (and {more} more)"),
            (None, _, Some(digest)) => digest.to_owned(),
            (None, _, None) => "in the cache of the builder".to_owned(),
        }
    }
}

/// The result of a run with several images.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// The images in the order of the plan.
    pub rows: Vec<Row<'a>>,
    /// Time since the start of the program.
    pub elapsed: Duration,
    /// The figures of the run.
    pub totals: &'a [String],
    /// The references in Depot's registry.
    pub saved: Vec<String>,
    /// The URLs of the pages of the builds.
    pub urls: Vec<&'a str>,
}

impl Table<'_> {
    /// Renders at most [`MAX_LINES`] lines. The pages of the builds come last.
    #[must_use]
    pub fn render(&self, options: &OutputOptions) -> String {
        let pulls = self.saved.len().min(PULLS);
        let pull_lines = if pulls > 0 { PULL_LINES + pulls } else { 0 };
        let others = 1 + self.totals.len() + pull_lines + self.urls.len();
        let room = MAX_LINES.saturating_sub(others);
        let totals = self.totals.iter();
        let totals = totals.fold(String::new(), |text, line| text + line + "\n");
        let pages: String = self.urls.iter().map(|url| page(url, options)).collect();
        self.table(options, room) + &totals + &pull(&self.saved, options, pulls) + &pages
    }

    fn table(&self, options: &OutputOptions, room: usize) -> String {
        let line = |text: &str, limit| text::one_line(text, limit, &options.masker);
        let all_words: Vec<String> = self.rows.iter().map(Row::words).collect();
        let common = match &all_words[..] {
            [first, others @ ..] if others.iter().all(|words| words == first) => Some(first),
            _ => None,
        };
        let seconds = format!("{:.1}s", self.elapsed.as_secs_f64());
        let is_built = |row: &Row<'_>| row.delivery.origin == Origin::Built;
        let other = if self.rows.iter().any(is_built) {
            "built"
        } else {
            "found"
        };
        let done = common.map_or(other, String::as_str);
        let title = format!("{done} {} images in {seconds}", self.rows.len());
        let names: Vec<String> = self
            .rows
            .iter()
            .map(|row| line(row.name, NAME_CHARACTERS))
            .collect();
        let width = |texts: &[String]| {
            let widths = texts.iter().map(|text| text.chars().count());
            widths.max().unwrap_or_default()
        };
        let (of_names, of_words) = (width(&names), width(&all_words));
        let rows = self.rows.iter().zip(&names).zip(&all_words);
        let rows = rows.map(|((row, name), words)| {
            let words = match common {
                Some(_) => String::new(),
                None => format!("{words:of_words$}  "),
            };
            let place = line(&row.place(), CHARACTERS);
            let size = row.bytes.map(|bytes| format!("  {}", size(bytes)));
            format!(
                "{name:of_names$}  {words}{place}{}",
                size.unwrap_or_default()
            )
        });
        let rows = cut(rows, self.rows.len(), room);
        let text = rows.fold(title, |text, row| text + "\n  " + &row);
        options.paint.message(Kind::Success, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(name: &'a str, reference: &str, delivery: Delivery) -> Row<'a> {
        let references = [(reference.to_owned(), Some("sha256:01"))];
        Row {
            name,
            delivery,
            references: references
                .into_iter()
                .filter(|(name, _)| !name.is_empty())
                .collect(),
            exported: Vec::new(),
            digest: None,
            bytes: Some(12_300_000),
        }
    }

    fn render(rows: Vec<Row<'_>>, saved: Vec<String>) -> String {
        let table = Table {
            rows,
            elapsed: Duration::from_millis(12_345),
            totals: &["  time     build 9.0s".to_owned()],
            saved,
            urls: vec!["https://depot.test/1", "https://depot.test/2"],
        };
        table.render(&OutputOptions::default())
    }

    const PUSHED: Delivery = Delivery {
        origin: Origin::Built,
        pushed: true,
        saved: false,
        loaded: false,
    };

    #[test]
    fn each_image_has_a_row() {
        let rows = vec![
            row("api", "acme/api:1", PUSHED),
            row("web-long", "acme/web:1", PUSHED),
        ];
        insta::assert_snapshot!(render(rows, Vec::new()), @"
        ✔ built and pushed 2 images in 12.3s
          api       acme/api:1@sha256:01  12.3MB
          web-long  acme/web:1@sha256:01  12.3MB
          time     build 9.0s
        INFO: build: https://depot.test/1
        INFO: build: https://depot.test/2
        ");
        let mut exported = row(
            "tools",
            "",
            Delivery {
                pushed: false,
                ..PUSHED
            },
        );
        exported.exported = vec!["out/tools", "out/docs"];
        exported.bytes = None;
        let cached = Row {
            exported: Vec::new(),
            name: "cached",
            ..exported.clone()
        };
        let rows = vec![row("api", "acme/api:1", PUSHED), exported, cached];
        let saved = vec!["registry.depot.dev/p:b-api".to_owned()];
        insta::assert_snapshot!(render(rows, saved), @r#"
        ✔ built 3 images in 12.3s
          api     built and pushed    acme/api:1@sha256:01  12.3MB
          tools   built and exported  `out/tools` (and 1 more)
          cached  built               in the cache of the builder
          time     build 9.0s
        INFO: to pull the image, log in with a Depot token:
          echo "$DEPOT_TOKEN" | docker login registry.depot.dev --username x-token --password-stdin
          docker pull registry.depot.dev/p:b-api
        INFO: build: https://depot.test/1
        INFO: build: https://depot.test/2
        "#);
    }

    #[test]
    fn the_lines_are_bounded() {
        let rows: Vec<_> = (0..200).map(|_| row("x", "acme/x:1", PUSHED)).collect();
        let saved: Vec<_> = (0..200)
            .map(|index| format!("registry.depot.dev/p:{index}"))
            .collect();
        for saved in [Vec::new(), saved] {
            let text = render(rows.clone(), saved);
            assert_eq!(text.lines().count(), MAX_LINES, "{text}");
            assert!(text.contains("more"), "{text}");
        }
    }
}
