//! What no output may be written into: what a command reads, where its state is kept, and its other outputs.
//!
//! Files are the same by their names, whatever leads there, or by being the same on the disk under two names. Devices are
//! nobody's. A directory is reserved for what is in it now and for what may come: nothing new is made there either, by
//! whatever name it is reached.

use std::path::{Path, PathBuf};

use crate::outside::shown;

/// No system follows more links than this, one after the other.
pub(super) const MOST_LINKS: u32 = 40;

/// An output that would go into a file that has another purpose.
#[derive(Debug, thiserror::Error)]
#[error("{output} must not be written into {purpose} {}", shown(path))]
pub(crate) struct ReservedError {
    output: &'static str,
    purpose: &'static str,
    path: PathBuf,
}

/// Files and directories that have a purpose, with that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reserved {
    files: Vec<(&'static str, PathBuf)>,
    directories: Vec<(&'static str, PathBuf)>,
}

impl Reserved {
    /// With this file, too.
    pub(crate) fn with(mut self, purpose: &'static str, path: impl Into<PathBuf>) -> Self {
        self.files.push((purpose, path.into()));
        self
    }

    /// With everything that is or could be in this directory, too, but not in directories in it.
    pub(crate) fn with_directory(mut self, purpose: &'static str, path: impl Into<PathBuf>) -> Self {
        self.directories.push((purpose, path.into()));
        self
    }

    /// Refuses an output that would go into one of them.
    ///
    /// # Errors
    /// [`ReservedError`] with the purpose of that file or directory.
    pub(crate) fn refuse(&self, output: &'static str, path: &Path) -> Result<(), ReservedError> {
        let of_files = self.files.iter().find(|(_, reserved)| is_same_file(reserved, path));
        let of_directories = || self.directories.iter().find(|(_, reserved)| is_within(reserved, path));
        match of_files.or_else(of_directories) {
            Some((purpose, _)) => Err(ReservedError { output, purpose, path: path.to_owned() }),
            None => Ok(()),
        }
    }
}

/// Whether a file is in this directory, or would be made there.
fn is_within(directory: &Path, path: &Path) -> bool {
    let Some(place) = place(path) else { return false };
    let (Some(parent), Some(directory)) = (place.parent(), resolved(directory)) else { return false };
    parent == directory || is_same_on_disk(parent, &directory)
}

/// Whether two names are of one file, which may not be there yet. Devices are no files.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    let (Some(one_place), Some(other_place)) = (place(one), place(other)) else { return false };
    one_place == other_place || is_same_on_disk(one, other)
}

/// The one name of a file, whether it is there or only its directory is; `None` for what is no file.
fn place(path: &Path) -> Option<PathBuf> {
    match path.canonicalize() {
        Ok(place) => place.is_file().then_some(place),
        Err(_not_there) => {
            let mut path = std::path::absolute(path).ok()?;
            // A link that leads to nothing yet; a circle of them leads nowhere.
            for _ in 0..MOST_LINKS {
                let Ok(target) = path.read_link() else { break };
                path = path.parent()?.join(target);
            }
            Some(resolved(path.parent()?)?.join(path.file_name()?))
        }
    }
}

/// The one name of a directory, of which the end may not be there yet.
fn resolved(directory: &Path) -> Option<PathBuf> {
    let directory = std::path::absolute(directory).ok()?;
    directory.ancestors().find_map(|there| {
        let rest = directory.strip_prefix(there).ok()?;
        Some(there.canonicalize().ok()?.join(rest))
    })
}

#[cfg(unix)]
fn is_same_on_disk(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

#[cfg(not(unix))]
const fn is_same_on_disk(_one: &Path, _other: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_whatever_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("below")).expect("a directory");
        std::fs::write(at("input.csv"), "x").expect("a file");
        let reserved = Reserved::default().with("the input", at("input.csv")).with("the log", at("new.log"));
        let mut same = vec![at("input.csv"), at("./input.csv"), at("below/../input.csv"), at("below/../new.log")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../input.csv", at("below/link.csv")).expect("a link");
            std::fs::hard_link(at("input.csv"), at("other name.csv")).expect("a link");
            same.extend([at("below/link.csv"), at("other name.csv")]);
        }
        for path in same {
            assert!(reserved.refuse("the results", &path).is_err(), "{}", path.display());
        }
        for path in [at("out.csv"), at("missing/input.csv"), at("below"), "/dev/null".into()] {
            assert!(reserved.clone().with("the log", "/dev/null").refuse("the results", &path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn nothing_new_is_made_in_a_directory_that_has_a_purpose_by_whatever_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at("state/below")).expect("a directory");
        std::fs::write(at("state/notes.csv"), "x").expect("a file");
        let reserved = Reserved::default()
            .with_directory("the state directory", at("state"))
            .with_directory("the state directory", at("missing"));
        let mut within =
            vec![at("state/new.csv"), at("state/notes.csv"), at("state/below/../new.csv"), at("missing/new.csv")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("state", at("link")).expect("a link");
            std::os::unix::fs::symlink("state/new.csv", at("dangling.csv")).expect("a link");
            std::os::unix::fs::symlink("state/notes.csv", at("notes.csv")).expect("a link");
            within.extend([at("link/new.csv"), at("dangling.csv"), at("notes.csv")]);
        }
        for path in within {
            let error = reserved.refuse("the machines", &path).expect_err("it has a purpose");
            let text = format!("the machines must not be written into the state directory {}", path.display());
            assert_eq!(error.to_string(), text);
        }
        for path in [at("new.csv"), at("state/below/new.csv"), at("missing/below/new.csv"), "/dev/null".into()] {
            assert!(reserved.refuse("the machines", &path).is_ok(), "{path:?}");
        }
    }
}
