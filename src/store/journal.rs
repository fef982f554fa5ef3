//! Whether the journal still holds what was written into it.
//!
//! `SQLite` trusts its index of the journal, which is in memory: a journal that is cut or overwritten in place is noticed when
//! a page is read that is gone, or by the next process, which has lost everything behind. So each frame is read back once it
//! is there, and before the next transaction it is looked whether the first and the last bytes that we know are still the same:
//! a few reads of memory, beside a commit that waits for the disk. A journal that begins anew is none of ours any more; all
//! that was in it must be in the database then.
//!
//! The form of the file is `SQLite`'s (<https://sqlite.org/walformat.html>). What surprises: no process has a lock on this
//! file, so it may be opened and closed; the other two may not, since to close a file gives up all locks of this process.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// The head of the file: a mark, the length of a page, two random words, and a checksum.
const HEAD_BYTES: usize = 32;
/// The head of a frame: which page it is, whether it ends a commit, the random words, and a checksum of all until here.
const FRAME_HEAD_BYTES: usize = 24;
/// How the file begins, apart from the last bit, which says how words are read for checksums.
const MARK: u32 = 0x377F_0682;
/// The longest page that there is.
const LONGEST_PAGE_BYTES: usize = 1 << 16;

/// How the journal is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It holds what is known of it.
    Whole,
    /// It was emptied or begun anew.
    Anew,
    /// It was cut or overwritten.
    Harmed,
}

/// A journal as far as it was read.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// All zero when there is none.
    head: [u8; HEAD_BYTES],
    /// The head of the last frame that ends a commit.
    last: [u8; FRAME_HEAD_BYTES],
    /// Where that frame ends, and the checksum up to there.
    end: u64,
    sum: (u32, u32),
}

impl Journal {
    /// Reads the journal at this path.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut journal =
            Self { file: File::open(path)?, head: [0; HEAD_BYTES], last: [0; FRAME_HEAD_BYTES], end: 0, sum: (0, 0) };
        journal.begin_anew()?;
        Ok(journal)
    }

    /// Looks whether it is as it was.
    pub(super) fn look(&mut self) -> io::Result<Found> {
        let length = self.file.metadata()?.len();
        let mut head = [0; HEAD_BYTES];
        if length == 0 || self.end == 0 {
            return Ok(if length == self.end { Found::Whole } else { Found::Anew });
        }
        if !self.read(0, &mut head)? || length < self.end {
            return Ok(Found::Harmed);
        }
        if head != self.head {
            return Ok(if checked(&head).is_some() { Found::Anew } else { Found::Harmed });
        }
        if self.last == [0; FRAME_HEAD_BYTES] {
            return Ok(Found::Whole);
        }
        let mut last = [0; FRAME_HEAD_BYTES];
        let is_there = self.read(self.end - self.frame_bytes() as u64, &mut last)?;
        Ok(if is_there && last == self.last { Found::Whole } else { Found::Harmed })
    }

    /// Forgets what it held, and reads what it holds; says how many commits these are.
    pub(super) fn begin_anew(&mut self) -> io::Result<u32> {
        let mut head = [0; HEAD_BYTES];
        let sum = if self.read(0, &mut head)? { checked(&head) } else { None };
        (self.head, self.last) = (head, [0; FRAME_HEAD_BYTES]);
        let Some(sum) = sum else {
            (self.head, self.end) = ([0; HEAD_BYTES], 0);
            return Ok(0);
        };
        (self.sum, self.end) = (sum, HEAD_BYTES as u64);
        self.follow()
    }

    /// Reads on behind what is known; says how many commits there are.
    pub(super) fn follow(&mut self) -> io::Result<u32> {
        let mut commits = 0;
        if self.end == 0 {
            return self.begin_anew_if_there();
        }
        let (mut head, mut page) = ([0; FRAME_HEAD_BYTES], vec![0; page_bytes(&self.head)]);
        let (mut position, mut sum) = (self.end, self.sum);
        while self.read(position, &mut head)? && self.file.read_exact(&mut page).is_ok() {
            sum = self.checksum(self.checksum(sum, &head[..8]), &page);
            if head[8..16] != self.head[16..24] || (word(&head, 16), word(&head, 20)) != sum {
                break;
            }
            position += self.frame_bytes() as u64;
            if word(&head, 4) != 0 {
                (self.end, self.sum, self.last) = (position, sum, head);
                commits += 1;
            }
        }
        Ok(commits)
    }

    fn begin_anew_if_there(&mut self) -> io::Result<u32> {
        if self.file.metadata()?.len() == 0 { Ok(0) } else { self.begin_anew() }
    }

    /// Fills the buffer from this position on; `false` when the file ends before.
    fn read(&mut self, position: u64, buffer: &mut [u8]) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(position))?;
        match self.file.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn frame_bytes(&self) -> usize {
        FRAME_HEAD_BYTES + page_bytes(&self.head)
    }

    fn checksum(&self, sum: (u32, u32), bytes: &[u8]) -> (u32, u32) {
        checksum(&self.head, sum, bytes)
    }
}

/// The checksum of a head that is whole.
fn checked(head: &[u8; HEAD_BYTES]) -> Option<(u32, u32)> {
    let sum = checksum(head, (0, 0), &head[..24]);
    let page = page_bytes(head);
    let is_whole = word(head, 0) & !1 == MARK && (word(head, 24), word(head, 28)) == sum;
    (is_whole && page.is_power_of_two() && page <= LONGEST_PAGE_BYTES).then_some(sum)
}

fn page_bytes(head: &[u8]) -> usize {
    word(head, 8) as usize
}

/// The word that begins at this byte.
fn word(bytes: &[u8], position: usize) -> u32 {
    bytes.get(position..position + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Goes on with a checksum over an even number of words.
fn checksum(head: &[u8], (mut first, mut second): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let read = if word(head, 0) & 1 == 1 { u32::from_be_bytes } else { u32::from_le_bytes };
    for [one, other] in bytes.as_chunks::<4>().0.as_chunks::<2>().0 {
        first = first.wrapping_add(read(*one)).wrapping_add(second);
        second = second.wrapping_add(read(*other)).wrapping_add(first);
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::soundness::journal_of;

    #[test]
    fn a_journal_is_read_as_it_grows_and_whatever_harms_it_is_found() {
        type Harm = fn(&mut Vec<u8>);
        let place = tempfile::tempdir().expect("a directory");
        let database = place.path().join("db");
        let connection = Connection::open(&database).expect("a database");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x BLOB);")
            .expect("a table");
        let path = journal_of(&database);
        let mut journal = Journal::open(&path).expect("a journal");
        assert_eq!(journal.follow().expect("our own file"), 0, "all of it was read");
        for _ in 0..3 {
            connection.execute("INSERT INTO t VALUES (zeroblob(10000))", []).expect("a row");
            assert_eq!(journal.look().expect("our own file"), Found::Whole);
            assert_eq!(journal.follow().expect("our own file"), 1);
        }
        assert_eq!(journal.end, path.metadata().expect("our own file").len());
        let harms: [(&str, Harm, Found); 6] = [
            ("nothing", |_| {}, Found::Whole),
            ("more behind", |bytes| bytes.extend([7; 5000]), Found::Whole),
            ("emptied", Vec::clear, Found::Anew),
            ("cut", |bytes| bytes.truncate(bytes.len() - 5000), Found::Harmed),
            ("overwritten from its beginning", |bytes| bytes[..5000].fill(7), Found::Harmed),
            (
                "a hole at its end",
                |bytes| {
                    let length = bytes.len();
                    bytes[length - 6000..].fill(0);
                },
                Found::Harmed,
            ),
        ];
        let whole = std::fs::read(&path).expect("our own file");
        for (what, harm, expected) in harms {
            let mut bytes = whole.clone();
            harm(&mut bytes);
            std::fs::write(&path, bytes).expect("our own file");
            assert_eq!(journal.look().expect("our own file"), expected, "{what}");
        }
        std::fs::write(&path, whole).expect("our own file");
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
        assert_eq!(journal.look().expect("our own file"), Found::Anew);
        assert_eq!(journal.begin_anew().expect("our own file"), 0);
        assert_eq!(journal.look().expect("our own file"), Found::Whole);
        connection.execute("INSERT INTO t VALUES (1)", []).expect("a row");
        assert_eq!(journal.look().expect("our own file"), Found::Anew);
        assert_eq!(journal.begin_anew().expect("our own file"), 1);
    }
}
