//! What lies where in a layer, and its tar file: sorted, with fixed times, owners and modes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use testfleet_protocol::{Failure, FailureCode, Result};

/// Bytes that are read at once. Fixed, so that an encoder sees the same pieces on each machine.
const PIECE: usize = 1 << 17;

/// Files, folders and links of a layer by their path in the image, without a slash before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

/// What lies at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Folder { mode: u32 },
    File { from: Source, mode: u32 },
    Link { to: String },
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// Is told of each file's bytes, in pieces, and with `None` of its end.
pub(crate) type OnBytes<'a> = &'a mut dyn FnMut(&str, Option<&[u8]>);

/// What all may read; folders are entered.
pub(crate) const FOLDER: u32 = 0o755;
/// What all may read.
pub(crate) const PLAIN: u32 = 0o644;
/// What all may run.
pub(crate) const PROGRAM: u32 = 0o755;

impl Tree {
    /// Adds something and the folders on the way to it. What is there already is replaced, but no folder by a folder that
    /// was only on the way.
    pub(crate) fn add(&mut self, path: &str, node: Node) {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            if !self.nodes.contains_key(folder) {
                self.nodes.insert(folder.to_owned(), Node::Folder { mode: folder_mode(folder) });
            }
        }
        if !path.is_empty() {
            self.nodes.insert(path.to_owned(), node);
        }
    }

    pub(crate) fn add_folder(&mut self, path: &str) {
        self.add(path, Node::Folder { mode: folder_mode(path.trim_matches('/')) });
    }

    #[cfg(test)]
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The files of this machine that are in it.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.nodes.values().filter_map(|node| match node {
            Node::File { from: Source::File(path), .. } => Some(path.as_path()),
            _ => None,
        })
    }

    #[cfg(test)]
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.nodes.keys().map(String::as_str).collect()
    }

    /// Writes it as a tar file.
    ///
    /// # Errors
    /// `Io` when a file can't be read, or changes while it is, or `to` can't be written.
    pub(crate) fn write(&self, to: &mut dyn Write, on_bytes: OnBytes<'_>) -> Result<()> {
        let mut tar = tar::Builder::new(to);
        for (path, node) in &self.nodes {
            write_node(&mut tar, path, node, on_bytes)?;
        }
        tar.into_inner().map(drop).map_err(|error| cannot_write(&error))
    }
}

/// Below the project tests write where they please, as in a clone: whoever the worker's user is.
fn folder_mode(path: &str) -> u32 {
    let project = crate::place::root("project");
    let is_within = path.strip_prefix(&project[1..]).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_within { 0o777 } else { FOLDER }
}

fn write_node(tar: &mut tar::Builder<&mut dyn Write>, path: &str, node: &Node, on_bytes: OnBytes<'_>) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    match node {
        Node::Folder { mode } => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(*mode);
            header.set_size(0);
            tar.append_data(&mut header, format!("{path}/"), std::io::empty()).map_err(|error| cannot_write(&error))
        }
        Node::Link { to } => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, path, to).map_err(|error| cannot_write(&error))
        }
        Node::File { from, mode } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(*mode);
            let mut pieces = Pieces::open(path, from, on_bytes)?;
            header.set_size(pieces.left);
            let written = tar.append_data(&mut header, path, &mut pieces);
            pieces.end(written)
        }
    }
}

fn cannot_write(error: &std::io::Error) -> Failure {
    let failure = Failure::new(FailureCode::Io, "failed to write a layer").cause(error);
    if error.kind() == ErrorKind::StorageFull {
        return failure.hint(
            "make room on the disk of the artifact store (`testfleet cache prune`), or choose another: \
             testfleet { image { store { dir = file('...') } } }",
        );
    }
    failure
}

/// Reads a file in pieces of a fixed size, as many bytes as it had when it was opened, and shows them.
struct Pieces<'a> {
    path: &'a str,
    from: &'a Source,
    file: Box<dyn Read + 'a>,
    left: u64,
    on_bytes: OnBytes<'a>,
    piece: Vec<u8>,
    shown: usize,
    failed: Option<std::io::Error>,
}

impl<'a> Pieces<'a> {
    fn open(path: &'a str, from: &'a Source, on_bytes: OnBytes<'a>) -> Result<Self> {
        let (file, left): (Box<dyn Read + 'a>, u64) = match from {
            Source::Bytes(bytes) => (Box::new(bytes.as_slice()), bytes.len() as u64),
            Source::File(source) => {
                let failed = |error: &std::io::Error| Failure::io("read", source, error);
                let file = File::open(source).map_err(|error| failed(&error))?;
                let size = file.metadata().map_err(|error| failed(&error))?.len();
                (Box::new(file), size)
            }
        };
        Ok(Self { path, from, file, left, on_bytes, piece: Vec::new(), shown: 0, failed: None })
    }

    fn fill(&mut self) -> std::io::Result<()> {
        let wanted = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        self.piece.resize(wanted, 0);
        self.shown = 0;
        if wanted > 0 {
            self.file.read_exact(&mut self.piece)?;
            self.left -= wanted as u64;
            (self.on_bytes)(self.path, Some(&self.piece));
        }
        Ok(())
    }

    fn end(self, written: std::io::Result<()>) -> Result<()> {
        if let (Some(error), Source::File(path)) = (&self.failed, self.from) {
            let failure = Failure::io("read", path, error);
            return Err(match error.kind() {
                ErrorKind::UnexpectedEof => failure.hint("it became shorter while it was read: run the task again"),
                _ => failure,
            });
        }
        written.map_err(|error| cannot_write(&error))?;
        (self.on_bytes)(self.path, None);
        Ok(())
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.shown == self.piece.len()
            && let Err(error) = self.fill()
        {
            let kind = error.kind();
            self.failed = Some(error);
            return Err(kind.into());
        }
        let count = to.len().min(self.piece.len() - self.shown);
        to[..count].copy_from_slice(&self.piece[self.shown..self.shown + count]);
        self.shown += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Node {
        Node::File { from: Source::Bytes(text.into()), mode: PLAIN }
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_have_fixed_modes() {
        let mut tree = Tree::default();
        tree.add("/testfleet/project/app/a.txt", bytes("a"));
        tree.add("opt/java/17/bin/java", Node::File { from: Source::Bytes(b"x".to_vec()), mode: PROGRAM });
        tree.add("opt/java/17/man", Node::Link { to: "../man".to_owned() });
        tree.add_folder("testfleet/build/");
        let mut tar = Vec::new();
        tree.write(&mut tar, &mut |_, _| {}).unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
                assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
                format!("{} {:o}", entry.path().unwrap().display(), header.mode().unwrap())
            })
            .collect();
        insta::assert_snapshot!(seen.join("\n"), @r"
        opt/ 755
        opt/java/ 755
        opt/java/17/ 755
        opt/java/17/bin/ 755
        opt/java/17/bin/java 755
        opt/java/17/man 777
        testfleet/ 755
        testfleet/build/ 755
        testfleet/project/ 777
        testfleet/project/app/ 777
        testfleet/project/app/a.txt 644
        ");
    }

    #[test]
    fn long_paths_and_large_files_are_whole() {
        let mut tree = Tree::default();
        let path = format!("{}/{}", "d".repeat(120), "f".repeat(150));
        let content: Vec<u8> = (0..PIECE * 2 + 7).map(|at| (at % 251) as u8).collect();
        tree.add(&path, Node::File { from: Source::Bytes(content.clone()), mode: PLAIN });
        let (mut tar, mut shown, mut ended) = (Vec::new(), Vec::new(), 0);
        tree.write(&mut tar, &mut |_, bytes| match bytes {
            Some(bytes) => shown.extend_from_slice(bytes),
            None => ended += 1,
        })
        .unwrap();
        assert!(shown == content && ended == 1);
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.nth(1).unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_string_lossy(), path);
        let mut read = Vec::new();
        entry.read_to_end(&mut read).unwrap();
        assert!(read == content);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let mut tree = Tree::default();
        tree.add("a", Node::File { from: Source::File("/nowhere/a".into()), mode: PLAIN });
        let failure = tree.write(&mut Vec::new(), &mut |_, _| {}).unwrap_err();
        assert!(failure.message.contains("/nowhere/a"), "{failure}");
    }
}
