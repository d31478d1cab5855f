//! The rows of the table, in one file for each topic.

mod amazon;
mod bake;
mod cache;
mod depot;
mod image;
mod metadata;
mod outputs;
mod registries;
mod rest;
mod secrets;
mod source;
mod steps;

use super::Variable;

/// The topics in the order in which they are documented.
const TOPICS: [&[Variable]; 12] = [
    depot::ROWS,
    image::ROWS,
    source::ROWS,
    bake::ROWS,
    secrets::ROWS,
    cache::ROWS,
    steps::ROWS,
    metadata::ROWS,
    registries::ROWS,
    amazon::ROWS,
    outputs::ROWS,
    rest::ROWS,
];

/// All variables, in the order in which they are documented: topic by topic.
pub fn all_variables() -> impl Iterator<Item = &'static Variable> + Clone {
    TOPICS.into_iter().flatten()
}
