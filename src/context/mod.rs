mod lexical;
pub mod patterns;
