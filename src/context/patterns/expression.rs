//! Compiles a glob.
//!
//! Builders rewrite each pattern, character by character, into the text of a regular expression, which
//! their expression library compiles. Inaccuracies of the rewriting are visible: `[a*]` becomes the
//! repeated class `[a[^/]` and a `]`, `\d` is a digit, a `^` inside never matches, and `*|b` is two
//! expressions, of which the first matches everything. A context must contain the same files with
//! every client, so the same text is created here, and `reader` parses it.

use super::machine::Machine;
use super::reader;

/// How a pattern is compared with a path.
#[derive(Debug)]
pub(super) enum Compiled {
    /// The path is the pattern.
    Exact,
    /// The path starts with this: `foo/**`.
    Prefix(Vec<u8>),
    /// The path ends with this, or is equal to it without the leading slash: `**/foo`.
    Suffix(Vec<u8>),
    /// Anything else.
    Machine(Machine),
}

/// The limit for the steps of one pattern: repeats such as `a{1000}` multiply.
const MAX_STEPS: usize = 64 * 1024;

/// The kind of the pattern so far, in [`Compiled::new`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Machine,
}

impl Compiled {
    /// Compiles a cleaned, well-formed pattern; the error is the reason why it is not valid.
    ///
    /// `steps` is the remaining limit for the patterns of a list, and is reduced by this pattern.
    pub(super) fn new(pattern: &str, steps: &mut usize) -> Result<Self, String> {
        let (kind, expression) = rewrite(pattern);
        Ok(match kind {
            Kind::Exact => Self::Exact,
            Kind::Prefix => Self::Prefix(pattern.strip_suffix("**").unwrap_or(pattern).into()),
            // Always two bytes: after a byte order mark these are not the stars.
            Kind::Suffix => Self::Suffix(pattern.bytes().skip(2).collect()),
            Kind::Machine => {
                let machine = Machine::new(reader::read(&expression, MAX_STEPS.min(*steps))?);
                *steps = steps.saturating_sub(machine.steps());
                Self::Machine(machine)
            }
        })
    }
}

/// Rewrites the glob into an expression, unless a simpler comparison is sufficient.
fn rewrite(pattern: &str) -> (Kind, String) {
    let mut kind = Kind::Exact;
    let mut expression = String::from("^");
    // A leading byte order mark is lost here; only an exact comparison keeps it.
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
                    expression.push_str(reader::ANY_DIRECTORIES);
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
            // Builders should also escape `|`, `{` and `}`, but a shift by too many bits omits them.
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
