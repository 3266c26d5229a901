//! Days as people write them: `2026-12-31`.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

/// A day in the form `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date(civil::Date);

impl Date {
    /// Reads a day; `None` for anything that is not one, such as the 30th of February.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let date: civil::Date = text.parse().ok()?;
        // The library reads other forms too (20261231, a date with a time); here there is one.
        (date.to_string() == text).then_some(Self(date))
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The current day in UTC: the same on all machines of a run.
pub(crate) fn today() -> Date {
    Date(Timestamp::now().to_zoned(TimeZone::UTC).date())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_nothing_else() {
        for text in ["2026-12-31", "2024-02-29", "2000-02-29", "1999-01-01"] {
            assert_eq!(Date::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "2026",
            "2026-12",
            "2026-13-01",
            "2026-00-10",
            "2026-04-31",
            "2025-02-29",
            "1900-02-29",
            "2026-1-1",
            "31-12-2026",
            "2026-12-31-",
            "2026-12-+1",
            "２026-12-31",
            "2026-12-00",
            "20261231",
            "2026-12-31T10:00",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert!(Date::parse("2026-12-31") < Date::parse("2027-01-01"));
    }
}
