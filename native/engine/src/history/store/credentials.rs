//! User and password or token for a shared place, from variables of the environment. Their values are shown nowhere.

use std::collections::BTreeMap;
use std::fmt;
use testfleet_protocol::request::SharedHistory;
use testfleet_protocol::{Failure, FailureCode, Result};

/// A text that nobody is to see.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// For the header of a request only.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    None,
    /// A password variable alone.
    Token(Secret),
    Basic {
        user: Secret,
        password: Secret,
    },
}

impl Credentials {
    /// # Errors
    /// `InvalidRequest` for a variable that is not set, or a user without a password.
    pub(super) fn read(history: &SharedHistory, environment: &BTreeMap<String, String>) -> Result<Self> {
        let failure = || Failure::new(FailureCode::InvalidRequest, "failed to log in where history is shared");
        let value = |name: &String| {
            let value = environment.get(name).filter(|value| !value.is_empty());
            value.map(|value| Secret::new(value.trim_end_matches(['\r', '\n']).to_owned())).ok_or_else(|| {
                failure()
                    .cause_text(format!("the variable {name} is not set"))
                    .hint(format!("set {name} in the environment of the build, or name another variable"))
            })
        };
        Ok(match (&history.user_variable, &history.password_variable) {
            (None, None) => Self::None,
            (None, Some(token)) => Self::Token(value(token)?),
            (Some(user), Some(password)) => Self::Basic { user: value(user)?, password: value(password)? },
            (Some(_), None) => {
                return Err(failure()
                    .cause_text("there is a variable for the user and none for the password")
                    .hint("name it: passwordVariable"));
            }
        })
    }
}

/// A text without the query of any URL in it: signatures and states are nobody's business.
pub(super) fn without_queries(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut in_query = false;
    for c in text.chars() {
        let ends = c.is_whitespace() || matches!(c, ')' | '(' | '"' | '\'' | '`' | '>' | ',' | ']');
        if in_query && !ends {
            continue;
        }
        in_query = c == '?';
        clean.push(c);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(user: Option<&str>, password: Option<&str>) -> Result<Credentials> {
        let history = SharedHistory {
            location: "/".into(),
            branch: String::new(),
            fallback_branch: String::new(),
            publish: true,
            expire_days: 30,
            user_variable: user.map(str::to_owned),
            password_variable: password.map(str::to_owned),
        };
        let environment = [("USER", "me"), ("PASSWORD", "s3cret\n"), ("EMPTY", "")];
        Credentials::read(&history, &environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    #[test]
    fn variables_tell_how_to_log_in() {
        let secret = |text: &str| Secret::new(text.into());
        assert_eq!(read(None, None).unwrap(), Credentials::None);
        assert_eq!(read(None, Some("PASSWORD")).unwrap(), Credentials::Token(secret("s3cret")));
        let basic = Credentials::Basic { user: secret("me"), password: secret("s3cret") };
        assert_eq!(read(Some("USER"), Some("PASSWORD")).unwrap(), basic);
        for (user, password) in
            [(Some("USER"), None), (None, Some("EMPTY")), (None, Some("MISSING")), (Some("MISSING"), Some("PASSWORD"))]
        {
            let failure = read(user, password).unwrap_err();
            assert!(failure.hint.is_some() && !failure.to_string().contains("s3cret"), "{failure}");
        }
        assert!(!format!("{basic:?}").contains("s3cret") && !format!("{basic:?}").contains("me\""));
    }

    #[test]
    fn queries_are_left_out_of_texts() {
        for (text, clean) in [
            ("error for url (https://host/a?X-Sig=s3cret)", "error for url (https://host/a?)"),
            ("url https://host/a?b=c&d=e, code: 500", "url https://host/a?, code: 500"),
            ("really? yes", "really? yes"),
        ] {
            assert_eq!(without_queries(text), clean);
        }
    }
}
