//! Files that the environment names and a library reads whole, looked at before it does: what never ends, or never answers,
//! would be read for ever.

use std::path::{Path, PathBuf};

use crate::exit::{CommandError, ExitStatus};
use crate::outside::shown;

/// The roots of a whole system have a sixteenth of that.
const CERTIFICATES_MAXIMUM_BYTES: u64 = 4 * 1024 * 1024;
/// The rules of a time zone for a thousand years have a tenth of that.
const TIME_ZONE_MAXIMUM_BYTES: u64 = 1024 * 1024;
/// All time zones under all their names are a quarter of that.
const MOST_TIME_ZONES: u32 = 8_000;
/// What looks like files there are questions to the system, some of which are never answered.
const WITHOUT_FILES: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Makes sure that the time zone can be read.
pub(super) fn check_time_zone() -> Result<(), CommandError> {
    let name = std::env::var_os("TZ").map(PathBuf::from).unwrap_or_default();
    let name = name.to_str().map_or(name.as_path(), |name| Path::new(name.trim_start_matches(':')));
    if name.is_absolute() {
        return check("TZ", name, TIME_ZONE_MAXIMUM_BYTES);
    }
    let directory = std::env::var_os("TZDIR").map(PathBuf::from).filter(|directory| !directory.as_os_str().is_empty());
    // A name that is not there is looked for in all of it.
    directory.map_or(Ok(()), |directory| check_all("TZDIR", &directory, &mut { MOST_TIME_ZONES }))
}

/// The same for everything in a directory, as far as it holds so many files.
fn check_all(variable: &str, directory: &Path, left: &mut u32) -> Result<(), CommandError> {
    refuse_without_files(variable, directory)?;
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        *left =
            left.checked_sub(1).ok_or_else(|| refusal(variable, directory, "which holds too many files for that"))?;
        // A link to a directory may lead back to where it stands.
        match (entry.file_type(), path.metadata()) {
            (Ok(kind), _) if kind.is_dir() => check_all(variable, &path, left)?,
            (_, Ok(found)) if found.is_dir() => {}
            _ => check(variable, &path, TIME_ZONE_MAXIMUM_BYTES)?,
        }
    }
    Ok(())
}

/// Makes sure that the certificates can be read whom the system trusts.
pub(super) fn check_certificates() -> Result<(), CommandError> {
    if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
        check("SSL_CERT_FILE", Path::new(&file), CERTIFICATES_MAXIMUM_BYTES)?;
    }
    let directories = std::env::var_os("SSL_CERT_DIR").unwrap_or_default();
    for directory in std::env::split_paths(&directories) {
        refuse_without_files("SSL_CERT_DIR", &directory)?;
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            // Only ordinary files are read there.
            if entry.path().metadata().is_ok_and(|it| it.is_file() && it.len() > CERTIFICATES_MAXIMUM_BYTES) {
                return Err(refusal("SSL_CERT_DIR", &entry.path(), "which is too large for certificates"));
            }
        }
    }
    Ok(())
}

/// An ordinary file of a size that makes sense; what is not there is no matter.
fn check(variable: &str, path: &Path, maximum_bytes: u64) -> Result<(), CommandError> {
    refuse_without_files(variable, path)?;
    match path.metadata() {
        Ok(found) if !found.is_file() => Err(refusal(variable, path, "which is no ordinary file")),
        Ok(found) if found.len() > maximum_bytes => Err(refusal(variable, path, "which is too large for that")),
        _ => Ok(()),
    }
}

fn refuse_without_files(variable: &str, path: &Path) -> Result<(), CommandError> {
    let actual = path.canonicalize().unwrap_or_default();
    let is_there = WITHOUT_FILES.iter().any(|place| actual.starts_with(place));
    if is_there { Err(refusal(variable, path, "which holds no ordinary files")) } else { Ok(()) }
}

fn refusal(variable: &str, path: &Path, what: &str) -> CommandError {
    let hint = format!("name another one in {variable}, or unset it");
    CommandError::text(ExitStatus::Usage, format!("{variable} names {}, {what}", shown(path)), Some(&hint))
}
