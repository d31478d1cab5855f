//! From a glob to something that can be run.
//!
//! Builders rewrite each pattern, character by character, into the text of a regular expression and
//! leave the rest to their expression library. Where the rewriting is careless the outcome is
//! visible: `[a*]` ends up as the class `[a[^/]` repeated and a `]`, `\d` is a digit, a `^` inside never
//! matches, and `*|b` is two expressions of which the first matches everything. A context must hold
//! the same files whoever sends it, so we do the same: write that text here, then have `reader`
//! read it.

use super::machine::Machine;
use super::reader;

/// How a pattern is compared with a path.
#[derive(Debug)]
pub(super) enum Compiled {
    /// The path is the pattern.
    Exact,
    /// The path starts with this: `foo/**`.
    Prefix(Vec<u8>),
    /// The path ends with this, or is this without its leading slash: `**/foo`.
    Suffix(Vec<u8>),
    /// Anything else.
    Machine(Machine),
}

/// Steps that one pattern may come to: repeats such as `a{1000}` multiply.
const MAX_STEPS: usize = 64 * 1024;

/// What [`Compiled::new`] knows so far of the kind of the pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Machine,
}

/// `.*/` as a whole that may be absent: what `**` in front of something becomes.
pub(super) const ANY_DIRECTORIES: &str = "(.*/)?";

impl Compiled {
    /// Compiles a cleaned, well-formed pattern; the error tells what is wrong with it.
    ///
    /// `steps` is what the patterns of a list may still come to, and becomes what is left.
    pub(super) fn new(pattern: &str, steps: &mut usize) -> Result<Self, String> {
        let (kind, expression) = rewrite(pattern);
        Ok(match kind {
            Kind::Exact => Self::Exact,
            Kind::Prefix => Self::Prefix(pattern.strip_suffix("**").unwrap_or(pattern).into()),
            // Two bytes, whatever they are: behind a byte order mark they are not the stars.
            Kind::Suffix => Self::Suffix(pattern.bytes().skip(2).collect()),
            Kind::Machine => {
                let machine = Machine::new(reader::read(&expression, MAX_STEPS.min(*steps))?);
                *steps = steps.saturating_sub(machine.steps());
                Self::Machine(machine)
            }
        })
    }
}

/// Turns the glob into an expression and finds out whether one is needed at all.
fn rewrite(pattern: &str) -> (Kind, String) {
    let mut kind = Kind::Exact;
    let mut expression = String::from("^");
    // A leading byte order mark is lost on the way; only an exact comparison still has it.
    let mut rest = pattern
        .strip_prefix('\u{feff}')
        .unwrap_or(pattern)
        .chars()
        .peekable();
    let mut is_first = true;
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                let _with_its_slash = rest.next_if_eq(&'/');
                if rest.peek().is_some() {
                    expression.push_str(ANY_DIRECTORIES);
                    kind = Kind::Machine;
                } else if kind == Kind::Exact {
                    kind = Kind::Prefix;
                } else {
                    expression.push_str(".*");
                    kind = Kind::Machine;
                }
                if is_first {
                    kind = Kind::Suffix;
                }
            }
            '*' => {
                expression.push_str("[^/]*");
                kind = Kind::Machine;
            }
            '?' => {
                expression.push_str("[^/]");
                kind = Kind::Machine;
            }
            // Builders mean to escape `|`, `{` and `}` too, but a shift by too many bits forgets them.
            '.' | '+' | '(' | ')' | '$' => expression.extend(['\\', character]),
            '\\' => {
                expression.push('\\');
                if let Some(escaped) = rest.next() {
                    expression.push(escaped);
                    kind = Kind::Machine;
                }
            }
            '[' | ']' => {
                expression.push(character);
                kind = Kind::Machine;
            }
            _ => expression.push(character),
        }
        is_first = false;
    }
    expression.push('$');
    (kind, expression)
}
