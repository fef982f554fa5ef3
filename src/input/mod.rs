//! Bytes to rows: decoding, dialect, columns and the errors of rows. Nothing here knows the API or the inventory.
//!
//! ```text
//! source ─> decode ─> text ─> opening ─> rows ─> Sheet { requests, problems, notes, warnings }
//!    ^                  └─ scan            └─> spool ─> chunks ─> records     (the second pass, when a run stores its input)
//!    └─ workbook         header: what filters name
//! ```
//!
//! # The rooms
//! Each knows only those below it:
//!
//! - [`readers`]: whoever goes over a whole file, of orders or of anything else about machines.
//! - [`sheet`]: what comes of a file of orders, with its rows' text for the second pass.
//! - [`choices`]: what the caller says beside the file: which rows are meant, and what all of them ask for.
//! - [`structure`]: the dialect, the opening and its header, the columns, and records as such.
//! - [`cells`]: what a machine, a tag, an action and a value mean. [`text`]: bytes to text, and text to cells.
//! - [`findings`]: what is said of a file: errors, problems, notes, and what may be allowed.
//! - [`oddities`]: what stands in a cell and is not meant. [`workbook`]: a sheet as text.
//!
//! # What is read
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
//! - Lines are the physical lines of the file, or the rows of a workbook's sheet. Rows are the records after the header that
//!   ask for something or should: the header repeated, and records of nothing but delimiters and blanks, are none. Both
//!   count from 1.
//! - A machine's name stays a name here. Only the inventory can tell whose it is.
//! - A quotation mark that closes too late, or never, swallows rows. That refuses the file, because they would vanish.

mod cells;
mod choices;
mod findings;
mod oddities;
mod readers;
mod sheet;
mod structure;
mod text;
mod workbook;

#[cfg(test)]
mod tests;

use std::io::Read;

use self::choices::selection::Selection;
use self::readers::rows;
use self::structure::columns::Needed;
use self::structure::opening::Opening;
use self::text::Text;
use self::text::source::Source;
use crate::filter::Filter;

pub(crate) use self::choices::machine_filter::MachineFilter;
pub use self::choices::options::InputOptions;
pub use self::choices::orders::Orders;
pub(crate) use self::choices::selection::{MachineFields, is_of_machine, names_machine_fields};
use self::choices::tenants;
pub(crate) use self::choices::tenants::Tenants;
pub(crate) use self::choices::tenants::is_same_tenant;
pub use self::findings::accept::Accepted;
pub(crate) use self::findings::accept::Doubt;
pub(crate) use self::findings::error::InputError;
pub(crate) use self::findings::excerpt::Excerpt;
pub(crate) use self::findings::finding::Finding;
pub(crate) use self::findings::note::Note;
#[cfg(test)]
pub(crate) use self::findings::problem::ProblemKind;
pub(crate) use self::findings::problem::{KeyKind, Problem};
pub(crate) use self::oddities::placeholders::is_spreadsheet_error;
pub(crate) use self::oddities::tag_oddity::TagOddity;
pub(crate) use self::oddities::unicode::{compare_folded, folded, is_same_folded};
pub(crate) use self::readers::list::{List, ListError, ListOptions, ListRemedy};
pub(crate) use self::sheet::Sheet;
pub(crate) use self::sheet::records::{RecordCells, records};
pub(crate) use self::sheet::rivals::ColumnChange;
pub(crate) use self::sheet::writer::SheetWriter;
pub(crate) use self::structure::columns::{
    MACHINE_BY_ID_WRITTEN, RESULT_COLUMNS, VERIFICATION_COLUMNS, added_names, bare_name, is_added_name,
};
pub(crate) use self::structure::dialect::Dialect;
pub use self::structure::header::HeaderColumns;
pub(crate) use self::structure::header::{list_elements, list_form};
pub(crate) use self::text::decode::{Encoding, encoding};
pub(crate) use self::workbook::WorkbookError;

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
    let mut text = Text::open(source, encoding, lines)?;
    let needed = if options.orders.is_some() { Needed::Machines } else { Needed::Orders };
    let opening = Opening::read(&mut text, options.accepted, needed)?;
    if options.tenants.is_some() {
        let line = text.line().saturating_sub(1);
        tenants::refuse_two(&opening.header, line)?;
        tenants::refuse_misnamed(&opening.header, line, options.accepted)?;
    }
    let selection = filter.map(|filter| Selection::new(filter, &opening.header, machines, options)).transpose();
    let selection = selection.map_err(InputError::Filter)?;
    let mut sheet = rows::read(text, opening, selection, workbook.as_ref().map(|(_, rows)| rows), options)?;
    sheet.notes.extend(workbook.and_then(|(note, _)| note));
    Ok(sheet)
}
