//! What stands already where a file is to be put: nothing that matters, something that we wrote, or somebody else's.
//!
//! Nobody's work is ever replaced. The results of another run are moved aside under a name that carries that run's id; a
//! file that is not ours is refused. A file is known by its columns: those that we add come last, and each row of results
//! names its run. What surprises: the rows to feed back have the input's own columns, so their file is known by the
//! results beside it, or where those are gone by its columns alone. It moves first: a crash in between leaves a pair that
//! can still be told.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use crate::input::is_added_name;
use crate::outside::open_at_once;

/// Bytes at the beginning of a file that are looked at; no header and first row of ours are longer.
const LOOKED_AT: u64 = 1 << 20;
/// Characters of a run's id at the most.
const LONGEST_RUN_ID: usize = 64;
/// The delimiters that an input, and so its results, can have.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExistingFile {
    /// There is none, or nothing in it.
    Nothing,
    /// A table with these columns at the end, and the last cell of its first row.
    Ours { last_cell: Option<String> },
    /// Somebody else's.
    Other,
}

/// What the file holds, if `columns` are those by which one of ours is known.
pub(in crate::report) fn existing_file(path: &Path, columns: &[&str]) -> io::Result<ExistingFile> {
    match beginning(path) {
        Ok(start) => Ok(existing_file_at(&start, columns)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ExistingFile::Nothing),
        Err(error) => Err(error),
    }
}

/// What a file begins with. It may have become something else since it was named, which would keep whoever reads it for ever.
fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_at_once(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no ordinary file any more"));
    }
    let mut start = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut start)?;
    Ok(start)
}

/// The same for a file that begins so.
pub(crate) fn existing_file_at(start: &[u8], columns: &[&str]) -> ExistingFile {
    if start.is_empty() {
        return ExistingFile::Nothing;
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let known = DELIMITERS.into_iter().find_map(|delimiter| {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text);
        let header = reader.byte_headers().ok()?;
        let mut added = header.iter().skip(header.len().checked_sub(columns.len())?).zip(columns);
        if !added.all(|(cell, column)| str::from_utf8(cell).is_ok_and(|cell| is_added_name(cell, column))) {
            return None;
        }
        let mut row = csv::ByteRecord::new();
        let has_row = reader.read_byte_record(&mut row).ok()?;
        let last_cell = row.iter().next_back().filter(|_| has_row);
        Some(ExistingFile::Ours { last_cell: last_cell.map(|cell| String::from_utf8_lossy(cell).into_owned()) })
    });
    known.unwrap_or(ExistingFile::Other)
}

/// Whether it begins with this header and no further column.
pub(in crate::report) fn has_header(path: &Path, header: &[String]) -> io::Result<bool> {
    let start = beginning(path)?;
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start);
    Ok(DELIMITERS.into_iter().any(|delimiter| {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text);
        reader.byte_headers().is_ok_and(|found| found.iter().eq(header.iter().map(String::as_bytes)))
    }))
}

/// Whether it was written before then.
pub(in crate::report) fn is_older(path: &Path, time: Timestamp) -> bool {
    let written_at = path.metadata().and_then(|metadata| metadata.modified());
    written_at.is_ok_and(|written_at| written_at < SystemTime::from(time))
}

/// Whether nobody, not even its owner, is to write to it.
pub(in crate::report) fn is_read_only(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.permissions().readonly())
}

/// Whether it is there, and there is something in it.
pub(in crate::report) fn holds_something(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() > 0)
}

/// A cell that can be a run's id, and so a part of a name.
pub(crate) fn run_id(cell: String) -> Option<String> {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (!cell.is_empty() && cell.len() <= LONGEST_RUN_ID && is_plain(&cell)).then_some(cell)
}

/// Moves a file aside under a name that carries this run's id, and gives the name.
pub(in crate::report) fn move_aside(path: &Path, run_id: &str) -> io::Result<PathBuf> {
    let is_csv = path.extension().is_some_and(|extension| extension == "csv");
    let (stem, extension) = if is_csv { (path.with_extension(""), ".csv") } else { (path.to_owned(), "") };
    let named = |mark: String| {
        // Its name need not be text.
        let mut name = stem.clone().into_os_string();
        name.push(format!(".{mark}{extension}"));
        PathBuf::from(name)
    };
    let mut aside = named(run_id.to_owned());
    let mut copies = 1;
    // Somebody moved results of this run aside before.
    while aside.symlink_metadata().is_ok() {
        copies += 1;
        aside = named(format!("{run_id}.{copies}"));
    }
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_ours_by_its_last_columns() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.csv");
        let ours = |cell: Option<&str>| ExistingFile::Ours { last_cell: cell.map(str::to_owned) };
        assert_eq!(existing_file(&path, &["row", "run_id"]).expect("no file"), ExistingFile::Nothing);
        for (text, expected) in [
            ("", ExistingFile::Nothing),
            ("machineId,row,run_id\na,1,R\nb,2,S\n", ours(Some("R"))),
            ("\u{feff}machineId;row;run_id\r\na;1;R\r\n", ours(Some("R"))),
            ("\"a\nb\"|row|run_id\n\"x\ny\"|1|R\n", ours(Some("R"))),
            ("Row,run_id,result_row,result_run_id\n1,7,1,R\n", ours(Some("R"))),
            ("row,run_id\n", ours(None)),
            ("row,run_id,remark\n1,R,mine\n", ExistingFile::Other),
            ("run_id,row\nR,1\n", ExistingFile::Other),
            ("run_id", ExistingFile::Other),
            ("machineId,tag,action\n", ExistingFile::Other),
            ("PK\u{3}\u{4}\0\0", ExistingFile::Other),
        ] {
            std::fs::write(&path, text).expect("a file");
            assert_eq!(existing_file(&path, &["row", "run_id"]).expect("a file"), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_is_replaced_by_what_is_moved_aside() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, expected) in [
            ("x.results.csv", "x.results.R.csv"),
            ("x.results.csv", "x.results.R.2.csv"),
            ("x.results.csv", "x.results.R.3.csv"),
            ("out", "out.R"),
        ] {
            let path = directory.path().join(name);
            std::fs::write(&path, expected).expect("a file");
            let aside = move_aside(&path, "R").expect("a new name");
            assert_eq!((aside.file_name(), path.exists()), (Some(expected.as_ref()), false));
            assert_eq!(std::fs::read_to_string(aside).expect("the file"), expected);
        }
    }

    #[test]
    fn what_can_be_no_run_is_no_part_of_a_name() {
        assert_eq!(run_id("20261122-163112-9ncgtw".into()).as_deref(), Some("20261122-163112-9ncgtw"));
        for cell in ["", "../x", "a b", "x.csv", "é"] {
            assert_eq!(run_id(cell.into()), None, "{cell}");
        }
    }
}
