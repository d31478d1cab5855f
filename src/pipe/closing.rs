//! The last lines of a run that succeeded, and the address of the build.

use std::time::Duration;

use super::building::ProjectBuild;
use super::delivered::Finished;
use super::results::{Results, loaded_bytes};
use crate::config::plan::Destinations;
use crate::report::message::Kind;
use crate::report::output::Output;
use crate::report::summary::{self, Delivery, MAX_LINES, Origin, Summary};
use crate::report::totals::Totals;

/// The lines with the URLs of the builds that are known.
pub(super) fn pages(builds: &[ProjectBuild<'_>], output: &Output) -> String {
    let urls = builds.iter().filter_map(|begun| begun.build.url());
    let pages = urls.map(|url| summary::page(url, output.options()));
    pages.collect()
}

/// The summary: where the images were delivered or found, the figures of the run, and how to pull the images if Depot saved them. The address of
/// the build comes last.
pub(super) fn summary(results: &Results<'_>, images: &[Finished], output: &Output) -> String {
    let totals = if results.origin == Origin::Built {
        let totals = Totals {
            figures: &results.figures,
            elapsed: results.elapsed,
            context: results.context,
            loaded_bytes: loaded_bytes(images),
        };
        totals.lines(output.options())
    } else {
        Vec::new()
    };
    let (url, pages) = match results.builds {
        [only] => (only.build.url().unwrap_or_default(), String::new()),
        builds => ("", pages(builds, output)),
    };
    let lines = MAX_LINES.saturating_sub(totals.len() + results.builds.len());
    let count = images.len().max(1);
    // The last image has the figures, and another line the number of images without a line.
    let shown = match lines.checked_sub(count) {
        Some(_) => count,
        None => lines.saturating_sub(2),
    };
    let mut text = String::new();
    let all = results.plan.destinations().zip(images);
    for (index, (destinations, finished)) in all.enumerate() {
        let is_last = index + 1 == count;
        if index == shown && !is_last {
            let more = format!("and {} more images", count - shown - 1);
            text += &output.paint().message(Kind::Info, &more);
        }
        if index >= shown && !is_last {
            continue;
        }
        let target = results.plan.images.get(index);
        let target = target.filter(|_| results.plan.is_bake() && images.len() > 1);
        let end = End {
            name: target.map_or("", |target| &target.name),
            origin: results.origin,
            elapsed: results.elapsed,
            totals: if is_last { &totals } else { &[] },
            url: if is_last { url } else { "" },
            max_lines: lines / count,
        };
        text += &of_image(destinations, finished, &end, output);
    }
    text + &pages
}

/// The parts of an image's summary besides its names.
struct End<'a> {
    /// The name of the target among several, or nothing.
    name: &'a str,
    origin: Origin,
    elapsed: Duration,
    /// Lines with the figures of the run.
    totals: &'a [String],
    /// The address of the build, or nothing.
    url: &'a str,
    max_lines: usize,
}

fn of_image(
    destinations: &Destinations,
    finished: &Finished,
    end: &End<'_>,
    output: &Output,
) -> String {
    let delivered = &finished.delivered;
    let named = delivered.iter().flat_map(|image| {
        let names = image.names.iter().map(ToString::to_string);
        names.map(|name| (name, image.digest.as_deref()))
    });
    let exported = finished.exported.iter();
    let exported: Vec<_> = exported
        .map(|export| (export.label.clone(), export.amount()))
        .collect();
    let platforms = finished.platforms.iter();
    let platforms = platforms.filter_map(|image| Some((image.platform.to_string(), image.bytes?)));
    let summary = Summary {
        name: end.name,
        delivery: Delivery {
            origin: end.origin,
            pushed: destinations.push,
            saved: destinations.save.is_some(),
            loaded: destinations.load,
        },
        references: &named.collect::<Vec<_>>(),
        platforms: &platforms.collect::<Vec<_>>(),
        saved: &finished.saved,
        exported: &exported,
        digest: delivered.first().and_then(|image| image.digest.as_deref()),
        elapsed: end.elapsed,
        totals: end.totals,
        url: end.url,
        max_lines: end.max_lines,
    };
    summary.render(output.options())
}
