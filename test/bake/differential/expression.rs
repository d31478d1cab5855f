//! Random expressions of HCL, from the patterns of `grammar`.
//!
//! A pattern is text with placeholders:
//!
//! | placeholder | expands to |
//! |---|---|
//! | `@` and the letter of a [`Kind`] | an expression of this kind |
//! | `@a` | an expression of any kind |
//! | `@+xt` … `@-` | an expression in which `x` is a name of the kind `t` |
//! | `@` and another letter | one of the literals of [`literals`], such as `@s` for a short string |

use super::grammar::{LEAVES, MISTAKES, PRODUCTIONS, literals};
use crate::numbers::Numbers;

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Boolean,
    Texts,
    Numbers,
    Map,
    /// `{ name = text, count = number, on = boolean, tags = texts }`
    Object,
    /// A list of such objects.
    Objects,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Number,
        Self::Boolean,
        Self::Texts,
        Self::Numbers,
        Self::Map,
        Self::Object,
        Self::Objects,
    ];

    fn of_letter(letter: char) -> Option<Self> {
        Some(match letter {
            't' => Self::Text,
            'n' => Self::Number,
            'b' => Self::Boolean,
            'l' => Self::Texts,
            'N' => Self::Numbers,
            'm' => Self::Map,
            'o' => Self::Object,
            'O' => Self::Objects,
            _ => return None,
        })
    }

    /// The type of a variable.
    pub fn constraint(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Boolean => "bool",
            Self::Texts => "list(string)",
            Self::Numbers => "list(number)",
            Self::Map => "map(string)",
            Self::Object => {
                "object({ name = string, count = optional(number), on = bool, tags = list(string) })"
            }
            Self::Objects => {
                "list(object({ name = string, count = number, on = bool, tags = list(string) }))"
            }
        }
    }
}

/// Writes expressions.
pub struct Writer {
    pub numbers: Numbers,
    /// The names that expressions can use.
    pub names: Vec<(String, Kind)>,
    /// The functions of the definition, with the kinds of their parameters and of their result.
    pub functions: Vec<(String, Vec<Kind>, Kind)>,
    /// The number of mistakes that are still to be made.
    pub mistakes: usize,
}

impl Writer {
    pub fn new(numbers: Numbers) -> Self {
        Self {
            numbers,
            names: Vec::new(),
            functions: Vec::new(),
            mistakes: 0,
        }
    }

    /// An expression; `depth` is the number of levels below it.
    pub fn expression(&mut self, kind: Kind, depth: usize) -> String {
        if self.mistakes > 0 && self.numbers.percent(8) {
            self.mistakes -= 1;
            let mistake = self.numbers.pick(MISTAKES);
            return self.expand(mistake, depth.saturating_sub(1));
        }
        let names = self.names.iter().filter(|(_, other)| *other == kind);
        let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() && self.numbers.percent(if depth == 0 { 60 } else { 20 }) {
            return self.numbers.pick(&names).to_owned();
        }
        let functions = self
            .functions
            .iter()
            .filter(|(_, _, result)| *result == kind);
        let functions: Vec<_> = functions.cloned().collect();
        if depth > 0 && !functions.is_empty() && self.numbers.percent(12) {
            let index = self.numbers.below(functions.len());
            let (name, parameters, _) = functions.get(index).unwrap();
            let arguments = parameters
                .iter()
                .map(|kind| self.expression(*kind, depth - 1));
            let arguments: Vec<String> = arguments.collect();
            return format!("{name}({})", arguments.join(", "));
        }
        let table = if depth == 0 { LEAVES } else { PRODUCTIONS };
        let (_, patterns) = table.iter().find(|(other, _)| *other == kind).unwrap();
        let pattern = self.numbers.pick(patterns);
        self.expand(pattern, depth.saturating_sub(1))
    }

    /// Replaces the placeholders of a pattern.
    pub fn expand(&mut self, pattern: &str, depth: usize) -> String {
        let mut text = String::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            if character != '@' {
                text.push(character);
                continue;
            }
            match characters.next().unwrap() {
                '+' => {
                    let name = characters.next().unwrap().to_string();
                    let kind = Kind::of_letter(characters.next().unwrap()).unwrap();
                    self.names.push((name, kind));
                }
                '-' => drop(self.names.pop()),
                'a' => {
                    let kind = *self.numbers.pick(&Kind::ALL.each_ref());
                    text.push_str(&self.expression(kind, depth));
                }
                letter => match Kind::of_letter(letter) {
                    Some(kind) => text.push_str(&self.expression(kind, depth)),
                    None => {
                        let literal = self.numbers.pick(literals(letter));
                        text.push_str(literal);
                    }
                },
            }
        }
        text
    }

    /// Expands one of the patterns.
    pub fn one_of(&mut self, patterns: &[&str], depth: usize) -> String {
        let pattern = self.numbers.pick(patterns);
        self.expand(pattern, depth)
    }
}
