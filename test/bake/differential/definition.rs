//! Random definitions, which `hcl` and `json` write.

mod fields;

use super::expression::{Kind, Writer};
use fields::FIELDS;

/// The value of an attribute.
#[derive(Clone)]
pub enum Value {
    Expression(String),
    /// A name or a type, which HCL writes without quotes.
    Word(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

#[derive(Clone)]
pub struct Block {
    pub kind: &'static str,
    pub label: Option<String>,
    pub attributes: Vec<(String, Value)>,
    pub blocks: Vec<Block>,
}

pub struct Variable {
    pub name: String,
    pub kind: Kind,
    pub has_type: bool,
}

pub struct Definition {
    pub attributes: Vec<(String, Value)>,
    pub blocks: Vec<Block>,
    /// The targets, with the names of a matrix.
    pub targets: Vec<String>,
    pub variables: Vec<Variable>,
    /// The CLI prints the members of some groups in an order by chance: those of a matrix with several names.
    pub is_unordered: bool,
}

/// The nested expressions of an attribute.
const DEPTH: usize = 3;

const TARGET_LABELS: [&str; 6] = ["t0", "t-1", "app", "web_2", "default", "t5"];

impl Definition {
    /// A definition; `writer` then has the names of its variables and functions. Variables of `first`, the file before it, keep
    /// their kinds, and functions have other names.
    pub fn generate(writer: &mut Writer, first: Option<&Self>) -> Self {
        let mut definition = Self {
            attributes: Vec::new(),
            blocks: Vec::new(),
            targets: Vec::new(),
            variables: Vec::new(),
            is_unordered: false,
        };
        let prefix = if first.is_some() { "second" } else { "f" };
        for index in 0..=writer.numbers.below(3) {
            let block = definition.variable(writer, index, first);
            definition.blocks.push(block);
        }
        if writer.numbers.percent(25) {
            let kind = *writer.numbers.pick(&Kind::ALL.each_ref());
            let value = Value::Expression(writer.expression(kind, DEPTH));
            definition
                .attributes
                .push((format!("{prefix}local"), value));
            writer.names.push((format!("{prefix}local"), kind));
        }
        for index in 0..writer.numbers.below(3) {
            let block = function(writer, &format!("{prefix}{index}"));
            definition.blocks.push(block);
        }
        for index in 0..=writer.numbers.below(4) {
            definition.target(writer, index);
        }
        for index in 0..writer.numbers.below(3) {
            definition.group(writer, index);
        }
        // The order of blocks has no influence on what expressions can use.
        if writer.numbers.percent(30) {
            definition.blocks.reverse();
        }
        definition
    }

    fn variable(&mut self, writer: &mut Writer, index: usize, first: Option<&Self>) -> Block {
        let name = format!("V{index}");
        let kind = *writer.numbers.pick(&Kind::ALL.each_ref());
        let first = first.and_then(|first| first.variables.get(index));
        let kind = first.map_or(kind, |variable| variable.kind);
        let mut attributes = Vec::new();
        let has_type = writer.numbers.percent(40);
        if has_type {
            attributes.push(("type".to_owned(), Value::Word(kind.constraint().to_owned())));
        }
        if writer.numbers.percent(95) {
            let value = Value::Expression(writer.expression(kind, 2));
            attributes.push(("default".to_owned(), value));
        }
        if writer.numbers.percent(10) {
            let value = Value::Expression("\"A description\"".to_owned());
            attributes.push(("description".to_owned(), value));
        }
        writer.names.push((name.clone(), kind));
        self.variables.push(Variable {
            name: name.clone(),
            kind,
            has_type,
        });
        let mut blocks = Vec::new();
        if writer.numbers.percent(12) {
            let condition = format!("{name} != null || {}", writer.expression(Kind::Boolean, 2));
            let message = writer.expression(Kind::Text, 1);
            blocks.push(Block {
                kind: "validation",
                label: None,
                attributes: vec![
                    ("condition".to_owned(), Value::Expression(condition)),
                    ("error_message".to_owned(), Value::Expression(message)),
                ],
                blocks: Vec::new(),
            });
        }
        Block {
            kind: "variable",
            label: Some(name),
            attributes,
            blocks,
        }
    }

    fn target(&mut self, writer: &mut Writer, index: usize) {
        let label = (*TARGET_LABELS.get(index).unwrap()).to_owned();
        let mut attributes = Vec::new();
        let known_names = writer.names.len();
        let mut names = vec![label.clone()];
        if writer.numbers.percent(20) {
            names = self.matrix(writer, &label, &mut attributes);
        }
        // Only from targets before it: the CLI ignores a target that inherits from itself, which is an error here.
        if !self.targets.is_empty() && writer.numbers.percent(40) {
            let parents = (0..=writer.numbers.below(2)).map(|_| self.any_target(writer));
            let parents: Vec<Value> = parents.map(|name| quoted(&name)).collect();
            attributes.push(("inherits".to_owned(), Value::List(parents)));
        }
        let mut references = Vec::new();
        for _ in 0..writer.numbers.below(5) {
            let (name, patterns) = FIELDS.get(writer.numbers.below(FIELDS.len())).unwrap();
            if attributes.iter().any(|(other, _)| other == name) {
                continue;
            }
            let value = match *name {
                "args" | "labels" if writer.numbers.percent(50) => {
                    references.push((format!("target.{label}.{name}.A"), Kind::Text));
                    let value = |writer: &mut Writer| {
                        Value::Expression(writer.expression(Kind::Text, DEPTH))
                    };
                    Value::Object(vec![
                        ("A".to_owned(), value(writer)),
                        ("B".to_owned(), value(writer)),
                    ])
                }
                "contexts" if !self.targets.is_empty() && writer.numbers.percent(50) => {
                    let link = self.any_target(writer);
                    Value::Object(vec![("base".to_owned(), quoted(&format!("target:{link}")))])
                }
                _ => Value::Expression(writer.one_of(patterns, DEPTH)),
            };
            match *name {
                "tags" => references.push((format!("target.{label}.tags"), Kind::Texts)),
                "context" | "dockerfile" | "target" => {
                    references.push((format!("target.{label}.{name}"), Kind::Text));
                }
                _ => {}
            }
            attributes.push(((*name).to_owned(), value));
        }
        writer.names.truncate(known_names);
        if names == [label.clone()] {
            writer.names.extend(references);
            writer
                .names
                .push((format!("target.{label}.name"), Kind::Text));
        }
        self.targets.extend(names);
        self.blocks.push(Block {
            kind: "target",
            label: Some(label),
            attributes,
            blocks: Vec::new(),
        });
    }

    /// Adds `matrix` and `name`. Returns the names, and adds those of the values to the writer.
    fn matrix(
        &mut self,
        writer: &mut Writer,
        label: &str,
        attributes: &mut Vec<(String, Value)>,
    ) -> Vec<String> {
        let values = ["a", "b-1", "C"];
        let values = values.get(..=writer.numbers.below(3)).unwrap();
        let mut members = vec![(
            "v".to_owned(),
            Value::List(values.iter().map(|value| quoted(value)).collect()),
        )];
        writer.names.push(("v".to_owned(), Kind::Text));
        let mut names: Vec<String> = values
            .iter()
            .map(|value| format!("{label}-{value}"))
            .collect();
        let mut name = format!("\"{label}-${{v}}\"");
        if writer.numbers.percent(50) {
            self.is_unordered = true;
            members.push((
                "o".to_owned(),
                Value::Expression("[{ name = \"x\", count = 1, on = true, tags = [] }, { name = \"y\", count = 2, on = false, tags = [\"q\"] }]".to_owned()),
            ));
            writer.names.push(("o".to_owned(), Kind::Object));
            name = format!("\"{label}-${{v}}-${{o.name}}\"");
            names = names
                .iter()
                .flat_map(|name| [format!("{name}-x"), format!("{name}-y")])
                .collect();
        }
        attributes.push(("matrix".to_owned(), Value::Object(members)));
        attributes.push(("name".to_owned(), Value::Expression(name)));
        names
    }

    fn group(&mut self, writer: &mut Writer, index: usize) {
        let label = if writer.numbers.percent(40) {
            "default".to_owned()
        } else {
            format!("g{index}")
        };
        let mut members: Vec<Value> = (0..writer.numbers.below(4))
            .map(|_| quoted(&self.any_target(writer)))
            .collect();
        if writer.numbers.percent(15) {
            members.push(quoted("g0"));
        }
        let mut attributes = vec![("targets".to_owned(), Value::List(members))];
        if writer.numbers.percent(10) {
            let value = Value::Expression(writer.expression(Kind::Text, 1));
            attributes.push(("description".to_owned(), value));
        }
        self.blocks.push(Block {
            kind: "group",
            label: Some(label),
            attributes,
            blocks: Vec::new(),
        });
    }

    fn any_target(&self, writer: &mut Writer) -> String {
        if writer.mistakes > 0 && writer.numbers.percent(10) {
            writer.mistakes -= 1;
            return "missing".to_owned();
        }
        let index = writer.numbers.below(self.targets.len());
        self.targets.get(index).unwrap().clone()
    }
}

fn function(writer: &mut Writer, name: &str) -> Block {
    let result = *writer.numbers.pick(&Kind::ALL.each_ref());
    let count = writer.numbers.below(3);
    let mut parameters: Vec<(String, Kind)> = Vec::new();
    for name in ["p", "q"].iter().take(count) {
        parameters.push((
            (*name).to_owned(),
            *writer.numbers.pick(&Kind::ALL.each_ref()),
        ));
    }
    let known_names = writer.names.len();
    writer.names.extend(parameters.clone());
    let is_variadic = writer.numbers.percent(20);
    if is_variadic {
        writer.names.push(("rest".to_owned(), Kind::Texts));
    }
    let body = writer.expression(result, DEPTH);
    writer.names.truncate(known_names);
    let words = parameters.iter().map(|(name, _)| Value::Word(name.clone()));
    let mut attributes = vec![
        ("params".to_owned(), Value::List(words.collect())),
        ("result".to_owned(), Value::Expression(body)),
    ];
    let mut kinds: Vec<Kind> = parameters.into_iter().map(|(_, kind)| kind).collect();
    if is_variadic {
        attributes.push(("variadic_params".to_owned(), Value::Word("rest".to_owned())));
        kinds.extend(std::iter::repeat_n(Kind::Text, writer.numbers.below(3)));
    }
    writer.functions.push((name.to_owned(), kinds, result));
    Block {
        kind: "function",
        label: Some(name.to_owned()),
        attributes,
        blocks: Vec::new(),
    }
}

fn quoted(text: &str) -> Value {
    Value::Expression(format!("\"{text}\""))
}
