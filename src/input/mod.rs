//! Bytes to rows: decoding, dialect, columns and the errors of rows. Nothing here knows the API or the inventory.
//!
//! ```text
//! source ─> decode ─> text ─> scan ─> rows ─> Sheet { requests, problems, warnings }
//!                      └─> spool ─> chunks ─> records     (the second pass, when a run stores its input)
//! ```
//!
//! [`read`] goes once over the source, so a pipe will do, and checks every row before it returns: a row has requests or
//! problems, never both. A million rows must fit into little memory, so a [`Request`] is four numbers, machines and
//! tags are held once each, and the decoded text is kept in a temporary file as soon as it is larger than 1 MiB.
//!
//! What surprises:
//! - Lines are the physical lines of the file; rows are the records after the header. Both count from 1.
//! - An empty line is no record. A record whose cells are all empty is one, in error, so that row numbers never
//!   depend on what cells hold.
//! - A machine's name stays a name here, whatever it looks like. Only the inventory can tell a damaged id from a host.
//! - A quotation mark that is never closed makes the rest of the file one cell. That refuses the file, because rows
//!   would vanish otherwise.

mod check;
mod columns;
mod decode;
mod dialect;
mod error;
mod excerpt;
mod intern;
mod problem;
mod records;
mod request;
mod rows;
mod scan;
mod sheet;
mod text;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::PathBuf;

use encoding_rs::Encoding;

pub use self::decode::encoding;
pub use self::dialect::Dialect;
pub use self::error::{ColumnGaps, FoundColumns, InputError};
pub use self::excerpt::Excerpt;
pub use self::problem::{Problem, ProblemKind, TagWarning};
pub use self::records::records;
pub use self::request::{ChangeCode, Request, RequestedChange};
pub use self::sheet::{Chunk, Chunks, Sheet};

/// What the caller decides about reading an input.
#[derive(Clone, Debug, Default)]
pub struct InputOptions {
    /// The encoding that the user named; `None` takes it from the byte order mark, and UTF-8 without one.
    pub encoding: Option<&'static Encoding>,
    /// Where decoded text of more than 1 MiB is kept, in a file without a name that only this user can read; `None` is
    /// the system's directory for temporary files.
    pub spool_directory: Option<PathBuf>,
}

/// Reads and checks a whole input, in one pass over `source`. It blocks.
///
/// # Errors
/// [`InputError`] when the file as a whole cannot be used. Errors of single rows are [`Sheet::problems`].
pub fn read(source: impl Read, options: &InputOptions) -> Result<Sheet, InputError> {
    let mut text = text::Text::open(source, options)?;
    let opening = dialect::Opening::read(&mut text)?;
    rows::read(text, opening)
}
