//! Compares the pipe with the released depot CLI on the local Depot.

fn main() {}
