//! `testfleet cache`: the artifact store of this machine.

use clap::{Args, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use testfleet_image::restore::{Restored, Source, restore};
use testfleet_image::store::{Policy, Pruned, STORE_VARIABLE, Store, Stored, Verified};
use testfleet_protocol::image::RegistryOptions;
use testfleet_protocol::{Failure, FailureCode, Result};

#[derive(Subcommand)]
pub(crate) enum CacheAction {
    /// List what the store keeps, the last used first
    Ls {
        #[command(flatten)]
        place: Place,
        /// Also what each layer was made from
        #[arg(long, short)]
        verbose: bool,
    },
    /// Throw away what was not used for long and what is too much; what running builds need stays
    Prune {
        #[command(flatten)]
        place: Place,
        /// Most bytes that stay, such as 500M or 10G
        #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "10G")]
        max_size: u64,
        /// What was not used for so many days goes
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        max_age: u32,
    },
    /// Read everything, and remove what is damaged
    Verify {
        #[command(flatten)]
        place: Place,
    },
    /// Fill Gradle's read-only dependency cache from an image, and print the line that makes Gradle use it
    Restore(Restore),
}

#[derive(Args)]
pub(crate) struct Restore {
    /// Of a registry, a folder in the OCI layout, a tar file, or `last`: the one that image.json names
    image: String,
    /// The cache's folder, instead of GRADLE_RO_DEP_CACHE or `gradle` in the user's cache folder of Testfleet
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// What `last` is
    #[arg(long, value_name = "FILE", default_value = "build/testfleet/image.json")]
    image_json: PathBuf,
    /// A registry that speaks plain HTTP; those on the loopback interface may
    #[arg(long, value_name = "HOST:PORT")]
    insecure: Vec<String>,
    /// Certificates in PEM that are trusted besides the machine's
    #[arg(long, value_name = "FILE")]
    authorities: Option<PathBuf>,
    /// Name of the variable with the registry's user; without one, Docker's logins count
    #[arg(long, value_name = "NAME")]
    user_variable: Option<String>,
    /// Name of the variable with the registry's password or token
    #[arg(long, value_name = "NAME")]
    password_variable: Option<String>,
}

impl Restore {
    /// Does it, says on `about` what came of it, and writes to `out` the line for a shell alone.
    fn run(&self, out: &mut impl Write, about: &mut impl Write) -> Result<()> {
        let registry = RegistryOptions {
            insecure: self.insecure.clone(),
            authorities: self.authorities.clone(),
            user_variable: self.user_variable.clone(),
            password_variable: self.password_variable.clone(),
        };
        let environment = crate::environment();
        let source =
            Source { image: &self.image, image_json: &self.image_json, registry: &registry, environment: &environment };
        let to = match self.to.clone().or_else(|| environment.get(GRADLE_VARIABLE).map(PathBuf::from)) {
            Some(to) => std::path::absolute(&to).map_err(|error| Failure::io("find", &to, &error))?,
            None => Store::usual_dir(|name| environment.get(name).cloned())?.join("gradle"),
        };
        let restored = restore(&source, &to)?;
        let _ = writeln!(about, "{}", describe(&restored, &source.to_string()));
        let _ = writeln!(out, "export {GRADLE_VARIABLE}={}", quoted(&to.to_string_lossy()));
        Ok(())
    }
}

/// The variable that names a read-only dependency cache to Gradle.
const GRADLE_VARIABLE: &str = "GRADLE_RO_DEP_CACHE";

fn describe(restored: &Restored, image: &str) -> String {
    let Restored { files, bytes, there, fetched, has_metadata } = restored;
    let mut text = format!(
        "Restored {files} files, {}, from {image}; {there} were there, {} were fetched",
        size(*bytes),
        size(*fetched)
    );
    if !has_metadata {
        text.push_str(
            "\nThe image has the tests' jars alone: Gradle downloads metadata and plugins, unless it is made with \
             testfleet { image { dependencyCache = true } }",
        );
    }
    text
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@:,".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[derive(Args)]
pub(crate) struct Place {
    /// The store's folder, instead of TESTFLEET_STORE or the user's cache folder
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
}

impl Place {
    /// A store that is there: looking at one makes none.
    fn open(&self) -> Result<Store> {
        let dir = match &self.store {
            Some(dir) => dir.clone(),
            None => Store::usual_dir(|name| std::env::var(name).ok())?,
        };
        if dir.join("blobs").is_dir() {
            return Store::open(&dir);
        }
        Err(Failure::new(FailureCode::InvalidRequest, format!("failed to find an artifact store in {}", dir.display()))
            .hint(format!("`./gradlew image` makes it; or name another with --store or {STORE_VARIABLE}")))
    }
}

/// Does it, and writes to `out` what came of it.
pub(crate) fn run(action: &CacheAction, out: &mut impl Write) -> Result<()> {
    let text = match action {
        CacheAction::Ls { place, verbose } => {
            let store = place.open()?;
            format!("{}\n{}", store.dir().display(), listing(&store.list()?, *verbose, SystemTime::now()))
        }
        CacheAction::Prune { place, max_size, max_age } => {
            let max_age = Duration::from_secs(u64::from(*max_age) * 86_400);
            pruned(&place.open()?.prune(&Policy { max_size: *max_size, max_age })?)
        }
        CacheAction::Verify { place } => verified(&place.open()?.verify()?),
        CacheAction::Restore(restore) => return restore.run(out, &mut std::io::stderr()),
    };
    // Whoever read has gone: nobody waits for the rest.
    let _ = writeln!(out, "{text}");
    Ok(())
}

fn listing(stored: &[Stored], verbose: bool, now: SystemTime) -> String {
    let mut lines = Vec::new();
    for blob in stored {
        let mut holds: Vec<&str> = blob.layers.iter().map(|layer| layer.holds.as_str()).collect();
        holds.dedup();
        let holds = if holds.is_empty() { "a layer of a base".to_owned() } else { holds.join(", ") };
        let state = if blob.in_use { ", in use" } else { "" };
        let age = ago(now.duration_since(blob.last_used).unwrap_or_default());
        lines.push(format!("{}  {:>9}  {age}{state}  {holds}", &blob.digest.hex()[..12], size(blob.size)));
        if verbose {
            let made_from = blob.layers.iter().flat_map(|layer| &layer.made_from);
            lines.extend(made_from.map(|from| format!("                {}", from.path)));
        }
    }
    let total: u64 = stored.iter().map(|blob| blob.size).sum();
    lines.push(format!("{}, {}", layers(stored.len() as u64), size(total)));
    lines.join("\n")
}

fn pruned(pruned: &Pruned) -> String {
    format!(
        "Removed {}, {}; {} stay, {}",
        layers(pruned.removed),
        size(pruned.removed_bytes),
        pruned.kept,
        size(pruned.kept_bytes)
    )
}

fn verified(verified: &Verified) -> String {
    let are = if verified.whole == 1 { "is" } else { "are" };
    let mut lines = vec![format!("{} {are} whole, {}", layers(verified.whole), size(verified.bytes))];
    lines.extend(verified.removed.iter().map(|digest| format!("{digest} was damaged and is removed")));
    lines.extend(
        verified.in_use.iter().map(|digest| format!("{digest} is damaged and in use: the next build replaces it")),
    );
    lines.join("\n")
}

fn layers(count: u64) -> String {
    format!("{count} {}", if count == 1 { "layer" } else { "layers" })
}

fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1_000_000.0)
}

fn ago(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds < 3_600 => format!("{:>3} min ago", seconds / 60),
        seconds if seconds < 172_800 => format!("{:>3} h ago  ", seconds / 3_600),
        seconds => format!("{:>3} d ago  ", seconds / 86_400),
    }
}

/// `500M`, `10G`, in powers of 1024 as for Gradle's and Java's own sizes; without a letter bytes.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'k']) {
        Some(digits) => (digits, 10),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 20),
            None => text.strip_suffix(['G', 'g']).map_or((text, 0), |digits| (digits, 30)),
        },
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "it is a number, with K, M or G behind it, such as 10G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let lease = store.lease().unwrap();
        for content in [&[1_u8; 2_000_000][..], &[2; 500_000]] {
            let mut writer = lease.writer().unwrap();
            writer.write_all(content).unwrap();
            writer.finish().unwrap();
        }
        let place = Place { store: Some(folder.path().to_owned()) };
        (folder, place)
    }

    fn said(action: &CacheAction) -> String {
        let mut out = Vec::new();
        run(action, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_store_is_listed_pruned_and_looked_through() {
        let (folder, place) = filled();
        let listed = said(&CacheAction::Ls { place, verbose: true });
        assert!(listed.contains("2.0 MB    0 min ago  a layer of a base"), "{listed}");
        assert!(listed.ends_with("2 layers, 2.5 MB\n"), "{listed}");
        let place = || Place { store: Some(folder.path().to_owned()) };
        assert_eq!(said(&CacheAction::Verify { place: place() }), "2 layers are whole, 2.5 MB\n");
        let pruned = said(&CacheAction::Prune { place: place(), max_size: 1 << 20, max_age: 30 });
        assert_eq!(pruned, "Removed 1 layer, 2.0 MB; 1 stay, 0.5 MB\n");
        let blob = std::fs::read_dir(folder.path().join("blobs")).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_file(&blob).unwrap();
        std::fs::write(&blob, "damaged").unwrap();
        assert!(said(&CacheAction::Verify { place: place() }).contains("was damaged and is removed"));
    }

    #[test]
    fn no_store_is_made_by_looking_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { store: Some(folder.path().join("none")) };
        let failure = run(&CacheAction::Verify { place }, &mut Vec::new()).unwrap_err();
        assert!(failure.hint.unwrap().contains("--store"));
        assert!(!folder.path().join("none").exists());
    }

    #[test]
    fn the_line_for_a_shell_is_one_word_and_what_is_missing_is_said() {
        assert_eq!(quoted("/home/ci/.cache/testfleet/gradle"), "/home/ci/.cache/testfleet/gradle");
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
        let restored = Restored { files: 3, bytes: 2_500_000, there: 1, fetched: 0, has_metadata: true };
        let said = describe(&restored, "r.example/app:1");
        assert_eq!(said, "Restored 3 files, 2.5 MB, from r.example/app:1; 1 were there, 0.0 MB were fetched");
        let said = describe(&Restored { has_metadata: false, ..restored }, "last");
        assert!(said.contains("dependencyCache = true"), "{said}");
    }

    #[test]
    fn sizes_have_letters() {
        for (text, expected) in
            [("0", Some(0)), ("500M", Some(500 << 20)), ("10g", Some(10 << 30)), ("2K", Some(2_048))]
        {
            assert_eq!(parse_size(text).ok(), expected);
        }
        for wrong in ["", "G", "1.5G", "-1", "10T", "99999999999G"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
