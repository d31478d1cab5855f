//! The tree of an expression, with the place of each part.

use std::ops::Range;

use crate::value::Number;

/// A part of an expression.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// The bytes in the file.
    pub(crate) span: Range<usize>,
}

/// The kinds of parts.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    /// A text without parts that are evaluated.
    Text(String),
    Template(Vec<Part>),
    Tuple(Vec<Node>),
    Object(Vec<(Key, Node)>),
    Parentheses(Box<Node>),
    Variable(String),
    Access(Box<Node>, Vec<Step>),
    Call(Call),
    Negate(Box<Node>),
    Not(Box<Node>),
    /// Operands of one precedence, from left to right. Flat, because a chain can be long.
    Chain(Box<Node>, Vec<(Operator, Node)>),
    Conditional(Box<[Node; 3]>),
    For(Box<For>),
}

/// The key of an object's member.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// A name without quotes.
    Name(String),
    Expression(Node),
    /// A name with attributes or indexes and without parentheses. It is an error, but only if the object is evaluated.
    Ambiguous(Node),
}

/// A suffix of a value: `.name`, `[index]`, `.*` or `[*]`.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) span: Range<usize>,
}

/// The kinds of steps.
#[derive(Clone, Debug)]
pub(crate) enum StepKind {
    Attribute(String),
    Index(Box<Node>),
    /// `.0`
    Number(Number),
    /// The steps are those that apply to each element.
    Splat(Vec<Step>),
}

impl Step {
    /// Whether the step depends on no value.
    pub(super) fn is_constant(&self) -> bool {
        match &self.kind {
            StepKind::Attribute(_) | StepKind::Number(_) => true,
            StepKind::Index(index) => matches!(index.kind, Kind::Text(_) | Kind::Number(_)),
            StepKind::Splat(_) => false,
        }
    }
}

/// A call of a function.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Node>,
    /// Whether the last argument is a list of arguments, `f(list...)`.
    pub(crate) expands: bool,
}

/// The operators with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
}

/// `[for key, value in collection : value if condition]` or `{for … : key => value... if condition}`
#[derive(Clone, Debug)]
pub(crate) struct For {
    pub(crate) key_name: Option<String>,
    pub(crate) value_name: String,
    pub(crate) collection: Node,
    /// The key of each member; without it, the result is a tuple.
    pub(crate) key: Option<Node>,
    pub(crate) value: Node,
    pub(crate) groups: bool,
    pub(crate) condition: Option<Node>,
}

/// A part of a template.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(String),
    Interpolation(Node),
    If {
        condition: Node,
        then: Vec<Part>,
        otherwise: Vec<Part>,
    },
    For {
        key_name: Option<String>,
        value_name: String,
        collection: Node,
        body: Vec<Part>,
    },
}

/// A variable that occurs in an expression, and the constant names of attributes that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
}

/// The references and calls of an expression.
#[derive(Default)]
pub(crate) struct Mentions {
    pub(crate) references: Vec<Reference>,
    pub(crate) calls: Vec<String>,
    /// The names that `for` binds around the current part.
    bound: Vec<String>,
}

impl Mentions {
    /// Collects from a tree, whose depth the parser limits.
    pub(crate) fn add(&mut self, node: &Node) {
        match &node.kind {
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => {}
            Kind::Template(parts) => self.add_parts(parts),
            Kind::Tuple(elements) => elements.iter().for_each(|element| self.add(element)),
            Kind::Object(members) => {
                for (key, value) in members {
                    if let Key::Expression(key) | Key::Ambiguous(key) = key {
                        self.add(key);
                    }
                    self.add(value);
                }
            }
            Kind::Parentheses(inner) | Kind::Negate(inner) | Kind::Not(inner) => self.add(inner),
            Kind::Variable(name) => self.add_reference(name, &[]),
            Kind::Access(base, steps) => {
                match &base.kind {
                    Kind::Variable(name) => self.add_reference(name, steps),
                    _ => self.add(base),
                }
                self.add_steps(steps);
            }
            Kind::Call(call) => {
                self.calls.push(call.name.clone());
                call.arguments
                    .iter()
                    .for_each(|argument| self.add(argument));
            }
            Kind::Chain(first, rest) => {
                self.add(first);
                for (_, operand) in rest {
                    self.add(operand);
                }
            }
            Kind::Conditional(parts) => parts.iter().for_each(|part| self.add(part)),
            Kind::For(inner) => {
                self.add(&inner.collection);
                self.with_names(inner.key_name.as_ref(), &inner.value_name, |mentions| {
                    let parts = [
                        inner.key.as_ref(),
                        Some(&inner.value),
                        inner.condition.as_ref(),
                    ];
                    parts
                        .into_iter()
                        .flatten()
                        .for_each(|part| mentions.add(part));
                });
            }
        }
    }

    fn add_parts(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Text(_) => {}
                Part::Interpolation(node) => self.add(node),
                Part::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    self.add(condition);
                    self.add_parts(then);
                    self.add_parts(otherwise);
                }
                Part::For {
                    key_name,
                    value_name,
                    collection,
                    body,
                } => {
                    self.add(collection);
                    self.with_names(key_name.as_ref(), value_name, |mentions| {
                        mentions.add_parts(body);
                    });
                }
            }
        }
    }

    fn add_steps(&mut self, steps: &[Step]) {
        for step in steps {
            match &step.kind {
                StepKind::Attribute(_) | StepKind::Number(_) => {}
                StepKind::Index(index) => self.add(index),
                StepKind::Splat(steps) => self.add_steps(steps),
            }
        }
    }

    fn add_reference(&mut self, name: &str, steps: &[Step]) {
        if self.bound.iter().any(|bound| bound == name) {
            return;
        }
        let names = steps.iter().map_while(|step| match &step.kind {
            StepKind::Attribute(name) => Some(name.clone()),
            _ => None,
        });
        self.references.push(Reference {
            name: name.to_owned(),
            path: names.collect(),
        });
    }

    fn with_names(&mut self, key: Option<&String>, value: &str, add: impl FnOnce(&mut Self)) {
        let count = self.bound.len();
        self.bound.extend(key.cloned());
        self.bound.push(value.to_owned());
        add(self);
        self.bound.truncate(count);
    }
}
