//! Timings, estimates, units and groups.
