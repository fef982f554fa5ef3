//! A disk that is soon full, for tests that run as root on Linux.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A small filesystem in memory; it goes with its folder.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of so many megabytes; `None` where none can be made, which is said on standard error, past the test
    /// harness.
    pub(crate) fn new(megabytes: u32) -> Option<Self> {
        let disk = Self { folder: tempfile::tempdir().expect("a temporary directory") };
        let options = format!("size={megabytes}m,mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(disk.path("."));
        let mounted = mount.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            let _closed =
                writeln!(std::io::stderr(), "SKIPPED: {test}: no small disk can be mounted here (it takes root)");
        }
        mounted.then_some(disk)
    }

    /// A path on it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves no room at all.
    pub(crate) fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.path("filler")).expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// From now on nothing can be written on it, not even by root.
    pub(crate) fn make_read_only(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(self.path("."));
        assert!(mount.status().is_ok_and(|status| status.success()), "our own disk");
    }

    /// Gives the room back.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.path("filler")).expect("our own file");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is still ending may have files open. Where nothing was mounted this fails.
        let path: &Path = self.folder.path();
        let _unmounted = Command::new("umount").arg("--lazy").arg(path).stderr(Stdio::null()).status();
    }
}
