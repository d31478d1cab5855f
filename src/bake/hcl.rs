//! Expressions, templates and bodies of HCL and of its JSON form.
//!
//! The module `definition` resolves everything that an expression mentions before it evaluates it, as the CLI does: an undeclared
//! name or a cycle in a branch that is not taken has effects, too. So an expression also has
//!
//! - `references()`: each variable that occurs anywhere in it, with the constant attribute names that follow (`target.a.tags[0]` is
//!   `target` with `["a", "tags"]`), in order of occurrence; names bound by `for` are not references;
//! - `calls()`: the names of all functions that occur in it.
//!
//! In JSON, those of all templates in strings and keys.
//!
//! In work by D: the parser and the tree, bodies in HCL and JSON (`json` has the syntax of JSON with places, used by `value`, too).
//! In work by A, on D's tree, to land by 20:50: `evaluate` (operators, templates, `for`, splats, calls, conditionals: `fn evaluate(node:
//! &Node, place: &dyn Fn(&Range<usize>) -> Place, scope: &dyn Scope) -> Result<Value, Error>`) and `constraint` (`fn constraint(node:
//! &Node, …) -> Result<Constraint, Error>`, type with defaults of `optional`).

pub(crate) mod json;
pub(crate) mod scope;
