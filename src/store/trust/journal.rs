//! What the journal of a database proves by itself.
//!
//! Each frame of it has a checksum over everything before (<https://sqlite.org/walformat.html>). `SQLite` reads them only when
//! nobody has the journal open; while somebody has, it finds pages by an index in memory and believes whatever stands there.
//! So whoever has committed remembers the checksum at which that commit ended, and whoever reads the journal from its
//! beginning has to arrive there. That takes a millisecond for four megabytes, so it is not done at each commit.

use std::cell::Cell;
use std::ffi::c_int;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

const HEAD_LENGTH: usize = 32;
const FRAME_HEAD_LENGTH: usize = 24;
/// How a journal begins, apart from the last bit, which says that words are read with their highest byte first.
const MARK: u32 = 0x377F_0682;
/// How much of a journal is read at once.
const PIECE: usize = 256 << 10;

thread_local! {
    /// How many frames the journal had after the last commit on this thread.
    static FRAMES: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Has the commits of this connection noted for [`take_frames`]. From now on nothing of the journal is brought into the
/// database by `SQLite` itself.
pub(in crate::store) fn follow(connection: &Connection) {
    #[expect(clippy::unnecessary_wraps, reason = "a hook has this form")]
    fn note(_journal: &Wal, frames: c_int) -> rusqlite::Result<()> {
        FRAMES.set(u32::try_from(frames).ok());
        Ok(())
    }
    connection.wal_hook(Some(note));
}

/// How many frames the journal had after the last commit on this thread, if one was followed there since this was asked last.
pub(in crate::store) fn take_frames() -> Option<u32> {
    FRAMES.take()
}

/// Where a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct CommitEnd {
    frames: u32,
    /// What is anew whenever the journal begins anew.
    salts: [u8; 8],
    /// The checksum over all frames.
    checksum: [u8; 8],
}

impl CommitEnd {
    /// Reads where the commit has ended that has just made the journal so long. `None` when that is not to be found there.
    pub(super) fn read(mut journal: &File, frames: u32) -> io::Result<Option<Self>> {
        let Some(head) = Head::read(journal)? else { return Ok(None) };
        let Some(before) = frames.checked_sub(1) else { return Ok(None) };
        let frame_length = FRAME_HEAD_LENGTH as u64 + head.page_size;
        journal.seek(SeekFrom::Start(HEAD_LENGTH as u64 + u64::from(before) * frame_length))?;
        let mut frame = [0; FRAME_HEAD_LENGTH];
        match journal.read_exact(&mut frame) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (_, rest) = take::<8>(&frame);
        let (salts, rest) = take(rest);
        let (checksum, _) = take(rest);
        Ok(Some(Self { frames, salts, checksum }))
    }

    /// Whether the journal still holds all that it held then, or has begun anew since: then it is in the database.
    pub(super) fn holds(&self, journal: &File) -> io::Result<bool> {
        // Another process may bring it into the database while it is read; then it has begun anew, or is empty.
        Ok(self.has_begun_anew(journal)? || self.is_found_in(journal)? || self.has_begun_anew(journal)?)
    }

    fn has_begun_anew(&self, journal: &File) -> io::Result<bool> {
        match Head::read(journal)? {
            Some(head) => Ok(head.salts != self.salts),
            None => Ok(journal.metadata()?.len() == 0),
        }
    }

    fn is_found_in(&self, journal: &File) -> io::Result<bool> {
        let Some(head) = Head::read(journal)? else { return Ok(false) };
        Ok(head.checksum_after(journal, self.frames)? == Some(self.checksum))
    }
}

/// The beginning of a journal.
struct Head {
    has_high_byte_first: bool,
    page_size: u64,
    salts: [u8; 8],
    sum: Sum,
}

impl Head {
    /// Reads it; `None` when there is none, or when it is damaged.
    fn read(mut journal: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEAD_LENGTH];
        journal.seek(SeekFrom::Start(0))?;
        match journal.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (summed, written) = take::<24>(&bytes);
        let (mark, rest) = take(&summed);
        let (_version, rest) = take::<4>(rest);
        let (page_size, rest) = take(rest);
        let (_sequence, rest) = take::<4>(rest);
        let (salts, _) = take(rest);
        let mark = u32::from_be_bytes(mark);
        let has_high_byte_first = mark & 1 == 1;
        let mut sum = Sum::default();
        sum.add(&summed, has_high_byte_first);
        let is_whole = mark & !1 == MARK && sum.bytes().as_slice() == written;
        let page_size = u64::from(u32::from_be_bytes(page_size));
        Ok(is_whole.then_some(Self { has_high_byte_first, page_size, salts, sum }))
    }

    /// The checksum after so many frames; `None` when they are not what was written.
    fn checksum_after(&self, mut journal: &File, frames: u32) -> io::Result<Option<[u8; 8]>> {
        let mut sum = self.sum;
        journal.seek(SeekFrom::Start(HEAD_LENGTH as u64))?;
        let mut journal = BufReader::with_capacity(PIECE, journal);
        let mut page = vec![0; usize::try_from(self.page_size).unwrap_or_default()];
        for _ in 0..frames {
            let mut frame = [0; FRAME_HEAD_LENGTH];
            match journal.read_exact(&mut frame).and_then(|()| journal.read_exact(&mut page)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            let (summed, rest) = take::<8>(&frame);
            let (salts, written) = take::<8>(rest);
            sum.add(&summed, self.has_high_byte_first);
            sum.add(&page, self.has_high_byte_first);
            if salts != self.salts || sum.bytes().as_slice() != written {
                return Ok(None);
            }
        }
        Ok(Some(sum.bytes()))
    }
}

/// The first bytes, and the others. Whatever is missing is zero.
fn take<const LENGTH: usize>(bytes: &[u8]) -> ([u8; LENGTH], &[u8]) {
    bytes.split_first_chunk().map_or(([0; LENGTH], &[]), |(first, rest)| (*first, rest))
}

/// The checksum of a journal: two words, each of which adds up the other.
#[derive(Clone, Copy, Default)]
struct Sum(u32, u32);

impl Sum {
    fn add(&mut self, bytes: &[u8], has_high_byte_first: bool) {
        let word =
            |bytes: [u8; 4]| if has_high_byte_first { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        let (mut first, mut second) = (self.0, self.1);
        for pair in bytes.as_chunks::<8>().0 {
            let (one, rest) = take(pair);
            let (other, _) = take(rest);
            first = first.wrapping_add(word(one)).wrapping_add(second);
            second = second.wrapping_add(word(other)).wrapping_add(first);
        }
        *self = Self(first, second);
    }

    /// As it is written, whatever the order in words that it adds up.
    fn bytes(self) -> [u8; 8] {
        (u64::from(self.0) << 32 | u64::from(self.1)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::store::engine::file_names::journal_of;

    #[test]
    fn whatever_is_changed_in_a_journal_is_seen_and_what_is_added_to_it_is_not() {
        let place = tempfile::tempdir().expect("a directory");
        let database = place.path().join("db");
        let connection = Connection::open(&database).expect("a database");
        connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x BLOB)").expect("a table");
        follow(&connection);
        assert_eq!(take_frames(), None);
        connection.execute_batch("INSERT INTO t VALUES (randomblob(9000))").expect("a row");
        let journal = File::open(journal_of(&database)).expect("a journal");
        let frames = take_frames().expect("it is followed");
        let end = CommitEnd::read(&journal, frames).expect("a file").expect("a commit");
        assert_eq!(take_frames(), None, "only once");
        assert!(end.holds(&journal).expect("a file"));
        connection.execute_batch("INSERT INTO t VALUES (randomblob(9000))").expect("a row");
        assert!(end.holds(&journal).expect("a file"), "another commit");
        let text = fs::read(journal_of(&database)).expect("our own file");
        let length = HEAD_LENGTH + usize::try_from(frames).expect("a length") * (FRAME_HEAD_LENGTH + 4096);
        assert!(text.len() > length);
        let mut file = File::options().write(true).open(journal_of(&database)).expect("our own file");
        let mut put = |position: usize, byte: u8| {
            file.seek(SeekFrom::Start(position as u64)).and_then(|_| file.write_all(&[byte])).expect("our own file");
        };
        // Of the frames' heads all that means something, and some places in each page.
        let places = (0..length).filter(|place| *place < 70 || place % 509 == 0 || place % 4120 < 60);
        for position in places {
            put(position, text[position] ^ 0x10);
            let holds = end.holds(&journal).expect("a file");
            put(position, text[position]);
            assert!(!holds, "{position}");
        }
        put(length + 100, text[length + 100] ^ 1);
        assert!(end.holds(&journal).expect("a file"), "what came later is not ours");
        put(length + 100, text[length + 100]);
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).expect("a checkpoint");
        connection.execute_batch("INSERT INTO t VALUES (1)").expect("a row");
        assert!(end.holds(&journal).expect("a file"), "it has begun anew");
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
        assert!(end.holds(&journal).expect("a file"), "it is empty");
        assert_eq!(CommitEnd::read(&journal, 1).expect("a file"), None);
    }
}
