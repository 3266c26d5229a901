//! One command, one stream of events.
