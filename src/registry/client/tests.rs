//! The client against registries that answer as planned, and against real ones.
