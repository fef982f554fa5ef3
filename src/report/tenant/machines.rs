//! The tenant's machines as CSV.
//!
//! Rows are written as the pages come, so that memory does not grow with what a machine shows, but into a file that
//! nobody sees: the target gets all machines or none. What surprises: the column of device values is called
//! `currentDeviceValue`, and that of tags `machineTags`, so that the file is never taken for an order to set them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::inventory::MachineSink;
use crate::model::MachineId;
use crate::model::MachineRecord;
use crate::outside::{Outside, shown};
use crate::report::files::atomic::{check_device, is_device, new_file_beside, open_device, put_in_place};
use crate::report::files::earlier::{self, ExistingFile};
use crate::report::output::screen::Screen;

/// The columns. None must be one that says what to change, and the first is the one that names the machine.
pub(crate) const COLUMNS: [&str; 20] = [
    "machineId",
    "computerDnsName",
    "lastSeen",
    "firstSeen",
    "osPlatform",
    "osVersion",
    "version",
    "osBuild",
    "osArchitecture",
    "healthStatus",
    "onboardingStatus",
    "rbacGroupName",
    "riskScore",
    "exposureLevel",
    "aadDeviceId",
    "managedBy",
    "lastIpAddress",
    "lastExternalIpAddress",
    "machineTags",
    "currentDeviceValue",
];

/// The last columns, by which an earlier list is known.
const KNOWN_BY: [&str; 2] = ["machineTags", "currentDeviceValue"];

/// Why the machines could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the machines to {}", shown(path))]
pub(crate) struct MachinesError {
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

/// Where the machines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MachinesTarget {
    StandardOutput,
    File(PathBuf),
}

impl MachinesTarget {
    /// The name in messages.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::StandardOutput => Path::new("standard output"),
            Self::File(path) => path,
        }
    }

    fn failure(&self, source: io::Error) -> MachinesError {
        MachinesError { path: self.path().to_owned(), source }
    }
}

/// The file that is to take the machines. Until it is finished, nobody sees it; if it never is, nothing of it stays,
/// whoever still writes to it.
#[derive(Debug)]
pub(crate) struct MachinesFile {
    target: MachinesTarget,
    /// The file to be put in the target's place; none where the rows are to be copied.
    beside: Option<NamedTempFile>,
}

/// The rows of a [`MachinesFile`], being written.
#[derive(Debug)]
pub(crate) struct MachinesSheet {
    writer: csv::Writer<BufWriter<File>>,
    seen: HashSet<MachineId>,
}

impl MachinesFile {
    /// A file without rows, and the sheet to write them on. What would keep the target from being written is found here,
    /// before the first call.
    ///
    /// # Errors
    /// [`MachinesError`] when the target is a directory, or no file can be made.
    pub(crate) fn new(target: MachinesTarget) -> Result<(Self, MachinesSheet), MachinesError> {
        let (beside, file) = spool(&target).map_err(|source| target.failure(source))?;
        let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 16, file));
        writer.write_record(COLUMNS).map_err(|error| target.failure(plain(error)))?;
        Ok((Self { target, beside }, MachinesSheet { writer, seen: HashSet::new() }))
    }

    /// Puts all rows where they belong. A reader of standard output that went away is no failure.
    ///
    /// # Errors
    /// [`MachinesError`] when that does not work; the target is as it was then, unless it is no ordinary file.
    pub(crate) fn finish(self, sheet: MachinesSheet, screen: &Screen) -> Result<(), MachinesError> {
        let Self { target, beside } = self;
        let failure = |source| target.failure(source);
        let buffer = sheet.writer.into_inner().map_err(|error| failure(error.into_error()))?;
        let mut file = buffer.into_inner().map_err(|error| failure(error.into_error()))?;
        match (&target, beside) {
            (MachinesTarget::File(path), Some(beside)) => put_in_place(beside, path).map_err(failure),
            (MachinesTarget::File(path), None) => {
                let device = open_device(path).map_err(failure)?;
                copy(&mut file, screen.stream_to(device)).map_err(failure)
            }
            (MachinesTarget::StandardOutput, _) => match copy(&mut file, screen.data_stream()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(failure(error)),
                _ => Ok(()),
            },
        }
    }
}

/// Where the rows go at first: into a file beside the target, or where there can be none into one without a name.
fn spool(target: &MachinesTarget) -> io::Result<(Option<NamedTempFile>, File)> {
    match target {
        MachinesTarget::File(path) if path.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        MachinesTarget::File(path) if !is_device(path) => {
            let is_other = earlier::existing_file(path, &KNOWN_BY)? == ExistingFile::Other;
            if is_other || earlier::is_read_only(path) {
                let why = if is_other { "it already exists, and is not a list of machines" } else { "it is read-only" };
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
            }
            let beside = new_file_beside(path)?;
            let file = beside.as_file().try_clone()?;
            Ok((Some(beside), file))
        }
        MachinesTarget::File(path) => {
            check_device(path)?;
            Ok((None, tempfile::tempfile()?))
        }
        MachinesTarget::StandardOutput => Ok((None, tempfile::tempfile()?)),
    }
}

fn copy(file: &mut File, mut output: impl Write) -> io::Result<()> {
    file.rewind()?;
    io::copy(file, &mut output)?;
    output.flush()
}

fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// The cell of a machine's tags. Unknown ones are an empty cell, no tags an empty list.
pub(super) fn tags_cell(machine: &MachineRecord) -> io::Result<Option<String>> {
    Ok(machine.machine_tags.as_ref().map(serde_json::to_string).transpose()?)
}

/// What a machine holds, in the order of [`COLUMNS`].
pub(super) fn cells<'m>(
    machine: &'m MachineRecord,
    shown_id: &'m str,
    tags: Option<&'m str>,
) -> [Option<&'m str>; COLUMNS.len()] {
    [
        Some(shown_id),
        machine.computer_dns_name.as_deref(),
        machine.last_seen.as_deref(),
        machine.first_seen.as_deref(),
        machine.os_platform.as_deref(),
        machine.os_version.as_deref(),
        machine.version.as_deref(),
        machine.os_build.as_deref(),
        machine.os_architecture.as_deref(),
        machine.health_status.as_deref(),
        machine.onboarding_status.as_deref(),
        machine.rbac_group_name.as_deref(),
        machine.risk_score.as_deref(),
        machine.exposure_level.as_deref(),
        machine.aad_device_id.as_deref(),
        machine.managed_by.as_deref(),
        machine.last_ip_address.as_deref(),
        machine.last_external_ip_address.as_deref(),
        tags,
        machine.device_value.as_deref(),
    ]
}

/// Writes the row of a machine.
pub(super) fn write_machine<W: Write>(
    writer: &mut csv::Writer<W>,
    machine: &MachineRecord,
    shown_id: &str,
) -> io::Result<()> {
    let tags = tags_cell(machine)?;
    for cell in cells(machine, shown_id, tags.as_deref()) {
        writer.write_field(Outside::new(cell.unwrap_or_default()).data_cell().as_bytes()).map_err(plain)?;
    }
    writer.write_record(None::<&[u8]>).map_err(plain)
}

impl MachineSink for MachinesSheet {
    fn take(&mut self, machine: &MachineRecord) -> io::Result<bool> {
        let id = MachineId::from_service(&machine.id);
        let shown_id = id.to_string();
        if !self.seen.insert(id) {
            return Ok(false);
        }
        write_machine(&mut self.writer, machine, &shown_id)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{InputError, InputOptions, read};

    #[test]
    fn what_is_exported_is_never_an_order() {
        let header = COLUMNS.join(",");
        let rows = format!("{header}\n{}", ["x"; COLUMNS.len()].join(","));
        let error = read(rows.as_bytes(), &InputOptions::default()).expect_err("a refusal");
        let InputError::MissingColumns { gaps, .. } = error else { panic!("{error}") };
        assert_eq!(gaps.to_string(), "has no column that says what to change");
    }

    #[test]
    fn a_file_has_all_machines_each_once_or_is_not_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("machines.csv");
        let new = || MachinesFile::new(MachinesTarget::File(path.clone())).expect("a sheet");
        let machine = MachineRecord { id: "=odd".into(), ..MachineRecord::default() };
        let (given_up, mut sheet) = new();
        drop(given_up);
        assert!(sheet.take(&machine).expect("room"), "somebody still writes");
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);

        let (file, mut sheet) = new();
        assert!(sheet.take(&machine).expect("room") && !sheet.take(&machine).expect("room"));
        let tagged = MachineRecord {
            id: "B".repeat(40).into(),
            computer_dns_name: Some("@pc".into()),
            machine_tags: Some(vec!["=1".into(), "\"a\", b".into()]),
            device_value: Some("High".into()),
            ..MachineRecord::default()
        };
        assert!(sheet.take(&tagged).expect("room"));
        file.finish(sheet, &crate::report::Screen::new(crate::report::ColorChoice::Never, true)).expect("written");
        let text = std::fs::read_to_string(&path).expect("a file");
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(
            rows,
            [
                COLUMNS.join(",").as_str(),
                "'=odd,,,,,,,,,,,,,,,,,,,",
                concat!(
                    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb,'@pc,,,,,,,,,,,,,,,,,",
                    r#""[""=1"",""\""a\"", b""]",High"#
                ),
            ]
        );
    }

    #[test]
    fn a_target_that_cannot_be_written_is_found_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        for path in [directory.path().to_owned(), directory.path().join("missing/machines.csv")] {
            let error = MachinesFile::new(MachinesTarget::File(path.clone())).expect_err("a refusal");
            assert_eq!(error.to_string(), format!("cannot write the machines to {}", path.display()));
        }
    }
}
