//! Where the state lives, and whether that place is safe: ours alone, and on a disk whose locks can be trusted.

use std::fs::{DirBuilder, DirEntry, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etcetera::BaseStrategy;

use crate::store::StoreError;
use crate::store::engine::file_names::{DATABASE_NAME, LOCK_DIRECTORY, journal_of, seal_of, witness_of};

/// The directory for state on this platform: `$XDG_STATE_HOME/tagfleet` or `~/.local/state/tagfleet` on Linux and macOS,
/// `%LOCALAPPDATA%\tagfleet` on Windows.
///
/// # Errors
/// [`StoreError::NoDirectory`] when there is no home directory.
pub(crate) fn default_directory() -> Result<PathBuf, StoreError> {
    let strategy = etcetera::choose_base_strategy().map_err(|_no_home| StoreError::NoDirectory)?;
    let base = strategy.state_dir().unwrap_or_else(|| strategy.cache_dir());
    Ok(base.join("tagfleet"))
}

/// Where the locks of processes are in a state directory.
pub(crate) fn lock_directory(path: &Path) -> PathBuf {
    path.join(LOCK_DIRECTORY)
}

/// The files of a state directory: the database with what `SQLite` puts beside it, its witness and its seal, there or not, and
/// whatever else of ours is there.
pub(crate) fn state_files(path: &Path) -> Vec<PathBuf> {
    let mut files = database_files(path);
    let entries = |directory: &Path| directory.read_dir().into_iter().flatten().flatten();
    let is_ours = |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with(DATABASE_NAME);
    files.extend(entries(path).filter(is_ours).chain(entries(&lock_directory(path))).map(|entry| entry.path()));
    files
}

/// The database with what `SQLite` puts beside it, its witness and its seal, there or not.
fn database_files(path: &Path) -> Vec<PathBuf> {
    let ends = ["", "-wal", "-shm", "-journal"].into_iter();
    ends.map(|end| path.join(format!("{DATABASE_NAME}{end}"))).chain([witness_of(path), seal_of(path)]).collect()
}

/// Makes the directory if it is missing (0700) and refuses one that is not safe.
pub(in crate::store) fn secure(path: &Path) -> Result<(), StoreError> {
    let failed = |source: io::Error| StoreError::Io { path: path.to_owned(), source: Arc::new(source) };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    make_private_directory(&mut builder);
    builder.create(path).map_err(failed)?;
    check(path)
}

/// Refuses a directory that is not safe, or holds files that are not; makes nothing.
pub(in crate::store) fn check(path: &Path) -> Result<(), StoreError> {
    refuse_others(path)?;
    let locks = lock_directory(path).read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let locks = locks.filter(|path| path.extension().is_some_and(|ending| ending == "lock"));
    database_files(path).into_iter().chain(locks).try_for_each(|file| refuse_no_file(&file))?;
    for file in database_files(path).iter().chain([&lock_directory(path)]) {
        match refuse_others(file) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            checked => checked?,
        }
    }
    refuse_network_filesystem(path)
}

/// Refuses what is there and no file, such as a named pipe, which would keep whoever opens it for ever.
pub(in crate::store) fn refuse_no_file(path: &Path) -> Result<(), StoreError> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let source = Arc::new(io::Error::other("it is no ordinary file"));
        return Err(StoreError::Io { path: path.to_owned(), source });
    }
    Ok(())
}

/// Refuses a database that has been cut down to nothing while its journal is there: `SQLite` would take it for a new one, and
/// throw its journal away.
pub(in crate::store) fn refuse_emptied(database: &Path) -> Result<(), StoreError> {
    /// No database is shorter.
    const SHORTEST: u64 = 512;
    refuse_no_file(database)?;
    let length = |path: &Path| path.metadata().map(|metadata| metadata.len());
    let has_journal = length(&journal_of(database)).is_ok_and(|length| length > 0);
    match length(database) {
        Ok(length) if length < SHORTEST && (length > 0 || has_journal) => {
            Err(StoreError::Emptied { path: database.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && has_journal => {
            Err(StoreError::Gone { path: database.to_owned() })
        }
        _ => Ok(()),
    }
}

/// Makes an empty file that only its owner can read (0600), or leaves the one that is there.
pub(in crate::store) fn create_private_file(path: &Path) -> Result<File, StoreError> {
    refuse_no_file(path)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    make_private_file(&mut options);
    options.open(path).map_err(|source| StoreError::Io { path: path.to_owned(), source: Arc::new(source) })
}

#[cfg(unix)]
fn make_private_directory(builder: &mut DirBuilder) {
    use std::os::unix::fs::DirBuilderExt;
    builder.mode(0o700);
}

#[cfg(unix)]
fn make_private_file(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

/// Refuses what somebody else may change: a file may be writable in a directory that is not.
#[cfg(unix)]
fn refuse_others(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt;
    let metadata =
        std::fs::metadata(path).map_err(|source| StoreError::Io { path: path.to_owned(), source: Arc::new(source) })?;
    let (path, is_directory) = (path.to_owned(), metadata.is_dir());
    let (owner, ours) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != ours {
        return Err(StoreError::OfAnother { path, is_directory, owner, ours });
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(StoreError::WritableByOthers { path, is_directory });
    }
    Ok(())
}

/// Whether others can neither list the directory nor reach anything in it.
#[cfg(unix)]
pub(crate) fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    const OTHERS: u32 = 0o077;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & OTHERS == 0)
}

// On Windows the profile directory's access list already keeps other users out.
#[cfg(not(unix))]
const fn make_private_directory(_builder: &mut DirBuilder) {}

#[cfg(not(unix))]
const fn make_private_file(_options: &mut OpenOptions) {}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "the counterpart for Unix can refuse")]
const fn refuse_others(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) const fn is_private(_path: &Path) -> bool {
    true
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn refuse_network_filesystem(path: &Path) -> Result<(), StoreError> {
    // The magic numbers of statfs(2).
    const NETWORK_FILESYSTEMS: [(u64, &str); 8] = [
        (0x6969, "NFS"),
        (0x517B, "SMB"),
        (0xFE53_4D42, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0x0102_1997, "9P"),
        (0x00C3_6400, "Ceph"),
        (0x5346_414F, "AFS"),
        (0x7375_7245, "Coda"),
    ];
    let status = rustix::fs::statfs(path)
        .map_err(|source| StoreError::Io { path: path.to_owned(), source: Arc::new(source.into()) })?;
    let kind = u64::from_ne_bytes(status.f_type.to_ne_bytes()) & 0xFFFF_FFFF;
    match NETWORK_FILESYSTEMS.iter().find(|(magic, _)| *magic == kind) {
        Some((_, filesystem)) => Err(StoreError::NetworkFilesystem { path: path.to_owned(), filesystem }),
        None => Ok(()),
    }
}

#[cfg(target_vendor = "apple")]
fn refuse_network_filesystem(path: &Path) -> Result<(), StoreError> {
    let status = rustix::fs::statfs(path)
        .map_err(|source| StoreError::Io { path: path.to_owned(), source: Arc::new(source.into()) })?;
    let name: Vec<u8> =
        status.f_fstypename.iter().take_while(|byte| **byte != 0).map(|byte| byte.to_ne_bytes()[0]).collect();
    let known = [("nfs", "NFS"), ("smbfs", "SMB"), ("afpfs", "AFP"), ("webdav", "WebDAV")];
    match known.iter().find(|(written, _)| written.as_bytes() == name) {
        Some((_, filesystem)) => Err(StoreError::NetworkFilesystem { path: path.to_owned(), filesystem }),
        None => Ok(()),
    }
}

#[cfg(windows)]
fn refuse_network_filesystem(path: &Path) -> Result<(), StoreError> {
    // A share is named by a path of the form \\server\share.
    match path.components().next() {
        Some(std::path::Component::Prefix(prefix))
            if matches!(prefix.kind(), std::path::Prefix::UNC(..) | std::path::Prefix::VerbatimUNC(..)) =>
        {
            Err(StoreError::NetworkFilesystem { path: path.to_owned(), filesystem: "a network share" })
        }
        _ => Ok(()),
    }
}

/// Bytes that this account may still write where this path is; `None` where the system does not tell.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(path).ok()?;
    status.f_bavail.checked_mul(status.f_frsize)
}

/// Bytes that this account may still write where this path is; `None` where the system does not tell.
#[cfg(not(unix))]
pub const fn free_bytes(_path: &Path) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_write_to_is_refused_like_the_directory_and_one_that_they_can_read_is_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().expect("a directory");
        let state = place.path().join("state");
        secure(&state).expect("a directory");
        secure(&lock_directory(&state)).expect("a directory");
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our own file");
        };
        check(&state).expect("none of the files is there yet");
        for file in database_files(&state) {
            drop(create_private_file(&file).expect("our own file"));
        }
        assert!(is_private(&state));
        for file in database_files(&state).into_iter().chain([lock_directory(&state)]) {
            for (mode, is_safe) in [(0o644, true), (0o664, false), (0o602, false), (0o700, true)] {
                set(&file, mode);
                let checked = check(&state);
                assert_eq!(checked.is_ok(), is_safe, "{} {mode:o}: {checked:?}", file.display());
                let is_named = |error: &StoreError| {
                    let kind = if file.is_dir() { "directory" } else { "file" };
                    error.to_string() == format!("others can write to the state {kind} {}", file.display())
                };
                assert!(checked.as_ref().err().is_none_or(is_named), "{checked:?}");
            }
        }
        for file in database_files(&state).into_iter().chain([lock_directory(&state).join("0123456789abcdef.lock")]) {
            let _there = std::fs::remove_file(&file);
            let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&file).status();
            assert!(made.expect("the tool").success());
            let checked = check(&state);
            assert!(matches!(&checked, Err(StoreError::Io { path, .. }) if *path == file), "{checked:?}");
            assert!(create_private_file(&file).is_err(), "{}", file.display());
            std::fs::remove_file(&file).expect("our own file");
        }
        for mode in [0o750, 0o705, 0o711] {
            set(&state, mode);
            check(&state).expect("nobody else can write");
            assert!(!is_private(&state), "{mode:o}");
        }
    }
}
