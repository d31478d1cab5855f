//! YAML with a limit for its size after the expansion of aliases.
//!
//! An alias expands to the value of its anchor, which can contain aliases too. So a short text can expand to more than the
//! memory of a step. The expanded size is counted before a value is built.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_yaml::Value;

/// The limit for an expanded text. The kernel limits the length of a variable to much less.
const LIMIT_BYTES: usize = 4 << 20;

/// The size of a value without its text.
const VALUE_BYTES: usize = 64;

/// Parses a text.
///
/// # Errors
/// The text is not valid YAML, or expands to more than [`LIMIT_BYTES`].
pub(super) fn read(text: &str) -> Result<Value, serde_yaml::Error> {
    let left = Budget::new();
    Counted(&left).deserialize(serde_yaml::Deserializer::from_str(text))?;
    serde_yaml::from_str(text)
}

/// The unused part of the limit.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(LIMIT_BYTES))
    }

    /// Subtracts one value with a text of `text` bytes.
    pub(super) fn take<E: Error>(&self, text: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(VALUE_BYTES + text);
        self.0
            .set(left.ok_or_else(|| E::custom("it expands to too much data"))?);
        Ok(())
    }
}

/// Counts one value without building it.
#[derive(Clone, Copy)]
struct Counted<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.0.take(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.0.take(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.0.take(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.0.take(0)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.take(0)
    }

    /// An empty text.
    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.0.take(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.take(text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.take(0)?;
        while entries.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.take(0)?;
        while entries.next_key_seed(self)?.is_some() {
            entries.next_value_seed(self)?;
        }
        Ok(())
    }

    /// A value with a tag.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let ((), value) = tagged.variant_seed(self)?;
        value.newtype_variant_seed(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_it_always_was() {
        for text in [
            "a: [1, -2, 2.5, true, null, ~, 'x', 18446744073709551615, .inf]\n? {b: c}\n: !tag [d]\n",
            "- &a {x: y}\n- *a\n- !empty\n- <<: *a\n",
            "",
            "text",
        ] {
            let usual: Result<Value, _> = serde_yaml::from_str(text);
            assert_eq!(read(text).unwrap(), usual.unwrap(), "{text}");
        }
        assert!(read("[").is_err());
    }

    #[test]
    fn the_expansion_of_aliases_is_limited() {
        let wide = format!("- &a [{}]\n{}", "x,".repeat(5000), "- *a\n".repeat(4000));
        let long = format!("- &a {}\n{}", "x".repeat(10_000), "- *a\n".repeat(4000));
        let deep = "- &a [x, x, x, x, x, x, x, x, x]\n\
                    - &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
                    - &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n\
                    - &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n\
                    - &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\n";
        for text in [&*wide, &*long, deep] {
            assert!(read(text).is_err());
        }
    }
}
