//! Files that are read once and at once.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use secrecy::{SecretBox, SecretString};

/// A file of certificates is no larger: the roots of a whole system take a quarter of that.
const CERTIFICATES_MAXIMUM_BYTES: u64 = 1024 * 1024;
/// Larger than any token, secret or certificate with its chain.
const SECRET_MAXIMUM_BYTES: u64 = 256 * 1024;

/// Reads a file of no more than so many bytes.
///
/// # Errors
/// If it cannot be read, or is larger.
pub(crate) fn read_at_once(path: &Path, maximum_bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    read_bounded(open_at_once(path)?, maximum_bytes, &mut content)?;
    Ok(content)
}

/// Reads a file of certificates, without the byte order mark that Windows puts before a text.
///
/// # Errors
/// If it cannot be read, or is larger than such files are.
pub(crate) fn read_certificates(path: &Path) -> io::Result<Vec<u8>> {
    let content = read_at_once(path, CERTIFICATES_MAXIMUM_BYTES)?;
    Ok(content.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(content))
}

/// Reads a small file that holds a secret: its text without a byte order mark.
///
/// # Errors
/// If it cannot be read, is too large, or is neither UTF-8 nor UTF-16 with a byte order mark.
pub(crate) fn read_secret(path: &Path) -> io::Result<SecretString> {
    let file = open_at_once(path)?;
    // Kept in a secret while it grows, so that it is wiped whatever happens.
    let mut bytes: SecretBox<Vec<u8>> = SecretBox::default();
    let content = secrecy::ExposeSecretMut::expose_secret_mut(&mut bytes);
    read_bounded(file, SECRET_MAXIMUM_BYTES, content)?;
    text_of(content).map(SecretString::from)
}

/// The text that a file holds.
pub(crate) fn text_of(bytes: &[u8]) -> io::Result<String> {
    if let Some(text) = wide_text(bytes) {
        return text;
    }
    let text =
        std::str::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
}

/// The text of a file that begins with a byte order mark of UTF-16, as Windows PowerShell writes it; `None` for others.
fn wide_text(bytes: &[u8]) -> Option<io::Result<String>> {
    let (wide, to_unit): (_, fn([u8; 2]) -> u16) = match bytes {
        [0xFF, 0xFE, wide @ ..] => (wide, u16::from_le_bytes),
        [0xFE, 0xFF, wide @ ..] => (wide, u16::from_be_bytes),
        _ => return None,
    };
    let (pairs, rest) = wide.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(pairs.iter().copied().map(to_unit)).collect();
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-16 text, as its byte order mark says");
    Some(text.ok().filter(|_| rest.is_empty()).ok_or_else(invalid))
}

fn read_bounded(file: File, maximum_bytes: u64, content: &mut Vec<u8>) -> io::Result<()> {
    file.take(maximum_bytes + 1).read_to_end(content)?;
    if content.len() as u64 > maximum_bytes {
        let why = format!("it is larger than {maximum_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(())
}

/// Opens a file, and waits for nobody: a named pipe into which nobody writes is empty, and one into which somebody writes is
/// read to its end.
#[cfg(unix)]
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(not(unix))]
pub(crate) fn open_at_once(path: &Path) -> io::Result<File> {
    File::open(path)
}
