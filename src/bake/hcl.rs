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
//! In work by D, to land by 20:40: the parsers `syntax` (a parser of our own: `hcl-edit` rejects `{ a = 1, a = 2 }` and lone details of
//! heredocs that the CLI accepts), `json` and `tree` (the expression tree, references, calls, keyword, elements). Then the evaluation
//! (operators, templates, for, splats, conditionals) on that tree in `evaluate`, unless it exists by then.

pub(crate) mod json;
pub(crate) mod scope;
