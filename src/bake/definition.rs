//! Variables, functions, blocks, matrix, inheritance, overrides.

mod config;
mod overrides;
mod pattern;

use crate::budget::Budget;
use crate::{Definition, Error, Request, files};

use config::Config;

/// Reads the files of a request and selects the targets.
pub(crate) fn read(request: &Request<'_>) -> Result<Definition, Error> {
    let budget = Budget::default();
    let _files = files::read(request)?;
    let mut config = Config::default();
    config.merge_duplicates();
    config.select(request, Vec::new(), &budget)
}
