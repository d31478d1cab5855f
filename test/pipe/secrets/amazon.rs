//! Amazon's keys.
