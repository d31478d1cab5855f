//! No secret is seen where it does not belong.
//!
//! Every run has all secrets planted that a pipe can be given, says all that it can (`DEBUG`), and is overheard at every place: Depot's
//! API, the builder, registries, the proxy, Amazon, the daemon, the log, the files. What each place got is searched for each secret, in
//! each form that a program may give it on the way.

mod amazon;
mod builds;
mod forms;
mod loads;
mod plants;
mod refusals;
mod scene;
mod variables;
