//! Events to console, JUnit XML, HTML and JSON.
