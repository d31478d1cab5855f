//! Base64, URL, JSON and CSV.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::call::{Call, Outcome, Parameter, Standard, failure, quote, wrong};
use crate::flags::csv::Records;
use crate::hcl::scope::CallError;
use crate::ordered::IntoOrdered;
use crate::value::{Type, Value};

const TEXT: &[Parameter] = &[Parameter::STRING];

/// The standard alphabet; padding is necessary, but the unused bits of the last character need not be zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

pub(super) const FUNCTIONS: &[Standard] = &[
    Standard::new("base64decode", TEXT, |call| {
        let text = call.text(0)?;
        let bytes = base64_bytes(text);
        let bytes = bytes.ok_or_else(|| wrong(0, format!("{} is not Base64", quote(text))))?;
        let text = String::from_utf8(bytes);
        call.string(text.map_err(|_| wrong(0, "the decoded bytes are not UTF-8"))?)
    }),
    Standard::new("base64encode", TEXT, |call| {
        call.string(BASE64.encode(call.text(0)?))
    }),
    Standard::new("csvdecode", TEXT, csv_decode),
    Standard::new("jsondecode", TEXT, |call| {
        let text = call.text(0)?;
        call.reserve_values(text.len() / 2)?;
        Value::from_json(text).map_err(|error| CallError::at(0, error))
    }),
    Standard::new("jsonencode", &[Parameter::NULLABLE], |call| {
        let text = call.value(0)?.to_json();
        call.string(text.map_err(|error| CallError::at(0, error))?)
    }),
    Standard::new("urlencode", TEXT, |call| {
        let mut encoded = String::new();
        for byte in call.text(0)?.bytes() {
            match byte {
                b' ' => encoded.push('+'),
                b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
                _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
                _ => {
                    let _ = write!(encoded, "%{byte:02X}");
                }
            }
        }
        call.string(encoded)
    }),
];

/// The bytes of Base64, in which line ends have no meaning.
pub(super) fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace(['\r', '\n'], "")).ok()
}

/// A list of objects, whose attributes are the fields of the first record.
fn csv_decode(call: &Call<'_>) -> Outcome {
    let text = call.text(0)?;
    let mut records = Records::new(text);
    let invalid = |error| CallError::at(0, error);
    let header = records
        .next()
        .ok_or_else(|| failure("the header is absent"))?;
    let header = header.map_err(invalid)?;
    let names: BTreeSet<&str> = header.iter().map(String::as_str).into_ordered();
    if names.len() < header.len() {
        return Err(wrong(0, "two columns have the same name"));
    }
    let mut rows = Vec::new();
    for record in records {
        let record = record.map_err(invalid)?;
        if record.len() != header.len() {
            return Err(wrong(
                0,
                format!(
                    "record {} has {} fields, but the header has {}",
                    rows.len() + 1,
                    record.len(),
                    header.len()
                ),
            ));
        }
        call.reserve_values(record.len() + 1)?;
        let mut row = BTreeMap::new();
        for (name, field) in header.iter().zip(record) {
            call.reserve(name.len())?;
            row.insert(name.clone(), call.string(field)?);
        }
        rows.push(Value::object(row));
    }
    let attributes = header.into_iter().map(|name| (name, Type::String));
    let element = Type::Object(Rc::new(attributes.into_ordered()));
    Ok(Value::list(element, rows))
}
