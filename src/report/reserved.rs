//! What no output may be written into: what a command reads, where its state is kept, and its other outputs.
//!
//! Files are the same by their names, whatever leads there, or by being the same on the disk under two names. Devices are
//! nobody's.

use std::path::{Path, PathBuf};

use crate::outside::shown;

/// An output that would go into a file that has another purpose.
#[derive(Debug, thiserror::Error)]
#[error("{output} must not be written into {purpose} {}", shown(path))]
pub struct ReservedError {
    output: &'static str,
    purpose: &'static str,
    path: PathBuf,
}

/// Files that have a purpose, with that.
#[derive(Clone, Debug, Default)]
pub struct Reserved(Vec<(&'static str, PathBuf)>);

impl Reserved {
    /// With this file, too.
    #[must_use]
    pub fn with(mut self, purpose: &'static str, path: impl Into<PathBuf>) -> Self {
        self.0.push((purpose, path.into()));
        self
    }

    /// Refuses an output that would go into one of them.
    ///
    /// # Errors
    /// [`ReservedError`] with the purpose of that file.
    pub fn refuse(&self, output: &'static str, path: &Path) -> Result<(), ReservedError> {
        match self.0.iter().find(|(_, reserved)| is_same_file(reserved, path)) {
            Some((purpose, _)) => Err(ReservedError { output, purpose, path: path.to_owned() }),
            None => Ok(()),
        }
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let (Some(one_place), Some(other_place)) = (place(one), place(other)) else { return false };
    one_place == other_place || is_same_on_disk(one, other)
}

/// The one name of a file, whether it is there or only its directory is; `None` for what is no file.
fn place(path: &Path) -> Option<PathBuf> {
    match path.canonicalize() {
        Ok(place) => place.is_file().then_some(place),
        Err(_not_there) => {
            let path = std::path::absolute(path).ok()?;
            Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
        }
    }
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
}
