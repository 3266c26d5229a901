//! Where workers are started.
