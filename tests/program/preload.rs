//! Libraries that are put before the system's own, for disks that fail or hang.

use std::io::Write as _;
use std::process::Command;

use crate::rehearsal::Folder;

/// Compiles such a library; `None` where there is no compiler, which is said past the test harness.
pub(crate) fn preloaded(folder: &Folder, source: &str) -> Option<String> {
    folder.write("preloaded.c", source);
    let library = folder.path("preloaded.so").display().to_string();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o", &library]).arg(folder.path("preloaded.c"));
    let is_there = compiler.status().is_ok_and(|status| status.success());
    if !is_there {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let _closed =
            writeln!(std::io::stderr(), "SKIPPED: {test}: no C compiler for a disk that does not do its work");
    }
    is_there.then_some(library)
}
