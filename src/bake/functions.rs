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
//! | `sets` | operations of sets |
//! | `encoding` | Base64, URL, JSON, CSV |
//! | `hashes` | digests, UUIDs, `bcrypt`, `rsadecrypt` |
//! | `time` | dates |
//! | `network` | blocks of addresses |
//! | `general` | equality, `coalesce`, `try`, `can` |
//!
//! Differences from the CLI: regular expressions are those of the crate `regex` where RE2's and its syntax differ beyond what `patterns`
//! translates; the last digit of `log` and `pow` can differ; `timestamp` is the time of the first call in a process, so that all
//! targets of a definition have the same.

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

/// The names of all standard functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let names = all().map(|function| function.name);
    names.chain(general::LAZY_NAMES)
}

fn all() -> impl Iterator<Item = &'static Standard> {
    TOPICS.into_iter().flatten().chain(general::FUNCTIONS)
}

/// The name of a standard function that a name is probably meant to be.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let limit = name.chars().count() / 3 + 1;
    let candidates = names().map(|candidate| (distance(name, candidate), candidate));
    candidates
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The count of characters to insert, remove or replace.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, character) in left.chars().take(64).enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        let mut next = vec![before];
        for (other, above) in right.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal + usize::from(*other != character);
            before = replaced.min(above + 1).min(before + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_hints_are_near() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!((all.len(), count), (104, 104));
        assert!(all.iter().all(|name| standard(name).is_some()));
        assert!(standard("nope").is_none());
        assert_eq!(nearest("split_"), Some("split"));
        assert_eq!(nearest("regexreplace"), Some("regex_replace"));
        assert_eq!(nearest("xyzzyxyzzy"), None);
    }
}
