//! Whether runs would work in a cluster, as far as it says so without one: permissions, quota, logins of registries, and
//! dry runs of what is made.

use super::cluster::Cluster;
use super::jobs::post;
use super::{spec, trouble, within};
use futures_util::future::try_join_all;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};
use kube::core::ApiResource;
use serde_json::json;
use testfleet_protocol::kubernetes::KubernetesOptions;
use testfleet_protocol::{Failure, FailureCode, Result};

/// What a run does in its namespace: `docs/kubernetes-rbac.yaml`.
const NEEDED: [(&str, &str, &[&str]); 6] = [
    ("batch", "jobs", &["create", "delete", "get", "list", "patch"]),
    ("", "pods", &["delete", "list", "watch"]),
    ("", "pods/portforward", &["create", "get"]),
    ("", "pods/log", &["get"]),
    ("", "secrets", &["create", "get"]),
    ("", "events", &["list", "watch"]),
];

/// Where registries' logins are in a secret.
const LOGINS: &str = ".dockerconfigjson";

/// Something that was looked at.
pub struct Looked {
    /// What, in a word or two.
    pub at: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a look.
pub enum Outcome {
    /// All is well; in a few words.
    Good(String),
    /// It can't be known from here, and why.
    Unknown(String),
    /// Runs would fail.
    Bad(Failure),
}

impl Looked {
    pub(crate) fn of(at: &'static str, outcome: Result<String>) -> Self {
        Self { at, outcome: outcome.map_or_else(Outcome::Bad, Outcome::Good) }
    }
}

impl Cluster {
    /// Looks at all that a run needs there. `registry` is where the image is to be.
    pub async fn examine(&self, options: &KubernetesOptions, workers: u32, registry: &str) -> Vec<Looked> {
        let mut looked = vec![
            Looked::of("permissions", self.permissions().await),
            Looked::of("job", self.would_take(options).await.map(|()| "the cluster would take it".to_owned())),
            Looked { at: "pod", outcome: self.pod(options).await },
            Looked { at: "quota", outcome: self.quota(workers).await },
        ];
        for name in &options.pull_secrets {
            looked.push(Looked { at: "pull secret", outcome: self.pull_secret(name, registry).await });
        }
        looked
    }

    async fn may(&self, group: &str, resource: &str, verb: &str) -> Result<bool> {
        let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(a, b)| (a, Some(b)));
        let asked = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": { "resourceAttributes": {
                "namespace": self.namespace, "group": group, "resource": resource, "subresource": subresource, "verb": verb,
            } },
        });
        let asked: SelfSubjectAccessReview = serde_json::from_value(asked)
            .map_err(|error| Failure::new(FailureCode::Internal, "failed to ask for permissions").cause(&error))?;
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = within("ask what the account may do", reviews.create(&PostParams::default(), &asked)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    async fn permissions(&self) -> Result<String> {
        let each =
            NEEDED.iter().flat_map(|(group, resource, verbs)| verbs.iter().map(move |verb| (group, resource, verb)));
        let answers = try_join_all(each.map(async |(group, resource, verb)| {
            Ok::<_, Failure>((format!("{verb} {resource}"), self.may(group, resource, verb).await?))
        }))
        .await?;
        let missing: Vec<&str> = answers.iter().filter(|(_, may)| !may).map(|(what, _)| what.as_str()).collect();
        if missing.is_empty() {
            return Ok(format!("all {} of docs/kubernetes-rbac.yaml", answers.len()));
        }
        Err(Failure::new(FailureCode::InvalidRequest, format!("the account may not {}", missing.join(", ")))
            .hint(format!("allow it: kubectl -n {} apply -f docs/kubernetes-rbac.yaml", self.namespace)))
    }

    /// Admission looks at pods, not at jobs: standards of pod security, quotas, priorities, service accounts.
    async fn pod(&self, options: &KubernetesOptions) -> Outcome {
        match self.may("", "pods", "create").await {
            Ok(true) => {}
            Ok(false) => {
                return Outcome::Unknown("the account may not create pods, which runs leave to the cluster".to_owned());
            }
            Err(failure) => return Outcome::Bad(failure),
        }
        let pod = match spec::dry_run(options).pod() {
            Ok(pod) => pod,
            Err(failure) => return Outcome::Bad(failure),
        };
        let pods = Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::erase::<Pod>(&()));
        let what = format!("start a worker in the namespace {} of {}", self.namespace, self.address);
        match within(&what, post(&pods, pod, true)).await {
            Ok(_) => Outcome::Good("the namespace would take a worker".to_owned()),
            Err(failure) => Outcome::Bad(failure),
        }
    }

    async fn quota(&self, workers: u32) -> Outcome {
        let quotas: Api<ResourceQuota> = Api::namespaced(self.client.clone(), &self.namespace);
        let listed = match quotas.list(&ListParams::default()).await {
            Ok(listed) => listed,
            Err(error) if trouble::is_forbidden(&error) => {
                return Outcome::Unknown("the account may not list resourcequotas".to_owned());
            }
            Err(error) => return Outcome::Bad(trouble::failure("look at quotas", error)),
        };
        let mut told = Vec::new();
        let mut room = u64::MAX;
        for quota in listed {
            let name = quota.metadata.name.unwrap_or_default();
            let (status, hard_wanted) = (quota.status.unwrap_or_default(), quota.spec.unwrap_or_default().hard);
            let hard = status.hard.or(hard_wanted).unwrap_or_default();
            let used = status.used.unwrap_or_default();
            for (what, most) in hard {
                let taken = used.get(&what).map_or("0", |quantity| quantity.0.as_str());
                if matches!(what.as_str(), "pods" | "count/pods")
                    && let (Ok(most), Ok(taken)) = (most.0.parse::<u64>(), taken.parse::<u64>())
                {
                    room = room.min(most.saturating_sub(taken));
                }
                told.push(format!("{name}: {taken} of {} {what} used", most.0));
            }
        }
        match (room, told.is_empty()) {
            (_, true) => Outcome::Good("none".to_owned()),
            (0, _) => Outcome::Bad(
                Failure::new(FailureCode::InvalidRequest, "there is no room for a pod")
                    .cause_text(told.join("; "))
                    .hint("remove pods, or raise the quota: `kubectl describe quota`"),
            ),
            (room, _) if room < u64::from(workers) => {
                Outcome::Good(format!("room for {room} of {workers} workers ({})", told.join("; ")))
            }
            _ => Outcome::Good(told.join("; ")),
        }
    }

    async fn pull_secret(&self, name: &str, registry: &str) -> Outcome {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let bad =
            |message: String, hint: String| Outcome::Bad(Failure::new(FailureCode::InvalidRequest, message).hint(hint));
        let make = format!(
            "make it: kubectl -n {} create secret docker-registry {name} --docker-server={registry} --docker-username=... \
             --docker-password=...",
            self.namespace
        );
        match secrets.get_opt(name).await {
            Err(error) if trouble::is_forbidden(&error) => {
                Outcome::Unknown(format!("the account may not read the secret {name}"))
            }
            Err(error) => Outcome::Bad(trouble::failure("look at the pull secret", error)),
            Ok(None) => bad(format!("there is no secret {name}"), make),
            Ok(Some(secret)) => {
                let data = secret.data.unwrap_or_default();
                let Some(logins) = data.get(LOGINS) else {
                    return bad(format!("the secret {name} holds no logins of registries ({LOGINS})"), make);
                };
                let logins: serde_json::Value = serde_json::from_slice(&logins.0).unwrap_or_default();
                let hosts: Vec<&str> = logins["auths"]
                    .as_object()
                    .into_iter()
                    .flat_map(|auths| auths.keys())
                    .map(String::as_str)
                    .collect();
                if hosts.iter().any(|host| is_of(host, registry)) {
                    Outcome::Good(format!("{name} has a login for {registry}"))
                } else {
                    bad(format!("the secret {name} has no login for {registry}, but for {}", hosts.join(", ")), make)
                }
            }
        }
    }
}

/// Whether a login is for a registry: `https://r.example/v1/` is for `r.example`.
fn is_of(login: &str, registry: &str) -> bool {
    let host = |text: &str| {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    };
    host(login) == host(registry)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Call, FakeCluster};
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde_json::Value;
    use std::collections::BTreeSet;

    const FORBIDDEN: &str =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":403,"reason":"Forbidden","message":"may not"}"#;

    /// A cluster that allows everything but these (`verb resource`), and has these things.
    fn cluster(
        denied: &'static [&'static str],
        things: impl Fn(&Call) -> Option<Value> + Send + Sync + 'static,
    ) -> FakeCluster {
        FakeCluster::new(move |call| {
            if call.path.ends_with("/selfsubjectaccessreviews") {
                let mut review: Value = serde_json::from_str(&call.body).unwrap();
                let asked = &review["spec"]["resourceAttributes"];
                let of = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
                let resource = [of("resource"), of("subresource")].join("/");
                let what = format!("{} {}", of("verb"), resource.trim_end_matches('/'));
                review["status"] = json!({ "allowed": !denied.contains(&what.as_str()) });
                return (201, review.to_string());
            }
            match things(call) {
                Some(thing) => (200, thing.to_string()),
                None if call.method == "POST" => {
                    assert!(call.query.contains("dryRun=All"), "nothing is made: {call:?}");
                    (201, call.body.clone())
                }
                None => (403, FORBIDDEN.to_owned()),
            }
        })
    }

    fn told(looked: &[Looked]) -> Vec<String> {
        let line = |one: &Looked| match &one.outcome {
            Outcome::Good(text) => format!("{}: {text}", one.at),
            Outcome::Unknown(text) => format!("{}? {text}", one.at),
            Outcome::Bad(failure) => format!("{}! {failure}", one.at),
        };
        looked.iter().map(line).collect()
    }

    #[test]
    fn the_documented_permissions_are_those_that_are_looked_at() {
        #[derive(serde::Deserialize)]
        struct Role {
            rules: Vec<Rule>,
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Rule {
            api_groups: Vec<String>,
            resources: Vec<String>,
            verbs: Vec<String>,
        }
        let documented = include_str!("../../../../../docs/kubernetes-rbac.yaml");
        let role: Role = serde_saphyr::from_str(documented.split("\n---").next().unwrap()).unwrap();
        let mut allowed = BTreeSet::new();
        for Rule { api_groups, resources, verbs } in role.rules {
            for resource in &resources {
                allowed.extend(verbs.iter().map(|verb| (api_groups[0].clone(), resource.clone(), verb.clone())));
            }
        }
        let needed = NEEDED.iter().flat_map(|(group, resource, verbs)| {
            verbs.iter().map(move |verb| ((*group).to_owned(), (*resource).to_owned(), (*verb).to_owned()))
        });
        assert_eq!(needed.collect::<BTreeSet<_>>(), allowed);
    }

    #[tokio::test]
    async fn who_may_all_and_has_room_is_told_so() {
        let fake = cluster(&[], |call| {
            let list = |items: Value| json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items });
            call.path.ends_with("/resourcequotas").then(|| {
                list(json!([{ "metadata": { "name": "small" },
                    "status": { "hard": { "pods": "10" }, "used": { "pods": "7" } } }]))
            })
        });
        let looked = fake.cluster().examine(&KubernetesOptions::default(), 4, "r.example").await;
        insta::assert_snapshot!(told(&looked).join("\n"));
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let login = BASE64.encode(r#"{"auths":{"https://other.example/v1/":{"auth":"c2VjcmV0"}}}"#);
        let fake = cluster(&["create pods/portforward", "list events", "create pods"], move |call| {
            let secret = |data: Value| json!({ "kind": "Secret", "apiVersion": "v1", "metadata": {}, "data": data });
            match call.path.rsplit('/').next().unwrap() {
                "other" => Some(secret(json!({ ".dockerconfigjson": login }))),
                "opaque" => Some(secret(json!({ "x": "" }))),
                _ => None,
            }
        });
        let options = KubernetesOptions {
            pull_secrets: vec!["other".into(), "opaque".into(), "hidden".into()],
            ..KubernetesOptions::default()
        };
        let looked = fake.cluster().examine(&options, 4, "r.example").await;
        let told = told(&looked).join("\n");
        assert!(!told.contains("c2VjcmV0") && !told.contains("secret\""), "{told}");
        insta::assert_snapshot!(told);
    }

    #[tokio::test]
    async fn a_full_quota_is_bad() {
        let fake = cluster(&[], |call| {
            call.path.ends_with("/resourcequotas").then(|| {
                json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": [{ "metadata": { "name": "small" },
                    "status": { "hard": { "count/pods": "3", "requests.cpu": "4" }, "used": { "count/pods": "3" } } }] })
            })
        });
        let looked = fake.cluster().examine(&KubernetesOptions::default(), 4, "r.example").await;
        let quota = told(&looked).into_iter().find(|line| line.starts_with("quota")).unwrap();
        assert!(
            quota.starts_with("quota! there is no room for a pod") && quota.contains("3 of 3 count/pods"),
            "{quota}"
        );
    }

    #[test]
    fn logins_are_for_hosts() {
        for (login, registry, expected) in [
            ("r.example", "r.example", true),
            ("https://r.example/v1/", "r.example", true),
            ("https://index.docker.io/v1/", "https://index.docker.io/v1/", true),
            ("r.example:5000", "r.example", false),
            ("example", "r.example", false),
        ] {
            assert_eq!(is_of(login, registry), expected, "{login} {registry}");
        }
    }
}
