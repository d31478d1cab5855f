//! The last lines of a run that succeeded, and the address of the build.

use super::building::ProjectBuild;
use super::delivered::Finished;
use super::results::{Results, loaded_bytes};
use crate::config::plan::Destinations;
use crate::report::output::Output;
use crate::report::summary::{self, Delivery, MAX_LINES, Origin, Summary};
use crate::report::targets::{Row, Table};
use crate::report::totals::Totals;

/// The lines with the URLs of the builds that are known.
pub(super) fn pages(builds: &[ProjectBuild<'_>], output: &Output) -> String {
    let urls = builds.iter().filter_map(|begun| begun.build.url());
    let pages = urls.map(|url| summary::page(url, output.options()));
    pages.collect()
}

/// The summary: where the images were delivered or found, the figures of the run, and how to pull the images if Depot saved them.
/// The addresses of the builds come last.
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
    let destinations: Vec<&Destinations> = results.plan.destinations().collect();
    match (&destinations[..], images) {
        ([destinations], [image]) => of_image(results, destinations, image, &totals, output),
        (destinations, images) => of_images(results, destinations, images, &totals, output),
    }
}

fn of_images(
    results: &Results<'_>,
    destinations: &[&Destinations],
    images: &[Finished],
    totals: &[String],
    output: &Output,
) -> String {
    let names = results.plan.images.iter().map(|image| &*image.name);
    let images_of = names.zip(destinations).zip(images);
    let rows = images_of.map(|((name, destinations), finished)| {
        let bytes: Option<u64> = finished.platforms.iter().map(|image| image.bytes).sum();
        Row {
            name,
            delivery: delivery(results.origin, destinations),
            references: references(finished),
            exported: finished
                .exported
                .iter()
                .map(|export| &*export.label)
                .collect(),
            digest: digest(finished),
            bytes: bytes.filter(|bytes| *bytes > 0),
        }
    });
    let urls = results.builds.iter().filter_map(|begun| begun.build.url());
    let table = Table {
        rows: rows.collect(),
        elapsed: results.elapsed,
        totals,
        saved: images
            .iter()
            .flat_map(|image| image.saved.iter().cloned())
            .collect(),
        urls: urls.collect(),
    };
    table.render(output.options())
}

fn delivery(origin: Origin, destinations: &Destinations) -> Delivery {
    Delivery {
        origin,
        pushed: destinations.push,
        saved: destinations.save.is_some(),
        loaded: destinations.load,
    }
}

/// Every name with its digest.
fn references(finished: &Finished) -> Vec<(String, Option<&str>)> {
    let names = finished.delivered.iter().flat_map(|image| {
        let names = image.names.iter().map(ToString::to_string);
        names.map(|name| (name, image.digest.as_deref()))
    });
    names.collect()
}

fn digest(finished: &Finished) -> Option<&str> {
    finished.delivered.first()?.digest.as_deref()
}

fn of_image(
    results: &Results<'_>,
    destinations: &Destinations,
    finished: &Finished,
    totals: &[String],
    output: &Output,
) -> String {
    let exported = finished.exported.iter();
    let exported: Vec<_> = exported
        .map(|export| (export.label.clone(), export.amount()))
        .collect();
    let platforms = finished.platforms.iter();
    let platforms = platforms.filter_map(|image| Some((image.platform.to_string(), image.bytes?)));
    let mut builds = results.builds.iter();
    let url = builds.find_map(|begun| begun.build.url());
    let url = url.unwrap_or_default();
    let summary = Summary {
        delivery: delivery(results.origin, destinations),
        references: &references(finished),
        platforms: &platforms.collect::<Vec<_>>(),
        saved: &finished.saved,
        exported: &exported,
        digest: digest(finished),
        elapsed: results.elapsed,
        totals,
        url,
        max_lines: MAX_LINES.saturating_sub(totals.len() + usize::from(!url.is_empty())),
    };
    summary.render(output.options())
}
