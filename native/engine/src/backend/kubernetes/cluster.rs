//! The cluster: how it is reached, and whether it has what is needed.

use super::trouble;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use testfleet_protocol::kubernetes::KubernetesOptions;
use testfleet_protocol::{Failure, FailureCode, Result};

/// The oldest minor version of Kubernetes 1 that counts failures of a job by index and lets it grow.
const OLDEST_MINOR: u32 = 29;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(30);

/// A cluster that answers.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
    /// Where everything is made.
    pub namespace: String,
    /// Its address, for messages.
    pub address: String,
    /// `v1.34.4`
    pub version: String,
}

impl Cluster {
    /// Finds the cluster and asks for its version. `environment` is that of the call.
    ///
    /// # Errors
    /// With a hint: no kubeconfig, no such context, no answer, too old.
    pub async fn connect(options: &KubernetesOptions, environment: &BTreeMap<String, String>) -> Result<Self> {
        // Each part of the engine may be the first that needs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = config(options, environment).await?;
        config.connect_timeout = Some(CONNECT);
        let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let namespace = options.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let what = format!("reach the cluster at {address}");
        let client = Client::try_from(config).map_err(|error| trouble::failure(&what, error))?;
        let about = client.apiserver_version().await.map_err(|error| trouble::failure(&what, error))?;
        if !is_new_enough(&about.major, &about.minor) {
            return Err(Failure::new(
                FailureCode::InvalidRequest,
                format!("failed to use Kubernetes {} at {address}", about.git_version),
            )
            .cause_text("its jobs do not count failures by index")
            .hint(format!("use a cluster of version 1.{OLDEST_MINOR} or later")));
        }
        Ok(Self { client, namespace, address, version: about.git_version })
    }
}

async fn config(options: &KubernetesOptions, environment: &BTreeMap<String, String>) -> Result<Config> {
    let chosen = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    let failed = || Failure::new(FailureCode::InvalidRequest, "failed to find out how the cluster is reached");
    let files = kubeconfigs(options, environment);
    let kubeconfig = match files.iter().any(|file| file.exists()) {
        true => {
            let mut all = Kubeconfig::default();
            for file in files.iter().filter(|file| file.exists()) {
                let read = Kubeconfig::read_from(file).map_err(|error| unreadable(file, &error))?;
                all = all.merge(read).map_err(|error| unreadable(file, &error))?;
            }
            all
        }
        // In a pod the cluster itself says how.
        false if options.kubeconfig.is_none() && options.context.is_none() => {
            return Config::incluster().map_err(|_| {
                let looked = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
                failed()
                    .cause_text(format!("there is no kubeconfig ({looked}), and this is no pod"))
                    .hint("set KUBECONFIG, or testfleet { kubernetes { kubeconfig = file('...') } }")
            });
        }
        false => {
            let looked = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(failed().cause_text(format!("there is no {looked}")));
        }
    };
    Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(|error| {
        // What a kubeconfig holds is secret; the error names contexts, users and files only.
        failed()
            .cause(&error)
            .hint("`kubectl config get-contexts` shows what there is; choose one: kubernetes { context }")
    })
}

fn unreadable(file: &std::path::Path, error: &kube::config::KubeconfigError) -> Failure {
    // The parser's own words may quote what it read.
    let why = match error {
        kube::config::KubeconfigError::ReadConfig(error, _) => error.to_string(),
        _ => "it is no kubeconfig".to_owned(),
    };
    Failure::new(FailureCode::InvalidRequest, format!("failed to read {}", file.display())).cause_text(why)
}

/// The files that may say how, in the order in which they count.
fn kubeconfigs(options: &KubernetesOptions, environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    if let Some(file) = &options.kubeconfig {
        return vec![file.clone()];
    }
    match environment.get("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(files) => std::env::split_paths(files).filter(|file| !file.as_os_str().is_empty()).collect(),
        None => environment.get("HOME").map(|home| PathBuf::from(home).join(".kube/config")).into_iter().collect(),
    }
}

/// Whether `1`, `34+` is at least 1.29. What can't be read is left to the cluster to refuse.
fn is_new_enough(major: &str, minor: &str) -> bool {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().ok();
    match (digits(major), digits(minor)) {
        (Some(1), Some(minor)) => minor >= OLDEST_MINOR,
        (Some(major), _) => major > 1,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (major, minor, expected) in [
            ("1", "29", true),
            ("1", "28", false),
            ("1", "34+", true),
            ("1", "9", false),
            ("2", "0", true),
            ("", "", true),
        ] {
            assert_eq!(is_new_enough(major, minor), expected, "{major}.{minor}");
        }
    }

    #[test]
    fn a_file_of_the_build_counts_before_the_environment() {
        let mut options = KubernetesOptions::default();
        let mut environment = BTreeMap::from([("HOME".to_owned(), "/h".to_owned())]);
        assert_eq!(kubeconfigs(&options, &environment), [PathBuf::from("/h/.kube/config")]);
        environment.insert("KUBECONFIG".to_owned(), "/a::/b".to_owned());
        assert_eq!(kubeconfigs(&options, &environment), [PathBuf::from("/a"), PathBuf::from("/b")]);
        options.kubeconfig = Some("/c".into());
        assert_eq!(kubeconfigs(&options, &environment), [PathBuf::from("/c")]);
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_told_of_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, "users: [{name: x, user: {token: s3cret").unwrap();
        let options = KubernetesOptions { kubeconfig: Some(file.clone()), ..KubernetesOptions::default() };
        let failure = Cluster::connect(&options, &BTreeMap::new()).await.err().unwrap().to_string();
        assert!(failure.contains("failed to read") && !failure.contains("s3cret"), "{failure}");
        std::fs::remove_file(&file).unwrap();
        let failure = Cluster::connect(&options, &BTreeMap::new()).await.err().unwrap().to_string();
        assert!(failure.contains("there is no"), "{failure}");
    }
}
