//! Expressions, templates and bodies of HCL and of its JSON form.

pub(crate) mod scope;
