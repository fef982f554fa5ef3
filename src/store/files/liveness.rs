//! The lock files by which the dead are told from the living.
//!
//! Each process holds a kernel lock on a file of its own as long as it lives, and only a lock that can be taken proves a
//! death: process ids are used again, and a file that is gone was most likely removed by whoever cleans temporary files.
//! So a process looks after its file and makes it anew. Whoever misses somebody's file puts an empty one there, marked as
//! such, and believes that its lock is free only when the owner has had the time to take it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::directory;
use crate::store::StoreError;
use crate::store::engine::file_names::LOCK_DIRECTORY;
use crate::store::engine::sql::{Column, Value};

/// The stack of the thread that looks after it; the environment (`RUST_MIN_STACK`) might ask for more than there is.
const KEEPER_STACK_BYTES: usize = 1 << 20;
/// How often a process looks after its file.
const LOOK_AFTER: Duration = Duration::from_millis(500);
/// How long a file that others have put there may be free before its owner is believed to be dead.
const TIME_TO_TAKE_IT: Duration = Duration::from_secs(5);
/// What others write into a file that they put there.
const PUT_BY_OTHERS: &[u8] = b"put here by another process, since it was gone\n";

/// The name of a lock file: sixteen hexadecimal digits and an ending. Nothing else is ever opened or deleted, whatever
/// stands in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct LockName(String);

impl LockName {
    const DIGITS: usize = 16;
    const ENDING: &str = ".lock";

    /// A name that nobody has.
    pub(in crate::store) fn random() -> Self {
        Self(format!("{:016x}{}", fastrand::u64(..), Self::ENDING))
    }

    /// The name, if it is of this form.
    pub(in crate::store) fn of(text: &str) -> Option<Self> {
        let digits = text.strip_suffix(Self::ENDING)?.as_bytes();
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (digits.len() == Self::DIGITS && digits.iter().all(is_digit)).then(|| Self(text.to_owned()))
    }

    pub(in crate::store) fn as_str(&self) -> &str {
        &self.0
    }

    /// The file in the directory of the lock files.
    pub(in crate::store) fn within(&self, directory: &Path) -> PathBuf {
        directory.join(&self.0)
    }
}

impl Column for LockName {
    fn read(value: Value<'_>) -> Option<Self> {
        let Value::Text(name) = value else { return None };
        Self::of(name)
    }
}

/// Our own lock, held until this is dropped.
#[derive(Debug)]
pub(in crate::store) struct OwnLock {
    file: Arc<Mutex<Option<File>>>,
    /// The keeper ends when this is gone.
    _keeper: Sender<()>,
}

impl Drop for OwnLock {
    /// Frees the lock at once, whatever the keeper is doing.
    fn drop(&mut self) {
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl OwnLock {
    /// Makes the file, takes its lock, and has somebody look after it.
    pub(in crate::store) fn take(directory_path: &Path, name: &LockName) -> Result<Self, StoreError> {
        directory::secure(directory_path)?;
        let path = name.within(directory_path);
        let file = directory::create_private_file(&path)?;
        let failed = |source| StoreError::Io { path: path.clone(), source: Arc::new(source) };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(failed(std::io::ErrorKind::WouldBlock.into())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let (alive, ended) = channel();
        let file = Arc::new(Mutex::new(Some(file)));
        let keeper = Keeper { path: path.clone(), file: Arc::clone(&file) };
        // By real time and on a thread of its own: neither a busy runtime nor a paused clock must keep it from looking.
        std::thread::Builder::new()
            .name("lock keeper".to_owned())
            .stack_size(KEEPER_STACK_BYTES)
            .spawn(move || keeper.look_after(&ended))
            .map_err(failed)?;
        Ok(Self { file, _keeper: alive })
    }
}

#[cfg(test)]
impl OwnLock {
    /// Frees the lock and takes it no more, as if its process were stopped, its file gone, and another put there long ago.
    pub(in crate::store) fn let_go(&self) {
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Takes the lock again when the file is gone or another.
struct Keeper {
    path: PathBuf,
    file: Arc<Mutex<Option<File>>>,
}

impl Keeper {
    fn look_after(&self, ended: &Receiver<()>) {
        while ended.recv_timeout(LOOK_AFTER) == Err(RecvTimeoutError::Timeout) {
            let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(file) = held.as_mut() else { return };
            if !is_at(file, &self.path)
                && let Some(again) = self.take_again()
            {
                *file = again;
            }
        }
    }

    /// `None` when somebody is looking just now; there is another try soon.
    fn take_again(&self) -> Option<File> {
        is_wanted_at(&self.path).then_some(())?;
        directory::secure(self.path.parent()?).ok()?;
        directory::create_private_file(&self.path).ok().filter(|file| file.try_lock().is_ok())
    }
}

/// Whether this is the file at the path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        // What cannot be looked at cannot be made either.
        (_, Err(error)) => error.kind() != std::io::ErrorKind::NotFound,
        (Err(_), _) => true,
    }
}

// A file that is open cannot be removed there.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// What a lock says of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Life {
    /// Somebody holds it.
    Alive,
    /// It can be taken.
    Dead,
    /// Nothing: the file is gone, or was put there by others a moment ago.
    Unknown,
}

/// Looks at a lock. What cannot be found out is unknown.
pub(in crate::store) fn look(path: &Path) -> Life {
    // A named pipe that somebody has put there would keep whoever opens it for ever.
    if directory::refuse_no_file(path).is_err() {
        return Life::Unknown;
    }
    match File::open(path) {
        Ok(file) if file.try_lock_shared().is_err() => Life::Alive,
        Ok(file) if is_waiting_for_its_owner(&file) => Life::Unknown,
        Ok(_free) => Life::Dead,
        Err(_gone) => Life::Unknown,
    }
}

fn is_waiting_for_its_owner(file: &File) -> bool {
    let Ok(metadata) = file.metadata() else { return true };
    let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    metadata.len() > 0 && age.is_none_or(|age| age < TIME_TO_TAKE_IT)
}

/// When the latest process of this state directory took its lock, in microseconds since 1970; `None` when there is no lock.
pub(in crate::store) fn latest_start(state_directory: &Path) -> Option<i64> {
    let entries = state_directory.join(LOCK_DIRECTORY).read_dir().ok()?;
    let locks = entries.flatten().filter(|entry| entry.file_name().to_str().and_then(LockName::of).is_some());
    let times =
        locks.filter_map(|lock| lock.metadata().ok()?.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok());
    times.max().map(|since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Whether the state directory is still there: one that was moved away must not come back with nothing but locks in it.
fn is_wanted_at(path: &Path) -> bool {
    path.parent().and_then(Path::parent).is_some_and(Path::is_dir)
}

/// Puts a file there if it is gone, for its owner to take; whether that lives shows when it had the time to.
pub(in crate::store) fn put_if_gone(path: &Path) {
    let is_gone = path.metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if is_gone && is_wanted_at(path) && path.parent().is_some_and(|parent| directory::secure(parent).is_ok()) {
        // Nothing comes of it if it cannot be written; then the process counts as alive.
        let _put = directory::create_private_file(path).and_then(|mut file| {
            use std::io::Write;
            let failed = |source| StoreError::Io { path: path.to_owned(), source: Arc::new(source) };
            file.write_all(PUT_BY_OTHERS).map_err(failed)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(is_so: impl Fn() -> bool) {
        let began = std::time::Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(20), "it never came to that");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn only_names_of_this_form_are_those_of_locks() {
        for name in [
            "",
            ".lock",
            "0123456789abcdef",
            "0123456789abcdeF.lock",
            "0123456789abcde.lock",
            "0123456789abcdef0.lock",
            "../456789abcdef.lock",
            "/123456789abcdef.lock",
            "0123456789abcdef.lock\0",
            "０123456789abc.lock",
        ] {
            assert_eq!(LockName::of(name), None, "{name:?}");
        }
        let name = LockName::random();
        assert_eq!(LockName::of(name.as_str()), Some(name));
    }

    #[test]
    fn a_state_directory_that_was_moved_away_does_not_come_back_with_nothing_but_locks() {
        let place = tempfile::tempdir().expect("a directory");
        let state = place.path().join("state");
        let name = LockName::random();
        let lock = OwnLock::take(&state.join(LOCK_DIRECTORY), &name).expect("a lock");
        std::fs::rename(&state, place.path().join("elsewhere")).expect("our own directory");
        let keeper = Keeper { path: name.within(&state.join(LOCK_DIRECTORY)), file: Arc::clone(&lock.file) };
        assert!(keeper.take_again().is_none());
        put_if_gone(&keeper.path);
        assert!(!state.exists());
    }

    #[test]
    fn a_file_that_is_gone_proves_nothing_and_its_owner_makes_it_anew() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("processes");
        let name = LockName::random();
        let path = name.within(&directory);
        let lock = OwnLock::take(&directory, &name).expect("a lock");
        assert_eq!(look(&path), Life::Alive);
        std::fs::remove_dir_all(&directory).expect("our own files");
        assert_ne!(look(&path), Life::Dead);
        until(|| look(&path) == Life::Alive);
        // Others were faster.
        std::fs::remove_file(&path).expect("our own file");
        put_if_gone(&path);
        assert_ne!(look(&path), Life::Dead);
        until(|| look(&path) == Life::Alive);
        drop(lock);
        until(|| look(&path) != Life::Alive);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_waits_for_a_pipe_in_the_place_of_a_lock() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("processes/0123456789abcdef.lock");
        put_if_gone(&path);
        std::fs::remove_file(&path).expect("our own file");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("the tool").success());
        let (told, heard) = channel();
        std::thread::spawn(move || told.send(look(&path)));
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(Life::Unknown));
    }

    #[test]
    fn a_file_that_others_put_there_proves_a_death_when_nobody_has_taken_it_for_a_while() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("processes/b.lock");
        assert_eq!(look(&path), Life::Unknown);
        put_if_gone(&path);
        assert_eq!(look(&path), Life::Unknown);
        let age = |age: Duration| {
            let file = File::options().write(true).open(&path).expect("our own file");
            file.set_modified(SystemTime::now() - age).expect("a time");
        };
        age(TIME_TO_TAKE_IT + Duration::from_secs(1));
        assert_eq!(look(&path), Life::Dead);
        put_if_gone(&path);
        assert_eq!(look(&path), Life::Dead, "what is there is left as it is");
    }
}
