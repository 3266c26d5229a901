//! What looks like a credential: by name and content, so that neither an empty `.env` nor a class that reads keys is one.

use regex::bytes::Regex;
use std::sync::LazyLock;

/// What a file looks like, if it looks like a credential.
pub(super) fn look(path: &str, content: &[u8]) -> Option<&'static str> {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or(path).to_ascii_lowercase();
    let folder = parts.next().unwrap_or_default().to_ascii_lowercase();
    if is_code(&name) {
        return None;
    }
    if PRIVATE_KEY.is_match(content) {
        return Some("a private key");
    }
    if is_keystore(content) {
        return Some("a keystore with a private key");
    }
    RULES.iter().find(|rule| (rule.named)(&name, &folder) && rule.content.is_match(content)).map(|rule| rule.what)
}

/// Texts that a program compares with are no keys. Jars are looked into instead.
pub(super) fn is_code(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".class") || name.ends_with(".jar")
}

/// Whether it is a keystore of Java (JKS, JCEKS) or in PKCS#12 that holds a key: one with certificates alone, such as
/// `cacerts`, is no secret.
fn is_keystore(content: &[u8]) -> bool {
    has_java_key(content).unwrap_or(false) || PKCS12.is_match(content) && PKCS12_KEY.is_match(content)
}

/// Reads the entries of a JKS or JCEKS file up to the first key. `None`: it is none, or too long to be seen to its end.
fn has_java_key(content: &[u8]) -> Option<bool> {
    const CERTIFICATE: u32 = 2;
    let mut at = 0_usize;
    let mut bytes = |count: usize| {
        let found = content.get(at..at.checked_add(count)?)?;
        at += count;
        Some(found)
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    if !matches!(number(bytes(4)?), 0xFEED_FEED | 0xCECE_CECE) {
        return None;
    }
    let (version, count) = (number(bytes(4)?), number(bytes(4)?));
    for _ in 0..count {
        if number(bytes(4)?) != CERTIFICATE {
            return Some(true);
        }
        // Its alias, its date, the type of the certificate, and the certificate itself.
        let alias = number(bytes(2)?);
        bytes(alias as usize + 8)?;
        if version >= 2 {
            let kind = number(bytes(2)?);
            bytes(kind as usize)?;
        }
        let length = number(bytes(4)?);
        bytes(length as usize)?;
    }
    Some(false)
}

/// A sequence that begins with version 3 (RFC 7292, "PFX").
static PKCS12: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s-u)^\x30(?:\x80|\x81.|\x82..|\x83...|[\x00-\x7F])\x02\x01\x03\x30"));

/// The object identifiers of bags with keys: 1.2.840.113549.1.12.10.1.1 and .2.
static PKCS12_KEY: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?-u)\x2A\x86\x48\x86\xF7\x0D\x01\x0C\x0A\x01[\x01\x02]"));

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
    // Words that are short enough to be a part of others stand at the end, after a separator: DB_PASS, MYSQL_PWD.
    let short = r"(?:[\w.-]*[_.-]|pg)?pass|[\w.-]*[_.-]pwd";
    // With user and password: postgres://user:password@host.
    let url = r#"["']?[a-z][a-z0-9+.:-]*://[^\s/:@"']*:[^\s/@"'$<{][^\s/@]*@"#;
    let assignment = regex(&format!(
        r"(?im)^[ \t]*(?:export[ \t]+)?(?:(?:{key}|{short})[ \t]*[=:][ \t]*{value}|[\w.-]+[ \t]*[=:][ \t]*{url})"
    ));
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
            what: "a private key",
            named: |name, _| [".der", ".key", ".p8", ".pk8", ".pkcs8"].iter().any(|end| name.ends_with(end)),
            // In DER: PKCS#8, encrypted PKCS#8 (PBES), PKCS#1, SEC 1.
            content: regex(
                r"(?s-u)^\x30(?:\x81.|\x82..|[\x00-\x7F])(?:\x02\x01[\x00\x01]\x30.\x06|\x30(?:\x81.|\x82..|[\x00-\x7F])\x06.\x2A\x86\x48\x86\xF7\x0D\x01(?:\x05|\x0C\x01)|\x02\x01\x00\x02[\x81\x82]|\x02\x01\x01\x04)",
            ),
        },
        Rule { what: "a private key of PuTTY", named: |_, _| true, content: regex(r"^PuTTY-User-Key-File-[0-9]+:") },
        Rule {
            what: "an init script of Gradle with passwords",
            named: |name, folder| {
                (folder == "init.d" || name.starts_with("init.gradle"))
                    && (name.ends_with(".gradle") || name.ends_with(".kts"))
            },
            content: regex(
                r#"(?i)(?:password|passwd|secret|token)\s*(?:=|\(|:|\s)\s*["'][^"'$\s]+["']|://[^\s/:@"']+:[^\s/@"'$]+@"#,
            ),
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
