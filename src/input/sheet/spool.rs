//! The rows' text once more, for the second pass: only what is a row is kept, so that both passes see the same rows.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::input::findings::error::InputError;

/// Text up to this size stays in memory; beyond it, all of it is in a file.
const MEMORY_BYTES: usize = 1024 * 1024;
/// How much text is written at once.
const BLOCK_BYTES: usize = 256 * 1024;
/// How many blocks may wait to be written.
const BLOCKS_WAITING: usize = 4;

/// Takes the text of the rows, one behind the other. What is more than fits into memory is written by a thread of its own,
/// while the next rows are read: for a million rows that is a sixth of the time.
pub(in crate::input) struct SpoolWriter {
    directory: Option<PathBuf>,
    /// What is not handed on yet.
    pending: Vec<u8>,
    handed_on: u64,
    writing: Option<Writing>,
}

/// The thread that writes, until it has no more blocks.
struct Writing {
    blocks: SyncSender<Vec<u8>>,
    thread: JoinHandle<io::Result<File>>,
}

/// The text of all rows.
pub(in crate::input) enum Spool {
    Memory(Vec<u8>),
    File(File),
}

impl SpoolWriter {
    /// It begins with a line break, so that every row follows one; see [`Chunk`](crate::input::Chunk).
    pub(in crate::input) fn new(directory: Option<&Path>) -> Self {
        Self { directory: directory.map(Path::to_owned), pending: b"\n".to_vec(), handed_on: 0, writing: None }
    }

    /// Takes the text of the next row, with its line break if it has one; says where it begins.
    pub(in crate::input) fn write(&mut self, row: &str) -> Result<u64, InputError> {
        let start = self.end();
        self.pending.extend_from_slice(row.as_bytes());
        let kept = if self.writing.is_none() { MEMORY_BYTES } else { BLOCK_BYTES };
        if self.pending.len() >= kept {
            self.hand_on().map_err(InputError::Spool)?;
        }
        Ok(start)
    }

    /// Where the next row will begin.
    pub(in crate::input) const fn end(&self) -> u64 {
        self.handed_on + self.pending.len() as u64
    }

    pub(in crate::input) fn finish(mut self) -> Result<Spool, InputError> {
        if self.writing.is_none() {
            return Ok(Spool::Memory(self.pending));
        }
        self.hand_on().and_then(|()| self.end_writing()).map(Spool::File).map_err(InputError::Spool)
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.pending, Vec::with_capacity(BLOCK_BYTES));
        self.handed_on += block.len() as u64;
        let writing = match self.writing.take() {
            Some(writing) => writing,
            None => Writing::begin(self.directory.as_deref())?,
        };
        let is_taken = writing.blocks.send(block).is_ok();
        self.writing = Some(writing);
        // It takes no more only when it has failed.
        if is_taken { Ok(()) } else { self.end_writing().map(|_file| ()) }
    }

    fn end_writing(&mut self) -> io::Result<File> {
        let died = || io::Error::other("the thread that writes the rows has died");
        let Writing { blocks, thread } = self.writing.take().ok_or_else(died)?;
        drop(blocks);
        thread.join().map_err(|_panicked| died())?
    }
}

impl Writing {
    fn begin(directory: Option<&Path>) -> io::Result<Self> {
        let file = directory.map_or_else(tempfile::tempfile, tempfile::tempfile_in)?;
        let (blocks, waiting) = sync_channel(BLOCKS_WAITING);
        let thread = Builder::new().name("spool".to_owned()).spawn(move || write_all(file, &waiting))?;
        Ok(Self { blocks, thread })
    }
}

fn write_all(mut file: File, waiting: &Receiver<Vec<u8>>) -> io::Result<File> {
    waiting.iter().try_for_each(|block| file.write_all(&block))?;
    Ok(file)
}

impl Spool {
    pub(super) fn read(&mut self, start: u64, length: usize) -> Result<String, InputError> {
        let text = match self {
            Self::Memory(text) => {
                let start = usize::try_from(start).unwrap_or(usize::MAX);
                text.get(start..start.saturating_add(length)).map(<[u8]>::to_vec).ok_or_else(missing)
            }
            Self::File(file) => {
                let mut text = vec![0; length];
                file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut text)).map(|()| text)
            }
        };
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        text.and_then(|text| String::from_utf8(text).map_err(invalid)).map_err(InputError::Spool)
    }
}

fn missing() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_wherever_it_is_kept() {
        for rows in [0_u64, 1, 1_000, 100_000] {
            let mut writer = SpoolWriter::new(None);
            let row = |number: u64| format!("{number:039}\n");
            for number in 0..rows {
                assert_eq!(writer.write(&row(number)).expect("room"), 1 + 40 * number);
            }
            assert_eq!(writer.end(), 1 + 40 * rows);
            let mut spool = writer.finish().expect("room");
            assert_eq!(matches!(spool, Spool::File(_)), rows == 100_000);
            for number in (0..rows).step_by(997) {
                assert_eq!(spool.read(40 * number, 41).expect("a row"), format!("\n{}", row(number)));
            }
            assert!(spool.read(40 * rows, 2).is_err());
        }
    }

    #[test]
    fn what_cannot_be_written_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = SpoolWriter::new(Some(&directory.path().join("missing")));
        let row = "x".repeat(MEMORY_BYTES);
        assert!(matches!(writer.write(&row), Err(InputError::Spool(_))));
        let full = File::options().write(true).open("/dev/full");
        let Ok(full) = full else { return };
        let (blocks, waiting) = sync_channel(BLOCKS_WAITING);
        let thread = Builder::new().spawn(move || write_all(full, &waiting)).expect("a thread");
        let mut writer = SpoolWriter { writing: Some(Writing { blocks, thread }), ..SpoolWriter::new(None) };
        let told = (0..100).find_map(|_| writer.write(&row).err()).map_or_else(|| writer.finish().err(), Some);
        let Some(InputError::Spool(error)) = told else { panic!("{told:?}") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
