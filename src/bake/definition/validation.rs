//! The validations of variables.

use crate::Error;
use crate::value::{Type, Value};

use super::declarations::Validation;
use super::evaluator::{Evaluator, Local};

/// Checks that the condition of a validation holds. It sees all variables, and no functions of the definition.
pub(super) fn check(evaluator: &Evaluator<'_>, validation: &Validation) -> Result<(), Error> {
    let Some(condition) = &validation.condition else {
        return Err(Error::at(
            validation.place.clone(),
            "the validation has no `condition`",
        ));
    };
    let local = Local::default();
    let at = |error: Error| {
        Error::at(
            condition.place(),
            format!("the condition: {}", error.message()),
        )
    };
    let value = evaluator.evaluate(condition, &local)?;
    match value.convert(&Type::Bool).map_err(at)? {
        Value::Bool(true) => return Ok(()),
        Value::Bool(false) => {}
        _ => {
            return Err(Error::at(
                condition.place(),
                "the condition is null, neither true nor false",
            ));
        }
    }
    let message = match &validation.message {
        Some(message) => evaluator
            .evaluate(message, &local)?
            .convert(&Type::String)?,
        None => Value::Null(Type::String),
    };
    let message = match &message {
        Value::String(message) => message.to_string(),
        _ => "the condition does not hold".to_owned(),
    };
    Err(Error::at(
        condition.place(),
        format!("validation failed: {message}"),
    ))
}
