//! Numbers: binary floating point with 512 bits, as `cty` has them.

/// A number.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub(crate) struct Number(dashu_float::FBig<dashu_float::round::mode::HalfEven, 2>);
