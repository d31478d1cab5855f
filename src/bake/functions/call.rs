//! Parameters of functions, and the conversion of arguments to them.

use std::rc::Rc;

use crate::Error;
use crate::budget::Budget;
use crate::hcl::scope::{CallError, Function};
use crate::value::{Number, Type, Value};

/// The result of a function.
pub(super) type Outcome = Result<Value, CallError>;

/// A standard function.
pub(super) struct Standard {
    pub(super) name: &'static str,
    parameters: &'static [Parameter],
    /// The parameter of all further arguments.
    rest: Option<Parameter>,
    body: fn(&Call<'_>) -> Outcome,
}

/// A parameter: the type to which its argument converts.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    kind: Kind,
    null: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Any,
    Bool,
    Number,
    String,
    /// A list of any one type.
    List,
    /// A list of strings.
    Strings,
    /// A set of any one type.
    Set,
    /// Bytes, which no value of a definition is.
    Bytes,
}

impl Parameter {
    pub(super) const ANY: Self = Self::of(Kind::Any);
    pub(super) const BOOL: Self = Self::of(Kind::Bool);
    pub(super) const NUMBER: Self = Self::of(Kind::Number);
    pub(super) const STRING: Self = Self::of(Kind::String);
    pub(super) const LIST: Self = Self::of(Kind::List);
    pub(super) const STRINGS: Self = Self::of(Kind::Strings);
    pub(super) const SET: Self = Self::of(Kind::Set);
    pub(super) const BYTES: Self = Self::of(Kind::Bytes);
    /// Any value, and null.
    pub(super) const NULLABLE: Self = Self {
        kind: Kind::Any,
        null: true,
    };

    const fn of(kind: Kind) -> Self {
        Self { kind, null: false }
    }

    fn accept(self, argument: &Value) -> Result<Value, Error> {
        let wanted = match self.kind {
            Kind::Any => None,
            Kind::Bool => Some(Type::Bool),
            Kind::Number => Some(Type::Number),
            Kind::String => Some(Type::String),
            Kind::List => Some(Type::list(Type::Dynamic)),
            Kind::Strings => Some(Type::list(Type::String)),
            Kind::Set => Some(Type::set(Type::Dynamic)),
            Kind::Bytes => {
                return Err(Error::new(
                    "bytes are required, which no value of a definition is",
                ));
            }
        };
        if argument.is_null() && !self.null {
            return Err(Error::new("the argument must not be null"));
        }
        wanted.map_or_else(|| Ok(argument.clone()), |wanted| argument.convert(&wanted))
    }
}

impl Standard {
    pub(super) const fn new(
        name: &'static str,
        parameters: &'static [Parameter],
        body: fn(&Call<'_>) -> Outcome,
    ) -> Self {
        Self {
            name,
            parameters,
            rest: None,
            body,
        }
    }

    /// Accepts any number of further arguments.
    pub(super) const fn rest(mut self, rest: Parameter) -> Self {
        self.rest = Some(rest);
        self
    }

    fn check_count(&self, count: usize) -> Result<(), Error> {
        let expected = self.parameters.len();
        let at_least = match self.rest {
            Some(_) if count >= expected => return Ok(()),
            None if count == expected => return Ok(()),
            Some(_) => "at least ",
            None => "",
        };
        let plural = if expected == 1 { "" } else { "s" };
        Err(Error::new(format!(
            "the function needs {at_least}{expected} argument{plural}, not {count}"
        )))
    }
}

impl Function for &'static Standard {
    fn call(&self, arguments: &[Value], budget: &Budget) -> Outcome {
        self.check_count(arguments.len())
            .map_err(CallError::whole)?;
        let mut converted = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            budget.step().map_err(CallError::whole)?;
            let parameter = self.parameters.get(index).or(self.rest.as_ref());
            let parameter = parameter.copied().unwrap_or(Parameter::ANY);
            spend_text(argument, budget).map_err(CallError::whole)?;
            let value = parameter.accept(argument);
            converted.push(value.map_err(|error| CallError::at(index, error))?);
        }
        let call = Call {
            arguments: converted,
            budget,
        };
        (self.body)(&call)
    }
}

/// Bytes of text for one step.
const BYTES_PER_STEP: usize = 64;

/// Takes steps for the texts in a value, which can be one text many times. The caller has measured the depth of the value.
fn spend_text(value: &Value, budget: &Budget) -> Result<(), Error> {
    match value {
        Value::String(text) => {
            let steps = u64::try_from(text.len() / BYTES_PER_STEP);
            budget.steps(steps.unwrap_or(u64::MAX))
        }
        Value::List(_, values) | Value::Set(_, values) | Value::Tuple(values) => values
            .iter()
            .try_for_each(|value| spend_text(value, budget)),
        Value::Map(_, values) | Value::Object(values) => values
            .values()
            .try_for_each(|value| spend_text(value, budget)),
        Value::Null(_) | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

impl CallError {
    /// A problem of the call.
    pub(super) fn whole(error: Error) -> Self {
        Self {
            argument: None,
            error,
        }
    }

    /// A problem of an argument.
    pub(super) fn at(argument: usize, error: Error) -> Self {
        Self {
            argument: Some(argument),
            error,
        }
    }
}

/// A problem of the call.
pub(super) fn failure(message: impl Into<String>) -> CallError {
    CallError::whole(Error::new(message))
}

/// A problem of an argument.
pub(super) fn wrong(argument: usize, message: impl Into<String>) -> CallError {
    CallError::at(argument, Error::new(message))
}

/// The most characters of a text in a message.
const MAX_QUOTE: usize = 80;

/// A text in a message.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

/// The converted arguments of a call.
pub(super) struct Call<'a> {
    pub(super) arguments: Vec<Value>,
    pub(super) budget: &'a Budget,
}

impl Call<'_> {
    /// An argument of any type.
    pub(super) fn value(&self, index: usize) -> Result<&Value, CallError> {
        let value = self.arguments.get(index);
        value.ok_or_else(|| wrong(index, "the argument is absent"))
    }

    /// An argument of type string.
    pub(super) fn text(&self, index: usize) -> Result<&str, CallError> {
        let text = self.value(index)?.as_str();
        text.ok_or_else(|| wrong(index, "a string is required"))
    }

    /// An argument of type number.
    pub(super) fn number(&self, index: usize) -> Result<&Number, CallError> {
        match self.value(index)? {
            Value::Number(number) => Ok(number),
            _ => Err(wrong(index, "a number is required")),
        }
    }

    /// An argument that is a whole number of 64 bits.
    pub(super) fn integer(&self, index: usize) -> Result<i64, CallError> {
        let integer = self.number(index)?.to_i64();
        integer.ok_or_else(|| wrong(index, "a whole number is required"))
    }

    /// An argument of type bool.
    pub(super) fn bool(&self, index: usize) -> Result<bool, CallError> {
        match self.value(index)? {
            Value::Bool(value) => Ok(*value),
            _ => Err(wrong(index, "a bool is required")),
        }
    }

    /// The elements of an argument that is a list, a set or a tuple.
    pub(super) fn elements(&self, index: usize) -> Result<&Rc<Vec<Value>>, CallError> {
        let elements = sequence(self.value(index)?);
        elements.ok_or_else(|| wrong(index, "a list, a set or a tuple is required"))
    }

    /// The arguments from an index on.
    pub(super) fn rest(&self, index: usize) -> &[Value] {
        self.arguments.get(index..).unwrap_or_default()
    }

    /// Takes steps for work that grows with a product.
    pub(super) fn spend(&self, factors: [usize; 2]) -> Result<(), CallError> {
        let [left, right] = factors;
        let steps = u64::try_from(left.saturating_mul(right)).unwrap_or(u64::MAX);
        self.budget.steps(steps).map_err(CallError::whole)
    }

    /// Reserves the memory of a string or a list.
    pub(super) fn reserve(&self, bytes: usize) -> Result<(), CallError> {
        self.budget.bytes(bytes).map_err(CallError::whole)
    }

    /// Reserves the time and the memory of a list.
    pub(super) fn reserve_values(&self, count: usize) -> Result<(), CallError> {
        self.spend([count, 1])?;
        self.reserve(count.saturating_mul(size_of::<Value>()))
    }

    /// A string, if there is memory for it.
    pub(super) fn string(&self, text: impl Into<Rc<str>>) -> Outcome {
        let text = text.into();
        self.reserve(text.len())?;
        Ok(Value::string(text))
    }

    /// A list of strings.
    pub(super) fn strings<T: Into<Rc<str>>>(&self, texts: impl IntoIterator<Item = T>) -> Outcome {
        let mut values = Vec::new();
        for text in texts {
            self.reserve_values(1)?;
            values.push(self.string(text)?);
        }
        Ok(Value::list(Type::String, values))
    }
}

/// The elements of a list, a set or a tuple.
pub(super) fn sequence(value: &Value) -> Option<&Rc<Vec<Value>>> {
    match value {
        Value::List(_, values) | Value::Set(_, values) | Value::Tuple(values) => Some(values),
        _ => None,
    }
}
