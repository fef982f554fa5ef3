//! Why a workbook cannot be read.

use std::io;

use calamine::XlsxError;

use crate::outside::shown;

/// Why a workbook cannot be read. The caller adds the file's name.
#[derive(Debug, thiserror::Error)]
pub enum WorkbookError {
    /// The source failed.
    #[error("cannot read the workbook")]
    Read(#[source] io::Error),
    /// The temporary file failed: local storage is at fault.
    #[error("cannot keep a copy of the workbook in a temporary file; is the disk full?")]
    Spool(#[source] io::Error),
    /// The format of old workbooks, and of those with a password.
    #[error("this workbook is in the old format or has a password; save it as .xlsx without a password")]
    OldFormat,
    /// A workbook of another format.
    #[error("this is {0} workbook, which cannot be read; save it as .xlsx, or as \"CSV UTF-8\"")]
    OtherFormat(&'static str),
    /// A packed file, or a part of one, that is something else.
    #[error("this is not an .xlsx workbook, or a damaged one; save it again as .xlsx, or as \"CSV UTF-8\"")]
    Damaged(#[source] Option<Box<XlsxError>>),
    /// More than any sane workbook holds.
    #[error("the workbook holds more than can be read; save the sheet as \"CSV UTF-8\" and give that file")]
    TooLarge,
    /// Nothing that holds cells.
    #[error("the workbook has no visible worksheet")]
    NoWorksheet,
    /// No worksheet of the name that was asked for.
    #[error("the workbook has no worksheet {}; it has {}", quoted(wanted), names.iter().map(quoted).collect::<Vec<_>>().join(", "))]
    UnknownSheet {
        /// The name.
        wanted: String,
        /// The names that there are.
        names: Vec<String>,
    },
}

fn quoted(name: &String) -> String {
    format!("\"{}\"", shown(name))
}
