//! What looks like a credential: by name and content, so that neither an empty `.env` nor a class that reads keys is one.

use regex::bytes::Regex;
use std::sync::LazyLock;

/// What a file looks like, if it looks like a credential.
pub(super) fn look(path: &str, content: &[u8]) -> Option<&'static str> {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or(path).to_ascii_lowercase();
    let folder = parts.next().unwrap_or_default().to_ascii_lowercase();
    if name.ends_with(".class") {
        // Texts that a program compares with are no keys.
        return None;
    }
    if PRIVATE_KEY.is_match(content) {
        return Some("a private key");
    }
    RULES.iter().find(|rule| (rule.named)(&name, &folder) && rule.content.is_match(content)).map(|rule| rule.what)
}

/// The header of a private key (RFC 7468; PGP: RFC 9580) with a line of it; in JSON, line breaks are written as `\n`.
static PRIVATE_KEY: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\r|\n|\\r|\\n|[A-Za-z-]+: [^\r\n]*)+[A-Za-z0-9+/=]{16}",
    )
});

struct Rule {
    what: &'static str,
    /// Of the file's name and its folder's, in lower case.
    named: fn(&str, &str) -> bool,
    content: Regex,
}

fn regex(pattern: &str) -> Regex {
    // The patterns are constants, and a test compiles all of them.
    #[allow(clippy::expect_used)]
    Regex::new(pattern).expect("a pattern of ours")
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    // A value that is neither empty nor a reference such as `${TOKEN}`.
    let value = r#"["']?[^\s"'$<{]"#;
    let key = r"[\w.-]*(?:password|passwd|passphrase|secret|token|api[_.-]?key|access[_.-]?key|private[_.-]?key|credential)[\w.-]*";
    let assignment = regex(&format!(r"(?im)^[ \t]*(?:export[ \t]+)?{key}[ \t]*[=:][ \t]*{value}"));
    vec![
        Rule {
            what: "Docker's logins",
            named: |name, folder| {
                matches!(name, ".dockercfg" | ".dockerconfigjson" | "auth.json" | "config.json")
                    || (folder.contains("docker") || name.contains("docker")) && name.ends_with(".json")
            },
            content: regex(
                r#"(?s)"auths"\s*:\s*\{.*"(?:auth|identitytoken|registrytoken|password)"\s*:\s*"[^"]+"|^\s*\{\s*"[^"]+"\s*:\s*\{\s*"auth"\s*:\s*"[^"]+""#,
            ),
        },
        Rule {
            what: "a login to a Kubernetes cluster",
            named: |name, folder| name.contains("kubeconfig") || folder == ".kube" || is_yaml(name),
            content: regex(
                r"(?s)(?:^|\n)kind:\s*Config\b.*\n\s+(?:client-key-data|token|password|id-token|refresh-token):\s*\S|(?:^|\n)\s+(?:client-key-data|token|password):\s*\S.*\nkind:\s*Config\b",
            ),
        },
        Rule {
            what: "an environment with secrets",
            named: |name, _| {
                (name == ".env" || name.starts_with(".env.") || name.ends_with(".env"))
                    && ![".example", ".sample", ".template", ".dist"].iter().any(|end| name.ends_with(end))
            },
            content: assignment.clone(),
        },
        Rule {
            what: "a login to an npm registry",
            named: |name, _| name == ".npmrc" || name == "npmrc",
            content: regex(&format!(r"(?m)(?:^|:)_(?:authToken|auth|password)[ \t]*=[ \t]*{value}")),
        },
        Rule {
            what: "Maven settings with passwords",
            named: |name, _| name.contains("settings") && name.ends_with(".xml"),
            content: regex(r"<(?:password|passphrase|privateKey|master)>\s*[^\s<$]"),
        },
        Rule {
            what: "logins of .netrc",
            named: |name, _| matches!(name, ".netrc" | "_netrc"),
            content: regex(r"(?m)\bpassword\s+\S"),
        },
        Rule {
            what: "Gradle properties with passwords",
            named: |name, _| matches!(name, "gradle.properties" | "local.properties" | "gradle-local.properties"),
            content: assignment,
        },
        Rule {
            what: "a login to AWS",
            named: |name, folder| {
                folder == ".aws" || name.contains("credentials") || name == ".boto" || name == ".s3cfg"
            },
            content: regex(&format!(r"(?im)^\s*(?:aws_secret_access_key|aws_session_token|secret_key)\s*=\s*{value}")),
        },
        Rule {
            what: "logins of git",
            named: |name, _| matches!(name, ".git-credentials" | "git-credentials"),
            content: regex(r"(?m)^https?://[^\s/:@]+:[^\s/@]+@"),
        },
        Rule {
            what: "a login to a Python index",
            named: |name, _| matches!(name, ".pypirc" | "pip.conf"),
            content: regex(r"(?m)^\s*password\s*[=:]\s*\S|://[^\s/:@]+:[^\s/@]+@"),
        },
        Rule {
            what: "a login to GitHub",
            named: |name, _| matches!(name, "hosts.yml" | "hub"),
            content: regex(r"(?m)\boauth_token:\s*\S"),
        },
    ]
});

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml") || name == "config"
}
