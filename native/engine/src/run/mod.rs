//! The run: state machine, driver, journal.
