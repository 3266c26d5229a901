//! Test frameworks in the harness's words.

use testfleet_protocol::request::Framework;

/// A framework's name and options as the harness takes them.
pub(crate) fn framework(framework: &Framework) -> (String, Vec<(String, String)>) {
    let mut options = Vec::new();
    let mut all = |name: &str, values: &[String]| {
        options.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
    };
    let name = match framework {
        Framework::JunitPlatform { include_tags, exclude_tags, include_engines, exclude_engines } => {
            all("includeTags", include_tags);
            all("excludeTags", exclude_tags);
            all("includeEngines", include_engines);
            all("excludeEngines", exclude_engines);
            "junit-platform"
        }
        Framework::JUnit4 { include_categories, exclude_categories } => {
            all("includeCategories", include_categories);
            all("excludeCategories", exclude_categories);
            "junit4"
        }
        Framework::TestNg { include_groups, exclude_groups, listeners, parallel, thread_count } => {
            all("includeGroups", include_groups);
            all("excludeGroups", exclude_groups);
            all("listeners", listeners);
            all("parallel", parallel.as_slice());
            if *thread_count > 0 {
                all("threadCount", &[thread_count.to_string()]);
            }
            "testng"
        }
    };
    (name.to_owned(), options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_the_names_that_json_gives_them() {
        let testng = Framework::TestNg {
            include_groups: vec!["a".into(), "b".into()],
            exclude_groups: vec!["c".into()],
            listeners: vec!["d".into()],
            parallel: Some("methods".into()),
            thread_count: 4,
        };
        let platform = Framework::JunitPlatform {
            include_tags: vec!["a".into()],
            exclude_tags: vec!["b".into()],
            include_engines: vec!["c".into()],
            exclude_engines: vec!["d".into()],
        };
        let junit4 = Framework::JUnit4 { include_categories: vec!["a".into()], exclude_categories: vec!["b".into()] };
        for known in [testng, platform, junit4] {
            let json = serde_json::to_value(&known).unwrap();
            let (name, options) = framework(&known);
            assert_eq!(json["name"], name.as_str());
            let fields: std::collections::BTreeSet<_> =
                json.as_object().unwrap().keys().filter(|key| *key != "name").collect();
            let named: std::collections::BTreeSet<_> = options.iter().map(|(name, _)| name).collect();
            assert_eq!(named, fields);
        }
    }
}
