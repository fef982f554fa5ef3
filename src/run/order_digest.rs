//! What makes two command lines one: by this, a run is found that the same command is to resume.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::filter::Filter;
use crate::input::Orders;
use crate::model::RowNumber;
use crate::model::identity::OrderedDigest;

/// What begins the digest of a run whose changes stood on the command line.
const ORDERED: &str = "ordered-";
/// What is digested of the tenant's list, which is another one as soon as something is done.
const TENANTS_LIST: &str = "list";

/// What makes two command lines the same of which the one says which rows of an input are meant. What is selected may hang
/// on the time and on the tenant, so that the same command may mean other rows the next time.
pub(super) struct OrderDigest {
    /// Where the rows come from, and what the command line says of them.
    order: String,
    /// What stands there; nothing before that is read.
    content: String,
}

impl OrderDigest {
    /// Of an input that a filter, or changes on the command line, say more of.
    pub(super) fn of(path: &str, filter: Option<&Filter>, orders: Option<&Orders>) -> Option<Self> {
        let filter = filter.map(Filter::text);
        let order = match (filter, orders) {
            (None, None) => return None,
            (Some(filter), None) => OrderedDigest::of([path, filter]),
            (filter, Some(orders)) => {
                let options = orders.options();
                format!("{ORDERED}{}", OrderedDigest::of([path, &options].into_iter().chain(filter)))
            }
        };
        Some(Self { order, content: String::new() })
    }

    /// Whether the command line said what the run was to change, in the digest of a run: its rows do not say it.
    pub(super) fn says_changes(digest: &str) -> bool {
        digest.starts_with(ORDERED)
    }

    /// Its rows are the tenant's machines.
    pub(super) fn note_tenants_list(&mut self) {
        TENANTS_LIST.clone_into(&mut self.content);
    }

    /// Its rows are what was read.
    pub(super) fn note_content<R>(&mut self, read: Digesting<R>) {
        self.content = OrderedDigest::of([read.digest.finalize()]);
    }

    /// The digest of a run that began with these rows.
    pub(super) fn text(&self) -> String {
        format!("{}:{}", self.order, self.content)
    }

    /// The same where these rows are in error: with other options, others may be.
    pub(super) fn text_without(&self, rows: &[RowNumber]) -> String {
        let numbers = rows.iter().map(|row| row.0.to_le_bytes());
        if rows.is_empty() { self.text() } else { format!("{}-{}", self.text(), OrderedDigest::of(numbers)) }
    }

    /// The digest of a run that never knew what becomes of its rows.
    pub(super) fn without_content(&self) -> String {
        format!("{}:", self.order)
    }

    /// The order in the digest of a run, if it is one of a command line.
    pub(super) fn order_of(digest: &str) -> Option<&str> {
        digest.split_once(':').map(|(order, _content)| order)
    }
}

/// Digests what is read through it.
pub(super) struct Digesting<R> {
    bytes: R,
    digest: Sha256,
}

impl<R> Digesting<R> {
    pub(super) fn new(bytes: R) -> Self {
        Self { bytes, digest: Sha256::new() }
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
