//! The last lines of a run that succeeded, and the address of the build.

use std::time::Duration;

use super::delivered::Finished;
use crate::config::Plan;
use crate::config::plan::Destinations;
use crate::depot::Build;
use crate::report::output::Output;
use crate::report::summary::{self, Delivery, Summary};

/// The line with the URL of the build; empty if the URL is not known.
pub(super) fn page(build: &Build, output: &Output) -> String {
    let page = build.url().map(|url| summary::page(url, output.options()));
    page.unwrap_or_default()
}

/// The summary: where the images were delivered, and how to pull them if Depot saved them. The address of the build comes last.
pub(super) fn summary(
    plan: &Plan,
    build: &Build,
    images: &[Finished],
    took: Duration,
    output: &Output,
) -> String {
    let mut text = String::new();
    let last = images.len().saturating_sub(1);
    for (index, (image, finished)) in plan.images.iter().zip(images).enumerate() {
        let url = build.url().filter(|_| index == last).unwrap_or_default();
        text += &of_image(&image.destinations, finished, took, url, output);
    }
    text
}

fn of_image(
    destinations: &Destinations,
    finished: &Finished,
    took: Duration,
    url: &str,
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
    let summary = Summary {
        delivery: Delivery {
            pushed: destinations.push,
            saved: destinations.save.is_some(),
            loaded: destinations.load,
        },
        references: &named.collect::<Vec<_>>(),
        saved: &finished.saved,
        exported: &exported,
        digest: delivered.first().and_then(|image| image.digest.as_deref()),
        elapsed: took,
        url,
    };
    summary.render(output.options())
}
