//! docs/exit-codes.md says what the code does.

use testfleet_protocol::FailureCode;

const DOCS: &str = include_str!("../../../../docs/exit-codes.md");

#[test]
fn every_row_is_what_the_code_returns() {
    let mut codes = Vec::new();
    for row in DOCS.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let code: FailureCode = serde_json::from_value(cells[2].into()).expect("a known failure code");
        assert_eq!(cells[1], code.exit_code().to_string(), "{row}");
        codes.push(code);
    }
    // One row for each code that the enum has: serde names them all in the error for an unknown one.
    let error = serde_json::from_str::<FailureCode>("\"?\"").expect_err("no such code").to_string();
    let known = error.split('`').skip(3).step_by(2).count();
    assert_eq!(codes.len(), known, "{error}");
}
