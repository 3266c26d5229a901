//! Folders of a worker's own, for what tests and libraries otherwise keep in the user's home.

use std::fs;
use std::path::Path;
use testfleet_protocol::{Failure, Result};

/// Variables that name folders of the user, and where they are below the worker's home.
const VARIABLES: [(&str, &str); 6] = [
    ("HOME", ""),
    ("XDG_CACHE_HOME", ".cache"),
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_DATA_HOME", ".local/share"),
    ("XDG_STATE_HOME", ".local/state"),
    ("XDG_RUNTIME_DIR", ".run"),
];

/// Environment and system properties that lead to folders below `home`, which are made.
pub(crate) struct OwnFolders {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) properties: Vec<(String, String)>,
}

/// # Errors
/// `Io` when a folder can't be made.
pub(crate) fn own_folders(home: &Path) -> Result<OwnFolders> {
    let mut environment = Vec::new();
    for (name, below) in VARIABLES {
        let folder = if below.is_empty() { home.to_owned() } else { home.join(below) };
        fs::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
        environment.push((name.to_owned(), folder.display().to_string()));
    }
    let home = home.display().to_string();
    let properties = ["user.home", "java.util.prefs.userRoot"].map(|name| (name.to_owned(), home.clone()));
    Ok(OwnFolders { environment, properties: properties.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_there_and_below_home() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        let own = own_folders(&home).unwrap();
        for (name, value) in own.environment.iter().chain(&own.properties) {
            assert!(Path::new(value).starts_with(&home) && Path::new(value).is_dir(), "{name}={value}");
        }
    }
}
