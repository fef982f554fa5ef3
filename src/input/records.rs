//! The second pass: stored rows back to cells.

/// Reads the cells of a [`Chunk`](super::Chunk) again, one record a row, in order; no header.
///
/// Records of every length come through, and cells as they were decoded, not trimmed.
#[must_use]
pub fn records(delimiter: u8, text: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text)
}
