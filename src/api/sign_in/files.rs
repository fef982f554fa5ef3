//! Small files that hold one secret each.

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;

use super::error::SignInError;
use crate::outside::{read_secret, shown};

/// Reads a client secret from a file: its text without white space at the ends. Warns if everybody
/// on this computer may read it.
///
/// # Errors
/// [`SignInError::File`] if it cannot be read, is too large or is neither UTF-8 nor UTF-16 with a byte order mark;
/// [`SignInError::Settings`] if it is empty.
pub(crate) fn read_secret_file(path: &Path) -> Result<SecretString, SignInError> {
    let text = read_private_text(path)?;
    let secret = secrecy::ExposeSecret::expose_secret(&text).trim();
    if secret.is_empty() {
        return Err(SignInError::settings(format!("{} is empty", shown(path)), "write the secret's value into it"));
    }
    Ok(secret.into())
}

/// The text of a file that nobody else should read.
pub(super) fn read_private_text(path: &Path) -> Result<SecretString, SignInError> {
    warn_if_readable_by_everybody(path);
    read_text(path)
}

/// The text of a small file, without a byte order mark.
pub(super) fn read_text(path: &Path) -> Result<SecretString, SignInError> {
    read_secret(path).map_err(|source| SignInError::File { path: path.to_owned(), source: Arc::new(source) })
}

/// Warns of a file with a secret that every account of this computer can read.
pub(crate) fn warn_if_readable_by_everybody(path: &Path) {
    if is_readable_by_everybody(path) {
        tracing::warn!(
            "{} can be read by every account on this computer; take that permission away \
             (chmod 600)",
            shown(path)
        );
    }
}

/// A file that cannot be looked at cannot be read either: that error is the next one.
#[cfg(unix)]
fn is_readable_by_everybody(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    const READ_BY_OTHERS: u32 = 0o004;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & READ_BY_OTHERS != 0)
}

/// Windows has no such bit: who may read stands in access control lists, which are inherited and
/// mostly in order.
#[cfg(not(unix))]
fn is_readable_by_everybody(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn file_with(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), content).expect("writable");
        file
    }

    #[test]
    fn a_secret_file_is_trimmed_text() {
        let wide =
            |to_bytes: fn(u16) -> [u8; 2]| "\u{feff}s3cret\r\n".encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
        let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
        for content in [&b"s3cret"[..], b"  s3cret\r\n", b"\xef\xbb\xbfs3cret\n", &little, &big] {
            let file = file_with(content);
            let secret = read_secret_file(file.path()).expect("readable");
            assert_eq!(secret.expose_secret(), "s3cret");
        }
    }

    #[test]
    fn what_is_no_secret_file_is_an_error_that_shows_nothing_of_it() {
        let too_large = vec![b'x'; 256 * 1024 + 1];
        let cases: [(&[u8], &str); 5] = [
            (b"", "empty"),
            (b"\xff\xfes\x003", "cannot read"),
            (b" \n", "empty"),
            (b"s3\xff\xfe", "cannot read"),
            (&too_large, "cannot read"),
        ];
        for (content, expected) in cases {
            let file = file_with(content);
            let error = read_secret_file(file.path()).expect_err("no secret");
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!format!("{error:?}").contains("s3"), "{error:?}");
        }
        let missing = read_secret_file(Path::new("/nonexistent/secret")).expect_err("no file");
        assert!(matches!(missing, SignInError::File { .. }), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn only_files_that_everybody_may_read_are_warned_of() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = file_with(b"s3cret");
        for (mode, expected) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), permissions).expect("our own file");
            assert_eq!(is_readable_by_everybody(file.path()), expected, "{mode:o}");
        }
        assert!(!is_readable_by_everybody(Path::new("/dev/null")));
    }
}
