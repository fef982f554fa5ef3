//! What the caller decides about reading an input.

use std::path::PathBuf;

use encoding_rs::Encoding;

use super::orders::Orders;
use super::tenants::Tenants;
use crate::input::findings::accept::Accepted;

/// What the caller decides about reading an input.
#[derive(Clone, Debug, Default)]
pub struct InputOptions {
    /// The encoding that the user named; `None` takes it from the byte order mark, and UTF-8 without one.
    pub encoding: Option<&'static Encoding>,
    /// Where decoded text of more than 1 MiB is kept, in a file without a name that only this user can read; `None` is
    /// the system's directory for temporary files.
    pub spool_directory: Option<PathBuf>,
    /// What the user allows although it is doubtful.
    pub accepted: Accepted,
    /// What stands between the tags of one cell; `None` where a cell holds one tag.
    pub tag_separator: Option<char>,
    /// What every row asks for; `None` where columns say it.
    pub orders: Option<Orders>,
    /// The worksheet that is meant, where the input is a workbook; `None` is the first.
    pub sheet: Option<String>,
    /// Whether machines can be named by their ids only, since nothing is read to look names up in.
    pub ids_only: bool,
    /// Whose rows may be: those of others are left out, and those of nobody in error; `None` where no row says whose it is.
    pub tenants: Option<Tenants>,
    /// The id of the tenant that is signed in to, where that is known and no profile says whose rows may be: a row that names
    /// another one is doubtful.
    pub signed_in: Option<String>,
    /// The fields that a filter can ask of the tenant's list, so that a name without its qualifier can be told.
    pub machine_fields: &'static [&'static str],
}
