//! Agent
fn main() {}
