//! Names and tags of images.

use super::git;
use std::path::Path;
use testfleet_image::registry::{Place, is_tag};
use testfleet_protocol::image::{ImageOptions, development_tag, worker_tag};
use testfleet_protocol::{Failure, FailureCode, Result};

/// What a tag is made from unless the build says something else.
const USUAL_TAG: &str = "git-{git}";
/// There are no workers with longer numbers.
const LAST_WORKER: u32 = 9_999;

/// How an image is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// Registry and repository.
    pub(crate) name: String,
    /// At least one.
    pub(crate) tags: Vec<String>,
}

impl Names {
    /// The tags of a worker's own image.
    pub(crate) fn of_worker(&self, worker: u32) -> Vec<String> {
        self.tags.iter().map(|tag| worker_tag(tag, worker)).collect()
    }

    /// The tags of the image to work in.
    pub(crate) fn of_development(&self) -> Vec<String> {
        self.tags.iter().map(|tag| development_tag(tag)).collect()
    }
}

/// The names that a build chose, or the usual ones. Outside of git the usual tag is made from the bundle.
///
/// # Errors
/// `InvalidRequest` for what is no name or tag.
pub(crate) fn names(options: &ImageOptions, build: &str, project: &Path, bundle_sha256: &str) -> Result<Names> {
    let name = match &options.name {
        Some(name) => checked_name(name)?,
        None => format!("localhost/testfleet/{}", component(build)),
    };
    let usual = [USUAL_TAG.to_owned()];
    let templates = if options.tags.is_empty() { &usual[..] } else { &options.tags };
    let commit = if templates.iter().any(|tag| tag.contains("{git}")) { git::commit(project) } else { None };
    let mut tags = Vec::new();
    for template in templates {
        let tag = match (&commit, template.contains("{git}")) {
            (None, true) if options.tags.is_empty() => format!("bundle-{}", &bundle_sha256[..12]),
            (None, true) => return Err(no_commit(template, project)),
            (Some(commit), _) => template.replace("{git}", commit),
            (None, false) => template.clone(),
        };
        let tag = tag.replace("{build}", &component(build));
        // Whatever the number of a worker is, there is room for it.
        checked_tag(&if options.per_worker { worker_tag(&tag, LAST_WORKER) } else { tag.clone() })?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(Names { name, tags })
}

fn no_commit(template: &str, project: &Path) -> Failure {
    Failure::new(FailureCode::InvalidRequest, format!("failed to make a tag of `{template}`"))
        .cause_text(format!("{} is in no git work tree with a commit", project.display()))
        .hint("name tags without {git}: testfleet { image { tags = ['latest'] } }")
}

/// A build's name as a part of a repository's: lower-case letters, digits, and single separators between them.
fn component(build: &str) -> String {
    let words: String =
        build.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "build".to_owned() } else { words.join("-").chars().take(100).collect() }
}

fn checked_name(name: &str) -> Result<String> {
    match Place::parse(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(failure) => Err(Failure {
            message: format!("failed to name an image `{name}`"),
            ..failure.hint(
                "a name is a registry's host and port, and a path of lower-case letters, digits and `.`, `_`, `-`, for \
                 example: testfleet { image { name = 'registry.example:5000/team/app-tests' } }; tags go into `tags`",
            )
        }),
    }
}

fn checked_tag(tag: &str) -> Result<()> {
    if is_tag(tag) {
        return Ok(());
    }
    Err(Failure::new(FailureCode::InvalidRequest, format!("failed to tag an image `{tag}`"))
        .cause_text("a tag has up to 128 letters, digits and `.`, `_`, `-`, and begins with neither `.` nor `-`")
        .hint("for example: testfleet { image { tags = ['git-{git}', 'latest'] } }"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: Option<&str>, tags: &[&str]) -> Result<Names> {
        let tags = tags.iter().map(ToString::to_string).collect();
        let options = ImageOptions { name: name.map(str::to_owned), tags, ..ImageOptions::default() };
        let nowhere = tempfile::tempdir().unwrap();
        names(&options, "My App!", nowhere.path(), &"0123456789abcdef".repeat(4))
    }

    #[test]
    fn what_is_not_chosen_comes_from_the_build() {
        let usual = made(None, &[]).unwrap();
        assert_eq!(
            (usual.name.as_str(), usual.tags),
            ("localhost/testfleet/my-app", vec!["bundle-0123456789ab".to_owned()])
        );
        let chosen = made(Some("registry.example:5000/team/app"), &["{build}-1", "latest", "latest"]).unwrap();
        assert_eq!(chosen.tags, ["my-app-1", "latest"]);
        assert!(made(None, &["git-{git}"]).unwrap_err().message.contains("git-{git}"));
    }

    #[test]
    fn what_is_no_name_or_tag_is_refused() {
        for name in ["", "Team/app/", "a//b", "registry.example:port/a", "a:tag", "team/App", "-a", "a/b@sha256"] {
            assert!(made(Some(name), &["x"]).is_err(), "{name}");
        }
        for name in ["app", "team/app", "REGISTRY.example:5000/a_b/c.d", "localhost/x"] {
            assert_eq!(made(Some(name), &["x"]).unwrap().name, name);
        }
        for tag in ["", ".a", "-a", "a b", "ä", &"a".repeat(129)] {
            assert!(made(None, &[tag]).is_err(), "{tag}");
        }
        let nowhere = tempfile::tempdir().unwrap();
        let long = ImageOptions { per_worker: true, tags: vec!["a".repeat(120)], ..ImageOptions::default() };
        let failure = names(&long, "app", nowhere.path(), "").unwrap_err();
        assert!(failure.message.contains("-worker-9999"), "those of workers are longer: {failure}");
    }
}
