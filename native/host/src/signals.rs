//! Signals in words.

use nix::sys::signal::Signal;

/// `signal 9 (SIGKILL)`
pub fn signal_in_words(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(name) => format!("signal {number} ({name})"),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!(signal_in_words(9), "signal 9 (SIGKILL)");
        assert_eq!(signal_in_words(99), "signal 99");
    }
}
