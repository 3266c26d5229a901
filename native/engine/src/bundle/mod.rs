//! What a worker needs, by content hash.
