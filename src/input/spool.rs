//! The rows' text once more, for the second pass: only what is a row is kept, so that both passes see the same rows.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use tempfile::SpooledTempFile;

use super::InputOptions;
use super::error::InputError;

/// Text up to this size stays in memory; beyond it, all of it is in a file.
const MEMORY_BYTES: usize = 1024 * 1024;

/// How much text is written at once.
const WRITTEN_BYTES: usize = 64 * 1024;

/// The text of the rows, one behind the other.
pub(super) struct Spool {
    file: SpooledTempFile,
    /// What is not in the file yet.
    pending: Vec<u8>,
    written: u64,
}

impl Spool {
    /// It begins with a line break, so that every row follows one; see [`Chunk`](super::Chunk).
    pub(super) fn new(options: &InputOptions) -> Self {
        let file = match &options.spool_directory {
            Some(directory) => SpooledTempFile::new_in(MEMORY_BYTES, directory),
            None => SpooledTempFile::new(MEMORY_BYTES),
        };
        Self { file, pending: b"\n".to_vec(), written: 0 }
    }

    /// Takes the text of the next row, with its line break if it has one; says where it begins.
    pub(super) fn write(&mut self, row: &str) -> Result<u64, InputError> {
        let start = self.end();
        self.pending.extend_from_slice(row.as_bytes());
        if self.pending.len() >= WRITTEN_BYTES {
            self.flush()?;
        }
        Ok(start)
    }

    /// Where the next row will begin.
    pub(super) const fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    pub(super) fn flush(&mut self) -> Result<(), InputError> {
        self.file.write_all(&self.pending).map_err(InputError::Spool)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    pub(super) fn read(&mut self, start: u64, length: usize) -> Result<String, InputError> {
        let mut text = vec![0; length];
        self.file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(&mut text))
            .map_err(InputError::Spool)?;
        String::from_utf8(text).map_err(|error| InputError::Spool(io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}
