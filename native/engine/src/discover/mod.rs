//! Class directories and jars to test classes.
