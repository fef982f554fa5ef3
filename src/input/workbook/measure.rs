//! What a workbook holds in truth, found out by unpacking it once. What the packed file says of itself is not believed.

use std::io::{self, Read, Seek, Write};

use zip::ZipArchive;
use zip::result::ZipError;

use super::error::WorkbookError;

/// The most parts. A workbook of a hundred sheets has some hundred.
const PARTS_MAXIMUM: usize = 10_000;
/// The most that all parts but the sheets may unpack to: they are held in memory.
pub(super) const HELD_MAXIMUM_BYTES: u64 = 128 * 1024 * 1024;
/// The most that one sheet may unpack to. It is read cell by cell; 500,000 machines of the portal's export take 700 MB.
pub(super) const SHEET_MAXIMUM_BYTES: u64 = 1024 * 1024 * 1024;
/// The longest text between two marks of a sheet's part. Whoever reads it cell by cell holds one such text at a time; a cell
/// has at most 32,767 characters, each written in a few bytes.
const TEXT_MAXIMUM_BYTES: usize = 1024 * 1024;
/// The fewest bytes that a text takes among the shared ones: `<si/>`.
const TEXT_MINIMUM_BYTES: usize = 5;

/// Unpacks everything once, into nothing, and refuses what is too large.
pub(super) fn measure(
    source: &mut (impl Read + Seek),
    held_maximum_bytes: u64,
    sheet_maximum_bytes: u64,
) -> Result<(), WorkbookError> {
    let mut archive = ZipArchive::new(source).map_err(refused)?;
    if archive.len() > PARTS_MAXIMUM {
        return Err(WorkbookError::TooLarge);
    }
    if let Some(format) = other_format(archive.file_names().flatten()) {
        return Err(WorkbookError::OtherFormat(format));
    }
    let mut held_bytes = 0;
    for position in 0..archive.len() {
        let mut part = archive.by_index(position).map_err(refused)?;
        let name = part.name().map_err(refused)?.to_lowercase();
        // The name by which the reader finds the shared texts counts wherever they lie.
        let is_shared = name.ends_with("sharedstrings.xml");
        if !is_shared && name.contains("/worksheets/sheet") {
            let mut longest = LongestText::default();
            let bytes = copied(&mut part, sheet_maximum_bytes, &mut longest)?;
            if bytes > sheet_maximum_bytes || longest.bytes > TEXT_MAXIMUM_BYTES {
                return Err(WorkbookError::TooLarge);
            }
            continue;
        }
        let left = held_maximum_bytes - held_bytes;
        if is_shared {
            held_bytes += check_shared_texts(&mut part, left)?;
        } else {
            held_bytes += measured(&mut part, left)?;
        }
        if held_bytes > held_maximum_bytes {
            return Err(WorkbookError::TooLarge);
        }
    }
    Ok(())
}

/// What the names of the parts say of a workbook in another format.
fn other_format<Name: AsRef<str>>(names: impl Iterator<Item = Name>) -> Option<&'static str> {
    let (mut has_kind, mut has_content) = (false, false);
    for name in names {
        match name.as_ref() {
            "xl/workbook.bin" => return Some("a binary (.xlsb)"),
            "mimetype" => has_kind = true,
            "content.xml" => has_content = true,
            _ => {}
        }
    }
    (has_kind && has_content).then_some("an OpenDocument (.ods)")
}

/// How many bytes a part has; of one that is too large, one more than the most.
fn measured(part: impl Read, most: u64) -> Result<u64, WorkbookError> {
    copied(part, most, &mut io::sink())
}

/// The same, with the bytes shown to whoever measures something else.
fn copied(part: impl Read, most: u64, seen: &mut impl Write) -> Result<u64, WorkbookError> {
    io::copy(&mut part.take(most + 1), seen).map_err(damaged)
}

/// The longest text between two marks that begin with `<`, the second of which may be missing.
#[derive(Default)]
struct LongestText {
    bytes: usize,
    /// The length of the one at hand.
    open_bytes: usize,
}

impl Write for LongestText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'<') {
            self.open_bytes += piece.len();
            self.bytes = self.bytes.max(self.open_bytes);
            if piece.ends_with(b"<") {
                self.open_bytes = 0;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The shared texts say how many they are, and the reader makes room for as many: no more than can be there.
fn check_shared_texts(part: impl Read, most: u64) -> Result<u64, WorkbookError> {
    let mut bytes = Vec::new();
    part.take(most + 1).read_to_end(&mut bytes).map_err(damaged)?;
    let most_texts = bytes.len() / TEXT_MINIMUM_BYTES;
    for position in memchr::memmem::find_iter(&bytes, "uniqueCount") {
        let rest = bytes.get(position + "uniqueCount".len()..).unwrap_or_default();
        let digits = rest.iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
        let count = digits.fold(0_usize, |count, digit| count.saturating_mul(10).saturating_add((digit - b'0').into()));
        if count > most_texts {
            return Err(WorkbookError::Damaged(None));
        }
    }
    Ok(bytes.len() as u64)
}

fn refused(error: ZipError) -> WorkbookError {
    match error {
        ZipError::Io(error) => damaged(error),
        _ => WorkbookError::Damaged(None),
    }
}

/// Unpacking fails where the data is damaged; only the rest is the source's fault.
fn damaged(error: io::Error) -> WorkbookError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            WorkbookError::Damaged(None)
        }
        _ => WorkbookError::Read(error),
    }
}
