//! A local Depot for tests.
