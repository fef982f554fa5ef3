//! Where the text of an input comes from: the file itself, or a sheet of a workbook.

use std::io::{self, Chain, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::SpooledTempFile;

use super::Lines;
use crate::input::findings::error::InputError;
use crate::input::workbook::{MEMORY_BYTES, PACKED_MAXIMUM_BYTES, Workbook, WorkbookError, is_workbook};

/// As many bytes tell a workbook from text.
const START_BYTES: u64 = 8;

/// The bytes of an input, opened.
pub(in crate::input) enum Source<R> {
    /// Text, in whatever encoding.
    Text(Chain<Cursor<Vec<u8>>, R>),
    /// A sheet of a workbook, as text.
    Workbook(Box<Workbook>),
}

impl<R: Read> Source<R> {
    /// Looks at how the input begins. A workbook is read whole: the worksheet of this name, or the first one.
    pub(in crate::input) fn open(
        mut bytes: R,
        sheet: Option<&str>,
        spool_directory: Option<&Path>,
    ) -> Result<Self, InputError> {
        let mut start = Vec::new();
        bytes.by_ref().take(START_BYTES).read_to_end(&mut start).map_err(InputError::Read)?;
        let is_text = !is_workbook(&start);
        let bytes = Cursor::new(start).chain(bytes);
        if !is_text {
            let packed = packed(bytes, spool_directory)?;
            return Ok(Self::Workbook(Box::new(Workbook::open(packed, sheet, spool_directory)?)));
        }
        if sheet.is_some() { Err(InputError::NoSheets) } else { Ok(Self::Text(bytes)) }
    }

    /// What a person counts in it.
    pub(in crate::input) const fn lines(&self) -> Lines {
        match self {
            Self::Text(_) => Lines::Physical,
            Self::Workbook(_) => Lines::Rows,
        }
    }

    /// The workbook, if it is one.
    pub(in crate::input) const fn workbook(&self) -> Option<&Workbook> {
        match self {
            Self::Text(_) => None,
            Self::Workbook(workbook) => Some(workbook),
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Text(text) => text.read(buffer),
            Self::Workbook(workbook) => workbook.read(buffer),
        }
    }
}

/// A packed file is read here and there, and a pipe cannot be.
fn packed(mut bytes: impl Read, spool_directory: Option<&Path>) -> Result<SpooledTempFile, InputError> {
    let mut packed = match spool_directory {
        Some(directory) => SpooledTempFile::new_in(MEMORY_BYTES, directory),
        None => SpooledTempFile::new(MEMORY_BYTES),
    };
    let mut block = vec![0; 1 << 16];
    let mut left = PACKED_MAXIMUM_BYTES;
    loop {
        let count = match bytes.read(&mut block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(InputError::Read(error)),
        };
        left = left.checked_sub(count as u64).ok_or(WorkbookError::TooLarge)?;
        packed.write_all(block.get(..count).unwrap_or_default()).map_err(InputError::Spool)?;
    }
    packed.seek(SeekFrom::Start(0)).map_err(InputError::Spool)?;
    Ok(packed)
}
