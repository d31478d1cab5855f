//! The standard functions, with the parameters and results of the released CLI.
//!
//! | module | content |
//! |---|---|
//! | `call` | parameters, and the conversion of arguments |
//! | `numbers` | arithmetic, comparison, rounding |
//! | `strings` | case, parts, padding, trimming, splitting |
//! | `patterns` | regular expressions |
//! | `format` | `format` and `formatlist` |
//! | `collections` | lists, tuples, maps and objects |
//! | `lookup` | lengths and elements |
//! | `sets` | operations and products of sets |
//! | `encoding` | Base64, URL, JSON, CSV |
//! | `hashes`, `rsa` | digests, UUIDs, `bcrypt`, `rsadecrypt` |
//! | `time` | dates |
//! | `network` | blocks of addresses |
//! | `general` | equality, `coalesce`, `try`, `can` |
//!
//! `docs/bake.md` lists the differences from the CLI.

mod call;
mod collections;
mod encoding;
mod format;
mod general;
mod hashes;
mod lookup;
mod network;
mod numbers;
mod patterns;
mod rsa;
mod sets;
mod strings;
mod time;

use std::rc::Rc;

use crate::Error;
use crate::definition::hint::nearest;
use crate::hcl::scope::Function;
use call::Standard;

/// All functions, by topic.
const TOPICS: [&[Standard]; 11] = [
    numbers::FUNCTIONS,
    strings::FUNCTIONS,
    patterns::FUNCTIONS,
    format::FUNCTIONS,
    collections::FUNCTIONS,
    lookup::FUNCTIONS,
    sets::FUNCTIONS,
    encoding::FUNCTIONS,
    hashes::FUNCTIONS,
    time::FUNCTIONS,
    network::FUNCTIONS,
];

/// The standard function of a name.
pub(crate) fn standard(name: &str) -> Option<Rc<dyn Function>> {
    if let Some(function) = general::lazy(name) {
        return Some(function);
    }
    let function = all().find(|function| function.name == name)?;
    Some(Rc::new(function))
}

/// Whether a function evaluates its arguments itself, and can hide their errors.
pub(crate) fn is_lazy(name: &str) -> bool {
    general::LAZY_NAMES.contains(&name)
}

/// The names of all standard functions.
fn names() -> impl Iterator<Item = &'static str> {
    let names = all().map(|function| function.name);
    names.chain(general::LAZY_NAMES)
}

fn all() -> impl Iterator<Item = &'static Standard> {
    TOPICS.into_iter().flatten().chain(general::FUNCTIONS)
}

/// The error of a name that no function has.
pub(crate) fn unknown(name: &str) -> Error {
    let hint = nearest(name, names());
    let hint = hint.map_or_else(String::new, |name| format!("; is `{name}` meant?"));
    Error::new(format!("no function `{name}`{hint}"))
}

#[cfg(test)]
mod tests;
