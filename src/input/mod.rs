//! Bytes to rows: decoding, dialect, columns and the errors of rows. Nothing here knows the API or the inventory.
//!
//! ```text
//! source ─> decode ─> text ─> opening ─> rows ─> Sheet { requests, problems, notes, warnings }
//!    ^                  └─ scan            └─> spool ─> chunks ─> records     (the second pass, when a run stores its input)
//!    └─ workbook         header: what filters name
//! ```
//!
//! [`read`] goes once over the source, so a pipe will do, and checks every row before it returns: a row has requests or
//! problems, never both. A million rows must fit into little memory, so a [`Request`](crate::model::Request) is four numbers,
//! machines and tags are held once each, and the rows' text is kept in a temporary file as soon as it is larger than 1 MiB.
//! Rows that stand in no file become a sheet through a [`SheetWriter`]: what results repeat of each, and what it asks for.
//!
//! A file must never mean less, or something else, than what a person sees when it is open in a spreadsheet. So what a cell
//! or a record holds is one of three: *read*, since it has one meaning whatever its decoration, and what was stripped or skipped
//! is a [`Note`]; *doubtful*, since it is mostly a mishap that would do harm, and refused unless the user allows it by name
//! ([`Doubt`]); or *wrong*. Both of the latter are a [`Problem`]. What is wrong with the file's structure makes all its rows
//! doubtful, and refuses it in any case ([`Sheet::is_refused`]).
//!
//! What surprises:
//! - Lines are the physical lines of the file, or the rows of a workbook's sheet. Rows are the records after the header that ask for something or should: the
//!   header repeated, and records of nothing but delimiters and blanks, are none. Both count from 1.
//! - A machine's name stays a name here. Only the inventory can tell whose it is.
//! - A quotation mark that closes too late, or never, swallows rows. That refuses the file, because they would vanish.

mod accept;
mod check;
mod columns;
mod decode;
mod decoration;
mod delimiter_name;
mod dialect;
mod error;
mod excerpt;
mod finding;
mod growing;
mod header;
mod list;
mod machine;
mod machine_filter;
mod mentions;
mod note;
mod opening;
mod options;
mod orders;
mod placeholders;
mod problem;
mod record;
mod record_fault;
mod records;
mod rivals;
mod rows;
mod scan;
mod selection;
mod sheet;
mod skipped;
mod source;
mod spool;
mod tag_book;
mod tag_gate;
mod tenants;
mod text;
mod unicode;
mod workbook;
mod writer;

#[cfg(test)]
mod tests;

use std::io::Read;

use self::columns::Needed;
use self::selection::Selection;
use self::source::Source;
use crate::filter::Filter;

pub use self::accept::Accepted;
pub(crate) use self::accept::Doubt;
pub(crate) use self::columns::{
    MACHINE_BY_ID_WRITTEN, RESULT_COLUMNS, VERIFICATION_COLUMNS, added_names, bare_name, is_added_name,
};
pub(crate) use self::decode::{Encoding, encoding};
pub(crate) use self::dialect::Dialect;
pub(crate) use self::error::InputError;
pub(crate) use self::excerpt::Excerpt;
pub(crate) use self::finding::Finding;
pub use self::header::HeaderColumns;
pub(crate) use self::header::{list_elements, list_form};
pub(crate) use self::list::{List, ListError, ListOptions, ListRemedy};
pub(crate) use self::machine_filter::MachineFilter;
pub(crate) use self::note::Note;
pub use self::options::InputOptions;
pub use self::orders::Orders;
pub(crate) use self::placeholders::is_spreadsheet_error;
#[cfg(test)]
pub(crate) use self::problem::ProblemKind;
pub(crate) use self::problem::{KeyKind, Problem};
pub(crate) use self::records::records;
pub(crate) use self::rivals::ColumnChange;
pub(crate) use self::selection::{MachineFields, is_of_machine, names_machine_fields};
pub(crate) use self::sheet::Sheet;
pub(crate) use self::tag_gate::TagOddity;
pub(crate) use self::tenants::Tenants;
pub(crate) use self::unicode::folded;
pub(crate) use self::workbook::WorkbookError;
pub(crate) use self::writer::SheetWriter;

/// Reads and checks a whole input, in one pass over `source`. It blocks.
///
/// # Errors
/// [`InputError`] when the file as a whole cannot be used. Errors of single rows are [`Sheet::problems`].
pub fn read(source: impl Read, options: &InputOptions) -> Result<Sheet, InputError> {
    read_selected(source, options, None, None)
}

/// The same, of the rows that a filter selects: the others are no rows of the sheet, and not checked. The filter may name
/// fields of `machines`.
///
/// # Errors
/// [`InputError`] when the file as a whole cannot be used, or the filter does not fit its columns.
pub fn read_selected(
    source: impl Read,
    options: &InputOptions,
    filter: Option<Filter>,
    machines: Option<&dyn MachineFields>,
) -> Result<Sheet, InputError> {
    let source = Source::open(source, options.sheet.as_deref(), options.spool_directory.as_deref())?;
    let workbook = source.workbook().map(|workbook| (Note::sheet(workbook), workbook.rows()));
    // A workbook says itself how it is encoded.
    let encoding = options.encoding.filter(|_| workbook.is_none());
    let lines = source.lines();
    let mut text = text::Text::open(source, encoding, lines)?;
    let needed = if options.orders.is_some() { Needed::Machines } else { Needed::Orders };
    let opening = opening::Opening::read(&mut text, options.accepted, needed)?;
    let selection = filter.map(|filter| Selection::new(filter, &opening.header, machines, options)).transpose();
    let selection = selection.map_err(InputError::Filter)?;
    let mut sheet = rows::read(text, opening, selection, workbook.as_ref().map(|(_, rows)| rows), options)?;
    sheet.notes.extend(workbook.and_then(|(note, _)| note));
    Ok(sheet)
}
