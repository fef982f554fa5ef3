//! The witness: a small file beside the database that says how many commits there must be.
//!
//! A journal that is cut, or in which one bit has changed, ends for `SQLite` at the last commit that is whole, and one that
//! is gone is an empty one: what stood behind is forgotten without an error. So each commit is counted in the database, and
//! once it is durable, here. A database that holds fewer commits than its witness has lost the others. What surprises: the
//! witness need not be as durable as the database. A process that dies leaves it to the system, which writes it; a machine
//! that dies may leave an older one, which says less than it could and never too much. So it costs one write for each commit,
//! and is synchronised when a process begins and ends, and once a second in between.
//!
//! Behind the lines stands which state it is the witness of, as it also stands in the database: a database of another state may
//! hold more commits. A number that is new is announced here before the database has it, and the one before it stays here
//! until the database has it without its journal; so whoever is killed in between leaves two that belong together.
//!
//! Each line also says which file it was written into. So one in a copy of the directory, however soon that was made and
//! under whatever name it comes back, is known for a copy by the next process.
//!
//! Its name has nothing of the database's, so that whoever moves a damaged database away leaves it behind.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::commits::{StateId, tally_in_file};
use super::encoding::timestamp;
use super::file_names::witness_of;
use super::{StoreError, directory, liveness};

/// Each process writes in a place of its own, so that none takes back what another has just noted.
const PLACES: u8 = 64;
/// A line: commits, microseconds since 1970, a mark of the file that it stands in, and a checksum of all that. An older
/// program wrote more digits and no mark.
const LINE_LENGTH: usize = 15 + 1 + 16 + 1 + 8 + 1 + 8 + 1;
/// Where the lines of all places end.
const LINES_LENGTH: usize = LINE_LENGTH * PLACES as usize;
/// How often it is synchronised.
const SYNCHRONISED_EVERY: Duration = Duration::from_secs(1);
/// By how much the filesystem's time of a write may lie behind the one that is noted in it.
const TIME_OF_A_WRITE_MICROSECONDS: i64 = 2_000_000;

/// What the witness says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WitnessRecord {
    /// Whether there is one.
    pub(super) is_there: bool,
    /// Whether all of it can be read.
    pub(super) is_whole: bool,
    /// How many commits there must be at least.
    pub(super) commits: i64,
    /// When the last of them was noted, in microseconds since 1970.
    pub(super) noted_at: i64,
    /// When somebody else changed it after that, or put it there, in microseconds since 1970.
    pub(super) touched_at: Option<i64>,
    /// Whether its last line was written into another file than this one.
    pub(super) is_copy: bool,
    /// Which state it was the witness of, and of which it is now, if that can be read. An older program has written neither.
    pub(super) states: Option<[Option<StateId>; 2]>,
    /// When the latest process of this directory began, if there is no witness although there were processes; in
    /// microseconds since 1970.
    pub(super) removed_after: Option<i64>,
}

impl WitnessRecord {
    /// Reads the witness. To be called before the database is looked at, which may only have more commits by then.
    pub(super) fn read(directory: &Path) -> Result<Self, StoreError> {
        let path = witness_of(directory);
        let failed = |source| StoreError::Io { path: path.clone(), source: Arc::new(source) };
        directory::refuse_no_file(&path)?;
        // Whoever begins makes the witness first and its lock later, so locks are looked for before it.
        let latest_process = liveness::latest_start(directory);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self { removed_after: latest_process, ..Self::default() });
            }
            Err(error) => return Err(failed(error)),
        };
        let mut text = Vec::new();
        (&file).take((LINES_LENGTH + LINE_LENGTH) as u64).read_to_end(&mut text).map_err(failed)?;
        let mut testimony = Self::of(&text, mark_of(&file));
        testimony.touched_at = changed_at(&file)
            .filter(|changed| testimony.commits > 0 && changed - testimony.noted_at > TIME_OF_A_WRITE_MICROSECONDS);
        Ok(testimony)
    }

    /// The loss of a database that is gone, or that there is nothing in.
    pub(super) fn of_nothing(&self, database: &Path) -> Option<StoreError> {
        (self.commits > 0 || self.removed_after.is_some())
            .then(|| StoreError::HistoryLost { path: database.to_owned(), until: timestamp(self.until()) })
    }

    /// Until when something was stored, as far as that is known, in microseconds since 1970.
    pub(super) fn until(&self) -> i64 {
        self.noted_at.max(self.removed_after.unwrap_or_default())
    }

    /// Whether it is the witness of this state, as far as that can be read.
    pub(super) fn knows(&self, state: Option<StateId>) -> bool {
        self.states.is_none_or(|states| states.contains(&state))
    }

    /// Whether a file that is of this state by itself, and is read as one of that with its journal, is one and the same.
    pub(super) fn has_seen_change(&self, in_file: Option<StateId>, state: Option<StateId>) -> bool {
        in_file == state
            || match self.states {
                Some(states) if self.commits > 0 || states != [None; 2] => states == [in_file, state],
                _ => in_file.is_none(),
            }
    }

    /// What these lines say, in a file with this mark.
    fn of(text: &[u8], mark: u32) -> Self {
        let (text, states) = text.split_at_checked(LINES_LENGTH).unwrap_or((text, &[]));
        let states = read_states(states);
        let mut testimony = Self { is_there: true, is_whole: states.is_some(), states, ..Self::default() };
        // A place in which nobody has written yet is a hole in the file.
        for line in text.chunks(LINE_LENGTH).filter(|line| line.iter().any(|byte| *byte != 0)) {
            match Line::read(line) {
                Some(line) => {
                    if line.commits > testimony.commits {
                        testimony.is_copy = line.mark.is_some_and(|written| written != mark);
                    }
                    testimony.commits = testimony.commits.max(line.commits);
                    testimony.noted_at = testimony.noted_at.max(line.noted_at);
                }
                None => testimony.is_whole = false,
            }
        }
        testimony
    }
}

/// What one process notes of its last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    commits: i64,
    noted_at: i64,
    /// The file that it was written into, if it says so.
    mark: Option<u32>,
}

impl Line {
    fn text(self) -> String {
        let Self { commits, noted_at, mark } = self;
        let text = match mark {
            Some(mark) => format!("{commits:015} {noted_at:016} {mark:08x}"),
            None => format!("{commits:020} {noted_at:020}"),
        };
        format!("{text} {:08x}\n", checksum(text.as_bytes()))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let number = |position: usize| words.get(position)?.parse().ok();
        let mark = if words.len() == 4 { Some(u32::from_str_radix(words.get(2)?, 16).ok()?) } else { None };
        let line = Self { commits: number(0)?, noted_at: number(1)?, mark };
        (line.text() == text).then_some(line)
    }
}

/// Which states a witness has been and is of; `None` when that is damaged.
fn read_states(bytes: &[u8]) -> Option<[Option<StateId>; 2]> {
    if bytes.is_empty() {
        return Some([None; 2]);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let mut words = text.split_ascii_whitespace();
    let mut state = || i64::from_str_radix(words.next()?, 16).ok();
    let states = [state()?, state()?].map(|state| Some(StateId(state)).filter(|_| state != 0));
    (text_of(states) == text).then_some(states)
}

/// The same as they are written.
fn text_of(states: [Option<StateId>; 2]) -> String {
    let [former, state] = states.map(|state| state.map_or(0, |StateId(state)| state));
    let text = format!("{former:016x} {state:016x}");
    format!("{text} {:08x}\n", checksum(text.as_bytes()))
}

fn write_states(directory: &Path, states: [Option<StateId>; 2]) -> Result<(), StoreError> {
    let path = witness_of(directory);
    let mut file = directory::create_private_file(&path)?;
    let written = file
        .seek(SeekFrom::Start(LINES_LENGTH as u64))
        .and_then(|_| file.write_all(text_of(states).as_bytes()))
        .and_then(|()| file.sync_data());
    written.map_err(|source| StoreError::Io { path, source: Arc::new(source) })
}

/// Notes that the database will be of another state than it is. To be called before that is committed, by whoever alone can
/// write into the database.
pub(super) fn announce(directory: &Path, former: Option<StateId>, state: StateId) -> Result<(), StoreError> {
    write_states(directory, [former, Some(state)])
}

/// Forgets of which state the database was before, once it is of the new one without its journal.
pub(super) fn confirm(directory: &Path, database: &Path) -> Result<(), StoreError> {
    match WitnessRecord::read(directory)?.states {
        Some([former, state])
            if former != state && tally_in_file(database).is_some_and(|tally| tally.state == state) =>
        {
            write_states(directory, [state; 2])
        }
        _ => Ok(()),
    }
}

/// What tells a file from its copies: its number on the disk, and when it was made there or, where nobody keeps that, which
/// disk it is; disks may be numbered anew at each start.
fn mark_of(file: &File) -> u32 {
    let Ok(metadata) = file.metadata() else { return 0 };
    let made_at = metadata.created().ok().and_then(|made| made.duration_since(SystemTime::UNIX_EPOCH).ok());
    let (device, number) = numbers_of(&metadata);
    let origin = made_at.map_or(u128::from(device), |made| made.as_nanos());
    checksum(&[origin.to_le_bytes(), u128::from(number).to_le_bytes()].concat())
}

/// The numbers of its disk and of the file there.
#[cfg(unix)]
fn numbers_of(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

// There the time is always kept.
#[cfg(not(unix))]
const fn numbers_of(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// FNV-1a: it is to find damage, not deceit.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// When the filesystem says that the file was written, renamed, or had its owner or permissions changed.
#[cfg(unix)]
fn changed_at(file: &File) -> Option<i64> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().ok()?;
    Some(metadata.ctime().saturating_mul(1_000_000).saturating_add(metadata.ctime_nsec() / 1000))
}

#[cfg(not(unix))]
const fn changed_at(_file: &File) -> Option<i64> {
    None
}

/// The system's wall time, which is that of its filesystems.
pub(super) fn system_time_microseconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Makes an empty witness if there is none. To be called before the database has its first commit, so that one without a
/// witness has lost it.
pub(super) fn prepare(directory: &Path) -> Result<(), StoreError> {
    directory::create_private_file(&witness_of(directory)).map(drop)
}

/// The place of a process in the witness.
#[derive(Debug)]
pub(super) struct Witness {
    path: PathBuf,
    file: File,
    mark: u32,
    place: u64,
    synchronised_at: Instant,
}

impl Witness {
    /// Takes the place of this process, and notes its first commit. What others have noted that cannot be read is taken out.
    pub(super) fn begin(directory: &Path, process_key: i64, commits: i64) -> Result<Self, StoreError> {
        let path = witness_of(directory);
        let file = directory::create_private_file(&path)?;
        let place = process_key.rem_euclid(PLACES.into()).unsigned_abs() * LINE_LENGTH as u64;
        let mut witness = Self { path, mark: mark_of(&file), file, place, synchronised_at: Instant::now() };
        let found = WitnessRecord::read(directory)?;
        if !found.is_whole {
            witness.file.set_len(0).map_err(|error| witness.failure(error))?;
            write_states(directory, found.states.unwrap_or_default())?;
        }
        witness.note(commits)?;
        witness.synchronise()?;
        Ok(witness)
    }

    /// Notes that there are so many commits, and that they are durable.
    pub(super) fn note(&mut self, commits: i64) -> Result<(), StoreError> {
        let line = Line { commits, noted_at: system_time_microseconds(), mark: Some(self.mark) }.text();
        let written = self.file.seek(SeekFrom::Start(self.place)).and_then(|_| self.file.write_all(line.as_bytes()));
        written.map_err(|error| self.failure(error))?;
        if self.synchronised_at.elapsed() >= SYNCHRONISED_EVERY { self.synchronise() } else { Ok(()) }
    }

    fn synchronise(&mut self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| self.failure(error))?;
        self.synchronised_at = Instant::now();
        Ok(())
    }

    fn failure(&self, error: io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), source: Arc::new(error) }
    }
}

/// Writes a witness as it was at another time, into the file that is there.
#[cfg(test)]
pub(super) fn forge(directory: &Path, commits: i64, noted_at: i64) {
    let states = WitnessRecord::read(directory).expect("our own file").states;
    let file = directory::create_private_file(&witness_of(directory)).expect("our own file");
    let line = Line { commits, noted_at, mark: Some(mark_of(&file)) };
    std::fs::write(witness_of(directory), line.text()).expect("our own file");
    write_states(directory, states.unwrap_or_default()).expect("our own file");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_all_places_counts_and_damage_is_seen() {
        let place = tempfile::tempdir().expect("a directory");
        assert_eq!(WitnessRecord::read(place.path()).expect("no trouble"), WitnessRecord::default());
        prepare(place.path()).expect("a file");
        let empty = WitnessRecord::read(place.path()).expect("no trouble");
        assert_eq!((empty.is_there, empty.is_whole, empty.commits), (true, true, 0));
        let mut first = Witness::begin(place.path(), 1, 7).expect("a place");
        let mut last = Witness::begin(place.path(), 63, 8).expect("a place");
        for (commits, expected) in [(9, 9), (10, 10)] {
            last.note(commits).expect("a note");
            assert_eq!(WitnessRecord::read(place.path()).expect("no trouble").commits, expected);
        }
        first.note(8).expect("a late note");
        let whole = WitnessRecord::read(place.path()).expect("no trouble");
        assert_eq!((whole.is_whole, whole.commits, whole.touched_at), (true, 10, None));
        let text = std::fs::read(witness_of(place.path())).expect("a file");
        for position in [LINE_LENGTH + 19, LINE_LENGTH + 40, 2 * LINE_LENGTH - 2] {
            let mut damaged = text.clone();
            damaged[position] ^= 1;
            assert!(!WitnessRecord::of(&damaged, first.mark).is_whole, "{position}");
        }
        assert!(!WitnessRecord::of(&text[..text.len() - 1], first.mark).is_whole, "it is cut");
        std::fs::create_dir_all(witness_of(&place.path().join("other"))).expect("a directory in its place");
        assert!(WitnessRecord::read(&place.path().join("other")).is_err());
        std::fs::write(witness_of(place.path()), "of another kind").expect("our own file");
        assert!(!WitnessRecord::read(place.path()).expect("no trouble").is_whole);
        Witness::begin(place.path(), 2, 11).expect("a place");
        let anew = WitnessRecord::read(place.path()).expect("no trouble");
        assert_eq!((anew.is_whole, anew.commits), (true, 11));
    }

    #[cfg(unix)]
    #[test]
    fn a_witness_that_was_copied_or_written_by_others_says_when() {
        let place = tempfile::tempdir().expect("a directory");
        let path = witness_of(place.path());
        forge(place.path(), 5, system_time_microseconds() - 10_000_000);
        let testimony = WitnessRecord::read(place.path()).expect("no trouble");
        let touched_at = testimony.touched_at.expect("it was put there after its last note");
        assert!((system_time_microseconds() - touched_at).abs() < 9_000_000, "{touched_at}");
        Witness::begin(place.path(), 0, 6).expect("a place");
        let anew = WitnessRecord::read(place.path()).expect("no trouble");
        assert_eq!((anew.touched_at, anew.is_copy), (None, false));
        // A copy that is made at once is as young as its last line.
        std::fs::copy(&path, place.path().join("copy")).expect("our own file");
        std::fs::rename(place.path().join("copy"), &path).expect("our own file");
        let copy = WitnessRecord::read(place.path()).expect("no trouble");
        assert_eq!((copy.is_whole, copy.commits, copy.is_copy), (true, 6, true));
        Witness::begin(place.path(), 0, 7).expect("a place");
        assert!(!WitnessRecord::read(place.path()).expect("no trouble").is_copy, "from now on it is the one");
    }

    #[test]
    fn a_line_is_read_as_it_was_written_and_so_is_one_of_an_older_program() {
        for mark in [Some(0), Some(u32::MAX), None] {
            let line = Line { commits: 123_456, noted_at: 1_764_139_000_000_000, mark };
            assert_eq!(line.text().len(), LINE_LENGTH);
            assert_eq!(Line::read(line.text().as_bytes()), Some(line));
            assert_eq!(Line::read(line.text().replace("123456", "123457").as_bytes()), None);
        }
        let old = Line { commits: 7, noted_at: 9, mark: None }.text()
            + &Line { commits: 8, noted_at: 9, mark: Some(3) }.text();
        let testimony = WitnessRecord::of(old.as_bytes(), 3);
        assert_eq!((testimony.is_whole, testimony.commits, testimony.is_copy), (true, 8, false));
    }
}
